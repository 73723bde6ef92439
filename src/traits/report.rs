//! What is told of traits, in a run's record and summary.

use serde::{Deserialize, Serialize};

/// How many traits there are, and what is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The segments whose traits are told.
    pub segments: u64,
    /// The segments with members of which nothing is told, since they, or those outside, are too few.
    pub segments_too_small: u64,
    /// The traits.
    pub traits: u64,
    /// The columns of the profile with more texts than are counted.
    pub columns_with_too_many_values: Vec<String>,
}
