//! What DataFusion 55.2 would get wrong in silence, mended. What cannot be mended from outside is refused (`unsound`).
//!
//! - It takes columns for keys that are none, and leaves out of a `group by`, an `order by` or a `distinct` what seems to depend on them
//!   (`keys`).
//! - It moves a condition without columns below an aggregate that has a row even of no rows (`totals`).
//! - It thinks that a subquery of one value always has a row (`no_row`).
//! - It compares the argument of a cast in place of its rounded result (`roundings`).
//! - It takes `in` over a subquery for false where it is null (`on_subqueries`).
//! - It takes a column that is constant on one side of an outer join for one that is constant behind it (`missing_rows`).
//! - It compares columns of the row outside as if they had the type of the first query of a union (`outer_columns`).
//! - It subtracts row numbers without a sign (`signed`).
//! - It moves limits past windows that still need the rows, and asks conditions above right and full joins of the wrong side. These rules
//!   are left out; the second one is for files that DataFusion reads itself.

mod keys;
mod missing_rows;
mod no_row;
mod on_subqueries;
mod outer_columns;
mod roundings;
mod signed;
mod totals;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

pub use keys::RelationsWithoutKeys;
pub use no_row::OR_NULL;
pub use outer_columns::RefreshOuterColumns;
pub use roundings::rounded;

use keys::{ForgetKeys, KeepSureKeys};
use missing_rows::ForgetConstants;
use no_row::with_missing_values;
use on_subqueries::with_conditions_on_subqueries;
use signed::with_signed_differences;
use totals::KeepAboveTotals;

/// The rules that look at keys.
const LOOK_AT_KEYS: [&str; 3] = ["replace_distinct_aggregate", "eliminate_duplicated_expr", "optimize_projections"];
/// The rule that leaves out joins, or looks only for a match, where a side has a key. It goes by columns and not by their names.
const JOINS_BY_KEYS: &str = "eliminate_join";
/// The rule that moves filters.
const MOVES_FILTERS: &str = "push_down_filter";
/// The rules for physical plans that are left out.
const LEFT_OUT: [&str; 3] = ["LimitPushPastWindows", "FilterPushdown", "FilterPushdown(Post)"];

/// DataFusion's rules for logical plans, mended.
pub fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut mended: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::new();
    for rule in Optimizer::new().rules {
        if LOOK_AT_KEYS.contains(&rule.name()) {
            mended.push(Arc::new(ForgetKeys));
        }
        if rule.name() == JOINS_BY_KEYS {
            mended.push(Arc::new(KeepSureKeys));
        }
        mended.push(if rule.name() == MOVES_FILTERS { Arc::new(KeepAboveTotals(rule)) } else { rule });
    }
    mended
}

/// DataFusion's rules for physical plans, without those that are wrong.
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let first: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(ForgetConstants);
    std::iter::once(first).chain(PhysicalOptimizer::new().rules.into_iter().filter(|rule| !LEFT_OUT.contains(&rule.name()))).collect()
}

/// A planned query with what cannot be left to rules, because it changes which columns may be null, or their types.
///
/// # Errors
/// DataFusion's own.
pub fn mended(plan: LogicalPlan) -> Result<LogicalPlan> {
    with_conditions_on_subqueries(with_missing_values(with_signed_differences(plan)?)?)
}

#[cfg(test)]
mod tests;
