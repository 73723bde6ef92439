//! What a run would publish, and how that differs from what is published.

use chrono::NaiveDate;

use crate::identity;
use crate::manifest::{Commit, Ledger};
use crate::project::Changes;
use crate::publish::{CheckResult, ColumnChange};
use crate::record::Step;
use crate::segments::movement::Comparison;
use crate::segments::{Avoided, Look, SegmentSize};

/// The publication with which a plan is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComparedWith {
    /// The day that it is as of.
    pub as_of: NaiveDate,
    /// Its number.
    pub number: u64,
    /// Whether it is the publication of the day itself, rather than the predecessor.
    pub is_own: bool,
}

/// What a run would publish.
#[derive(Debug)]
pub struct Planned {
    /// The commit that a run would make, without a number.
    pub commit: Commit,
    /// The publication with which it is compared; none where there is none.
    pub compared_with: Option<ComparedWith>,
    /// What has changed in the project since then; none where that publication keeps no project.
    pub project: Option<Changes>,
    /// Whether a run would publish nothing, because the same is published.
    pub is_unchanged: bool,
    /// Who would enter, leave or move.
    pub comparison: Option<Comparison>,
    /// The segments with their sizes, by set, in order of the pipeline file.
    pub segments: Vec<SegmentSize>,
    /// How many changes the memory of segments avoids, by set.
    pub avoided: Vec<Avoided>,
    /// How many customers there are.
    pub customers: u64,
    /// What the identity step found, where the project has one.
    pub identity: Option<identity::Counts>,
    /// A closer look at the rules.
    pub look: Look,
    /// How the columns of the outputs would differ.
    pub columns: Vec<ColumnChange>,
    /// What became of the rows of every source.
    pub sources: Vec<Ledger>,
    /// What was checked.
    pub checks: Vec<CheckResult>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// How long it took.
    pub elapsed_ms: u64,
}
