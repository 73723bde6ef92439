//! Two publications, compared.

use chrono::NaiveDate;

use super::tally::Movement;

/// A publication as one side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// Its day.
    pub as_of: NaiveDate,
    /// Its number; none where it is only planned.
    pub number: Option<u64>,
    /// How many customers it has; none where that is not known.
    pub customers: Option<u64>,
}

/// Two publications, compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The pipeline.
    pub pipeline: String,
    /// The earlier publication.
    pub from: Edition,
    /// The later one.
    pub to: Edition,
    /// The sets of the later one in its order, and then those that it does not have any more.
    pub sets: Vec<ComparedSet>,
    /// How many customers of the earlier one have become one with others.
    pub merged: u64,
    /// Who entered, left or moved.
    pub movement: Movement,
    /// Whether the days between tell all causes.
    pub causes_known: bool,
    /// What somebody should know of it.
    pub notes: Vec<String>,
}

/// A set, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedSet {
    /// Its name.
    pub segment_set: String,
    /// In how many of its segments a customer can be.
    pub kind: String,
    /// Its segments in order.
    pub segments: Vec<ComparedSegment>,
}

/// A segment, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedSegment {
    /// Its name.
    pub segment: String,
    /// Its members in the earlier publication.
    pub before: u64,
    /// Its members in the later one.
    pub after: u64,
    /// Whether the later one does not have it any more.
    pub is_gone: bool,
}
