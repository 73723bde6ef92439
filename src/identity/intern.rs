//! Identifiers as dense numbers: each distinct one is kept once, in a shared text, and known by 32 bits after that.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::rules::{MAX_TYPES, Rules};
use crate::engine::{HashIndex, parallel};
use crate::error::{Error, Message, Result};

/// Identifiers are divided by their hash into so many parts.
///
/// To look one up among tens of millions takes several waits for memory, longer than all else that is done with it. So what is seen is
/// first copied to its part, and looked up when much of the part is wanted, while the part is near.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 8;
/// The least that waits in a part before it is looked up, in bytes.
const LEAST_WAITING: usize = 1 << 14;
/// A shard is looked up when what waits in it takes this part of what is known in it.
const WAITING_SHARE: usize = 2;
/// Sights whose steps through memory are made side by side.
const STEP: usize = 64;
/// Identifiers that a thread takes at once.
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
    /// How many there are, and what they take.
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// Identifiers after they were collected, shard by shard.
pub(super) struct Nodes {
    entries: Vec<Entry>,
    /// All texts, one after the other.
    text: String,
}

/// Part of the identifiers while they are collected.
#[derive(Default)]
struct Shard {
    /// What was seen and is not yet looked up: a [`Sight`] and a text each.
    waiting: Vec<u8>,
    /// Ends of ties that were seen.
    ends: u32,
    /// Which identifier each end of a tie is, in the order in which they were seen, with [`BLOCKED_END`].
    found: Vec<u32>,
    entries: Vec<Entry>,
    text: String,
    /// The positions of the entries by the lower half of their hash; the shard is taken from the upper one.
    index: HashIndex,
}

/// An end of a tie whose identifier is blocked.
const BLOCKED_END: u32 = 1 << 31;

/// What a row says of an identifier.
#[derive(Clone, Copy)]
struct Sight {
    first_seen: i64,
    hash: u32,
    length: u32,
    sources: u16,
    kind: u8,
    /// Whether it is the end of a tie.
    end: bool,
}

/// Bytes of a sight before its text.
const SIGHT_BYTES: usize = 20;

/// What is known of an identifier.
#[derive(Clone, Copy)]
struct Entry {
    first_seen: i64,
    /// Where its text starts, of the shard and later of all, with the higher bits apart. It ends where the next one's starts.
    start: u32,
    start_high: u8,
    /// Its type, above the flags that tell why it ties nobody.
    kind_and_flags: u8,
    /// The sources whose rows name it, a bit each.
    sources: u16,
}

const FLAG_BITS: u32 = 2;

// There are tens of millions.
const _: () = assert!(size_of::<Entry>() == 16 && MAX_TYPES << FLAG_BITS <= 1 << u8::BITS);

/// One side of a batch of edges.
pub(super) struct Side<'a> {
    /// The type of each row's identifier.
    pub(super) kinds: Vec<u8>,
    /// Its text; none where there is no identifier.
    pub(super) texts: Vec<Option<&'a str>>,
}

/// A batch of edges.
pub(super) struct Rows<'a> {
    pub(super) sides: [Side<'a>; 2],
    /// When each was seen, in microseconds since 1970; the largest number where that is not known.
    pub(super) seen: &'a [i64],
    /// The bit of the source that saw it.
    pub(super) sources: &'a [u16],
    /// The rows that tie two identifiers.
    pub(super) ties: &'a [bool],
}

/// Where the ends of a batch's ties are found when all are looked up: the shards that hold them, and how many ends of other ties each
/// held before.
pub(super) type Starts = Vec<(u16, u32)>;

