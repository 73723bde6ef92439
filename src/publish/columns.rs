//! How the columns of published tables differ from those of an earlier publication.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::Schema;
use serde::Serialize;

use super::layout::REJECTED;
use super::write;
use crate::manifest::{Column, Table};

/// How a table or a column differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// The column has another type.
    Retyped,
}

/// A table or a column that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChange {
    /// The table.
    pub table: String,
    /// The column; none for the whole table.
    pub column: Option<String>,
    /// How it differs.
    pub change: Difference,
    /// The type of the column before.
    pub before: Option<String>,
    /// Its type now.
    pub after: Option<String>,
}

impl ColumnChange {
    /// Whether programs that read the tables would miss something, or find it changed.
    pub fn is_loss(&self) -> bool {
        self.change != Difference::Added
    }
}

/// The columns that rows of a schema have when they are published.
pub fn columns_of(schema: &Schema) -> Vec<Column> {
    write::columns_of(&write::published_schema(schema))
}

/// How the tables of a publication differ from those of another one, in order of table and column.
pub fn column_changes(before: &BTreeMap<String, Table>, after: &BTreeMap<String, Vec<Column>>) -> Vec<ColumnChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).filter(|name| *name != REJECTED).collect();
    let whole = |table: &str, change| ColumnChange { table: table.to_owned(), column: None, change, before: None, after: None };
    let mut found = Vec::new();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(_), None) => found.push(whole(name, Difference::Removed)),
            (None, Some(_)) => found.push(whole(name, Difference::Added)),
            (Some(before), Some(after)) => found.extend(differences(name, &before.columns, after)),
            (None, None) => {}
        }
    }
    found
}

fn differences(table: &str, before: &[Column], after: &[Column]) -> Vec<ColumnChange> {
    fn types(columns: &[Column]) -> BTreeMap<&str, &str> {
        columns.iter().map(|column| (column.name.as_str(), column.column_type.as_str())).collect()
    }
    let (before, after) = (types(before), types(after));
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let differs = names.into_iter().filter_map(|name| {
        let (old, new) = (before.get(name), after.get(name));
        let change = match (old, new) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(_), Some(_)) => Difference::Retyped,
            (Some(_), None) => Difference::Removed,
            (None, _) => Difference::Added,
        };
        let text = |column_type: Option<&&str>| column_type.map(|column_type| (*column_type).to_owned());
        Some(ColumnChange { table: table.to_owned(), column: Some(name.to_owned()), change, before: text(old), after: text(new) })
    });
    differs.collect()
}
