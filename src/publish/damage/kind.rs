//! A publication whose files are gone, as a value and as an error.

use chrono::NaiveDate;

use super::super::layout::commit_path;
use crate::diagnostic::{Diagnostic, counted};
use crate::error::Error;
use crate::manifest::Commit;
use crate::storage::Location;

/// The diagnostic code of damage.
const CODE: &str = "damaged-publication";

/// A publication that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its day.
    pub as_of: NaiveDate,
    /// Its number.
    pub number: u64,
    /// The files that are gone or changed, for people.
    pub files: Vec<String>,
}

impl Damage {
    /// The error for whoever needs this publication.
    pub fn error(&self) -> Error {
        Diagnostic::error(CODE, self.to_string())
            .hint(
                "`segmill clean --repair` restores the missing files from their copies, or else withdraws the day; \
                 `segmill run --force` publishes the day again; where the project has an identity step, the next day cannot be run before that",
            )
            .into()
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = self.files.first().map(String::as_str).unwrap_or_default();
        let more = match self.files.len() {
            0 | 1 => String::new(),
            files => format!(", and so {} {}", if files == 2 { "is" } else { "are" }, counted(files as u64 - 1, "more file")),
        };
        write!(f, "the publication of {} (number {}) is damaged: {first} is gone or not as it was written{more}", self.as_of, self.number)
    }
}

/// Whether an error is that a publication is damaged.
pub fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Project(problems) if problems.iter().any(|problem| problem.code == CODE))
}

/// The error for a day whose commit file is gone.
pub fn lost_commit(destination: &Location, as_of: NaiveDate, number: u64) -> Error {
    Damage { as_of, number, files: vec![destination.shown(&commit_path(destination, number))] }.error()
}

/// The damage of a publication of which one file is gone or changed.
pub fn of_file(commit: &Commit, shown: &str) -> Damage {
    Damage { as_of: commit.as_of, number: commit.number, files: vec![shown.to_owned()] }
}
