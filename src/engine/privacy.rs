//! Which columns of a query have personal values: those that are made of personal columns of its tables, under whatever name.
//!
//! The truth of a condition and a count of rows say nothing about a person and are open. A condition on a column that is itself true or
//! false is as personal as the column. What cannot be followed is personal if anything below it is.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, TableReference};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan};

/// Whether the values of a column of a query are personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// They are not.
    Open,
    /// They are.
    Personal,
    /// The type that another column of the row names says it; the position of that column.
    ByType(usize),
}

impl Privacy {
    /// Whether some of the values may be personal.
    pub fn may_be_personal(self) -> bool {
        self != Privacy::Open
    }

    /// The same, where the columns before it are that many more.
    fn moved(self, by: usize) -> Self {
        if let Privacy::ByType(at) = self { Privacy::ByType(at + by) } else { self }
    }
}

/// Whether the values of a column of a table are personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnPrivacy {
    /// They are not.
    Open,
    /// They are.
    Personal,
    /// The type says it that the column of this name has in the same row.
    ByTypeIn(String),
}

/// What is known of the columns of tables.
pub type KnownColumns<'a> = &'a dyn Fn(&TableReference, &str) -> ColumnPrivacy;

/// What holds of every column of a query.
pub fn privacy(plan: &LogicalPlan, known: KnownColumns<'_>) -> Vec<Privacy> {
    let width = plan.schema().fields().len();
    let inputs: Vec<Vec<Privacy>> = plan.inputs().into_iter().map(|input| privacy(input, known)).collect();
    let found = match plan {
        LogicalPlan::TableScan(scan) => {
            let fields = scan.projected_schema.fields();
            let of = |name: &String| match known(&scan.table_name, name) {
                ColumnPrivacy::Open => Privacy::Open,
                ColumnPrivacy::Personal => Privacy::Personal,
                ColumnPrivacy::ByTypeIn(other) => {
                    fields.iter().position(|field| *field.name() == other).map_or(Privacy::Personal, Privacy::ByType)
                }
            };
            fields.iter().map(|field| of(field.name())).collect()
        }
        LogicalPlan::Projection(node) => of_expressions(&node.expr.iter().collect::<Vec<_>>(), node.input.schema(), &inputs[0], known),
        LogicalPlan::Aggregate(node) => {
            let expressions: Vec<&Expr> = node.group_expr.iter().chain(&node.aggr_expr).collect();
            of_expressions(&expressions, node.input.schema(), &inputs[0], known)
        }
        LogicalPlan::Window(node) => {
            let windows = of_expressions(&node.window_expr.iter().collect::<Vec<_>>(), node.input.schema(), &inputs[0], known);
            inputs[0].iter().copied().chain(windows).collect()
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            of_expressions(&on.select_expr.iter().collect::<Vec<_>>(), on.input.schema(), &inputs[0], known)
        }
        LogicalPlan::Union(_) => (0..width).map(|at| of_all(inputs.iter().map(|input| input.get(at).copied()))).collect(),
        LogicalPlan::Join(node) => match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let before = inputs[0].len();
                inputs[0].iter().copied().chain(inputs[1].iter().map(|privacy| privacy.moved(before))).collect()
            }
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
    // Where it cannot be followed, one personal column makes all of them so.
    let any = inputs.iter().flatten().any(|privacy| privacy.may_be_personal());
    if found.len() == width { found } else { vec![if any { Privacy::Personal } else { Privacy::Open }; width] }
}

/// What holds of a column to which several inputs give values.
fn of_all(mut inputs: impl Iterator<Item = Option<Privacy>>) -> Privacy {
    let Some(Some(first)) = inputs.next() else { return Privacy::Personal };
    if inputs.all(|other| other == Some(first)) { first } else { Privacy::Personal }
}

fn of_expressions(expressions: &[&Expr], schema: &DFSchema, input: &[Privacy], known: KnownColumns<'_>) -> Vec<Privacy> {
    let passed_on: Vec<Option<usize>> = expressions.iter().map(|expr| position(expr, schema)).collect();
    let of = |(expr, at): (&&Expr, &Option<usize>)| match at.and_then(|at| input.get(at)) {
        Some(Privacy::ByType(of_type)) => {
            passed_on.iter().position(|other| other == &Some(*of_type)).map_or(Privacy::Personal, Privacy::ByType)
        }
        Some(privacy) => *privacy,
        None if is_personal(expr, schema, input, known) => Privacy::Personal,
        None => Privacy::Open,
    };
    expressions.iter().zip(&passed_on).map(of).collect()
}