impl Interner {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Interner { hash: RandomState::default(), shards, count: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Takes the identifiers of a batch. The ends of its ties are given by their shards, until [`Found::number`].
    ///
    /// # Errors
    /// [`Error::Refused`] with more than can be numbered.
    pub(super) fn collect(&self, rules: &Rules, rows: &Rows<'_>) -> Result<(Starts, Vec<[u32; 2]>)> {
        let seen = rows.seen.len();
        let mut hashes = vec![[0_u64; 2]; seen];
        let mut starts = [0_u32; SHARDS + 1];
        let mut ends = Vec::with_capacity(rows.ties.iter().filter(|tie| **tie).count());
        for (row, hashes) in hashes.iter_mut().enumerate() {
            for side in [0, 1] {
                if let Some(text) = rows.sides[side].texts[row] {
                    let hash = hash_of(&self.hash, rows.sides[side].kinds[row], text);
                    hashes[side] = hash;
                    starts[shard_of(hash) + 1] += 1;
                }
            }
            if rows.ties[row] {
                ends.push(hashes.map(|hash| u32::try_from(shard_of(hash)).unwrap_or(0)));
            }
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        // Rows and sides by shard, and within a shard in their order.
        let mut order = vec![0_u32; starts[SHARDS] as usize];
        let mut next = starts;
        for row in 0..seen {
            for side in (0..2_usize).filter(|side| rows.sides[*side].texts[row].is_some()) {
                let next = &mut next[shard_of(hashes[row][side])];
                order[*next as usize] = u32::try_from(row << 1 | side).unwrap_or(0);
                *next += 1;
            }
        }
        let mut held_before = Vec::new();
        let mut enter = |number: usize, mut shard: MutexGuard<'_, Shard>| -> Result<()> {
            let before = shard.ends;
            let mine = &order[starts[number] as usize..starts[number + 1] as usize];
            self.counted(&mut shard, |shard| {
                for &at in mine {
                    let (row, side) = ((at >> 1) as usize, (at & 1) as usize);
                    let text = rows.sides[side].texts[row].unwrap_or_default();
                    let sight = Sight {
                        first_seen: rows.seen[row],
                        hash: half(hashes[row][side]),
                        length: u32::try_from(text.len()).ok()?,
                        sources: rows.sources[row],
                        kind: rows.sides[side].kinds[row],
                        end: rows.ties[row],
                    };
                    shard.wait(sight, text)?;
                }
                let enough = LEAST_WAITING.max(shard.known_bytes() / WAITING_SHARE);
                if shard.waiting.len() > enough { shard.look_up(rules) } else { Some(()) }
            })?;
            if shard.ends > before {
                held_before.push((u16::try_from(number).unwrap_or(0), before));
            }
            Ok(())
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
        Ok((held_before, ends))
    }

    /// How many there are, and the bytes that they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.count.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Looks up all that waits.
    ///
    /// # Errors
    /// [`Error::Refused`] with more than can be numbered.
    pub(super) fn look_up(&self, rules: &Rules, threads: usize) -> Result<()> {
        let mut shards: Vec<&Mutex<Shard>> = self.shards.iter().collect();
        let counted = parallel(&mut shards, threads, |shard| {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            self.counted(&mut shard, |shard| {
                let looked_up = shard.look_up(rules);
                shard.waiting = Vec::new();
                looked_up
            })
        });
        counted.into_iter().collect()
    }

    /// Does something with a shard, and counts what it takes more.
    fn counted(&self, shard: &mut Shard, work: impl FnOnce(&mut Shard) -> Option<()>) -> Result<()> {
        let (count, bytes) = (shard.entries.len(), shard.bytes());
        let done = work(shard);
        let more = shard.entries.len() - count;
        self.bytes.fetch_add(shard.bytes().wrapping_sub(bytes), Relaxed);
        let before = self.count.fetch_add(more, Relaxed);
        done.filter(|()| before + more < NOBODY as usize).ok_or_else(too_many)
    }

    /// Ends the collection, and frees what only it needs. All must have been looked up.
    pub(super) fn finish(self, threads: usize) -> (Nodes, Found) {
        let shards: Vec<Shard> = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        let count = shards.iter().map(|shard| shard.entries.len()).sum();
        let mut found = Found { found: Vec::with_capacity(SHARDS), bases: Vec::with_capacity(SHARDS) };
        let (mut entries, mut texts) = (Vec::with_capacity(SHARDS), Vec::with_capacity(SHARDS));
        let (mut base, mut text_base, mut bases) = (0, 0, Vec::with_capacity(SHARDS));
        for shard in shards {
            found.bases.push(u32::try_from(base).unwrap_or(NOBODY));
            bases.push(text_base);
            (base, text_base) = (base + shard.entries.len(), text_base + shard.text.len());
            found.found.push(shard.found);
            entries.push(shard.entries);
            texts.push(shard.text);
        }
        let mut nodes = Nodes { entries: Vec::with_capacity(count), text: String::with_capacity(text_base) };
        let mut join_entries = || {
            for (of_shard, base) in entries.drain(..).zip(&bases) {
                nodes.entries.extend(of_shard.into_iter().map(|entry| entry.starting_at(base + entry.start())));
            }
        };
        let mut join_texts = || texts.drain(..).for_each(|of_shard| nodes.text.push_str(&of_shard));
        let both: &mut [&mut (dyn FnMut() + Send)] = &mut [&mut join_entries, &mut join_texts];
        parallel(both, threads, |join| join());
        (nodes, found)
    }
}

/// Which identifiers the ends of ties are.
pub(super) struct Found {
    /// By shard, in the order in which they were seen.
    found: Vec<Vec<u32>>,
    bases: Vec<u32>,
}

impl Found {
    /// Numbers the ends of a batch's ties; the positions of those with an end that is blocked.
    pub(super) fn number(&self, starts: &Starts, ends: &mut [[u32; 2]]) -> Vec<usize> {
        let mut next = [0; SHARDS];
        for &(shard, start) in starts {
            next[usize::from(shard)] = start as usize;
        }
        let mut blocked = Vec::new();
        for (at, tie) in ends.iter_mut().enumerate() {
            let mut any_blocked = false;
            for end in tie {
                let shard = *end as usize;
                let found = self.found[shard][next[shard]];
                next[shard] += 1;
                any_blocked |= found & BLOCKED_END != 0;
                *end = self.bases[shard] + (found & !BLOCKED_END);
            }
            if any_blocked {
                blocked.push(at);
            }
        }
        blocked
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

fn too_many() -> Error {
    let message = Message::new("there are more identifiers than the identity step can number (4 thousand million)");
    Error::Refused(message.hint("leave out identifiers that cannot lead to a customer, as visitors seen once"))
}

impl Shard {
    /// Leaves something to be looked up. None when there are too many.
    fn wait(&mut self, sight: Sight, text: &str) -> Option<()> {
        self.ends = self.ends.checked_add(u32::from(sight.end))?;
        self.waiting.extend_from_slice(&sight.bytes());
        self.waiting.extend_from_slice(text.as_bytes());
        Some(())
    }

    /// Looks up what waits. None when there are too many.
    fn look_up(&mut self, rules: &Rules) -> Option<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut rest = waiting.as_slice();
        let mut next = || {
            let (sight, after) = Sight::split(rest)?;
            let (text, others) = after.split_at(sight.length as usize);
            rest = others;
            Some((sight, text))
        };
        let mut step = Vec::with_capacity(STEP);
        loop {
            step.extend(std::iter::from_fn(&mut next).take(STEP));
            if step.is_empty() {
                break;
            }
            self.look_up_step(rules, &step)?;
            step.clear();
        }
        waiting.clear();
        self.waiting = waiting;
        Some(())
    }

    /// Looks some up: a step of all before the next step of any, as [`HashIndex`] asks.
    fn look_up_step(&mut self, rules: &Rules, sights: &[(Sight, &[u8])]) -> Option<()> {
        self.index.reserve(sights.len());
        let mut slots = [None; STEP];
        for (slot, (sight, _)) in slots.iter_mut().zip(sights) {
            *slot = Some(self.index.slot(sight.hash));
        }
        let mut known = [None; STEP];
        for ((known, slot), (sight, _)) in known.iter_mut().zip(slots).zip(sights) {
            *known = slot.and_then(|slot| self.index.first_like(sight.hash, slot));
        }
        let starts = known.map(|at| at.map_or(0, |at| self.entries[at as usize].start as usize));
        black_box(starts.iter().fold(0, |near, start| near ^ self.text.as_bytes().get(*start).copied().unwrap_or(0)));
        for (&(sight, text), at) in sights.iter().zip(known) {
            let is = |at: u32| self.is(at, sight.kind, text).then_some(at);
            // New, or behind another of the same hash, or just entered.
            let at = at.and_then(is).or_else(|| self.index.find(sight.hash, is));
            let at = match at {
                Some(at) => at,
                None => self.add(rules, sight, str::from_utf8(text).unwrap_or_default())?,
            };
            let entry = &mut self.entries[at as usize];
            entry.first_seen = entry.first_seen.min(sight.first_seen);
            entry.sources |= sight.sources;
            if sight.end {
                self.found.push(if entry.kind_and_flags & BLOCKED == 0 { at } else { at | BLOCKED_END });
            }
        }
        Some(())
    }

    /// Whether it is an identifier that stands at a position.
    fn is(&self, at: u32, kind: u8, text: &[u8]) -> bool {
        let at = at as usize;
        let entry = &self.entries[at];
        let end = self.entries.get(at + 1).map_or(self.text.len(), |next| next.start as usize);
        entry.kind() == kind && &self.text.as_bytes()[entry.start as usize..end] == text
    }

    fn add(&mut self, rules: &Rules, sight: Sight, text: &str) -> Option<u32> {
        let at = u32::try_from(self.entries.len()).ok().filter(|at| *at < BLOCKED_END)?;
        let start = u32::try_from(self.text.len()).ok()?;
        let flags = if rules.rule(sight.kind).blocked.holds(text) { BLOCKED } else { 0 };
        self.text.push_str(text);
        let kind_and_flags = sight.kind << FLAG_BITS | flags;
        self.entries.push(Entry { first_seen: i64::MAX, start, start_high: 0, kind_and_flags, sources: 0 });
        self.index.add(sight.hash, at);
        Some(at)
    }

    /// What the identifiers take that are known.
    fn known_bytes(&self) -> usize {
        self.text.len() + self.entries.len() * (size_of::<Entry>() + HashIndex::BYTES_OF_ONE)
    }

    /// What all takes.
    fn bytes(&self) -> usize {
        self.known_bytes() + self.waiting.capacity() + self.found.len() * size_of::<u32>()
    }
}

impl Sight {
    /// The sight that something begins with, and what comes after it.
    fn split(waiting: &[u8]) -> Option<(Sight, &[u8])> {
        let (sight, after) = waiting.split_first_chunk::<SIGHT_BYTES>()?;
        let (first_seen, sight) = sight.split_first_chunk()?;
        let (hash, sight) = sight.split_first_chunk()?;
        let (length, sight) = sight.split_first_chunk()?;
        let (sources, sight) = sight.split_first_chunk()?;
        let &[kind, end] = sight else { return None };
        let [hash, length] = [hash, length].map(|bytes| u32::from_le_bytes(*bytes));
        let (first_seen, sources) = (i64::from_le_bytes(*first_seen), u16::from_le_bytes(*sources));
        Some((Sight { first_seen, hash, length, sources, kind, end: end != 0 }, after))
    }

