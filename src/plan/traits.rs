//! The step that makes the traits of segments: which columns of the profile it compares.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::TableReference;

use super::models::CheckedModels;
use crate::cast::is_text;
use crate::config::{Project, Spanned, span_of};
use crate::diagnostic::Diagnostic;
use crate::engine::ColumnPrivacy;
use crate::graph::{PROFILE, TRAITS};
use crate::native::{DescribedSegment, Native, TraitsStep};
use crate::segments::{CUSTOMER_ID, RuleSet, deciding_columns};
use crate::traits::ColumnKind;

/// The step, if something reads what it makes, and what is wrong with what the pipeline file says of it.
pub(super) fn step(
    project: &Project,
    checked: &CheckedModels,
    published: &BTreeSet<String>,
    rules: &[RuleSet],
    problems: &mut Vec<Diagnostic>,
) -> Option<Arc<dyn Native>> {
    let columns = columns(project, checked, problems);
    let is_read = published.contains(TRAITS) || checked.models().any(|model| model.parsed.reads.contains(TRAITS));
    if !is_read || !checked.has_step(TRAITS) {
        return None;
    }
    let names = rules.iter().flat_map(|set| set.rules.iter().map(|(segment, _)| (set.name.clone(), segment.clone())));
    let segments = names.zip(deciding_columns(rules)).map(|((segment_set, segment), columns_in_rule)| DescribedSegment {
        segment_set,
        segment,
        columns_in_rule,
    });
    Some(Arc::new(TraitsStep::new(segments.collect(), columns, project.pipeline.traits.discretion())))
}

/// The columns that are compared: those that the pipeline file names, or else all that may be. Personal columns never are.
fn columns(project: &Project, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) -> Vec<(String, ColumnKind)> {
    let Some(profile) = checked.model(PROFILE) else { return Vec::new() };
    let is_open = |name: &str| checked.personal.column(&TableReference::bare(PROFILE), name) == ColumnPrivacy::Open;
    let declared = &project.pipeline.traits.columns;
    if declared.is_empty() {
        let fields = profile.schema.fields().iter().filter(|field| field.name() != CUSTOMER_ID && is_open(field.name()));
        return fields.filter_map(|field| Some((field.name().clone(), kind_of(field.data_type())?))).collect();
    }
    let mut found: Vec<(String, ColumnKind)> = Vec::new();
    for column in declared {
        let told = |problem: Diagnostic| problem.at(span_of(&project.file, column));
        let Some((name, field)) = profile.schema.fields().find(&column.value).map(|(_, field)| (field.name(), field)) else {
            let problem = told(Diagnostic::error("unknown-column", format!("the profile `{PROFILE}` has no column `{}`", column.shown())));
            let names = profile.schema.fields().iter().map(|field| field.name().as_str());
            problems.push(problem.label("of these traits are asked for").did_you_mean(&column.value, names));
            continue;
        };
        if found.iter().any(|(other, _)| other == name) {
            let problem = Diagnostic::error("duplicate-column", format!("traits of the column `{}` are asked for twice", column.shown()));
            problems.push(told(problem).label("the second time"));
            continue;
        }
        match kind_of(field.data_type()) {
            _ if name == CUSTOMER_ID => problems.push(told(unfit(column, "it names the customers", "leave it out"))),
            _ if !is_open(name) => {
                let hint = "leave it out: nothing is told of personal columns, or of what is made of them";
                problems.push(told(unfit(column, "it has personal values", hint)));
            }
            None => {
                let hint = "traits are of numbers, of yes or no, and of texts: of a date take the days since then";
                problems.push(told(unfit(column, "of this type there are none", hint)));
            }
            Some(kind) => found.push((name.clone(), kind)),
        }
    }
    found
}

fn unfit(column: &Spanned<String>, why: &str, hint: &str) -> Diagnostic {
    Diagnostic::error("trait-column", format!("there are no traits of the column `{}`", column.shown())).label(why).hint(hint)
}

/// How a column is compared; none for types that are not.
fn kind_of(data_type: &DataType) -> Option<ColumnKind> {
    match data_type {
        DataType::Boolean => Some(ColumnKind::Flag),
        text if is_text(text) => Some(ColumnKind::Category),
        number if number.is_numeric() => Some(ColumnKind::Number),
        _ => None,
    }
}
