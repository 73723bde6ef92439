//! What is remembered of a customer and a segment, and the table of it that a publication keeps for the next one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, StringBuilder, UInt32Array, builder::PrimitiveBuilder,
};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, UInt32Type};

use super::names::Names;
use crate::error::{Error, Result};
use crate::segments::CUSTOMER_ID;

/// A customer's memory of a segment. Days are counted since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The number of the segment.
    pub segment: u32,
    /// The as-of day on which the customer entered, of who is a member.
    pub since: Option<i32>,
    /// The as-of day on which the stay before that ended.
    pub left_on: Option<i32>,
    /// How often the customer has entered.
    pub entered: u32,
    /// The segment of the set in which the customer was before this stay.
    pub previous: Option<u32>,
}

impl Stay {
    /// What two memories of one segment come to: of a segment that had two names, or of customers who are one.
    pub fn and(self, other: Stay) -> Stay {
        let stays = if self.since.is_some() || other.since.is_none() { [self, other] } else { [other, self] };
        let [one, other] = stays;
        let since = match (one.since, other.since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (since, _) => since,
        };
        let entered = if other.since.is_some() { one.entered.max(other.entered) } else { one.entered.saturating_add(other.entered) };
        Stay { since, left_on: one.left_on.max(other.left_on), entered, ..one }
    }
}

/// The columns of the state: one row for each segment that a customer of the day has ever been in, and one without a segment for who has
/// been in none.
pub fn state_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text(CUSTOMER_ID, false),
        text("segment_set", true),
        text("segment", true),
        Field::new("member_since", DataType::Date32, true),
        Field::new("left_on", DataType::Date32, true),
        Field::new("times_entered", DataType::Int64, false),
        text("previous_segment", true),
    ]))
}

/// The columns of the state while a run holds it, with segments as numbers.
pub fn numbered_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new("segment", DataType::UInt32, true),
        Field::new("member_since", DataType::Date32, true),
        Field::new("left_on", DataType::Date32, true),
        Field::new("times_entered", DataType::UInt32, false),
        Field::new("previous_segment", DataType::UInt32, true),
    ]))
}

/// Rows of the state as a run holds them.
#[derive(Debug, Default)]
pub struct Numbered {
    ids: StringBuilder,
    segments: PrimitiveBuilder<UInt32Type>,
    since: PrimitiveBuilder<Date32Type>,
    left_on: PrimitiveBuilder<Date32Type>,
    entered: PrimitiveBuilder<UInt32Type>,
    previous: PrimitiveBuilder<UInt32Type>,
}

impl Numbered {
    /// Adds what is remembered of the next customer.
    pub fn add(&mut self, id: &str, stays: &[Stay]) {
        for stay in stays {
            self.ids.append_value(id);
            self.segments.append_value(stay.segment);
            self.since.append_option(stay.since);
            self.left_on.append_option(stay.left_on);
            self.entered.append_value(stay.entered);
            self.previous.append_option(stay.previous);
        }
        if stays.is_empty() {
            self.ids.append_value(id);
            self.segments.append_null();
            self.since.append_null();
            self.left_on.append_null();
            self.entered.append_value(0);
            self.previous.append_null();
        }
    }

    /// The rows.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.ids.finish()),
            Arc::new(self.segments.finish()),
            Arc::new(self.since.finish()),
            Arc::new(self.left_on.finish()),
            Arc::new(self.entered.finish()),
            Arc::new(self.previous.finish()),
        ];
        RecordBatch::try_new(numbered_schema(), columns).map_err(|error| defect(&error))
    }
}

/// Rows of the state with the names of their segments, as a publication keeps them.
///
/// # Errors
/// [`Error::Defect`] alone.
pub fn told(names: &Names, rows: &RecordBatch) -> Result<RecordBatch> {
    let lost = || Error::defect("the memory of segments lost a column");
    let numbers = |at: usize| rows.column(at).as_any().downcast_ref::<UInt32Array>().ok_or_else(lost);
    let (segments, entered, previous) = (numbers(1)?, numbers(4)?, numbers(5)?);
    let text = |segments: &UInt32Array, name: &dyn Fn(u32) -> String| {
        Arc::new(segments.iter().map(|segment| segment.map(name)).collect::<StringArray>()) as ArrayRef
    };
    let segment = |number| names.named(number).segment.clone();
    let columns = vec![
        Arc::clone(rows.column(0)),
        text(segments, &|number| names.named(number).set.clone()),
        text(segments, &segment),
        Arc::clone(rows.column(2)),
        Arc::clone(rows.column(3)),
        Arc::new(entered.iter().map(|entered| entered.map(i64::from)).collect::<Int64Array>()),
        text(previous, &segment),
    ];
    RecordBatch::try_new(state_schema(), columns).map_err(|error| defect(&error))
}

/// A column of days.
pub fn days(days: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(days.into_iter().collect::<Date32Array>())
}

pub(super) fn defect(error: &arrow::error::ArrowError) -> Error {
    Error::defect(format!("the memory of segments made no table: {error}"))
}
