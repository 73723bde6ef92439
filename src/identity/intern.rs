//! Numbers identifiers: every distinct identifier, which is a type and a text, gets a number of 32 bits. Texts are compared by their codes
//! in the engine's dictionary, and they stay there.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::error::DataFusionError;

use super::rules::{MAX_TYPES, Rules};
use crate::engine::{Dictionary, HashIndex, TextSnapshot, parallel, upper_half};
use crate::error::{Error, Message, Result};

/// Identifiers are divided into so many shards by the code of their text.
///
/// Looking an identifier up among tens of millions waits for memory several times, which takes longer than everything else that is done
/// with it. So sightings are first copied to their shard. When enough of them wait, they are looked up together, while the shard is in the
/// processor's cache.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 8;
const SHARD_MASK: u32 = (1 << SHARD_BITS) - 1;
/// At least so many sightings wait in a shard before they are looked up.
const LEAST_WAITING: usize = 1 << 10;
/// The sightings that wait in a shard are looked up when they take more than one part in so many of the memory of its identifiers.
const WAITING_SHARE: usize = 2;
/// How many sightings are looked up side by side.
const STEP: usize = 64;
/// How many identifiers a thread processes at once.
const PART: u32 = 1 << 16;
/// It stands for no identifier.
pub(super) const NOBODY: u32 = u32::MAX;

/// Flags that tell why an identifier has no edges.
pub(super) const BLOCKED: u8 = 1;
pub(super) const SHARED: u8 = 2;

/// Identifiers while they are collected.
pub(super) struct Interner {
    dictionary: Arc<Dictionary>,
    shards: Vec<Mutex<Shard>>,
    /// How many there are, and the bytes that they take.
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// The identifiers after all are collected, shard by shard.
pub(super) struct Nodes {
    entries: Vec<Entry>,
    texts: TextSnapshot,
}

/// A shard of the identifiers while they are collected.
#[derive(Default)]
struct Shard {
    /// The sightings that are not looked up yet.
    waiting: Vec<Sighting>,
    /// How many ends of edges were seen.
    ends: u32,
    /// For every end of an edge, in the order in which they were seen, the position of its identifier, with [`BLOCKED_END`].
    found: Vec<u32>,
    entries: Vec<Entry>,
    /// The positions of the entries by the hash of their type and the code of their text.
    index: HashIndex,
}

/// The bit that marks an end of an edge whose identifier is blocked.
const BLOCKED_END: u32 = 1 << 31;

/// A sighting: what a row says about an identifier.
#[derive(Clone, Copy)]
struct Sighting {
    first_seen: i64,
    code: u32,
    sources: u16,
    kind: u8,
    /// Whether it is an end of an edge.
    end: bool,
}

/// What is known about an identifier.
#[derive(Clone, Copy)]
struct Entry {
    first_seen: i64,
    /// The code of its text while identifiers are collected. After that the place of its text in a shard of the dictionary.
    text: u32,
    /// That shard of the dictionary.
    text_shard: u8,
    /// Its type, and in the lowest bits the flags [`BLOCKED`] and [`SHARED`].
    kind_and_flags: u8,
    /// The sources whose rows have it, one bit for each.
    sources: u16,
}

const FLAG_BITS: u32 = 2;

// There are tens of millions of them.
const _: () = assert!(size_of::<Entry>() == 16 && size_of::<Sighting>() == 16 && MAX_TYPES << FLAG_BITS <= 1 << u8::BITS);

/// One side of the edges of a batch.
pub(super) struct Side {
    /// The type of each row's identifier.
    pub(super) kinds: Vec<u8>,
    /// The code of the text of each row's identifier; none where there is no identifier.
    pub(super) codes: Vec<Option<u32>>,
}

/// A batch of edges.
pub(super) struct Rows<'a> {
    pub(super) sides: [Side; 2],
    /// When each row was first seen, in microseconds since 1970; the largest number if that is not known.
    pub(super) seen: &'a [i64],
    /// The bit of the source of each row.
    pub(super) sources: &'a [u16],
    /// Whether each row is an edge between two identifiers.
    pub(super) are_edges: &'a [bool],
}

/// Where the ends of the edges of a batch are found after all are looked up: the shards that have them, with the number of ends that each
/// had before.
pub(super) type Starts = Vec<(u16, u32)>;

/// The sightings of a batch in the order of their shards.
struct Sorted {
    sightings: Vec<Sighting>,
    /// The position of the first sighting of each shard, and the end of the last one.
    starts: [usize; SHARDS + 1],
}

