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
//! segmill.json                       whose the destination is (see [`marker`])
//! commits/00000001.json              a publication (see [`crate::manifest::Commit`]), created only if it is not there
//! pending/RUN_ID.json                there while a run publishes; left behind by one that died
//! TABLE/as_of=DAY/TABLE.parquet      a copy of the day's publication, for readers that only list folders
//! cleans/CLEAN_ID.json               what a clean has removed
//! ```

mod check;
pub mod clean;
mod commit;
pub mod damage;
mod folders;
mod kept;
pub mod loads;
pub mod marker;
mod pending;
mod publications;
mod write;

pub use check::{Asked, CheckOutcome, Output, Verdict, problems as check_problems};
pub use kept::Keep;
pub use pending::settle;
pub use publications::Publications;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{Pipeline, Project, Source, span_of};
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
/// The folder of what cleans write down.
const CLEANS: &str = "cleans";

/// What stands beside the outputs at a destination.
const TAKEN: [&str; 5] = [RUNS, CLEANS, publications::COMMITS, pending::PENDING, "rejected"];

/// Why a name is none for an output, whose folder stands beside those of the commits, or that cannot be a folder.
pub fn unfit_name(table: &str) -> Option<&'static str> {
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
        }
        let draft = Commit { kept, ..describe(tables) };
        let (commit, note) = commit::create(&destination, draft, &seen).await?;
        let commit_shown = commit_shown(&destination, commit.number);
        let settled = async {
            folders::refresh(&destination, note.as_of, &note.tables, note.purpose).await?;
            pending::remove(&destination, &note.run_id).await
        };
        settled.await.map_err(|error| behind(&commit_shown, error))?;
        let shown_files = |table: &Table| table.files.iter().map(|file| destination.shown(&destination.join(&file.path))).collect();
        let tables_shown = commit.tables.iter().map(|(name, table)| (name.clone(), shown_files(table))).collect();
        Ok(Published { commit, commit_shown, tables_shown, verdicts })
    }
}

/// Where a project's outputs go: where was typed, or else where the pipeline file says.
///
/// # Errors
/// [`Error::Project`] when the location has no meaning, or nothing can or should be written there.
pub fn destination(typed: Option<&str>, project: &Project, stores: &Stores) -> Result<Location> {
    match typed {
        Some(typed) => typed_destination(typed, stores),
        None => destination_at(&project.pipeline.outputs.destination.value, &project.root, stores),
    }
}

/// The destination that somebody typed: relative to where they are, while what the file says is relative to the project.
///
/// # Errors
/// As [`destination`].
pub fn typed_destination(typed: &str, stores: &Stores) -> Result<Location> {
    destination_at(typed, std::path::Path::new(""), stores)
}

fn destination_at(text: &str, root: &std::path::Path, stores: &Stores) -> Result<Location> {
    let place = stores.open(text, root)?;
    let unfit = |why: &str| {
        let what = format!("{} is no place to publish to: {why}", place.shown(&place.folder()));
        Error::from(Diagnostic::error("unusable-destination", what).hint("name a folder of its own, as `out` or `s3://bucket/segments`"))
    };
    if place.is_read_only {
        return Err(unfit(storage::READ_ONLY));
    }
    if place.is_local() && place.path.is_empty() {
        return Err(unfit("it is the root of the file system, as a variable gives that is not set"));
    }
    Ok(place)
}

/// Refuses sources that would read what the run publishes: each run would count what the one before it found.
///
/// # Errors
/// [`Error::Project`] naming every such source.
pub fn refuse_own_outputs(destination: &Location, project: &Project, days: &BTreeSet<NaiveDate>, stores: &Stores) -> Result<()> {
    let written = may_write(destination, project, days);
    let mut problems = Vec::new();
    for (name, source) in &project.pipeline.sources {
        let location = stores.glob(&source.location.value, &project.root)?;
        if let Some(own) = written.iter().find(|path| location.matches(destination, &destination.join(path))) {
            problems.push(reads_own(project, name, source).label(format!("matches `{own}` at the destination")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}

/// Refuses extracts that were found and lie, by whatever links they were reached, where this pipeline publishes.
///
/// # Errors
/// [`Error::Project`] naming every source that has one.
pub fn refuse_found_outputs(destination: &Location, project: &Project, found: &[crate::ingest::Extract]) -> Result<()> {
    let Some(place) = destination.is_local().then(|| std::fs::canonicalize(format!("/{}", destination.path)).ok()).flatten() else {
        return Ok(());
    };
    let tables: BTreeSet<&str> = project.pipeline.outputs.tables.keys().map(String::as_str).collect();
    let is_own = |file: &storage::File| {
        let real = std::fs::canonicalize(format!("/{}", file.meta.location)).ok()?;
        let mut below = real.strip_prefix(&place).ok()?.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let (first, second) = (below.next()?, below.next());
        let in_folders = tables.contains(first.as_str()) && second.as_ref().is_some_and(|second| second.starts_with("as_of="));
        let beside = TAKEN.contains(&first.as_str()) && second.is_some();
        (beside || in_folders || first == marker::MARKER).then(|| file.shown.clone())
    };
    let mut problems = Vec::new();
    for extract in found.iter().filter(|extract| extract.files.iter().all(|(file, _)| file.is_local)) {
        let Some(source) = project.pipeline.sources.get(&extract.contract.source) else { continue };
        if let Some(own) = extract.files.iter().find_map(|(file, _)| is_own(file)) {
            problems.push(reads_own(project, &extract.contract.source, source).label(format!("matches {own}, which lies there")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}

fn reads_own(project: &Project, name: &str, source: &Source) -> Diagnostic {
    Diagnostic::error("reads-own-outputs", format!("the source `{name}` would read what this pipeline publishes"))
        .at(span_of(&project.file, &source.location))
        .hint("publish elsewhere, or narrow the location")
}

/// What a run writes at its destination, as examples of every kind and for every day that is published.
fn may_write(destination: &Location, project: &Project, days: &BTreeSet<NaiveDate>) -> Vec<String> {
    let tables: Vec<&str> = project.pipeline.outputs.tables.keys().map(String::as_str).chain(["rejected"]).collect();
    let checks = project.pipeline.checks.iter().map(|check| check.name.shown());
    let mut written: Vec<String> = tables.iter().flat_map(|table| days.iter().map(|day| folders::path(table, *day))).collect();
    for run in days.iter().map(|day| format!("{day}-20000101T000000Z-0000000000000000")) {
        written.extend(clean::files_of(destination, &run, tables.iter().copied(), checks.clone()));
        written.extend([format!("{RUNS}/{run}/record.json"), format!("{}/{run}.json", pending::PENDING)]);
    }
    let id = "20000101T000000Z-0000000000000000";
    written.extend([marker::MARKER.to_owned(), format!("{}/00000001.json", publications::COMMITS), format!("{CLEANS}/{id}.json")]);
    written
}

/// Whether a refusal concerns one day alone, so that others may go on.
pub fn concerns_one_day(error: &Error) -> bool {
    damage::is_damage(error) || folders::is_foreign(error)
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
