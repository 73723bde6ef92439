//! How the values of one column are to be read: the declared type, and how the extract writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;

use super::affixes::WrittenNumber;
use super::nulls::NullMarkers;
use super::pattern::Pattern;
use super::serial::Serial;
use super::years::Years;
use crate::config::ColumnType;
use crate::error::Error;
use crate::local_time::Zone;

/// How an extract writes a value, if not in the standard form.
#[derive(Debug)]
pub enum Format {
    /// The parts of a date or time, such as `%d/%m/%Y`.
    Pattern(Pattern),
    /// Time since 1970-01-01T00:00:00Z, in a unit of time; or days since then, which are local days.
    Epoch(EpochUnit),
    /// Days of a spreadsheet.
    Serial(Serial),
    /// What stands between thousands, before the fraction and around a number.
    Number(WrittenNumber),
}

impl Format {
    /// Whether numbers are counted by it; others are read by their digits.
    pub(super) fn counts(&self) -> bool {
        matches!(self, Format::Epoch(_) | Format::Serial(_))
    }
}

/// The unit that time since 1970 is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// Days.
    Days,
}

impl EpochUnit {
    /// The unit that a format names, such as `epoch_ms`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "epoch_s" | "%s" => Some(EpochUnit::Seconds),
            "epoch_ms" => Some(EpochUnit::Milliseconds),
            "epoch_us" => Some(EpochUnit::Microseconds),
            "epoch_ns" => Some(EpochUnit::Nanoseconds),
            "epoch_days" => Some(EpochUnit::Days),
            _ => None,
        }
    }
}

/// How the values of one column are read.
#[derive(Debug)]
pub struct Meaning {
    /// The declared type.
    pub column_type: ColumnType,
    /// The Arrow type that the engine holds it as.
    pub data_type: DataType,
    /// How the extract writes it.
    pub format: Option<Format>,
    /// The zone in which times without an offset are: the column's, or else the pipeline's.
    pub zone: Arc<Zone>,
    /// Words of the sender's, and what the contract has in their place.
    pub words: BTreeMap<String, String>,
    /// Whether those words are in lower case, and stand for the same in any case.
    pub words_in_any_case: bool,
    /// Words that stand for no value in a column that is not text.
    pub null_values: Arc<BTreeSet<String>>,
    /// Values that stand for none, and whether space around texts is left off.
    pub markers: NullMarkers,
    /// The years that dates and moments may be of.
    pub years: Years,
}

/// What kind of values an Arrow type holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Text,
    Boolean,
    Integer,
    Float,
    Decimal,
    /// Days and moments.
    Moment,
    /// Times of day.
    TimeOfDay,
    /// Lists, structs, maps, durations and the like.
    Other,
}

impl Kind {
    pub(super) fn of(held: &DataType) -> Self {
        match held {
            DataType::Null => Kind::Nothing,
            DataType::Dictionary(_, value) => Kind::of(value),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Kind::Text,
            DataType::Boolean => Kind::Boolean,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Kind::Integer,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Kind::Integer,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float,
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => Kind::Decimal,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Moment,
            DataType::Time32(_) | DataType::Time64(_) => Kind::TimeOfDay,
            _ => Kind::Other,
        }
    }
}

pub(super) fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("values were not read: {}", crate::sql::discreet(&error.into())))
}

/// The error for an array of a type that cannot be read. Files are validated before, so that the message there names the file.
pub(super) fn misfit(held: &DataType) -> Error {
    Error::defect(format!("values of the type {held} were not expected"))
}
