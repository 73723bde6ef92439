//! The dictionary of a run: every text that the engine compares, groups or joins by, once, under a number.
//!
//! Equal texts have equal codes, whatever table or column they come from, so operators work on numbers instead of on text. Codes are given
//! in the order in which texts are first seen, which depends on threads: nothing may sort by them or write them.

use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Int32Type, UInt32Type};
use bytes::Bytes;
use datafusion::error::DataFusionError;
use foldhash::fast::FixedState;

use crate::engine::index::{HashIndex, Slot};
use crate::engine::memory::Held;
use crate::shown::{is_blank, size};

/// Bytes of entries that are allocated at once.
const CHUNK_BYTES: usize = 1 << 18;
/// Entries begin at multiples of this, so that the places of a shard fit 32 bits for 32 GiB of text.
const ALIGNMENT_BYTES: usize = 8;
/// What an entry has before its text: its code and the length of the text, each in four bytes.
const HEADER_BYTES: usize = 8;
/// Texts are divided among so many tables by their hash, so that threads that add texts seldom wait for each other.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;
/// A shard tells that it has grown when it has by so much.
const TOLD_BYTES: usize = 1 << 14;
/// The part of the memory limit that the texts of one batch may take, and what they may take whatever that is.
const DECODED_SHARE: usize = 8;
const MIN_DECODED_BYTES: usize = 16 << 20;
/// What stands for no code; neither it nor the number before it is ever given out.
const NO_CODE: u32 = u32::MAX;
/// The type of a code.
pub const CODE: DataType = DataType::UInt32;

/// Texts and their codes. It only grows, and lives as long as its engine.
#[derive(Default)]
pub struct Dictionary {
    shards: Shards,
    /// What they take of the memory that a run may hold.
    held: Option<Held>,
}

/// The parts that texts are divided into.
struct Shards([RwLock<Texts>; SHARDS]);

/// Part of the texts. Code `c` is that of number `c >> 6` of shard `c & 63`.
#[derive(Default)]
struct Texts {
    /// Entries one after the other, in chunks that are full. A text that is longer than a chunk has a longer one for itself.
    full: Vec<Bytes>,
    /// The chunk behind those, to which entries are added.
    open: Vec<u8>,
    /// The codes of texts that show nothing. There are few.
    blank: Vec<u32>,
    /// For every number the place of its entry.
    places: Vec<u32>,
    /// The places of the entries by hash. What is looked up lies in two places in memory, the slot here and the entry there, and no more.
    index: HashIndex,
    /// What all that takes, and how much of it has been told.
    bytes: usize,
    held_bytes: usize,
}

impl Default for Shards {
    fn default() -> Self {
        Shards(std::array::from_fn(|_| RwLock::default()))
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: usize = self.shards.0.iter().map(|shard| read(shard).places.len()).sum();
        write!(f, "a dictionary of {texts} texts")
    }
}

impl Dictionary {
    /// A dictionary that counts what it takes.
    pub fn within(held: Held) -> Self {
        Dictionary { held: Some(held), ..Dictionary::default() }
    }

    /// The codes of texts, which are given new ones where they have none. The array may be of text or a dictionary of it.
    ///
    /// # Errors
    /// When there are more texts than numbers.
    pub fn encode(&self, texts: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
        let codes = match texts.data_type() {
            DataType::Utf8 => self.encode_all(texts.as_string::<i32>().iter()),
            DataType::LargeUtf8 => self.encode_all(texts.as_string::<i64>().iter()),
            DataType::Utf8View => self.encode_all(texts.as_string_view().iter()),
            DataType::Dictionary(..) => {
                let texts = texts.as_dictionary_opt::<Int32Type>().ok_or_else(|| unencoded(texts.data_type()))?;
                let values = self.encode(texts.values())?;
                return Ok(arrow::compute::take(&values, texts.keys(), None)?);
            }
            other => return Err(unencoded(other)),
        };
        Ok(Arc::new(codes?))
    }

