//! The columns that decide which rows a query gives, and which rows stand together: in filters, joins, groups and windows.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::columns::Follower;
use super::parts::{Parts, TableColumn};
use super::steps::{bare, equalities};

/// How a column has a part in which rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Influence {
    /// Rows are left out because of it.
    Filter,
    /// Rows of two tables are put together by it.
    Join,
    /// Rows are put into one by it.
    GroupBy,
    /// Rows are ranked or compared with others by it.
    Window,
}

/// The columns of the tables that a query reads that decide which rows it gives, as far as they can be followed.
pub fn deciding(query: &LogicalPlan) -> BTreeSet<(TableColumn, Influence)> {
    let mut found = BTreeSet::new();
    let mut follower = Follower::of_one_query();
    let walked = query.apply_with_subqueries(|node| {
        let mut add = |parts: Parts, influence: Influence| {
            if !parts.is_unknown {
                found.extend(parts.values.into_keys().chain(parts.deciding).map(|column| (column, influence)));
            }
        };
        match node {
            LogicalPlan::Filter(filter) => add(follower.expression(&filter.predicate, &filter.input), Influence::Filter),
            LogicalPlan::Join(_) => {
                for expr in equalities(node).into_iter().flat_map(|(one, other)| [one, other]) {
                    add(follower.of_either(&expr, node), Influence::Join);
                }
            }
            LogicalPlan::Aggregate(aggregate) => {
                for key in &aggregate.group_expr {
                    add(follower.expression(key, &aggregate.input), Influence::GroupBy);
                }
            }
            LogicalPlan::Window(window) => {
                for expr in &window.window_expr {
                    let Expr::WindowFunction(call) = bare(expr) else { continue };
                    let order = call.params.order_by.iter().map(|sort| &sort.expr);
                    for key in call.params.partition_by.iter().chain(order) {
                        add(follower.expression(key, &window.input), Influence::Window);
                    }
                }
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    found
}
