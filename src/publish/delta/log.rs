//! Reads the log of a Delta table, and adds to it. A version is a file that is created only if it is not there, so of several writers one
//! succeeds; the others find its file and look again.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::actions::Line;
use super::checkpoint;
use super::state::State;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::publish::objects::put_new;
use crate::storage::{self, Contents, Location};

/// The folder of the log in that of the table.
const LOG: &str = "_delta_log";

/// The largest file of a log that is read.
const MAX_LOG_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Versions that are read at once.
const CONCURRENCY: usize = 16;

/// After how many versions a checkpoint is written, as other writers do it.
const CHECKPOINT_EVERY: u64 = 10;

/// The log of a table.
pub struct Log<'a> {
    /// Where the tables are.
    pub location: &'a Location,
    /// The table.
    pub table: &'a str,
}

/// The files of a log, as a listing shows them.
#[derive(Default)]
struct Listing {
    versions: BTreeMap<u64, Path>,
    /// By version, each part with its number and how many parts there are.
    checkpoints: BTreeMap<u64, Vec<(u64, u64, Path)>>,
}

impl Log<'_> {
    /// A path in the table's folder.
    pub fn path(&self, below: &str) -> Path {
        self.location.join(&format!("{}/{below}", self.table))
    }

    /// The table, for people.
    pub fn shown(&self) -> String {
        self.location.shown(&self.location.join(self.table))
    }

    /// Reads the log up to its newest version.
    ///
    /// # Errors
    /// [`Error::Project`] when it is none that Segmill can read; otherwise as the store fails.
    pub async fn read(&self) -> Result<State> {
        let listing = self.list().await?;
        let Some(newest) = listing.versions.keys().chain(listing.checkpoints.keys()).max().copied() else { return Ok(State::default()) };
        let whole = |(version, parts): (&u64, &Vec<(u64, u64, Path)>)| {
            let count = parts.first().map_or(0, |(_, count, _)| *count);
            (parts.len() as u64 == count).then_some(*version)
        };
        let from = listing.checkpoints.iter().rev().find_map(whole);
        let mut state = State::default();
        if let Some(version) = from {
            for (.., path) in &listing.checkpoints[&version] {
                let lines = checkpoint::read(self.bytes(path).await?).await;
                state.apply(version, lines.map_err(|why| self.unreadable(&format!("{} {why}", self.location.shown(path))))?);
            }
        }
        let start = from.map_or(0, |version| version.saturating_add(1));
        let wanted: Vec<u64> = listing.versions.range(start..).map(|(version, _)| *version).collect();
        let expected = (start..).take(wanted.len() + usize::from(wanted.last().copied().or(from) < Some(newest)));
        let missing = expected.enumerate().find(|(at, version)| wanted.get(*at) != Some(version));
        if let Some((_, version)) = missing {
            return Err(self.unreadable(&format!("its log lacks version {version}")));
        }
        let mut read = stream::iter(wanted.iter().map(|version| async {
            let path = &listing.versions[version];
            Ok::<_, Error>((*version, lines_of(&self.bytes(path).await?), path))
        }))
        .buffered(CONCURRENCY);
        while let Some((version, lines, path)) = read.try_next().await? {
            let lines = lines.map_err(|line| self.unreadable(&format!("line {line} of {} is no action", self.location.shown(path))))?;
            state.apply(version, lines);
        }
        Ok(state)
    }

    /// A file in the table's folder that no copy has left there.
    ///
    /// # Errors
    /// As the store fails.
    pub async fn foreign_file(&self) -> Result<Option<Path>> {
        let folder = format!("{}/", self.location.join(self.table));
        let is_own = |path: &Path| {
            let below = path.as_ref().strip_prefix(&folder).unwrap_or_default();
            let is_copy = |(day, file): (&str, &str)| {
                day.strip_prefix("as_of=").is_some_and(|day| day.parse::<chrono::NaiveDate>().is_ok()) && file.ends_with(".parquet")
            };
            below.starts_with(&format!("{LOG}/")) || below.split_once('/').is_some_and(is_copy)
        };
        Ok(self.location.list(self.table).await?.into_iter().map(|file| file.location).find(|path| !is_own(path)))
    }

    /// Creates a version; false when another writer has it.
    ///
    /// # Errors
    /// [`Error::Project`] when the store does not honour create-if-absent; otherwise as the store fails.
    pub async fn create(&self, version: u64, bytes: Vec<u8>) -> Result<bool> {
        let path = self.version_path(version);
        let shown = self.location.shown(&path);
        let created = put_new(self.location, &path, bytes.clone()).await;
        if version == 0 && created.is_ok() {
            // The same again changes nothing, and shows a store that would let two writers write one version.
            if put_new(self.location, &path, bytes.clone()).await.is_ok() {
                // Without it there is no table, and every run says so.
                let _ = self.location.store.delete(&path).await;
                let what = format!("the store of {shown} does not honour create-if-absent, so two writers could write the same version");
                let hint = "keep Delta tables where it is honoured, as S3, Azure, GCS and local disks do";
                return Err(Diagnostic::error("store-without-conditions", what).hint(hint).into());
            }
        }
        match created {
            Ok(()) => Ok(true),
            // The answer to an earlier try may have been lost, so the content of the file decides.
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(self.bytes(&path).await?.as_ref() == bytes)
            }
            Err(error) => match self.location.read(&path, MAX_LOG_FILE_BYTES).await {
                Ok(Some(Contents::Bytes(there))) => Ok(there.as_ref() == bytes),
                _ => Err(storage::failure("create", &shown, error)),
            },
        }
    }

    /// Writes a checkpoint of a state at every tenth version, with which readers need not read all versions. Without it they read more,
    /// so a failure is only logged.
    pub async fn checkpoint(&self, state: &State, now_ms: i64) {
        let Some(version) = state.version.filter(|version| *version > 0 && version % CHECKPOINT_EVERY == 0) else { return };
        let written = async {
            let (bytes, actions) = checkpoint::write(state, now_ms)?;
            let last =
                serde_json::json!({ "version": version, "size": actions, "sizeInBytes": bytes.len(), "numOfAddFiles": state.files.len() });
            self.location.put(&self.path(&format!("{LOG}/{version:020}.checkpoint.parquet")), bytes).await?;
            self.location.put(&self.path(&format!("{LOG}/_last_checkpoint")), last.to_string().into_bytes()).await
        };
        if let Err(error) = written.await {
            tracing::warn!("no checkpoint was written of {}: {error}", self.shown());
        }
    }

    /// The error for a table that cannot be read.
    pub fn unreadable(&self, why: &str) -> Error {
        Diagnostic::error("unreadable-delta-table", format!("{} cannot be written to: {why}", self.shown()))
            .hint(format!(
                "copy to another location; or, if nothing but copies is in it, remove the folder `{}`: the next run copies every published day anew",
                self.table
            ))
            .into()
    }

    fn version_path(&self, version: u64) -> Path {
        self.path(&format!("{LOG}/{version:020}.json"))
    }

    async fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        for ObjectMeta { location, .. } in self.location.list(&format!("{}/{LOG}", self.table)).await? {
            let Some(name) = location.filename().filter(|name| self.path(&format!("{LOG}/{name}")) == location) else { continue };
            let parts: Vec<&str> = name.split('.').collect();
            let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
            let version_of = |text: &str| text.parse::<u64>().ok().filter(|_| digits(text, 20));
            let part_of = |text: &str| text.parse::<u64>().ok().filter(|_| digits(text, 10));
            match parts.as_slice() {
                [version, "json"] => listing.versions.extend(version_of(version).map(|version| (version, location.clone()))),
                [version, "checkpoint", "parquet"] => {
                    if let Some(version) = version_of(version) {
                        // A checkpoint in one file goes before one in parts.
                        listing.checkpoints.insert(version, vec![(1, 1, location.clone())]);
                    }
                }
                [version, "checkpoint", part, count, "parquet"] => {
                    if let (Some(version), Some(part), Some(count)) = (version_of(version), part_of(part), part_of(count)) {
                        let parts = listing.checkpoints.entry(version).or_default();
                        if parts.first().is_none_or(|(_, other, _)| *other == count && count > 1) {
                            parts.push((part, count, location.clone()));
                        }
                    }
                }
                [version, "checkpoint", _, "parquet" | "json"] if version_of(version).is_some() => {
                    return Err(self.unreadable("its log has checkpoints of version 2, which Segmill does not read"));
                }
                _ => {}
            }
        }
        Ok(listing)
    }

    async fn bytes(&self, path: &Path) -> Result<Bytes> {
        match self.location.read(path, MAX_LOG_FILE_BYTES).await? {
            Some(Contents::Bytes(bytes)) => Ok(bytes),
            Some(Contents::TooLarge) => {
                Err(self.unreadable(&format!("{} has more than {} MiB", self.location.shown(path), MAX_LOG_FILE_BYTES >> 20)))
            }
            None => Err(self.unreadable(&format!("{} is gone", self.location.shown(path)))),
        }
    }
}

/// The actions of a version, or the number of the line that is none.
fn lines_of(bytes: &[u8]) -> Result<Vec<Line>, usize> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(at, line)| serde_json::from_slice(line).map_err(|_| at + 1)).collect()
}