    /// The code of one text.
    ///
    /// # Errors
    /// When there are more texts than numbers.
    pub fn code(&self, text: &str) -> Result<u32, DataFusionError> {
        let hash = hash(text);
        let shard = shard_of(hash);
        let mut growing = write(&self.shards.0[shard]);
        let code = growing.find_or_add(shard, hash, text)?;
        self.count(&mut growing)?;
        Ok(code)
    }

    /// What `look` finds in the text of a code.
    ///
    /// # Errors
    /// When the number is no code.
    pub fn look_at<T>(&self, code: u32, look: impl FnOnce(&str) -> T) -> Result<T, DataFusionError> {
        let texts = read(&self.shards.0[code as usize % SHARDS]);
        Ok(look(text_of(texts.bytes(texts.place(code)?)?)))
    }

    /// The codes of all texts that show nothing ([`is_blank`]).
    pub fn blanks(&self) -> HashSet<u32> {
        self.shards.0.iter().flat_map(|shard| read(shard).blank.clone()).collect()
    }

    /// Where the text of a code is: its part of the dictionary, and its place there, as [`TextSnapshot::text`] takes them.
    ///
    /// # Errors
    /// When the number is no code.
    pub fn place(&self, code: u32) -> Result<(u8, u32), DataFusionError> {
        let shard = code as usize % SHARDS;
        Ok((u8::try_from(shard).unwrap_or(u8::MAX), read(&self.shards.0[shard]).place(code)?))
    }

    /// All texts that are in the dictionary now, to be read without waiting for those who add others.
    pub fn snapshot(&self) -> TextSnapshot {
        TextSnapshot {
            shards: self
                .shards
                .0
                .iter()
                .map(|shard| {
                    let mut texts = write(shard);
                    texts.close();
                    texts.full.clone()
                })
                .collect(),
        }
    }

    /// The texts of codes, as an array of the type asked for.
    ///
    /// # Errors
    /// When the type is none of text, or a number is no code.
    pub fn decode(&self, codes: &UInt32Array, text_type: &DataType) -> Result<ArrayRef, DataFusionError> {
        let known: [RwLockReadGuard<'_, Texts>; SHARDS] = std::array::from_fn(|shard| read(&self.shards.0[shard]));
        // In steps, so that the waits for memory of many texts overlap: where they are, how long they are, what they are.
        let place = |code: Option<u32>| code.map_or(Ok(None), |code| known[code as usize % SHARDS].place(code).map(Some));
        let places = codes.iter().map(place).collect::<Result<Vec<Option<u32>>, _>>()?;
        let text = |(code, place): (u32, Option<u32>)| place.map_or(Ok(&[][..]), |place| known[code as usize % SHARDS].bytes(place));
        let texts = codes.values().iter().copied().zip(places).map(text).collect::<Result<Vec<&[u8]>, _>>()?;
        let total: usize = texts.iter().map(|text| text.len()).sum();
        // Texts of which the dictionary has each once may be a thousand times as much in the rows of a batch.
        let most =
            self.held.as_ref().map_or(usize::MAX, |held| (held.limit() / DECODED_SHARE).max(MIN_DECODED_BYTES)).min(i32::MAX as usize);
        if total > most {
            let (total, most) = (size(total as u64), size(most as u64));
            return Err(DataFusionError::ResourcesExhausted(format!("the texts of one batch take {total}, and may take {most}")));
        }
        let offsets = OffsetBuffer::from_lengths(texts.iter().map(|text| text.len()));
        let mut bytes = Vec::with_capacity(total);
        for text in &texts {
            bytes.extend_from_slice(text);
        }
        drop(known);
        // Validated as a whole, which is faster than text by text.
        let texts = StringArray::try_new(offsets, bytes.into(), codes.nulls().cloned())?;
        if text_type == &DataType::Utf8 { Ok(Arc::new(texts)) } else { Ok(arrow::compute::cast(&texts, text_type)?) }
    }

    fn encode_all<'a>(&self, texts: impl Iterator<Item = Option<&'a str>>) -> Result<UInt32Array, DataFusionError> {
        // Equal texts often come in runs; only the first of a run is looked up.
        let mut wanted: Vec<(u32, &str)> = Vec::with_capacity(texts.size_hint().0);
        let mut rows: Vec<Option<u32>> = Vec::with_capacity(texts.size_hint().0);
        for text in texts {
            if let Some(text) = text
                && wanted.last().is_none_or(|(_, last)| *last != text)
            {
                wanted.push((hash(text), text));
            }
            rows.push(text.map(|_| u32::try_from(wanted.len() - 1)).transpose().map_err(|_| too_many())?);
        }
        let codes = self.codes(&wanted)?;
        Ok(rows.into_iter().map(|row| Some(codes[row? as usize])).collect())
    }

