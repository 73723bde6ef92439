//! Which columns of which tables have personal values: those that sources mark, and what models make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::TableReference;
use datafusion::logical_expr::{LogicalPlan, UNNAMED_TABLE};

use crate::config::Pipeline;
use crate::engine::{self, ColumnPrivacy, Privacy};
use crate::graph::{EDGES, REFERENCE, SOURCES, Step};
use crate::ingest::Contract;

/// The columns of identifiers of the edges, each with the column of its type.
const IDENTIFIERS: [(&str, &str); 2] = [("identifier", "identifier_type"), ("other", "other_type")];

/// What is known of the columns of every table of a plan.
#[derive(Debug, Default)]
pub struct PersonalColumns {
    /// By table, the columns that are not open.
    tables: BTreeMap<String, BTreeMap<String, ColumnPrivacy>>,
    /// Names of columns that some source marks. A column of a model that has such a name has such values.
    names: BTreeSet<String>,
    /// By model, the columns that outputs list.
    listed: BTreeMap<String, BTreeSet<String>>,
}

impl PersonalColumns {
    /// What the sources mark, and the outputs list.
    pub(super) fn of(pipeline: &Pipeline, contracts: &[Arc<Contract>]) -> Self {
        let mut found = PersonalColumns::default();
        for contract in contracts {
            let marked: Vec<&String> = contract.columns.iter().filter(|column| column.personal).map(|column| &column.name).collect();
            found.names.extend(marked.iter().map(|name| (*name).clone()));
            let columns = marked.into_iter().map(|name| (name.clone(), ColumnPrivacy::Personal));
            found.tables.insert(format!("{SOURCES}.{}", contract.source), columns.collect());
        }
        for output in pipeline.outputs.tables.values() {
            let listed = output.personal.iter().map(|column| column.value.clone());
            found.listed.entry(output.model.value.clone()).or_default().extend(listed);
        }
        found
    }

    /// Adds the tables of a native step.
    pub(super) fn add_native(&mut self, step: &Step) {
        for table in &step.makes {
            let by_type = |(column, of_type): &(String, String)| (column.clone(), ColumnPrivacy::ByTypeIn(of_type.clone()));
            let identifiers = table.identifiers.iter().map(by_type);
            let taken = table.taken.iter().filter(|(_, read, of)| self.column(&TableReference::parse_str(read), of) != ColumnPrivacy::Open);
            let taken = taken.map(|(column, ..)| (column.clone(), ColumnPrivacy::Personal));
            let columns = identifiers.chain(taken).collect();
            self.tables.insert(table.name.clone(), columns);
        }
    }

    /// Adds the table that a query makes of tables that are known.
    pub(super) fn add(&mut self, name: &str, plan: &LogicalPlan) {
        let found = engine::privacy(plan, &|table, column| self.column(table, column));
        let fields = plan.schema().fields();
        let columns = fields.iter().zip(found).filter_map(|(field, privacy)| {
            let column = field.name();
            let is_named = self.is_marked(column) && field.data_type() != &DataType::Boolean;
            let is_listed = self.listed.get(name).is_some_and(|listed| listed.contains(column));
            let of = match privacy {
                _ if is_named || is_listed => ColumnPrivacy::Personal,
                Privacy::Open => return None,
                Privacy::Personal => ColumnPrivacy::Personal,
                Privacy::ByType(at) => ColumnPrivacy::ByTypeIn(fields[at].name().clone()),
            };
            Some((column.clone(), of))
        });
        let mut columns: BTreeMap<String, ColumnPrivacy> = columns.collect();
        // The identity step believes what the edges say of the types, and shows the others in ids.
        for (identifier, of_type) in IDENTIFIERS.iter().filter(|_| name == EDGES) {
            if columns.contains_key(*identifier) {
                columns.insert((*identifier).to_owned(), ColumnPrivacy::ByTypeIn((*of_type).to_owned()));
            }
        }
        self.tables.insert(name.to_owned(), columns);
    }

    /// Whether some source marks a column of this name.
    pub fn is_marked(&self, column: &str) -> bool {
        self.names.contains(column)
    }

    /// What is known of a column of a table. A table that nothing is known of is personal, unless the pipeline file holds it or the query
    /// itself makes it.
    pub fn column(&self, table: &TableReference, column: &str) -> ColumnPrivacy {
        let is_own = table.schema().is_none_or(|schema| schema == REFERENCE) && table.table() != UNNAMED_TABLE;
        match self.tables.get(&table.to_string()) {
            Some(columns) => columns.get(column).cloned().unwrap_or(ColumnPrivacy::Open),
            None if is_own => ColumnPrivacy::Open,
            None => ColumnPrivacy::Personal,
        }
    }
}
