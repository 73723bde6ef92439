//! Customers of the profile beside what is remembered of them, and what the earlier definition says of them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::conditions::defect;
use super::memory::Reader;
use super::rule_set::CUSTOMER_ID;
use crate::error::{Error, Result};

/// What the predecessor publication kept of the customers of a batch, and the digests of today.
#[derive(Debug, Default)]
pub struct Kept {
    /// The columns of the profile that rules read, as they were.
    pub inputs: Option<RecordBatch>,
    /// The digests of each customer's rows, as they were.
    pub rows_before: Option<RecordBatch>,
    /// The digests of each customer's rows today.
    pub rows_today: Option<RecordBatch>,
}

/// Rows of the profile, with the rows of the state up to the last of their customers.
#[derive(Debug)]
pub struct Pair {
    pub(super) profile: RecordBatch,
    pub(super) ids: StringArray,
    pub(super) state: RecordBatch,
    /// The memberships of these customers under the earlier definition, if it is known by rows.
    pub(super) other: Option<RecordBatch>,
    /// What the predecessor publication kept of these customers.
    pub(super) kept: Kept,
}

impl Pair {
    /// Rows of the profile beside those of the state.
    ///
    /// # Errors
    /// As reading the state fails.
    pub async fn of(profile: RecordBatch, state: &mut Reader) -> Result<Self> {
        let ids = cast(customer_ids(&profile)?, &DataType::Utf8).map_err(defect)?.as_string::<i32>().clone();
        let state = state.up_to(last_of(&ids)).await?;
        Ok(Pair { profile, ids, state, other: None, kept: Kept::default() })
    }

    /// The last of its customers, up to whom everything that is kept is read.
    pub fn last(&self) -> &str {
        last_of(&self.ids)
    }

    /// Adds what the predecessor publication kept of these customers.
    #[must_use]
    pub fn and_kept(self, kept: Kept) -> Self {
        Pair { kept, ..self }
    }

    /// Adds the memberships of these customers under the earlier definition.
    ///
    /// # Errors
    /// As reading them fails.
    pub async fn and_other(self, other: &mut Reader) -> Result<Self> {
        let other = Some(other.up_to(last_of(&self.ids)).await?);
        Ok(Pair { other, ..self })
    }
}

/// The last customer. Rows without a customer come last.
fn last_of(ids: &StringArray) -> &str {
    ids.len().checked_sub(ids.null_count() + 1).map_or("", |last| ids.value(last))
}

fn customer_ids(batch: &RecordBatch) -> Result<&ArrayRef> {
    batch.column_by_name(CUSTOMER_ID).ok_or_else(|| Error::defect("the profile lost its customer_id"))
}
