//! Notes of runs that are about to change a day: `pending/RUN_ID.json`, there from before the commit until the day's
//! folders are up to date. A note that stays behind is of a run that died, or still lives.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::folders;
use crate::clock;
use crate::error::Result;
use crate::manifest::Pending;
use crate::storage::{self, Location};

/// The folder of the notes.
pub const PENDING: &str = "pending";

/// After this long a run that has not removed its note is dead; until then it may yet copy a file.
const DEAD_AFTER_MINUTES: i64 = 60;

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

/// The notes that are there, each with the time that it was written.
///
/// # Errors
/// As the store fails.
pub async fn all(destination: &Location) -> Result<Vec<(Pending, DateTime<Utc>)>> {
    let mut notes = Vec::new();
    for meta in destination.list(PENDING).await? {
        let failed = |error| storage::failure("read", &destination.shown(&meta.location), error);
        let bytes = match destination.store.get(&meta.location).await {
            Ok(found) => found.bytes().await.map_err(failed)?,
            // Its run has just finished.
            Err(object_store::Error::NotFound { .. }) => continue,
            Err(error) => return Err(failed(error)),
        };
        // What is no note is nobody's.
        notes.extend(serde_json::from_slice::<Pending>(&bytes).ok().map(|note| (note, meta.last_modified)));
    }
    Ok(notes)
}

/// Brings up to date the folders of every day that a run was about to change and may have died over.
///
/// # Errors
/// As the store fails.
pub async fn settle(destination: &Location) -> Result<()> {
    let notes = all(destination).await?;
    let settled = futures::stream::iter(notes).map(|(note, written)| async move {
        folders::refresh(destination, note.as_of, &note.tables).await?;
        if (clock::now() - written).num_minutes() >= DEAD_AFTER_MINUTES { remove(destination, &note.run_id).await } else { Ok(()) }
    });
    settled.buffered(1).try_collect::<Vec<()>>().await.map(|_| ())
}
