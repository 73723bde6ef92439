//! Finds the keys of a plan, which are columns with different values in all rows. An order by a key has no ties.

use std::collections::{BTreeMap, HashSet};

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};

/// The keys of tables by their name; a key is a set of columns.
pub type Keys = BTreeMap<String, Vec<Vec<String>>>;

/// Whether some columns contain a known key of a plan.
pub fn tell_apart(plan: &LogicalPlan, columns: &HashSet<Column>, tables: &Keys) -> bool {
    keys_of(plan, tables).iter().any(|key| key.iter().all(|column| columns.contains(column)))
}

/// The known keys of a plan.
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

/// The column that an expression passes through unchanged, perhaps under another name.
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
