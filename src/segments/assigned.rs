//! Who is in which segment, as the memberships tell it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder};

use super::decide::HeldBy;
use super::memory::{Names, Stay, days};
use super::rule_set::membership_schema;
use crate::error::{Error, Result};

/// The members of all segments, and how many customers were withheld because a channel may not reach them.
#[derive(Debug, Default)]
pub struct Assigned {
    /// The members of each segment by its number, in order of set, segment (by priority) and customer.
    pub(super) members: Vec<(u32, Vec<Members>)>,
    /// How many customers each segment withholds because its channel may not reach them, by set and segment in order.
    pub(super) withheld: Vec<Vec<u64>>,
    /// How many changes the memory has avoided, by set in order.
    pub avoided: Vec<Avoided>,
    /// How many customers there are.
    pub customers: u64,
}

/// How many changes of a set the rules alone would have made, which the memory has avoided.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Avoided {
    /// The set.
    pub segment_set: String,
    /// How many there are.
    pub changes: u64,
}

impl From<(String, u64)> for Avoided {
    fn from((segment_set, changes): (String, u64)) -> Self {
        Avoided { segment_set, changes }
    }
}

/// Members of one segment, in order.
#[derive(Debug, Default)]
pub(super) struct Members {
    ids: StringBuilder,
    since: Vec<i32>,
    entered: Vec<u32>,
    previous: Vec<Option<u32>>,
    held_by: Vec<HeldBy>,
}

impl Members {
    pub(super) fn add(&mut self, id: &str, stay: &Stay, held_by: HeldBy) {
        self.ids.append_value(id);
        self.since.push(stay.since.unwrap_or_default());
        self.entered.push(stay.entered);
        self.previous.push(stay.previous);
        self.held_by.push(held_by);
    }

    pub(super) fn len(&self) -> usize {
        self.since.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// The memory that they take.
    pub(super) fn bytes(&self) -> usize {
        let of_one = size_of::<i32>() + size_of::<u32>() + size_of::<Option<u32>>() + size_of::<HeldBy>() + size_of::<i32>();
        self.ids.values_slice().len() + self.since.capacity() * of_one
    }

    fn batch(mut self, names: &Names, number: u32) -> Result<RecordBatch> {
        let (rows, of) = (self.len(), names.named(number));
        let constant = |text: &str| Arc::new(StringArray::from(vec![text; rows])) as ArrayRef;
        let previous = self.previous.iter().map(|previous| previous.map(|number| names.named(number).segment.as_str()));
        let columns = vec![
            Arc::new(self.ids.finish()) as ArrayRef,
            constant(&of.set),
            constant(&of.segment),
            days(self.since.iter().copied().map(Some)),
            Arc::new(previous.collect::<StringArray>()),
            Arc::new(Int64Array::from_iter_values(self.entered.iter().copied().map(i64::from))),
            Arc::new(StringArray::from_iter_values(self.held_by.iter().map(|held_by| held_by.word()))),
        ];
        RecordBatch::try_new(membership_schema(), columns).map_err(|error| Error::defect(format!("memberships made no table: {error}")))
    }
}

impl Assigned {
    /// The memberships, batch by batch, each of one segment. Memory is released as the batches are taken.
    pub fn into_memberships(self, names: &Names) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        self.members.into_iter().flat_map(move |(number, members)| members.into_iter().map(move |some| some.batch(names, number)))
    }
}
