//! The record of a publication: which files make it up, and what they were made from.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
    /// The pipeline's name; empty in a commit that does not say, whose destination any pipeline may take over.
    #[serde(default)]
    pub pipeline: String,
    /// The day that the publication is as of.
    pub as_of: NaiveDate,
    /// The run that made it.
    pub run_id: String,
    /// The version of Segmill that made it.
    pub segmill_version: String,
    /// SHA-256 of the pipeline file and the models.
    pub project_digest: String,
    /// The parameters' values.
    pub parameters: BTreeMap<String, String>,
    /// SHA-256 of all that the outputs depend on (see [`fingerprint`]).
    pub fingerprint: String,
    /// The tables, by name.
    pub tables: BTreeMap<String, Table>,
    /// What the publication keeps for the next one, by name: files that are no output.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, DataFile>,
    /// What tells whether identifiers were hashed with the same salt; none where the project has no identity step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_hash_id: Option<String>,
    /// What became of the rows of every source.
    pub sources: Vec<Ledger>,
    /// The number of the publication of every as-of day, this one among them, once this commit is there.
    pub publications: BTreeMap<NaiveDate, u64>,
    /// Days that this commit takes out of what is published. Such a commit publishes nothing itself: it has no tables.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub withdrawn: BTreeSet<NaiveDate>,
    /// By source, a digest of the location at which it last had files: one that has none there is late, and one that never had any is wrong.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub locations: BTreeMap<String, String>,
}

impl Commit {
    /// Whether it is the publication of its day, rather than one that takes days out.
    pub fn publishes(&self) -> bool {
        self.withdrawn.is_empty()
    }
}

impl Commit {
    /// Every file that the publication needs: of its tables, and what it keeps.
    pub fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.tables.values().flat_map(|table| &table.files).chain(self.kept.values())
    }
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
    /// Where the day's rows are for readers that list folders, from the destination: `TABLE/as_of=DAY/TABLE.parquet`.
    pub folder_path: String,
    /// The list of its files' URLs, a line each, from the destination.
    pub urls_path: String,
    /// The list of its files as Redshift's `COPY … MANIFEST` takes it, from the destination; on S3 only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redshift_manifest_path: Option<String>,
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

/// A note that a run leaves while it changes a day, for whoever comes after it if it dies.
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
    /// The run is taken for dead, and its files are being removed. It finds its name taken, and gives up.
    Clean,
}

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

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The source that it belongs to.
    pub source: String,
    /// Its path or URL, as people would type it.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// What the store calls this version of it: its `ETag`, or else the time of its last change.
    pub version: String,
}

/// SHA-256 of all that a run's outputs depend on. With an equal one a run would write the same again: the version of
/// Segmill, the project, the variables that its pipeline file reads, the parameters (the as-of day among them), the
/// version of every input, and what the publication before it keeps.
pub fn fingerprint(
    project_digest: &str,
    variables: &BTreeMap<&str, &str>,
    parameters: &BTreeMap<String, String>,
    inputs: &[Input],
    kept: &BTreeMap<String, DataFile>,
) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        // With its length before it, no text can be taken for the end of one and the start of the next.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    add(env!("CARGO_PKG_VERSION"));
    add(project_digest);
    for (name, value) in variables {
        add(name);
        add(value);
    }
    for (name, value) in parameters {
        add(name);
        add(value);
    }
    for input in inputs {
        for text in [&input.source, &input.file, &input.bytes.to_string(), &input.version] {
            add(text);
        }
    }
    for (name, file) in kept {
        add(name);
        add(&file.sha256);
    }
    format!("{:x}", hash.finalize())
}
