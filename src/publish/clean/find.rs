//! Finds what a destination holds that no publication needs, that is damaged, or that is not known.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, NaiveDate, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::Serialize;

use super::super::chain::Chain;
use super::super::damage::{self, Damage};
use super::super::layout::{PENDING, commit_path};
use super::super::publications::Publications;
use super::super::{marker, pending};
use super::keep;
use super::ours::{Kind, Ours, Run};
use crate::clock;
use crate::config::Keep;
use crate::error::Result;
use crate::manifest::{Commit, Purpose};
use crate::storage::{Location, Walked};

/// What a clean is to do.
#[derive(Debug, Clone)]
pub struct CleanRequest {
    /// The pipeline whose destination it must be; any when none is named.
    pub pipeline: Option<String>,
    /// How long orphaned files stay.
    pub grace: Duration,
    /// How long a note stays, and with it the files of a run that had begun to publish.
    pub note_grace: Duration,
    /// The retention policy; all days stay where there is none.
    pub keep: Option<Keep>,
}

impl CleanRequest {
    /// A clean with a grace period.
    pub fn after(grace: Duration) -> Self {
        CleanRequest { pipeline: None, grace, note_grace: grace.max(Duration::minutes(pending::DEAD_AFTER_MINUTES)), keep: None }
    }
}

/// What a destination holds that no publication needs, that is damaged, or that is not known.
#[derive(Debug, Default)]
pub struct Found {
    /// The orphaned files, in the order in which they are removed.
    pub orphaned: Vec<OrphanedFile>,
    /// Files that are not known to be Segmill's, in order of path. They stay.
    pub unknown: Vec<OrphanedFile>,
    /// The publications that are not whole.
    pub damaged: Vec<Damage>,
    /// The days that the policy lets go, each with the number of its publication.
    pub let_go: Vec<(NaiveDate, u64)>,
    /// Runs that are taken for dead although their records do not say that they ended.
    pub(super) unended: BTreeSet<String>,
    /// The destination's marker; none where the destination is empty.
    pub(super) owner: Option<marker::Marker>,
}

/// A file that no publication needs, or that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanedFile {
    /// Where it is.
    pub place: Place,
    /// Where it is from the destination.
    pub path: String,
    /// Where it is, for people.
    pub shown: String,
    /// Where it is, for tools.
    pub url: String,
    /// Its size.
    pub bytes: u64,
    /// Why it can go.
    pub why: Why,
}

impl OrphanedFile {
    /// The order of removal. The record of a run is removed after the files that it lists, so that a clean that is interrupted can be
    /// continued by the next one.
    pub(super) fn step(&self) -> (Why, bool) {
        (self.why, self.path.ends_with("/record.json"))
    }
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the store.
    Stored(Path),
    /// On a local disk, where the store does not show it.
    Local(std::path::PathBuf),
}

/// Why a file can be removed. Files are removed in this order, so that no commit ever names a file that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A copy in the folders of a day that is let go. It goes with the day, before anything else.
    LetGo,
    /// The commit of a day that was published again or taken out.
    SupersededCommit,
    /// A file of such a publication.
    SupersededFile,
    /// A file of a run that never published.
    DeadRun,
    /// The note of a run that died while it published.
    PendingNote,
    /// The unfinished part of a file on a local disk, which a process left as it died.
    UnfinishedFile,
    /// None: it is not known to be Segmill's.
    Unknown,
}

