//! The record of a run as it is written: its request, inputs, steps and result.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::affinity;
use crate::engine::Operator;
use crate::error::Result;
use crate::groups;
use crate::identity::Counts;
use crate::likeness;
use crate::manifest::{Base, Input, Ledger};
use crate::predict;
use crate::publish::CheckResult;
use crate::storage::{Contents, Location};
use crate::traits;

/// The version of the record's format.
pub(super) const FORMAT: u32 = 1;

/// The largest record of an earlier run that is read, and how long it may take.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
const READS_WITHIN: Duration = Duration::from_secs(2);

/// The request, steps and result of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of this format.
    pub format: u32,
    /// The run's name.
    pub run_id: String,
    /// The pipeline's name, once it was read.
    pub pipeline: Option<String>,
    /// The day that the run was for.
    pub as_of: NaiveDate,
    /// `published`, `unchanged`, or the word for what failed, such as `refused`.
    pub status: String,
    /// The exit code.
    pub exit_code: u8,
    /// The message with which it failed.
    pub reason: Option<String>,
    /// The number of the publication that the run made, or found unchanged.
    pub publication: Option<u64>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// The most memory that the process has had so far, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// The memory that the engine's operators might use.
    pub memory_limit_bytes: u64,
    /// The threads that it worked on.
    pub threads: usize,
    /// The version of Segmill.
    pub segmill_version: String,
    /// The version of DataFusion.
    pub datafusion_version: String,
    /// SHA-256 of the pipeline file and the models.
    pub project_digest: Option<String>,
    /// The parameters' values.
    pub parameters: BTreeMap<String, String>,
    /// SHA-256 of all that the outputs depend on (see [`crate::manifest::MadeFrom`]).
    pub fingerprint: Option<String>,
    /// The files of the extracts.
    pub inputs: Vec<Input>,
    /// The publication that it builds on; none for the first one.
    #[serde(default)]
    pub predecessor: Option<Base>,
    /// The published days that are built on a superseded predecessor now that the run has published, each with the reason.
    #[serde(default)]
    pub superseded: BTreeMap<NaiveDate, String>,
    /// All that the run may write at its destination beside this record, from there: what `clean` knows to be the run's.
    #[serde(default)]
    pub files: BTreeSet<String>,
    /// What became of the rows of every source.
    pub sources: Vec<Ledger>,
    /// What the identity step found; none before it was done, and where the project has none.
    #[serde(default)]
    pub identity: Option<Counts>,
    /// What the predictions are made with, and how good they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predictions: Vec<predict::Report>,
    /// Which groups customers are in, and how they were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<groups::Report>,
    /// What offers are made from, and how good they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinities: Vec<affinity::Report>,
    /// How many traits of segments there are; none where nothing reads them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<traits::Report>,
    /// How look-alikes were found, and how well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_alikes: Vec<likeness::Report>,
    /// The results of the checks.
    pub checks: Vec<CheckResult>,
    /// The steps done, in order.
    pub steps: Vec<Step>,
    /// The step that was in progress when the run ended.
    pub unfinished_step: Option<String>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was done, such as a model's name.
    pub name: String,
    /// The rows that it gave; none for a step that makes no rows, such as `publish`.
    #[serde(default)]
    pub rows: Option<u64>,
    /// When it began, in milliseconds after the run did.
    #[serde(default)]
    pub began_ms: u64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// How long it computed, on all threads together, where the system tells.
    #[serde(default)]
    pub compute_ms: Option<u64>,
    /// Bytes of extracts that it read.
    #[serde(default)]
    pub bytes_read: u64,
    /// Bytes of operators and of materialised tables that were spilled to disk to keep to the memory limit.
    #[serde(default)]
    pub spilled_bytes: u64,
    /// The memory that tables, texts and identifiers had reserved when the step ended, before tables were released after their last reader.
    #[serde(default)]
    pub held_bytes: u64,
    /// The most memory that the process had had when the step ended, where the system tells.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// What the operators of its queries did, each before those that it takes rows from; only when `--timings` was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<Operator>,
}

/// The record of an earlier run, if it can be read within two seconds.
pub async fn earlier(destination: &Location, run_id: &str) -> Option<RunRecord> {
    let path = path_of(destination, run_id);
    let read = async {
        let found = destination.store.get(&path).await.ok().filter(|found| found.meta.size <= MAX_BYTES)?;
        serde_json::from_slice(&found.bytes().await.ok()?).ok()
    };
    tokio::time::timeout(READS_WITHIN, read).await.ok().flatten()
}

/// The record of the run that made a publication; none if it is not there any more, or of another form.
///
/// # Errors
/// As reading from the store fails.
pub async fn of_publication(destination: &Location, run_id: &str) -> Result<Option<RunRecord>> {
    Ok(match destination.read(&path_of(destination, run_id), MAX_BYTES).await? {
        Some(Contents::Bytes(bytes)) => serde_json::from_slice(&bytes).ok(),
        Some(Contents::TooLarge) | None => None,
    })
}

pub(super) fn text_of(record: &RunRecord) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(record).unwrap_or_default();
    text.push(b'\n');
    text
}

pub(super) fn path_of(destination: &Location, run_id: &str) -> Path {
    destination.join(&format!("runs/{run_id}/record.json"))
}
