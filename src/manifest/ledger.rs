//! What became of every row of a source: read = kept + rejected + deduplicated + out of window.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::config::RejectBudget;

/// What a fault costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The row.
    Row,
    /// The value, which is null.
    Value,
}

impl Scope {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Row => "row",
            Scope::Value => "value",
        }
    }
}

/// How many rows or values of a source were rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectCount {
    /// Rows or values.
    pub scope: Scope,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// A stable word for the reason, such as `not-a-date`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl std::fmt::Display for RejectCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} × {} ({})", self.count, self.reason, self.column.as_deref().unwrap_or("whole row"))
    }
}

/// How many rows of a source went where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The source.
    pub source: String,
    /// Its files.
    pub files: u64,
    /// Markers of other programs beside them, which are not read.
    #[serde(default)]
    pub files_skipped: u64,
    /// Files that were left unopened because of the day in their paths: later ones, and those of other snapshots.
    #[serde(default)]
    pub files_unopened: u64,
    /// The day of the snapshot that was read; none where the source has no snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_day: Option<NaiveDate>,
    /// When the newest event of a kept row happened; none where rows have no event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_event_at: Option<DateTime<Utc>>,
    /// Rows in them.
    pub rows_read: u64,
    /// Rows that went on to the models.
    pub rows_kept: u64,
    /// Rows that broke the contract.
    pub rows_rejected: u64,
    /// Rows whose key a kept row has.
    pub rows_deduplicated: u64,
    /// How many of these are deletions that count: a key's newest change or, where changes are kept as a history, its newest deletion.
    #[serde(default)]
    pub rows_deleted: u64,
    /// Rows whose event happened at or after the as-of day.
    pub rows_out_of_window: u64,
    /// Values that broke the contract and became null, in rows that went on.
    #[serde(default)]
    pub values_rejected: u64,
    /// Records that have no element, where each element is a row, and those that are null among changes; they are not among the rows read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub records_without_rows: u64,
    /// Why rows and values were rejected, the commonest reasons first.
    #[serde(default)]
    pub rejects: Vec<RejectCount>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Ledger {
    /// Whether every row read is accounted for.
    pub fn adds_up(&self) -> bool {
        self.rows_read == self.rows_kept + self.rows_rejected + self.rows_deduplicated + self.rows_out_of_window
    }

    /// What is over the budget: the rows that were rejected, and each column of which so many values were.
    pub fn over(&self, budget: RejectBudget) -> Vec<Overrun> {
        #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let share = |count: u64| count as f64 / self.rows_read.max(1) as f64;
        let over = |count: u64| count > budget.rows || share(count) > budget.share;
        let mut values: BTreeMap<&str, u64> = BTreeMap::new();
        for reject in self.rejects.iter().filter(|reject| reject.scope == Scope::Value) {
            *values.entry(reject.column.as_deref().unwrap_or_default()).or_default() += reject.count;
        }
        let rows = over(self.rows_rejected).then_some(Overrun { column: None, count: self.rows_rejected });
        let columns = values.into_iter().filter(|(_, count)| over(*count));
        rows.into_iter().chain(columns.map(|(column, count)| Overrun { column: Some(column.to_owned()), count })).collect()
    }
}

/// Rows or values of a column of which more were rejected than a budget allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// The column; none for rows.
    pub column: Option<String>,
    /// How many.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(column: &str, reason: &str, count: u64) -> RejectCount {
        RejectCount { scope: Scope::Value, column: Some(column.to_owned()), reason: reason.to_owned(), count }
    }

    #[test]
    fn a_budget_is_a_share_and_a_count() {
        let ledger = Ledger { rows_read: 1000, rows_rejected: 10, ..Ledger::default() };
        let over = |share, rows| !ledger.over(RejectBudget { share, rows }).is_empty();
        assert!(!over(0.01, 10));
        assert!(over(0.0099, 10));
        assert!(over(0.01, 9));
        assert!(Ledger::default().over(RejectBudget { share: 0.0, rows: 0 }).is_empty(), "an empty extract is not over budget");
    }

    #[test]
    fn a_column_that_cannot_be_read_any_more_is_over_the_budget() {
        let rejects = vec![value("age", "not-an-integer", 6), value("age", "below-minimum", 5), value("city", "not-accepted", 10)];
        let ledger = Ledger { rows_read: 1000, values_rejected: 21, rejects, ..Ledger::default() };
        let over = ledger.over(RejectBudget { share: 0.01, rows: 100 });
        assert_eq!(over, [Overrun { column: Some("age".to_owned()), count: 11 }]);
    }
}