    /// The codes of texts, given their hashes.
    fn codes(&self, wanted: &[(u32, &str)]) -> Result<Vec<u32>, DataFusionError> {
        let mut starts = [0_usize; SHARDS + 1];
        for (hash, _) in wanted {
            starts[shard_of(*hash) + 1] += 1;
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        let (mut order, mut next) = (vec![0_usize; wanted.len()], starts);
        for (at, (hash, _)) in wanted.iter().enumerate() {
            let next = &mut next[shard_of(*hash)];
            order[*next] = at;
            *next += 1;
        }
        let mut codes = vec![NO_CODE; wanted.len()];
        // Threads begin at different shards, or they would wait for each other at every one.
        let first = wanted.first().map_or(0, |(hash, _)| shard_of(*hash));
        for shard in (first..SHARDS).chain(0..first) {
            let mine = &order[starts[shard]..starts[shard + 1]];
            if mine.is_empty() || read(&self.shards.0[shard]).find_all(wanted, mine, &mut codes) {
                continue;
            }
            let mut growing = write(&self.shards.0[shard]);
            for &at in mine {
                if codes[at] == NO_CODE {
                    let (hash, text) = wanted[at];
                    codes[at] = growing.find_or_add(shard, hash, text)?;
                }
            }
            self.count(&mut growing)?;
        }
        Ok(codes)
    }

    /// Holds what a shard has grown by, when it is enough to be told.
    fn count(&self, shard: &mut Texts) -> Result<(), DataFusionError> {
        let more = shard.bytes - shard.held_bytes;
        let Some(held) = self.held.as_ref().filter(|_| more >= TOLD_BYTES) else { return Ok(()) };
        shard.held_bytes = shard.bytes;
        held.grow(more)
    }
}

fn read(shard: &RwLock<Texts>) -> RwLockReadGuard<'_, Texts> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Texts>) -> RwLockWriteGuard<'_, Texts> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// An index takes a hash's highest bits for the place.
fn shard_of(hash: u32) -> usize {
    hash as usize % SHARDS
}

impl Texts {
    /// Puts the codes of those texts that have one at `mine`; whether all have. In steps, as [`HashIndex`] asks.
    fn find_all(&self, wanted: &[(u32, &str)], mine: &[usize], codes: &mut [u32]) -> bool {
        let slots: Vec<Slot> = mine.iter().map(|&at| self.index.slot(wanted[at].0)).collect();
        let places: Vec<Option<u32>> = mine.iter().zip(slots).map(|(&at, slot)| self.index.first_like(wanted[at].0, slot)).collect();
        let mut all = true;
        for (&at, place) in mine.iter().zip(places) {
            let (hash, text) = wanted[at];
            match place.and_then(|place| self.code_at(place, text).or_else(|| self.find(hash, text))) {
                Some(code) => codes[at] = code,
                None => all = false,
            }
        }
        all
    }

    fn find(&self, hash: u32, text: &str) -> Option<u32> {
        self.index.find(hash, |place| self.code_at(place, text))
    }

    /// The code at a place, if it is that of a text.
    fn code_at(&self, place: u32, text: &str) -> Option<u32> {
        self.entry(place).filter(|(_, bytes)| *bytes == text.as_bytes()).map(|(code, _)| code)
    }

