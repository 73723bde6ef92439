//! Identifiers as dense numbers: each distinct one is kept once, in a shared text, and known by 32 bits after that.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::rules::Rules;
use crate::engine::{HashIndex, Slot, parallel};
use crate::error::{Message, Result};

/// Identifiers are divided among so many tables by their hash, so that threads seldom wait for each other and a table's
/// part of a batch is looked up while the table is near.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;
/// Entries of each shard that a thread takes at once.
const PART: usize = 1 << 10;
/// What stands for no identifier.
pub(super) const NOBODY: u32 = u32::MAX;

/// Why an identifier ties nobody.
pub(super) const BLOCKED: u8 = 1;
pub(super) const SHARED: u8 = 2;

/// Identifiers while they are collected.
pub(super) struct Interner {
    hash: RandomState,
    shards: Vec<Mutex<Records>>,
    /// How many there are, and what they take.
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// Identifiers after they were collected: number `n` is entry `n >> 6` of shard `n & 63`.
pub(super) struct Nodes {
    shards: Vec<Shard>,
    /// One more than the largest number.
    pub(super) bound: usize,
    /// How many there are.
    pub(super) count: usize,
}

/// Part of the identifiers while they are collected, with the table that finds them.
///
/// Looking one up misses the processor's cache twice: its slot in the index, and its record.
#[derive(Default)]
struct Records {
    /// A head and a text each, in blocks of [`BLOCK_BYTES`] so that none is ever moved; one that is longer has a block of its own.
    blocks: Vec<Vec<u8>>,
    /// The block that is being filled.
    filling: usize,
    count: u32,
    /// The bytes of all texts.
    text_bytes: u32,
    /// The places of the records by the lower half of their hash; the shard is taken from the upper one. A place is the number of a
    /// block and the position in it.
    index: HashIndex,
    /// What all that takes.
    bytes: usize,
}

const BLOCK_BITS: u32 = 16;
const BLOCK_BYTES: usize = 1 << BLOCK_BITS;

/// What is known of an identifier while they are collected.
#[derive(Clone, Copy, Default)]
struct Head {
    first_seen: i64,
    number: u32,
    length: u32,
    sources: u16,
    kind: u8,
    flags: u8,
}

/// Bytes of most records.
const USUAL_BYTES: usize = 40;
/// Bytes of a head before its text.
const HEAD_BYTES: usize = 20;

/// Part of the identifiers after they were collected.
#[derive(Default)]
struct Shard {
    /// All texts, one after the other.
    text: String,
    entries: Vec<Entry>,
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
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Interner { hash: RandomState::default(), shards, count: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
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
        let mut enter = |number: usize, mut shard: MutexGuard<'_, Records>| {
            let mine = &order[starts[number]..starts[number + 1]];
            let (count, bytes) = (shard.count, shard.bytes);
            let entered = shard.enter_all(rules, side, &hashes, mine, |row, local, flags| {
                numbers[row] = local << SHARD_BITS | u32::try_from(number).unwrap_or(0);
                blocked[row] = flags & BLOCKED != 0;
            });
            self.count.fetch_add((shard.count - count) as usize, Relaxed);
            self.bytes.fetch_add(shard.bytes - bytes, Relaxed);
            entered
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

    /// How many there are, and the bytes that they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.count.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Ends the collection, and frees what only it needs.
    pub(super) fn finish(self, threads: usize) -> Nodes {
        let collected = self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut shards: Vec<(Records, Shard)> = collected.map(|records| (records, Shard::default())).collect();
        parallel(&mut shards, threads, |(records, shard)| *shard = std::mem::take(records).settle());
        let shards: Vec<Shard> = shards.into_iter().map(|(_, shard)| shard).collect();
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

impl Records {
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
        let places: Vec<Option<u32>> = rows.iter().zip(slots).map(|(&row, slot)| self.index.first_like(half(hashes[row]), slot)).collect();
        black_box(places.iter().flatten().fold(0, |near, place| near ^ self.touch(*place)));
        for (&row, place) in rows.iter().zip(places) {
            let (kind, text) = (side.kinds[row], side.texts[row].unwrap_or_default());
            let found = place.map(|place| (place, self.record(place))).filter(|(_, (head, after))| head.is(kind, text, after));
            let (place, head) = match found {
                Some((place, (head, _))) => (place, head),
                // New, or behind another of the same hash, or just entered by a row before.
                None => self.find_or_add(half(hashes[row]), rules, kind, text).ok_or_else(too_many)?,
            };
            self.see(place, side.seen[row], side.sources[row]);
            entered(row, head.number, head.flags);
        }
        Ok(())
    }

    /// The place and the head of an identifier; none when there are too many.
    fn find_or_add(&mut self, hash: u32, rules: &Rules, kind: u8, text: &str) -> Option<(u32, Head)> {
        let known = self.index.find(hash, |place| {
            let (head, after) = self.record(place);
            head.is(kind, text, after).then_some((place, head))
        });
        if known.is_some() {
            return known;
        }
        let flags = if rules.rule(kind).blocked.holds(text) { BLOCKED } else { 0 };
        let head = Head { first_seen: i64::MAX, number: self.count, length: u32::try_from(text.len()).ok()?, sources: 0, kind, flags };
        let bytes = HEAD_BYTES + text.len();
        let mut at = self.filling;
        if self.blocks.get(at).is_none_or(|block| block.len() + bytes > BLOCK_BYTES) {
            at = self.blocks.len();
            // One that would leave most of a block empty has its own, and the other goes on being filled.
            let long = bytes > BLOCK_BYTES / 4;
            self.filling = if long { self.filling } else { at };
            self.blocks.push(Vec::with_capacity(if long { bytes } else { BLOCK_BYTES }));
        }
        let block = self.blocks.get_mut(at)?;
        self.text_bytes = self.text_bytes.checked_add(head.length)?;
        let place = u32::try_from(at << BLOCK_BITS | block.len()).ok()?;
        // The largest number of all stands for nobody.
        self.count = head.number.checked_add(1).filter(|count| *count < NOBODY >> SHARD_BITS)?;
        block.extend_from_slice(&head.bytes());
        block.extend_from_slice(text.as_bytes());
        self.index.add(hash, place);
        self.bytes += bytes + HashIndex::BYTES_OF_ONE;
        Some((place, head))
    }

    /// The head at a place, and the bytes after it, with which its text begins.
    fn record(&self, place: u32) -> (Head, &[u8]) {
        Head::split(&self.blocks[(place >> BLOCK_BITS) as usize][place as usize & (BLOCK_BYTES - 1)..]).unwrap_or_default()
    }

    /// Something of the first and of the last bytes of a record of the usual length, so that they are near when they are asked for.
    fn touch(&self, place: u32) -> u8 {
        let (block, at) = (&self.blocks[(place >> BLOCK_BITS) as usize], place as usize & (BLOCK_BYTES - 1));
        block[at] ^ block[(at + USUAL_BYTES).min(block.len() - 1)]
    }

    /// Adds that an identifier was seen, and by which source.
    fn see(&mut self, place: u32, seen: i64, sources: u16) {
        let (head, _) = self.record(place);
        let now = Head { first_seen: seen.min(head.first_seen), sources: sources | head.sources, ..head };
        if (now.first_seen, now.sources) != (head.first_seen, head.sources) {
            let start = place as usize & (BLOCK_BYTES - 1);
            self.blocks[(place >> BLOCK_BITS) as usize][start..start + HEAD_BYTES].copy_from_slice(&now.bytes());
        }
    }

    /// What is left of it when all are collected.
    fn settle(self) -> Shard {
        let Records { blocks, count, index, .. } = self;
        drop(index);
        let bytes = blocks.iter().map(Vec::len).sum::<usize>() - count as usize * HEAD_BYTES;
        let mut shard = Shard { text: String::with_capacity(bytes), entries: Vec::with_capacity(count as usize) };
        for block in blocks {
            let mut rest = block.as_slice();
            while let Some((head, after)) = Head::split(rest) {
                let (text, others) = after.split_at(head.length as usize);
                let Head { first_seen, sources, kind, flags, .. } = head;
                let start = u32::try_from(shard.text.len()).unwrap_or(u32::MAX);
                shard.entries.push(Entry { first_seen, start, kind, flags, sources });
                shard.text.push_str(str::from_utf8(text).unwrap_or_default());
                rest = others;
            }
        }
        shard
    }
}

impl Head {
    /// The head that a record begins with, and what comes after it.
    fn split(record: &[u8]) -> Option<(Head, &[u8])> {
        let (head, after) = record.split_first_chunk::<HEAD_BYTES>()?;
        let (first_seen, head) = head.split_first_chunk()?;
        let (number, head) = head.split_first_chunk()?;
        let (length, head) = head.split_first_chunk()?;
        let (sources, head) = head.split_first_chunk()?;
        let &[kind, flags] = head else { return None };
        let [number, length] = [number, length].map(|bytes| u32::from_le_bytes(*bytes));
        let (first_seen, sources) = (i64::from_le_bytes(*first_seen), u16::from_le_bytes(*sources));
        Some((Head { first_seen, number, length, sources, kind, flags }, after))
    }

    fn bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&self.first_seen.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.sources.to_le_bytes());
        bytes[18..].copy_from_slice(&[self.kind, self.flags]);
        bytes
    }

