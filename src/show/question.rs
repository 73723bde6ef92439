//! What a look is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::NaiveDate;

use crate::config::Environment;
use crate::engine::{Limits, TextEncoding};
use crate::execute::Sample;

/// Where and as of when to look.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// The day; the latest that is published if none is given.
    pub as_of: Option<NaiveDate>,
    /// Where publications are, instead of where the pipeline file says.
    pub destination: Option<String>,
    /// Parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// What the look may use.
    pub limits: Limits,
    /// How the engine represents texts.
    pub text_encoding: TextEncoding,
    /// The variables of the process.
    pub environment: Environment,
}

/// What to look at.
#[derive(Debug, Clone)]
pub enum Question {
    /// A table.
    Table {
        /// Its name, or an unambiguous last part of it.
        name: String,
        /// A condition that its rows must fulfil.
        condition: Option<String>,
        /// The id of the customer whose rows they must be.
        customer: Option<String>,
    },
    /// A query.
    Sql {
        /// Where it comes from, for messages.
        path: String,
        /// Its text.
        text: String,
    },
}

/// What is wanted of a look.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What to look at.
    pub question: Question,
    /// The most rows.
    pub limit: Option<u64>,
    /// Which customers are computed.
    pub sample: Option<Sample>,
    /// Whether personal values are shown.
    pub unmask: bool,
    /// The size of extracts from which on a few rows of a table are found without computing it whole.
    pub large_from_bytes: u64,
}
