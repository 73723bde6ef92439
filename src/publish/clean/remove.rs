//! Removes the orphaned files that were found, and records what was removed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use serde::Serialize;

use super::find::{CleanRequest, Found, OrphanedFile, Place, Why, find};
use super::ours::CONCURRENCY;
use crate::clock;
use crate::error::Result;
use crate::manifest::{Pending, Purpose};
use crate::publish::commit;
use crate::publish::damage::{self, Repair};
use crate::publish::layout::CLEANS;
use crate::publish::objects::{put_new, to_json};
use crate::publish::pending::{self, settle};
use crate::publish::publications::Publications;
use crate::storage::{self, Location};

/// The version of the record's format.
const FORMAT: u32 = 1;

/// What was done to a destination.
#[derive(Debug, Default)]
pub struct Removal {
    /// What was removed.
    pub orphaned: Vec<OrphanedFile>,
    /// The days that were let go.
    pub let_go: BTreeSet<NaiveDate>,
    /// What became of damaged publications, by day.
    pub repaired: BTreeMap<NaiveDate, Repair>,
    /// Where the record of the clean is, for people; none when nothing was done.
    pub record: Option<String>,
}

/// The record of a clean: `cleans/ID.json`, there before the first file goes.
#[derive(Debug, Serialize)]
struct Record<'a> {
    format: u32,
    clean_id: &'a str,
    pipeline: &'a str,
    destination_id: &'a str,
    segmill_version: &'a str,
    /// `begun`, then `done`.
    status: &'a str,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    grace_seconds: i64,
    days_let_go: &'a BTreeSet<NaiveDate>,
    repaired: &'a BTreeMap<NaiveDate, Repair>,
    removed: Vec<Removed<'a>>,
}

#[derive(Debug, Serialize)]
struct Removed<'a> {
    path: &'a str,
    bytes: u64,
    why: Why,
}

/// Finishes the work of runs that died, repairs damaged publications if `repair` says so, withdraws days that the retention policy does
/// not keep, and removes orphaned files if `remove` says so.
///
/// # Errors
/// As the store fails; what was not removed is found again.
pub async fn remove(destination: &Location, request: &CleanRequest, found: Found, repair: bool, remove: bool) -> Result<Removal> {
    let Some(owner) = found.owner.clone() else { return Ok(Removal::default()) };
    let started_at = clock::now();
    let clean_id = clean_id(started_at);
    let mut done = Removal::default();
    settle(destination).await?;
    if repair {
        done.repaired = damage::repair(destination, &clean_id, &owner.pipeline, &found.damaged).await?;
    }
    let mut orphaned = found.orphaned;
    let mut unended = found.unended;
    if remove && (!found.let_go.is_empty() || !done.repaired.is_empty()) {
        done.let_go = commit::withdraw(destination, &clean_id, &owner.pipeline, &found.let_go).await?;
        // Publications that this has superseded can go now, unless the grace period keeps them.
        let again = find(destination, request).await?;
        orphaned.retain(|file| file.why == Why::LetGo);
        orphaned.extend(again.orphaned.into_iter().filter(|file| file.why != Why::LetGo));
        unended = again.unended;
    }
    done.orphaned = if remove { orphaned } else { Vec::new() };
    let fences = fence(destination, &unended, &mut done.orphaned).await?;
    if done.orphaned.is_empty() && done.let_go.is_empty() && done.repaired.is_empty() {
        return Ok(done);
    }
    let path = destination.join(&format!("{CLEANS}/{clean_id}.json"));
    let write = async |status: &str, ended_at: Option<DateTime<Utc>>, done: &Removal| {
        let record = Record {
            format: FORMAT,
            clean_id: &clean_id,
            pipeline: &owner.pipeline,
            destination_id: &owner.id,
            segmill_version: env!("CARGO_PKG_VERSION"),
            status,
            started_at,
            ended_at,
            grace_seconds: request.grace.num_seconds(),
            days_let_go: &done.let_go,
            repaired: &done.repaired,
            removed: done.orphaned.iter().map(|file| Removed { path: &file.path, bytes: file.bytes, why: file.why }).collect(),
        };
        destination.put(&path, to_json(&record)?).await
    };
    write("begun", None, &done).await?;
    for part in done.orphaned.chunk_by(|a, b| a.step() == b.step()).filter(|part| part[0].why != Why::LetGo) {
        futures::stream::iter(part).map(|file| delete(destination, file)).buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;
    }
    for run_id in &fences {
        pending::remove(destination, run_id).await?;
    }
    write("done", Some(clock::now()), &done).await?;
    done.record = Some(destination.shown(&path));
    Ok(done)
}

/// Prevents runs that are taken for dead from publishing files that are about to be removed, by creating their pending notes. Runs that
/// have created their own note before, or have published since, are left alone.
async fn fence(destination: &Location, unended: &BTreeSet<String>, orphaned: &mut Vec<OrphanedFile>) -> Result<BTreeSet<String>> {
    let of_run = |file: &OrphanedFile, run_id: &str| file.path.starts_with(&format!("runs/{run_id}/"));
    let mut fenced = BTreeSet::new();
    for run_id in unended.iter().filter(|run_id| orphaned.iter().any(|file| of_run(file, run_id))) {
        let path = pending::path(destination, run_id);
        let note = Pending { run_id: run_id.clone(), as_of: NaiveDate::default(), tables: BTreeSet::new(), purpose: Purpose::Clean };
        match put_new(destination, &path, to_json(&note)?).await {
            Ok(()) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(error) => return Err(storage::failure("create", &destination.shown(&path), error)),
        }
        let is_fenced = match pending::read(destination, &path).await? {
            Some(there) => there.purpose == Purpose::Clean || orphaned.iter().any(|file| file.place == Place::Stored(path.clone())),
            None => false,
        };
        if is_fenced {
            fenced.insert(run_id.clone());
        }
    }
    // A run that was quicker than this note has its commit by now.
    let commits = if fenced.is_empty() { Vec::new() } else { Publications::read(destination).await?.all().await? };
    for commit in commits.iter().filter(|commit| fenced.contains(&commit.run_id)) {
        pending::remove(destination, &commit.run_id).await?;
    }
    fenced.retain(|run_id| commits.iter().all(|commit| commit.run_id != *run_id));
    let spared: Vec<&String> = unended.iter().filter(|run_id| !fenced.contains(*run_id)).collect();
    orphaned.retain(|file| !spared.iter().any(|run_id| of_run(file, run_id)));
    Ok(fenced)
}

async fn delete(destination: &Location, file: &OrphanedFile) -> Result<()> {
    match &file.place {
        Place::Stored(path) => match destination.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(storage::failure("remove", &file.shown, error)),
        },
        Place::Local(path) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(storage::broken("remove", &file.shown, &error)),
            _ => Ok(()),
        },
    }
}

/// A unique name for a clean.
fn clean_id(now: DateTime<Utc>) -> String {
    let unique = u64::from(std::process::id()) << 32 | u64::from(now.timestamp_subsec_nanos());
    format!("{}-{unique:016x}", now.format("%Y%m%dT%H%M%SZ"))
}
