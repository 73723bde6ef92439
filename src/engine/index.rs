//! Numbers found by the hash of what they stand for, a batch at a time.

/// An open-addressed table of numbers below 2³²−1. Whoever asks compares what the numbers stand for; the table knows 32 bits of its hash.
///
/// Looking something up misses the processor's cache at least twice: here, and where the thing itself is. So that many lookups wait side by
/// side, look a batch up in steps: [`HashIndex::slot`] of all, then [`HashIndex::first_like`] of all, then compare.
#[derive(Debug, Default)]
pub struct HashIndex {
    /// The upper half of a slot is the hash, of which the highest bits are the slot's place; the lower half is the number. Where a place
    /// is taken, the next free one serves. A power of two, at most half full.
    slots: Vec<u64>,
    held: usize,
}

/// What stands at a hash's place.
#[derive(Debug, Clone, Copy)]
pub struct Slot(u64);

/// A slot that holds nothing. Not 0: memory that the system gives zeroed is first mapped when it is read and again when it is written,
/// which stops all threads.
const FREE: u64 = u64::MAX;

impl HashIndex {
    /// What a number takes: two to four slots.
    pub const BYTES_OF_ONE: usize = 3 * size_of::<u64>();

    /// Makes room, so that so many more fit.
    pub fn reserve(&mut self, more: usize) {
        let wanted = ((self.held + more) * 2).next_power_of_two().max(2);
        if wanted > self.slots.len() {
            let before = std::mem::replace(&mut self.slots, vec![FREE; wanted]);
            before.into_iter().filter(|slot| *slot != FREE).for_each(|slot| self.occupy(slot));
        }
    }

    /// What stands at the place of a hash.
    pub fn slot(&self, hash: u32) -> Slot {
        Slot(self.slots.get(self.place(hash)).copied().unwrap_or(FREE))
    }

    /// The first number of a hash, given what stands at its place.
    pub fn first_like(&self, hash: u32, slot: Slot) -> Option<u32> {
        match slot.0 {
            FREE => None,
            slot if hash_in(slot) == hash => Some(number_in(slot)),
            _ => self.find(hash, Some),
        }
    }

    /// What `is` gives for the first number of a hash that it gives something for.
    pub fn find<T>(&self, hash: u32, mut is: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let mut at = self.place(hash);
        loop {
            let slot = self.slots.get(at).copied().filter(|slot| *slot != FREE)?;
            if hash_in(slot) == hash
                && let Some(found) = is(number_in(slot))
            {
                return Some(found);
            }
            at = self.after(at);
        }
    }

    /// Adds a number, which must not be `u32::MAX`.
    pub fn add(&mut self, hash: u32, number: u32) {
        self.reserve(1);
        self.held += 1;
        self.occupy(u64::from(hash) << 32 | u64::from(number));
    }

    fn occupy(&mut self, slot: u64) {
        let mut at = self.place(hash_in(slot));
        while self.slots[at] != FREE {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }

    fn place(&self, hash: u32) -> usize {
        let bits = self.slots.len().max(1).trailing_zeros();
        usize::try_from(u64::from(hash) >> (u32::BITS - bits)).unwrap_or(0)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the upper half is shifted down")]
fn hash_in(slot: u64) -> u32 {
    (slot >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn number_in(slot: u64) -> u32 {
    slot as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_among_others_of_its_hash() {
        let mut index = HashIndex::default();
        assert_eq!(index.find(7, Some), None);
        assert_eq!(index.first_like(7, index.slot(7)), None);
        // Neighbouring places, one hash for several numbers, and the last place of all, from which the search wraps around.
        let hashes = [0, 1, 2, 7, 7, 7, 1 << 31, u32::MAX, u32::MAX, u32::MAX - 1];
        // The highest bits tell the place, so rounds lie apart.
        let apart = |hash: u32, round: u32| hash.wrapping_add(round.wrapping_mul(0x9E37_79B9));
        for round in 0..1_000 {
            for (number, hash) in (0..).zip(hashes) {
                index.add(apart(hash, round), number + 10 * round);
            }
        }
        for round in 0..1_000 {
            for (number, hash) in (0..).zip(hashes) {
                let hash = apart(hash, round);
                let wanted = number + 10 * round;
                assert_eq!(index.find(hash, |found| (found == wanted).then_some(found)), Some(wanted));
                let first = index.first_like(hash, index.slot(hash)).unwrap();
                assert_eq!(index.find(hash, Some), Some(first));
            }
        }
    }
}
