//! How much memory there is, how much was taken, and who holds what of what a run may take.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::kept::Kept;
use super::watch;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message};
use crate::shown::size;

/// A table is put on disk when this part of the limit would be free then.
const WORTH_A_FILE: usize = 128;

/// What a run holds beside the operators of a query: tables, texts, identifiers. The operators spill to make room for it. When it is more than
/// half of the limit, tables go to disk; when it is over the limit without them, the run fails.
#[derive(Debug)]
pub struct Holdings {
    limit: usize,
    reservation: MemoryReservation,
    tables: Mutex<Vec<Weak<Kept>>>,
}

/// A part of it, which is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    holdings: Arc<Holdings>,
    bytes: AtomicUsize,
}

impl Holdings {
    /// Nothing yet, of a pool of so many bytes.
    pub fn of(pool: &Arc<dyn MemoryPool>, limit: usize) -> Arc<Self> {
        let reservation = MemoryConsumer::new("tables, texts and identifiers").register(pool);
        Arc::new(Holdings { limit, reservation, tables: Mutex::default() })
    }

    /// How much there may be, of this and of operators.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.reservation.size()
    }

    /// Puts a table on disk when there is no room for it.
    pub fn may_spill(&self, table: &Arc<Kept>) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(table));
    }

    /// Puts tables on disk, the largest first, while they are worth a file and more is held than half of the limit.
    fn make_room(&self) -> Result<(), DataFusionError> {
        let wanted = self.limit / 2;
        // Another thread that needs room waits for this lock, and then finds it made.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        while self.reservation.size() > wanted {
            tables.retain(|table| table.strong_count() > 0);
            let in_memory = tables.iter().filter_map(Weak::upgrade).map(|table| (table.in_memory(), table));
            match in_memory.max_by_key(|(bytes, _)| *bytes) {
                Some((bytes, table)) if bytes > self.limit / WORTH_A_FILE => table.spill()?,
                _ => break,
            }
        }
        Ok(())
    }

    /// A part of it that is empty.
    pub fn part(self: &Arc<Self>) -> Held {
        Held { holdings: Arc::clone(self), bytes: AtomicUsize::new(0) }
    }
}

impl Held {
    /// Another part, which is empty.
    pub fn another(&self) -> Held {
        self.holdings.part()
    }

    /// How much may be held in all.
    pub fn limit(&self) -> usize {
        self.holdings.limit
    }

    /// Holds so many bytes more.
    ///
    /// # Errors
    /// [`DataFusionError::ResourcesExhausted`] when all that is held is more than the limit.
    pub fn grow(&self, bytes: usize) -> Result<(), DataFusionError> {
        let limit = self.holdings.limit;
        if bytes > limit {
            // Nothing could make room for that.
            let all = self.holdings.reservation.size().saturating_add(bytes);
            watch::is_wanted(all);
            let (wanted, limit) = (size(bytes as u64), size(limit as u64));
            return Err(DataFusionError::ResourcesExhausted(format!("it takes {wanted} at once, of {limit} in all")));
        }
        self.count(bytes);
        self.fit().inspect_err(|_| self.shrink(bytes))
    }

    /// Counts so many bytes more, before anybody can give them back.
    pub fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
        // Not tried: the pool would refuse what operators could make room for by spilling.
        self.holdings.reservation.grow(bytes);
    }

    /// Makes all that is held fit.
    ///
    /// # Errors
    /// As [`Held::grow`], and when a table cannot be put on disk.
    pub fn fit(&self) -> Result<(), DataFusionError> {
        let Holdings { limit, reservation, .. } = self.holdings.as_ref();
        if reservation.size() > limit / 2 {
            self.holdings.make_room()?;
        }
        within_limit()?;
        let held = reservation.size();
        if held <= *limit {
            return Ok(());
        }
        watch::is_wanted(held);
        let (held, limit) = (size(held as u64), size(*limit as u64));
        Err(DataFusionError::ResourcesExhausted(format!(
            "texts, identifiers and what is read at once take {held} of {limit}, and they cannot be put on disk"
        )))
    }

    /// Holds as much as is asked for, if that is more than before.
    ///
    /// # Errors
    /// As [`Held::grow`].
    pub fn reach(&self, bytes: usize) -> Result<(), DataFusionError> {
        self.holdings.reservation.grow(bytes.saturating_sub(self.bytes.fetch_max(bytes, Relaxed)));
        self.fit()
    }

    /// Gives all but so many bytes back.
    pub fn settle(&self, bytes: usize) {
        self.shrink(self.bytes.load(Relaxed).saturating_sub(bytes));
    }

    /// Gives so many bytes back.
    pub fn shrink(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.holdings.reservation.shrink(bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holdings.reservation.shrink(self.bytes.load(Relaxed));
    }
}

/// Fails when the process is further over its limit than what is on its way explains.
///
/// # Errors
/// [`DataFusionError::ResourcesExhausted`].
pub fn within_limit() -> Result<(), DataFusionError> {
    if watch::is_over() { Err(exhausted()) } else { Ok(()) }
}

