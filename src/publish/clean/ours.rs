//! Which files at a destination are Segmill's: those that its commits, the records of its runs and their pending notes name. All other
//! files are left alone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};

use crate::error::Result;
use crate::manifest::{Account, Commit, Pending, Purpose};
use crate::publish::layout::{CLEANS, MARKER, RUNS, commit_number, files_of, folder_path};
use crate::publish::pending;
use crate::storage::{Contents, Location, upload_of};

/// Requests at once.
pub const CONCURRENCY: usize = 16;

/// The largest record that is read.
const MAX_RECORD_BYTES: u64 = 64 * 1024 * 1024;

/// What a file of Segmill's is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The marker, a record of a clean: what is always kept.
    Kept,
    /// A commit.
    Commit(u64),
    /// A note of a run.
    Note(String),
    /// A file of a run.
    OfRun(String),
    /// A table's file in the folders by day.
    Folder(NaiveDate),
}

/// A run that has left files.
#[derive(Debug, Default)]
pub struct Run {
    /// Its files, from the destination.
    pub files: BTreeSet<String>,
    /// Whether its record says that it has come to an end.
    pub has_ended: bool,
    /// The publication that its record says it made.
    pub publication: Option<u64>,
}

/// All that is known to be Segmill's.
#[derive(Debug, Default)]
pub struct Ours {
    /// The runs, by name.
    pub runs: BTreeMap<String, Run>,
    /// The notes, by the run's name.
    pub notes: BTreeMap<String, Pending>,
    /// Tables and days that stand in folders.
    folders: BTreeMap<String, NaiveDate>,
}

impl Ours {
    /// Gathers the files that records and notes name. `listed` are the paths of the files that are there, from the destination.
    ///
    /// # Errors
    /// As the store fails.
    pub async fn gather(destination: &Location, pipeline: &str, listed: &BTreeSet<&str>) -> Result<Self> {
        let mut ours = Ours::default();
        for (note, _) in pending::all(destination).await? {
            ours.add_note(destination, note);
        }
        // Records are read whether they were listed or not, because a listing may lack files that were written meanwhile.
        let runs: BTreeSet<&str> = listed.iter().filter_map(|path| Some(path.strip_prefix("runs/")?.split_once('/')?.0)).collect();
        let read = futures::stream::iter(runs.into_iter().map(|run_id| record(destination, run_id)).collect::<Vec<_>>());
        let records: Vec<Option<Account>> = read.buffered(CONCURRENCY).try_collect().await?;
        for record in records.into_iter().flatten().filter(|record| record.pipeline.as_deref().is_none_or(|theirs| theirs == pipeline)) {
            ours.add_record(record);
        }
        Ok(ours)
    }

    fn run(&mut self, run_id: &str) -> &mut Run {
        self.runs.entry(run_id.to_owned()).or_default()
    }

    /// Adds the files that a commit names.
    pub fn add_commit(&mut self, commit: &Commit) {
        for (name, table) in &commit.tables {
            self.folders.insert(folder_path(name, commit.as_of), commit.as_of);
            let paths = table.files.iter().map(|file| &file.path).chain([&table.urls_path]).chain(&table.redshift_manifest_path);
            let run = format!("{RUNS}/{}/", commit.run_id);
            let paths: Vec<String> = paths.filter(|path| path.starts_with(&run)).cloned().collect();
            self.run(&commit.run_id).files.extend(paths);
        }
        let folder = format!("{RUNS}/{}/", commit.run_id);
        let kept = commit.state.values().map(|file| &file.path).chain(commit.project.iter().map(|file| &file.path));
        let kept: Vec<String> = kept.filter(|path| path.starts_with(&folder)).cloned().collect();
        self.run(&commit.run_id).files.extend(kept);
    }

