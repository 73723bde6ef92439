//! The memory that a run may have, shared out: those who can spill get equal shares of what the others leave.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use super::watch;
use crate::shown::size;

/// The least that somebody is given, as a part of the limit, though the others have all: with less than a few batches nobody can begin to
/// spill, or put together again what was spilled.
const LEAST_SHARE: usize = 32;
/// The part of the limit that those who can spill leave to those who cannot.
const RESERVE: usize = 8;
/// What must be left to what is not asked for, when a least share is given though the limit is met.
const LEFT_BYTES: usize = 4 << 20;

/// A pool that counts what is asked for, and what the process has beside it.
#[derive(Debug)]
pub struct Pool {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What those have who cannot spill.
    fixed: usize,
    /// What those have who can, and how many they are.
    spillable: usize,
    spillers: usize,
    /// What the process had beside, when it was last measured, and the number of that measurement.
    beside: usize,
    measurement: u64,
}

impl Pool {
    /// Gives so many bytes, if they are there for who asks.
    fn give(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state();
        let wanted = state.taken() + additional;
        let has = reservation.size() + additional;
        let most = watch::most_bytes(self.limit).saturating_sub(LEFT_BYTES).max(self.limit);
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

    /// A pool of which nobody has anything.
    pub fn new(limit: usize) -> Self {
        Pool { limit, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Measuring takes a moment, in which others need not wait.
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
            // What the allocator keeps is nobody's, and may be what lacks.
            watch::give_back();
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
    DataFusionError::ResourcesExhausted(format!("{who} has {has} and needs {more} more, of which {left} are left"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LIMIT: usize = 320 << 20;

    #[test]
    fn those_who_spill_share_alike_and_leave_room_for_those_who_cannot() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(LIMIT));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (one, other) = (spiller("one"), spiller("other"));
        assert!(one.try_grow(LIMIT / 2 + 1).is_err(), "more than an equal share");
        one.try_grow(LIMIT / 2).unwrap();
        // The other's share is there, but for what those need who cannot spill.
        assert!(other.try_grow(LIMIT / 2).is_err());
        other.try_grow(LIMIT / 2 - LIMIT / RESERVE).unwrap();
        let fixed = MemoryConsumer::new("a join").register(&pool);
        fixed.try_grow(LIMIT / RESERVE).unwrap();
        assert_eq!(pool.reserved(), LIMIT);
        // With all taken a few batches are given all the same, to begin with, and no more.
        let late = spiller("late");
        late.try_grow(LIMIT / LEAST_SHARE).unwrap();
        assert!(late.try_grow(1).is_err());
        let error = fixed.try_grow(LIMIT).unwrap_err().to_string();
        assert!(error.contains("a join has 40MiB and needs 320MiB more, of which 0B are left"), "{error}");
        drop((one, other, fixed, late));
        assert_eq!(pool.reserved(), 0);
    }
}