/// The column that an expression passes on as it is.
fn position(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Alias(alias) => position(&alias.expr, schema),
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

fn is_personal(expr: &Expr, schema: &DFSchema, input: &[Privacy], known: KnownColumns<'_>) -> bool {
    let of_column = |at: Option<usize>| at.is_none_or(|at| input.get(at).is_none_or(|privacy| privacy.may_be_personal()));
    let mut found = false;
    let walked = expr.apply(|part| {
        match part {
            Expr::Column(column) => found |= of_column(schema.maybe_index_of_column(column)),
            // A column of the query around this one, whose tables are not known here.
            Expr::OuterReferenceColumn(..) => found = true,
            Expr::ScalarSubquery(query) => found |= privacy(&query.subquery, known).iter().any(|privacy| privacy.may_be_personal()),
            Expr::AggregateFunction(function) if function.func.name() == "count" => return Ok(TreeNodeRecursion::Jump),
            condition if matches!(condition.get_type(schema), Ok(DataType::Boolean)) => {
                let is_truth = |at: usize| schema.field(at).data_type() == &DataType::Boolean;
                let columns = condition.column_refs().into_iter().map(|column| schema.maybe_index_of_column(column));
                found |= columns.into_iter().any(|at| at.is_none_or(is_truth) && of_column(at));
                return Ok(TreeNodeRecursion::Jump);
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found || walked.is_err()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};
    use datafusion::datasource::empty::EmptyTable;

    use super::*;
    use crate::engine::{Engine, Limits};

    fn known(table: &TableReference, column: &str) -> ColumnPrivacy {
        match (table.table(), column) {
            ("people", "email" | "smokes") => ColumnPrivacy::Personal,
            ("links", "identifier") => ColumnPrivacy::ByTypeIn("identifier_type".to_owned()),
            _ => ColumnPrivacy::Open,
        }
    }

    #[tokio::test]
    async fn personal_columns_are_followed_through_a_query() {
        use Privacy::{ByType, Open, Personal};
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "UTC").unwrap();
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let text = |name: &str| field(name, DataType::Utf8);
        let people = Schema::new(vec![text("id"), text("email"), field("smokes", DataType::Boolean)]);
        let links = Schema::new(vec![text("identifier_type"), text("identifier"), text("customer_id")]);
        for (table, schema) in [("people", people), ("links", links)] {
            engine.register(table, Arc::new(EmptyTable::new(Arc::new(schema)))).unwrap();
        }
        for (sql, expected) in [
            ("select * from people", vec![Open, Personal, Personal]),
            ("select id, upper(email) as a, email || '' as b, length(email) as c from people", vec![Open, Personal, Personal, Personal]),
            ("select max(email), count(email), count(distinct email), count(*) from people", vec![Personal, Open, Open, Open]),
            ("select email like 'a%' as a, email is null as b, case when email = 'x' then 1 end as c from people", vec![Open; 3]),
            ("select not smokes as a, coalesce(smokes, false) as b, bool_or(smokes) as c from people group by smokes", vec![Personal; 3]),
            ("select id, case when email > '' then smokes end as a from people", vec![Open, Personal]),
            ("select distinct on (id) email, id from people order by id", vec![Personal, Open]),
            ("select (select max(p.email) from people as p where p.id = l.customer_id) as a from links as l", vec![Personal]),
            ("select (select p.email || l.customer_id from links as l limit 1) as a from people as p", vec![Personal]),
            ("select id from people where email in (select identifier from links)", vec![Open]),
            (
                "with recursive t as (select email as e, 1 as n from people union all select e, n + 1 from t where n < 3) select e from t",
                vec![Personal],
            ),
            ("select u from (select make_array(email, id) as u from people)", vec![Personal]),
            ("select unnest(make_array(email, id)) as u from people", vec![Personal]),
            ("select id as x from people union all select email from people", vec![Personal]),
            ("select * from links", vec![Open, ByType(0), Open]),
            (
                "select identifier as i, customer_id as c, identifier_type as t from links where customer_id > ''",
                vec![ByType(2), Open, Open],
            ),
            ("select identifier from links", vec![Personal]),
            ("select 'customer' as identifier_type, identifier from links", vec![Open, Personal]),
            ("select identifier_type, lower(identifier) as identifier from links", vec![Open, Personal]),
            ("select p.id, l.* from people as p join links as l on l.identifier = p.email", vec![Open, Open, ByType(1), Open]),
            ("select identifier_type, identifier, count(*) as n from links group by 1, 2", vec![Open, ByType(0), Open]),
            ("select identifier_type, identifier from links union all select 'x', email from people", vec![Open, Personal]),
        ] {
            let frame = engine.query(sql).await.unwrap();
            assert_eq!(privacy(frame.logical_plan(), &known), expected, "{sql}\n{}", frame.logical_plan());
        }
    }
}
