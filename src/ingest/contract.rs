//! What a row of a source must be. Whole batches are cast and checked at once; only the rows at fault are looked at singly.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimestampMicrosecondType};

use crate::config::{ColumnType, RejectBudget, Source, Values};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::error::{Error, Result};

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
    /// The first moment that no longer counts, in microseconds since 1970, and its day, in days since then.
    as_of: (i64, i32),
}

/// One column of a contract.
#[derive(Debug)]
pub struct ContractColumn {
    /// Its name in SQL.
    pub name: String,
    /// Its name in the files.
    pub from: String,
    /// Whether a row without a value is rejected.
    pub required: bool,
    /// Whether files may lack it.
    pub optional: bool,
    /// Whether its values are personal data.
    pub personal: bool,
    column_type: ColumnType,
    data_type: DataType,
    accepted: BTreeSet<String>,
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
    /// The rows that are kept, with the columns asked for.
    pub kept: RecordBatch,
    /// How many rows were out of window.
    pub out_of_window: u64,
    /// The rows at fault.
    pub faults: Vec<Fault>,
}

impl Contract {
    /// Compiles the contract of a source for a run.
    ///
    /// # Errors
    /// Every name in it that is not one of its columns, and an event time that is no time.
    pub fn new(file: &Arc<SourceFile>, name: &str, source: &Source, values: &Values) -> Result<Self, Vec<Diagnostic>> {
        let time_zone = values.time_zone.name();
        let columns: Vec<_> = source.columns.iter().map(|(name, column)| ContractColumn::new(name, column, time_zone)).collect();
        let mut problems = Vec::new();
        let mut position = |name: &serde_yaml::Spanned<String>, role: &str| {
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
            as_of: (values.as_of_instant.timestamp_micros(), days),
        })
    }

    /// Whether any column holds personal data.
    pub fn has_personal(&self) -> bool {
        self.columns.iter().any(|column| column.personal)
    }

    /// Casts and checks a batch.
    ///
    /// `raw` holds an array for every column that is needed, as the file has it: of the contract's type, of another that can be
    /// cast, or of text. Columns that cannot be at fault and are not asked for may be absent. `projection` names the columns of the result.
    ///
    /// # Errors
    /// [`Error::Defect`] when arrays do not fit together.
    pub fn check(&self, raw: &[Option<ArrayRef>], rows: usize, projection: &[usize], schema: &SchemaRef) -> Result<Checked> {
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
                column.faults(position, raw, typed, &mut faults);
            }
        }
        if let Some(out) = &out_of_window {
            faults.retain(|fault| !out.value(fault.row));
        }
        // One row, one reason: that of its first column at fault.
        faults.sort_by_key(|fault| (fault.row, fault.column));
        faults.dedup_by_key(|fault| fault.row);
        let arrays = projection.iter().map(|&at| typed[at].clone().unwrap_or_else(|| new_null_array(&self.columns[at].data_type, rows)));
        let keep = kept_rows(rows, out_of_window.as_ref(), &faults);
        let arrays: Vec<ArrayRef> = arrays.collect();
        let kept = match keep {
            // A required column may hold nulls in rows that are at fault, so the filter comes before the schema.
            Some(keep) => {
                let nullable: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
                let batch = batch(&Arc::new(Schema::new(nullable)), arrays, rows)?;
                let filtered = filter_record_batch(&batch, &keep).map_err(|error| Error::defect(error.to_string()))?;
                let kept = filtered.num_rows();
                batch_of(schema, filtered, kept)?
            }
            None => batch(schema, arrays, rows)?,
        };
        let out_of_window = out_of_window.map_or(0, |out| out.true_count() as u64);
        Ok(Checked { kept, out_of_window, faults })
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

impl ContractColumn {
    fn new(name: &str, column: &crate::config::Column, time_zone: &str) -> Self {
        ContractColumn {
            name: name.to_owned(),
            from: column.from.clone().unwrap_or_else(|| name.to_owned()),
            required: column.required,
            optional: column.optional,
            personal: column.personal,
            column_type: column.column_type,
            data_type: column.column_type.arrow(time_zone),
            accepted: column.accepted.iter().cloned().collect(),
        }
    }

