//! Fingerprints of rows with their time and place, sorted into parts of which one at a time fits memory; the rest is on disk.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};

use super::places::{Place, Places};
use crate::engine::{Engine, HashIndex, Reservation, Scratch, Work, parallel};

/// Parts that entries are divided into by their fingerprint.
const PARTS: usize = 256;
/// Bytes of an entry on disk.
const ENTRY_BYTES: usize = size_of::<Entry>();
/// What may be in memory while rows are read: this part of the limit, but no more than that.
const SHARE_OF_LIMIT: usize = 32;
const MAX_BYTES: usize = 32 << 20;

/// A part that has been put on disk so often is looked at for rows that do not matter before it is put there again.
const OFTEN: usize = 16;

/// A row by its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Of its key, 128 bits.
    pub key: u128,
    /// What tells it from others with the key: when it happened, or 64 bits of all that it holds.
    pub detail: u64,
    /// Where it stands.
    pub place: Place,
}

/// Which of the entries of a key matter.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// Those with the greatest detail.
    Greatest,
    /// One of each detail, that with the least place.
    OneOfEach,
}

/// Entries by part.
pub struct Fingerprints {
    keep: Keep,
    threads: usize,
    /// The places of entries that do not matter, as far as is known by now.
    needless: Mutex<Places>,
    parts: Vec<Mutex<Part>>,
    /// How many entries of a part stay in memory until they are put on disk.
    most: usize,
    scratch: Scratch,
    work: Arc<Work>,
    held: Reservation,
}

#[derive(Default)]
struct Part {
    entries: Vec<Entry>,
    on_disk: Vec<Range<u64>>,
}

impl Fingerprints {
    /// None yet.
    pub fn new(engine: &Engine, keep: Keep) -> Self {
        let most = (engine.memory_limit() / SHARE_OF_LIMIT).min(MAX_BYTES) / ENTRY_BYTES / PARTS;
        let (scratch, work, held) = (engine.scratch(), Arc::clone(engine.work()), engine.reservation());
        Fingerprints {
            keep,
            threads: engine.threads(),
            needless: Mutex::default(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            most: most.max(64),
            scratch,
            work,
            held,
        }
    }

    /// Adds the entries of a batch.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn add(&self, entries: &[Entry]) -> Result<()> {
        self.held.grow(std::mem::size_of_val(entries))?;
        for entry in entries {
            let mut part = self.part(part_of(entry.key));
            part.entries.push(*entry);
            if part.entries.len() > self.most {
                self.put_on_disk(&mut part)?;
            }
        }
        Ok(())
    }

    fn part(&self, number: usize) -> MutexGuard<'_, Part> {
        self.parts[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_on_disk(&self, part: &mut Part) -> Result<()> {
        // Few keys of very many rows leave little; looking for them each time would cost as much as sorting does in the end.
        if part.on_disk.len() >= OFTEN {
            self.fold(&mut part.entries)?;
        }
        if part.entries.len() > self.most / 2 {
            let bytes: Vec<u8> = part.entries.iter().flat_map(|entry| entry.to_bytes()).collect();
            part.on_disk.push(self.scratch.append(&bytes).map_err(DataFusionError::IoError)?);
            self.work.count_spilled(bytes.len() as u64);
            self.held.shrink(part.entries.len() * ENTRY_BYTES);
            part.entries.clear();
        }
        Ok(())
    }

    /// Sorts entries, and leaves out those that do not matter beside the others.
    fn fold(&self, entries: &mut Vec<Entry>) -> Result<()> {
        entries.sort_unstable();
        let mut more = 0;
        let mut needless = self.needless.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Vec::with_capacity(entries.len());
        for of_key in entries.chunk_by(|one, two| one.key == two.key) {
            for alike in of_key.chunk_by(|one, two| one.detail == two.detail) {
                let is_greatest = alike.last() == of_key.last();
                let matter = match self.keep {
                    Keep::Greatest if is_greatest => alike.len(),
                    Keep::Greatest => 0,
                    Keep::OneOfEach => 1,
                };
                kept.extend_from_slice(&alike[..matter]);
                more += alike[matter..].iter().map(|entry| needless.insert(entry.place)).sum::<usize>();
            }
        }
        drop(needless);
        self.held.shrink((entries.len() - kept.len()) * ENTRY_BYTES);
        *entries = kept;
        self.held.grow(more)
    }

    /// Gives the entries that matter of each key that has several, in order of their detail and then of their place; the places of those
    /// that do not matter.
    ///
    /// # Errors
    /// As the disk and `take` fail.
    pub fn repeated(mut self, mut take: impl FnMut(&[Entry]) -> Result<()>) -> Result<Places> {
        let mut parts = std::mem::take(&mut self.parts);
        for some in parts.chunks_mut(self.threads) {
            for entries in parallel(some, self.threads, |part| self.repeated_of(part)) {
                let entries = entries?;
                for of_key in entries.chunk_by(|one, two| one.key == two.key).filter(|of_key| of_key.len() > 1) {
                    take(of_key)?;
                }
                self.held.shrink(entries.len() * ENTRY_BYTES);
            }
        }
        Ok(self.needless.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The entries of a part that matter and whose key another one has, or had.
    fn repeated_of(&self, part: &mut Mutex<Part>) -> Result<Vec<Entry>> {
        let Part { mut entries, on_disk } = std::mem::take(part.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut folded = entries.len();
        for place in on_disk {
            let bytes = self.scratch.read(place).map_err(DataFusionError::IoError)?;
            self.held.grow(bytes.len())?;
            entries.extend(bytes.chunks_exact(ENTRY_BYTES).filter_map(Entry::from_bytes));
            // Not after each, which would take the square of their number.
            if entries.len() > 2 * folded + OFTEN * self.most {
                self.fold(&mut entries)?;
                folded = entries.len();
            }
        }
        let before = entries.len();
        let mut entries = with_repeated_keys(entries);
        self.held.shrink((before - entries.len()) * ENTRY_BYTES);
        self.fold(&mut entries)?;
        Ok(entries)
    }
}

/// Those entries whose key another one has. Most have none, and looking them up takes less than sorting them.
fn with_repeated_keys(entries: Vec<Entry>) -> Vec<Entry> {
    let mut index = HashIndex::default();
    index.reserve(entries.len());
    let mut is_repeated = vec![false; entries.len()];
    for (number, entry) in (0_u32..).zip(&entries) {
        // The highest bits chose the part.
        let hash = u32::try_from(entry.key & u128::from(u32::MAX)).unwrap_or_default();
        match index.find(hash, |before| (entries[before as usize].key == entry.key).then_some(before)) {
            Some(before) => (is_repeated[before as usize], is_repeated[number as usize]) = (true, true),
            None => index.add(hash, number),
        }
    }
    entries.into_iter().zip(is_repeated).filter(|(_, is_repeated)| *is_repeated).map(|(entry, _)| entry).collect()
}

/// The part of a key: its highest bits.
fn part_of(key: u128) -> usize {
    usize::try_from(key >> (u128::BITS - PARTS.trailing_zeros())).unwrap_or_default()
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.key.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.detail.to_le_bytes());
        bytes[24..].copy_from_slice(&self.place.0.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (detail, rest) = rest.split_first_chunk()?;
        let place = Place(u64::from_le_bytes(*rest.first_chunk()?));
        Some(Entry { key: u128::from_le_bytes(*key), detail: u64::from_le_bytes(*detail), place })
    }
}
