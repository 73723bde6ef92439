//! stage → check → commit. Outputs are written under the run's own prefix, checked as written, and become visible all
//! at once when one commit file names them.
//!
//! ```text
//! Staging ──table()──▶ Staging ──finish()──▶ Staged ──check()──▶ Checked ──publish()──▶ Published
//! ```
//!
//! Only [`Checked`] has `publish`, so what was not checked cannot be published. At the destination:
//!
//! ```text
//! runs/RUN_ID/TABLE.parquet   what one run wrote; of no meaning until a commit names it
//! commits/00000001.json       a publication (see [`crate::manifest::Commit`]), created only if it is not there
//! ```

mod check;
mod publications;
mod write;

pub use check::Verdict;
pub use publications::Publications;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use object_store::{PutMode, PutOptions, PutPayload};

use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, DataFile, Table};
use crate::storage::{self, Location};

/// The tables that a run has written so far.
pub struct Staging {
    destination: Location,
    run_id: String,
    tables: BTreeMap<String, Table>,
}

/// All tables of a run, written but not checked.
pub struct Staged(Staging);

/// All tables of a run, written, and what was to be checked holds.
pub struct Checked {
    staging: Staging,
    verdicts: Vec<Verdict>,
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
    /// What was checked.
    pub verdicts: Vec<Verdict>,
}

impl Staging {
    /// Begins to stage a run's tables.
    pub fn new(destination: Location, run_id: String) -> Self {
        Staging { destination, run_id, tables: BTreeMap::new() }
    }

    /// Writes a table, whose rows must come in order of `key`.
    ///
    /// # Errors
    /// [`Error::Refused`] when two rows have one key; otherwise as writing to the store fails.
    pub async fn table(&mut self, name: &str, key: &[String], rows: SendableRecordBatchStream) -> Result<u64> {
        let path = format!("runs/{}/{name}.parquet", self.run_id);
        let location = self.destination.join(&path);
        let shown = self.destination.shown(&location);
        let written = write::parquet(Arc::clone(&self.destination.store), location, &shown, name, key, rows).await?;
        let rows = written.rows;
        let file = DataFile { path, bytes: written.bytes, rows, sha256: written.sha256 };
        self.tables.insert(name.to_owned(), Table { rows, columns: written.columns, files: vec![file] });
        Ok(rows)
    }

    /// Where a staged table is, for people.
    pub fn shown(&self, table: &str) -> Option<String> {
        let file = self.tables.get(table)?.files.first()?;
        Some(self.destination.shown(&self.destination.join(&file.path)))
    }

    /// Ends the writing.
    pub fn finish(self) -> Staged {
        Staged(self)
    }
}

impl Checked {
    /// What was checked.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Publishes the tables by creating the next commit file, which `describe` fills in.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another run published first; otherwise as writing to the store fails.
    pub async fn publish(self, describe: impl FnOnce(u64, BTreeMap<String, Table>) -> Commit) -> Result<Published> {
        let Checked { staging, verdicts } = self;
        let destination = &staging.destination;
        let known = Publications::read(destination).await?;
        let number = known.newest_number() + 1;
        let mut commit = describe(number, staging.tables.clone());
        commit.publications = known.by_day().into_iter().map(|(day, number)| (day.to_string(), number)).collect();
        commit.publications.insert(commit.as_of.clone(), number);
        let mut text = serde_json::to_vec_pretty(&commit).map_err(|error| Error::defect(format!("the commit was not written: {error}")))?;
        text.push(b'\n');
        let path = publications::commit_path(destination, number);
        let shown = destination.shown(&path);
        let created = destination.store.put_opts(&path, PutPayload::from(text), PutOptions::from(PutMode::Create)).await;
        match created {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                let message = Message::new(format!("another run published {shown} first; this one published nothing"));
                return Err(Error::Conflict(message.hint("run again: it will see what the other run published")));
            }
            Err(error) => return Err(storage::failure("create", &shown, error)),
        }
        let shown_files = |table: &Table| table.files.iter().map(|file| destination.shown(&destination.join(&file.path))).collect();
        let tables_shown = commit.tables.iter().map(|(name, table)| (name.clone(), shown_files(table))).collect();
        Ok(Published { commit, commit_shown: shown, tables_shown, verdicts })
    }
}
