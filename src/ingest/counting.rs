//! Which of the files that match a location count for a run, by the days in their paths.

use arrow::datatypes::Date32Type;
use chrono::NaiveDate;

use super::contract::Contract;
use super::extract::of_file;
use super::in_path::FileDay;
use crate::config::SourceKind;
use crate::diagnostic::counted;
use crate::error::{Error, Message, Result};
use crate::storage::{File, Glob};

/// The files that count.
#[derive(Debug)]
pub struct Counting {
    /// These files, with what their paths say.
    pub files: Vec<File>,
    /// How many others there are.
    pub unopened: u64,
    /// The day of the snapshot that they are.
    pub snapshot: Option<NaiveDate>,
}

/// The files that count of those that match a location. Of events and changes these are the files of days before the as-of day, where
/// the contract says that a file's day bounds its events; of snapshots the files of the newest one before the as-of day.
///
/// # Errors
/// Why files are refused, each by name.
pub fn of(contract: &Contract, glob: &Glob, files: Vec<File>) -> Result<Counting, Vec<Message>> {
    if contract.in_path.is_empty() {
        return Ok(Counting { files, unopened: 0, snapshot: None });
    }
    let mut refused = Vec::new();
    let mut dated: Vec<(File, Option<FileDay>)> = Vec::with_capacity(files.len());
    for file in files {
        match with_day(contract, glob, file) {
            Ok(file) => dated.push(file),
            Err(Error::Refused(message)) => refused.push(message),
            Err(other) => refused.push(Message::new(other.to_string())),
        }
    }
    let as_of = contract.day_number();
    let is_before = |day: &Option<FileDay>| day.is_none_or(|day| day.day < as_of);
    let newest = dated.iter().filter_map(|(_, day)| *day).filter(|day| day.day < as_of).max();
    let is_snapshot = contract.kind == SourceKind::Snapshot;
    let counts = |day: &Option<FileDay>| if is_snapshot { *day == newest && newest.is_some() } else { is_before(day) };
    let found = dated.len() as u64;
    let files: Vec<File> = dated.into_iter().filter(|(_, day)| counts(day)).map(|(file, _)| file).collect();
    for file in &files {
        if let Err(Error::Refused(message)) = contract.in_path.refuse_misfits(&contract.columns, file).map_err(of_file(file)) {
            refused.push(message);
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let snapshot = newest.filter(|_| is_snapshot).and_then(|newest| Date32Type::to_naive_date_opt(newest.day));
    Ok(Counting { unopened: found - files.len() as u64, files, snapshot })
}

/// A file with what its path says.
fn with_day(contract: &Contract, glob: &Glob, file: File) -> Result<(File, Option<FileDay>)> {
    let parts = contract.in_path.parts_of(glob, &file, &contract.zone).map_err(of_file(&file))?;
    let file = File { parts, ..file };
    let day = contract.in_path.day_of(&contract.columns, &file, &contract.zone).map_err(of_file(&file))?;
    Ok((file, day))
}

/// Why a run must wait for files when some match and do not count.
pub fn too_few(contract: &Contract, count: u64, unopened: u64, location: &str) -> String {
    let day = contract.as_of_day;
    let others = counted(unopened, "file");
    match (contract.kind, count) {
        (SourceKind::Snapshot, 0) => format!("no snapshot of a day before {day} matches {location}, where {others} of later days match"),
        (_, 0) => format!("no file of a day before {day} matches {location}, where {others} of later days match"),
        (SourceKind::Snapshot, _) => {
            format!(
                "the newest snapshot before {day} has {} that match {location}, and must have {}",
                counted(count, "file"),
                contract.min_files
            )
        }
        (..) => format!("{} of days before {day} match {location}, and there must be {}", counted(count, "file"), contract.min_files),
    }
}

/// Why a run must wait for a newer snapshot; none when it need not.
pub fn stale(contract: &Contract, snapshot: Option<NaiveDate>) -> Option<String> {
    let allowed = contract.freshness.newest_snapshot_days.as_ref()?.value;
    too_old("the newest snapshot", contract.zone.first_moment_of(snapshot?), contract, allowed)
}

/// Why the newest row or file of an extract is too old; its time is in microseconds since 1970. Days are counted in the pipeline's zone.
pub fn too_old(what: &str, newest_micros: i64, contract: &Contract, allowed: u32) -> Option<String> {
    let newest = Date32Type::to_naive_date_opt(contract.zone.day_of(newest_micros)?)?;
    let age = (contract.as_of_day - newest).num_days();
    (age > i64::from(allowed)).then(|| format!("{what} is of {newest}, {age} days before {}; it may be {allowed}", contract.as_of_day))
}
