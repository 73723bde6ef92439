//! The contract of a source. Whole batches are cast and validated at once; rows are looked at one by one only where they break it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimestampMicrosecondType};
use chrono::NaiveDate;
use encoding_rs::Encoding;

use super::column::{self, Answer, ContractColumn, Defaults};
use super::csv::CsvSettings;
use super::encoding;
use super::moments::Moments;
use super::repeats::Repeats;
use super::ways::{self, Each, Way};
use crate::config::{Column, ColumnType, Freshness, OnError, RejectBudget, Source, UnknownColumns, Values, key_at, span_of};
use crate::diagnostic::{Diagnostic, SourceFile, list};
use crate::error::{Error, Message, Result};
use crate::local_time::Zone;
use crate::manifest::Scope;
use crate::shown;

/// A source's contract, compiled for one run.
#[derive(Debug)]
pub struct Contract {
    /// The source's name.
    pub source: String,
    /// Its columns in the order declared, and behind them columns of the files that are parts of these and that SQL does not see.
    pub columns: Vec<ContractColumn>,
    /// The list whose elements are rows, if rows are not simply records.
    pub each: Option<Each>,
    /// The columns as the engine sees them.
    pub schema: SchemaRef,
    /// The columns that are put together from several of the files.
    moments: Moments,
    /// The column that says when the row's event happened.
    pub event_time: usize,
    /// The columns that name a row; none when rows have no key.
    pub key: Vec<usize>,
    /// The columns that repeat the row above where they are blank.
    pub repeats: Option<Repeats>,
    /// How its CSV files are written.
    pub csv: CsvSettings,
    /// The encoding of its text files, if it is not UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// How many rows may be rejected.
    pub reject_budget: RejectBudget,
    /// What to do with columns that are not named here.
    pub unknown_columns: UnknownColumns,
    /// How old the newest may be.
    pub freshness: Freshness,
    /// The fewest files there must be.
    pub min_files: u64,
    /// The fewest rows there must be.
    pub min_rows: u64,
    /// The day that the run is as of.
    pub as_of_day: NaiveDate,
    /// The first moment that no longer counts, in microseconds since 1970, and its day, in days since then.
    as_of: (i64, i32),
    /// The zone that days are counted in.
    pub zone: Arc<Zone>,
}

/// Why a row or one of its values is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The row of the batch, from 0.
    pub row: usize,
    /// The column of the contract.
    pub column: usize,
    /// A stable word for the reason.
    pub reason: &'static str,
    /// What it costs.
    pub scope: Scope,
    /// Whether a rejected row may have carried an opt-out. It is false for rejected values.
    pub may_be_no: bool,
}