fn exhausted() -> DataFusionError {
    DataFusionError::ResourcesExhausted("the data that the run reads, computes and writes at once takes more".to_owned())
}

/// The error of something that took more memory than the limit allows without asking for it.
pub fn out_of_memory(what: &str) -> Error {
    failed(what, &exhausted())
}

/// Whether something failed because the limit allows no more memory.
pub(super) fn is_want_of_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// Whether something failed because the disk did, on which tables and operators spill.
fn is_disk(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::IoError(_) => true,
        DataFusionError::ArrowError(error, _) => matches!(**error, ArrowError::IoError(..)),
        _ => false,
    }
}

/// Whether something failed for want of memory, or of the disk that takes its place.
pub fn is_want_of_room(error: &DataFusionError) -> bool {
    is_want_of_memory(error) || is_disk(error)
}

/// The error of something that fails in the engine, which may be for want of memory.
pub fn failed(what: &str, error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(why) => {
            let hint = match watch::enough_bytes() {
                _ if why.starts_with(super::costs::CONSTANT) => "keep it in a table under `reference`, or make it of less".to_owned(),
                Some(bytes) => format!("`--memory-limit {}` should be enough; fewer `--threads` need less", size(bytes)),
                None => "raise the `--memory-limit` of `segmill run`, or lower `--threads`".to_owned(),
            };
            Diagnostic::error("memory-limit", format!("{what} needs more memory than the limit allows: {why}")).hint(hint).into()
        }
        root if is_disk(error) => {
            let why = std::iter::successors(Some(root as &(dyn std::error::Error + 'static)), |error| error.source());
            let why = why.filter_map(|error| error.downcast_ref::<std::io::Error>()).last().map_or_else(String::new, |error| {
                // The error itself may name the folder, which a variable gives.
                format!(": {}", crate::storage::of_system(error))
            });
            let message = Message::new(format!("{what} cannot use the folder for temporary files{why}"));
            Error::Unavailable(
                message.hint(
                    "make room there, or name another folder in the variable `TMPDIR`; too many open files need a higher `ulimit -n`",
                ),
            )
        }
        _ => Error::defect(format!("{what} failed: {}", crate::sql::discreet(error))),
    }
}

/// Batches that are counted as they come, though several may be parts of one allocation.
#[derive(Debug, Default)]
pub struct Gathered {
    pub(super) batches: Vec<RecordBatch>,
    /// Where the allocations begin that are counted.
    known: HashSet<usize>,
    pub(super) bytes: usize,
}

impl Gathered {
    /// Adds a batch; the bytes that it takes beside those before it.
    pub fn add(&mut self, batch: RecordBatch) -> usize {
        let more = batch.columns().iter().map(|column| bytes_of(&column.to_data(), &mut self.known)).sum();
        self.batches.push(batch);
        self.bytes += more;
        more
    }

    /// The batches.
    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }
}

fn bytes_of(array: &ArrayData, known: &mut HashSet<usize>) -> usize {
    let nulls = array.nulls().map(NullBuffer::buffer);
    let mut of_buffer = |buffer: &Buffer| if known.insert(buffer.data_ptr().addr().get()) { buffer.capacity() } else { 0 };
    let own: usize = array.buffers().iter().chain(nulls).map(&mut of_buffer).sum();
    own + array.child_data().iter().map(|child| bytes_of(child, known)).sum::<usize>()
}

/// The most memory that this process has had so far, where the system tells.
pub fn peak_memory() -> Option<u64> {
    super::machine::size_of_process("VmHWM").map(|bytes| bytes as u64)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::execution::memory_pool::FairSpillPool;

    use super::*;

    #[test]
    fn what_is_held_counts_against_the_limit_until_it_is_dropped() {
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(1_000));
        let holdings = Holdings::of(&pool, 1_000);
        let (one, other) = (holdings.part(), holdings.part());
        one.grow(600).unwrap();
        // An operator that took what was free is no reason to fail: it gives way.
        let operator = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        operator.try_grow(400).unwrap();
        other.reach(300).unwrap();
        other.reach(200).unwrap();
        assert!(operator.try_grow(1).is_err());
        assert_eq!(pool.reserved(), 1_300);
        let error = other.grow(101).unwrap_err();
        assert!(failed("`m`", &error).to_string().contains("texts, identifiers and what is read at once take 1001B of 1kB"), "{error}");
        drop(other);
        one.settle(500);
        one.settle(600);
        drop(one);
        assert_eq!(pool.reserved(), 400);
    }

    #[test]
    fn what_batches_share_is_counted_once() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let batch = RecordBatch::try_from_iter([("one", Arc::clone(&column)), ("two", column)]).unwrap();
        let mut gathered = Gathered::default();
        assert!((8_000..9_000).contains(&gathered.add(batch.slice(0, 500))));
        assert_eq!(gathered.add(batch.slice(500, 500)), 0);
        assert_eq!(gathered.into_batches().iter().map(RecordBatch::num_rows).sum::<usize>(), 1_000);
    }
}