impl Interner {
    /// No identifiers yet. The codes of their texts will be those of `dictionary`.
    pub(super) fn new(dictionary: Arc<Dictionary>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Interner { dictionary, shards, count: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// The dictionary that has the texts of the identifiers.
    pub(super) fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Adds the identifiers of a batch. It returns the shards of the ends of its edges, which [`Found::number`] replaces by numbers later.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are more identifiers than numbers.
    pub(super) fn collect(&self, rules: &Rules, rows: &Rows<'_>) -> Result<(Starts, Vec<[u32; 2]>)> {
        let ends_of = |row: usize| rows.sides.each_ref().map(|side| side.codes[row].map_or(0, |code| code & SHARD_MASK));
        let ends = (0..rows.seen.len()).filter(|row| rows.are_edges[*row]).map(ends_of).collect();
        let sorted = rows.sorted();
        let mut starts = Vec::new();
        // Shards that another thread has locked are left for the end.
        let mut held = Vec::new();
        for number in (0..SHARDS).filter(|number| !sorted.of(*number).is_empty()) {
            match self.shards[number].try_lock() {
                Ok(shard) => self.enter(rules, number, shard, sorted.of(number), &mut starts)?,
                Err(_) => held.push(number),
            }
        }
        for number in held {
            // A poisoned lock means that another thread failed, and so will this run.
            let shard = self.shards[number].lock().unwrap_or_else(PoisonError::into_inner);
            self.enter(rules, number, shard, sorted.of(number), &mut starts)?;
        }
        Ok((starts, ends))
    }

    /// Adds sightings to their shard, and looks all up that wait there if they are enough.
    fn enter(
        &self,
        rules: &Rules,
        number: usize,
        mut shard: MutexGuard<'_, Shard>,
        sightings: &[Sighting],
        starts: &mut Starts,
    ) -> Result<()> {
        let before = shard.ends;
        self.counted(&mut shard, |shard| {
            let ends = sightings.iter().filter(|sighting| sighting.end).count();
            shard.ends = shard.ends.checked_add(u32::try_from(ends).ok()?)?;
            shard.waiting.extend_from_slice(sightings);
            let enough = LEAST_WAITING.max(shard.known_bytes() / WAITING_SHARE / size_of::<Sighting>());
            if shard.waiting.len() > enough { shard.look_up(rules, &self.dictionary) } else { Some(()) }
        })?;
        if shard.ends > before {
            starts.push((u16::try_from(number).unwrap_or(0), before));
        }
        Ok(())
    }

    /// The number of identifiers, and the bytes that they take without their texts.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.count.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Looks up all sightings that wait.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are more identifiers than numbers.
    pub(super) fn look_up(&self, rules: &Rules, threads: usize) -> Result<()> {
        let mut shards: Vec<&Mutex<Shard>> = self.shards.iter().collect();
        let counted = parallel(&mut shards, threads, |shard| {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            self.counted(&mut shard, |shard| {
                let looked_up = shard.look_up(rules, &self.dictionary);
                shard.waiting = Vec::new();
                looked_up
            })
        });
        counted.into_iter().collect()
    }

    /// Calls `work` with a shard, and counts the identifiers and bytes that this adds.
    fn counted(&self, shard: &mut Shard, work: impl FnOnce(&mut Shard) -> Option<()>) -> Result<()> {
        let (count, bytes) = (shard.entries.len(), shard.bytes());
        let done = work(shard);
        let more = shard.entries.len() - count;
        self.bytes.fetch_add(shard.bytes().wrapping_sub(bytes), Relaxed);
        let before = self.count.fetch_add(more, Relaxed);
        done.filter(|()| before + more < NOBODY as usize).ok_or_else(too_many)
    }

    /// Ends the collection and frees what is only needed for it. All sightings must have been looked up.
    ///
    /// # Errors
    /// [`Error::Defect`] when a code belongs to no text.
    pub(super) fn finish(self, threads: usize) -> Result<(Nodes, Found)> {
        let mut shards: Vec<Shard> =
            self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        let dictionary = &self.dictionary;
        let placed = parallel(&mut shards, threads, |shard| {
            shard.index = HashIndex::default();
            shard.entries.iter_mut().try_for_each(|entry| {
                (entry.text_shard, entry.text) = dictionary.place(entry.text)?;
                Ok(())
            })
        });
        placed.into_iter().collect::<Result<(), DataFusionError>>().map_err(|error| crate::engine::failed("the identity step", &error))?;
        let mut found = Found { found: Vec::with_capacity(SHARDS), bases: Vec::with_capacity(SHARDS) };
        let mut entries = Vec::with_capacity(shards.iter().map(|shard| shard.entries.len()).sum());
        for shard in shards {
            found.bases.push(u32::try_from(entries.len()).unwrap_or(NOBODY));
            found.found.push(shard.found);
            entries.extend(shard.entries);
        }
        Ok((Nodes { entries, texts: self.dictionary.snapshot() }, found))
    }
}

impl Rows<'_> {
    /// The sightings of the rows by shard, and within a shard in the order of the rows.
    fn sorted(&self) -> Sorted {
        let sightings = || {
            (0..self.seen.len())
                .flat_map(|row| self.sides.iter().filter_map(move |side| Some(self.sighting(row, side.kinds[row], side.codes[row]?))))
        };
        let mut starts = [0; SHARDS + 1];
        for sighting in sightings() {
            starts[sighting.shard() + 1] += 1;
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        let nothing = Sighting { first_seen: 0, code: 0, sources: 0, kind: 0, end: false };
        let (mut sorted, mut next) = (vec![nothing; starts[SHARDS]], starts);
        for sighting in sightings() {
            let next = &mut next[sighting.shard()];
            sorted[*next] = sighting;
            *next += 1;
        }
        Sorted { sightings: sorted, starts }
    }

    fn sighting(&self, row: usize, kind: u8, code: u32) -> Sighting {
        Sighting { first_seen: self.seen[row], code, sources: self.sources[row], kind, end: self.are_edges[row] }
    }
}

impl Sorted {
    fn of(&self, shard: usize) -> &[Sighting] {
        &self.sightings[self.starts[shard]..self.starts[shard + 1]]
    }
}

impl Sighting {
    fn shard(&self) -> usize {
        (self.code & SHARD_MASK) as usize
    }

    /// The hash of the identifier. Its highest bits, which the index uses, differ most between neighbouring codes.
    fn hash(&self) -> u32 {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        upper_half((u64::from(self.kind) << u32::BITS | u64::from(self.code)).wrapping_mul(GOLDEN))
    }
}

/// The identifiers at the ends of edges.
pub(super) struct Found {
    /// For each shard the positions of the identifiers, in the order in which the ends were seen.
    found: Vec<Vec<u32>>,
    bases: Vec<u32>,
}

impl Found {
    /// Replaces the shards of the ends of a batch's edges by numbers, and returns the positions of the edges with a blocked end.
    pub(super) fn number(&self, starts: &Starts, ends: &mut [[u32; 2]]) -> Vec<usize> {
        let mut next = [0; SHARDS];
        for &(shard, start) in starts {
            next[usize::from(shard)] = start as usize;
        }
        let mut blocked = Vec::new();
        for (at, edge) in ends.iter_mut().enumerate() {
            let mut any_blocked = false;
            for end in edge {
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

fn too_many() -> Error {
    let message = Message::new("there are more identifiers than the identity step can number (4 thousand million)");
    Error::Refused(message.hint("leave out identifiers that cannot lead to a customer, such as visitors seen once"))
}

impl Shard {
    /// Looks up the sightings that wait. None if there are too many identifiers.
    fn look_up(&mut self, rules: &Rules, dictionary: &Dictionary) -> Option<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        for step in waiting.chunks(STEP) {
            self.look_up_step(rules, dictionary, step)?;
        }
        waiting.clear();
        self.waiting = waiting;
        Some(())
    }

    /// Looks up to [`STEP`] sightings up, each step for all of them before the next step, as [`HashIndex`] describes.
    fn look_up_step(&mut self, rules: &Rules, dictionary: &Dictionary, sightings: &[Sighting]) -> Option<()> {
        self.index.reserve(sightings.len());
        let mut slots = [None; STEP];
        for (slot, sighting) in slots.iter_mut().zip(sightings) {
            *slot = Some(self.index.slot(sighting.hash()));
        }
        let mut known = [None; STEP];
        for ((known, slot), sighting) in known.iter_mut().zip(slots).zip(sightings) {
            *known = slot.and_then(|slot| self.index.first_like(sighting.hash(), slot));
        }
        for (sighting, at) in sightings.iter().zip(known) {
            let is = |at: u32| self.entries[at as usize].is(sighting).then_some(at);
            // If it is not the first with its hash, it may be another with that hash, or was added in this step, or is new.
            let at = at.and_then(is).or_else(|| self.index.find(sighting.hash(), is));
            let at = match at {
                Some(at) => at,
                None => self.add(rules, dictionary, sighting)?,
            };
            let entry = &mut self.entries[at as usize];
            entry.first_seen = entry.first_seen.min(sighting.first_seen);
            entry.sources |= sighting.sources;
            if sighting.end {
                self.found.push(if entry.kind_and_flags & BLOCKED == 0 { at } else { at | BLOCKED_END });
            }
        }
        Some(())
    }

    fn add(&mut self, rules: &Rules, dictionary: &Dictionary, sighting: &Sighting) -> Option<u32> {
        let at = u32::try_from(self.entries.len()).ok().filter(|at| *at < BLOCKED_END)?;
        let is_blocked = dictionary.look_at(sighting.code, |text| rules.rule(sighting.kind).blocked.holds(text)).unwrap_or(false);
        let kind_and_flags = sighting.kind << FLAG_BITS | if is_blocked { BLOCKED } else { 0 };
        self.entries.push(Entry { first_seen: i64::MAX, text: sighting.code, text_shard: 0, kind_and_flags, sources: 0 });
        self.index.add(sighting.hash(), at);
        Some(at)
    }

    /// The bytes of the identifiers.
    fn known_bytes(&self) -> usize {
        self.entries.len() * (size_of::<Entry>() + HashIndex::BYTES_OF_ONE)
    }

    /// The bytes of the identifiers and of everything that is collected about them.
    fn bytes(&self) -> usize {
        self.known_bytes() + self.waiting.capacity() * size_of::<Sighting>() + self.found.len() * size_of::<u32>()
    }
}

impl Entry {
    fn kind(&self) -> u8 {
        self.kind_and_flags >> FLAG_BITS
    }

    /// Whether it is the identifier of a sighting, while identifiers are collected.
    fn is(&self, sighting: &Sighting) -> bool {
        self.text == sighting.code && self.kind() == sighting.kind
    }
}

impl Nodes {
    /// The bytes that they take without their texts.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.entries.as_slice())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, node: u32) -> &Entry {
        &self.entries[node as usize]
    }

    /// The numbers of all identifiers in order.
    pub(super) fn all(&self) -> Range<u32> {
        0..u32::try_from(self.entries.len()).unwrap_or(NOBODY)
    }

    /// Calls `work` with ranges of numbers that cover all identifiers, on several threads. The entries of a range lie near each other in
    /// memory.
    pub(super) fn parts<R: Send>(&self, threads: usize, work: impl Fn(Range<u32>) -> R + Sync) -> Vec<R> {
        let all = self.all();
        let mut parts: Vec<_> = all.clone().step_by(PART as usize).map(|start| start..all.end.min(start.saturating_add(PART))).collect();
        parallel(&mut parts, threads, |part| work(part.clone()))
    }

    /// The sources whose rows have an identifier, one bit for each.
    pub(super) fn sources(&self, node: u32) -> u16 {
        self.entry(node).sources
    }

    pub(super) fn kind(&self, node: u32) -> u8 {
        self.entry(node).kind()
    }

    pub(super) fn text(&self, node: u32) -> &str {
        let entry = self.entry(node);
        self.texts.text(entry.text_shard, entry.text)
    }

    pub(super) fn first_seen(&self, node: u32) -> i64 {
        self.entry(node).first_seen
    }

    pub(super) fn is(&self, node: u32, flag: u8) -> bool {
        self.entry(node).kind_and_flags & flag != 0
    }

    /// Whether an identifier may have edges, because it is neither blocked nor shared.
    pub(super) fn links(&self, node: u32) -> bool {
        !self.is(node, BLOCKED | SHARED)
    }

    pub(super) fn mark(&mut self, node: u32, flag: u8) {
        self.entries[node as usize].kind_and_flags |= flag;
    }

    /// Sets the time since which an identifier was seen.
    pub(super) fn seen_since(&mut self, node: u32, time: i64) {
        self.entries[node as usize].first_seen = time;
    }

    /// The numbers of the identifiers with a text. It looks at all of them, so it is meant for single questions only.
    pub(super) fn find(&self, kind: Option<u8>, text: &str) -> Vec<u32> {
        self.all().filter(|&node| kind.is_none_or(|kind| self.kind(node) == kind) && self.text(node) == text).collect()
    }
}
