//! The one moment in which a run's tables become visible: a commit file that is created only if it is not there.
//!
//! 1. *Pending.* The run writes `pending/RUN_ID.json`, which says that it is about to change a day. If the run dies, a later run finds
//!    the file and brings that day's folders up to date. The file is created twice: when the store accepts the second creation, it does
//!    not honour create-if-absent, and the run stops. A `clean` that takes the run for dead creates the same file before it removes
//!    anything, so the run finds it there and gives up. A `clean` that comes after the run leaves the run's files alone.
//! 2. *Marker.* The first publication makes the destination its pipeline's own (see [`super::marker`]). Where it would overwrite what is
//!    not Segmill's, it stops. It also stops when a staged file is gone.
//! 3. *Commit.* The next number is created. Of several runs that try, one succeeds. A run that finds the number taken
//!    reads what was published meanwhile. If that is a publication of its own day, or of the day before that it compared with, the run
//!    has computed from an outdated state, and gives up. Otherwise it tries the next number.
//! 4. *Read back.* The commit file is read again. If the answer to the creation was lost, the content of the file decides.
//! 5. *Folders.* The day's folders are brought up to date (see [`super::folders`]), and the pending file goes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use object_store::ObjectStoreExt;

use super::layout::commit_path;
use super::marker::Marker;
use super::objects::{put_new, to_json};
use super::publications::Publications;
use super::{damage, folders, pending};
use crate::clock::Stopwatch;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, Pending, Purpose, WrittenFile};
use crate::storage::{self, Location};

/// How often a run tries the next number while runs for other days keep publishing.
const MAX_ATTEMPTS: usize = 100;

/// How long after its announcement a run may still commit: half of the time after which others may take it for dead.
const COMMITS_WITHIN_MS: u64 = 1000 * 60 * pending::DEAD_AFTER_MINUTES.unsigned_abs() / 2;

/// Creates the next commit file, `draft` with its number and the publications filled in, unless what was `seen` of the
/// draft's day and the one before it has changed. The pending note that it leaves is removed when the folders are up to date.
///
/// # Errors
/// [`Error::Conflict`] when another run published first, or a `clean` has removed this one's files; [`Error::Project`] when the
/// destination is another pipeline's, or files would be overwritten that are not Segmill's; otherwise as the store fails. Only when the
/// error says so is it unknown whether the commit is there.
pub async fn create(destination: &Location, draft: Commit, seen: &Publications) -> Result<(Commit, Pending)> {
    let (superseded, is_damaged) = match seen.of(draft.as_of).await {
        // A day whose commit file is gone can still be published again.
        Err(error) if damage::is_damage(&error) => (None, true),
        superseded => (superseded?, false),
    };
    let note = Pending {
        run_id: draft.run_id.clone(),
        as_of: draft.as_of,
        tables: folders::tables_of(&draft, superseded.as_ref()),
        purpose: Purpose::Publish,
    };
    let since = Stopwatch::start();
    announce(destination, &note).await?;
    let created = async {
        Marker::claim(destination, &draft.pipeline, &draft.run_id).await?;
        if !is_damaged {
            folders::refuse_foreign(destination, &draft, superseded.as_ref()).await?;
        }
        still_there(destination, draft.files()).await?;
        create_numbered(destination, draft, seen, since).await
    }
    .await;
    if let Err(error) = &created
        && !matches!(error, Error::Unavailable(_))
    {
        // Nothing was committed. If the note cannot be removed now, the next run or `clean` removes it.
        let _ = pending::remove(destination, &note.run_id).await;
    }
    Ok((created?, note))
}

