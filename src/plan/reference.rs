//! The tables that the pipeline file itself holds: reference tables, and the description of the segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};

use crate::config::{Part, Project, ReferenceTable, Values, parse_scalars, span_of, span_of_part, typed as typed_as};
use crate::diagnostic::{Diagnostic, list};
use crate::error::Result;
use crate::graph::{REFERENCE, SEGMENTS};
use crate::segments;

/// The tables that the pipeline file holds.
pub struct ReferenceTables {
    /// The reference tables that are right, and the one that describes the segments, by name.
    pub tables: BTreeMap<String, RecordBatch>,
    /// Every row of the others that has the wrong number of values or a value of the wrong type.
    pub problems: Vec<Diagnostic>,
}

/// Reads the tables that the pipeline file holds.
///
/// # Errors
/// [`crate::error::Error::Defect`] alone.
pub fn reference_tables(project: &Project, values: &Values) -> Result<ReferenceTables> {
    let (mut tables, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, table) in project.pipeline.reference.iter().filter(|(name, _)| !project.lost.touches(&[REFERENCE, name])) {
        match reference_batch(project, name, table, values) {
            Ok(batch) => drop(tables.insert(format!("{REFERENCE}.{name}"), batch)),
            Err(found) => problems.extend(found),
        }
    }
    tables.insert(SEGMENTS.to_owned(), segments::describe(&project.pipeline)?);
    Ok(ReferenceTables { tables, problems })
}

fn reference_batch(project: &Project, name: &str, table: &ReferenceTable, values: &Values) -> Result<RecordBatch, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let width = table.columns.len();
    for row in table.rows.iter().filter(|row| row.value.len() != width) {
        problems.push(
            Diagnostic::error("reference-width", format!("a row of `{name}` has {} values for {width} columns", row.value.len()))
                .at(span_of(&project.file, row))
                .hint(format!("its columns are {}", list(&table.columns.keys().map(String::as_str).collect::<Vec<_>>()))),
        );
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut arrays = Vec::new();
    for (position, (column, column_type)) in table.columns.iter().enumerate() {
        let texts: StringArray = table.rows.iter().map(|row| row.value[position].clone()).collect();
        let typed = parse_scalars(&texts, *column_type, &values.zone).unwrap_or_else(|| Arc::new(texts));
        for (at, row) in table.rows.iter().enumerate() {
            if let Some(text) = &row.value[position]
                && typed.is_null(at)
            {
                let span = span_of_part(&project.file, row, Part::Item(position));
                let text = typed_as(&span).unwrap_or(text);
                let what = format!("`{text}` is no {column_type}, as the column `{column}` of `{name}` is");
                problems.push(Diagnostic::error("reference-type", what).at(span.clone()).label(format!("not of type {column_type}")));
            }
        }
        arrays.push(typed);
    }
    let fields: Vec<_> =
        table.columns.iter().map(|(name, column_type)| Field::new(name, column_type.arrow(values.zone.name()), true)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| vec![Diagnostic::error("reference-type", error.to_string())])
}
