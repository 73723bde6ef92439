//! stage → check → commit. Outputs are written under the run's own prefix, checked as written, and become visible all
//! at once when one commit file names them.
//!
//! ```text
//! Staging ──write()──▶ Staging ──finish()──▶ Staged ──check()──▶ Asked ──passed()──▶ Checked ──publish()──▶ Published
//! ```
//!
//! Only [`Checked`] has `publish`, so what was not checked cannot be published. At the destination:
//!
//! ```text
//! runs/RUN_ID/TABLE.parquet          what one run wrote; of no meaning until a commit names it
//! runs/RUN_ID/kept/NAME.parquet      what the publication keeps for the next one
//! runs/RUN_ID/failed_checks/         the rows that checks objected to, personal values left out
//! runs/RUN_ID/load/                  lists of those files, as loaders take them
//! commits/00000001.json              a publication (see [`crate::manifest::Commit`]), created only if it is not there
//! pending/RUN_ID.json                there while a run publishes; left behind by one that died
//! TABLE/as_of=DAY/TABLE.parquet      a copy of the day's publication, for readers that only list folders
//! ```

mod check;
pub mod clean;
mod commit;
mod folders;
mod kept;
pub mod loads;
mod pending;
mod publications;
mod write;

pub use check::{Asked, CheckOutcome, Output, Verdict, problems as check_problems};
pub use kept::Keep;
pub use pending::settle;
pub use publications::Publications;

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStoreExt;

use crate::config::{Pipeline, Project, Values, span_of};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, DataFile, Table};
use crate::storage::{self, Location, Stores};
use chrono::NaiveDate;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use tokio::task::JoinSet;
use write::Written;

/// What a publication keeps of who is who: the map of identifiers, and the ids that merges have ended.
pub const IDENTITY_MAP: &str = "identity_map";
/// See [`IDENTITY_MAP`].
pub const IDENTITY_ALIASES: &str = "identity_aliases";

/// The folder of what runs write.
const RUNS: &str = "runs";

/// Why a name is none for an output, whose folder stands beside those of the commits, or that cannot be a folder.
pub fn unfit_name(table: &str) -> Option<&'static str> {
    const TAKEN: [&str; 4] = [RUNS, publications::COMMITS, pending::PENDING, "rejected"];
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if TAKEN.contains(&table) {
        return Some("Segmill keeps something of its own under that name at the destination");
    }
    (table.is_empty() || !table.chars().all(plain)).then_some("it has characters other than letters, digits, `_` and `-`")
}

/// The tables that a run has written so far.
pub struct Staging {
    destination: Location,
    run_id: String,
    as_of: NaiveDate,
    /// What was published when the run began.
    seen: Publications,
    tables: BTreeMap<String, Table>,
    kept: BTreeMap<String, DataFile>,
    /// Which columns may not be shown; while it is not known, none may.
    personal: Option<check::Personal>,
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
    staging: Staging,
    /// What the queries of checks read as `$name`.
    parameters: BTreeMap<String, ScalarValue>,
}

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
    /// Begins to stage a run's tables, for a day, on top of what it saw published.
    pub fn new(destination: Location, run_id: String, as_of: NaiveDate, seen: Publications) -> Self {
        Staging { destination, run_id, as_of, seen, tables: BTreeMap::new(), kept: BTreeMap::new(), personal: None }
    }

    /// Says which columns of the outputs are personal; values of the others may be told.
    pub fn of_pipeline(self, pipeline: &Pipeline) -> Self {
        Staging { personal: Some(check::Personal::of(pipeline)), ..self }
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
            files: vec![DataFile { path, bytes: written.bytes, rows, sha256: written.sha256 }],
            folder_path: folders::path(&name, self.as_of),
            urls_path: loads::urls_path(&self.run_id, &name),
            redshift_manifest_path: loads::redshift_manifest_path(&self.destination, &self.run_id, &name),
        };
        self.tables.insert(name, table);
        rows
    }

    /// Where a staged table is, for people.
    pub fn shown(&self, table: &str) -> Option<String> {
        let file = self.tables.get(table)?.files.first()?;
        Some(self.destination.shown(&self.destination.join(&file.path)))
    }

    /// Ends the writing.
    pub fn finish(self) -> Staged {
        Staged { staging: self, parameters: BTreeMap::new() }
    }
}

