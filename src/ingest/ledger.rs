//! What became of every row of a source: read = kept + rejected + deduplicated + out of window.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::config::RejectBudget;
use crate::error::{Error, Message, Result};

/// The most rejected rows that are kept for one source, whatever its budget says.
const MAX_REJECTS: u64 = 1_000_000;
/// What their texts may take: they are held until the run ends.
const MAX_REJECT_BYTES: u64 = 512 << 20;

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
    /// A stable word for the reason, as `not-a-date`.
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
    /// Rows in them.
    pub rows_read: u64,
    /// Rows that went on to the models.
    pub rows_kept: u64,
    /// Rows that broke the contract.
    pub rows_rejected: u64,
    /// Rows whose key a kept row has.
    pub rows_deduplicated: u64,
    /// Rows whose event happened at or after the as-of day.
    pub rows_out_of_window: u64,
    /// Values that broke the contract and became null, in rows that went on.
    #[serde(default)]
    pub values_rejected: u64,
    /// Why rows and values were rejected, the commonest reasons first.
    #[serde(default)]
    pub rejects: Vec<RejectCount>,
}

/// A row or value that was not kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// The file, as people would type it.
    pub file: String,
    /// Its line (text formats, the header being line 1) or row (Parquet), from 1.
    pub row_number: u64,
    /// What it costs.
    pub scope: Scope,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// A stable word for the reason, as `not-a-date`.
    pub reason: &'static str,
    /// The row as it was, without the values of personal columns.
    pub raw: String,
    /// Whether a row that is gone may have said that somebody must not be written to.
    pub may_be_no: bool,
}

/// What became of the rows of one piece of a source, while it is read.
#[derive(Debug, Default)]
pub struct Tally {
    read: u64,
    kept: u64,
    out_of_window: u64,
    newest_micros: Option<i64>,
    rejects: Vec<Reject>,
    /// What their texts take.
    reject_bytes: u64,
}

impl Tally {
    /// Counts rows read and what became of them, with the latest event among them.
    pub fn count(&mut self, read: u64, kept: u64, out_of_window: u64, newest_micros: Option<i64>) {
        self.read += read;
        self.kept += kept;
        self.out_of_window += out_of_window;
        self.newest_micros = self.newest_micros.max(newest_micros);
    }

    /// Adds what became of other rows.
    ///
    /// # Errors
    /// As [`Tally::reject`].
    pub fn add(&mut self, source: &str, other: Tally) -> Result<()> {
        self.count(other.read, other.kept, other.out_of_window, other.newest_micros);
        self.reject(source, other.rejects)
    }

    /// Keeps rejected rows.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are so many that they cannot all be kept.
    pub fn reject(&mut self, source: &str, rejects: impl IntoIterator<Item = Reject>) -> Result<()> {
        let before = self.rejects.len();
        self.rejects.extend(rejects);
        self.reject_bytes += self.rejects[before..].iter().map(|reject| (reject.raw.len() + reject.file.len()) as u64).sum::<u64>();
        refuse_too_many(source, self.rejects.len() as u64, self.reject_bytes)
    }
}

/// Adds up what became of the rows of one source. A piece counts once, however many models read it: when somebody has first read
/// it to its end.
#[derive(Debug, Default)]
pub struct Collector {
    rows_seen: AtomicU64,
    totals: Mutex<Totals>,
    failure: Mutex<Option<Error>>,
}

#[derive(Debug, Default)]
struct Totals {
    tally: Tally,
    deduplicated: u64,
    /// For every piece of the source whether it has been counted.
    counted: Vec<bool>,
}

impl Collector {
    /// Says how many pieces there are to read. Those that have been counted stay so.
    pub fn expect(&self, pieces: usize) {
        self.totals().counted.resize(pieces, false);
    }