/// A batch after its check.
#[derive(Debug)]
pub struct Checked {
    /// The columns asked for, with the rows that are kept.
    pub kept: Vec<ArrayRef>,
    /// How many rows are kept.
    pub rows: usize,
    /// How many rows were out of window.
    pub out_of_window: u64,
    /// The rows at fault, each once, and the values at fault of rows that are kept; in order of row and column.
    pub faults: Vec<Fault>,
    /// The latest event among the rows that are kept, in microseconds since 1970.
    pub newest_micros: Option<i64>,
}

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
        let mut position = |name: &crate::config::Spanned<String>, role: &str| {
            let found = source.columns.get_index_of(&name.value);
            if found.is_none() {
                problems.push(
                    Diagnostic::error("unknown-column", format!("the {role} `{}` is not a column of this source", name.shown()))
                        .at(span_of(file, name))
                        .did_you_mean(&name.value, source.columns.keys().map(String::as_str)),
                );
            }
            found
        };
        let event_time = position(&source.event_time, "event time");
        let key: Vec<_> = source.key.iter().filter_map(|name| position(name, "key column")).collect();
        if let Some(column) = event_time.map(|at| &columns[at])
            && !matches!(column.column_type, ColumnType::Timestamp | ColumnType::Date)
        {
            problems.push(
                Diagnostic::error("event-time-type", format!("the event time `{}` is a {}", column.name, column.column_type))
                    .at(span_of(file, &source.event_time))
                    .hint("it must be a timestamp or a date, so that what happened at or after the as-of day can be left out"),
            );
        }
        let is_time = |at: &usize| matches!(columns[*at].column_type, ColumnType::Timestamp | ColumnType::Date);
        problems.extend(event_time.filter(is_time).and_then(|at| unplaced(file, source, at)));
        let csv = CsvSettings::new(file, (name, source), &mut problems);
        let encoding = encoding::of_source(file, source, &mut problems);
        for &at in key.iter().chain(&event_time) {
            columns[at].costs_row = true;
        }
        problems.extend(columns.iter().zip(source.columns.values()).filter_map(|(compiled, column)| contradiction(file, compiled, column)));
        let fields: Vec<_> = columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), !column.required)).collect();
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
            schema: Arc::new(Schema::new(fields)),
            moments,
            event_time: event_time.unwrap_or_default(),
            key,
            repeats,
            csv,
            encoding,
            reject_budget: source.reject_budget,
            unknown_columns: source.unknown_columns,
            freshness: source.freshness,
            min_files: source.min_files,
            min_rows: source.min_rows,
            as_of_day: values.as_of,
            as_of: (values.as_of_micros, days),
            zone: Arc::clone(&values.zone),
        })
    }

    /// How many columns SQL sees: the first of all columns.
    pub fn width(&self) -> usize {
        self.schema.fields().len()
    }

    /// Whether any column holds personal data.
    pub fn has_personal(&self) -> bool {
        self.columns.iter().any(|column| column.personal)
    }

    /// Refuses a file with columns that the contract does not name, when it says so.
    ///
    /// # Errors
    /// [`Error::Refused`] naming them.
    pub fn refuse_unknown(&self, shown: &str, names: &[&str]) -> Result<()> {
        if self.unknown_columns == UnknownColumns::Ignore {
            return Ok(());
        }
        let roots = self.columns.iter().flat_map(|column| &column.ways).filter_map(Way::root);
        let roots = roots.chain(self.each.iter().filter_map(|each| each.path.root()));
        let known: HashSet<&str> = self.columns.iter().flat_map(|column| &column.names).map(String::as_str).chain(roots).collect();
        let unknown: Vec<&str> = names.iter().filter(|name| !known.contains(**name)).copied().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let message = Message::new(format!("{shown} has columns that the contract does not name: {}", list(&shown::names(&unknown))));
        Err(Error::Refused(message.hint("name them in the contract, or say `unknown_columns: ignore`")))
    }

    /// For every column whether it must be decoded from text, when some are asked for.
    pub fn needed(&self, projection: &[usize]) -> Vec<bool> {
        let needed = |(at, column): (usize, &ContractColumn)| {
            let is_repeated = || self.repeats.as_ref().is_some_and(|repeats| repeats.places().any(|place| place == at));
            projection.contains(&at) || at == self.event_time || is_repeated() || column.can_fail(&DataType::Utf8, true, None)
        };
        self.columns.iter().enumerate().map(needed).collect()
    }

    /// Reads and checks a batch.
    ///
    /// `raw` holds an array for every column that is needed, as the file has it: of the contract's type, of another that can be
    /// read, or of text. Columns that cannot be at fault and are not asked for may be absent. `unread` names values that could not be
    /// taken out of the file at all; they are null in `raw`. `projection` names the columns of the result.
    ///
    /// # Errors
    /// [`Error::Defect`] when arrays do not fit together.
    pub fn check(
        &self,
        raw: &[Option<ArrayRef>],
        rows: usize,
        unread: &[(usize, usize, &'static str)],
        projection: &[usize],
    ) -> Result<Checked> {
        let scope = |column: usize| if self.columns[column].costs_row { Scope::Row } else { Scope::Value };
        let fault = |column, (row, reason)| Fault { row, column, reason, scope: scope(column), may_be_no: false };
        let of_columns = unread.iter().filter(|(_, column, _)| *column < self.width());
        let mut faults: Vec<Fault> = of_columns.map(|(row, column, reason)| fault(*column, (*row, *reason))).collect();
        let mut typed: Vec<Option<ArrayRef>> = Vec::with_capacity(raw.len());
        let joined = self.moments.join(&self.columns, raw, unread)?;
        faults.extend(joined.iter().flat_map(|joined| joined.faults.iter().map(|(row, column, reason)| fault(*column, (*row, *reason)))));
        let raw = joined.as_ref().map_or(raw, |joined| &joined.raw);
        for (column, (declared, array)) in self.columns.iter().zip(raw).enumerate() {
            let read = array.as_ref().map(|array| declared.read(array)).transpose()?;
            typed.push(read.map(|(typed, found)| {
                faults.extend(found.into_iter().map(|found| fault(column, found)));
                typed
            }));
        }
        let out_of_window = typed[self.event_time].as_ref().and_then(|array| self.out_of_window(array));
        if !faults.is_empty() {
            self.settle(&mut faults, out_of_window.as_ref(), &mut typed)?;
        }
        let array = |&at: &usize| typed[at].clone().unwrap_or_else(|| new_null_array(&self.columns[at].data_type, rows));
        let arrays = projection.iter().map(array);
        let keep = kept_rows(rows, out_of_window.as_ref(), &faults);
        let newest_micros = match (typed[self.event_time].as_ref(), &keep) {
            (Some(times), Some(keep)) => self.newest(&filter(times, keep).map_err(defect)?),
            (Some(times), None) => self.newest(times),
            (None, _) => None,
        };
        let (kept, rows) = match keep {
            Some(keep) => (arrays.map(|array| filter(&array, &keep)).collect::<Result<_, _>>().map_err(defect)?, keep.true_count()),
            None => (arrays.collect(), rows),
        };
        let out_of_window = out_of_window.map_or(0, |out| out.true_count() as u64);
        Ok(Checked { kept, rows, out_of_window, faults, newest_micros })
    }

    /// Decides what faults cost: those of rows out of window nothing; of a row that is rejected the first one counts, and with it whether
    /// the row may have been a no; other values become null.
    fn settle(&self, faults: &mut Vec<Fault>, out_of_window: Option<&BooleanArray>, typed: &mut [Option<ArrayRef>]) -> Result<()> {
        faults.retain(|fault| !out_of_window.is_some_and(|out| out.value(fault.row)));
        // Of one value the first reason counts; what costs the row stands before what does not.
        faults.sort_by_key(|fault| (fault.row, fault.scope, fault.column));
        faults.dedup_by_key(|fault| (fault.row, fault.column));
        let unread: BTreeSet<(usize, usize)> =
            faults.iter().filter(|fault| self.columns[fault.column].is_consent()).map(|fault| (fault.row, fault.column)).collect();
        faults.dedup_by(|later, first| later.row == first.row && first.scope == Scope::Row);
        for fault in faults.iter_mut().filter(|fault| fault.scope == Scope::Row) {
            fault.may_be_no = self.may_be_no(typed, fault.row, &unread);
        }
        for (column, array) in typed.iter_mut().enumerate() {
            let rows: Vec<usize> =
                faults.iter().filter(|fault| fault.column == column && fault.scope == Scope::Value).map(|fault| fault.row).collect();
            if let Some(array) = array.as_mut().filter(|_| !rows.is_empty()) {
                *array = column::without(array, &rows)?;
            }
        }
        Ok(())
    }

    /// Whether a row may say that somebody must not be written to: also where a value of it, by row and column, breaks the contract.
    fn may_be_no(&self, typed: &[Option<ArrayRef>], row: usize, unread: &BTreeSet<(usize, usize)>) -> bool {
        let mut answers = self.columns.iter().zip(typed).enumerate().filter(|(_, (column, _))| column.is_consent());
        answers.any(|(at, (column, typed))| {
            let readable = typed.as_ref().filter(|_| !unread.contains(&(row, at)));
            readable.is_none_or(|typed| column.answer(typed, row) != Some(Answer::NotNo))
        })
    }

    /// Whether the source says of somebody that they must not be written to.
    pub fn carries_consent(&self) -> bool {
        self.columns.iter().any(ContractColumn::is_consent)
    }

    /// The latest event before the as-of day, in microseconds since 1970.
    fn newest(&self, event_time: &ArrayRef) -> Option<i64> {
        let (instant, day) = self.as_of;
        match event_time.data_type() {
            DataType::Date32 => {
                let latest = event_time.as_primitive::<Date32Type>().iter().flatten().filter(|value| *value < day).max();
                latest.map(|value| self.zone.first_moment(value))
            }
            _ => event_time.as_primitive::<TimestampMicrosecondType>().iter().flatten().filter(|value| *value < instant).max(),
        }
    }

    /// Which rows happened at or after the as-of day; none when no row did.
    fn out_of_window(&self, event_time: &ArrayRef) -> Option<BooleanArray> {
        let (instant, day) = self.as_of;
        let out = match event_time.data_type() {
            DataType::Date32 => BooleanArray::from_unary(event_time.as_primitive::<Date32Type>(), |value| value >= day),
            _ => BooleanArray::from_unary(event_time.as_primitive::<TimestampMicrosecondType>(), |value| value >= instant),
        };
        let (values, nulls) = out.into_parts();
        let values = match nulls {
            Some(nulls) => &values & nulls.inner(),
            None => values,
        };
        (values.count_set_bits() > 0).then(|| BooleanArray::new(values, None))
    }
}

/// The problem of an event time that may be missing: such a row would be neither before nor after the as-of day.
fn unplaced(file: &Arc<SourceFile>, source: &Source, event_time: usize) -> Option<Diagnostic> {
    let (name, column) = source.columns.get_index(event_time)?;
    if column.required && !column.optional {
        return None;
    }
    let what = if column.optional { "may be missing from a file" } else { "is not `required`" };
    let problem = Diagnostic::error("event-time-optional", format!("the event time `{name}` {what}"));
    let problem = problem.at(span_of(file, &source.event_time)).label("a row without one has no place in time");
    Some(problem.hint(format!("declare `{name}` with `required: true` and without `optional: true`")))
}

/// The problems of lists where one value must be: in the key, the event time and a consent.
fn lists_that_may_not_be(file: &Arc<SourceFile>, name: &str, source: &Source) -> Vec<Diagnostic> {
    let is_list = |of: &str| source.columns.get(of).is_some_and(|column| column.column_type.is_list);
    let listed = |of: &crate::config::Spanned<String>, role: &str| {
        is_list(&of.value).then(|| {
            let problem = Diagnostic::error("list-column", format!("`{}` is a list, and cannot be {role}", of.shown()));
            problem.at(span_of(file, of)).hint("take one value, by a path such as `tags[0]`, or make every element a row with `each`")
        })
    };
    let mut problems: Vec<Diagnostic> = source.key.iter().filter_map(|key| listed(key, "part of a key")).collect();
    problems.extend(listed(&source.event_time, "the event time"));
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

/// Which rows are neither out of window nor at fault; none when all are kept.
fn kept_rows(rows: usize, out_of_window: Option<&BooleanArray>, faults: &[Fault]) -> Option<BooleanArray> {
    if out_of_window.is_none() && faults.iter().all(|fault| fault.scope == Scope::Value) {
        return None;
    }
    let mut keep: Vec<bool> = (0..rows).map(|row| !out_of_window.is_some_and(|out| out.value(row))).collect();
    for fault in faults.iter().filter(|fault| fault.scope == Scope::Row) {
        keep[fault.row] = false;
    }
    Some(BooleanArray::from(keep))
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("rows were not checked: {}", crate::sql::discreet(&error.into())))
}
