//! The result of a check.

use serde::{Deserialize, Serialize};

use crate::config::Severity;

/// The schema under which the tables of the publication before are readable.
pub const EARLIER: &str = "earlier";

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name.
    pub check: String,
    /// What it asks, such as `unique`.
    pub kind: String,
    /// What a failure does.
    pub severity: Severity,
    /// Whether it holds.
    pub outcome: CheckOutcome,
    /// What was found.
    pub found: String,
    /// How many rows it objects to.
    pub rows: u64,
    /// Where the first of those rows are kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows_kept_in: Option<String>,
}

/// Whether a check holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// It does.
    Passed,
    /// It does not.
    Failed,
    /// There is nothing to compare with.
    Skipped,
}
