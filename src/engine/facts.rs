//! What is known of the columns of a query from what is known of the columns that it reads: between which numbers their values are, and of
//! what they are made.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, ScalarValue, TableReference};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// What is known of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The least and the greatest value that is not null, if they are known. Both are whole or infinite.
    pub bounds: Option<(f64, f64)>,
    /// What its values depend on, by the names that the tables' own columns were given.
    pub made_of: BTreeSet<String>,
}

/// What is known of the columns of tables.
pub type KnownFacts<'a> = &'a dyn Fn(&TableReference, &str) -> Facts;

impl Facts {
    fn or(mut self, other: &Facts) -> Self {
        self.bounds = self.bounds.zip(other.bounds).map(|(one, other)| (one.0.min(other.0), one.1.max(other.1)));
        self.made_of.extend(other.made_of.iter().cloned());
        self
    }

    /// Of values that are made of all of these, in a way that is not known.
    fn of_all<'f>(all: impl IntoIterator<Item = &'f Facts>) -> Self {
        Facts { bounds: None, made_of: all.into_iter().flat_map(|facts| facts.made_of.iter().cloned()).collect() }
    }
}

/// What is known of every column of a query.
pub fn facts(plan: &LogicalPlan, known: KnownFacts<'_>) -> Vec<Facts> {
    let width = plan.schema().fields().len();
    let inputs: Vec<Vec<Facts>> = plan.inputs().into_iter().map(|input| facts(input, known)).collect();
    let of = |expressions: &mut dyn Iterator<Item = &Expr>, schema: &DFSchema| -> Vec<Facts> {
        expressions.map(|expr| of_expression(expr, schema, &inputs[0], known)).collect()
    };
    let found = match plan {
        LogicalPlan::TableScan(scan) => scan.projected_schema.fields().iter().map(|field| known(&scan.table_name, field.name())).collect(),
        LogicalPlan::Projection(node) => of(&mut node.expr.iter(), node.input.schema()),
        LogicalPlan::Aggregate(node) => of(&mut node.group_expr.iter().chain(&node.aggr_expr), node.input.schema()),
        LogicalPlan::Window(node) => {
            let windows = of(&mut node.window_expr.iter(), node.input.schema());
            inputs[0].iter().cloned().chain(windows).collect()
        }
        LogicalPlan::Distinct(Distinct::On(on)) => of(&mut on.select_expr.iter(), on.input.schema()),
        LogicalPlan::Union(_) => {
            let column = |at: usize| inputs.iter().filter_map(|input| input.get(at).cloned()).reduce(|one, other| one.or(&other));
            (0..width).map(|at| column(at).unwrap_or_default()).collect()
        }
        LogicalPlan::Join(node) => match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => inputs.concat(),
            JoinType::LeftSemi | JoinType::LeftAnti => inputs[0].clone(),
            JoinType::RightSemi | JoinType::RightAnti => inputs[1].clone(),
            JoinType::LeftMark | JoinType::RightMark => Vec::new(),
        },
        // Rows are chosen, or put in order; the columns stay.
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Repartition(_) => inputs.concat(),
        _ => Vec::new(),
    };
    if found.len() == width { found } else { vec![Facts::of_all(inputs.iter().flatten()); width] }
}

fn of_expression(expr: &Expr, schema: &DFSchema, input: &[Facts], known: KnownFacts<'_>) -> Facts {
    let of = |expr: &Expr| of_expression(expr, schema, input, known);
    match expr {
        Expr::Alias(alias) => of(&alias.expr),
        Expr::Column(column) => schema.maybe_index_of_column(column).and_then(|at| input.get(at)).cloned().unwrap_or_default(),
        // Rounding stays between whole numbers.
        Expr::Cast(cast) if cast.field.data_type().is_numeric() => of(&cast.expr),
        Expr::TryCast(cast) if cast.field.data_type().is_numeric() => of(&cast.expr),
        Expr::Literal(value, _) => Facts { bounds: number(value).map(|value| (value.floor(), value.ceil())), made_of: BTreeSet::new() },
        Expr::ScalarFunction(function) if function.func.name() == "coalesce" => {
            function.args.iter().map(of).reduce(|one, other| one.or(&other)).unwrap_or_default()
        }
        _ => {
            let mut parts = Vec::new();
            let walked = expr.apply(|part| {
                match part {
                    Expr::Column(_) => parts.push(of(part)),
                    Expr::ScalarSubquery(query) => parts.extend(facts(&query.subquery, known)),
                    Expr::InSubquery(query) => parts.extend(facts(&query.subquery.subquery, known)),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            });
            if walked.is_err() { Facts::of_all(input) } else { Facts::of_all(&parts) }
        }
    }
}

/// A number that is written in a query.
fn number(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) if value.data_type().is_numeric() => number.filter(|number| number.is_finite()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};
    use datafusion::datasource::empty::EmptyTable;

    use super::*;
    use crate::engine::{Engine, Limits};

    #[tokio::test]
    async fn bounds_and_origins_are_followed_through_a_query() {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "UTC").unwrap();
        let columns = Schema::new(vec![Field::new("id", DataType::Utf8, true), Field::new("p", DataType::Float64, true)]);
        engine.register("t", Arc::new(EmptyTable::new(Arc::new(columns)))).unwrap();
        let known = |_: &TableReference, column: &str| match column {
            "p" => Facts { bounds: Some((0.0, 1.0)), made_of: BTreeSet::from(["p".to_owned()]) },
            _ => Facts::default(),
        };
        for (sql, bounds, is_made_of_p) in [
            ("select p from t", Some((0.0, 1.0)), true),
            ("select p as q from (select * from t where p > 0.5) as u", Some((0.0, 1.0)), true),
            ("select cast(b.p as decimal(9, 4)) from t as a left join t as b on a.id = b.id", Some((0.0, 1.0)), true),
            ("select coalesce(p, 0) from t", Some((0.0, 1.0)), true),
            ("select coalesce(p, 2.5) from t", Some((0.0, 3.0)), true),
            ("select coalesce(p, length(id)) from t", None, true),
            ("select p * 2 from t", None, true),
            ("select p from t union all select 7.0", Some((0.0, 7.0)), true),
            ("select p > 0.5 from t", None, true),
            ("select case when p < 0.5 then 'at risk' end from t", None, true),
            ("select max(p) from t group by id", None, true),
            ("select p from t group by p", Some((0.0, 1.0)), true),
            ("select (select max(p) from t) from t as u", None, true),
            ("select id from t where p > 0.5", None, false),
            ("select 3 from t", Some((3.0, 3.0)), false),
        ] {
            let frame = engine.query(sql).await.unwrap();
            let found = &facts(frame.logical_plan(), &known)[0];
            assert_eq!((found.bounds, found.made_of.contains("p")), (bounds, is_made_of_p), "{sql}");
        }
    }
}
