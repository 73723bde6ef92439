//! A source with the files that were found for it.

use std::sync::Arc;

use chrono::NaiveDate;

use super::contract::Contract;
use crate::config::SourceFormat;
use crate::error::{Error, Message};
use crate::manifest::Input;
use crate::storage::File;

/// Files looked at at once whose names tell no format.
pub const FILES_AT_ONCE: usize = 16;

/// A source with its contract and the files that were found for it.
#[derive(Debug, Clone)]
pub struct Extract {
    /// What a row must be.
    pub contract: Arc<Contract>,
    /// The files, in order of path.
    pub files: Vec<(File, SourceFormat)>,
    /// How many markers lie beside them, which are not read.
    pub markers: u64,
    /// A digest of the location.
    pub location: String,
    /// How many files match the location and are left unopened, because of the day in their paths.
    pub unopened: u64,
    /// The day of the snapshot that is read.
    pub snapshot: Option<NaiveDate>,
}

impl Extract {
    /// Whether a refusal is that of a file of it.
    pub fn refused_in(&self, refusal: &Message) -> bool {
        self.files.iter().any(|(file, _)| refusal.file.as_ref() == Some(&file.shown))
    }
}

/// The files of an extract, each with what tells this version of it from another.
pub fn inputs(extract: &Extract) -> Vec<Input> {
    let input = |(file, _): &(File, SourceFormat)| Input {
        source: extract.contract.source.clone(),
        file: file.shown.clone(),
        bytes: file.meta.size,
        version: file.meta.e_tag.clone().unwrap_or_else(|| file.meta.last_modified.to_rfc3339()),
    };
    extract.files.iter().map(input).collect()
}

/// Marks a refusal as that of a file.
pub fn of_file(file: &File) -> impl Fn(Error) -> Error {
    |error| match error {
        Error::Refused(message) => Error::Refused(message.of_file(&file.shown)),
        other => other,
    }
}