    /// Shows that rows are being read; they count only with their piece.
    pub fn see(&self, rows: u64) {
        self.rows_seen.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts a piece that has been read to its end, unless it has been counted already.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are so many rejected rows that they cannot all be kept.
    pub fn finish_piece(&self, source: &str, piece: usize, tally: Tally) -> Result<()> {
        let mut totals = self.totals();
        match totals.counted.get_mut(piece) {
            Some(counted) if !*counted => *counted = true,
            _ => return Ok(()),
        }
        totals.tally.add(source, tally)
    }

    /// Whether every piece has been read to its end.
    pub fn is_complete(&self) -> bool {
        self.totals().counted.iter().all(|counted| *counted)
    }

    /// The latest event seen, in microseconds since 1970; none when there was no row.
    pub fn newest_micros(&self) -> Option<i64> {
        self.totals().tally.newest_micros
    }

    /// Takes rows that were counted as kept for duplicates instead.
    pub fn deduplicate(&self, rows: u64) {
        let mut totals = self.totals();
        totals.tally.kept -= rows;
        totals.deduplicated += rows;
    }

    /// Remembers why reading failed, so that the reason survives its way through the engine.
    pub fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Why reading failed, if it did.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Rows read so far, for people who wait.
    pub fn rows_seen(&self) -> u64 {
        self.rows_seen.load(Ordering::Relaxed)
    }

    /// The rejected rows, in order of file and row.
    pub fn rejects(&self) -> Vec<Reject> {
        let mut rejects = self.totals().tally.rejects.clone();
        rejects.sort();
        rejects
    }

    /// The ledger of the source.
    pub fn ledger(&self, source: &str, files: usize) -> Ledger {
        let totals = self.totals();
        let rejects = &totals.tally.rejects;
        let of_scope = |scope| rejects.iter().filter(|reject| reject.scope == scope).count() as u64;
        Ledger {
            source: source.to_owned(),
            files: files as u64,
            files_skipped: 0,
            rows_read: totals.tally.read,
            rows_kept: totals.tally.kept,
            rows_rejected: of_scope(Scope::Row),
            rows_deduplicated: totals.deduplicated,
            rows_out_of_window: totals.tally.out_of_window,
            values_rejected: of_scope(Scope::Value),
            rejects: counted(rejects),
        }
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rejects by reason, the commonest first.
fn counted(rejects: &[Reject]) -> Vec<RejectCount> {
    let mut counts: BTreeMap<(Scope, Option<&str>, &str), u64> = BTreeMap::new();
    for reject in rejects {
        *counts.entry((reject.scope, reject.column.as_deref(), reject.reason)).or_default() += 1;
    }
    let count = |((scope, column, reason), count): ((Scope, Option<&str>, &str), u64)| RejectCount {
        scope,
        column: column.map(str::to_owned),
        reason: reason.to_owned(),
        count,
    };
    let mut counts: Vec<RejectCount> = counts.into_iter().map(count).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts
}

fn refuse_too_many(source: &str, rejects: u64, bytes: u64) -> Result<()> {
    let what = match () {
        () if rejects > MAX_REJECTS => format!("more than {MAX_REJECTS} rows of the source `{source}` break its contract"),
        () if bytes > MAX_REJECT_BYTES => {
            let mib = MAX_REJECT_BYTES >> 20;
            format!("the rows of the source `{source}` that break its contract take more than {mib} MiB")
        }
        () => return Ok(()),
    };
    Err(Error::Refused(Message::new(what).hint("look at the first of them: the extract's format has probably changed")))
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

    #[test]
    fn rejects_that_take_too_much_are_refused_before_they_do() {
        let mut tally = Tally::default();
        let reject =
            Reject { file: "a".into(), row_number: 1, scope: Scope::Row, column: None, reason: "x", raw: "yy".into(), may_be_no: false };
        tally.reject("orders", [reject.clone(), reject]).unwrap();
        assert_eq!(tally.reject_bytes, 6);
        assert!(refuse_too_many("orders", MAX_REJECTS, MAX_REJECT_BYTES).is_ok());
        let error = refuse_too_many("orders", 1, MAX_REJECT_BYTES + 1).unwrap_err();
        assert_eq!(error.exit_status() as u8, 3);
        assert!(error.to_string().contains("take more than 512 MiB"), "{error}");
    }
}
