//! Tries a draft on the values that were sampled: the contract itself says which of them it takes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use chrono::NaiveDate;

use super::draft::Draft;
use super::findings::Finding;
use crate::config::{self, Environment, Parsed, Pipeline, Values};
use crate::diagnostic::SourceFile;
use crate::ingest::Contract;
use crate::local_time::Zone;

/// The words that stand for no value where a pipeline file does not say so.
pub fn null_words() -> Vec<String> {
    parse("").map(|(pipeline, _)| pipeline.null_values).unwrap_or_default()
}

/// A pipeline file with some sources.
pub fn pipeline_of(sources: &str) -> String {
    let sources = if sources.is_empty() { "sources: {}\n".to_owned() } else { format!("sources:\n{sources}") };
    format!("version: 1\nname: draft\n{sources}outputs: {{destination: out, tables: {{}}}}\n")
}

/// What some sources are to the parser of pipeline files; none where they are not valid.
pub fn parse(sources: &str) -> Option<(Pipeline, Arc<SourceFile>)> {
    let file = Arc::new(SourceFile { path: "draft".to_owned(), text: pipeline_of(sources) });
    let Parsed { value, problems, .. } = config::parse_what_is_right::<Pipeline>(&file, &Environment::new());
    problems.is_empty().then_some((value?, file))
}

/// Fills in how many values and rows the draft would reject, and whether rows are of the day in their file's path.
pub fn run(draft: &mut Draft, zone: &Arc<Zone>) {
    let whole = contract_of(&draft.plain(), &draft.name, zone);
    let rows = draft.findings.columns.iter().map(|column| column.column.cells.len()).max().unwrap_or_default();
    let mut is_rejected = vec![false; rows];
    let (mut days, mut is_known) = (None, true);
    let event_time = draft.choices.event_time.as_ref().map(|choice| choice.columns.join(""));
    let places: std::collections::BTreeMap<String, usize> =
        whole.iter().flat_map(|contract| &contract.columns).enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
    let key = draft.choices.key.as_ref().map(|choice| choice.columns.clone()).unwrap_or_default();
    for at in 0..draft.findings.columns.len() {
        let column = &draft.findings.columns[at];
        // What a path says is not read from text.
        let Some(array) = array_of(column) else { continue };
        // A column by itself can be tried even if something else in the draft cannot.
        let alone = if whole.is_some() { None } else { contract_of(&draft.plain_column(column), &draft.name, zone) };
        let compiled = match &whole {
            Some(whole) => places.get(&column.name).and_then(|at| whole.columns.get(*at)),
            None => alone.as_ref().and_then(|alone| alone.columns.iter().find(|compiled| compiled.name == column.name)),
        };
        let Some((typed, faults)) = compiled.and_then(|compiled| compiled.read(&array).ok()) else {
            is_known &= column.guess.misfits == 0;
            continue;
        };
        let is_event_time = event_time.as_deref() == Some(&column.name);
        if is_event_time || key.contains(&column.name) {
            let lost = (0..typed.len()).filter(|row| typed.is_null(*row));
            for row in lost.chain(faults.iter().map(|(row, _)| *row)) {
                is_rejected[row] = true;
            }
        }
        if is_event_time {
            days = Some(days_of(&typed, zone));
        }
        draft.findings.columns[at].faults = Some(faults.len());
    }
    // The name of the event time is no time.
    let again = if event_time.is_some() { draft.findings.headers_again } else { 0 };
    let rejected = is_rejected.iter().filter(|rejected| **rejected).count() + draft.findings.rows.1 + again;
    draft.rejected = is_known.then_some(rejected);
    draft.day_in_path = days.and_then(|days| day_in_path(draft, &days));
}

/// The contract that a source has in YAML; none where it says what is not known.
fn contract_of(yaml: &str, name: &str, zone: &Arc<Zone>) -> Option<Contract> {
    let (pipeline, file) = parse(yaml)?;
    let source = pipeline.sources.get(name)?;
    compiled(&pipeline, &file, (name, source), zone).ok()
}

