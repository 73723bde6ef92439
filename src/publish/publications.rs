//! What a destination holds: the publication of every as-of day, as its newest commit knows them.
//!
//! Commits are numbered without a choice: each is created only if it is not there, so they form one line. Each carries
//! the number of the publication of every day as it stood then. One listing and one read therefore give the state of
//! the whole destination, exactly and whole, however many days it holds.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::manifest::{self, Commit};
use crate::storage::{self, Location};

/// The folder of the commit files.
pub const COMMITS: &str = "commits";

/// The largest commit file that is read.
const MAX_COMMIT_BYTES: u64 = 64 * 1024 * 1024;

/// The publications at a destination, at the moment of asking.
#[derive(Debug, Clone)]
pub struct Publications {
    pub(super) destination: Location,
    newest: Option<Commit>,
}

impl Publications {
    /// Reads the state of a destination; one that does not exist yet holds none.
    ///
    /// # Errors
    /// As reading from the store fails; [`Error::Project`] when a newer Segmill wrote there, or somebody else did.
    pub async fn read(destination: &Location) -> Result<Self> {
        let newest = match numbers(destination).await?.last() {
            Some(&number) => Some(read_commit(destination, number).await?),
            None => None,
        };
        Ok(Publications { destination: destination.clone(), newest })
    }

    /// The number of the newest commit, whatever its day; 0 when there is none.
    pub fn newest_number(&self) -> u64 {
        self.newest.as_ref().map_or(0, |commit| commit.number)
    }

    /// The run that made the newest commit.
    pub fn newest_run(&self) -> Option<&str> {
        self.newest.as_ref().map(|commit| commit.run_id.as_str())
    }

    /// Sees that they are a pipeline's own: a destination belongs to the one that first published there. Two at one would take turns in
    /// removing each other's tables.
    ///
    /// # Errors
    /// [`Error::Project`] with the names of both.
    pub fn belong_to(&self, pipeline: &str) -> Result<()> {
        let Some(newest) = self.newest.as_ref().filter(|newest| !newest.pipeline.is_empty() && newest.pipeline != pipeline) else {
            return Ok(());
        };
        let shown = self.destination.shown(&commit_path(&self.destination, newest.number));
        let what = format!(
            "the destination belongs to the pipeline `{}`, which published {shown}; this pipeline is `{pipeline}`",
            newest.pipeline
        );
        Err(Diagnostic::error("another-pipeline", what)
            .hint("publish to a destination of its own; a pipeline that was given another name needs one too")
            .into())
    }

    /// The number of the publication of every as-of day.
    pub fn by_day(&self) -> BTreeMap<NaiveDate, u64> {
        self.newest.as_ref().map(|newest| newest.publications.clone()).unwrap_or_default()
    }

    /// The number of the publication of a day.
    pub fn number_of(&self, as_of: NaiveDate) -> Option<u64> {
        self.by_day().get(&as_of).copied()
    }

    /// The number of the publication of the nearest day before another: what a run as of that day may compare with,
    /// since nothing later may change its outputs.
    pub fn number_before(&self, as_of: NaiveDate) -> Option<u64> {
        self.by_day().range(..as_of).next_back().map(|(_, number)| *number)
    }

    /// The publication of the latest as-of day.
    ///
    /// # Errors
    /// As [`Publications::commit`].
    pub async fn latest(&self) -> Result<Option<Commit>> {
        let number = self.by_day().last_key_value().map(|(_, number)| *number);
        self.commit_if(number).await
    }

    /// The publication of a day.
    ///
    /// # Errors
    /// As [`Publications::commit`].
    pub async fn of(&self, as_of: NaiveDate) -> Result<Option<Commit>> {
        self.commit_if(self.number_of(as_of)).await
    }

    /// The publication of the nearest day before another.
    ///
    /// # Errors
    /// As [`Publications::commit`].
    pub async fn before(&self, as_of: NaiveDate) -> Result<Option<Commit>> {
        self.commit_if(self.number_before(as_of)).await
    }

    /// The commit of a number.
    ///
    /// # Errors
    /// As [`Publications::read`].
    pub async fn commit(&self, number: u64) -> Result<Commit> {
        match &self.newest {
            Some(newest) if newest.number == number => Ok(newest.clone()),
            _ => read_commit(&self.destination, number).await,
        }
    }

