//! The note that a run leaves at the destination while it changes a day.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// A note that a run leaves while it changes a day. If the run dies, the next run finds the note and finishes its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The run.
    pub run_id: String,
    /// The day.
    pub as_of: NaiveDate,
    /// The tables whose folders it changes.
    pub tables: BTreeSet<String>,
    /// What the note is for.
    #[serde(default)]
    pub purpose: Purpose,
}

/// What a pending note is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The run is about to publish the day.
    #[default]
    Publish,
    /// The day is taken out of what is published.
    Withdraw,
    /// The run is taken for dead, and its files are being removed. Should it still be alive, it finds this note and gives up.
    Clean,
}