/// What is wrong with a source that is drafted as YAML below `sources`.
#[cfg(test)]
pub fn problems_of(yaml: &str, name: &str, zone: &Arc<Zone>) -> Vec<String> {
    let file = Arc::new(SourceFile { path: "draft".to_owned(), text: pipeline_of(yaml) });
    let Parsed { value, problems, .. } = config::parse_what_is_right::<Pipeline>(&file, &Environment::new());
    let mut told: Vec<String> = problems.iter().map(|problem| format!("{problem:?}")).collect();
    if let Some((pipeline, source)) = value.as_ref().and_then(|pipeline| Some((pipeline, pipeline.sources.get(name)?))) {
        told.extend(compiled(pipeline, &file, (name, source), zone).err().map(|problems| format!("{problems:?}")));
    }
    told
}

fn compiled(
    pipeline: &Pipeline,
    file: &Arc<SourceFile>,
    source: (&str, &config::Source),
    zone: &Arc<Zone>,
) -> Result<Contract, Vec<crate::diagnostic::Diagnostic>> {
    // The day of the run is after every event that can be.
    let as_of = NaiveDate::from_ymd_opt(2200, 1, 1).unwrap_or_default();
    let values = Values {
        as_of,
        zone: Arc::clone(zone),
        as_of_micros: zone.first_moment_of(as_of),
        parameters: std::collections::BTreeMap::new(),
        shown: std::collections::BTreeMap::new(),
    };
    Contract::new(file, source, &pipeline.null_values, &values)
}

/// The values of a column as its file has them, as far as a trial needs them to be.
fn array_of(column: &Finding) -> Option<ArrayRef> {
    if matches!(column.guess.kind, super::types::Kind::List(_)) || matches!(column.column.origin, super::table::Origin::Path(_)) {
        return None;
    }
    Some(Arc::new(column.column.cells.iter().map(Option::as_deref).collect::<StringArray>()))
}

/// The local day of each value.
fn days_of(typed: &ArrayRef, zone: &Zone) -> Vec<Option<NaiveDate>> {
    let date = |days: i32| Date32Type::to_naive_date_opt(days);
    match typed.data_type() {
        DataType::Date32 => typed.as_primitive::<Date32Type>().iter().map(|day| date(day?)).collect(),
        DataType::Timestamp(..) => {
            let moments = typed.as_primitive_opt::<TimestampMicrosecondType>();
            moments.map_or_else(Vec::new, |moments| moments.iter().map(|moment| date(zone.day_of(moment?)?)).collect())
        }
        _ => Vec::new(),
    }
}

/// The part of the path that gives the day of every row, if one does.
fn day_in_path(draft: &Draft, days: &[Option<NaiveDate>]) -> Option<String> {
    let found = &draft.findings;
    let part = found.paths.parts.iter().find(|part| part.day.is_some())?;
    let is_from_path = draft.choices.event_time.as_ref().is_some_and(|choice| choice.columns == [part.name.clone()]);
    let format = part.day.as_deref()?;
    let mut begin = 0;
    let aligned = found.columns.iter().map(|column| column.column.cells.len()).max().unwrap_or_default();
    let sampled: usize = found.looked.iter().map(|(_, rows)| rows).sum();
    // Rows that do not fit the layout have no values side by side with the others.
    if aligned != sampled || days.len() != aligned || found.looked.is_empty() {
        return is_from_path.then(|| part.name.clone());
    }
    for (place, (_, rows)) in found.places.iter().zip(&found.looked) {
        let day = part.values.get(*place).and_then(|day| NaiveDate::parse_from_str(day, format).ok())?;
        if days[begin..begin + rows].iter().flatten().any(|of_row| *of_row != day) {
            return None;
        }
        begin += rows;
    }
    days.iter().any(Option::is_some).then(|| part.name.clone())
}
