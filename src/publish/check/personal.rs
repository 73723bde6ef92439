//! Which columns may be shown: those that do not come from a personal column of the outputs.
//!
//! A column of an output is personal when a source marks a column of that name so, or the output lists it under `personal`. What a
//! check's query makes of such a column is personal too, under whatever name: that is followed through the query's plan. The truth
//! of a condition and a count of rows say nothing about a person and are not.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::config::Pipeline;

/// The personal columns of the outputs.
#[derive(Debug, Default)]
pub struct Personal {
    by_source: BTreeSet<String>,
    by_output: BTreeMap<String, BTreeSet<String>>,
}

impl Personal {
    /// As the pipeline file says.
    pub fn of(pipeline: &Pipeline) -> Self {
        let columns = pipeline.sources.values().flat_map(|source| &source.columns);
        let by_source = columns.filter(|(_, column)| column.personal).map(|(name, _)| name.clone()).collect();
        let tables = pipeline.outputs.tables.iter();
        let by_output = tables.map(|(name, table)| (name.clone(), table.personal.iter().map(|column| column.value.clone()).collect()));
        Personal { by_source, by_output: by_output.collect() }
    }

    /// Whether a column of an output is personal.
    pub fn is(&self, table: &str, column: &str) -> bool {
        self.by_source.contains(column) || self.by_output.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Which columns of a query over outputs are personal.
    pub fn columns(&self, plan: &LogicalPlan) -> Vec<bool> {
        let width = plan.schema().fields().len();
        let inputs: Vec<Vec<bool>> = plan.inputs().into_iter().map(|input| self.columns(input)).collect();
        let found = match plan {
            LogicalPlan::TableScan(scan) => {
                scan.projected_schema.fields().iter().map(|field| self.is(scan.table_name.table(), field.name())).collect()
            }
            LogicalPlan::Projection(node) => self.of_expressions(&node.expr, node.input.schema(), &inputs[0]),
            LogicalPlan::Aggregate(node) => {
                let expressions: Vec<Expr> = node.group_expr.iter().chain(&node.aggr_expr).cloned().collect();
                self.of_expressions(&expressions, node.input.schema(), &inputs[0])
            }
            LogicalPlan::Window(node) => {
                let windows = self.of_expressions(&node.window_expr, node.input.schema(), &inputs[0]);
                inputs[0].iter().copied().chain(windows).collect()
            }
            LogicalPlan::Union(_) => (0..width).map(|at| inputs.iter().any(|input| input.get(at).copied().unwrap_or(true))).collect(),
            // Rows are chosen, put in order or put together; the columns stay.
            LogicalPlan::Join(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Repartition(_) => inputs.concat(),
            _ => Vec::new(),
        };
        // Where it cannot be followed, one personal column makes all of them so.
        let any = || vec![inputs.iter().flatten().any(|personal| *personal); width];
        if found.len() == width { found } else { any() }
    }

    fn of_expressions(&self, expressions: &[Expr], schema: &DFSchema, personal: &[bool]) -> Vec<bool> {
        expressions.iter().map(|expr| self.of_expression(expr, schema, personal)).collect()
    }

    fn of_expression(&self, expr: &Expr, schema: &DFSchema, personal: &[bool]) -> bool {
        let mut found = false;
        let walked = expr.apply(|part| {
            match part {
                Expr::Column(column) => {
                    found |= schema.maybe_index_of_column(column).is_none_or(|at| personal.get(at).copied().unwrap_or(true));
                }
                Expr::ScalarSubquery(query) => found |= self.columns(&query.subquery).contains(&true),
                Expr::AggregateFunction(function) if function.func.name() == "count" => return Ok(TreeNodeRecursion::Jump),
                condition if matches!(condition.get_type(schema), Ok(DataType::Boolean)) && !matches!(condition, Expr::Column(_)) => {
                    return Ok(TreeNodeRecursion::Jump);
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        found || walked.is_err()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::datasource::empty::EmptyTable;
    use std::sync::Arc;

    use super::*;
    use crate::engine::{Engine, Limits};

    #[tokio::test]
    async fn personal_columns_are_followed_through_a_query() {
        let engine = Engine::new(Limits { threads: 1, memory_bytes: 1 << 26 }, "UTC").unwrap();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![text("customer_id"), text("email"), text("contact"), text("country")]));
        for table in ["customers", "others"] {
            engine.register(table, Arc::new(EmptyTable::new(Arc::clone(&schema)))).unwrap();
        }
        let personal = Personal {
            by_source: ["email".to_owned()].into(),
            by_output: [("customers".to_owned(), ["contact".to_owned()].into())].into(),
        };
        for (sql, expected) in [
            ("select * from customers", vec![false, true, true, false]),
            ("select customer_id, lower(email) as x from customers", vec![false, true]),
            ("select max(email) as m, count(distinct email) as n, count(*) from customers", vec![true, false, false]),
            ("select c.contact as a, o.contact as b from customers c join others o on c.customer_id = o.customer_id", vec![true, false]),
            ("select email is null as missing, country from customers order by email limit 3", vec![false, false]),
            (
                "with t as (select email as e from customers) select e, 1 from t union all select country, 2 from customers",
                vec![true, false],
            ),
            ("select country, (select max(contact) from customers) as c from others", vec![false, true]),
            (
                "select case when country = 'x' then email end as c, row_number() over (order by email) as n from customers",
                vec![true, true],
            ),
        ] {
            let frame = engine.query(sql).await.unwrap();
            assert_eq!(personal.columns(frame.logical_plan()), expected, "{sql}");
        }
    }
}
