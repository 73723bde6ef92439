//! What the pipeline file says of the report, held against the profile before data is read.

use arrow::datatypes::DataType;
use datafusion::common::TableReference;

use super::models::CheckedModels;
use crate::cast::is_text;
use crate::config::{Project, ReportedKind, SetKind, Spanned, span_of, variables_in};
use crate::diagnostic::{Diagnostic, Span};
use crate::engine::ColumnPrivacy;
use crate::graph::PROFILE;

/// Checks that the report names columns of the profile that can be told, an exclusive set, a language and a currency.
pub(super) fn check(project: &Project, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) {
    let report = &project.pipeline.report;
    if let Some(locale) = report.locale.as_ref().filter(|locale| !is_language_tag(&locale.value)) {
        let problem = Diagnostic::error("report-locale", format!("`{}` is not a language tag", locale.shown()));
        problems
            .push(problem.at(span_of(&project.file, locale)).label("the language of numbers").hint("write one such as `en-GB` or `de`"));
    }
    if let Some(currency) = report.currency.as_ref().filter(|_| report.currency_code().is_none()) {
        let problem = Diagnostic::error("report-currency", format!("`{}` is not a currency", currency.shown()));
        problems.push(problem.at(span_of(&project.file, currency)).label("the currency of amounts").hint("write its code, such as `GBP`"));
    }
    if let Some(minimum) = report.minimum_members.as_ref().map(|minimum| span_of(&project.file, minimum)).filter(has_variable) {
        let problem = Diagnostic::error("report-minimum", "`report: minimum_members:` is given by a variable").at(minimum);
        let hint = "write the number: who reads the publication elsewhere has no variable, and must be told no more";
        problems.push(problem.label("below so many customers nothing is told").hint(hint));
    }
    if let Some(set) = report.heat_map.as_ref().and_then(|map| map.segment_set.as_ref()) {
        problems.extend(unfit_set(project, set));
    }
    let Some(profile) = checked.model(PROFILE) else { return };
    for (column, kind) in report.columns() {
        let told = |problem: Diagnostic| problem.at(span_of(&project.file, column));
        let Some((_, field)) = profile.schema.column_with_name(&column.value) else {
            let what = format!("the report reads a column that the profile `{PROFILE}` does not have: `{}`", column.shown());
            let names = profile.schema.fields().iter().map(|field| field.name().as_str());
            problems.push(told(Diagnostic::error("unknown-column", what)).did_you_mean(&column.value, names));
            continue;
        };
        if checked.personal.column(&TableReference::bare(PROFILE), &column.value) != ColumnPrivacy::Open {
            let hint = "name another column: a report has nothing of personal columns, or of what is made of them";
            problems.push(told(unfit(column, "it has personal values")).hint(hint));
        } else if !is_of(kind, field.data_type()) {
            problems.push(told(unfit(column, &format!("this must be {}", wanted(kind)))));
        }
    }
}

/// Whether a variable of the environment gives what stands at a place.
fn has_variable(span: &Span) -> bool {
    variables_in(&span.file.text[span.bytes.clone()]).next().is_some()
}

/// What is wrong with the set whose borders are shown.
fn unfit_set(project: &Project, set: &Spanned<String>) -> Option<Diagnostic> {
    let sets = &project.pipeline.segments;
    let at = |problem: Diagnostic| problem.at(span_of(&project.file, set));
    let Some(found) = sets.get(&set.value) else {
        let problem = Diagnostic::error("unknown-segment", format!("there is no segment set `{}`", set.shown()));
        return Some(at(problem).did_you_mean(&set.value, sets.keys().map(String::as_str)));
    };
    (found.kind.value == SetKind::Overlapping).then(|| {
        let problem = Diagnostic::error("report-set", format!("the segments of `{}` overlap, and have no borders on a map", set.shown()));
        at(problem).label("the borders of these").hint("name a set that is `exclusive` or a `partition`, or leave it out")
    })
}

fn unfit(column: &Spanned<String>, why: &str) -> Diagnostic {
    Diagnostic::error("report-column", format!("the report cannot tell the column `{}`", column.shown())).label(why)
}

/// In words, what kind of column is wanted.
fn wanted(kind: ReportedKind) -> &'static str {
    match kind {
        ReportedKind::Flag => "yes or no",
        ReportedKind::FlagOrNumber => "yes or no, or a number",
        ReportedKind::Integer => "an integer",
        ReportedKind::Exact => "an integer or a decimal",
        ReportedKind::Text => "a text",
    }
}

fn is_of(kind: ReportedKind, data_type: &DataType) -> bool {
    let is_exact = data_type.is_integer() || data_type.is_decimal();
    match kind {
        ReportedKind::Flag => *data_type == DataType::Boolean,
        ReportedKind::FlagOrNumber => *data_type == DataType::Boolean || is_exact,
        ReportedKind::Integer => data_type.is_integer(),
        ReportedKind::Exact => is_exact,
        ReportedKind::Text => is_text(data_type),
    }
}

/// Whether a text has the form of a language tag (BCP 47): a language, and perhaps a script, a region and variants.
fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_language = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic()));
    is_language && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