    /// The commit of a number at a destination, if there is one.
    ///
    /// # Errors
    /// As [`Publications::read`].
    pub async fn commit_at(destination: &Location, number: u64) -> Result<Option<Commit>> {
        match read_commit(destination, number).await {
            Ok(commit) => Ok(Some(commit)),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every commit file that is there, superseded ones among them, in order.
    ///
    /// # Errors
    /// As [`Publications::read`].
    pub async fn all(&self) -> Result<Vec<Commit>> {
        let mut commits = Vec::new();
        for number in numbers(&self.destination).await? {
            commits.push(self.commit(number).await?);
        }
        Ok(commits)
    }

    async fn commit_if(&self, number: Option<u64>) -> Result<Option<Commit>> {
        match number {
            Some(number) => Ok(Some(self.commit(number).await?)),
            None => Ok(None),
        }
    }
}

/// Where the commit of a number is.
pub fn commit_path(destination: &Location, number: u64) -> Path {
    destination.join(&format!("{COMMITS}/{number:08}.json"))
}

/// The numbers of the commit files, in order.
async fn numbers(destination: &Location) -> Result<Vec<u64>> {
    let folder = destination.join(COMMITS);
    let files = destination.list(COMMITS).await?;
    let number = |path: &Path| {
        // Only what lies directly in the folder and is named as a commit is one.
        let name = path.as_ref().strip_prefix(folder.as_ref())?.strip_prefix('/')?;
        let number = name.strip_suffix(".json")?.parse::<u64>().ok()?;
        (name == format!("{number:08}.json")).then_some(number)
    };
    let mut numbers: Vec<u64> = files.iter().filter_map(|file| number(&file.location)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a commit file.
async fn read_commit(destination: &Location, number: u64) -> Result<Commit> {
    let path = commit_path(destination, number);
    let shown = destination.shown(&path);
    let failed = |error| storage::failure("read", &shown, error);
    let found = destination.store.get(&path).await.map_err(failed)?;
    if found.meta.size > MAX_COMMIT_BYTES {
        return Err(foreign(&shown, "it is too large"));
    }
    let bytes = found.bytes().await.map_err(failed)?;
    let commit: Commit = match serde_json::from_slice(&bytes) {
        Ok(commit) => commit,
        Err(error) => {
            return Err(newer(&bytes, &shown).unwrap_or_else(|| {
                foreign(&shown, &format!("it is not of that form at line {} and column {}", error.line(), error.column()))
            }));
        }
    };
    match newer(&bytes, &shown) {
        Some(error) => Err(error),
        None if commit.number == number => Ok(commit),
        None => Err(foreign(&shown, &format!("it says that its number is {}", commit.number))),
    }
}

/// The error that a commit of a later format is, if it is one.
fn newer(bytes: &[u8], shown: &str) -> Option<Error> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u32,
    }
    let format = serde_json::from_slice::<Versioned>(bytes).ok()?.format;
    (format > manifest::FORMAT).then(|| {
        Diagnostic::error("newer-publication", format!("{shown} was written by a newer Segmill (format {format})"))
            .hint("update this one, or publish to another destination")
            .into()
    })
}

fn foreign(shown: &str, why: &str) -> Error {
    Diagnostic::error("not-a-commit", format!("{shown} is not a commit file: {why}"))
        .hint("`commits/` at the destination belongs to Segmill; name another destination, or restore the file")
        .into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::PutPayload;
    use object_store::memory::InMemory;

    use super::*;
    use crate::storage::Written;

    fn destination() -> Location {
        Location { store: Arc::new(InMemory::new()), path: "shop".into(), written: Written::Url("memory://".into()) }
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    async fn publish(destination: &Location, as_of: &str) {
        let known = Publications::read(destination).await.unwrap();
        let number = known.newest_number() + 1;
        let mut publications = known.by_day();
        publications.insert(day(as_of), number);
        let commit = Commit {
            format: manifest::FORMAT,
            number,
            pipeline: "p".into(),
            as_of: day(as_of),
            run_id: format!("run-{number}"),
            segmill_version: "0".into(),
            project_digest: String::new(),
            parameters: BTreeMap::new(),
            fingerprint: String::new(),
            tables: BTreeMap::new(),
            kept: BTreeMap::new(),
            identity_hash_id: None,
            sources: Vec::new(),
            publications,
        };
        put(destination, number, &serde_json::to_string(&commit).unwrap()).await;
    }

    async fn put(destination: &Location, number: u64, text: &str) {
        destination.store.put(&commit_path(destination, number), PutPayload::from(text.to_owned())).await.unwrap();
    }

    #[tokio::test]
    async fn the_newest_commit_knows_the_publication_of_every_day() {
        let destination = destination();
        let empty = Publications::read(&destination).await.unwrap();
        assert_eq!((empty.newest_number(), empty.latest().await.unwrap()), (0, None));
        for as_of in ["2026-10-01", "2026-12-01", "2026-11-01", "2026-10-01"] {
            publish(&destination, as_of).await;
        }
        let known = Publications::read(&destination).await.unwrap();
        assert_eq!(known.newest_number(), 4);
        assert_eq!(known.latest().await.unwrap().unwrap().number, 2, "the latest day, not the newest commit");
        assert_eq!(known.of(day("2026-10-01")).await.unwrap().unwrap().number, 4, "published again");
        assert_eq!(known.of(day("2026-10-02")).await.unwrap(), None);
        assert_eq!(known.before(day("2026-12-01")).await.unwrap().unwrap().number, 3);
        assert_eq!(known.before(day("2026-10-01")).await.unwrap(), None, "later days are none of its business");
        assert_eq!(known.all().await.unwrap().iter().map(|commit| commit.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn what_is_no_commit_is_not_taken_for_one() {
        let destination = destination();
        publish(&destination, "2026-10-01").await;
        for name in ["commits/00000009.json.tmp", "commits/9.json", "commits/deep/00000009.json"] {
            destination.store.put(&destination.join(name), PutPayload::from("x")).await.unwrap();
        }
        assert_eq!(Publications::read(&destination).await.unwrap().newest_number(), 1);
        put(&destination, 2, r#"{"format": 99, "unheard": "of"}"#).await;
        assert!(Publications::read(&destination).await.unwrap_err().to_string().contains("a newer Segmill"));
        put(&destination, 2, "{}").await;
        assert!(Publications::read(&destination).await.unwrap_err().to_string().contains("is not a commit file"));
    }
}
