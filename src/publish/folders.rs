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

use super::damage::Damage;
use super::layout::folder_path;
use super::publications::Publications;
use crate::diagnostic::{Diagnostic, counted};
use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, DataFile, Purpose};
use crate::storage::{self, CopiesBy, Location};

/// The diagnostic code for files that are not Segmill's.
const FOREIGN: &str = "foreign-file";

/// How often a refresh starts again because its day was published again meanwhile.
const MAX_ROUNDS: usize = 100;

/// The tables whose folders a commit changes: its own, and those of the publication that it supersedes.
pub fn tables_of(commit: &Commit, superseded: Option<&Commit>) -> BTreeSet<String> {
    std::iter::once(commit).chain(superseded).flat_map(|commit| commit.tables.keys().cloned()).collect()
}

/// Brings the folders of a day up to date with its publication, and empties those of `tables` that it does not have. Where the day has no
/// publication, its folders are left alone unless it was taken out.
///
/// # Errors
/// [`Error::Project`] when files of the publication are gone; otherwise as the store fails.
pub async fn refresh(destination: &Location, as_of: NaiveDate, tables: &BTreeSet<String>, purpose: Purpose) -> Result<()> {
    let mut known = Publications::read(destination).await?;
    for _ in 0..MAX_ROUNDS {
        let commit = match known.of(as_of).await {
            // The publication was superseded just now, so the state is read again.
            Err(Error::Conflict(_)) => {
                known = Publications::read(destination).await?;
                continue;
            }
            commit => commit?,
        };
        if commit.is_none() && purpose != Purpose::Withdraw {
            return Ok(());
        }
        let wanted = commit.iter().flat_map(|commit| tables_of(commit, None)).chain(tables.iter().cloned()).collect::<BTreeSet<_>>();
        let replaced = futures::future::join_all(wanted.iter().map(|table| {
            let file = commit.as_ref().and_then(|commit| commit.tables.get(table)).and_then(|table| table.files.first());
            replace(destination, destination.join(&folder_path(table, as_of)), file)
        }))
        .await;
        // A newer publication may be the reason why a file was not there any more.
        known = Publications::read(destination).await?;
        let number = commit.as_ref().map(|commit| commit.number);
        if known.number_of(as_of) == number {
            let gone: Vec<String> = replaced.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            return match number {
                Some(number) if !gone.is_empty() => Err(Damage { as_of, number, files: gone }.error()),
                _ => Ok(()),
            };
        }
    }
    let message = Message::new(format!("the day {as_of} is published so often that its folders cannot follow"));
    Err(Error::Unavailable(message.hint("run again when the other runs are done")))
}

/// Refuses to publish a day when its folders contain files that no publication wrote. Replacing them would lose data, and leaving them
/// would double the rows for readers of the folder.
///
/// # Errors
/// [`Error::Project`] naming them; otherwise as the store fails.
pub async fn refuse_foreign(destination: &Location, draft: &Commit, superseded: Option<&Commit>) -> Result<()> {
    let is_new = |table: &str| superseded.is_none_or(|superseded| !superseded.tables.contains_key(table));
    let looked = draft.tables.iter().filter(|(name, _)| is_new(name)).map(|(name, table)| async move {
        let ours = destination.join(&table.folder_path);
        let mut foreign = Vec::new();
        for meta in destination.list(&format!("{name}/as_of={}", draft.as_of)).await? {
            let file = table.files.first().filter(|_| meta.location == ours);
            let is_same = match file {
                Some(file) => {
                    same(destination, &meta, file).await.map_err(|error| storage::failure("read", &destination.shown(&ours), error))?
                }
                None => false,
            };
            if !is_same {
                foreign.push(destination.shown(&meta.location));
            }
        }
        Ok::<_, Error>(foreign)
    });
    let foreign: Vec<String> = futures::future::try_join_all(looked).await?.into_iter().flatten().collect();
    let Some(first) = foreign.first() else { return Ok(()) };
    let more = if foreign.len() > 1 { format!(", and {} beside it", counted(foreign.len() as u64 - 1, "file")) } else { String::new() };
    let what = format!("{first} stands where {} is to be published, and no publication put it there{more}", draft.as_of);
    Err(Diagnostic::error(FOREIGN, what)
        .hint("nothing was published and nothing touched; move it away, or publish to a destination of its own")
        .into())
}

/// Whether an error says that foreign files are in the folders of a day.
pub fn is_foreign(error: &Error) -> bool {
    matches!(error, Error::Project(problems) if problems.iter().all(|problem| problem.code == FOREIGN))
}

/// Restores a missing file of a publication from its copy in the folders; false when the copy is not whole either.
///
/// # Errors
/// As the store fails.
pub async fn put_back(destination: &Location, file: &DataFile, folder_path: &str) -> Result<bool> {
    let from = destination.join(folder_path);
    let shown = destination.shown(&from);
    let failed = |error| storage::failure("read", &shown, error);
    let meta = match destination.store.head(&from).await {
        Ok(meta) => meta,
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if !same(destination, &meta, file).await.map_err(failed)? {
        return Ok(false);
    }
    copy(destination, &from, &destination.join(&file.path), file.bytes).await.map(|()| true).map_err(failed)
}

/// Replaces a file in the folders by the publication's file, unless they are equal. Gives the path of the publication's file if that is
/// gone.
async fn replace(destination: &Location, to: Path, file: Option<&DataFile>) -> Result<Option<String>> {
    let shown = destination.shown(&to);
    let there = match destination.store.head(&to).await {
        Ok(meta) => Some(meta),
        Err(object_store::Error::NotFound { .. }) => None,
        Err(error) => return Err(storage::failure("read", &shown, error)),
    };
    let Some(file) = file else {
        return match there.map(|_| destination.store.delete(&to)) {
            None => Ok(None),
            Some(deleted) => match deleted.await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(storage::failure("remove", &shown, error)),
            },
        };
    };
    let failed = |error| storage::failure("write", &shown, error);
    if let Some(meta) = there
        && same(destination, &meta, file).await.map_err(failed)?
    {
        return Ok(None);
    }
    let from = destination.join(&file.path);
    match copy(destination, &from, &to, file.bytes).await {
        Ok(()) => Ok(None),
        Err(object_store::Error::NotFound { .. }) => Ok(Some(destination.shown(&from))),
        Err(error) => Err(failed(error)),
    }
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

/// Replaces a file by another in one step: by a copy within the store where that is atomic, or else by an upload, which becomes visible
/// when it is complete.
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
