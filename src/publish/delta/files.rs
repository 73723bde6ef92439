//! Copies the file of a published table into the folder of a Delta table. Nobody sees it there until a version of the log names it.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::clock;
use crate::error::{Error, Message, Result};
use crate::manifest::DataFile;
use crate::storage::{self, CopiesBy, Location};

/// How old a file may be that a copy has left behind, to be used as it is.
const LEFT_BEHIND: TimeDelta = TimeDelta::days(1);

/// Copies a file, unless it is there from a copy that died; when it was written, in milliseconds since 1970. None where the file of the
/// publication is gone or changed.
///
/// # Errors
/// As one of the stores fails.
pub async fn copy(from: &Location, file: &DataFile, to: &Location, to_path: &Path) -> Result<Option<i64>> {
    let shown = to.shown(to_path);
    let written = |error| storage::failure("write", &shown, error);
    // Its name holds the run, and a run writes one file for a table.
    match to.store.head(to_path).await {
        // VACUUM may take an old file for one that nothing needs before a version names it.
        Ok(there) if there.size == file.bytes && clock::now() - there.last_modified < LEFT_BEHIND => {
            return Ok(Some(there.last_modified.timestamp_millis()));
        }
        Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(written(error)),
    }
    let from_path = from.join(&file.path);
    let is_within = Arc::ptr_eq(&from.store, &to.store);
    let is_copied = match from.copies_by() {
        // On a disk it would be a link, which is as old as the file, and is possible within one file system alone.
        CopiesBy::Store { up_to_bytes } if is_within && !to.is_local() && file.bytes <= up_to_bytes => {
            match from.store.copy(&from_path, to_path).await {
                Ok(()) => true,
                Err(object_store::Error::NotFound { .. }) => false,
                Err(error) => return Err(written(error)),
            }
        }
        _ => stream(from, &from_path, file, to, to_path).await?,
    };
    if !is_copied {
        return Ok(None);
    }
    let there = to.store.head(to_path).await.map_err(written)?;
    if there.size != file.bytes {
        return Ok(None);
    }
    Ok(Some(there.last_modified.timestamp_millis()))
}

/// Reads a file and writes it to another store; false where it is not there, or not as it was published.
async fn stream(from: &Location, from_path: &Path, file: &DataFile, to: &Location, to_path: &Path) -> Result<bool> {
    let read = |error| storage::failure("read", &from.shown(from_path), error);
    let mut parts = match from.store.get(from_path).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(read(error)),
    };
    let mut writer = BufWriter::new(Arc::clone(&to.store), to_path.clone());
    let (mut hash, shown) = (Sha256::new(), to.shown(to_path));
    while let Some(part) = parts.try_next().await.map_err(read)? {
        hash.update(&part);
        writer.put(part).await.map_err(|error| storage::failure("write", &shown, error))?;
    }
    if format!("{:x}", hash.finalize()) != file.sha256 {
        // What cannot be ended ends with the run.
        let _ = writer.abort().await;
        return Ok(false);
    }
    writer.shutdown().await.map_err(|error| storage::broken("write", &shown, &error))?;
    Ok(true)
}

/// The error for a publication whose file is gone or changed.
pub fn gone(shown: &str) -> Error {
    let message = Message::new(format!("{shown} is gone or not as it was written"));
    Error::Unavailable(message.hint("run again: a newer publication may have taken its place; if not, `segmill clean` shows the damage"))
}
