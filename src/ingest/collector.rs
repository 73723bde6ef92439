//! Counts the rows of a source, piece by piece, and stops reading as soon as the source is certainly over its reject budget.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::DateTime;
use datafusion::error::DataFusionError;

use super::contract::Contract;
use super::rejects::{Reject, Rejects, counted};
use super::remarks;
use crate::config::RejectBudget;
use crate::engine::{Engine, Scratch, failed};
use crate::error::{Error, Message, Result};
use crate::manifest::{Ledger, Overrun};

/// The counts of the rows of one piece of a source while it is read.
#[derive(Debug, Default)]
pub struct Tally {
    read: u64,
    kept: u64,
    out_of_window: u64,
    newest_micros: Option<i64>,
    /// Records that have no element, where elements are rows.
    without_rows: u64,
    rejects: Rejects,
    /// Whether it is certain by its rejects that the source is over its budget.
    is_over: bool,
}

impl Tally {
    /// Adds rows that were read: how many were kept and out of window, and the latest event among them.
    pub fn count(&mut self, read: u64, kept: u64, out_of_window: u64, newest_micros: Option<i64>) {
        self.read += read;
        self.kept += kept;
        self.out_of_window += out_of_window;
        self.newest_micros = self.newest_micros.max(newest_micros);
    }
}

impl Tally {
    /// Adds records that are no rows, because they have no element.
    pub fn count_without_rows(&mut self, records: u64) {
        self.without_rows += records;
    }
}

/// Adds up what became of the rows of one source. A piece counts once, however many models read it: when somebody has first read
/// it to its end.
#[derive(Debug)]
pub struct Collector {
    contract: Arc<Contract>,
    rows_seen: AtomicU64,
    totals: Mutex<Totals>,
    scratch: Scratch,
    /// Whether the source is certainly over its budget, so that the rest was not read.
    is_over: AtomicBool,
    failure: Mutex<Option<Error>>,
}

/// Some of the rejects of a piece.
#[derive(Debug, Clone, Copy)]
pub struct RejectsPart {
    piece: usize,
    part: usize,
}

#[derive(Debug, Default)]
struct Totals {
    /// Whether the number of pieces is known.
    is_opened: bool,
    /// For every piece of the source what became of its rows, once it has been counted.
    pieces: Vec<Option<Tally>>,
    /// How many rows there are in all, where the files say so.
    rows: Option<u64>,
    /// How many rows of the pieces were rejected, and how many values of each column.
    rejected: BTreeMap<Option<String>, u64>,
    deduplicated: u64,
    /// What is said of files, each with the first file of which it is.
    said: BTreeMap<String, String>,
    /// How many of these delete a key.
    deleted: u64,
    /// Whether nothing is counted any more.
    is_closed: bool,
}

impl Collector {
    /// Nothing yet of a source.
    pub fn new(contract: &Arc<Contract>, engine: &Engine) -> Arc<Self> {
        Arc::new(Collector {
            contract: Arc::clone(contract),
            rows_seen: AtomicU64::default(),
            totals: Mutex::default(),
            scratch: engine.scratch(),
            is_over: AtomicBool::default(),
            failure: Mutex::default(),
        })
    }

    /// Sets the number of pieces to read, and of rows if that is known. Pieces that have been counted stay counted.
    pub fn expect(&self, pieces: usize, rows: Option<u64>) {
        let mut totals = self.totals();
        totals.is_opened = true;
        totals.pieces.resize_with(pieces, || None);
        totals.rows = rows;
    }

    /// Reports progress. Rows are counted only when their piece has been read to its end.
    pub fn see(&self, rows: u64) {
        self.rows_seen.fetch_add(rows, Relaxed);
    }

    /// Reports something of a file, which is told of the first such file alone.
    pub fn remark(&self, file: &str, said: String) {
        let mut totals = self.totals();
        let first = totals.said.entry(said).or_insert_with(|| file.to_owned());
        if file < first.as_str() {
            file.clone_into(first);
        }
    }

