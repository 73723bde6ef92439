//! Limits recursive queries. DataFusion would repeat them for as long as they return rows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::known_failure::too_costly;

/// How many times a query may read its own result.
pub const MAX_ROUNDS: usize = 10_000;

/// A physical optimiser rule that counts the rounds of every recursive query.
#[derive(Debug, Default)]
pub struct CountRounds;

impl PhysicalOptimizerRule for CountRounds {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let counted = plan.transform_up(|node| {
            let Some(recursive) = node.downcast_ref::<RecursiveQueryExec>() else { return Ok(Transformed::no(node)) };
            if recursive.recursive_term().is::<Round>() {
                return Ok(Transformed::no(node));
            }
            let round = Round { input: Arc::clone(recursive.recursive_term()), rounds: Arc::default() };
            let children = vec![Arc::clone(recursive.static_term()), Arc::new(round) as Arc<dyn ExecutionPlan>];
            Ok(Transformed::yes(node.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?))
        });
        counted.data()
    }

    fn name(&self) -> &'static str {
        "count_rounds"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The part of a recursive query that is computed in every round. It fails after [`MAX_ROUNDS`].
#[derive(Debug)]
struct Round {
    input: Arc<dyn ExecutionPlan>,
    /// Shared by the copies that DataFusion makes of it for each round.
    rounds: Arc<AtomicUsize>,
}

impl DisplayAs for Round {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Round: at most {MAX_ROUNDS}")
    }
}

impl ExecutionPlan for Round {
    fn name(&self) -> &'static str {
        "Round"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(&self, _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Round { input, rounds: Arc::clone(&self.rounds) })),
            _ => Err(DataFusionError::Internal("a round has one input".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.rounds.fetch_add(1, Relaxed) >= MAX_ROUNDS {
            return Err(too_costly(format!(
                "a recursive query has not ended after {MAX_ROUNDS} rounds; give it a condition that ends it, or make a row for each value of a series with `unnest(generate_series(…))`"
            )));
        }
        self.input.execute(partition, context)
    }
}