/// Withdraws days, each only if its publication is still the one with the given number. Gives the days that were withdrawn.
///
/// # Errors
/// As the store fails.
pub async fn withdraw(destination: &Location, run_id: &str, pipeline: &str, days: &[(NaiveDate, u64)]) -> Result<BTreeSet<NaiveDate>> {
    for _ in 0..MAX_ATTEMPTS {
        let known = Publications::read(destination).await?;
        let gone: BTreeSet<NaiveDate> =
            days.iter().filter(|(day, number)| known.number_of(*day) == Some(*number)).map(|(day, _)| *day).collect();
        let (Some(newest), Some(last)) = (known.newest(), gone.last()) else { return Ok(gone) };
        let mut publications = known.by_day();
        let mut notes = Vec::new();
        for day in &gone {
            publications.remove(day);
            notes.push(note_of_withdrawn(destination, run_id, *day, &known).await?);
        }
        let commit = Commit {
            number: newest.number + 1,
            as_of: *last,
            run_id: run_id.to_owned(),
            pipeline: pipeline.to_owned(),
            segmill_version: env!("CARGO_PKG_VERSION").to_owned(),
            tables: BTreeMap::new(),
            sources: Vec::new(),
            parameters: BTreeMap::new(),
            fingerprint: String::new(),
            made_from: None,
            publications,
            withdrawn: gone.clone(),
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
            ..newest.clone()
        };
        if create_at(destination, &commit).await? {
            for note in notes {
                folders::refresh(destination, note.as_of, &note.tables, Purpose::Withdraw).await?;
                pending::remove(destination, &note.run_id).await?;
            }
            return Ok(gone);
        }
    }
    Err(too_often())
}

/// Leaves a note that the folders of a day are to be emptied. If this process dies, a later run does that.
async fn note_of_withdrawn(destination: &Location, run_id: &str, day: NaiveDate, known: &Publications) -> Result<Pending> {
    let tables = match known.of(day).await {
        // If the commit file is gone, the day may have had any table that was ever published.
        Err(error) if damage::is_damage(&error) => known.all().await?.iter().flat_map(|commit| commit.tables.keys().cloned()).collect(),
        commit => commit?.map(|commit| commit.tables.keys().cloned().collect()).unwrap_or_default(),
    };
    let note = Pending { run_id: format!("{run_id}-{day}"), as_of: day, tables, purpose: Purpose::Withdraw };
    destination.put(&pending::path(destination, &note.run_id), to_json(&note)?).await?;
    Ok(note)
}

/// Verifies that files are still as they were written. A `clean` that takes the run for dead removes them.
///
/// # Errors
/// [`Error::Conflict`] when a file is gone or changed; otherwise as the store fails.
pub async fn still_there(destination: &Location, files: impl IntoIterator<Item = WrittenFile<'_>>) -> Result<()> {
    for file in files {
        let path = destination.join(file.path);
        let shown = destination.shown(&path);
        match destination.store.head(&path).await {
            Ok(meta) if meta.size == file.bytes => {}
            Ok(meta) => {
                let message = Message::new(format!("{shown} has {} bytes where {} were written", meta.size, file.bytes));
                return Err(Error::Conflict(message.hint("somebody changed it; nothing was published; run again")));
            }
            Err(object_store::Error::NotFound { .. }) => return Err(cleaned(&format!("{shown} is gone"))),
            Err(error) => return Err(storage::failure("publish", &shown, error)),
        }
    }
    Ok(())
}

/// The error of a run that a `clean` took for dead.
fn cleaned(what: &str) -> Error {
    let message = Message::new(format!("{what}: a `clean` took this run for dead and removed its files; nothing was published"));
    Error::Conflict(message.hint("run again, and let `clean` have a `--grace` that is longer than any run takes"))
}

