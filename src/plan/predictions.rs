//! The predictions of a project, held against the models that they read.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::declared_input::model_read;
use super::models::CheckedModels;
use crate::config::{Prediction, Project, key_at, span_of};
use crate::diagnostic::Diagnostic;
use crate::graph::DeclaredKind;
use crate::native::{Native, PredictionStep};

/// The steps of the predictions that are planned, and what is wrong with them.
pub(super) fn steps(project: &Project, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) -> Vec<Arc<dyn Native>> {
    let planned = project.pipeline.predictions.iter().filter(|(name, _)| checked.has_step(&DeclaredKind::Prediction.table(name)));
    let mut steps: Vec<Arc<dyn Native>> = Vec::new();
    for (name, prediction) in planned {
        let found = check(project, checked, name, prediction);
        if found.is_empty() {
            steps.push(Arc::new(PredictionStep::new(name, prediction)));
        }
        problems.extend(found);
    }
    steps
}

/// What is wrong with a prediction.
fn check(project: &Project, checked: &CheckedModels, name: &str, prediction: &Prediction) -> Vec<Diagnostic> {
    let mut problems = roles(project, name, prediction);
    let model = &prediction.model;
    let known = match model_read(project, DeclaredKind::Prediction, name, model) {
        Ok(known) => known,
        Err(problem) => return vec![problem],
    };
    // A model that could not be checked has been told.
    let Some(planned) = checked.model(&model.value) else { return problems };
    for (role, column) in prediction.columns.named() {
        let Some((_, field)) = planned.schema.column_with_name(&column.value) else {
            let problem = Diagnostic::error("unknown-column", format!("`{}` has no column `{}`", model.shown(), column.shown()));
            let names = planned.schema.fields().iter().map(|field| field.name().as_str());
            problems.push(problem.at(span_of(&project.file, column)).label(format!("the {role}")).did_you_mean(&column.value, names));
            continue;
        };
        let (fits, what) = fits(role, field.data_type());
        if !fits {
            let problem =
                Diagnostic::error("prediction-column", format!("the column `{}` of `{}` must be {what}", column.shown(), model.shown()));
            let problem = problem.at(span_of(&project.file, column)).label(format!("the {role} of the prediction `{name}`"));
            problems.push(problem.hint(format!("cast it in `{}`", known.file.path)));
        }
    }
    problems
}

/// What lacks a column that it needs.
fn roles(project: &Project, name: &str, prediction: &Prediction) -> Vec<Diagnostic> {
    let place = |key: &str| key_at(&project.file, &["predictions", name, key]);
    let mut problems = Vec::new();
    if prediction.lifetime.is_some() && prediction.columns.average_order_value.is_none() {
        let problem =
            Diagnostic::error("prediction-column", format!("the lifetime value of the prediction `{name}` needs the value of orders"));
        problems.push(problem.at(place("lifetime")).hint("name the column of their mean under `columns: average_order_value:`"));
    }
    if prediction.holdout_days.is_some() && prediction.columns.purchase_dates.is_none() {
        let problem =
            Diagnostic::error("prediction-column", format!("the holdout of the prediction `{name}` needs the dates of purchases"));
        problems.push(problem.at(place("holdout_days")).hint("name the column with their list under `columns: purchase_dates:`"));
    }
    for (at, horizon) in prediction.horizons_days.iter().enumerate() {
        let days = horizon.value;
        if prediction.horizons_days[..at].iter().any(|other| other.value == days) {
            let problem = Diagnostic::error("duplicate-column", format!("the prediction `{name}` has the horizon of {days} days twice"));
            problems.push(problem.at(span_of(&project.file, horizon)).label("the second time"));
        }
    }
    problems
}

/// Whether a type fits a role, and which types do.
fn fits(role: &str, data_type: &DataType) -> (bool, &'static str) {
    match role {
        "customer" => (matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View), "a text"),
        "repeat_purchases" => (data_type.is_integer(), "a whole number (`bigint`)"),
        "purchase_dates" => {
            let is_dates = |item: &DataType| matches!(item, DataType::Date32);
            (
                matches!(data_type, DataType::List(item) if is_dates(item.data_type())),
                "a list of dates, such as `array_agg(distinct day order by day)`",
            )
        }
        _ => (data_type.is_numeric(), "a number"),
    }
}
