//! Compiles what the pipeline file says of a source into a contract.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::Contract;
use crate::config::{Column, ColumnType, OnError, Source, SourceKind, Spanned, Values, key_at, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::ingest::changes::Changes;
use crate::ingest::column::{ContractColumn, Defaults};
use crate::ingest::csv::CsvSettings;
use crate::ingest::in_path::InPath;
use crate::ingest::moments::Moments;
use crate::ingest::repeats::Repeats;
use crate::ingest::{encoding, kinds, ways};

impl Contract {
    /// Compiles the contract of a source for a run.
    ///
    /// # Errors
    /// Everything in it that has no meaning: names of no column, formats, bounds and patterns that do not parse, an event time that is no
    /// time.
    pub fn new(
        file: &Arc<SourceFile>,
        (name, source): (&str, &Source),
        null_values: &[String],
        values: &Values,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let defaults = Defaults {
            null_values: Arc::new(null_values.iter().map(|word| word.trim().to_lowercase()).collect()),
            of_source: source.null_values.as_deref(),
            trim: source.trim,
        };
        let each = ways::each(file, name, source, &mut problems);
        let compile = |(column_name, column): (&String, &Column)| {
            let ways = ways::ways(file, (name, source), (column_name, column), each.as_ref(), &mut problems);
            ContractColumn::new(file, (column_name, column), ways, &defaults, values, &mut problems)
        };
        let mut columns: Vec<_> = source.columns.iter().map(compile).collect();
        let event_time = source.event_time.as_ref().and_then(|name| position(file, source, name, "event time", &mut problems));
        let key: Vec<_> = source.key.iter().filter_map(|name| position(file, source, name, "key column", &mut problems)).collect();
        let kind = source.kind.as_ref().map_or(SourceKind::Events, |kind| kind.value);
        problems.extend(kinds::misfits(file, name, source));
        let in_path = InPath::new(file, source, &mut columns, &mut problems);
        let changes = Changes::new(file, source, (event_time, &key), &mut columns, &mut problems);
        problems.extend(event_time.and_then(|at| unplaced(file, source, at)));
        let csv = CsvSettings::new(file, (name, source), &mut problems);
        let encoding = encoding::of_source(file, source, &mut problems);
        for &at in key.iter().chain(&event_time) {
            columns[at].costs_row = true;
        }
        problems.extend(columns.iter().zip(source.columns.values()).filter_map(|(compiled, column)| contradiction(file, compiled, column)));
        let schema = schema_of(&columns, changes.as_ref());
        let moments = Moments::compile(file, (name, source), each.as_ref(), &mut columns, values, &mut problems);
        let repeats = Repeats::new(file, source, &moments, &mut problems);
        problems.extend(lists_that_may_not_be(file, name, source));
        if !problems.is_empty() {
            return Err(problems);
        }
        let epoch = chrono::NaiveDate::default();
        let days = i32::try_from((values.as_of - epoch).num_days()).unwrap_or(i32::MAX);
        Ok(Contract {
            source: name.to_owned(),
            columns,
            each,
            schema,
            moments,
            kind,
            event_time,
            key,
            changes,
            in_path,
            repeats,
            csv,
            encoding,
            reject_budget: source.reject_budget,
            unknown_columns: source.unknown_columns,
            freshness: source.freshness.clone(),
            min_files: source.min_files,
            min_rows: source.min_rows,
            as_of_day: values.as_of,
            as_of: (values.as_of_micros, days),
            zone: Arc::clone(&values.zone),
        })
    }
}

/// The columns as the engine sees them. A deletion may lack what other changes must have.
fn schema_of(columns: &[ContractColumn], changes: Option<&Changes>) -> SchemaRef {
    let may_miss = |at: usize| changes.is_some_and(|changes| !changes.always_reads(at));
    let field =
        |(at, column): (usize, &ContractColumn)| Field::new(&column.name, column.data_type.clone(), !column.required || may_miss(at));
    Arc::new(Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// Where a column is that has a role; one that is not there is told.
fn position(file: &Arc<SourceFile>, source: &Source, name: &Spanned<String>, role: &str, problems: &mut Vec<Diagnostic>) -> Option<usize> {
    let found = source.columns.get_index_of(&name.value);
    if found.is_none() {
        let what = format!("the {role} `{}` is not a column of this source", name.shown());
        let names = source.columns.keys().map(String::as_str);
        problems.push(Diagnostic::error("unknown-column", what).at(span_of(file, name)).did_you_mean(&name.value, names));
    }
    found
}

/// The problem of an event time that is no time, or may be missing: such a row would be neither before nor after the as-of day.
fn unplaced(file: &Arc<SourceFile>, source: &Source, event_time: usize) -> Option<Diagnostic> {
    let (name, column) = source.columns.get_index(event_time)?;
    let written = source.event_time.as_ref()?;
    if !matches!(column.column_type.item, ColumnType::Timestamp | ColumnType::Date) {
        let problem = Diagnostic::error("event-time-type", format!("the event time `{name}` is a {}", column.column_type));
        let hint = "it must be a timestamp or a date, so that what happened at or after the as-of day can be left out";
        return Some(problem.at(span_of(file, written)).hint(hint));
    }
    if column.required && !column.optional {
        return None;
    }
    let what = if column.optional { "may be missing from a file" } else { "is not `required`" };
    let problem = Diagnostic::error("event-time-optional", format!("the event time `{name}` {what}"));
    let problem = problem.at(span_of(file, written)).label("a row without one has no place in time");
    Some(problem.hint(format!("declare `{name}` with `required: true` and without `optional: true`")))
}

/// The problems of lists where one value must be: in the key, the event time and a consent.
fn lists_that_may_not_be(file: &Arc<SourceFile>, name: &str, source: &Source) -> Vec<Diagnostic> {
    let is_list = |of: &str| source.columns.get(of).is_some_and(|column| column.column_type.is_list);
    let listed = |of: &Spanned<String>, role: &str| {
        is_list(&of.value).then(|| {
            let problem = Diagnostic::error("list-column", format!("`{}` is a list, and cannot be {role}", of.shown()));
            problem.at(span_of(file, of)).hint("take one value, by a path such as `tags[0]`, or make every element a row with `each`")
        })
    };
    let mut problems: Vec<Diagnostic> = source.key.iter().filter_map(|key| listed(key, "part of a key")).collect();
    problems.extend(source.event_time.as_ref().and_then(|time| listed(time, "the event time")));
    for (column, _) in source.columns.iter().filter(|(_, column)| column.column_type.is_list && column.consent.is_some()) {
        let place = key_at(file, &["sources", name, "columns", column, "consent"]);
        let problem = Diagnostic::error("list-column", format!("`{column}` is a list, and cannot be a consent")).at(place);
        problems.push(problem.hint("take one value, by a path such as `consents[purpose=email].value`"));
    }
    problems
}

/// The problem of a column that must reject the row and is declared not to.
fn contradiction(file: &Arc<SourceFile>, compiled: &ContractColumn, column: &Column) -> Option<Diagnostic> {
    let on_error = column.on_error.as_ref().filter(|on_error| on_error.value == OnError::Null && compiled.costs_row)?;
    let what = format!("`{}` is required, of the key or the event time, so a bad value cannot become null", compiled.name);
    let problem = Diagnostic::error("on-error", what).at(span_of(file, on_error)).label("costs the row all the same");
    Some(problem.hint("leave `on_error` out, or `required` and `key`"))
}
