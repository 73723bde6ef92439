//! Identifiers as dense numbers: each distinct one is kept once, in a shared text, and known by 32 bits after that.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::rules::Rules;
use crate::engine::{HashIndex, Slot, parallel};
use crate::error::{Message, Result};

/// Identifiers are divided among so many tables by their hash, so that threads seldom wait for each other and a table's
/// part of a batch is looked up while the table is near.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;
/// Numbers that a thread takes at once.
const PART: u32 = 1 << 16;
/// What stands for no identifier.
pub(super) const NOBODY: u32 = u32::MAX;

/// Why an identifier ties nobody.
pub(super) const BLOCKED: u8 = 1;
pub(super) const SHARED: u8 = 2;

/// Identifiers while they are collected.
pub(super) struct Interner {
    hash: RandomState,
    shards: Vec<Mutex<Shard>>,
}

/// Identifiers after they were collected: number `n` is entry `n >> 6` of shard `n & 63`.
pub(super) struct Nodes {
    shards: Vec<Shard>,
    /// One more than the largest number.
    pub(super) bound: usize,
    /// How many there are.
    pub(super) count: usize,
}

/// Part of the identifiers, with the table that finds them.
///
/// Looking one up misses the processor's cache three times: its slot in the index, its entry, its text.
#[derive(Default)]
struct Shard {
    /// All texts, one after the other.
    text: String,
    entries: Vec<Entry>,
    /// The positions of the entries by the lower half of their hash; the shard is taken from the upper one.
    index: HashIndex,
}

/// What is known of an identifier.
#[derive(Clone, Copy)]
struct Entry {
    first_seen: i64,
    /// Where its text starts; it ends where the next one's starts.
    start: u32,
    kind: u8,
    flags: u8,
    /// The sources whose rows name it, a bit each.
    sources: u16,
}

// There are tens of millions.
const _: () = assert!(size_of::<Entry>() == 16);

/// One side of a batch of edges.
pub(super) struct Side<'a> {
    /// The type of each row's identifier.
    pub(super) kinds: &'a [u8],
    /// Its text; none where there is no identifier.
    pub(super) texts: &'a [Option<&'a str>],
    /// When it was seen, in microseconds since 1970; the largest number where that is not known.
    pub(super) seen: &'a [i64],
    /// The bit of the source that saw it.
    pub(super) sources: &'a [u16],
}

