//! The table of changes: who has entered, left or moved since the predecessor publication.

use std::sync::Arc;

use arrow::array::builder::PrimitiveBuilder;
use arrow::array::{ArrayRef, BooleanBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};

use super::cause::{Cause, Why};
use super::stay::defect;
use crate::error::Result;
use crate::segments::CUSTOMER_ID;

/// The columns of the changes.
pub fn changes_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text(CUSTOMER_ID, false),
        text("segment_set", false),
        text("change", false),
        text("from_segment", true),
        text("to_segment", true),
        Field::new("from_since", DataType::Date32, true),
        Field::new("previous_as_of", DataType::Date32, false),
        text("merged_into", true),
        Field::new("adds_member", DataType::Boolean, false),
        text("cause", true),
        text("cause_detail", true),
        text("identity_event", true),
    ]))
}

/// What the columns of [`changes_schema`] mean.
pub const CHANGES_DESCRIPTIONS: &[(&str, &str)] = &[
    ("customer_id", "The customer, or an id that has ended"),
    ("segment_set", "The set"),
    ("change", "`entered`, `left`, `moved`, or `merged` if only the id has ended"),
    ("from_segment", "The segment that the customer was in"),
    ("to_segment", "The segment that the customer is in, or `merged_into` is"),
    ("from_since", "The as-of day since which the customer had been in `from_segment`"),
    ("previous_as_of", "The as-of day of the publication before"),
    ("merged_into", "The id that stayed, of an id that has ended"),
    ("adds_member", "Whether `to_segment` has one member more: false if `merged_into` was in it already"),
    ("cause", "Why: `identity`, `definition`, `consent`, `data`, `time` or `undetermined`"),
    (
        "cause_detail",
        "What was edited, the sources of new rows, `days` or `cut_points`, or why it cannot be known; null if there is no more to say",
    ),
    ("identity_event", "`new`, `split`, `gone` or `merged`; null if the identity is as it was"),
];

/// A change of one customer in one set.
#[derive(Debug, Clone, Default)]
pub struct Change<'a> {
    /// The customer, or the id that ended.
    pub customer_id: &'a str,
    /// The set.
    pub segment_set: &'a str,
    /// The segment that the customer was in.
    pub from: Option<&'a str>,
    /// The segment that the customer is in, or `merged_into` is.
    pub to: Option<&'a str>,
    /// Since when the customer had been in `from`.
    pub from_since: Option<i32>,
    /// The id that stayed, where the customer's own ended.
    pub merged_into: Option<&'a str>,
    /// Whether it is told by another row what became of the person: this one only says that the id has ended.
    pub is_merge_alone: bool,
    /// Whether `merged_into` was in `to` already.
    pub is_there: bool,
    /// What happened to the customer's identity, if that is the cause.
    pub identity_event: Option<&'static str>,
    /// The cause, where it is not what happened to the identity.
    pub cause: Option<Why>,
}

impl Change<'_> {
    fn kind(&self) -> &'static str {
        match (self.from, self.to) {
            _ if self.is_merge_alone => "merged",
            (None, _) => "entered",
            (_, None) => "left",
            (Some(_), Some(_)) => "moved",
        }
    }
}

/// Collects changes.
#[derive(Debug)]
pub struct Changes {
    previous_as_of: i32,
    texts: [StringBuilder; 9],
    since: PrimitiveBuilder<Date32Type>,
    before: PrimitiveBuilder<Date32Type>,
    adds: BooleanBuilder,
    rows: usize,
}

impl Changes {
    /// No changes since the publication of a day.
    pub fn since(previous_as_of: i32) -> Self {
        Changes {
            previous_as_of,
            texts: Default::default(),
            since: PrimitiveBuilder::new(),
            before: PrimitiveBuilder::new(),
            adds: BooleanBuilder::new(),
            rows: 0,
        }
    }

    /// Adds a change.
    pub fn add(&mut self, change: &Change<'_>) {
        let of_identity = change.identity_event.map(|_| Cause::Identity);
        let (cause, detail) = match (&of_identity, &change.cause) {
            (None, Some(why)) => (Some(why.cause), why.detail.as_deref()),
            _ => (of_identity, None),
        };
        let texts = [
            Some(change.customer_id),
            Some(change.segment_set),
            Some(change.kind()),
            change.from,
            change.to,
            change.merged_into,
            cause.map(Cause::word),
            detail,
            change.identity_event,
        ];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_option(text));
        self.since.append_option(change.from_since);
        self.before.append_value(self.previous_as_of);
        self.adds.append_value(change.to.is_some() && !change.is_there);
        self.rows += 1;
    }

    /// The changes, if there are any.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] alone.
    pub fn finish(mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let [id, set, kind, from, to, into, cause, detail, event] =
            self.texts.each_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let columns = vec![
            id,
            set,
            kind,
            from,
            to,
            Arc::new(self.since.finish()) as ArrayRef,
            Arc::new(self.before.finish()),
            into,
            Arc::new(self.adds.finish()),
            cause,
            detail,
            event,
        ];
        RecordBatch::try_new(changes_schema(), columns).map(Some).map_err(|error| defect(&error))
    }
}
