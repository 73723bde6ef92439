//! Groups rows in tables that all threads share.
//!
//! DataFusion groups twice: every thread groups its own rows, and what the threads found is dealt out by key and grouped again. With many
//! groups the first step joins few rows, so every row is looked up twice and moved in between. Here the keys are divided over shards. A
//! thread looks a row up in the shard of its key, so every group is in one place only, and is finished there.
//!
//! Where few keys stand in many rows, all threads would wait for the same shards. So a thread begins with a small table of its own, and uses
//! the shards alone when that table fills up without having joined many rows.

mod exec;
mod groups;
mod keys;
mod meeting;
mod numbered;
mod shards;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, InputOrderMode};

use exec::ShardedAggregateExec;
use keys::KeyLayout;
use shards::Grouping;

use super::Limits;
use super::encoding::COUNT_PRINTS;

/// A physical optimiser rule that groups in shards where keys fit into a number.
#[derive(Debug)]
pub struct GroupInShards {
    /// The bytes of a table that a thread has for itself.
    own_bytes: usize,
}

/// The bytes up to which a thread has a table for itself, and the part of the memory limit up to which all of them have.
const OWN_BYTES: usize = 4 << 20;
const OWN_PART: usize = 32;

impl GroupInShards {
    /// The rule of an engine with such limits.
    pub fn within(limits: Limits) -> Self {
        GroupInShards { own_bytes: (limits.memory_bytes / OWN_PART / limits.threads.max(1)).min(OWN_BYTES) }
    }
}

impl PhysicalOptimizerRule for GroupInShards {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let sharded = |node| match in_shards(&node, self.own_bytes)? {
            Some(sharded) => Ok(Transformed::yes(sharded)),
            None => Ok(Transformed::no(node)),
        };
        plan.transform_up(sharded).data()
    }

    fn name(&self) -> &'static str {
        "group_in_shards"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same groups from shards, dealt out over the threads as before; none where rows are grouped in another way, or keys do not fit.
fn in_shards(node: &Arc<dyn ExecutionPlan>, own_bytes: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some((last, first)) = in_two_steps(node) else { return Ok(None) };
    let partitioning = node.output_partitioning().clone();
    if !first.aggr_expr().iter().all(|aggregate| is_supported(aggregate)) || !matches!(partitioning, Partitioning::Hash(..)) {
        return Ok(None);
    }
    let Some(layout) = KeyLayout::of(&*first.group_expr().group_schema(&first.input_schema())?) else { return Ok(None) };
    let grouping = Grouping::of(first, last, layout, own_bytes)?;
    let sharded = ShardedAggregateExec::new(Arc::clone(first.input()), Arc::new(grouping));
    Ok(Some(Arc::new(RepartitionExec::try_new(Arc::new(sharded), partitioning)?)))
}

/// The second and the first of two steps that group the same rows.
fn in_two_steps(node: &Arc<dyn ExecutionPlan>) -> Option<(&AggregateExec, &AggregateExec)> {
    let last = node.downcast_ref::<AggregateExec>().filter(|last| *last.mode() == AggregateMode::FinalPartitioned)?;
    let dealt_out = last.input().downcast_ref::<RepartitionExec>().filter(|dealt_out| !dealt_out.preserve_order())?;
    let first = dealt_out.input().downcast_ref::<AggregateExec>().filter(|first| *first.mode() == AggregateMode::Partial)?;
    let is_plain = |step: &AggregateExec| {
        step.limit_options().is_none()
            && *step.input_order_mode() == InputOrderMode::Linear
            && step.dynamic_expressions_produced().is_empty()
    };
    let has_keys = first.group_expr().is_single() && !first.group_expr().is_empty();
    (is_plain(last) && is_plain(first) && has_keys).then_some((last, first))
}

/// Whether an aggregate can be computed for many groups at once, whatever the order of their rows. Where what it has of a group is a list, it
/// takes long to say how large its lists are; counts of different values do not.
fn is_supported(aggregate: &AggregateFunctionExpr) -> bool {
    let has_lists = || aggregate.state_fields().map_or(true, |fields| fields.iter().any(|field| field.data_type().is_nested()));
    let is_count = ["count", COUNT_PRINTS].contains(&aggregate.fun().name());
    aggregate.order_bys().is_empty() && aggregate.groups_accumulator_supported() && (is_count || !has_lists())
}

#[cfg(test)]
mod tests;
