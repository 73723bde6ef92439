//! The clusters of a project, held against the models that they read.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::declared_input::model_read;
use super::models::CheckedModels;
use super::planned_model::PlannedModel;
use crate::config::{Clusters, GroupCount, Project, key_at, span_of};
use crate::diagnostic::Diagnostic;
use crate::graph::DeclaredKind;
use crate::native::{ClustersStep, Native};

/// The steps of the clusters that are planned, and what is wrong with them.
pub(super) fn steps(project: &Project, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) -> Vec<Arc<dyn Native>> {
    let planned = project.pipeline.clusters.iter().filter(|(name, _)| checked.has_step(&DeclaredKind::Clusters.table(name)));
    let mut steps: Vec<Arc<dyn Native>> = Vec::new();
    for (name, clusters) in planned {
        let found = check(project, checked, name, clusters);
        if found.is_empty() {
            steps.push(Arc::new(ClustersStep::new(name, clusters)));
        }
        problems.extend(found);
    }
    steps
}

/// What is wrong with clusters.
fn check(project: &Project, checked: &CheckedModels, name: &str, clusters: &Clusters) -> Vec<Diagnostic> {
    let mut problems = counts(project, name, clusters);
    let model = &clusters.model;
    if let Err(problem) = model_read(project, DeclaredKind::Clusters, name, model) {
        return vec![problem];
    }
    // A model that could not be checked has been told.
    if let Some(planned) = checked.model(&model.value) {
        problems.extend(columns(project, planned, name, clusters));
    }
    problems
}

/// What is wrong with the numbers, and with names that two tables would have.
fn counts(project: &Project, name: &str, clusters: &Clusters) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let GroupCount::Between(range) = clusters.k
        && range.min > range.max
    {
        let what = format!("the clustering `{name}` has at least {} and at most {} groups, which no number is", range.min, range.max);
        problems.push(Diagnostic::error("cluster-count", what).at(key_at(&project.file, &["clusters", name, "k"])));
    }
    if clusters.columns.is_empty() {
        let what = format!("the clustering `{name}` names no columns by which customers are grouped");
        let problem = Diagnostic::error("cluster-column", what).at(key_at(&project.file, &["clusters", name, "columns"]));
        problems.push(problem.hint("name one or more columns that are numbers, or true and false"));
    }
    if let Some(other) = name.strip_suffix("_groups").filter(|other| project.pipeline.clusters.contains_key(*other)) {
        let what =
            format!("the clustering `{other}` has a table `{}` already, with a row for each group", DeclaredKind::Clusters.table(name));
        let problem = Diagnostic::error("duplicate-table", what).at(key_at(&project.file, &["clusters", name]));
        problems.push(problem.label("the same name").hint("give one of them another name"));
    }
    problems
}

/// What is wrong with the columns.
fn columns(project: &Project, planned: &PlannedModel, name: &str, clusters: &Clusters) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut check = |column: &str, shown: &str, span, role: &str, fits: &dyn Fn(&DataType) -> bool, what: &str| {
        let Some((_, field)) = planned.schema.column_with_name(column) else {
            let names = planned.schema.fields().iter().map(|field| field.name().as_str());
            let problem = Diagnostic::error("unknown-column", format!("`{}` has no column `{shown}`", clusters.model.shown()));
            problems.push(problem.at(span).label(role).did_you_mean(column, names));
            return;
        };
        if !fits(field.data_type()) {
            let what = format!("the column `{shown}` of `{}` must be {what}", clusters.model.shown());
            let problem = Diagnostic::error("cluster-column", what).at(span).label(format!("{role} of the clustering `{name}`"));
            problems.push(problem.hint(format!("cast it in `{}`", planned.parsed.model.file.path)));
        }
    };
    let customer = &clusters.customer;
    check(&customer.value, customer.shown(), span_of(&project.file, customer), "the customer", &is_text, "a text");
    for column in clusters.columns.keys() {
        let span = key_at(&project.file, &["clusters", name, "columns", column]);
        check(column, column, span, "a column", &is_number, "a number, or true and false");
    }
    for column in &clusters.describe_by {
        let fits = |data_type: &DataType| is_number(data_type) || is_text(data_type);
        let span = span_of(&project.file, column);
        check(&column.value, column.shown(), span, "a column of descriptions", &fits, "a number, true and false, or a text");
    }
    problems
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || matches!(data_type, DataType::Boolean)
}
