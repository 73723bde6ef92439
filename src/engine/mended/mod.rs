//! What DataFusion 55.2 would get wrong in silence, mended. What cannot be mended from outside is refused (`unsound`).
//!
//! - It takes columns for keys that are none, and leaves out of a `group by`, an `order by` or a `distinct` what seems to depend on them
//!   (`keys`).
//! - It moves a condition without columns below an aggregate that has a row even of no rows (`totals`).
//! - It thinks that a subquery of one value always has a row (`no_row`).
//! - It compares the argument of a cast in place of its rounded result (`roundings`).
//! - It moves limits past windows that still need the rows. This rule is left out.

mod keys;
mod no_row;
mod roundings;
mod totals;

use std::sync::Arc;

use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

pub use keys::RelationsWithoutKeys;
pub use no_row::with_missing_values;
pub use roundings::rounded;

use keys::{ForgetKeys, KeepSureKeys};
use totals::KeepAboveTotals;

/// The rules that look at keys.
const LOOK_AT_KEYS: [&str; 3] = ["replace_distinct_aggregate", "eliminate_duplicated_expr", "optimize_projections"];
/// The rule that leaves out joins, or looks only for a match, where a side has a key. It goes by columns and not by their names.
const JOINS_BY_KEYS: &str = "eliminate_join";
/// The rule that moves filters.
const MOVES_FILTERS: &str = "push_down_filter";
/// The rule for physical plans that is left out.
const LEFT_OUT: &str = "LimitPushPastWindows";

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

/// DataFusion's rules for physical plans, without the one that is wrong.
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    PhysicalOptimizer::new().rules.into_iter().filter(|rule| rule.name() != LEFT_OUT).collect()
}

#[cfg(test)]
mod tests;
