//! The one moment in which a run's tables become visible: a commit file that is created only if it is not there.
//!
//! 1. *Pending.* The run says, in `pending/RUN_ID.json`, that it is about to change a day. Whoever finds that file later
//!    looks after that day's folders, should the run have died. The file is created twice: a store that lets the second
//!    one pass does not honour create-if-absent, and the run stops there.
//! 2. *Commit.* The next number is created. Of several runs that try, one succeeds. A run that finds the number taken
//!    looks at what was published: if that is of its own day, or changes the publication before it, the run has
//!    computed from a state that is gone, and gives up; otherwise it tries the number after.
//! 3. *Read back.* The commit file is read again. A request that was answered too late is settled by what is there.
//! 4. *Folders.* The day's folders are brought up to date (see [`super::folders`]), and the pending file goes.

use object_store::path::Path;
use object_store::{PutMode, PutOptions, PutPayload};

use super::publications::{Publications, commit_path};
use super::{folders, pending};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, Pending};
use crate::storage::{self, Location};

/// How often a run tries the number after, when runs of other days keep publishing.
const MAX_ATTEMPTS: usize = 100;

/// Creates the next commit file, `draft` with its number and the publications filled in, unless what was `seen` of the
/// draft's day and the one before it has changed. The note that it leaves is for whoever brings the folders up to date.
///
/// # Errors
/// [`Error::Conflict`] when another run published first; otherwise as the store fails. Only when the error says so is
/// it unknown whether the commit is there.
pub async fn create(destination: &Location, draft: Commit, seen: &Publications) -> Result<(Commit, Pending)> {
    let note = Pending {
        run_id: draft.run_id.clone(),
        as_of: draft.as_of,
        tables: folders::tables_of(&draft, seen.of(draft.as_of).await?.as_ref()),
    };
    announce(destination, &note).await?;
    let created = create_numbered(destination, draft, seen).await;
    if let Err(error) = &created
        && !matches!(error, Error::Unavailable(_))
    {
        // Nothing was committed. A note that stays is looked at by the next run, and goes with `clean`.
        let _ = pending::remove(destination, &note.run_id).await;
    }
    Ok((created?, note))
}

/// Writes the pending file, and sees whether the store honours create-if-absent.
async fn announce(destination: &Location, note: &Pending) -> Result<()> {
    let path = pending::path(destination, &note.run_id);
    let shown = destination.shown(&path);
    let bytes = super::to_json(note)?;
    match put_new(destination, &path, bytes.clone()).await {
        // The name is this run's alone: a request whose answer was lost has been repeated.
        Ok(()) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
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

async fn create_numbered(destination: &Location, mut draft: Commit, seen: &Publications) -> Result<Commit> {
    for _ in 0..MAX_ATTEMPTS {
        let known = Publications::read(destination).await?;
        known.belong_to(&draft.pipeline)?;
        still_true(destination, &draft, seen, &known)?;
        draft.number = known.newest_number() + 1;
        draft.publications = known.by_day();
        draft.publications.insert(draft.as_of, draft.number);
        let path = commit_path(destination, draft.number);
        let shown = destination.shown(&path);
        let error = match put_new(destination, &path, super::to_json(&draft)?).await {
            Ok(()) => None,
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => None,
            Err(error) => Some(error),
        };
        // Whatever the answer was, what is there counts.
        match (Publications::commit_at(destination, draft.number).await, error) {
            (Ok(Some(there)), _) if there.run_id == draft.run_id => return Ok(draft),
            (Ok(Some(_)), _) => {}
            (Ok(None), Some(error)) => return Err(storage::failure("create", &shown, error)),
            (Ok(None), None) => return Err(unstable(&shown)),
            (Err(error), _) => return Err(unknown(&shown, &error)),
        }
    }
    let message = Message::new("other runs publish so often that this one found no number");
    Err(Error::Conflict(message.hint("nothing was published; run again when they are done")))
}

/// Whether what the run saw before it read data is still so.
fn still_true(destination: &Location, draft: &Commit, seen: &Publications, known: &Publications) -> Result<()> {
    let changed = |before: Option<u64>, now: Option<u64>| (before != now).then_some(now).flatten();
    let own = changed(seen.number_of(draft.as_of), known.number_of(draft.as_of));
    let before = changed(seen.number_before(draft.as_of), known.number_before(draft.as_of));
    let Some(number) = own.or(before) else { return Ok(()) };
    let shown = destination.shown(&commit_path(destination, number));
    let whose = if own.is_some() { "for the same day" } else { "for the day before it" };
    let message = Message::new(format!("another run published {shown} {whose} first; this one published nothing"));
    Err(Error::Conflict(message.hint("run again: it will see what the other run published")))
}

async fn put_new(destination: &Location, path: &Path, bytes: Vec<u8>) -> object_store::Result<()> {
    destination.store.put_opts(path, PutPayload::from(bytes), PutOptions::from(PutMode::Create)).await.map(|_| ())
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
            .hint("run again: it sees what is there, and publishes only if nothing was"),
    )
}
