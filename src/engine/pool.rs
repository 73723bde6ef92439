//! The memory pool of a run. Operators that can spill get equal shares of what the other consumers leave.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use super::reservation::Reservations;
use super::watch;
use crate::shown::size;

/// Every consumer gets this fraction of the limit, even if others use all of it: an operator needs a few batches to begin to spill, and to
/// merge what it has spilled.
const LEAST_SHARE: usize = 32;
/// The fraction of the limit that consumers which can spill leave to those which cannot.
const RESERVE: usize = 8;
/// The bytes that must stay free for memory that is not reserved when a least share is given although the limit is reached.
const LEFT_BYTES: usize = 4 << 20;

/// A pool that counts the memory that is reserved and the memory that the process uses beside it.
#[derive(Debug)]
pub struct Pool {
    limit: usize,
    state: Mutex<State>,
    /// Whose tables go to disk before a query is ended for want of memory.
    tables: OnceLock<Weak<Reservations>>,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes of consumers that cannot spill.
    fixed: usize,
    /// The bytes of consumers that can spill, and how many they are.
    spillable: usize,
    spillers: usize,
    /// The bytes that the process used beside the reserved ones when it was last measured, and the number of that measurement.
    beside: usize,
    measurement: u64,
}

impl Pool {
    /// Grants so many more bytes to a consumer, if its share and the limit allow it.
    fn give(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state();
        let wanted = state.taken() + additional;
        let has = reservation.size() + additional;
        let most = watch::max_bytes(self.limit).saturating_sub(LEFT_BYTES).max(self.limit);
        let is_least = has <= self.limit / LEAST_SHARE && wanted <= most;
        if !reservation.consumer().can_spill() {
            if wanted > self.limit && !is_least {
                return Err(exhausted(reservation, additional, self.limit.saturating_sub(state.taken())));
            }
            state.fixed += additional;
            return Ok(());
        }
        let share = self.limit.saturating_sub(state.fixed + state.beside) / state.spillers.max(1);
        let is_fair = has <= share && wanted <= self.limit - self.limit / RESERVE;
        if !is_fair && !is_least {
            return Err(exhausted(reservation, additional, share.saturating_sub(reservation.size())));
        }
        state.spillable += additional;
        Ok(())
    }

    /// A pool of which nothing is reserved.
    pub fn new(limit: usize) -> Self {
        Pool { limit, state: Mutex::default(), tables: OnceLock::new() }
    }

    /// Lets tables go to disk, however small they are together, before a query is ended for want of memory.
    pub fn make_room_from(&self, reservations: &Arc<Reservations>) {
        let _ = self.tables.set(Arc::downgrade(reservations));
    }

    /// Grants memory without which a query would end: tables go to disk until it fits.
    fn give_at_last(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        loop {
            watch::release_unused(true);
            let given = self.give(reservation, additional);
            let Some(tables) = self.tables.get().and_then(Weak::upgrade).filter(|_| given.is_err()) else { return given };
            if !tables.spill_largest(|| true)? {
                return given;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The process is measured before the lock is taken, so that nobody waits for the measurement.
        let measured = watch::measured();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, bytes)) = measured
            && number > state.measurement
        {
            state.measurement = number;
            state.beside = bytes.saturating_sub(state.fixed + state.spillable);
        }
        state
    }
}

impl State {
    fn taken(&self) -> usize {
        self.fixed + self.spillable + self.beside
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in all", size(self.limit as u64))
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &'static str {
        "segmill"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.state().spillers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut state = self.state();
            state.spillers = state.spillers.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut state = self.state();
        if reservation.consumer().can_spill() { state.spillable += additional } else { state.fixed += additional }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        let of = if reservation.consumer().can_spill() { &mut state.spillable } else { &mut state.fixed };
        *of = of.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.give(reservation, additional).or_else(|_| {
            // An operator that has nothing yet cannot make room by spilling.
            if reservation.size() == 0 || !reservation.consumer().can_spill() {
                return self.give_at_last(reservation, additional);
            }
            // The allocator keeps memory that is not in use. Returning it to the system may be enough.
            watch::release_unused(false);
            self.give(reservation, additional)
        })
    }

