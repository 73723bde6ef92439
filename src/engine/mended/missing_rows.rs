//! Makes DataFusion forget which columns are constant on the side of an outer join that may have no row.
//!
//! Behind the join such a column is null where there was no row. DataFusion takes it for constant all the same, and leaves it out of the orders
//! of windows.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// A physical optimiser rule, which must come before those that look at orders.
#[derive(Debug)]
pub struct ForgetConstants;

impl PhysicalOptimizerRule for ForgetConstants {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let forgotten = plan.transform_up(|node| {
            let Some(join) = join_type(&node) else { return Ok(Transformed::no(node)) };
            let may_be_missing = [matches!(join, JoinType::Right | JoinType::Full), matches!(join, JoinType::Left | JoinType::Full)];
            let sides: Vec<Arc<dyn ExecutionPlan>> = node.children().into_iter().map(Arc::clone).collect();
            let has_constants = |side: &Arc<dyn ExecutionPlan>| !side.properties().equivalence_properties().constants().is_empty();
            if !sides.iter().zip(may_be_missing).any(|(side, may_be_missing)| may_be_missing && has_constants(side)) {
                return Ok(Transformed::no(node));
            }
            let without = sides.into_iter().zip(may_be_missing).map(|(side, may_be_missing)| {
                if may_be_missing && has_constants(&side) { Arc::new(Side::new(side)) as Arc<dyn ExecutionPlan> } else { side }
            });
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Ok(Transformed::yes(node.replace_children(without.collect(), options)?))
        });
        forgotten.data()
    }

    fn name(&self) -> &'static str {
        "forget_constants"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn join_type(node: &Arc<dyn ExecutionPlan>) -> Option<JoinType> {
    let hash = node.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    let nested = || node.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type());
    let merge = || node.downcast_ref::<SortMergeJoinExec>().map(SortMergeJoinExec::join_type);
    hash.or_else(nested).or_else(merge)
}

/// A side of a join of which nobody knows that a column is constant. Its rows are those of its input.
#[derive(Debug)]
struct Side {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Side {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let known = input.properties().equivalence_properties();
        let orders = known.oeq_class().iter().cloned().collect::<Vec<_>>();
        let without = EquivalenceProperties::new_with_orderings(Arc::clone(known.schema()), orders);
        let properties = Arc::new(PlanProperties::clone(input.properties()).with_eq_properties(without));
        Side { input, properties }
    }
}

impl DisplayAs for Side {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Side: may have no row")
    }
}

impl ExecutionPlan for Side {
    fn name(&self) -> &'static str {
        "Side"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
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
            Some(input) if children.is_empty() => Ok(Arc::new(Side::new(input))),
            _ => Err(DataFusionError::Internal("a side of a join has one input".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
