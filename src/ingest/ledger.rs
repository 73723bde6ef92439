//! What became of every row of a source: read = kept + rejected + deduplicated + out of window.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::config::RejectBudget;
use crate::error::{Error, Message, Result};

/// The most rejected rows that are kept for one source, whatever its budget says.
const MAX_REJECTS: u64 = 1_000_000;

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
}

/// A row that was not kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// The file, as people would type it.
    pub file: String,
    /// Its line (text formats, the header being line 1) or row (Parquet), from 1.
    pub row_number: u64,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// A stable word for the reason, as `not-a-date`.
    pub reason: &'static str,
    /// The row as it was, without the values of personal columns.
    pub raw: String,
}

/// What became of the rows of one piece of a source, while it is read.
#[derive(Debug, Default)]
pub struct Tally {
    read: u64,
    kept: u64,
    out_of_window: u64,
    newest_micros: Option<i64>,
    rejects: Vec<Reject>,
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
        self.rejects.extend(rejects);
        refuse_too_many(source, &self.rejects)
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
        Ledger {
            source: source.to_owned(),
            files: files as u64,
            files_skipped: 0,
            rows_read: totals.tally.read,
            rows_kept: totals.tally.kept,
            rows_rejected: totals.tally.rejects.len() as u64,
            rows_deduplicated: totals.deduplicated,
            rows_out_of_window: totals.tally.out_of_window,
        }
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse_too_many(source: &str, rejects: &[Reject]) -> Result<()> {
    if rejects.len() as u64 > MAX_REJECTS {
        let what = format!("more than {MAX_REJECTS} rows of the source `{source}` break its contract");
        return Err(Error::Refused(Message::new(what).hint("look at the first of them: the extract's format has probably changed")));
    }
    Ok(())
}

impl Ledger {
    /// Whether every row read is accounted for.
    pub fn adds_up(&self) -> bool {
        self.rows_read == self.rows_kept + self.rows_rejected + self.rows_deduplicated + self.rows_out_of_window
    }

    /// Whether so many rows were rejected that the run must be refused.
    pub fn over(&self, budget: RejectBudget) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let share = self.rows_rejected as f64 / self.rows_read.max(1) as f64;
        self.rows_rejected > budget.rows || share > budget.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_share_and_a_count() {
        let ledger = Ledger { rows_read: 1000, rows_rejected: 10, ..Ledger::default() };
        assert!(!ledger.over(RejectBudget { share: 0.01, rows: 10 }));
        assert!(ledger.over(RejectBudget { share: 0.0099, rows: 10 }));
        assert!(ledger.over(RejectBudget { share: 0.01, rows: 9 }));
        assert!(!Ledger::default().over(RejectBudget { share: 0.0, rows: 0 }), "an empty extract is not over budget");
    }
}
