//! The record of a publication: which files make it up, and what they were made from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ingest::Ledger;

/// The version of the commit file's format.
pub const FORMAT: u32 = 1;

/// A commit file: it names every file of one publication. What no commit names is not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The version of this format.
    pub format: u32,
    /// The publication's number at its destination, from 1.
    pub number: u64,
    /// The pipeline's name.
    pub pipeline: String,
    /// The day that the publication is as of (`YYYY-MM-DD`).
    pub as_of: String,
    /// The run that made it.
    pub run_id: String,
    /// The version of Segmill that made it.
    pub segmill_version: String,
    /// SHA-256 of the pipeline file and the models.
    pub project_digest: String,
    /// The parameters' values.
    pub parameters: BTreeMap<String, String>,
    /// The tables, by name.
    pub tables: BTreeMap<String, Table>,
    /// What became of the rows of every source.
    pub sources: Vec<Ledger>,
    /// The number of the publication of every as-of day, this one among them, once this commit is there.
    pub publications: BTreeMap<String, u64>,
}

/// A published table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its rows.
    pub rows: u64,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Its files in order.
    pub files: Vec<DataFile>,
}

/// A column of a published table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in the words of the pipeline file.
    #[serde(rename = "type")]
    pub column_type: String,
}

/// A file of a published table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its path from the destination.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}
