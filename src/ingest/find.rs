//! Finds the files of every source. A source with too few or too old files is either late or wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use encoding_rs::Encoding;
use futures::StreamExt;

use super::collector::Collector;
use super::contract::Contract;
use super::counting::{self, Counting};
use super::extract::{Extract, FILES_AT_ONCE, of_file};
use super::{format, refused_files, text};
use crate::config::{Project, Source, SourceFormat, span_of};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result, gather};
use crate::manifest::Commit;
use crate::storage::{File, Found, Glob, Stores};

/// Finds the files of every source, in the order of their contracts. `before` is the newest publication, if there is one: it knows which
/// locations have had files.
///
/// # Errors
/// [`Error::Late`] naming every source whose files are late; [`Error::Project`] naming those whose location has never had any; otherwise
/// as listing a store fails.
pub async fn find(project: &Project, contracts: &[Arc<Contract>], stores: &Stores, before: Option<&Commit>) -> Result<Vec<Extract>> {
    let mut extracts = Vec::new();
    let mut missing = Vec::new();
    let mut is_stale = false;
    let mut refused = Vec::new();
    let mut wrong = Vec::new();
    for contract in contracts {
        let Some((name, source)) = project.pipeline.sources.get_key_value(&contract.source) else { continue };
        let glob = stores.glob(&source.location.value, &project.root)?;
        let Some(Found { files, markers }) = gather(&mut wrong, glob.files().await)? else { continue };
        let location = glob.digest();
        if files.is_empty() && contract.min_files > 0 && !had_files(before, name, &location) {
            wrong.push(never_matched(project, name, source, &glob));
            continue;
        }
        let Counting { files, unopened, snapshot } = match counting::of(contract, &glob, files) {
            Ok(counting) => counting,
            Err(found) => {
                refused.extend(found);
                continue;
            }
        };
        if let Some(why) = missing_or_stale(contract, &files, unopened, &glob.shown()).or_else(|| counting::stale(contract, snapshot)) {
            missing.push(format!("{name}: {why}"));
            is_stale |= files.len() as u64 >= contract.min_files;
            continue;
        }
        let looked = futures::stream::iter(files).map(|file| with_format(source.format, contract.encoding, file)).buffered(FILES_AT_ONCE);
        let mut files = Vec::new();
        for file in looked.collect::<Vec<_>>().await {
            match file {
                Ok((file, format)) if contract.repeats.is_some() && format != SourceFormat::Csv => refused.push(not_csv(&file)),
                Ok(file) => files.push(file),
                Err(Error::Refused(message)) => refused.push(message),
                Err(other) => return Err(other),
            }
        }
        extracts.push(Extract { contract: Arc::clone(contract), files, markers, location, unopened, snapshot });
    }
    if !wrong.is_empty() {
        return Err(Error::Project(wrong));
    }
    if !refused.is_empty() {
        let first = refused.remove(0);
        return Err(Error::Refused(refused_files::together(first, refused)));
    }
    if missing.is_empty() { Ok(extracts) } else { Err(not_there_yet(missing, is_stale)) }
}

/// The locations at which sources have had files: now, or else when the newest publication was made.
pub fn locations(extracts: &[Extract], before: Option<&Commit>) -> BTreeMap<String, String> {
    let of = |extract: &Extract| {
        let source = &extract.contract.source;
        let had = before.and_then(|before| before.locations.get(source).cloned());
        let location = if extract.files.is_empty() && extract.unopened == 0 { had } else { Some(extract.location.clone()) };
        Some((source.clone(), location?))
    };
    extracts.iter().filter_map(of).collect()
}

/// Whether a source has had files at a location when the newest publication was made. One that is older than these digests says only
/// whether it had some.
fn had_files(before: Option<&Commit>, source: &str, location: &str) -> bool {
    before.is_some_and(|before| match before.locations.get(source) {
        Some(then) => then == location,
        None => before.locations.is_empty() && before.sources.iter().any(|ledger| ledger.source == source && ledger.files > 0),
    })
}