/// Finds orphaned files, damaged publications and unknown files.
///
/// # Errors
/// [`crate::error::Error::Project`] when the destination is not Segmill's, or another pipeline's; otherwise as the store fails, or a commit
/// cannot be read.
pub async fn find(destination: &Location, request: &CleanRequest) -> Result<Found> {
    // First what there is, then what runs say of themselves, then what is published: a run that publishes in between is seen to have
    // done so, and one that says that it has is seen to have.
    let now = clock::now();
    let listed = destination.list_all("").await?;
    if listed.files.is_empty() && listed.hidden.is_empty() {
        return Ok(Found::default());
    }
    let owner = marker::owned(destination, request.pipeline.as_deref()).await?;
    let files: BTreeMap<&str, &ObjectMeta> = listed.files.iter().map(|meta| (below(destination, meta.location.as_ref()), meta)).collect();
    let mut ours = Ours::gather(destination, &owner.pipeline, &files.keys().copied().collect()).await?;
    let known = Publications::read(destination).await?;
    let commits = known.all().await?;
    for commit in &commits {
        ours.add_commit(commit);
    }
    let live = known.by_day();
    let mut let_go = request.keep.map(|keep| keep::let_go(&live.keys().copied().collect(), keep)).unwrap_or_default();
    // What a publication is built on stays as long as it, so that it can be made again.
    let kept: BTreeSet<NaiveDate> = live.keys().filter(|day| !let_go.contains(day)).copied().collect();
    for needed in Chain::of(&live, &commits).needed_by(kept.iter()) {
        let_go.remove(&needed);
    }
    let look = Look {
        destination,
        request,
        now,
        files: &files,
        ours: &ours,
        commits: &commits,
        live: &live,
        let_go: &let_go,
        newest: known.newest_number(),
    };
    let mut damaged = Vec::new();
    for damage in look.damaged() {
        if damage::confirmed(destination, &damage).await? {
            damaged.push(damage);
        }
    }
    let mut found = Found { damaged, let_go: let_go.iter().filter_map(|day| Some((*day, *live.get(day)?))).collect(), ..Found::default() };
    look.judge(&mut found);
    look.judge_hidden(&listed, &mut found);
    found.orphaned.sort_by(|a, b| (a.step(), &a.place).cmp(&(b.step(), &b.place)));
    found.unknown.sort_by(|a, b| a.path.cmp(&b.path));
    found.owner = Some(owner);
    Ok(found)
}

/// The path of a file from the destination.
fn below<'a>(destination: &Location, path: &'a str) -> &'a str {
    path.strip_prefix(destination.folder().as_ref()).unwrap_or(path).trim_start_matches('/')
}

/// What there is, and what is known of it.
struct Look<'a> {
    destination: &'a Location,
    request: &'a CleanRequest,
    now: DateTime<Utc>,
    files: &'a BTreeMap<&'a str, &'a ObjectMeta>,
    ours: &'a Ours,
    commits: &'a [Commit],
    live: &'a BTreeMap<NaiveDate, u64>,
    let_go: &'a BTreeSet<NaiveDate>,
    newest: u64,
}

/// What is to be done with a run's files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Superseded,
    Dead,
}

