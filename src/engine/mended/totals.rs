//! Keeps conditions above aggregates that have a row even of no rows.
//!
//! A condition on the columns of a `group by` may as well be asked before the rows are grouped. DataFusion takes a condition without columns,
//! such as `false` or `(select count(*) from t) > 0`, for one of these. But of no rows an aggregate without groups makes a row all the same.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// The rule that moves conditions down, which leaves those above such aggregates where they are.
#[derive(Debug)]
pub struct KeepAboveTotals(pub Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for KeepAboveTotals {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match &plan {
            LogicalPlan::Filter(filter) if is_above_total(&filter.input) => Ok(Transformed::no(plan)),
            _ => self.0.rewrite(plan, config),
        }
    }
}

/// Whether a condition would be moved below such an aggregate: at once, or after it was put together with conditions below it.
fn is_above_total(mut plan: &LogicalPlan) -> bool {
    while let LogicalPlan::Filter(filter) = plan {
        plan = &filter.input;
    }
    matches!(plan, LogicalPlan::Aggregate(aggregate) if has_total(aggregate))
}

/// Whether an aggregate makes a row of all rows together, also if there are none.
fn has_total(aggregate: &Aggregate) -> bool {
    match aggregate.group_expr.as_slice() {
        [] => true,
        [Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_))] => true,
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => sets.iter().any(Vec::is_empty),
        _ => false,
    }
}
