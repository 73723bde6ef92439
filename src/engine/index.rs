//! A hash table from hashes to numbers that is made for looking up whole batches.

use super::halves::{lower_half, upper_half};

/// An open-addressed hash table of numbers below 2³²−1. A number stands for something that the caller stores elsewhere, such as the
/// position of a text. The table stores 32 bits of its hash; the caller compares the rest.
///
/// A lookup misses the processor's cache at least twice: once here, and once where the caller stores the value. To let many lookups wait
/// for memory at the same time, look up a batch in steps: first [`HashIndex::slot`] for all, then [`HashIndex::first_like`] for all, then
/// compare.
#[derive(Debug, Default)]
pub struct HashIndex {
    /// The upper half of a slot is the hash and the lower half is the number. The highest bits of the hash are the position of the slot; if
    /// that is taken, the next free slot is used. The length is a power of two, and at most half of the slots are used.
    slots: Vec<u64>,
    numbers: usize,
}

/// The content of the slot at the position of a hash.
#[derive(Debug, Clone, Copy)]
pub struct Slot(u64);

/// An empty slot. It is not 0: the system would map zeroed memory once when it is first read and again when it is first written, and all
/// threads wait for both.
const FREE: u64 = u64::MAX;

impl HashIndex {
    /// The bytes that a number takes: two to four slots, three on average.
    pub const BYTES_OF_ONE: usize = 3 * size_of::<u64>();

    /// Makes room for so many more numbers.
    pub fn reserve(&mut self, more: usize) {
        let wanted = ((self.numbers + more) * 2).next_power_of_two().max(2);
        if wanted > self.slots.len() {
            let before = std::mem::replace(&mut self.slots, vec![FREE; wanted]);
            before.into_iter().filter(|slot| *slot != FREE).for_each(|slot| self.occupy(slot));
        }
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    /// Forgets all numbers, and keeps the room for as many.
    pub fn clear(&mut self) {
        self.slots.fill(FREE);
        self.numbers = 0;
    }

    /// The content of the slot at the position of a hash.
    pub fn slot(&self, hash: u32) -> Slot {
        Slot(self.slots.get(self.place(hash)).copied().unwrap_or(FREE))
    }

    /// The first number with a hash, given the slot at the position of the hash.
    pub fn first_like(&self, hash: u32, slot: Slot) -> Option<u32> {
        match slot.0 {
            FREE => None,
            slot if upper_half(slot) == hash => Some(lower_half(slot)),
            _ => self.find(hash, Some),
        }
    }

    /// Calls `is` with the numbers of a hash, and returns its first result that is not none.
    pub fn find<T>(&self, hash: u32, mut is: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let mut at = self.place(hash);
        loop {
            let slot = self.slots.get(at).copied().filter(|slot| *slot != FREE)?;
            if upper_half(slot) == hash
                && let Some(found) = is(lower_half(slot))
            {
                return Some(found);
            }
            at = self.after(at);
        }
    }

    /// Adds a number under a hash. The number must not be `u32::MAX`.
    pub fn add(&mut self, hash: u32, number: u32) {
        self.reserve(1);
        self.numbers += 1;
        self.occupy(u64::from(hash) << 32 | u64::from(number));
    }

    fn occupy(&mut self, slot: u64) {
        let mut at = self.place(upper_half(slot));
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
