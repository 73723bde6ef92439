//! What the record of a run says about its files, as later runs and `clean` read it.

use std::collections::BTreeSet;

use serde::Deserialize;

/// What the record of a run says that concerns its files. It is there before the first of them.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// The run.
    pub run_id: String,
    /// The version of Segmill, by which a record is told from those that other programs keep of their runs.
    pub segmill_version: String,
    /// The pipeline, once it was read.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// `running` until the run has come to something.
    pub status: String,
    /// The number of the publication that it made.
    #[serde(default)]
    pub publication: Option<u64>,
    /// All that the run may write, from the destination.
    #[serde(default)]
    pub files: BTreeSet<String>,
}
