//! A job: what a run is asked to do, and what it came to.

mod planned;

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::NaiveDate;

use crate::affinity;
use crate::config::Environment;
use crate::engine::{Limits, TextEncoding};
use crate::groups;
use crate::identity;
use crate::likeness;
use crate::manifest::Commit;
use crate::predict;
use crate::publish::Published;
use crate::publish::delta::CopiedTable;
use crate::record::Step;
use crate::segments::movement::Movement;
use crate::segments::{Avoided, SegmentSize};
use crate::traits;
pub use planned::{ComparedWith, Planned};

/// What a run was asked to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// The day that the publication is as of.
    pub as_of: NaiveDate,
    /// Where to publish, instead of where the pipeline file says.
    pub destination: Option<String>,
    /// Whether to publish although nothing has changed.
    pub force: bool,
    /// Parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// What the run may use.
    pub limits: Limits,
    /// How the engine represents texts.
    pub text_encoding: TextEncoding,
    /// Whether to write the report of the publication.
    pub with_report: bool,
    /// Whether to tell what every operator did.
    pub timings: bool,
    /// The variables of the process.
    pub environment: Environment,
}

/// What a run did.
#[derive(Debug)]
pub struct Outcome {
    /// The pipeline's name.
    pub pipeline: String,
    /// What was published.
    pub published: Published,
    /// The tables of Delta Lake that it was copied to.
    pub copied: Vec<CopiedTable>,
    /// The segments with their sizes, by set, in order of the pipeline file.
    pub segments: Vec<SegmentSize>,
    /// How many changes the memory of segments has avoided: those that the rules alone would have made, by set.
    pub avoided: Vec<Avoided>,
    /// Who has entered, left or moved since the predecessor publication.
    pub movement: Movement,
    /// How many customers there are.
    pub customers: u64,
    /// What the identity step found, where the project has one.
    pub identity: Option<identity::Counts>,
    /// What the predictions are made with, and how good they are.
    pub predictions: Vec<predict::Report>,
    /// Which groups customers are in, and how they were found.
    pub clusters: Vec<groups::Report>,
    /// What offers are made from, and how good they are.
    pub affinities: Vec<affinity::Report>,
    /// How many traits of segments there are; none where nothing reads them.
    pub traits: Option<traits::Report>,
    /// How look-alikes were found, and how well.
    pub look_alikes: Vec<likeness::Report>,
    /// What somebody should look at although the run went through.
    pub warnings: Vec<String>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// How long the run took.
    pub elapsed_ms: u64,
}

/// A run that would publish again what is published.
#[derive(Debug)]
pub struct Unchanged {
    /// The run.
    pub run_id: String,
    /// The publication that stays.
    pub commit: Commit,
    /// Where its commit file is.
    pub commit_shown: String,
    /// The tables of Delta Lake that what is published was copied to.
    pub copied: Vec<CopiedTable>,
    /// What somebody should look at: of the extracts, where they were read, and of what has not become known elsewhere.
    pub warnings: Vec<String>,
    /// Why it would.
    pub why: WhyUnchanged,
}

/// Why a run would publish again what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyUnchanged {
    /// Nothing has changed on which the outputs depend.
    Nothing,
    /// Only so many files have come, and none of their events is of a day before the as-of day.
    LaterFiles(u64),
    /// The extracts have changed, and the outputs came out as they are published, byte by byte.
    SameOutputs,
}

impl WhyUnchanged {
    /// The word for programs.
    pub fn word(self) -> &'static str {
        match self {
            WhyUnchanged::Nothing => "nothing_changed",
            WhyUnchanged::LaterFiles(_) => "later_files",
            WhyUnchanged::SameOutputs => "same_outputs",
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub enum Done {
    /// It published.
    Published(Box<Outcome>),
    /// Nothing has changed, so it published nothing.
    Unchanged(Box<Unchanged>),
}

impl Done {
    /// The number of the publication, and whether this run made it.
    pub fn number(&self) -> (u64, bool) {
        match self {
            Done::Published(outcome) => (outcome.published.commit.number, true),
            Done::Unchanged(unchanged) => (unchanged.commit.number, false),
        }
    }
}
