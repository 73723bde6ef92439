//! The state of a run while it goes on: it keeps the run's record, and says whether the run may still be stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use super::run_record::{FORMAT, RunRecord, Step, path_of, text_of};
use crate::clock::{self, Doing, Stopwatch};
use crate::config::Project;
use crate::engine::{self, Limits};
use crate::error::{Error, Message, Result};
use crate::manifest::Commit;
use crate::shown;
use crate::storage::Location;

/// How long writing the record may take. It gets less time when the run failed because a store did not answer.
const WRITES_WITHIN: Duration = Duration::from_secs(20);

const WRITES_WITHIN_AFTER_FAILURE: Duration = Duration::from_secs(5);

const RUNNING: u8 = 0;

const PUBLISHING: u8 = 1;

const STOPPED: u8 = 2;

/// Keeps the record of a run in progress. When a run is stopped from outside, whoever stops it closes the record.
#[derive(Debug)]
pub struct Recorder {
    record: Mutex<RunRecord>,
    destination: Mutex<Option<Location>>,
    /// The project, once it was read.
    project: OnceLock<Arc<Project>>,
    /// The newest commit at the destination when the run began, once it was read.
    newest: OnceLock<Commit>,
    /// [`RUNNING`], [`PUBLISHING`] or [`STOPPED`].
    state: AtomicU8,
    /// The commit, for people, once it is there.
    published: OnceLock<String>,
    /// A local file that the record is written to as well.
    local: Option<PathBuf>,
    since: Stopwatch,
    doing: Doing,
}

impl Recorder {
    /// Begins the record of a run, and gives the run a unique name.
    pub fn start(as_of: NaiveDate, limits: Limits, local: Option<PathBuf>) -> Self {
        let now = clock::now();
        let record = RunRecord {
            format: FORMAT,
            run_id: run_id(as_of, now),
            pipeline: None,
            as_of,
            status: "running".to_owned(),
            exit_code: 0,
            reason: None,
            publication: None,
            started_at: now,
            ended_at: now,
            elapsed_ms: 0,
            peak_memory_bytes: None,
            memory_limit_bytes: limits.memory_bytes as u64,
            threads: limits.threads,
            segmill_version: env!("CARGO_PKG_VERSION").to_owned(),
            datafusion_version: datafusion::DATAFUSION_VERSION.to_owned(),
            project_digest: None,
            parameters: BTreeMap::new(),
            fingerprint: None,
            inputs: Vec::new(),
            predecessor: None,
            superseded: BTreeMap::new(),
            files: BTreeSet::new(),
            sources: Vec::new(),
            identity: None,
            predictions: Vec::new(),
            clusters: Vec::new(),
            affinities: Vec::new(),
            traits: None,
            look_alikes: Vec::new(),
            checks: Vec::new(),
            steps: Vec::new(),
            unfinished_step: None,
        };
        let (record, destination, state) = (Mutex::new(record), Mutex::default(), AtomicU8::new(RUNNING));
        let (project, newest, published) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Recorder { record, destination, project, newest, state, published, local, since: Stopwatch::start(), doing: Doing::default() }
    }

    /// The run's name.
    pub fn run_id(&self) -> String {
        self.lock().run_id.clone()
    }

    /// How long the run has gone on.
    pub fn elapsed_ms(&self) -> u64 {
        self.since.elapsed_ms()
    }

    /// The record as it is so far.
    pub fn so_far(&self) -> RunRecord {
        self.lock().clone()
    }

    /// Keeps the project, for who is told how the run ended. It is not part of the record.
    pub fn reads(&self, project: &Arc<Project>) {
        // A run reads one project.
        let _ = self.project.set(Arc::clone(project));
    }

    /// The project, once it was read.
    pub fn project(&self) -> Option<&Arc<Project>> {
        self.project.get()
    }

    /// Keeps the newest commit at the destination. It is not part of the record.
    pub fn finds(&self, newest: &Commit) {
        let _ = self.newest.set(newest.clone());
    }

    /// The newest commit at the destination when the run began, once it was read.
    pub fn newest(&self) -> Option<&Commit> {
        self.newest.get()
    }

    /// The name of the run, its pipeline and its day, and the step that is in progress: what tells its log lines from others.
    pub fn context(&self) -> (String, Option<String>, NaiveDate, Option<String>) {
        let record = self.lock();
        (record.run_id.clone(), record.pipeline.clone(), record.as_of, record.unfinished_step.clone())
    }

    /// What the run is doing at the moment; not part of the record.
    pub fn doing(&self) -> &Doing {
        &self.doing
    }

