//! The memory that a run reserves beside the operators of its queries, and the tables that go to disk to make room.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::watch;
use crate::shown::size;

/// A table is put on disk when this part of the limit would be free then.
const WORTH_A_FILE: usize = 128;

/// What a run holds beside the operators of a query: tables, texts, identifiers. The operators spill to make room for it. When it is more than
/// half of the limit, tables go to disk; when it is over the limit without them, the run fails.
#[derive(Debug)]
pub struct Holdings {
    limit: usize,
    reservation: MemoryReservation,
    tables: Mutex<Vec<Weak<dyn Spillable>>>,
}

/// A table that gives memory back by going to disk.
pub trait Spillable: fmt::Debug + Send + Sync {
    /// What of it is in memory, in bytes.
    fn in_memory(&self) -> usize;

    /// Puts what is in memory on disk.
    ///
    /// # Errors
    /// When it cannot be written, after which the table cannot be read.
    fn spill(&self) -> Result<(), DataFusionError>;
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
    pub fn may_spill(&self, table: Weak<dyn Spillable>) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).push(table);
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

/// The error of a process that is over its limit.
pub(super) fn exhausted() -> DataFusionError {
    DataFusionError::ResourcesExhausted("the data that the run reads, computes and writes at once takes more".to_owned())
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::FairSpillPool;

    use super::*;
    use crate::engine::failure::failed;

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
}
