//! The memory that a run reserves beside the operators of its queries, and the tables that go to disk to make room.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::watch;
use crate::shown::size;

/// A table is only spilled if that frees at least this fraction of the limit.
const WORTH_A_FILE: usize = 128;

/// All reservations of an engine, which are for what it holds beside the operators of its queries: tables, texts and identifiers. Operators
/// spill to make room for them. When they exceed half of the memory limit, materialised tables go to disk; when they exceed the limit
/// without those tables, the run fails.
#[derive(Debug)]
pub struct Reservations {
    limit: usize,
    reservation: MemoryReservation,
    tables: Mutex<Vec<Weak<dyn Spillable>>>,
}

/// A table that can be moved to disk to free memory.
pub trait Spillable: fmt::Debug + Send + Sync {
    /// How many bytes of it are in memory.
    fn in_memory(&self) -> usize;

    /// Moves what is in memory to disk.
    ///
    /// # Errors
    /// When it cannot be written. The table cannot be read after that.
    fn spill(&self) -> Result<(), DataFusionError>;
}

/// A number of bytes that are reserved for one purpose, and are released when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    reservations: Arc<Reservations>,
    bytes: AtomicUsize,
}

impl Reservations {
    /// No reservations yet, in a pool of `limit` bytes.
    pub fn of(pool: &Arc<dyn MemoryPool>, limit: usize) -> Arc<Self> {
        let reservation = MemoryConsumer::new("tables, texts and identifiers").register(pool);
        Arc::new(Reservations { limit, reservation, tables: Mutex::default() })
    }

    /// The memory limit: the bytes of all reservations and operators together.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes of all reservations.
    pub fn bytes(&self) -> usize {
        self.reservation.size()
    }

    /// Makes a table known, so that it is spilled when memory is needed.
    pub fn may_spill(&self, table: Weak<dyn Spillable>) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).push(table);
    }

    /// Spills tables, the largest first, until the reservations take no more than half of the limit or only small tables are left.
    fn make_room(&self) -> Result<(), DataFusionError> {
        let wanted = self.limit / 2;
        while self.reservation.size() > wanted && self.spill_largest(|| self.reservation.size() > wanted)? {}
        Ok(())
    }

    /// Spills the largest table, if that is still needed; whether there was one that is not small.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn spill_largest(&self, is_needed: impl Fn() -> bool) -> Result<bool, DataFusionError> {
        // Threads that need memory while a table is being spilled wait here for the spill to finish.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_needed() {
            return Ok(true);
        }
        tables.retain(|table| table.strong_count() > 0);
        let in_memory = tables.iter().filter_map(Weak::upgrade).map(|table| (table.in_memory(), table));
        match in_memory.max_by_key(|(bytes, _)| *bytes) {
            Some((bytes, table)) if bytes > self.limit / WORTH_A_FILE => table.spill().map(|()| true),
            _ => Ok(false),
        }
    }

    /// A new reservation of no bytes.
    pub fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation { reservations: Arc::clone(self), bytes: AtomicUsize::new(0) }
    }
}

impl Reservation {
    /// A new reservation of no bytes in the same pool.
    pub fn another(&self) -> Reservation {
        self.reservations.reservation()
    }

    /// The memory limit.
    pub fn limit(&self) -> usize {
        self.reservations.limit
    }

    /// Reserves so many bytes more.
    ///
    /// # Errors
    /// [`DataFusionError::ResourcesExhausted`] when all reservations together exceed the limit.
    pub fn grow(&self, bytes: usize) -> Result<(), DataFusionError> {
        let limit = self.reservations.limit;
        if bytes > limit {
            // It cannot fit, whatever is spilled.
            let all = self.reservations.reservation.size().saturating_add(bytes);
            watch::note_needed(all);
            let (wanted, limit) = (size(bytes as u64), size(limit as u64));
            return Err(DataFusionError::ResourcesExhausted(format!("it takes {wanted} at once, and the limit is {limit}")));
        }
        self.count(bytes);
        self.fit().inspect_err(|_| self.shrink(bytes))
    }

    /// Reserves so many bytes more without making room for them yet.
    pub fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
        // `try_grow` would refuse memory that operators can still free by spilling.
        self.reservations.reservation.grow(bytes);
    }

    /// Makes room for everything that is reserved.
    ///
    /// # Errors
    /// As [`Reservation::grow`], and when a table cannot be moved to disk.
    pub fn fit(&self) -> Result<(), DataFusionError> {
        let Reservations { limit, reservation, .. } = self.reservations.as_ref();
        if reservation.size() > limit / 2 {
            self.reservations.make_room()?;
        }
        within_limit()?;
        let reserved = reservation.size();
        if reserved <= *limit {
            return Ok(());
        }
        watch::note_needed(reserved);
        let (reserved, limit) = (size(reserved as u64), size(*limit as u64));
        Err(DataFusionError::ResourcesExhausted(format!(
            "texts, identifiers and the data being read take {reserved}, which cannot be moved to disk, and the limit is {limit}"
        )))
    }

    /// Raises the reservation to so many bytes, if it is smaller.
    ///
    /// # Errors
    /// As [`Reservation::grow`].
    pub fn reach(&self, bytes: usize) -> Result<(), DataFusionError> {
        self.reservations.reservation.grow(bytes.saturating_sub(self.bytes.fetch_max(bytes, Relaxed)));
        self.fit()
    }

    /// Lowers the reservation to so many bytes, if it is larger.
    pub fn settle(&self, bytes: usize) {
        self.shrink(self.bytes.load(Relaxed).saturating_sub(bytes));
    }

    /// Releases so many bytes.
    pub fn shrink(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.reservations.reservation.shrink(bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reservations.reservation.shrink(self.bytes.load(Relaxed));
    }
}

/// Fails when the process uses more memory than its limit allows, with some tolerance (`watch::max_bytes`).
///
/// # Errors
/// [`DataFusionError::ResourcesExhausted`].
pub fn within_limit() -> Result<(), DataFusionError> {
    if watch::is_over() { Err(exhausted()) } else { Ok(()) }
}

/// The error of a process that uses more memory than its limit allows.
pub(super) fn exhausted() -> DataFusionError {
    DataFusionError::ResourcesExhausted("the data that the run reads, computes and writes at the same time takes more".to_owned())
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::FairSpillPool;

    use super::*;
    use crate::engine::failure::failed;

    #[test]
    fn what_is_held_counts_against_the_limit_until_it_is_dropped() {
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(1_000));
        let reservations = Reservations::of(&pool, 1_000);
        let (one, other) = (reservations.reservation(), reservations.reservation());
        one.grow(600).unwrap();
        // Operators that use the free memory are no reason to fail: they spill.
        let operator = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        operator.try_grow(400).unwrap();
        other.reach(300).unwrap();
        other.reach(200).unwrap();
        assert!(operator.try_grow(1).is_err());
        assert_eq!(pool.reserved(), 1_300);
        let error = other.grow(101).unwrap_err();
        assert!(failed("`m`", &error).to_string().contains("texts, identifiers and the data being read take 1001B"), "{error}");
        drop(other);
        one.settle(500);
        one.settle(600);
        drop(one);
        assert_eq!(pool.reserved(), 400);
    }
}