/// Writes the pending file, and finds out whether the store honours create-if-absent.
async fn announce(destination: &Location, note: &Pending) -> Result<()> {
    let path = pending::path(destination, &note.run_id);
    let shown = destination.shown(&path);
    let bytes = to_json(note)?;
    match put_new(destination, &path, bytes.clone()).await {
        Ok(()) => {}
        // No other run has this name. Either a request was repeated because its answer was lost, or a `clean` has taken the run for dead.
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            if pending::read(destination, &path).await?.as_ref() != Some(note) {
                return Err(cleaned(&format!("{shown} is there already")));
            }
        }
        Err(error) => return Err(storage::failure("create", &shown, error)),
    }
    match put_new(destination, &path, bytes).await {
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(()),
        Err(error) => Err(storage::failure("create", &shown, error)),
        Ok(()) => {
            let _ = pending::remove(destination, &note.run_id).await;
            let what = "this store does not honour create-if-absent (`If-None-Match: *`), so two runs could publish over each other";
            Err(Diagnostic::error("store-without-conditions", what)
                .hint("nothing was published; publish to a store that honours it, as S3, Azure, GCS and local disks do")
                .into())
        }
    }
}

/// Creates a commit under its number; false when another has the number.
async fn create_at(destination: &Location, commit: &Commit) -> Result<bool> {
    let path = commit_path(destination, commit.number);
    let shown = destination.shown(&path);
    let error = match put_new(destination, &path, to_json(commit)?).await {
        Ok(()) => None,
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => None,
        Err(error) => Some(error),
    };
    // The answer may have been lost, so the content of the file decides.
    match (Publications::commit_at(destination, commit.number).await, error) {
        (Ok(Some(there)), _) => Ok(there.run_id == commit.run_id),
        (Ok(None), Some(error)) => Err(storage::failure("create", &shown, error)),
        (Ok(None), None) => Err(unstable(&shown)),
        (Err(error), _) => Err(unknown(&shown, &error)),
    }
}

async fn create_numbered(destination: &Location, mut draft: Commit, seen: &Publications, since: Stopwatch) -> Result<Commit> {
    for _ in 0..MAX_ATTEMPTS {
        let known = Publications::read(destination).await?;
        known.belong_to(&draft.pipeline)?;
        still_true(destination, &draft, seen, &known)?;
        draft.number = known.newest_number() + 1;
        draft.publications = known.by_day();
        draft.publications.insert(draft.as_of, draft.number);
        if since.elapsed_ms() > COMMITS_WITHIN_MS {
            let message = Message::new("the run was held up for so long before its commit that others may take it for dead");
            return Err(Error::Conflict(message.hint("nothing was published; run again")));
        }
        if create_at(destination, &draft).await? {
            return Ok(draft);
        }
    }
    Err(too_often())
}

fn too_often() -> Error {
    let message = Message::new("other runs publish so often that this one found no number");
    Error::Conflict(message.hint("nothing was published; run again when they are done"))
}

/// Fails when the publications that the run worked from have changed since it began.
fn still_true(destination: &Location, draft: &Commit, seen: &Publications, known: &Publications) -> Result<()> {
    // A day that was withdrawn meanwhile has no publication that could be superseded.
    let changed = |before: Option<u64>, now: Option<u64>| (before != now).then_some(now).flatten();
    let own = changed(seen.number_of(draft.as_of), known.number_of(draft.as_of));
    let before = changed(seen.number_before(draft.as_of), known.number_before(draft.as_of));
    let Some(number) = own.or(before) else { return Ok(()) };
    let shown = destination.shown(&commit_path(destination, number));
    let message = Message::new(if own.is_some() {
        format!("another run published {shown} for the same day first; this one published nothing")
    } else {
        format!("the publication of the day before is {shown} now, and this run has compared with an older one; it published nothing")
    });
    Err(Error::Conflict(message.hint("run again: it will see what the other run published")))
}

fn unstable(shown: &str) -> Error {
    Error::Unavailable(
        Message::new(format!("{shown} was created, and is not there when it is read back"))
            .hint("the store does not show what it has stored; publish to one that does"),
    )
}

fn unknown(shown: &str, error: &Error) -> Error {
    Error::Unavailable(
        Message::new(format!("whether {shown} was created is not known: it cannot be read back"))
            .detail(error.to_string())
            .hint("run again: it publishes only if this run has not"),
    )
}
