//! The states of a run's tables on their way to a publication: staged, checked, published.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::check::{CheckResult, Personal};
use super::layout::{REJECTED, commit_shown, folder_path, redshift_manifest_path, report_path, urls_path};
use super::publications::Publications;
use super::write::Written;
use super::{commit, folders, load_manifests, pending, write};
use crate::config::Pipeline;
use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, DataFile, KeptFile, Table};
use crate::storage::Location;

/// The tables that a run has written so far.
pub struct Staging {
    pub(super) destination: Location,
    pub(super) run_id: String,
    pub(super) as_of: NaiveDate,
    /// What was published when the run began.
    pub(super) seen: Publications,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) state: BTreeMap<String, DataFile>,
    /// The tables of the state that are being written.
    pub(super) begun: JoinSet<Result<(String, DataFile)>>,
    /// The project that the publication is made with, once it is written.
    pub(super) project: Option<KeptFile>,
    /// The report of the publication, once it is written.
    pub(super) report: Option<KeptFile>,
    /// Which columns may not be shown; while it is not known, none may.
    pub(super) personal: Option<Personal>,
    /// Whether they are written for a look alone, and go again.
    pub(super) is_trial: bool,
}

/// The rows of a table, in order of a key that no two of them share.
pub struct Rows {
    /// The table.
    pub table: String,
    /// The columns of the key.
    pub key: Vec<String>,
    /// The rows.
    pub rows: SendableRecordBatchStream,
}

/// All tables of a run, written but not checked.
pub struct Staged {
    pub(super) staging: Staging,
    /// What the queries of checks read as `$name`.
    pub(super) parameters: BTreeMap<String, ScalarValue>,
}

/// All tables of a run, written, and what was to be checked holds.
pub struct Checked {
    pub(super) staging: Staging,
    pub(super) check_results: Vec<CheckResult>,
}

/// A publication.
#[derive(Debug)]
pub struct Published {
    /// What it is.
    pub commit: Commit,
    /// Where its commit file is.
    pub commit_shown: String,
    /// Where every table's files are, by table.
    pub tables_shown: BTreeMap<String, Vec<String>>,
    /// Where its report is, if the run made one.
    pub report_shown: Option<String>,
    /// What was checked.
    pub check_results: Vec<CheckResult>,
}

impl Staging {
    /// Begins to stage a run's tables, for a day, on top of what it saw published.
    pub fn new(destination: Location, run_id: String, as_of: NaiveDate, seen: Publications) -> Self {
        Staging {
            destination,
            run_id,
            as_of,
            seen,
            tables: BTreeMap::new(),
            state: BTreeMap::new(),
            begun: JoinSet::new(),
            project: None,
            report: None,
            personal: None,
            is_trial: false,
        }
    }

    /// Says which columns of the outputs are personal; values of the others may be told.
    pub fn of_pipeline(self, pipeline: &Pipeline) -> Self {
        Staging { personal: Some(Personal::of(pipeline)), ..self }
    }

    /// Says whether the tables are written for a look alone: then messages do not say where they are.
    pub fn as_trial(self, is_trial: bool) -> Self {
        Staging { is_trial, ..self }
    }

    /// Writes tables, all at once; how many rows they have.
    ///
    /// # Errors
    /// [`Error::Refused`] when two rows of a table have one key; otherwise as writing to the store fails.
    pub async fn write(&mut self, tables: Vec<Rows>) -> Result<u64> {
        let mut writing = JoinSet::new();
        for Rows { table, key, rows } in tables {
            let path = format!("runs/{}/{table}.parquet", self.run_id);
            let location = self.destination.join(&path);
            let shown = self.destination.shown(&location);
            let store = Arc::clone(&self.destination.store);
            let key = write::Key {
                // Several records may stand on one line, and be rejected for the same reason.
                may_repeat: table == REJECTED,
                may_be_told: key.iter().map(|column| self.personal.as_ref().is_some_and(|personal| !personal.is(&table, column))).collect(),
                columns: key,
            };
            writing.spawn(async move {
                let written = write::parquet(store, location, &shown, &table, &key, rows).await;
                (table, path, written)
            });
        }
        // In a fixed order, so that of several failures always the same one is told.
        let mut done = writing.join_all().await;
        done.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        done.into_iter().try_fold(0, |rows, (table, path, written)| Ok(rows + self.add(table, path, written?)))
    }

    /// Takes a table that was written into the publication; its rows.
    fn add(&mut self, name: String, path: String, written: Written) -> u64 {
        let rows = written.rows;
        let table = Table {
            rows,
            columns: written.columns,
            personal_columns: None,
            files: vec![DataFile { path, bytes: written.bytes, rows, sha256: written.sha256 }],
            folder_path: folder_path(&name, self.as_of),
            urls_path: urls_path(&self.run_id, &name),
            redshift_manifest_path: redshift_manifest_path(&self.destination, &self.run_id, &name),
        };
        self.tables.insert(name, table);
        rows
    }