impl Interner {
    pub(super) fn new() -> Self {
        Interner { hash: RandomState::default(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// The numbers of a batch's identifiers, and whether each is blocked.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] with more identifiers than 32 bits number.
    pub(super) fn intern(&self, rules: &Rules, side: &Side<'_>) -> Result<(Vec<u32>, Vec<bool>)> {
        let rows = side.texts.len();
        let mut hashes = vec![0_u64; rows];
        let mut starts = [0_usize; SHARDS + 1];
        for (row, text) in side.texts.iter().enumerate() {
            if let Some(text) = text {
                hashes[row] = hash_of(&self.hash, side.kinds[row], text);
                starts[shard_of(hashes[row]) + 1] += 1;
            }
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        let mut order = vec![0_usize; starts[SHARDS]];
        let mut next = starts;
        for (row, _) in side.texts.iter().enumerate().filter(|(_, text)| text.is_some()) {
            let shard = shard_of(hashes[row]);
            order[next[shard]] = row;
            next[shard] += 1;
        }
        let mut numbers = vec![NOBODY; rows];
        let mut blocked = vec![false; rows];
        let mut enter = |number: usize, mut shard: MutexGuard<'_, Shard>| {
            let mine = &order[starts[number]..starts[number + 1]];
            shard.enter_all(rules, side, &hashes, mine, |row, local, flags| {
                numbers[row] = local << SHARD_BITS | u32::try_from(number).unwrap_or(0);
                blocked[row] = flags & BLOCKED != 0;
            })
        };
        // Those that another thread holds are left for the end.
        let mut held = Vec::new();
        for number in (0..SHARDS).filter(|number| starts[*number] < starts[number + 1]) {
            match self.shards[number].try_lock() {
                Ok(shard) => enter(number, shard)?,
                Err(_) => held.push(number),
            }
        }
        for number in held {
            // A poisoned lock means that another thread failed, and so will this run.
            enter(number, self.shards[number].lock().unwrap_or_else(PoisonError::into_inner))?;
        }
        Ok((numbers, blocked))
    }

    /// Ends the collection, and frees what only it needs.
    pub(super) fn finish(self) -> Nodes {
        let shards: Vec<Shard> = self
            .shards
            .into_iter()
            .map(|shard| Shard { index: HashIndex::default(), ..shard.into_inner().unwrap_or_else(PoisonError::into_inner) })
            .collect();
        let longest = shards.iter().map(|shard| shard.entries.len()).max().unwrap_or(0);
        let count = shards.iter().map(|shard| shard.entries.len()).sum();
        Nodes { shards, bound: longest << SHARD_BITS, count }
    }
}

fn hash_of(state: &RandomState, kind: u8, text: &str) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(text.as_bytes());
    hasher.write_u8(kind);
    hasher.finish()
}

fn shard_of(hash: u64) -> usize {
    usize::try_from(hash >> 40).unwrap_or(0) & (SHARDS - 1)
}

/// The part of a hash that a shard's index knows an identifier by.
#[allow(clippy::cast_possible_truncation, reason = "half a hash is wanted")]
fn half(hash: u64) -> u32 {
    hash as u32
}

fn too_many() -> crate::error::Error {
    let message = Message::new("there are more identifiers than the identity step can number (4 thousand million)");
    crate::error::Error::Refused(message.hint("leave out identifiers that cannot lead to a customer, as visitors seen once"))
}

impl Shard {
    /// Enters the identifiers of some rows of a batch, and gives the position and the flags of each.
    fn enter_all(
        &mut self,
        rules: &Rules,
        side: &Side<'_>,
        hashes: &[u64],
        rows: &[usize],
        mut entered: impl FnMut(usize, u32, u8),
    ) -> Result<()> {
        // A step of all rows before the next step of any, as `HashIndex` asks.
        self.index.reserve(rows.len());
        let slots: Vec<Slot> = rows.iter().map(|&row| self.index.slot(half(hashes[row]))).collect();
        let found: Vec<Option<u32>> = rows.iter().zip(slots).map(|(&row, slot)| self.index.first_like(half(hashes[row]), slot)).collect();
        let spans: Vec<(u32, u32, u8)> = found.iter().map(|at| at.map_or((0, 0, 0), |at| self.span(at))).collect();
        for ((&row, at), (start, end, kind)) in rows.iter().zip(found).zip(spans) {
            let text = side.texts[row].unwrap_or_default();
            let at = match at {
                Some(at) if kind == side.kinds[row] && self.text.as_bytes()[start as usize..end as usize] == *text.as_bytes() => at,
                // New, or behind another of the same hash, or just entered by a row before.
                _ => self.find_or_add(half(hashes[row]), rules, side.kinds[row], text).ok_or_else(too_many)?,
            };
            let entry = &mut self.entries[at as usize];
            entry.first_seen = side.seen[row].min(entry.first_seen);
            entry.sources |= side.sources[row];
            entered(row, at, entry.flags);
        }
        Ok(())
    }

    /// The position of an identifier's entry; none when there are too many.
    fn find_or_add(&mut self, hash: u32, rules: &Rules, kind: u8, text: &str) -> Option<u32> {
        let is = |at: u32| (self.entries[at as usize].kind == kind && self.text_at(at) == text).then_some(at);
        let known = self.index.find(hash, is);
        if known.is_some() {
            return known;
        }
        // The largest number of all stands for nobody.
        let at = u32::try_from(self.entries.len()).ok().filter(|at| *at < NOBODY >> SHARD_BITS)?;
        let start = u32::try_from(self.text.len()).ok()?;
        u32::try_from(self.text.len() + text.len()).ok()?;
        self.text.push_str(text);
        let flags = if rules.rule(kind).blocked.holds(text) { BLOCKED } else { 0 };
        self.entries.push(Entry { first_seen: i64::MAX, start, kind, flags, sources: 0 });
        self.index.add(hash, at);
        Some(at)
    }

    /// Where the text of an entry starts and ends, and its type.
    fn span(&self, at: u32) -> (u32, u32, u8) {
        let at = at as usize;
        let end = self.entries.get(at + 1).map_or(self.text.len(), |next| next.start as usize);
        (self.entries[at].start, u32::try_from(end).unwrap_or(u32::MAX), self.entries[at].kind)
    }

    fn text_at(&self, at: u32) -> &str {
        let (start, end, _) = self.span(at);
        &self.text[start as usize..end as usize]
    }
}

impl Nodes {
    fn entry(&self, node: u32) -> &Entry {
        &self.shards[node as usize & (SHARDS - 1)].entries[(node >> SHARD_BITS) as usize]
    }

    fn entry_mut(&mut self, node: u32) -> &mut Entry {
        &mut self.shards[node as usize & (SHARDS - 1)].entries[(node >> SHARD_BITS) as usize]
    }

    /// Every identifier's number, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        (0..u32::try_from(self.bound).unwrap_or(NOBODY)).filter(|&node| self.holds(node))
    }

    /// Does something with the numbers of some of the identifiers, part by part, on several threads. A part's numbers lie side by side,
    /// as does what other tables know of them.
    pub(super) fn parts<R: Send>(&self, threads: usize, work: impl Fn(&mut dyn Iterator<Item = u32>) -> R + Sync) -> Vec<R> {
        let bound = u32::try_from(self.bound).unwrap_or(NOBODY);
        let mut parts: Vec<_> = (0..bound).step_by(PART as usize).map(|start| start..bound.min(start.saturating_add(PART))).collect();
        parallel(&mut parts, threads, |part| work(&mut part.filter(|&node| self.holds(node))))
    }

    fn holds(&self, node: u32) -> bool {
        ((node >> SHARD_BITS) as usize) < self.shards[node as usize & (SHARDS - 1)].entries.len()
    }

    /// The sources whose rows name an identifier, a bit each.
    pub(super) fn sources(&self, node: u32) -> u16 {
        self.entry(node).sources
    }

    pub(super) fn kind(&self, node: u32) -> u8 {
        self.entry(node).kind
    }

    pub(super) fn text(&self, node: u32) -> &str {
        self.shards[node as usize & (SHARDS - 1)].text_at(node >> SHARD_BITS)
    }

    pub(super) fn first_seen(&self, node: u32) -> i64 {
        self.entry(node).first_seen
    }

    pub(super) fn is(&self, node: u32, flag: u8) -> bool {
        self.entry(node).flags & flag != 0
    }

    pub(super) fn mark(&mut self, node: u32, flag: u8) {
        self.entry_mut(node).flags |= flag;
    }

    /// Forgets that an identifier was seen before a time.
    pub(super) fn seen_since(&mut self, node: u32, time: i64) {
        self.entry_mut(node).first_seen = time;
    }

    /// The number of an identifier; found by looking at each, so for questions of people only.
    pub(super) fn find(&self, kind: Option<u8>, text: &str) -> Vec<u32> {
        self.all().filter(|&node| kind.is_none_or(|kind| self.kind(node) == kind) && self.text(node) == text).collect()
    }
}
