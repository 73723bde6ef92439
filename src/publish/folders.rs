//! `TABLE/as_of=DAY/TABLE.parquet`: the publication of every day for readers that only list folders, as most warehouses do.
//!
//! There is one object to a table and day, and it always has the same name. To publish a day again replaces it, which
//! every store does at once: a put or a copy in an object store, a rename on a local disk. So a reader that lists the
//! folder finds one version, never two and never none. What such a reader can see:
//!
//! - *Between tables*: while a day is published again, some of its tables may be new and others old. All are replaced
//!   at the same time, so that lasts as long as one copy takes; after a crash, until the next run (or `clean`).
//! - *Within a file*: a reader that fetches an object in several requests, and does not pin its `ETag`, may get parts of
//!   two versions when it is replaced in between. On a local disk an open file stays what it was.
//!
//! Readers that resolve the commit see neither.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::publications::Publications;
use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, DataFile};
use crate::storage::{self, CopiesBy, Location};

/// How often a refresh starts again because its day was published again meanwhile.
const MAX_ROUNDS: usize = 100;

/// Where a table's file of a day is, from the destination.
pub fn path(table: &str, as_of: NaiveDate) -> String {
    format!("{table}/as_of={as_of}/{table}.parquet")
}

/// The tables whose folders a commit changes: its own, and those of the publication that it supersedes.
pub fn tables_of(commit: &Commit, superseded: Option<&Commit>) -> BTreeSet<String> {
    std::iter::once(commit).chain(superseded).flat_map(|commit| commit.tables.keys().cloned()).collect()
}

/// Brings the folders of a day up to date with its publication, and empties those of `tables` that it does not have.
///
/// # Errors
/// As the store fails.
pub async fn refresh(destination: &Location, as_of: NaiveDate, tables: &BTreeSet<String>) -> Result<()> {
    let mut known = Publications::read(destination).await?;
    for _ in 0..MAX_ROUNDS {
        let Some(commit) = known.of(as_of).await? else { return Ok(()) };
        let replaced = futures::future::join_all(tables_of(&commit, None).union(tables).map(|table| {
            let file = commit.tables.get(table).and_then(|table| table.files.first());
            replace(destination, destination.join(&path(table, as_of)), file)
        }))
        .await;
        // What was published meanwhile counts, and may be why a file was not there any more.
        known = Publications::read(destination).await?;
        if known.number_of(as_of) == Some(commit.number) {
            return replaced.into_iter().collect();
        }
    }
    let message = Message::new(format!("the day {as_of} is published so often that its folders cannot follow"));
    Err(Error::Unavailable(message.hint("run again when the other runs are done")))
}

/// Makes a file of the folders what a publication has, if it is not already.
async fn replace(destination: &Location, to: Path, file: Option<&DataFile>) -> Result<()> {
    let shown = destination.shown(&to);
    let there = match destination.store.head(&to).await {
        Ok(meta) => Some(meta),
        Err(object_store::Error::NotFound { .. }) => None,
        Err(error) => return Err(storage::failure("read", &shown, error)),
    };
    let Some(file) = file else {
        return match there.map(|_| destination.store.delete(&to)) {
            None => Ok(()),
            Some(deleted) => match deleted.await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(storage::failure("remove", &shown, error)),
            },
        };
    };
    let failed = |error| storage::failure("write", &shown, error);
    if let Some(meta) = there
        && same(destination, &meta, file).await.map_err(failed)?
    {
        return Ok(());
    }
    copy(destination, &destination.join(&file.path), &to, file.bytes).await.map_err(failed)
}

/// Whether a file has the bytes of another.
async fn same(destination: &Location, meta: &ObjectMeta, file: &DataFile) -> object_store::Result<bool> {
    if meta.size != file.bytes {
        return Ok(false);
    }
    let mut bytes = match destination.store.get(&meta.location).await {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut hash = Sha256::new();
    while let Some(part) = bytes.try_next().await? {
        hash.update(&part);
    }
    Ok(format!("{:x}", hash.finalize()) == file.sha256)
}

/// Replaces a file by another at once: within the store where that is one step there, else through this process, whose
/// upload shows only when it is complete.
async fn copy(destination: &Location, from: &Path, to: &Path, bytes: u64) -> object_store::Result<()> {
    match destination.copies_by() {
        CopiesBy::Store { up_to_bytes } if bytes <= up_to_bytes => destination.store.copy(from, to).await,
        _ => {
            let mut parts = destination.store.get(from).await?.into_stream();
            let mut writer = BufWriter::new(std::sync::Arc::clone(&destination.store), to.clone());
            while let Some(part) = parts.next().await {
                writer.put(part?).await?;
            }
            let shut = writer.shutdown().await;
            shut.map_err(|error| object_store::Error::Generic { store: "upload", source: Box::new(error) })
        }
    }
}
