//! Keeps the rows of recursive queries with `union` whole.
//!
//! Such a query ends when a round finds no new rows, and rows differ in all columns. DataFusion leaves out columns that nobody reads, and then
//! takes rows for the same that differ in these alone. A `distinct` above reads all columns, and changes nothing else: the rows are distinct.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Distinct, LogicalPlan};

/// A planned query whose recursive queries with `union` have all their columns.
///
/// # Errors
/// DataFusion's own.
pub fn with_whole_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let whole = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query) if query.is_distinct => {
            Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::All(Arc::new(LogicalPlan::RecursiveQuery(query))))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(whole.data)
}
