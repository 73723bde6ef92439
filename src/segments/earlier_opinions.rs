//! What the definition of the predecessor publication says of the customers of a batch today.

use std::sync::Arc;

/// What the earlier definition says of the customers of a batch.
#[derive(Debug, Clone, Default)]
pub enum EarlierOpinions {
    /// There is no other definition.
    #[default]
    Same,
    /// It is not known.
    Unknown,
    /// It is known, except for some rows.
    Known(EarlierMembers),
}

/// Who would be in which segment, by row of a batch.
#[derive(Debug, Clone, Default)]
pub struct EarlierMembers {
    /// What differs between the definitions.
    pub detail: Arc<str>,
    /// By row, where its segments begin; and where the last ones end.
    pub starts: Vec<usize>,
    /// The numbers of the segments of all sets, of each row in order.
    pub members: Vec<u32>,
    /// The rows on which the other definition fails.
    pub failed: Vec<usize>,
}

/// What the earlier definition says of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion<'a> {
    /// There is no other definition: it says the same as today's.
    Same,
    /// It is not known.
    Unknown,
    /// The numbers of the segments of all sets that the customer would be in, in order; and what differs between the definitions.
    Members(&'a [u32], &'a str),
}

impl EarlierOpinions {
    /// What is said of the customer of a row.
    pub fn of(&self, row: usize) -> Opinion<'_> {
        match self {
            EarlierOpinions::Same => Opinion::Same,
            EarlierOpinions::Unknown => Opinion::Unknown,
            EarlierOpinions::Known(known) if known.failed.binary_search(&row).is_ok() => Opinion::Unknown,
            EarlierOpinions::Known(known) => Opinion::Members(&known.members[known.starts[row]..known.starts[row + 1]], &known.detail),
        }
    }
}

impl EarlierMembers {
    /// Ends a row, whose segments have been added.
    pub(super) fn end_row(&mut self) {
        let start = self.starts.last().copied().unwrap_or_default();
        self.members[start..].sort_unstable();
        self.starts.push(self.members.len());
    }
}