    /// Whether it is that of an identifier, given the bytes after it.
    fn is(self, kind: u8, text: &str, after: &[u8]) -> bool {
        self.kind == kind && self.length as usize == text.len() && after.starts_with(text.as_bytes())
    }
}

impl Shard {
    fn text_at(&self, at: u32) -> &str {
        let at = at as usize;
        let end = self.entries.get(at + 1).map_or(self.text.len(), |next| next.start as usize);
        &self.text[self.entries[at].start as usize..end]
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

    /// Does something with the numbers of some of the identifiers, part by part, on several threads. A part's numbers lie near each
    /// other, as does what other tables know of them, and come shard by shard, as their entries and texts lie.
    pub(super) fn parts<R: Send>(&self, threads: usize, work: impl Fn(&mut dyn Iterator<Item = u32>) -> R + Sync) -> Vec<R> {
        let longest = self.bound >> SHARD_BITS;
        let mut parts: Vec<_> = (0..longest).step_by(PART).map(|start| start..start + PART).collect();
        parallel(&mut parts, threads, |part| {
            let of_shard = |(number, shard): (usize, &Shard)| {
                let entries = part.start.min(shard.entries.len())..part.end.min(shard.entries.len());
                // No number is larger than those that were given.
                entries.filter_map(move |at| u32::try_from(at << SHARD_BITS | number).ok())
            };
            work(&mut self.shards.iter().enumerate().flat_map(of_shard))
        })
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
