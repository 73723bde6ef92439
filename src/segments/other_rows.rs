//! Who would be in which segment under another definition, as rows in order of customer.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::memory::Names;
use super::otherwise::OtherMembers;
use super::rule_set::CUSTOMER_ID;
use crate::error::{Error, Result};

/// The columns of the memberships under another definition.
pub fn other_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text(CUSTOMER_ID), text("segment_set"), text("segment")]))
}

/// Reads who would be in which segment, in order of customer.
pub struct OtherReader {
    rows: BoxStream<'static, Result<RecordBatch>>,
    waiting: Option<RecordBatch>,
}

impl OtherReader {
    /// A reader of which nothing has been read.
    pub fn new(rows: BoxStream<'static, Result<RecordBatch>>) -> Self {
        OtherReader { rows, waiting: None }
    }

    /// The rows that are left of customers up to one.
    ///
    /// # Errors
    /// As reading fails.
    pub async fn up_to(&mut self, id: &str) -> Result<RecordBatch> {
        let mut taken = Vec::new();
        loop {
            let batch = match self.waiting.take() {
                Some(batch) => batch,
                None => match self.rows.try_next().await? {
                    Some(batch) => batch,
                    None => break,
                },
            };
            let ids = texts(&batch, 0)?;
            let count = (0..ids.len()).take_while(|row| ids.value(*row) <= id).count();
            taken.push(batch.slice(0, count));
            if count < batch.num_rows() {
                self.waiting = Some(batch.slice(count, batch.num_rows() - count));
                break;
            }
        }
        concat_batches(&other_schema(), &taken).map_err(|error| defect(&error))
    }
}

/// The segments of the customers of a batch, from rows up to the last of them.
///
/// # Errors
/// As [`Names::number`].
pub(super) fn of_rows(names: &Names, detail: &Arc<str>, ids: &StringArray, rows: &RecordBatch) -> Result<OtherMembers> {
    let mut found = OtherMembers { detail: Arc::clone(detail), starts: vec![0], ..OtherMembers::default() };
    let (theirs, sets, segments) = (texts(rows, 0)?, texts(rows, 1)?, texts(rows, 2)?);
    let mut at = 0;
    for id in ids {
        if let Some(id) = id {
            at += (at..theirs.len()).take_while(|at| theirs.value(*at) < id).count();
            let count = (at..theirs.len()).take_while(|at| theirs.value(*at) == id).count();
            for row in at..at + count {
                found.members.push(names.number(sets.value(row), segments.value(row))?);
            }
        }
        found.end_row();
    }
    Ok(found)
}

fn texts(rows: &RecordBatch, at: usize) -> Result<StringArray> {
    let column = rows.columns().get(at).ok_or_else(|| Error::defect("the memberships under another definition lost a column"))?;
    Ok(cast(column, &DataType::Utf8).map_err(|error| defect(&error))?.as_string::<i32>().clone())
}

fn defect(error: &arrow::error::ArrowError) -> Error {
    Error::defect(format!("the memberships under another definition were not read: {error}"))
}
