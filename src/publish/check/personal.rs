//! Which columns may be shown: those that do not come from a personal column of the outputs.
//!
//! A column of an output is personal when a source marks a column of that name so, or the output lists it under `personal`. What a
//! check's query makes of such a column is personal too, under whatever name: that is followed through the query's plan
//! ([`engine::privacy`]).

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::TableReference;
use datafusion::logical_expr::LogicalPlan;

use crate::config::Pipeline;
use crate::engine::{self, ColumnPrivacy, Privacy};
use crate::graph::CHANGES;
use crate::segments::CUSTOMER_ID;

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
        let by_source: BTreeSet<String> = columns.filter(|(_, column)| column.personal).map(|(name, _)| name.clone()).collect();
        let by_output = pipeline.outputs.tables.iter().map(|(name, table)| {
            let mut columns: BTreeSet<String> = table.personal.iter().map(|column| column.value.clone()).collect();
            // The customer that somebody has become one with.
            if table.model.value == CHANGES && [&columns, &by_source].iter().any(|personal| personal.contains(CUSTOMER_ID)) {
                columns.insert("merged_into".to_owned());
            }
            (name.clone(), columns)
        });
        let by_output = by_output.collect();
        Personal { by_source, by_output }
    }

    /// Whether a column of an output is personal.
    pub fn is(&self, table: &str, column: &str) -> bool {
        self.by_source.contains(column) || self.by_output.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Which columns of a query over outputs are personal.
    pub fn columns(&self, plan: &LogicalPlan) -> Vec<bool> {
        let known = |table: &TableReference, column: &str| {
            if self.is(table.table(), column) { ColumnPrivacy::Personal } else { ColumnPrivacy::Open }
        };
        engine::privacy(plan, &known).into_iter().map(Privacy::may_be_personal).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
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