    fn bytes(self) -> [u8; SIGHT_BYTES] {
        let mut bytes = [0; SIGHT_BYTES];
        bytes[..8].copy_from_slice(&self.first_seen.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.hash.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.sources.to_le_bytes());
        bytes[18..].copy_from_slice(&[self.kind, u8::from(self.end)]);
        bytes
    }
}

impl Entry {
    fn kind(&self) -> u8 {
        self.kind_and_flags >> FLAG_BITS
    }

    fn start(&self) -> usize {
        usize::from(self.start_high) << u32::BITS | self.start as usize
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lower bits and the higher ones; no memory holds a text of 2⁴⁰ bytes")]
    fn starting_at(self, start: usize) -> Self {
        Entry { start: start as u32, start_high: (start >> u32::BITS) as u8, ..self }
    }
}

impl Nodes {
    /// What they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of_val(self.entries.as_slice())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, node: u32) -> &Entry {
        &self.entries[node as usize]
    }

    /// Every identifier's number, in order.
    pub(super) fn all(&self) -> Range<u32> {
        0..u32::try_from(self.entries.len()).unwrap_or(NOBODY)
    }

    /// Does something with the numbers of some of the identifiers, part by part, on several threads. What is known of a part's
    /// identifiers lies near each other.
    pub(super) fn parts<R: Send>(&self, threads: usize, work: impl Fn(Range<u32>) -> R + Sync) -> Vec<R> {
        let all = self.all();
        let mut parts: Vec<_> = all.clone().step_by(PART as usize).map(|start| start..all.end.min(start.saturating_add(PART))).collect();
        parallel(&mut parts, threads, |part| work(part.clone()))
    }