    fn reserved(&self) -> usize {
        let state = self.state();
        state.fixed + state.spillable
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

fn exhausted(reservation: &MemoryReservation, additional: usize, left: usize) -> DataFusionError {
    let (who, has) = (reservation.consumer().name(), size(reservation.size() as u64));
    let (more, left) = (size(additional as u64), size(left as u64));
    DataFusionError::ResourcesExhausted(format!("{who} has {has} and needs {more} more, but only {left} are left"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::engine::reservation::{Reservation, Spillable};

    const LIMIT: usize = 320 << 20;

    #[test]
    fn those_who_spill_share_alike_and_leave_room_for_those_who_cannot() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(LIMIT));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (one, other) = (spiller("one"), spiller("other"));
        assert!(one.try_grow(LIMIT / 2 + 1).is_err(), "more than an equal share");
        one.try_grow(LIMIT / 2).unwrap();
        // The other consumer gets its share, except for the reserve.
        assert!(other.try_grow(LIMIT / 2).is_err());
        other.try_grow(LIMIT / 2 - LIMIT / RESERVE).unwrap();
        let fixed = MemoryConsumer::new("a join").register(&pool);
        fixed.try_grow(LIMIT / RESERVE).unwrap();
        assert_eq!(pool.reserved(), LIMIT);
        // When everything is in use a new consumer still gets its least share, and no more.
        let late = spiller("late");
        late.try_grow(LIMIT / LEAST_SHARE).unwrap();
        assert!(late.try_grow(1).is_err());
        let error = fixed.try_grow(LIMIT).unwrap_err().to_string();
        assert!(error.contains("a join has 40MiB and needs 320MiB more, but only 0B are left"), "{error}");
        drop((one, other, fixed, late));
        assert_eq!(pool.reserved(), 0);
    }

    /// A table of which everything is in memory until it goes to disk.
    #[derive(Debug)]
    struct Table(Reservation, AtomicUsize);

    impl Spillable for Table {
        fn in_memory(&self) -> usize {
            self.1.load(Relaxed)
        }

        fn spill(&self) -> Result<()> {
            self.0.shrink(self.1.swap(0, Relaxed));
            Ok(())
        }
    }

    #[test]
    fn tables_go_to_disk_before_a_query_ends_for_want_of_memory() {
        let own = Arc::new(Pool::new(LIMIT));
        let pool: Arc<dyn MemoryPool> = Arc::clone(&own) as Arc<dyn MemoryPool>;
        let reservations = Reservations::of(&pool, LIMIT);
        let tables: Vec<Arc<Table>> = [LIMIT / 4, LIMIT / 8, LIMIT / 8]
            .map(|bytes| {
                let table = Arc::new(Table(reservations.reservation(), AtomicUsize::new(bytes)));
                table.0.grow(bytes).unwrap();
                reservations.may_spill(Arc::downgrade(&table) as Weak<dyn Spillable>);
                table
            })
            .to_vec();
        let in_memory = || tables.iter().map(|table| table.in_memory()).collect::<Vec<_>>();
        let join = MemoryConsumer::new("a join").register(&pool);
        assert!(join.try_grow(LIMIT / 2 + 1).is_err(), "nobody has said yet which tables there are");
        own.make_room_from(&reservations);
        // What fits moves nothing, and no more is moved than is needed.
        join.try_grow(LIMIT / 4).unwrap();
        assert_eq!(in_memory(), [LIMIT / 4, LIMIT / 8, LIMIT / 8]);
        join.try_grow(LIMIT / 2).unwrap();
        assert_eq!(in_memory(), [0, LIMIT / 8, LIMIT / 8]);
        // A sort that can spill by itself moves no table.
        let sort = MemoryConsumer::new("a sort").with_can_spill(true).register(&pool);
        sort.try_grow(1).unwrap();
        assert!(sort.try_grow(LIMIT / 8).is_err());
        assert_eq!(in_memory(), [0, LIMIT / 8, LIMIT / 8]);
        assert!(join.try_grow(LIMIT / 2).is_err(), "more than there is");
        assert_eq!(in_memory(), [0, 0, 0]);
    }
}
