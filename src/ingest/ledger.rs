//! What became of every row of a source: read = kept + rejected + deduplicated + out of window.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// Counts the rows of one source while it is read, from several threads.
#[derive(Debug)]
pub struct Collector {
    read: AtomicU64,
    kept: AtomicU64,
    deduplicated: AtomicU64,
    out_of_window: AtomicU64,
    /// Pieces of the source that have not been read to their end.
    unread: AtomicU64,
    newest_micros: AtomicI64,
    rejects: Mutex<Vec<Reject>>,
    failure: Mutex<Option<Error>>,
}

impl Default for Collector {
    fn default() -> Self {
        Collector {
            read: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            deduplicated: AtomicU64::new(0),
            out_of_window: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            newest_micros: AtomicI64::new(i64::MIN),
            rejects: Mutex::default(),
            failure: Mutex::default(),
        }
    }
}

impl Collector {
    /// Remembers when the latest event happened.
    pub fn see(&self, newest_micros: i64) {
        self.newest_micros.fetch_max(newest_micros, Ordering::Relaxed);
    }

    /// The latest event seen, in microseconds since 1970; none when there was no row.
    pub fn newest_micros(&self) -> Option<i64> {
        Some(self.newest_micros.load(Ordering::Relaxed)).filter(|micros| *micros != i64::MIN)
    }

    /// Counts rows read and what became of them.
    pub fn count(&self, read: u64, kept: u64, out_of_window: u64) {
        self.read.fetch_add(read, Ordering::Relaxed);
        self.kept.fetch_add(kept, Ordering::Relaxed);
        self.out_of_window.fetch_add(out_of_window, Ordering::Relaxed);
    }

    /// Says how many pieces there are to read.
    pub fn expect(&self, pieces: usize) {
        self.unread.store(pieces as u64, Ordering::Relaxed);
    }

    /// Says that a piece has been read to its end.
    pub fn finish_piece(&self) {
        self.unread.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether every piece has been read to its end.
    pub fn is_complete(&self) -> bool {
        self.unread.load(Ordering::Relaxed) == 0
    }

    /// Keeps rejected rows.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are so many that they cannot all be kept.
    pub fn reject(&self, source: &str, rejects: impl IntoIterator<Item = Reject>) -> Result<()> {
        let mut kept = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(rejects);
        if kept.len() as u64 > MAX_REJECTS {
            let what = format!("more than {MAX_REJECTS} rows of the source `{source}` break its contract");
            return Err(Error::Refused(Message::new(what).hint("look at the first of them: the extract's format has probably changed")));
        }
        Ok(())
    }

    /// Takes rows that were counted as kept for duplicates instead.
    pub fn deduplicate(&self, rows: u64) {
        self.kept.fetch_sub(rows, Ordering::Relaxed);
        self.deduplicated.fetch_add(rows, Ordering::Relaxed);
    }

    /// Remembers why reading failed, so that the reason survives its way through the engine.
    pub fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Why reading failed, if it did.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Rows read so far.
    pub fn rows_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The rejected rows, in order of file and row.
    pub fn rejects(&self) -> Vec<Reject> {
        let mut rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rejects.sort();
        rejects
    }

    /// The ledger of the source.
    pub fn ledger(&self, source: &str, files: usize) -> Ledger {
        Ledger {
            source: source.to_owned(),
            files: files as u64,
            rows_read: self.rows_read(),
            rows_kept: self.kept.load(Ordering::Relaxed),
            rows_rejected: self.rejects.lock().unwrap_or_else(PoisonError::into_inner).len() as u64,
            rows_deduplicated: self.deduplicated.load(Ordering::Relaxed),
            rows_out_of_window: self.out_of_window.load(Ordering::Relaxed),
        }
    }
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