impl Look<'_> {
    /// Says of every file that is there what it is.
    fn judge(&self, found: &mut Found) {
        let superseded: BTreeSet<u64> = self.commits.iter().filter(|commit| self.is_over(commit)).map(|commit| commit.number).collect();
        let fates: BTreeMap<&str, Fate> =
            self.ours.runs.keys().map(|run_id| (run_id.as_str(), self.fate_of(run_id, &superseded))).collect();
        for (path, meta) in self.files {
            let why = match self.ours.kind_of(path) {
                None => Some(Why::Unknown),
                Some(Kind::Kept) => None,
                Some(Kind::Commit(number)) => superseded.contains(&number).then_some(Why::SupersededCommit),
                Some(Kind::Folder(day)) => self.let_go.contains(&day).then_some(Why::LetGo),
                Some(Kind::Note(run_id)) => self.note_can_go(&run_id, meta).then_some(Why::PendingNote),
                Some(Kind::OfRun(run_id)) => match fates.get(run_id.as_str()) {
                    Some(Fate::Superseded) => Some(Why::SupersededFile),
                    Some(Fate::Dead) if self.may_write_on(&run_id, path, meta) => None,
                    Some(Fate::Dead) => Some(Why::DeadRun),
                    _ => None,
                },
            };
            let Some(why) = why else { continue };
            let file = OrphanedFile {
                place: Place::Stored(meta.location.clone()),
                path: (*path).to_owned(),
                shown: self.destination.shown(&meta.location),
                url: self.destination.url(&meta.location),
                bytes: meta.size,
                why,
            };
            if why == Why::Unknown { found.unknown.push(file) } else { found.orphaned.push(file) }
        }
        let unended = fates.iter().filter(|(run_id, fate)| **fate == Fate::Dead && !self.ours.runs[**run_id].has_ended);
        found.unended = unended.map(|(run_id, _)| (*run_id).to_owned()).collect();
    }

    /// Says the same of the files that a local disk has and the store does not show.
    fn judge_hidden(&self, listed: &Walked, found: &mut Found) {
        for hidden in &listed.hidden {
            let path = below(self.destination, &hidden.path).to_owned();
            let is_ours = !hidden.is_odd && self.ours.is_unfinished(&path);
            if is_ours && self.now - hidden.written < self.request.grace {
                continue;
            }
            let shown = hidden.file.display().to_string();
            let url = url::Url::from_file_path(&hidden.file).map_or_else(|()| shown.clone(), String::from);
            let why = if is_ours { Why::UnfinishedFile } else { Why::Unknown };
            let file = OrphanedFile { place: Place::Local(hidden.file.clone()), path, shown, url, bytes: hidden.bytes, why };
            if is_ours { found.orphaned.push(file) } else { found.unknown.push(file) }
        }
    }

    /// Whether a commit has been superseded for the grace period.
    fn is_over(&self, commit: &Commit) -> bool {
        if self.live.get(&commit.as_of) == Some(&commit.number) {
            // One that is let go now is superseded by that very act.
            return self.request.grace <= Duration::zero() && self.let_go.contains(&commit.as_of);
        }
        let follows = |next: &&Commit| {
            let concerns_day = next.withdrawn.contains(&commit.as_of) || next.publishes() && next.as_of == commit.as_of;
            next.number > commit.number && (concerns_day || !commit.publishes())
        };
        // The newest commit is the state of the destination, even when it publishes nothing itself.
        let Some(next) = self.commits.iter().find(follows).filter(|_| commit.number != self.newest) else { return false };
        let path = commit_path(self.destination, next.number);
        let since = self.files.get(below(self.destination, path.as_ref())).map(|meta| meta.last_modified);
        since.is_some_and(|since| self.now - since >= self.request.grace)
    }

    fn fate_of(&self, run_id: &str, superseded: &BTreeSet<u64>) -> Fate {
        let run = &self.ours.runs[run_id];
        let published: Vec<u64> =
            self.commits.iter().filter(|commit| commit.publishes() && commit.run_id == run_id).map(|commit| commit.number).collect();
        if !published.is_empty() {
            return if published.iter().all(|number| superseded.contains(number)) { Fate::Superseded } else { Fate::Stays };
        }
        // Its commit file is gone, which is damage and no reason to remove the rest.
        if run.publication.is_some_and(|number| self.live.values().any(|live| *live == number)) {
            return Fate::Stays;
        }
        let written = |run: &Run| run.files.iter().filter_map(|path| self.files.get(path.as_str())).map(|meta| meta.last_modified).max();
        let is_old = written(run).is_some_and(|newest| self.now - newest >= self.request.grace);
        let announced = self.ours.notes.get(run_id).is_some_and(|note| note.purpose == Purpose::Publish);
        let may_publish = announced && !self.note_is_old(run_id);
        if is_old && !may_publish { Fate::Dead } else { Fate::Stays }
    }

    /// Whether a file is the record of a run that may be alive after all. It stays for an hour at least, so that whatever the run still
    /// writes is known to be its own.
    fn may_write_on(&self, run_id: &str, path: &str, meta: &ObjectMeta) -> bool {
        let is_record = path.ends_with("/record.json");
        is_record && !self.ours.runs[run_id].has_ended && self.now - meta.last_modified < self.request.note_grace
    }

    fn note_is_old(&self, run_id: &str) -> bool {
        let meta = self.files.get(format!("{PENDING}/{run_id}.json").as_str());
        meta.is_some_and(|meta| self.now - meta.last_modified >= self.request.note_grace)
    }

    fn note_can_go(&self, run_id: &str, meta: &ObjectMeta) -> bool {
        let is_tombstone = self.ours.notes.get(run_id).is_some_and(|note| note.purpose == Purpose::Clean);
        self.now - meta.last_modified >= if is_tombstone { self.request.grace } else { self.request.note_grace }
    }

    /// The live publications that are not whole.
    fn damaged(&self) -> Vec<Damage> {
        let there = |path: &str, bytes: u64| self.files.get(path).is_some_and(|meta| meta.size == bytes);
        let lacks = |(as_of, number): (&NaiveDate, &u64)| {
            let shown = |path: &str| self.destination.shown(&self.destination.join(path));
            let files = match self.commits.iter().find(|commit| commit.number == *number) {
                None => vec![self.destination.shown(&commit_path(self.destination, *number))],
                Some(commit) => commit.files().filter(|file| !there(file.path, file.bytes)).map(|file| shown(file.path)).collect(),
            };
            (!files.is_empty()).then_some(Damage { as_of: *as_of, number: *number, files })
        };
        self.live.iter().filter_map(lacks).collect()
    }
}
