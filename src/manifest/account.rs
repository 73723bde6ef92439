//! What the record of a run says about its files, as later runs and `clean` read it.

use std::collections::BTreeSet;

use serde::Deserialize;

/// The part of a run's record that says which files are the run's. It is written before the first of them.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// The run.
    pub run_id: String,
    /// The version of Segmill. Records of other programs do not have it.
    pub segmill_version: String,
    /// The pipeline, once it was read.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// `running` until the run has ended.
    pub status: String,
    /// The number of the publication that it made.
    #[serde(default)]
    pub publication: Option<u64>,
    /// The paths of all files that the run may write, relative to the destination.
    #[serde(default)]
    pub files: BTreeSet<String>,
}