    /// Where the tables are written.
    pub fn destination(&self) -> &Location {
        &self.destination
    }

    /// Where a staged table is, for people.
    pub fn shown(&self, table: &str) -> Option<String> {
        let file = self.tables.get(table).filter(|_| !self.is_trial)?.files.first()?;
        Some(self.destination.shown(&self.destination.join(&file.path)))
    }

    /// Ends the writing.
    pub fn finish(self) -> Staged {
        Staged { staging: self, parameters: BTreeMap::new() }
    }
}

impl Checked {
    /// The tables that will be published.
    pub fn tables(&self) -> &BTreeMap<String, Table> {
        &self.staging.tables
    }

    /// Where they are.
    pub fn destination(&self) -> &Location {
        &self.staging.destination
    }

    /// What was published when the run began.
    pub fn seen(&self) -> &Publications {
        &self.staging.seen
    }

    /// Writes the report of the publication beside its tables, to be named by its commit.
    ///
    /// # Errors
    /// As writing to the store fails.
    pub async fn write_report(&mut self, page: String) -> Result<()> {
        let path = report_path(&self.staging.run_id);
        let kept = KeptFile { bytes: page.len() as u64, sha256: format!("{:x}", Sha256::digest(&page)), path };
        self.staging.destination.put(&self.staging.destination.join(&kept.path), page.into_bytes()).await?;
        self.staging.report = Some(kept);
        Ok(())
    }

    /// What would be published now, which `describe` fills in.
    pub fn draft(&self, describe: impl FnOnce(BTreeMap<String, Table>) -> Commit) -> Commit {
        let Staging { tables, state, project, report, .. } = &self.staging;
        Commit { state: state.clone(), project: project.clone(), report: report.clone(), ..describe(tables.clone()) }
    }

    /// Removes what was written, because it is not published; what was checked. What a store does not remove now, `clean` removes later.
    pub async fn discard(self) -> Vec<CheckResult> {
        let Staging { destination, tables, state, project, report, .. } = self.staging;
        let data = tables.into_values().flat_map(|table| table.files).chain(state.into_values()).map(|file| file.path);
        for path in data.chain(project.into_iter().chain(report).map(|file| file.path)) {
            let _ = destination.store.delete(&destination.join(&path)).await;
        }
        self.check_results
    }

    /// What would be published, which `describe` fills in, and what was checked.
    pub fn unpublished(self, describe: impl FnOnce(BTreeMap<String, Table>) -> Commit) -> (Commit, Vec<CheckResult>) {
        let Checked { staging, check_results } = self;
        let Staging { tables, state, project, report, .. } = staging;
        (Commit { state, project, report, ..describe(tables) }, check_results)
    }

    /// Publishes the tables: makes the lists that loaders take, creates the next commit file, which `describe` fills in,
    /// and brings the day's folders up to date.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another run published first; otherwise as the store fails. What failed after the
    /// commit says so.
    pub async fn publish(self, describe: impl FnOnce(BTreeMap<String, Table>) -> Commit) -> Result<Published> {
        let Checked { staging, check_results } = self;
        let Staging { destination, seen, tables, state, project, report, .. } = staging;
        for table in tables.values() {
            load_manifests::write(&destination, table).await?;
        }
        let draft = Commit { state, project, report, ..describe(tables) };
        let (commit, note) = commit::create(&destination, draft, &seen).await?;
        let commit_shown = commit_shown(&destination, commit.number);
        let settled = async {
            folders::refresh(&destination, note.as_of, &note.tables, note.purpose).await?;
            pending::remove(&destination, &note.run_id).await
        };
        settled.await.map_err(|error| behind(&commit_shown, error))?;
        let shown_files = |table: &Table| table.files.iter().map(|file| destination.shown(&destination.join(&file.path))).collect();
        let tables_shown = commit.tables.iter().map(|(name, table)| (name.clone(), shown_files(table))).collect();
        let report_shown = commit.report.as_ref().map(|report| destination.shown(&destination.join(&report.path)));
        Ok(Published { commit, commit_shown, tables_shown, report_shown, check_results })
    }
}

/// A failure after the commit: the tables are published, and readers of the folders do not see them yet.
fn behind(commit_shown: &str, error: Error) -> Error {
    let why = error.to_string();
    Error::Unavailable(
        Message::new(format!("published as {commit_shown}, but the folders by day are not up to date"))
            .detail(why.lines().next().unwrap_or_default())
            .hint("run again: it publishes nothing and brings them up to date"),
    )
}