/// The problem of a location that has no files and, as far as is known, never had any: it is wrong, and not late.
fn never_matched(project: &Project, name: &str, source: &Source, glob: &Glob) -> Diagnostic {
    let problem = Diagnostic::error("no-such-extract", format!("the source `{name}` has no files, and never had any at this location"));
    let problem = problem.at(span_of(&project.file, &source.location)).label(match glob.has_wildcards() {
        true => "no file matches",
        false if glob.is_folder() => "this is a folder",
        false => "there is no such file",
    });
    problem.hint(if glob.is_folder() {
        "name its files, such as `folder/*.csv`"
    } else {
        "correct it or what the environment gives for it; `[`, `?` and `*` are wildcards, and themselves as `[[]`, `[?]` and `[*]`; \
         where there may be none yet, say `min_files: 0`"
    })
}

/// The refusal of a file in which no row repeats the one above.
fn not_csv(file: &File) -> Message {
    let message = Message::new(format!("{} is no CSV file, and its source has `blank_repeats`", file.shown)).of_file(&file.shown);
    message.hint("leave `blank_repeats` out, or have the file exported as CSV: in other formats a row stands for itself")
}

/// The error for extracts that are late, because they are missing or stale: the run must wait for them.
pub fn not_there_yet(which: Vec<String>, is_stale: bool) -> Error {
    let what = if which.len() == 1 {
        "an extract is missing, or too old".to_owned()
    } else {
        format!("{} extracts are missing, or too old", which.len())
    };
    let message = Message::new(what).details(which).stale(is_stale);
    Error::Late(message.hint("wait for newer files, or correct the source's `location`, `min_files` or `freshness` in the pipeline file"))
}

/// Why the run must wait for files of a source; none when it need not.
fn missing_or_stale(contract: &Contract, files: &[File], unopened: u64, location: &str) -> Option<String> {
    match files.len() as u64 {
        count if count < contract.min_files && unopened > 0 => return Some(counting::too_few(contract, count, unopened, location)),
        0 if contract.min_files > 0 => return Some(format!("no file matches {location}")),
        count if count < contract.min_files => {
            return Some(format!("{count} files match {location}, and there must be {}", contract.min_files));
        }
        _ => {}
    }
    let allowed = contract.freshness.newest_file_days?;
    let newest = files.iter().map(|file| file.meta.last_modified.timestamp_micros()).max()?;
    counting::too_old("the newest file", newest, contract, allowed)
}

/// Why the run must wait for newer rows of a source that has been read; none when it need not.
pub fn stale_rows(extract: &Extract, collector: &Collector) -> Option<String> {
    too_old_rows(&extract.contract, extract.snapshot, collector.newest_micros())
}

/// As [`stale_rows`], by the day of the snapshot that was read and the time of the newest row.
pub fn too_old_rows(contract: &Contract, snapshot: Option<NaiveDate>, newest_micros: Option<i64>) -> Option<String> {
    let allowed = contract.freshness.newest_row_days?;
    // Rows without a time of their own are as old as their snapshot.
    let snapshot = snapshot.filter(|_| contract.event_time.is_none()).map(|day| contract.zone.first_moment_of(day));
    let Some(micros) = snapshot.or(newest_micros) else {
        return Some(format!("{}: there is no row before {}", contract.source, contract.as_of_day));
    };
    counting::too_old("the newest row", micros, contract, allowed).map(|why| format!("{}: {why}", contract.source))
}

/// A file with its format: as declared, as its name tells, or else as its first bytes tell.
async fn with_format(declared: Option<SourceFormat>, encoding: Option<&'static Encoding>, file: File) -> Result<(File, SourceFormat)> {
    if let Some(format) = declared.or_else(|| SourceFormat::from_name(file.meta.location.as_ref())) {
        return Ok((file, format));
    }
    let (head, foreign) = text::Blocks::first_bytes(&file, encoding).await?;
    let format = format::of_head(&head);
    match foreign {
        Some(what) if format != SourceFormat::Parquet => Err(of_file(&file)(format::refused(&file.shown, what))),
        _ => Ok((file, format)),
    }
}
