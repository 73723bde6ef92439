//! The order that a query itself gives to its rows.

use datafusion::logical_expr::{Expr, LogicalPlan};

/// A column by which rows are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedBy {
    /// The column.
    pub column: String,
    /// Whether the smallest value comes first.
    pub ascending: bool,
    /// Whether rows without a value come first.
    pub nulls_first: bool,
}

impl OrderedBy {
    /// The smallest value first, and rows without one last.
    pub fn ascending(column: impl Into<String>) -> Self {
        OrderedBy { column: column.into(), ascending: true, nulls_first: false }
    }
}

/// The columns of a query's result by which its own `order by` orders the rows; none if it orders them by something else, too.
pub fn own_order(plan: &LogicalPlan) -> Vec<OrderedBy> {
    let named = |(at, ascending, nulls_first)| OrderedBy { column: plan.schema().field(at).name().clone(), ascending, nulls_first };
    positions(plan).unwrap_or_default().into_iter().map(named).collect()
}

/// Whether a query orders its rows, if only by something that is no column of its result.
pub fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Limit(node) => is_ordered(&node.input),
        LogicalPlan::SubqueryAlias(node) => is_ordered(&node.input),
        LogicalPlan::Projection(node) => is_ordered(&node.input),
        _ => false,
    }
}

fn positions(plan: &LogicalPlan) -> Option<Vec<(usize, bool, bool)>> {
    match plan {
        LogicalPlan::Sort(sort) => {
            let by = sort.expr.iter().map(|by| match &by.expr {
                Expr::Column(column) => Some((sort.input.schema().maybe_index_of_column(column)?, by.asc, by.nulls_first)),
                _ => None,
            });
            by.collect()
        }
        LogicalPlan::Limit(node) => positions(&node.input),
        LogicalPlan::SubqueryAlias(node) => positions(&node.input),
        LogicalPlan::Projection(node) => {
            let passed_on: Vec<Option<usize>> = node.expr.iter().map(|expr| passed_on(expr, &node.input)).collect();
            let by = positions(&node.input)?
                .into_iter()
                .map(|(at, ascending, nulls_first)| Some((passed_on.iter().position(|other| *other == Some(at))?, ascending, nulls_first)));
            by.collect()
        }
        _ => None,
    }
}

fn passed_on(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    match expr {
        Expr::Alias(alias) => passed_on(&alias.expr, input),
        Expr::Column(column) => input.schema().maybe_index_of_column(column),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::empty::EmptyTable;

    use super::*;
    use crate::engine::{Engine, Limits};

    #[tokio::test]
    async fn the_order_of_a_query_is_told_where_it_shows() {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "UTC").unwrap();
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let schema = Schema::new(vec![field("a"), field("b"), field("c")]);
        engine.register("t", Arc::new(EmptyTable::new(Arc::new(schema)))).unwrap();
        for (sql, expected) in [
            ("select a, b from t order by b desc, a", vec![("b", false), ("a", true)]),
            ("select a as x from t order by x, b", vec![]),
            ("select a as x from t order by x", vec![("x", true)]),
            ("select a from t order by b, a", vec![]),
            ("select a, b from t order by a + b, a", vec![]),
            ("select a, b + 1 as n from t order by n limit 3", vec![("n", true)]),
            // Rows of a subquery have no order.
            ("select * from (select a, c from t order by c) as s", vec![]),
            ("select a from t", vec![]),
        ] {
            let frame = engine.query(sql).await.unwrap();
            let found: Vec<(String, bool)> = own_order(frame.logical_plan()).into_iter().map(|by| (by.column, by.ascending)).collect();
            let expected: Vec<(String, bool)> = expected.into_iter().map(|(name, ascending)| (name.to_owned(), ascending)).collect();
            assert_eq!(found, expected, "{sql}");
        }
    }
}