    /// Adds rejects to the tally of a piece, in order of row.
    ///
    /// # Errors
    /// [`Error::Unavailable`] as the disk fails.
    pub fn reject(&self, piece: usize, tally: &mut Tally, rejects: Vec<Reject>) -> Result<()> {
        if rejects.is_empty() || self.is_counted(piece) {
            return Ok(());
        }
        let touched: BTreeSet<Option<String>> = rejects.iter().map(|reject| reject.column_counted().cloned()).collect();
        let added = tally.rejects.add(&self.scratch, rejects);
        added.map_err(|error| self.unwritten(error))?;
        let totals = self.totals();
        if totals.pieces.get(piece).is_none_or(Option::is_some) {
            // Somebody else counts it.
            return Ok(());
        }
        let budget = self.contract.reject_budget;
        #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let is_over = |count: u64| count > budget.rows || totals.rows.is_some_and(|rows| count as f64 / rows.max(1) as f64 > budget.share);
        let count = |of: &Option<String>, counts: &BTreeMap<Option<String>, u64>| counts.get(of).copied().unwrap_or(0);
        let over = touched.iter().any(|of| is_over(count(of, &totals.rejected) + count(of, tally.rejects.rejected())));
        tally.is_over |= over;
        Ok(())
    }

    /// Ends the reading of a source that is certainly over its budget. The rows of a piece that have been counted by then must have their rejects,
    /// so that what is told of them adds up.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is certain by now that the source is over its budget: what has been found is counted then, and nothing
    /// more need be read. [`Error::Unavailable`] as the disk fails.
    pub fn end_if_over(&self, piece: usize, tally: &mut Tally) -> Result<()> {
        if !tally.is_over {
            return Ok(());
        }
        self.finish_piece(piece, std::mem::take(tally))?;
        self.is_over.store(true, Relaxed);
        Err(Error::Refused(Message::new(format!("the source `{}` is over its budget of rejected rows", self.contract.source))))
    }

    /// Counts a piece that has been read to its end, unless it has been counted already.
    ///
    /// # Errors
    /// [`Error::Unavailable`] as the disk fails.
    pub fn finish_piece(&self, piece: usize, mut tally: Tally) -> Result<()> {
        let put = tally.rejects.put_on_disk(&self.scratch);
        put.map_err(|error| self.unwritten(error))?;
        let mut totals = self.totals();
        if totals.is_closed || totals.pieces.get(piece).is_none_or(Option::is_some) {
            return Ok(());
        }
        for (of, count) in tally.rejects.rejected() {
            *totals.rejected.entry(of.clone()).or_default() += count;
        }
        totals.pieces[piece] = Some(tally);
        Ok(())
    }

    /// Whether somebody has read a piece to its end.
    pub fn is_counted(&self, piece: usize) -> bool {
        self.totals().pieces.get(piece).is_none_or(Option::is_some)
    }

    /// How many rows of a piece that has been read to its end are kept, before duplicates are left out.
    pub fn kept_of(&self, piece: usize) -> Option<u64> {
        self.totals().pieces.get(piece)?.as_ref().map(|tally| tally.kept)
    }

    /// Whether every piece has been read to its end.
    pub fn is_complete(&self) -> bool {
        let totals = self.totals();
        !self.is_over() && totals.is_opened && totals.pieces.iter().all(Option::is_some)
    }

    /// Whether reading ended because the source is over its budget for certain.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// The latest event seen, in microseconds since 1970; none when there was no row.
    pub fn newest_micros(&self) -> Option<i64> {
        self.totals().pieces.iter().flatten().filter_map(|tally| tally.newest_micros).max()
    }

    /// How many rows are kept.
    pub fn rows_kept(&self) -> u64 {
        let totals = self.totals();
        totals.pieces.iter().flatten().map(|tally| tally.kept).sum::<u64>() - totals.deduplicated
    }

    /// Counts rows as duplicates that were counted as kept; of these, so many that delete a key.
    pub fn deduplicate(&self, rows: u64, deleted: u64) {
        let mut totals = self.totals();
        totals.deduplicated += rows;
        totals.deleted += deleted;
    }

    /// Stores the error with which reading failed, because the engine does not hand it on unchanged.
    pub fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Why reading failed, if it did.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Rows read so far, for people who wait.
    pub fn rows_seen(&self) -> u64 {
        self.rows_seen.load(Relaxed)
    }

    /// The parts that the rejects are in, in order of file and row.
    pub fn parts(&self) -> Vec<RejectsPart> {
        let totals = self.totals();
        let counted = totals.pieces.iter().enumerate().filter_map(|(piece, tally)| Some((piece, tally.as_ref()?)));
        let mut rejecting: Vec<(usize, &Rejects)> = counted.map(|(piece, tally)| (piece, &tally.rejects)).collect();
        rejecting.sort_by(|(_, one), (_, two)| one.file().cmp(two.file()));
        let parts = |(piece, rejects): (usize, &Rejects)| (0..rejects.parts()).map(move |part| RejectsPart { piece, part });
        rejecting.into_iter().flat_map(parts).collect()
    }

