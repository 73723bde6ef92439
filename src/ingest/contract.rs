//! What a row of a source must be. Whole batches are cast and checked at once; only the rows at fault are looked at singly.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimestampMicrosecondType};
use chrono::NaiveDate;

use super::column::ContractColumn;
use crate::config::{ColumnType, Freshness, RejectBudget, Source, UnknownColumns, Values};
use crate::diagnostic::{Diagnostic, SourceFile, list};
use crate::error::{Error, Message, Result};

/// A source's contract, compiled for one run.
#[derive(Debug)]
pub struct Contract {
    /// The source's name.
    pub source: String,
    /// Its columns in the order declared.
    pub columns: Vec<ContractColumn>,
    /// The columns as the engine sees them.
    pub schema: SchemaRef,
    /// The column that says when the row's event happened.
    pub event_time: usize,
    /// The columns that name a row; none when rows have no key.
    pub key: Vec<usize>,
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
}

/// Why a row is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The row of the batch, from 0.
    pub row: usize,
    /// The column of the contract.
    pub column: usize,
    /// A stable word for the reason.
    pub reason: &'static str,
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
    /// The rows at fault.
    pub faults: Vec<Fault>,
    /// The latest event among the rows that are kept, in microseconds since 1970.
    pub newest_micros: Option<i64>,
}

impl Contract {
    /// Compiles the contract of a source for a run.
    ///
    /// # Errors
    /// Everything in it that has no meaning: names of no column, formats, bounds and patterns that do not parse, an event time that is no time.
    pub fn new(file: &Arc<SourceFile>, name: &str, source: &Source, values: &Values) -> Result<Self, Vec<Diagnostic>> {
        let time_zone = values.time_zone.name();
        let mut problems = Vec::new();
        let compile = |(name, column): (&String, &crate::config::Column)| ContractColumn::new(file, name, column, time_zone, &mut problems);
        let columns: Vec<_> = source.columns.iter().map(compile).collect();
        let mut position = |name: &crate::config::Spanned<String>, role: &str| {
            let found = source.columns.get_index_of(&name.value);
            if found.is_none() {
                problems.push(
                    Diagnostic::error("unknown-column", format!("the {role} `{}` is not a column of this source", name.value))
                        .at(crate::config::span_of(file, name))
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
                    .at(crate::config::span_of(file, &source.event_time))
                    .hint("it must be a timestamp or a date, so that what happened at or after the as-of day can be left out"),
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let fields: Vec<_> = columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), !column.required)).collect();
        let epoch = chrono::NaiveDate::default();
        let days = i32::try_from((values.as_of - epoch).num_days()).unwrap_or(i32::MAX);
        Ok(Contract {
            source: name.to_owned(),
            columns,
            schema: Arc::new(Schema::new(fields)),
            event_time: event_time.unwrap_or_default(),
            key,
            reject_budget: source.reject_budget,
            unknown_columns: source.unknown_columns,
            freshness: source.freshness,
            min_files: source.min_files,
            min_rows: source.min_rows,
            as_of_day: values.as_of,
            as_of: (values.as_of_instant.timestamp_micros(), days),
        })
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
        let known = |name: &&&str| self.columns.iter().flat_map(|column| &column.names).any(|known| known == **name);
        let unknown: Vec<&str> = names.iter().filter(|name| !known(name)).copied().collect();
        if self.unknown_columns == UnknownColumns::Ignore || unknown.is_empty() {
            return Ok(());
        }
        let message = Message::new(format!("{shown} has columns that the contract does not name: {}", list(&unknown)));
        Err(Error::Refused(message.hint("name them in the contract, or say `unknown_columns: ignore`")))
    }

    /// For every column whether it must be decoded from text, when some are asked for.
    pub fn needed(&self, projection: &[usize]) -> Vec<bool> {
        let needed = |(at, column): (usize, &ContractColumn)| {
            projection.contains(&at) || at == self.event_time || column.can_fail(&DataType::Utf8, true)
        };
        self.columns.iter().enumerate().map(needed).collect()
    }

    /// Casts and checks a batch.
    ///
    /// `raw` holds an array for every column that is needed, as the file has it: of the contract's type, of another that can be
    /// cast, or of text. Columns that cannot be at fault and are not asked for may be absent. `projection` names the columns of the result.
    ///
    /// # Errors
    /// [`Error::Defect`] when arrays do not fit together.
    pub fn check(&self, raw: &[Option<ArrayRef>], rows: usize, projection: &[usize]) -> Result<Checked> {
        let typed: Vec<Option<ArrayRef>> = self
            .columns
            .iter()
            .zip(raw)
            .map(|(column, array)| array.as_ref().map(|a| column.cast(a)).transpose())
            .collect::<Result<_>>()?;
        let out_of_window = typed[self.event_time].as_ref().and_then(|array| self.out_of_window(array));
        let mut faults = Vec::new();
        for (position, column) in self.columns.iter().enumerate() {
            if let (Some(raw), Some(typed)) = (&raw[position], &typed[position]) {
                column.faults(position, raw, typed, &mut faults)?;
            }
        }
        if let Some(out) = &out_of_window {
            faults.retain(|fault| !out.value(fault.row));
        }
        // One row, one reason: that of its first column at fault.
        faults.sort_by_key(|fault| (fault.row, fault.column));
        faults.dedup_by_key(|fault| fault.row);
        let array = |&at: &usize| typed[at].clone().unwrap_or_else(|| new_null_array(&self.columns[at].data_type, rows));
        let arrays = projection.iter().map(array);
        let (kept, rows) = match kept_rows(rows, out_of_window.as_ref(), &faults) {
            Some(keep) => (arrays.map(|array| filter(&array, &keep)).collect::<Result<_, _>>().map_err(defect)?, keep.true_count()),
            None => (arrays.collect(), rows),
        };
        let newest_micros = typed[self.event_time].as_ref().and_then(|array| self.newest(array));
        let out_of_window = out_of_window.map_or(0, |out| out.true_count() as u64);
        Ok(Checked { kept, rows, out_of_window, faults, newest_micros })
    }

    /// The latest event before the as-of day, in microseconds since 1970.
    fn newest(&self, event_time: &ArrayRef) -> Option<i64> {
        const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
        let (instant, day) = self.as_of;
        match event_time.data_type() {
            DataType::Date32 => {
                let latest = event_time.as_primitive::<Date32Type>().iter().flatten().filter(|value| *value < day).max();
                latest.map(|value| i64::from(value) * DAY_MICROS)
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

/// Which rows are neither out of window nor at fault; none when all are kept.
fn kept_rows(rows: usize, out_of_window: Option<&BooleanArray>, faults: &[Fault]) -> Option<BooleanArray> {
    if out_of_window.is_none() && faults.is_empty() {
        return None;
    }
    let mut keep: Vec<bool> = (0..rows).map(|row| !out_of_window.is_some_and(|out| out.value(row))).collect();
    for fault in faults {
        keep[fault.row] = false;
    }
    Some(BooleanArray::from(keep))
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("rows were not checked: {error}"))
}
