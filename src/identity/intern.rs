//! Identifiers as dense numbers: each distinct one is kept once, in a shared text, and known by 32 bits after that.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::rules::Rules;
use crate::error::{Message, Result};

/// Identifiers are divided among so many tables by their hash, so that threads seldom wait for each other and a table's
/// part of a batch is looked up while the table is near.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;
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

#[derive(Default)]
struct Shard {
    /// All texts, one after the other.
    text: String,
    /// Where each text ends.
    ends: Vec<u32>,
    kinds: Vec<u8>,
    flags: Vec<u8>,
    first_seen: Vec<i64>,
    table: HashTable<u32>,
}

/// One side of a batch of edges.
pub(super) struct Side<'a> {
    /// The type of each row's identifier.
    pub(super) kinds: &'a [u8],
    /// Its text; none where there is no identifier.
    pub(super) texts: &'a [Option<&'a str>],
    /// When it was seen, in microseconds since 1970; the largest number where that is not known.
    pub(super) seen: &'a [i64],
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
        for number in 0..SHARDS {
            let mine = &order[starts[number]..starts[number + 1]];
            if mine.is_empty() {
                continue;
            }
            // A poisoned lock means that another thread failed, and so will this run.
            let mut shard = self.shards[number].lock().unwrap_or_else(PoisonError::into_inner);
            for &row in mine {
                let text = side.texts[row].unwrap_or_default();
                let local = shard.enter(&self.hash, hashes[row], rules, side.kinds[row], text, side.seen[row]).ok_or_else(too_many)?;
                numbers[row] = local << SHARD_BITS | u32::try_from(number).unwrap_or(0);
                blocked[row] = shard.flags[local as usize] & BLOCKED != 0;
            }
        }
        Ok((numbers, blocked))
    }

    /// Ends the collection, and frees what only it needs.
    pub(super) fn finish(self) -> Nodes {
        let shards: Vec<Shard> = self
            .shards
            .into_iter()
            .map(|shard| Shard { table: HashTable::new(), ..shard.into_inner().unwrap_or_else(PoisonError::into_inner) })
            .collect();
        let longest = shards.iter().map(|shard| shard.kinds.len()).max().unwrap_or(0);
        let count = shards.iter().map(|shard| shard.kinds.len()).sum();
        Nodes { shards, bound: longest << SHARD_BITS, count }
    }
}

fn hash_of(state: &RandomState, kind: u8, text: &str) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(text.as_bytes());
    hasher.write_u8(kind);
    hasher.finish()
}

/// The table takes its place from the lowest bits and its tag from the highest; the shard is taken from the middle.
fn shard_of(hash: u64) -> usize {
    usize::try_from(hash >> 40).unwrap_or(0) & (SHARDS - 1)
}

fn too_many() -> crate::error::Error {
    let message = Message::new("there are more identifiers than the identity step can number (4 thousand million)");
    crate::error::Error::Refused(message.hint("leave out identifiers that cannot lead to a customer, as visitors seen once"))
}

impl Shard {
    /// The number of an identifier within this shard; none when it is full.
    fn enter(&mut self, state: &RandomState, hash: u64, rules: &Rules, kind: u8, text: &str, seen: i64) -> Option<u32> {
        let Shard { text: all, ends, kinds, flags, first_seen, table } = self;
        let text_at = |at: u32| slice(all, ends, at as usize);
        if let Some(&known) = table.find(hash, |&at| kinds[at as usize] == kind && text_at(at) == text) {
            let first = &mut first_seen[known as usize];
            *first = seen.min(*first);
            return Some(known);
        }
        // The largest number of all stands for nobody.
        let local = u32::try_from(kinds.len()).ok().filter(|local| *local < NOBODY >> SHARD_BITS)?;
        let end = u32::try_from(all.len() + text.len()).ok()?;
        table.insert_unique(hash, local, |&at| hash_of(state, kinds[at as usize], slice(all, ends, at as usize)));
        all.push_str(text);
        ends.push(end);
        kinds.push(kind);
        flags.push(if rules.rule(kind).blocked.holds(text) { BLOCKED } else { 0 });
        first_seen.push(seen);
        Some(local)
    }
}

fn slice<'a>(all: &'a str, ends: &[u32], at: usize) -> &'a str {
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &all[start..ends[at] as usize]
}

impl Nodes {
    fn place(&self, node: u32) -> (&Shard, usize) {
        (&self.shards[node as usize & (SHARDS - 1)], (node >> SHARD_BITS) as usize)
    }

    /// Every identifier's number, in an order of its own.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        let numbered = |shard: usize, local: usize| u32::try_from(local << SHARD_BITS | shard).unwrap_or(NOBODY);
        self.shards.iter().enumerate().flat_map(move |(shard, held)| (0..held.kinds.len()).map(move |local| numbered(shard, local)))
    }

    pub(super) fn kind(&self, node: u32) -> u8 {
        let (shard, at) = self.place(node);
        shard.kinds[at]
    }

    pub(super) fn text(&self, node: u32) -> &str {
        let (shard, at) = self.place(node);
        slice(&shard.text, &shard.ends, at)
    }

    pub(super) fn first_seen(&self, node: u32) -> i64 {
        let (shard, at) = self.place(node);
        shard.first_seen[at]
    }

    pub(super) fn is(&self, node: u32, flag: u8) -> bool {
        let (shard, at) = self.place(node);
        shard.flags[at] & flag != 0
    }

    pub(super) fn mark(&mut self, node: u32, flag: u8) {
        self.shards[node as usize & (SHARDS - 1)].flags[(node >> SHARD_BITS) as usize] |= flag;
    }

    /// Forgets that an identifier was seen before a time.
    pub(super) fn seen_since(&mut self, node: u32, time: i64) {
        self.shards[node as usize & (SHARDS - 1)].first_seen[(node >> SHARD_BITS) as usize] = time;
    }

    /// The number of an identifier; found by looking at each, so for questions of people only.
    pub(super) fn find(&self, kind: Option<u8>, text: &str) -> Vec<u32> {
        self.all().filter(|&node| kind.is_none_or(|kind| self.kind(node) == kind) && self.text(node) == text).collect()
    }
}