    /// Whether values of this type in a file can be at fault, so that they must be read even where no model asks for them.
    pub fn can_fail(&self, in_file: &DataType) -> bool {
        let same = match (&self.data_type, in_file) {
            (DataType::Timestamp(..), DataType::Timestamp(..)) => true,
            (DataType::Utf8, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Int64 | DataType::Int32) => true,
            (ours, theirs) => ours == theirs,
        };
        self.required || !self.accepted.is_empty() || !same
    }

    /// The values as the contract's type; a value that is not one becomes null.
    fn cast(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if array.data_type() == &self.data_type {
            return Ok(Arc::clone(array));
        }
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let cast = cast_with_options(array, &self.data_type, &options).map_err(|_| {
            let what = format!("the column `{}` is a {} in the files, which is no {}", self.from, array.data_type(), self.column_type);
            Error::argument("column-type", what)
        })?;
        // A fraction is no whole number, and the cast would drop it.
        if array.data_type().is_floating() && self.data_type == DataType::Int64 {
            let defect = |error: arrow::error::ArrowError| Error::defect(error.to_string());
            let back = cast_with_options(&cast, array.data_type(), &options).map_err(defect)?;
            let same = arrow::compute::kernels::cmp::eq(&back, array).map_err(defect)?;
            let lost = arrow::compute::not(&same).map_err(defect)?;
            if lost.true_count() > 0 {
                return arrow::compute::nullif(&cast, &lost).map_err(defect);
            }
        }
        Ok(cast)
    }

    fn faults(&self, position: usize, raw: &ArrayRef, typed: &ArrayRef, faults: &mut Vec<Fault>) {
        let fault = |row, reason| Fault { row, column: position, reason };
        if typed.null_count() > raw.null_count() {
            let reason = self.not_of_type();
            faults.extend((0..typed.len()).filter(|&row| typed.is_null(row) && raw.is_valid(row)).map(|row| fault(row, reason)));
        }
        if self.required && raw.null_count() > 0 {
            faults.extend((0..raw.len()).filter(|&row| raw.is_null(row)).map(|row| fault(row, "missing-value")));
        }
        if !self.accepted.is_empty() {
            self.not_accepted(typed, |row| faults.push(fault(row, "not-accepted")));
        }
    }

    /// Calls `found` with each row whose value is none of those accepted; a missing value is not at fault here.
    fn not_accepted(&self, typed: &ArrayRef, mut found: impl FnMut(usize)) {
        let Some(strings) = typed.as_string_opt::<i32>() else {
            for row in (0..typed.len()).filter(|&row| typed.is_valid(row)) {
                let text = arrow::util::display::array_value_to_string(typed, row).unwrap_or_default();
                if !self.accepted.contains(&text) {
                    found(row);
                }
            }
            return;
        };
        // Enumerations are few, short, and come in runs.
        let mut last = "";
        let mut last_accepted = self.accepted.contains(last);
        for (row, value) in strings.iter().enumerate() {
            let Some(value) = value else { continue };
            if value != last {
                (last, last_accepted) = (value, self.accepted.contains(value));
            }
            if !last_accepted {
                found(row);
            }
        }
    }

    fn not_of_type(&self) -> &'static str {
        match self.column_type {
            ColumnType::String => "not-text",
            ColumnType::Integer => "not-an-integer",
            ColumnType::Decimal { .. } => "not-a-decimal",
            ColumnType::Date => "not-a-date",
            ColumnType::Timestamp => "not-a-timestamp",
            ColumnType::Boolean => "not-a-boolean",
            ColumnType::Double => "not-a-number",
        }
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

fn batch(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(|error| Error::defect(error.to_string()))
}

fn batch_of(schema: &SchemaRef, filtered: RecordBatch, rows: usize) -> Result<RecordBatch> {
    let (_, arrays, _) = filtered.into_parts();
    batch(schema, arrays, rows)
}