    /// A step begins.
    pub fn begin_step(&self, name: &str) {
        self.doing.begins(format!("the step `{name}`"));
        self.note(|record| record.unfinished_step = Some(name.to_owned()));
    }

    /// Changes the record.
    pub fn note(&self, write: impl FnOnce(&mut RunRecord)) {
        write(&mut self.lock());
    }

    /// The record as it is so far.
    pub fn record(&self) -> RunRecord {
        self.lock().clone()
    }

    /// The record as it is so far, as who reads it later has it: numbers with a fraction may lose their last bit on the way.
    pub fn as_read(&self) -> Option<RunRecord> {
        serde_json::from_slice(&text_of(&self.lock())).ok()
    }

    /// The steps done so far.
    pub fn steps(&self) -> Vec<Step> {
        self.lock().steps.clone()
    }

    /// Sets the destination of the outputs, where the record is written too.
    pub fn goes_to(&self, destination: &Location) {
        *self.destination.lock().unwrap_or_else(PoisonError::into_inner) = Some(destination.clone());
    }

    /// Records which files the run may write, and writes the record before the first of them. If the run dies, its files can be told
    /// from others by its record.
    ///
    /// # Errors
    /// As writing to the store fails.
    pub async fn begin_writing(&self, files: BTreeSet<String>) -> Result<()> {
        self.note(|record| record.files = files);
        let destination = self.destination.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(destination) = destination else { return Ok(()) };
        let path = path_of(&destination, &self.run_id());
        let text = text_of(&self.lock());
        destination.put(&path, text).await
    }

    /// Marks the run as publishing, unless it was stopped.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it was stopped. Whoever stopped it reports why.
    pub fn begin_publishing(&self) -> Result<()> {
        let begun = self.state.compare_exchange(RUNNING, PUBLISHING, Ordering::SeqCst, Ordering::SeqCst);
        begun.map(|_| ()).map_err(|_| Error::Conflict(Message::new("the run was stopped; nothing was published")))
    }

    /// Notes that the commit is there, whatever comes after it.
    pub fn has_published(&self, number: u64, commit_shown: &str) {
        self.note(|record| record.publication = Some(number));
        let _ = self.published.set(commit_shown.to_owned());
    }

    /// The commit, for people, once it is there.
    pub fn published(&self) -> Option<&String> {
        self.published.get()
    }

    /// Stops the run before it publishes; false when it has begun to publish.
    pub fn stop(&self) -> bool {
        self.state.compare_exchange(RUNNING, STOPPED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Whether the run was stopped. Then whoever stopped it closes the record.
    pub fn is_stopped(&self) -> bool {
        self.state.load(Ordering::SeqCst) == STOPPED
    }

    /// Ends the record with the run's result, and writes it. The result is the number of the publication and whether this run made it.
    /// A run does not fail when its record cannot be written; the log says so.
    pub async fn close(&self, result: Result<(u64, bool), &Error>) {
        self.note(|record| {
            record.ended_at = clock::now();
            record.elapsed_ms = self.since.elapsed_ms();
            record.peak_memory_bytes = engine::peak_memory();
            match result {
                Ok((number, made)) => {
                    if made { "published" } else { "unchanged" }.clone_into(&mut record.status);
                    record.publication = Some(number);
                }
                Err(error) => {
                    error.kind().clone_into(&mut record.status);
                    record.exit_code = error.exit_status() as u8;
                    record.reason = Some(shown::without_given(&error.to_string()).into_owned());
                }
            }
        });
        let record = self.lock().clone();
        let text = text_of(&record);
        if let Some(local) = &self.local
            && let Err(error) = std::fs::write(local, &text)
        {
            tracing::error!("the run record was not written to {}: {}", local.display(), crate::storage::of_system(&error));
        }
        let destination = self.destination.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(destination) = destination else { return };
        let path = path_of(&destination, &record.run_id);
        let within = if matches!(result, Err(Error::Unavailable(_))) { WRITES_WITHIN_AFTER_FAILURE } else { WRITES_WITHIN };
        let put = tokio::time::timeout(within, destination.put(&path, text)).await;
        let why = match put {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("{} was not written within {} s", destination.shown(&path), within.as_secs()),
        };
        // A failed run has reported its failure already, which usually has the same cause.
        if record.exit_code == 0 {
            tracing::error!("the run record was not written: {why}");
        } else {
            tracing::warn!("the run record was not written: {why}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A unique name for a run.
fn run_id(as_of: NaiveDate, now: DateTime<Utc>) -> String {
    let unique = u64::from(std::process::id()) << 32 | u64::from(now.timestamp_subsec_nanos());
    format!("{as_of}-{}-{unique:016x}", now.format("%Y%m%dT%H%M%SZ"))
}
