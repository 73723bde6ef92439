//! Which columns of published tables have personal values.

use std::collections::BTreeMap;

use datafusion::common::TableReference;

use super::nodes::Plan;
use crate::engine::ColumnPrivacy;
use crate::manifest::Table;

impl Plan {
    /// Published tables with the names of their columns that have personal values, so that these are known when the models have changed.
    pub fn with_personal_columns(&self, mut tables: BTreeMap<String, Table>) -> BTreeMap<String, Table> {
        for (name, table) in &mut tables {
            let output = self.project.pipeline.outputs.tables.get(name);
            let model = output.map(|output| TableReference::parse_str(&output.model.value));
            let is_personal = |column: &str| {
                let of_model = |model: &TableReference| self.personal.column(model, column) != ColumnPrivacy::Open;
                model.as_ref().is_some_and(|model| self.personal.is_marked(column) || of_model(model))
            };
            let names = table.columns.iter().map(|column| &column.name).filter(|name| is_personal(name));
            table.personal_columns = Some(names.cloned().collect());
        }
        tables
    }
}