    /// The rejects of a part.
    ///
    /// # Errors
    /// [`Error::Unavailable`] as the disk fails.
    pub fn rejects_of(&self, part: RejectsPart) -> Result<Vec<Reject>> {
        let totals = self.totals();
        let Some(tally) = totals.pieces.get(part.piece).and_then(Option::as_ref) else { return Ok(Vec::new()) };
        tally.rejects.read(&self.scratch, part.part).map_err(|error| self.unwritten(error))
    }

    /// What the rejects say of their files, and what else there is to say of them.
    pub fn remarks(&self) -> Vec<String> {
        let totals = self.totals();
        let mut seen = BTreeSet::new();
        let mut remarks: Vec<String> = totals.said.iter().map(|(said, file)| format!("{}: {file} {said}", self.contract.source)).collect();
        for rejects in rejecting(&totals) {
            let mut firsts: Vec<(u64, &'static str)> = rejects.firsts.iter().map(|(reason, line)| (*line, *reason)).collect();
            firsts.sort_unstable();
            let new = firsts.into_iter().filter(|(_, reason)| seen.insert((rejects.file(), *reason)));
            remarks.extend(new.filter_map(|(line, reason)| remarks::remark(&self.contract.source, rejects.file(), line, reason)));
        }
        let without_rows = totals.pieces.iter().flatten().map(|tally| tally.without_rows).sum();
        if let Some(each) = self.contract.each.as_ref().filter(|_| without_rows > 0) {
            remarks.push(remarks::without_rows(&self.contract.source, &each.shown, without_rows));
        } else if without_rows > 0 {
            remarks.push(remarks::tombstones(&self.contract.source, without_rows));
        }
        remarks
    }

    /// How many rows may say no to being written to and could not be read, with the first of them.
    pub fn lost_answers(&self) -> Option<(u64, String)> {
        let totals = self.totals();
        let rejecting = rejecting(&totals);
        let first = rejecting.iter().find_map(|rejects| rejects.first_lost.clone())?;
        Some((rejecting.iter().map(|rejects| rejects.lost).sum(), first))
    }

    /// The ledger of the source.
    pub fn ledger(&self, files: usize) -> Ledger {
        let totals = self.totals();
        let of = |count: fn(&Tally) -> u64| totals.pieces.iter().flatten().map(count).sum::<u64>();
        let rows_rejected = totals.rejected.get(&None).copied().unwrap_or(0);
        let newest_micros = totals.pieces.iter().flatten().filter_map(|tally| tally.newest_micros).max();
        Ledger {
            source: self.contract.source.clone(),
            files: files as u64,
            files_skipped: 0,
            files_unopened: 0,
            snapshot_day: None,
            newest_event_at: newest_micros.and_then(DateTime::from_timestamp_micros),
            rows_read: of(|tally| tally.read),
            rows_kept: of(|tally| tally.kept) - totals.deduplicated,
            rows_rejected,
            rows_deduplicated: totals.deduplicated,
            rows_deleted: totals.deleted,
            rows_out_of_window: of(|tally| tally.out_of_window),
            values_rejected: totals.rejected.values().sum::<u64>() - rows_rejected,
            records_without_rows: of(|tally| tally.without_rows),
            rejects: counted(totals.pieces.iter().flatten().map(|tally| &tally.rejects)),
        }
    }

    /// What is certainly over the budget. A share of the rows that were read so far is not certain while rows are unread.
    pub fn overruns(&self) -> Vec<Overrun> {
        let (ledger, budget) = (self.ledger(0), self.contract.reject_budget);
        let rows = if self.is_complete() { Some(ledger.rows_read) } else { self.totals().rows };
        match rows {
            Some(rows) => Ledger { rows_read: rows, ..ledger }.over(budget),
            None => ledger.over(RejectBudget { share: 1.0, ..budget }),
        }
    }

    /// Stops counting, so that readers that are still running do not change the result.
    pub fn close(&self) {
        self.totals().is_closed = true;
    }

    fn unwritten(&self, error: std::io::Error) -> Error {
        failed(&format!("the rejected rows of the source `{}`", self.contract.source), &DataFusionError::IoError(error))
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rejects of the pieces that have some, in order of file and row.
fn rejecting(totals: &Totals) -> Vec<&Rejects> {
    let mut rejecting: Vec<&Rejects> =
        totals.pieces.iter().flatten().map(|tally| &tally.rejects).filter(|rejects| !rejects.is_empty()).collect();
    // The pieces of a file are in their order.
    rejecting.sort_by(|one, two| one.file().cmp(two.file()));
    rejecting
}
