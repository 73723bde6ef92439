//! Which columns are known to tell all rows of a plan apart, so that an order by them leaves no ties open.

use std::collections::{BTreeMap, HashSet};

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};

/// For tables, by name, the sets of columns that tell their rows apart.
pub type Keys = BTreeMap<String, Vec<Vec<String>>>;

/// Whether some columns tell all rows of a plan apart, as far as is known.
pub fn tell_apart(plan: &LogicalPlan, columns: &HashSet<Column>, tables: &Keys) -> bool {
    keys_of(plan, tables).iter().any(|key| key.iter().all(|column| columns.contains(column)))
}

/// The sets of columns that are known to tell the rows of a plan apart.
pub fn keys_of(plan: &LogicalPlan, tables: &Keys) -> Vec<Vec<Column>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let known = tables.get(&scan.table_name.to_string()).into_iter().flatten();
            known.filter_map(|key| key.iter().map(|name| column_called(&scan.projected_schema, name)).collect()).collect()
        }
        LogicalPlan::Filter(filter) => keys_of(&filter.input, tables),
        LogicalPlan::Sort(sort) => keys_of(&sort.input, tables),
        LogicalPlan::Limit(limit) => keys_of(&limit.input, tables),
        LogicalPlan::Window(window) => keys_of(&window.input, tables),
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) => keys_of(&join.left, tables),
        LogicalPlan::Distinct(Distinct::All(_)) => vec![plan.schema().columns()],
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.iter().all(|expr| !matches!(expr, Expr::GroupingSet(_))) => {
            vec![plan.schema().columns().into_iter().take(aggregate.group_expr.len()).collect()]
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let of = |column: &Column| alias.input.schema().maybe_index_of_column(column).map(|at| alias.schema.columns()[at].clone());
            carried(keys_of(&alias.input, tables), of)
        }
        LogicalPlan::Projection(projection) => {
            let of = |column: &Column| {
                let at = projection.expr.iter().position(|expr| passed_on(expr) == Some(column))?;
                Some(projection.schema.columns()[at].clone())
            };
            carried(keys_of(&projection.input, tables), of)
        }
        _ => Vec::new(),
    }
}

fn carried(keys: Vec<Vec<Column>>, of: impl Fn(&Column) -> Option<Column>) -> Vec<Vec<Column>> {
    keys.into_iter().filter_map(|key| key.iter().map(&of).collect()).collect()
}

/// The column that an expression is, under whatever name.
fn passed_on(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => passed_on(&alias.expr),
        _ => None,
    }
}

fn column_called(schema: &DFSchema, name: &str) -> Option<Column> {
    schema.columns().into_iter().find(|column| column.name == name)
}