    /// The sources whose rows name an identifier, a bit each.
    pub(super) fn sources(&self, node: u32) -> u16 {
        self.entry(node).sources
    }

    pub(super) fn kind(&self, node: u32) -> u8 {
        self.entry(node).kind()
    }

    pub(super) fn text(&self, node: u32) -> &str {
        let end = self.entries.get(node as usize + 1).map_or(self.text.len(), Entry::start);
        &self.text[self.entry(node).start()..end]
    }

    pub(super) fn first_seen(&self, node: u32) -> i64 {
        self.entry(node).first_seen
    }

    pub(super) fn is(&self, node: u32, flag: u8) -> bool {
        self.entry(node).kind_and_flags & flag != 0
    }

    /// Whether an identifier stands for somebody.
    pub(super) fn ties(&self, node: u32) -> bool {
        !self.is(node, BLOCKED | SHARED)
    }

    pub(super) fn mark(&mut self, node: u32, flag: u8) {
        self.entries[node as usize].kind_and_flags |= flag;
    }

    /// Forgets that an identifier was seen before a time.
    pub(super) fn seen_since(&mut self, node: u32, time: i64) {
        self.entries[node as usize].first_seen = time;
    }

    /// The number of an identifier; found by looking at each, so for questions of people only.
    pub(super) fn find(&self, kind: Option<u8>, text: &str) -> Vec<u32> {
        self.all().filter(|&node| kind.is_none_or(|kind| self.kind(node) == kind) && self.text(node) == text).collect()
    }
}
