//! Notes of runs that are about to change a day: `pending/RUN_ID.json`, there from before the commit until the day's
//! folders are up to date. A note that stays behind belongs to a run that died, or that is still alive.

use chrono::{DateTime, Utc};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::layout::PENDING;
use super::{damage, folders};
use crate::clock;
use crate::error::Result;
use crate::manifest::{Pending, Purpose};
use crate::storage::{self, Contents, Location};

/// The largest note that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// A run that has not removed its note after this time is taken for dead. Until then it may still copy a file.
pub const DEAD_AFTER_MINUTES: i64 = 60;

/// Where a run's note is.
pub fn path(destination: &Location, run_id: &str) -> Path {
    destination.join(&format!("{PENDING}/{run_id}.json"))
}

/// Removes a run's note.
///
/// # Errors
/// As the store fails.
pub async fn remove(destination: &Location, run_id: &str) -> Result<()> {
    let path = path(destination, run_id);
    match destination.store.delete(&path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(storage::failure("remove", &destination.shown(&path), error)),
    }
}

/// A note, if it is there and is one.
///
/// # Errors
/// As the store fails.
pub async fn read(destination: &Location, path: &Path) -> Result<Option<Pending>> {
    // If the note is gone, its run has just finished.
    let Some(Contents::Bytes(bytes)) = destination.read(path, MAX_BYTES).await? else { return Ok(None) };
    // A file that is no note, or is not named after its run, is ignored.
    let note = serde_json::from_slice::<Pending>(&bytes).ok();
    Ok(note.filter(|note| super::pending::path(destination, &note.run_id) == *path))
}

/// The notes that are there, each with the time that it was written.
///
/// # Errors
/// As the store fails.
pub async fn all(destination: &Location) -> Result<Vec<(Pending, DateTime<Utc>)>> {
    let mut notes = Vec::new();
    for meta in destination.list(PENDING).await? {
        notes.extend(read(destination, &meta.location).await?.map(|note| (note, meta.last_modified)));
    }
    Ok(notes)
}

/// Brings the folders up to date for every day that has a pending note, as a run leaves it that dies. A day whose publication is damaged
/// stays as it is; a run for that day reports the damage.
///
/// # Errors
/// As the store fails.
pub async fn settle(destination: &Location) -> Result<()> {
    for (note, written) in all(destination).await? {
        // A run whose files are being removed has published nothing.
        if note.purpose == Purpose::Clean {
            continue;
        }
        match folders::refresh(destination, note.as_of, &note.tables, note.purpose).await {
            Err(error) if damage::is_damage(&error) => {
                tracing::warn!("{error}");
                continue;
            }
            refreshed => refreshed?,
        }
        if (clock::now() - written).num_minutes() >= DEAD_AFTER_MINUTES {
            remove(destination, &note.run_id).await?;
        }
    }
    Ok(())
}
