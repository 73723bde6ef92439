//! Keys that are numbered in the order in which they are first seen.

use datafusion::error::{DataFusionError, Result};

use crate::engine::halves::lower_half;
use crate::engine::index::{HashIndex, Slot};

/// Different keys and their numbers.
#[derive(Debug, Default)]
pub struct Numbered {
    index: HashIndex,
    keys: Vec<u128>,
    /// What is on the way to the numbers of the keys that were asked for last.
    slots: Vec<Slot>,
    likely: Vec<Option<u32>>,
}

impl Numbered {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<u128>() + self.index.bytes()
    }

    /// Takes the keys, in the order of their numbers, and leaves none.
    pub fn take_keys(&mut self) -> Vec<u128> {
        self.index.clear();
        let room = Vec::with_capacity(self.keys.len());
        std::mem::replace(&mut self.keys, room)
    }

    /// Writes the numbers of keys into `found`, given their hashes. Keys that were not seen before get the next numbers.
    ///
    /// # Errors
    /// When there are more keys than numbers.
    pub fn number(&mut self, keys: &[u128], hashes: &[u64], found: &mut Vec<usize>) -> Result<()> {
        // In steps for all of them, so that their lookups wait for memory at the same time.
        self.slots.clear();
        self.slots.extend(hashes.iter().map(|hash| self.index.slot(lower_half(*hash))));
        self.likely.clear();
        self.likely.extend(hashes.iter().zip(&self.slots).map(|(hash, slot)| self.index.first_like(lower_half(*hash), *slot)));
        found.clear();
        for ((key, hash), likely) in keys.iter().zip(hashes).zip(&self.likely) {
            let is_key = |number: u32| self.keys[number as usize] == *key;
            let hash = lower_half(*hash);
            let known = (*likely).filter(|number| is_key(*number));
            let known = known.or_else(|| self.index.find(hash, |number| is_key(number).then_some(number)));
            let number = match known {
                Some(number) => number,
                None => {
                    let number = u32::try_from(self.keys.len()).ok().filter(|number| *number < u32::MAX);
                    let number =
                        number.ok_or_else(|| DataFusionError::Execution("there are more groups than can be numbered".to_owned()))?;
                    self.index.add(hash, number);
                    self.keys.push(*key);
                    number
                }
            };
            found.push(number as usize);
        }
        Ok(())
    }
}
