//! What DataFusion gets wrong above an `unnest` of grouped rows.
//!
//! A column by which rows are grouped occurs once, and DataFusion remembers this for the nodes above: a later `group by` or `order by` leaves
//! out the columns that depend on such a key, and `distinct` does nothing. It still believes it above an `unnest`, which repeats the key for
//! each element of a list. Within one query there is no way to make it forget. A table does not hand the belief on.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Whether the keys of grouped rows are repeated by an `unnest`, and what the query does with the repeated rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedKeys {
    /// No keys are repeated.
    None,
    /// The query returns the repeated rows as they are, so its result is right. A query that reads it must read a table.
    Returned,
    /// The query groups, sorts, joins or counts on the repeated rows, so its result may be wrong.
    Used,
}

/// What a planned query does with keys that an `unnest` repeats.
///
/// # Errors
/// DataFusion's own.
pub fn repeated_keys(plan: &LogicalPlan) -> Result<RepeatedKeys, DataFusionError> {
    let mut is_used = false;
    plan.apply_with_subqueries(|node| {
        let hands_on = matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::Unnest(_)
        );
        is_used |= !hands_on && node.inputs().into_iter().any(returns_repeated_keys);
        // A condition on a key makes DataFusion take a subquery for one row.
        node.apply_expressions(|expr| {
            let is_meant = |part: &Expr| matches!(part, Expr::ScalarSubquery(one) if holds_repeated_keys(&one.subquery));
            is_used |= expr.exists(|part| Ok(is_meant(part)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if is_used { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(match is_used {
        true => RepeatedKeys::Used,
        false if returns_repeated_keys(plan) => RepeatedKeys::Returned,
        false => RepeatedKeys::None,
    })
}

/// Whether DataFusion takes columns of a result for keys that an `unnest` below may have repeated.
fn returns_repeated_keys(plan: &LogicalPlan) -> bool {
    !plan.schema().functional_dependencies().is_empty()
        && (matches!(plan, LogicalPlan::Unnest(_)) || plan.inputs().into_iter().any(returns_repeated_keys))
}

fn holds_repeated_keys(plan: &LogicalPlan) -> bool {
    returns_repeated_keys(plan) || plan.inputs().into_iter().any(holds_repeated_keys)
}
