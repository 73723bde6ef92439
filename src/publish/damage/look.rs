//! Looks whether the files of a publication are there.

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::super::publications::Publications;
use super::kind::{Damage, is_damage};
use crate::error::{Error, Result};
use crate::manifest::{Commit, WrittenFile};
use crate::storage::{self, Location};

/// Requests at once.
const CONCURRENCY: usize = 16;

/// Verifies that the files of a publication are there.
///
/// # Errors
/// [`Error::Project`] naming what is not; [`Error::Conflict`] when the day has been published anew meanwhile; otherwise as the store fails.
pub async fn whole(destination: &Location, commit: &Commit) -> Result<()> {
    let files = commit.files();
    let asked = futures::stream::iter(
        files.map(|file| async move { Ok::<_, Error>((file, is_there(destination, file).await?)) }).collect::<Vec<_>>(),
    );
    let asked: Vec<(WrittenFile<'_>, bool)> = asked.buffered(CONCURRENCY).try_collect().await?;
    let gone: Vec<String> =
        asked.iter().filter(|(_, there)| !there).map(|(file, _)| destination.shown(&destination.join(file.path))).collect();
    if gone.is_empty() {
        return Ok(());
    }
    Err(told(destination, Damage { as_of: commit.as_of, number: commit.number, files: gone }).await?)
}

/// The error for files of a publication that are gone: damage, or a conflict if the day has another publication by now.
///
/// # Errors
/// As the store fails.
pub async fn told(destination: &Location, damage: Damage) -> Result<Error> {
    let now = Publications::read(destination).await?;
    Ok(if now.number_of(damage.as_of) == Some(damage.number) { damage.error() } else { now.moved_on(damage.as_of) })
}

/// Whether files that a listing lacked are really gone, and their publication is still that of its day. A publication that was made after
/// the listing is not in it.
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

pub(super) async fn is_there(destination: &Location, file: WrittenFile<'_>) -> Result<bool> {
    let path = destination.join(file.path);
    match destination.store.head(&path).await {
        Ok(meta) => Ok(meta.size == file.bytes),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(storage::failure("read", &destination.shown(&path), error)),
    }
}
