//! Where a project publishes to, and the refusal of sources that would read what is published there.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::NaiveDate;

use super::layout::{CLEANS, COMMITS, MARKER, PENDING, REJECTED, RUNS, TAKEN, files_of, folder_path};
use crate::config::{Project, Source, span_of};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::ingest::Extract;
use crate::storage::{File, Location, READ_ONLY, Stores};

/// Where a project's outputs go: the destination that was typed, or else the one in the pipeline file.
///
/// # Errors
/// [`Error::Project`] when the location cannot be understood, or cannot or should not be written to.
pub fn destination(typed: Option<&str>, project: &Project, stores: &Stores) -> Result<Location> {
    match typed {
        Some(typed) => typed_destination(typed, stores),
        None => destination_at(&project.pipeline.outputs.destination.value, &project.root, stores),
    }
}

/// The destination that was typed on the command line. It is relative to the current folder; one in the pipeline file is relative to the
/// project.
///
/// # Errors
/// As [`destination`].
pub fn typed_destination(typed: &str, stores: &Stores) -> Result<Location> {
    destination_at(typed, Path::new(""), stores)
}

fn destination_at(text: &str, root: &Path, stores: &Stores) -> Result<Location> {
    let place = stores.open(text, root)?;
    let unfit = |why: &str| {
        let what = format!("{} is no place to publish to: {why}", place.shown(&place.folder()));
        Error::from(
            Diagnostic::error("unusable-destination", what).hint("name a folder of its own, such as `out` or `s3://bucket/segments`"),
        )
    };
    if place.is_read_only {
        return Err(unfit(READ_ONLY));
    }
    if place.is_local() && place.path.is_empty() {
        return Err(unfit("it is the root of the file system, perhaps because a variable is not set"));
    }
    Ok(place)
}

/// Refuses sources that would read what the run publishes, because each run would then read the outputs of the one before it.
///
/// # Errors
/// [`Error::Project`] naming every such source.
pub fn refuse_own_outputs(destination: &Location, project: &Project, days: &BTreeSet<NaiveDate>, stores: &Stores) -> Result<()> {
    let written = may_write(destination, project, days);
    let mut problems = Vec::new();
    for (name, source) in &project.pipeline.sources {
        let location = stores.glob(&source.location.value, &project.root)?;
        if let Some(own) = written.iter().find(|path| location.matches(destination, &destination.join(path))) {
            problems.push(reads_own(project, name, source).label(format!("matches `{own}` at the destination")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}

/// Refuses extracts whose files lie at the destination, even when they were reached through links.
///
/// # Errors
/// [`Error::Project`] naming every source that has one.
pub fn refuse_found_outputs(destination: &Location, project: &Project, found: &[Extract]) -> Result<()> {
    let Some(place) = destination.is_local().then(|| std::fs::canonicalize(format!("/{}", destination.path)).ok()).flatten() else {
        return Ok(());
    };
    let tables: BTreeSet<&str> = project.pipeline.outputs.tables.keys().map(String::as_str).collect();
    let is_own = |file: &File| {
        let real = std::fs::canonicalize(format!("/{}", file.meta.location)).ok()?;
        let mut below = real.strip_prefix(&place).ok()?.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let (first, second) = (below.next()?, below.next());
        let in_folders = tables.contains(first.as_str()) && second.as_ref().is_some_and(|second| second.starts_with("as_of="));
        let beside = TAKEN.contains(&first.as_str()) && second.is_some();
        (beside || in_folders || first == MARKER).then(|| file.shown.clone())
    };
    let mut problems = Vec::new();
    for extract in found.iter().filter(|extract| extract.files.iter().all(|(file, _)| file.is_local)) {
        let Some(source) = project.pipeline.sources.get(&extract.contract.source) else { continue };
        if let Some(own) = extract.files.iter().find_map(|(file, _)| is_own(file)) {
            problems.push(reads_own(project, &extract.contract.source, source).label(format!("matches {own}, which lies there")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}

/// The problem of a source that would read what the run publishes.
pub fn reads_own(project: &Project, name: &str, source: &Source) -> Diagnostic {
    Diagnostic::error("reads-own-outputs", format!("the source `{name}` would read what this pipeline publishes"))
        .at(span_of(&project.file, &source.location))
        .hint("publish elsewhere, or narrow the location")
}

/// Examples of the paths that a run writes at its destination: one of every kind for every day.
fn may_write(destination: &Location, project: &Project, days: &BTreeSet<NaiveDate>) -> Vec<String> {
    let tables: Vec<&str> = project.pipeline.outputs.tables.keys().map(String::as_str).chain([REJECTED]).collect();
    let checks = project.pipeline.checks.iter().map(|check| check.name.shown());
    let clusters = project.pipeline.clusters.keys().map(String::as_str);
    let mut written: Vec<String> = tables.iter().flat_map(|table| days.iter().map(|day| folder_path(table, *day))).collect();
    for run in days.iter().map(|day| format!("{day}-20000101T000000Z-0000000000000000")) {
        written.extend(files_of(destination, &run, tables.iter().copied(), clusters.clone(), checks.clone()));
        written.extend([format!("{RUNS}/{run}/record.json"), format!("{PENDING}/{run}.json")]);
    }
    let id = "20000101T000000Z-0000000000000000";
    written.extend([MARKER.to_owned(), format!("{COMMITS}/00000001.json"), format!("{CLEANS}/{id}.json")]);
    written
}
