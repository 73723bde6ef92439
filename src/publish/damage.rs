//! Publications whose files are gone. A commit names files that were whole when it was created, so what is not there was removed by
//! somebody since. That is told as what it is: waiting does not help, and neither does running again.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::publications::{Publications, commit_path};
use super::{commit, folders, loads};
use crate::diagnostic::{Diagnostic, counted};
use crate::error::{Error, Result};
use crate::manifest::{Commit, DataFile};
use crate::storage::{self, Location};

/// The code of the refusal.
const CODE: &str = "damaged-publication";

/// Requests at once.
const CONCURRENCY: usize = 16;

/// A publication that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its day.
    pub as_of: NaiveDate,
    /// Its number.
    pub number: u64,
    /// What is gone or not as it was, as people read it.
    pub files: Vec<String>,
}

/// What became of a damaged publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// It is whole again: what was gone was there as a copy in the folders by day.
    Restored,
    /// Its day is published no more, and can be run again.
    Withdrawn,
}

impl Damage {
    /// The refusal to go on with it.
    pub fn error(&self) -> Error {
        Diagnostic::error(CODE, self.to_string())
            .hint(
                "`segmill clean --repair` puts back what it can, and takes the day out where it cannot; \
                 `segmill run --force` publishes the day anew; of other days only the next one waits for it, where a project says who is who",
            )
            .into()
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = self.files.first().map(String::as_str).unwrap_or_default();
        let more = match self.files.len() {
            0 | 1 => String::new(),
            files => format!(", as {} more", counted(files as u64 - 1, "file") + if files == 2 { " is" } else { " are" }),
        };
        write!(f, "the publication of {} (number {}) is damaged: {first} is gone or not as it was written{more}", self.as_of, self.number)
    }
}

/// Whether an error is that a publication is damaged.
pub fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Project(problems) if problems.iter().any(|problem| problem.code == CODE))
}

/// The refusal of a day whose commit file is gone.
pub fn lost_commit(destination: &Location, as_of: NaiveDate, number: u64) -> Error {
    Damage { as_of, number, files: vec![destination.shown(&commit_path(destination, number))] }.error()
}

/// That a file of a publication is gone, or is not as it was written.
pub fn of_file(commit: &Commit, shown: &str) -> Damage {
    Damage { as_of: commit.as_of, number: commit.number, files: vec![shown.to_owned()] }
}

/// Sees that the files of a publication are there.
///
/// # Errors
/// [`Error::Project`] naming what is not; [`Error::Conflict`] when the day has been published anew meanwhile; otherwise as the store fails.
pub async fn whole(destination: &Location, commit: &Commit) -> Result<()> {
    let files = commit.files();
    let asked = futures::stream::iter(
        files.map(|file| async move { Ok::<_, Error>((file, is_there(destination, file).await?)) }).collect::<Vec<_>>(),
    );
    let asked: Vec<(&DataFile, bool)> = asked.buffered(CONCURRENCY).try_collect().await?;
    let gone: Vec<String> =
        asked.iter().filter(|(_, there)| !there).map(|(file, _)| destination.shown(&destination.join(&file.path))).collect();
    if gone.is_empty() {
        return Ok(());
    }
    Err(told(destination, Damage { as_of: commit.as_of, number: commit.number, files: gone }).await?)
}

/// What it means that files of a publication are gone: damage, unless the day has another publication by now.
///
/// # Errors
/// As the store fails.
pub async fn told(destination: &Location, damage: Damage) -> Result<Error> {
    let now = Publications::read(destination).await?;
    Ok(if now.number_of(damage.as_of) == Some(damage.number) { damage.error() } else { now.moved_on(damage.as_of) })
}

/// Whether what a listing lacked is gone indeed, and of a publication that is still that of its day: one that was made since the listing is not in it.
///
/// # Errors
/// As the store fails.
pub async fn confirmed(destination: &Location, damage: &Damage) -> Result<bool> {
    if Publications::read(destination).await?.number_of(damage.as_of) != Some(damage.number) {
        return Ok(false);
    }
    let Some(commit) = Publications::commit_at(destination, damage.number).await? else { return Ok(true) };
    match whole(destination, &commit).await {
        Err(error) if is_damage(&error) => Ok(true),
        Ok(()) | Err(Error::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn is_there(destination: &Location, file: &DataFile) -> Result<bool> {
    let path = destination.join(&file.path);
    match destination.store.head(&path).await {
        Ok(meta) => Ok(meta.size == file.bytes),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(storage::failure("read", &destination.shown(&path), error)),
    }
}

/// Repairs damaged publications: what is gone comes back from the copies in the folders by day where those are whole, and days of which
/// something stays lost are taken out of what is published.
///
/// # Errors
/// As the store fails.
pub async fn repair(destination: &Location, run_id: &str, pipeline: &str, damaged: &[Damage]) -> Result<BTreeMap<NaiveDate, Repair>> {
    let mut done = BTreeMap::new();
    let mut lost = Vec::new();
    for damage in damaged {
        if restore(destination, damage).await? {
            done.insert(damage.as_of, Repair::Restored);
        } else {
            lost.push((damage.as_of, damage.number));
        }
    }
    for day in commit::withdraw(destination, run_id, pipeline, &lost).await? {
        done.insert(day, Repair::Withdrawn);
    }
    Ok(done)
}

/// Puts back what is gone of a publication; whether it is whole now.
async fn restore(destination: &Location, damage: &Damage) -> Result<bool> {
    let Some(commit) = Publications::commit_at(destination, damage.number).await? else { return Ok(false) };
    for table in commit.tables.values() {
        let [file] = table.files.as_slice() else { continue };
        if !is_there(destination, file).await? && !folders::put_back(destination, file, &table.folder_path).await? {
            return Ok(false);
        }
        loads::write(destination, table).await?;
    }
    // Of what is kept for the next publication there is no copy: the day is published anew.
    for file in commit.kept.values() {
        if !is_there(destination, file).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
