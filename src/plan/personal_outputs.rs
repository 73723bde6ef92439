//! Which columns of published tables have personal values.

use std::collections::BTreeMap;

use datafusion::common::TableReference;

use super::nodes::Plan;
use crate::engine::ColumnPrivacy;
use crate::manifest::Table;

impl Plan {
    /// Published tables with their columns that have personal values, so that these are known when the models have changed.
    pub fn with_personal_columns(&self, mut tables: BTreeMap<String, Table>) -> BTreeMap<String, Table> {
        for (name, table) in &mut tables {
            let output = self.project.pipeline.outputs.tables.get(name);
            let model = output.map(|output| TableReference::parse_str(&output.model.value));
            let of = |column: &String| match model.as_ref().map(|model| self.personal.column(model, column)) {
                None | Some(ColumnPrivacy::Open) if !self.personal.is_marked(column) => None,
                Some(ColumnPrivacy::ByTypeIn(other)) if !self.personal.is_marked(column) => Some((column.clone(), Some(other))),
                _ => Some((column.clone(), None)),
            };
            table.personal_columns = Some(table.columns.iter().filter_map(|column| of(&column.name)).collect());
        }
        tables
    }
}
