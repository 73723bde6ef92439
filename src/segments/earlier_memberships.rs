//! Who would be in which segment under the earlier definition, as rows in order of customer.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::stream::BoxStream;

use super::earlier_opinions::EarlierMembers;
use super::memory::Names;
use super::rule_set::CUSTOMER_ID;
use crate::error::{Error, Result};

/// Memberships under the earlier definition, in order of customer, with the columns of [`earlier_memberships_schema`].
pub type EarlierMemberships = BoxStream<'static, Result<RecordBatch>>;

/// The columns of the memberships under the earlier definition.
pub fn earlier_memberships_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text(CUSTOMER_ID), text("segment_set"), text("segment")]))
}

/// The segments of the customers of a batch, from rows up to the last of them.
///
/// # Errors
/// As [`Names::number`].
pub(super) fn of_rows(names: &Names, detail: &Arc<str>, ids: &StringArray, rows: &RecordBatch) -> Result<EarlierMembers> {
    let mut found = EarlierMembers { detail: Arc::clone(detail), starts: vec![0], ..EarlierMembers::default() };
    if rows.num_rows() == 0 {
        ids.iter().for_each(|_| found.end_row());
        return Ok(found);
    }
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
    let column = rows.columns().get(at).ok_or_else(|| Error::defect("the memberships under the earlier definition lost a column"))?;
    Ok(cast(column, &DataType::Utf8).map_err(|error| defect(&error))?.as_string::<i32>().clone())
}

fn defect(error: &arrow::error::ArrowError) -> Error {
    Error::defect(format!("the memberships under the earlier definition were not read: {error}"))
}