    fn find_or_add(&mut self, shard: usize, hash: u32, text: &str) -> Result<u32, DataFusionError> {
        if let Some(code) = self.find(hash, text) {
            return Ok(code);
        }
        let code = u32::try_from(self.places.len() << SHARD_BITS | shard).ok().filter(|code| *code < NO_CODE - 1).ok_or_else(too_many)?;
        let length = u32::try_from(text.len()).map_err(|_| too_many())?;
        let bytes = (HEADER_BYTES + text.len()).next_multiple_of(ALIGNMENT_BYTES);
        if self.open.len() + bytes > CHUNK_BYTES {
            self.close();
        }
        let place = (self.full.len() * CHUNK_BYTES + self.open.len()) / ALIGNMENT_BYTES;
        let place = u32::try_from(place).ok().filter(|place| *place < u32::MAX).ok_or_else(too_many)?;
        if is_blank(text) {
            self.blank.push(code);
        }
        let chunk = &mut self.open;
        chunk.reserve_exact(if chunk.capacity() == 0 { bytes.max(CHUNK_BYTES) } else { bytes });
        chunk.extend_from_slice(&code.to_le_bytes());
        chunk.extend_from_slice(&length.to_le_bytes());
        chunk.extend_from_slice(text.as_bytes());
        chunk.resize(chunk.len().next_multiple_of(ALIGNMENT_BYTES), 0);
        self.places.push(place);
        self.index.add(hash, place);
        self.bytes += bytes + size_of::<u32>() + HashIndex::BYTES_OF_ONE;
        Ok(code)
    }

    /// Begins another chunk.
    fn close(&mut self) {
        if !self.open.is_empty() {
            self.full.push(Bytes::from(std::mem::take(&mut self.open)));
        }
    }

    fn place(&self, code: u32) -> Result<u32, DataFusionError> {
        let place = self.places.get(code as usize >> SHARD_BITS).copied();
        place.ok_or_else(|| DataFusionError::Internal(format!("{code} is the code of no text")))
    }

    fn bytes(&self, place: u32) -> Result<&[u8], DataFusionError> {
        let entry = self.entry(place).map(|(_, bytes)| bytes);
        entry.ok_or_else(|| DataFusionError::Internal(format!("there is no text at {place}")))
    }

    /// The code and the text at a place.
    fn entry(&self, place: u32) -> Option<(u32, &[u8])> {
        let position = place as usize * ALIGNMENT_BYTES;
        let at = position / CHUNK_BYTES;
        let chunk = if at == self.full.len() { self.open.as_slice() } else { self.full.get(at)? };
        entry_at(chunk, position % CHUNK_BYTES)
    }
}

/// The code and the text that begin somewhere in a chunk.
fn entry_at(chunk: &[u8], start: usize) -> Option<(u32, &[u8])> {
    let (code, rest) = chunk.get(start..)?.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*code), rest.get(..u32::from_le_bytes(*length) as usize)?))
}

fn text_of(bytes: &[u8]) -> &str {
    // Only texts are ever entered.
    str::from_utf8(bytes).unwrap_or_default()
}

/// The texts that were in a dictionary at a moment. It shares them with the dictionary.
#[derive(Debug)]
pub struct TextSnapshot {
    shards: Vec<Vec<Bytes>>,
}

impl TextSnapshot {
    /// The text at a place that [`Dictionary::place`] gave before the snapshot was made; empty at any other.
    pub fn text(&self, shard: u8, place: u32) -> &str {
        let position = place as usize * ALIGNMENT_BYTES;
        let chunk = self.shards.get(usize::from(shard)).and_then(|chunks| chunks.get(position / CHUNK_BYTES));
        chunk.and_then(|chunk| entry_at(chunk, position % CHUNK_BYTES)).map_or("", |(_, bytes)| text_of(bytes))
    }
}

/// Codes that have been worked out before, for the dictionary of one column chunk: its values are looked up once, not once a row.
#[derive(Debug, Default)]
pub struct ChunkCodes {
    last: Option<(ArrayRef, UInt32Array)>,
}

impl ChunkCodes {
    /// As [`Dictionary::encode`].
    ///
    /// # Errors
    /// As [`Dictionary::encode`].
    pub fn encode(&mut self, dictionary: &Dictionary, texts: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
        let Some(keyed) = texts.as_dictionary_opt::<Int32Type>() else { return dictionary.encode(texts) };
        let values = keyed.values();
        let known = self.last.as_ref().is_some_and(|(before, _)| before.to_data().ptr_eq(&values.to_data()));
        if !known {
            let codes = dictionary.encode(values)?.as_primitive::<UInt32Type>().clone();
            self.last = Some((Arc::clone(values), codes));
        }
        match &self.last {
            Some((_, codes)) => Ok(arrow::compute::take(codes, keyed.keys(), None)?),
            None => dictionary.encode(texts),
        }
    }
}