impl Checked {
    /// Publishes the tables: makes the lists that loaders take, creates the next commit file, which `describe` fills in,
    /// and brings the day's folders up to date.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another run published first; otherwise as the store fails. What failed after the
    /// commit says so.
    pub async fn publish(self, describe: impl FnOnce(BTreeMap<String, Table>) -> Commit) -> Result<Published> {
        let Checked { staging, verdicts } = self;
        let Staging { destination, seen, tables, kept, .. } = staging;
        for table in tables.values() {
            loads::write(&destination, table).await?;
            still_there(&destination, &table.files).await?;
        }
        for file in kept.values() {
            still_there(&destination, std::slice::from_ref(file)).await?;
        }
        let draft = Commit { kept, ..describe(tables) };
        let (commit, note) = commit::create(&destination, draft, &seen).await?;
        let commit_shown = commit_shown(&destination, commit.number);
        let settled = async {
            folders::refresh(&destination, note.as_of, &note.tables).await?;
            pending::remove(&destination, &note.run_id).await
        };
        settled.await.map_err(|error| behind(&commit_shown, error))?;
        let shown_files = |table: &Table| table.files.iter().map(|file| destination.shown(&destination.join(&file.path))).collect();
        let tables_shown = commit.tables.iter().map(|(name, table)| (name.clone(), shown_files(table))).collect();
        Ok(Published { commit, commit_shown, tables_shown, verdicts })
    }
}

/// Sees that nobody has removed files since they were checked, as a `clean` with too short a grace does.
async fn still_there(destination: &Location, files: &[DataFile]) -> Result<()> {
    for file in files {
        let path = destination.join(&file.path);
        let shown = destination.shown(&path);
        let meta = destination.store.head(&path).await.map_err(|error| storage::failure("publish", &shown, error))?;
        if meta.size != file.bytes {
            let message = Message::new(format!("{shown} has {} bytes where {} were written", meta.size, file.bytes));
            return Err(Error::Unavailable(message.hint("somebody changed it; nothing was published; run again")));
        }
    }
    Ok(())
}

/// Where a project's outputs go: where was typed, or else where the pipeline file says.
///
/// # Errors
/// [`Error::Project`] when the location has no meaning.
pub fn destination(typed: Option<&str>, project: &Project, stores: &Stores) -> Result<Location> {
    match typed {
        // What a person types is relative to where they are; what the file says, to the project.
        Some(typed) => stores.open(typed, std::path::Path::new("")),
        None => stores.open(&project.pipeline.outputs.destination.value, &project.root),
    }
}

/// Refuses sources that would read what the run publishes: each run would count what the one before it found.
///
/// # Errors
/// [`Error::Project`] naming every such source.
pub fn refuse_own_outputs(destination: &Location, project: &Project, values: &Values, stores: &Stores) -> Result<()> {
    let run = format!("{RUNS}/{}-run", values.as_of);
    let tables = project.pipeline.outputs.tables.keys().map(String::as_str).chain(["rejected"]);
    let mut written: Vec<String> =
        tables.flat_map(|table| [folders::path(table, values.as_of), format!("{run}/{table}.parquet")]).collect();
    written.extend([format!("{run}/record.json"), format!("{}/00000001.json", publications::COMMITS)]);
    let mut problems = Vec::new();
    for (name, source) in &project.pipeline.sources {
        let location = stores.open(&source.location.value, &project.root)?;
        if let Some(own) = written.iter().find(|path| location.matches(destination, &destination.join(path))) {
            let problem = Diagnostic::error("reads-own-outputs", format!("the source `{name}` would read what this pipeline publishes"));
            problems.push(
                problem
                    .at(span_of(&project.file, &source.location))
                    .label(format!("matches `{own}` at the destination"))
                    .hint("publish elsewhere, or narrow the location"),
            );
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}

/// Where a commit file is, for people.
pub fn commit_shown(destination: &Location, number: u64) -> String {
    destination.shown(&publications::commit_path(destination, number))
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

/// A small document, for people too.
fn to_json(document: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(document).map_err(|error| Error::defect(format!("a document was not written: {error}")))?;
    text.push(b'\n');
    Ok(text)
}
