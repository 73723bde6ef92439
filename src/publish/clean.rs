//! What no publication needs any more: files of runs that died, publications that were superseded, notes left behind.
//!
//! What a live commit names is never among it. A publication that was superseded stays for a grace period after that, for
//! readers that have resolved it; a run that has not published may still be at work, so its files stay for the grace
//! period after the last of them was written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, Duration, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Serialize;

use super::publications::{COMMITS, Publications, commit_path};
use super::{RUNS, pending};
use crate::clock;
use crate::error::Result;
use crate::manifest::Commit;
use crate::storage::{self, Location};

/// Requests at once while removing.
const CONCURRENCY: usize = 16;

/// A file that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waste {
    /// Where it is.
    pub place: Place,
    /// Where it is, for people.
    pub shown: String,
    /// Where it is, for tools.
    pub url: String,
    /// Its size.
    pub bytes: u64,
    /// Why it can go.
    pub why: Why,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the store.
    Stored(Path),
    /// On a local disk, where the store does not show it.
    Local(PathBuf),
}

/// Why a file can go. What is first in order is removed first: no commit ever names a file that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The commit of a day that was published again.
    SupersededCommit,
    /// A file of such a publication.
    SupersededFile,
    /// A file of a run that never published.
    DeadRun,
    /// The note of a run that died while it published.
    PendingNote,
    /// The unfinished part of a file on a local disk, which a process left as it died.
    UnfinishedFile,
}

/// Finds what can go after a grace period.
///
/// # Errors
/// As the store fails, or a commit cannot be read.
pub async fn find(destination: &Location, grace: Duration) -> Result<Vec<Waste>> {
    // First what there is, then what is named: a run that publishes in between is seen to have done so.
    let now = clock::now();
    let run_files = destination.list(RUNS).await?;
    let commit_files = destination.list(COMMITS).await?;
    let notes = destination.list(pending::PENDING).await?;
    let known = Publications::read(destination).await?;
    let commits = known.all().await?;
    let mut waste = Found { destination, found: Vec::new() };

    let live: BTreeSet<u64> = known.by_day().into_values().collect();
    let written: BTreeMap<&Path, DateTime<Utc>> = commit_files.iter().map(|meta| (&meta.location, meta.last_modified)).collect();
    let mut published: BTreeSet<&str> = BTreeSet::new();
    let mut superseded: BTreeSet<&str> = BTreeSet::new();
    for commit in &commits {
        published.insert(&commit.run_id);
        let since = superseded_at(destination, commit, &commits, &written);
        if live.contains(&commit.number) || since.is_none_or(|since| now - since < grace) {
            continue;
        }
        superseded.insert(&commit.run_id);
        waste.extend(commit_files.iter().filter(|meta| meta.location == commit_path(destination, commit.number)), Why::SupersededCommit);
    }
    for (run_id, files) in by_run(destination, &run_files) {
        let newest = files.iter().map(|meta| meta.last_modified).max();
        if superseded.contains(run_id) {
            waste.extend(files, Why::SupersededFile);
        } else if !published.contains(run_id) && newest.is_some_and(|newest| now - newest >= grace) {
            waste.extend(files, Why::DeadRun);
        }
    }
    waste.extend(notes.iter().filter(|meta| now - meta.last_modified >= grace), Why::PendingNote);
    for (local, bytes) in destination.unfinished_files(now - grace) {
        let shown = local.display().to_string();
        let url = url::Url::from_file_path(&local).map_or_else(|()| shown.clone(), String::from);
        waste.found.push(Waste { place: Place::Local(local), shown, url, bytes, why: Why::UnfinishedFile });
    }
    waste.found.sort_by(|a, b| (a.why, &a.place).cmp(&(b.why, &b.place)));
    Ok(waste.found)
}

/// Brings up to date what runs died over, then removes what was found.
///
/// # Errors
/// As the store fails; what was not removed is found again.
pub async fn remove(destination: &Location, waste: &[Waste]) -> Result<()> {
    super::settle(destination).await?;
    for part in waste.chunk_by(|a, b| a.why == b.why) {
        let removed = futures::stream::iter(part).map(|waste| async move {
            match &waste.place {
                Place::Stored(path) => match destination.store.delete(path).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(storage::failure("remove", &waste.shown, error)),
                },
                Place::Local(path) => match std::fs::remove_file(path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(storage::broken("remove", &waste.shown, &error)),
                    _ => Ok(()),
                },
            }
        });
        removed.buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;
    }
    Ok(())
}

/// When a commit was superseded: when the next one of its day was written.
fn superseded_at(
    destination: &Location,
    commit: &Commit,
    commits: &[Commit],
    written: &BTreeMap<&Path, DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let next = commits.iter().find(|next| next.number > commit.number && next.as_of == commit.as_of)?;
    written.get(&commit_path(destination, next.number)).copied()
}

/// The files of every run, by the run's name.
fn by_run<'a>(destination: &Location, files: &'a [ObjectMeta]) -> BTreeMap<&'a str, Vec<&'a ObjectMeta>> {
    let folder = destination.join(RUNS);
    let mut runs: BTreeMap<&str, Vec<&ObjectMeta>> = BTreeMap::new();
    for meta in files {
        let below = meta.location.as_ref().strip_prefix(folder.as_ref()).unwrap_or_default().trim_start_matches('/');
        if let Some((run_id, _)) = below.split_once('/') {
            runs.entry(run_id).or_default().push(meta);
        }
    }
    runs
}

/// What was found so far.
struct Found<'a> {
    destination: &'a Location,
    found: Vec<Waste>,
}

impl Found<'_> {
    fn extend<'m>(&mut self, files: impl IntoIterator<Item = &'m ObjectMeta>, why: Why) {
        let waste = |meta: &ObjectMeta| Waste {
            place: Place::Stored(meta.location.clone()),
            shown: self.destination.shown(&meta.location),
            url: self.destination.url(&meta.location),
            bytes: meta.size,
            why,
        };
        let found: Vec<Waste> = files.into_iter().map(waste).collect();
        self.found.extend(found);
    }
}