    fn add_note(&mut self, destination: &Location, note: Pending) {
        if note.purpose == Purpose::Publish {
            for table in &note.tables {
                self.folders.insert(folder_path(table, note.as_of), note.as_of);
                let files = files_of(destination, &note.run_id, [table.as_str()], [], []);
                self.run(&note.run_id).files.extend(files);
            }
        }
        self.notes.insert(note.run_id.clone(), note);
    }

    fn add_record(&mut self, record: Account) {
        let folder = format!("{RUNS}/{}/", record.run_id);
        let run = self.run(&record.run_id);
        run.has_ended = record.status != "running";
        // The record of a run that found nothing to do has the number of another run's publication.
        run.publication = record.publication.filter(|_| record.status == "published");
        run.files.extend(record.files.into_iter().filter(|path| path.starts_with(&folder)));
        run.files.insert(format!("{folder}record.json"));
    }

    /// What a file is, by its path from the destination; none when it is not known to be Segmill's.
    pub fn kind_of(&self, path: &str) -> Option<Kind> {
        if path == MARKER || is_record_of_clean(path) {
            return Some(Kind::Kept);
        }
        if let Some(number) = commit_number(path) {
            return Some(Kind::Commit(number));
        }
        if let Some(day) = self.folders.get(path) {
            return Some(Kind::Folder(*day));
        }
        if let Some(run_id) = note_of(path).filter(|run_id| self.notes.contains_key(*run_id)) {
            return Some(Kind::Note(run_id.to_owned()));
        }
        let run_id = path.strip_prefix("runs/")?.split_once('/')?.0;
        self.runs.get(run_id).filter(|run| run.files.contains(path)).map(|_| Kind::OfRun(run_id.to_owned()))
    }

    /// Whether a local file is an unfinished upload that a process of Segmill left when it died.
    pub fn is_unfinished(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        let Some(name) = upload_of(name) else { return false };
        let whole = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let of_a_run = note_of(&whole).or_else(|| whole.strip_prefix("runs/")?.strip_suffix("/record.json"));
        // The first file of a run is its record, which may be the only one.
        self.kind_of(&whole).is_some() || of_a_run.is_some_and(is_run_id)
    }
}

async fn record(destination: &Location, run_id: &str) -> Result<Option<Account>> {
    let path = destination.join(&format!("{RUNS}/{run_id}/record.json"));
    let Some(Contents::Bytes(bytes)) = destination.read(&path, MAX_RECORD_BYTES).await? else { return Ok(None) };
    Ok(serde_json::from_slice::<Account>(&bytes).ok().filter(|record| record.run_id == run_id))
}

/// The run whose note a path is.
fn note_of(path: &str) -> Option<&str> {
    path.strip_prefix("pending/")?.strip_suffix(".json").filter(|run_id| !run_id.contains('/'))
}

fn is_record_of_clean(path: &str) -> bool {
    let name = path.strip_prefix(CLEANS).and_then(|path| path.strip_prefix('/')?.strip_suffix(".json"));
    name.is_some_and(is_run_id)
}

/// When a run or clean began, and what tells it from others.
const TIME: &str = "00000000T000000Z-xxxxxxxxxxxxxxxx";

/// Whether a name has the form of a run's: `2026-11-01-20261126T091526Z-0000abcd0000abcd`, or of a clean's, which has no day.
fn is_run_id(name: &str) -> bool {
    let of = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_hexdigit(),
                form => byte == form,
            })
    };
    of(name, TIME) || name.len() > 11 && name.is_char_boundary(11) && of(&name[..11], "0000-00-00-") && of(&name[11..], TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_are_told_from_others() {
        for name in ["2026-11-01-20261126T091526Z-0000abcd0000abcd", "20261126T091526Z-0000abcd0000abcd"] {
            assert!(is_run_id(name), "{name}");
        }
        for name in ["dead", "exp1", "2026-11-01", "2026-11-01-20261126T091526Z-0000abcd0000abcx", "ü026-11-01-20261126T091526Z", ""] {
            assert!(!is_run_id(name), "{name}");
        }
    }
}
