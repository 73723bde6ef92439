//! What a destination holds: the publication of every as-of day, as its newest commit knows them.
//!
//! Each commit has the next number and is created only if it is not there, so all commits form one line. Each carries the number of the
//! publication of every day at that time. One listing and one read therefore give the state of the whole destination, however many days
//! it holds.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use object_store::path::Path;

use super::damage;
use super::layout::{COMMITS, commit_number, commit_path};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result};
use crate::manifest::{self, Commit};
use crate::storage::{Contents, Location};

/// The largest commit file that is read.
const MAX_COMMIT_BYTES: u64 = 64 * 1024 * 1024;

/// How often reading is repeated when the newest commit has been removed since the listing.
const MAX_ROUNDS: usize = 20;

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
        for _ in 0..MAX_ROUNDS {
            let Some(&number) = numbers(destination).await?.last() else {
                return Ok(Publications { destination: destination.clone(), newest: None });
            };
            // A commit that was removed since the listing was superseded, so a newer one is there.
            if let Some(newest) = read_commit(destination, number).await? {
                return Ok(Publications { destination: destination.clone(), newest: Some(newest) });
            }
        }
        let message = Message::new(format!("{} lists commits that cannot be read", destination.shown(&destination.join(COMMITS))));
        Err(Error::Unavailable(message.hint("run again; if that does not help, the store does not show what it has stored")))
    }

    /// The number of the newest commit, whatever its day; 0 when there is none.
    pub fn newest_number(&self) -> u64 {
        self.newest.as_ref().map_or(0, |commit| commit.number)
    }

    /// The run that made the newest commit.
    pub fn newest_run(&self) -> Option<&str> {
        self.newest.as_ref().map(|commit| commit.run_id.as_str())
    }

    /// The newest commit.
    pub fn newest(&self) -> Option<&Commit> {
        self.newest.as_ref()
    }

    /// Verifies that they are a pipeline's own. A destination belongs to the pipeline that first published there; two pipelines at one
    /// destination would remove each other's tables.
    ///
    /// # Errors
    /// [`Error::Project`] with the names of both.
    pub fn belong_to(&self, pipeline: &str) -> Result<()> {
        let Some(newest) = self.newest.as_ref().filter(|newest| !newest.pipeline.is_empty() && newest.pipeline != pipeline) else {
            return Ok(());
        };
        let shown = self.destination.shown(&commit_path(&self.destination, newest.number));
        Err(another(&newest.pipeline, &format!("which published {shown}"), pipeline))
    }

    /// The error for a publication that was replaced by another one while it was read.
    pub fn moved_on(&self, as_of: NaiveDate) -> Error {
        let message = Message::new(format!("the day {as_of} was published again, or withdrawn, while its publication was read"));
        Error::Conflict(message.hint("run again: it will see what is there now"))
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
    /// As [`Publications::read`]; [`Error::Project`] when its file is gone, and [`Error::Conflict`] when the day has another by now.
    pub async fn latest(&self) -> Result<Option<Commit>> {
        self.publication(self.by_day().last_key_value().map(|(day, number)| (*day, *number))).await
    }

    /// The publication of a day.
    ///
    /// # Errors
    /// As [`Publications::read`]; [`Error::Project`] when its file is gone, and [`Error::Conflict`] when the day has another by now.
    pub async fn of(&self, as_of: NaiveDate) -> Result<Option<Commit>> {
        self.publication(self.number_of(as_of).map(|number| (as_of, number))).await
    }

    /// The publication of the nearest day before another.
    ///
    /// # Errors
    /// As [`Publications::read`]; [`Error::Project`] when its file is gone, and [`Error::Conflict`] when the day has another by now.
    pub async fn before(&self, as_of: NaiveDate) -> Result<Option<Commit>> {
        self.publication(self.by_day().range(..as_of).next_back().map(|(day, number)| (*day, *number))).await
    }

    /// The commit of a number at a destination, if there is one.
    ///
    /// # Errors
    /// As [`Publications::read`].
    pub async fn commit_at(destination: &Location, number: u64) -> Result<Option<Commit>> {
        read_commit(destination, number).await
    }

    /// Every commit file that is there, superseded ones among them, in order. Those that go meanwhile are not needed.
    ///
    /// # Errors
    /// As [`Publications::read`].
    pub async fn all(&self) -> Result<Vec<Commit>> {
        let mut commits = Vec::new();
        for number in numbers(&self.destination).await? {
            match &self.newest {
                Some(newest) if newest.number == number => commits.push(newest.clone()),
                _ => commits.extend(read_commit(&self.destination, number).await?),
            }
        }
        Ok(commits)
    }

    /// The publication of a day that has one.
    async fn publication(&self, day: Option<(NaiveDate, u64)>) -> Result<Option<Commit>> {
        let Some((as_of, number)) = day else { return Ok(None) };
        if let Some(newest) = self.newest.as_ref().filter(|newest| newest.number == number) {
            return Ok(Some(newest.clone()));
        }
        if let Some(commit) = read_commit(&self.destination, number).await? {
            return Ok(Some(commit));
        }
        // It is gone: because the day has another by now, or because somebody removed it.
        let now = Box::pin(Publications::read(&self.destination)).await?;
        let is_live = now.number_of(as_of) == Some(number);
        Err(if is_live { damage::lost_commit(&self.destination, as_of, number) } else { now.moved_on(as_of) })
    }
}

