//! What is wrong with the copies in Delta Lake tables that a pipeline file asks for, before data is read.

use std::collections::BTreeMap;

use super::schema;
use crate::config::{DeltaCopies, Project, span_of};
use crate::diagnostic::Diagnostic;
use crate::publish::check::Output;
use crate::publish::write::published_schema;

/// The outputs that are copied: those that are named, or all.
pub fn tables<'a>(project: &'a Project, copies: &'a DeltaCopies) -> Vec<&'a str> {
    match &copies.tables {
        Some(named) => named.iter().map(|table| table.value.as_str()).collect(),
        None => project.pipeline.outputs.tables.keys().map(String::as_str).collect(),
    }
}

/// What is wrong with the copies of a project whose outputs have been checked.
pub fn problems(project: &Project, outputs: &BTreeMap<String, Output>) -> Vec<Diagnostic> {
    let Some(copies) = &project.pipeline.outputs.delta else { return Vec::new() };
    let mut problems = Vec::new();
    let named = copies.tables.as_deref().unwrap_or_default();
    let lost = project.lost.names(&["outputs", "tables"]);
    for (at, table) in named.iter().enumerate() {
        let place = span_of(&project.file, table);
        if named[..at].iter().any(|other| other.value == table.value) {
            let what = format!("the output `{}` is copied to Delta Lake twice", table.shown());
            problems.push(Diagnostic::error("duplicate-delta-table", what).at(place).label("the second time").hint("name it once"));
        } else if !project.pipeline.outputs.tables.contains_key(&table.value) && !lost.contains(&table.value.as_str()) {
            let outputs = project.pipeline.outputs.tables.keys().map(String::as_str);
            let problem = Diagnostic::error("unknown-output", format!("there is no output `{}` to copy to Delta Lake", table.shown()));
            problems.push(problem.at(place).label("not an output").did_you_mean(&table.value, outputs));
        }
    }
    for (name, output) in outputs.iter().filter(|(name, _)| tables(project, copies).contains(&name.as_str())) {
        if let Some((column, why)) = schema::unfit(&published_schema(&output.schema)) {
            let place = named.iter().find(|table| table.value == *name).unwrap_or(&copies.location);
            problems.push(unfit_column(name, &column, &why).at(span_of(&project.file, place)).label("is copied here"));
        }
    }
    problems
}

/// The problem of a column that has no place in a Delta table.
pub fn unfit_column(table: &str, column: &str, why: &str) -> Diagnostic {
    let what = format!("the output `{table}` cannot be copied to Delta Lake with its column `{}`: {why}", crate::shown::name(column));
    Diagnostic::error("delta-column", what)
        .hint("give the column another name or type in the model, or name the outputs that are copied under `outputs: delta: tables:`")
}
