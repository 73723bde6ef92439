//! The affinities of a project, held against the tables that they read.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::declared_input::model_read;
use super::models::CheckedModels;
use crate::config::{Affinity, ColumnType, Model, NeverOffer, Project, Spanned, span_of};
use crate::diagnostic::Diagnostic;
use crate::graph::{DeclaredKind, REFERENCE};
use crate::native::{AffinityStep, Native};

/// The steps of the affinities that are planned, and what is wrong with them.
pub(super) fn steps(project: &Project, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) -> Vec<Arc<dyn Native>> {
    let planned = project.pipeline.affinities.iter().filter(|(name, _)| checked.has_step(&DeclaredKind::Affinity.table(name)));
    let mut steps: Vec<Arc<dyn Native>> = Vec::new();
    for (name, affinity) in planned {
        let mut found = of_purchases(project, checked, name, affinity);
        found.extend(affinity.never_offer.as_ref().and_then(|never| of_never(project, checked, name, never)));
        if found.is_empty() {
            steps.push(Arc::new(AffinityStep::new(name, affinity)));
        }
        problems.extend(found);
    }
    steps
}

/// What is wrong with the model of purchases.
fn of_purchases(project: &Project, checked: &CheckedModels, name: &str, affinity: &Affinity) -> Vec<Diagnostic> {
    let model = &affinity.model;
    let known = match model_read(project, DeclaredKind::Affinity, name, model) {
        Ok(known) => known,
        Err(problem) => return vec![problem],
    };
    // A model that could not be checked has been told.
    let Some(planned) = checked.model(&model.value) else { return Vec::new() };
    let columns = affinity.columns.named();
    let problems = columns.filter_map(|(role, column)| match planned.schema.column_with_name(&column.value) {
        None => {
            let names = planned.schema.fields().iter().map(|field| field.name().as_str());
            Some(unknown_column(project, model, column, names).label(format!("the {role}")))
        }
        Some((_, field)) => {
            let (fits, what) = fits(role, field.data_type());
            let hint = format!("cast it in `{}`", known.file.path);
            (!fits).then(|| wrong_type(project, model, column, what).label(format!("the {role} of the affinity `{name}`")).hint(hint))
        }
    });
    problems.collect()
}

/// What is wrong with the items that are never offered.
fn of_never(project: &Project, checked: &CheckedModels, name: &str, never: &NeverOffer) -> Option<Diagnostic> {
    let NeverOffer { table, column } = never;
    let reference = table.value.strip_prefix(REFERENCE).and_then(|rest| rest.strip_prefix('.'));
    if let Some(reference) = reference {
        if project.lost.touches(&[REFERENCE, reference]) {
            return None;
        }
        let Some(known) = project.pipeline.reference.get(reference) else { return Some(no_table(project, name, table)) };
        return match known.columns.get(&column.value) {
            None => Some(unknown_column(project, table, column, known.columns.keys().map(String::as_str)).label("the items")),
            Some(column_type) if *column_type != ColumnType::String => {
                let label = format!("the items that the affinity `{name}` never offers");
                Some(wrong_type(project, table, column, "a text").label(label).hint("declare it as `string`"))
            }
            Some(_) => None,
        };
    }
    let known = match model_read(project, DeclaredKind::Affinity, name, table) {
        Ok(known) => known,
        Err(problem) if problem.code == "unknown-model" => return Some(no_table(project, name, table)),
        Err(problem) => return Some(problem),
    };
    let schema = &checked.model(&table.value)?.schema;
    match schema.column_with_name(&column.value) {
        None => Some(unknown_column(project, table, column, schema.fields().iter().map(|field| field.name().as_str())).label("the items")),
        Some((_, field)) if !is_text(field.data_type()) => {
            let label = format!("the items that the affinity `{name}` never offers");
            Some(wrong_type(project, table, column, "a text").label(label).hint(format!("cast it in `{}`", known.file.path)))
        }
        Some(_) => None,
    }
}

fn no_table(project: &Project, name: &str, table: &Spanned<String>) -> Diagnostic {
    let what = format!("what the affinity `{name}` never offers is in no table: `{}`", table.shown());
    let reference = project.pipeline.reference.keys().map(|name| format!("{REFERENCE}.{name}"));
    let names: Vec<String> = reference.chain(project.models.iter().map(Model::name)).collect();
    let problem = Diagnostic::error("unknown-table", what).at(span_of(&project.file, table)).label("no reference table and no model");
    problem.did_you_mean(&table.value, names.iter().map(String::as_str))
}

fn unknown_column<'a>(
    project: &Project,
    table: &Spanned<String>,
    column: &Spanned<String>,
    names: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    let problem = Diagnostic::error("unknown-column", format!("`{}` has no column `{}`", table.shown(), column.shown()));
    problem.at(span_of(&project.file, column)).did_you_mean(&column.value, names)
}

fn wrong_type(project: &Project, table: &Spanned<String>, column: &Spanned<String>, what: &str) -> Diagnostic {
    let problem = Diagnostic::error("affinity-column", format!("the column `{}` of `{}` must be {what}", column.shown(), table.shown()));
    problem.at(span_of(&project.file, column))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether a type fits a role, and which types do.
fn fits(role: &str, data_type: &DataType) -> (bool, &'static str) {
    match role {
        "day" => (matches!(data_type, DataType::Date32), "a date"),
        "is_returned" => (matches!(data_type, DataType::Boolean), "a boolean"),
        _ => (is_text(data_type), "a text"),
    }
}