/// The numbers of the commit files, in order.
async fn numbers(destination: &Location) -> Result<Vec<u64>> {
    let root = destination.folder();
    let files = destination.list(COMMITS).await?;
    let number = |path: &Path| commit_number(path.as_ref().strip_prefix(root.as_ref())?.trim_start_matches('/'));
    let mut numbers: Vec<u64> = files.iter().filter_map(|file| number(&file.location)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a commit file, if it is there.
async fn read_commit(destination: &Location, number: u64) -> Result<Option<Commit>> {
    let path = commit_path(destination, number);
    let shown = destination.shown(&path);
    let bytes = match destination.read(&path, MAX_COMMIT_BYTES).await? {
        Some(Contents::Bytes(bytes)) => bytes,
        Some(Contents::TooLarge) => return Err(foreign(&shown, "it is too large")),
        None => return Ok(None),
    };
    let commit: Commit = match serde_json::from_slice(&bytes) {
        Ok(commit) => commit,
        Err(error) => {
            return Err(newer(&bytes, &shown, manifest::FORMAT).unwrap_or_else(|| {
                foreign(&shown, &format!("it is not of that form at line {} and column {}", error.line(), error.column()))
            }));
        }
    };
    match newer(&bytes, &shown, manifest::FORMAT) {
        Some(error) => Err(error),
        None if commit.number == number => Ok(Some(commit)),
        None => Err(foreign(&shown, &format!("it says that its number is {}", commit.number))),
    }
}

/// The refusal of a pipeline that another's destination was named to.
pub fn another(owner: &str, how: &str, pipeline: &str) -> Error {
    let what = format!("the destination belongs to the pipeline `{owner}`, {how}; this pipeline is `{pipeline}`");
    Diagnostic::error("another-pipeline", what)
        .hint("publish to a destination of its own; a pipeline that was given another name needs one too")
        .into()
}

/// The error that a document of a later format is than this version knows, if it is one.
pub fn newer(bytes: &[u8], shown: &str, known: u32) -> Option<Error> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u32,
    }
    let format = serde_json::from_slice::<Versioned>(bytes).ok()?.format;
    (format > known).then(|| {
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
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};

    use super::*;
    use crate::storage::Written;

    fn destination() -> Location {
        Location { store: Arc::new(InMemory::new()), path: "shop".into(), written: Written::Url("memory://".into()), is_read_only: false }
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
            made_from: None,
            tables: BTreeMap::new(),
            state: BTreeMap::new(),
            predecessor: None,
            given_parameters: BTreeMap::new(),
            identity_hash_id: None,
            project: None,
            report: None,
            definition_digest: None,
            given_digest: None,
            segment_sets: Vec::new(),
            customers: None,
            revenue_column: None,
            sources: Vec::new(),
            publications,
            withdrawn: BTreeSet::new(),
            locations: BTreeMap::new(),
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