fn unencoded(data_type: &DataType) -> DataFusionError {
    DataFusionError::Internal(format!("{data_type} is not text"))
}

fn too_many() -> DataFusionError {
    DataFusionError::ResourcesExhausted("there are more different texts than a run can number: four thousand million".to_owned())
}

/// Half of a hash, of which all bits are as good.
#[allow(clippy::cast_possible_truncation, reason = "half a hash is wanted")]
fn hash(text: &str) -> u32 {
    // A fixed seed: the time that a run takes should not vary from run to run.
    let hash = FixedState::with_seed(0).hash_one(text.as_bytes());
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn texts_come_back_whatever_held_them() {
        let dictionary = Dictionary::default();
        let texts = vec![Some("a"), None, Some(""), Some("a"), Some("żółw"), Some("a")];
        let plain: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let views: ArrayRef = Arc::new(StringViewArray::from(texts.clone()));
        let keyed: ArrayRef = Arc::new(texts.iter().copied().collect::<DictionaryArray<Int32Type>>());
        let codes = dictionary.encode(&plain).unwrap();
        assert_eq!(&codes, &dictionary.encode(&views).unwrap());
        assert_eq!(&codes, &dictionary.encode(&keyed).unwrap());
        assert_eq!(&codes, &ChunkCodes::default().encode(&dictionary, &keyed).unwrap());
        let codes = codes.as_primitive::<UInt32Type>();
        assert_eq!(codes.value(0), codes.value(3));
        assert_ne!(codes.value(0), codes.value(2));
        assert_eq!(&dictionary.decode(codes, &DataType::Utf8).unwrap(), &plain);
        assert_eq!(&dictionary.decode(codes, &DataType::Utf8View).unwrap(), &views);
    }

    #[test]
    fn a_dictionary_grows_beyond_its_first_chunk() {
        let dictionary = Dictionary::default();
        let texts: ArrayRef = Arc::new((0..200_000).map(|number| Some(format!("text {number}"))).collect::<StringArray>());
        let codes = dictionary.encode(&texts).unwrap();
        assert_eq!(&dictionary.decode(codes.as_primitive(), &DataType::Utf8).unwrap(), &texts);
        let long = "x".repeat(3 * CHUNK_BYTES);
        let code = dictionary.code(&long).unwrap();
        assert_eq!(dictionary.code(&long).unwrap(), code);
        assert_eq!(dictionary.decode(&UInt32Array::from(vec![code]), &DataType::Utf8).unwrap().as_string::<i32>().value(0), long);
        assert_eq!(dictionary.code("text 7").unwrap(), codes.as_primitive::<UInt32Type>().value(7));
    }

    #[test]
    fn a_snapshot_has_what_was_there_and_the_dictionary_grows_on() {
        let dictionary = Dictionary::default();
        let long = "y".repeat(2 * CHUNK_BYTES + 3);
        let texts = ["a", "", "żółw", "\u{200b} ", long.as_str(), "b"];
        let mut known = Vec::new();
        for round in 0..3 {
            let texts: Vec<String> =
                texts.iter().map(|text| if round == 0 { (*text).to_owned() } else { format!("{text}{round}") }).collect();
            known.extend(texts.into_iter().map(|text| (dictionary.code(&text).unwrap(), text)));
            let snapshot = dictionary.snapshot();
            for (code, text) in &known {
                let (shard, place) = dictionary.place(*code).unwrap();
                assert_eq!(snapshot.text(shard, place), text);
                assert!(dictionary.look_at(*code, |found| found == text).unwrap());
                assert_eq!(dictionary.code(text).unwrap(), *code);
            }
        }
        assert_eq!(dictionary.blanks(), HashSet::from([known[1].0, known[3].0]));
    }
}
