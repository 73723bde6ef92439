//! The contract of a source. Whole batches are cast and validated at once; rows are looked at one by one only where they break it.

mod compile;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Date32Type, SchemaRef, TimestampMicrosecondType};
use chrono::NaiveDate;
use encoding_rs::Encoding;

use super::changes::{Applied, Changes, Operation};
use super::column::{self, Answer, ContractColumn};
use super::csv::CsvSettings;
use super::in_path::InPath;
use super::moments::Moments;
use super::repeats::Repeats;
use super::ways::{Each, Way};
use crate::config::{Freshness, RejectBudget, SourceKind, UnknownColumns};
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::local_time::Zone;
use crate::manifest::Scope;
use crate::shown;
use crate::storage::File;

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
    /// What its rows are.
    pub kind: SourceKind,
    /// The column that says when the row's event happened; a snapshot may have none.
    pub event_time: Option<usize>,
    /// The columns that name a row; none when rows have no key.
    pub key: Vec<usize>,
    /// How changes are read, if its rows are changes.
    pub changes: Option<Changes>,
    /// What is taken from the paths of files.
    pub in_path: InPath,
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

/// The reason of a row that happened on another day than its file is of.
const OUTSIDE_PATH_DAY: &str = "outside-path-day";

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
    /// How many columns SQL sees: the first of all columns.
    pub fn width(&self) -> usize {
        self.schema.fields().len()
    }

    /// The columns that files have: those that are not in their paths.
    pub fn in_files(&self) -> impl Iterator<Item = &ContractColumn> {
        self.columns.iter().filter(|column| column.is_in_files())
    }

    /// For every column its place in CSV files without a header: the one that it says, or else its turn among the columns of the files.
    pub fn places(&self) -> Vec<Option<usize>> {
        let mut turns = 0..;
        let place = |column: &ContractColumn| {
            let turn = if column.is_in_files() { turns.next() } else { None };
            turn.map(|turn| column.position.unwrap_or(turn))
        };
        self.columns.iter().map(place).collect()
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
        // A column of the name of one that is in the path is known, and not read.
        let in_path = self.in_path.columns().flat_map(|(at, part)| [self.columns[at].name.as_str(), part]);
        let roots = self.columns.iter().flat_map(|column| &column.ways).filter_map(Way::root);
        let roots = roots.chain(self.each.iter().filter_map(|each| each.path.root()));
        let known: HashSet<&str> =
            self.columns.iter().flat_map(|column| &column.names).map(String::as_str).chain(roots).chain(in_path).collect();
        let unknown: Vec<&str> = names.iter().filter(|name| !known.contains(**name)).copied().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let message = Message::new(format!("{shown} has columns that the contract does not name: {}", list(&shown::names(&unknown))));
        Err(Error::Refused(message.hint("name them in the contract, or say `unknown_columns: ignore`")))
    }

    /// For every column whether it must be decoded from text, when some are asked for; `all_faults` says that it must be known also which values
    /// of the others are at fault, and not only which rows are kept.
    pub fn needed(&self, projection: &[usize], all_faults: bool) -> Vec<bool> {
        let needed = |(at, column): (usize, &ContractColumn)| {
            let is_repeated = || self.repeats.as_ref().is_some_and(|repeats| repeats.places().any(|place| place == at));
            projection.contains(&at)
                || self.always_reads(at)
                || is_repeated()
                || (all_faults || column.matters_to_rows()) && column.can_fail(&DataType::Utf8, true, None)
        };
        self.columns.iter().enumerate().map(needed).collect()
    }

    /// The as-of day, counted from 1970-01-01.
    pub fn day_number(&self) -> i32 {
        self.as_of.1
    }

    /// Whether a column is read whatever is asked for, because without it nobody could say which rows are kept.
    pub fn always_reads(&self, column: usize) -> bool {
        self.event_time == Some(column) || self.changes.as_ref().is_some_and(|changes| changes.always_reads(column))
    }

    /// The columns that no two rows have alike once superseded rows are left out.
    pub fn unique(&self) -> Vec<usize> {
        let moment = self.event_time.filter(|time| self.has_history() && !self.key.contains(time));
        self.key.iter().copied().chain(moment).collect()
    }

    /// Whether all changes of a key are kept that are not before a deletion.
    pub fn has_history(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| changes.has_history)
    }

    /// Reads and checks a batch of a file, as [`Contract::check`]: with what the file's path says.
    ///
    /// # Errors
    /// As [`Contract::check`].
    pub fn check_of(
        &self,
        file: &File,
        raw: &[Option<ArrayRef>],
        rows: usize,
        unread: &[(usize, usize, &'static str)],
        projection: &[usize],
    ) -> Result<Checked> {
        if self.in_path.is_empty() {
            return self.check(raw, rows, unread, projection);
        }
        let mut raw = raw.to_vec();
        self.in_path.fill(&file.parts, &mut raw, rows);
        // All rows of a file of snapshots are of what the snapshot shows, whenever that happened.
        let day = if self.kind == SourceKind::Snapshot { None } else { self.in_path.day_of(&self.columns, file, &self.zone)? };
        self.check_within(day.map(|day| day.day), &raw, rows, unread, projection)
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
        self.check_within(None, raw, rows, unread, projection)
    }

    /// As [`Contract::check`], where every event must be of a day.
    fn check_within(
        &self,
        file_day: Option<i32>,
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
        let times = self.event_time.and_then(|at| typed[at].clone());
        let out_of_window = times.as_ref().and_then(|array| self.out_of_window(array));
        if let (Some(day), Some(times), Some(column)) = (file_day, &times, self.event_time) {
            let outside = self.outside(day, times);
            faults.extend(outside.into_iter().map(|row| fault(column, (row, OUTSIDE_PATH_DAY))));
        }
        let applied = self.changes.as_ref().map(|changes| (changes, changes.found(&self.columns, &self.key, &typed)));
        if let Some((changes, Applied { operations, bad })) = &applied {
            faults.extend(bad.iter().map(|(row, column, reason)| fault(*column, (*row, *reason))));
            faults.retain(|fault| !changes.spares(operations.get(fault.row).copied().flatten(), fault.column));
        }
        if !faults.is_empty() {
            self.settle(&mut faults, out_of_window.as_ref(), &mut typed)?;
            self.doubt_operations(applied.as_ref().map_or(&[], |(_, applied)| &applied.operations), &mut faults);
        }
        let array = |&at: &usize| typed[at].clone().unwrap_or_else(|| new_null_array(&self.columns[at].data_type, rows));
        let arrays = projection.iter().map(array);
        let keep = kept_rows(rows, out_of_window.as_ref(), &faults);
        let newest_micros = match (times.as_ref(), &keep) {
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

    /// A deletion that is not applied, or perhaps one, leaves an older yes standing.
    fn doubt_operations(&self, operations: &[Option<Operation>], faults: &mut [Fault]) {
        let carries_consent = self.carries_consent();
        for fault in faults.iter_mut().filter(|fault| fault.scope == Scope::Row) {
            let operation = operations.get(fault.row);
            fault.may_be_no |= carries_consent && operation.is_some_and(|operation| matches!(operation, None | Some(Operation::Delete)));
        }
    }

    /// The rows that happened on another day than their file is of.
    fn outside(&self, day: i32, event_time: &ArrayRef) -> Vec<usize> {
        let is_outside: Box<dyn Fn(usize) -> bool> = match event_time.data_type() {
            DataType::Date32 => {
                let days = event_time.as_primitive::<Date32Type>();
                Box::new(|row| days.value(row) != day)
            }
            _ => {
                let moments = event_time.as_primitive::<TimestampMicrosecondType>();
                let of_day = self.zone.first_moment(day)..self.zone.first_moment(day.saturating_add(1));
                Box::new(move |row| !of_day.contains(&moments.value(row)))
            }
        };
        (0..event_time.len()).filter(|&row| event_time.is_valid(row) && is_outside(row)).collect()
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

/// The columns as the engine sees them. A row that deletes may lack anything but what names it.
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
