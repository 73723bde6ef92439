//! The dictionary of an engine: it stores every text once and gives it a number, its code.
//!
//! Equal texts have equal codes, whatever table or column they come from, so operators can compare, group and join by numbers instead of
//! texts. Codes are assigned in the order in which texts are first seen, which depends on the threads. So codes must never be sorted by or
//! written to an output.

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

use crate::engine::halves::{lower_half, upper_half};
use crate::engine::index::{HashIndex, Slot};
use crate::engine::reservation::Reservation;
use crate::shown::{is_blank, size};

/// The bytes of a chunk of entries, which is allocated at once.
const CHUNK_BYTES: usize = 1 << 18;
/// Entries begin at multiples of this, so that a place of 32 bits can address 32 GiB of text in each shard.
const ALIGNMENT_BYTES: usize = 8;
/// The bytes of an entry before its text: its code and the length of the text, four bytes each.
const HEADER_BYTES: usize = 8;
/// Texts are divided into so many shards by their hash, so that threads which add texts seldom wait for each other.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;
/// A shard reserves memory when it has grown by so many bytes.
const RESERVED_AT_ONCE_BYTES: usize = 1 << 14;
/// The texts of one decoded batch may take this fraction of the memory limit, or this many bytes if that is more.
const DECODED_SHARE: usize = 8;
const MIN_DECODED_BYTES: usize = 16 << 20;
/// It stands for no code. Neither this number nor the one before it is ever assigned to a text.
const NO_CODE: u32 = u32::MAX;
/// The Arrow type of a code.
pub const CODE: DataType = DataType::UInt32;

/// Some codes. Codes are assigned by the dictionary, so nobody can choose them to collide.
pub type CodeSet = HashSet<u32, foldhash::fast::RandomState>;

/// Texts and their codes. The dictionary only grows, and lives as long as its engine.
#[derive(Default)]
pub struct Dictionary {
    shards: Shards,
    /// The reservation of the memory of the texts.
    reservation: Option<Reservation>,
}

/// The shards of a dictionary.
struct Shards([RwLock<Texts>; SHARDS]);

/// The texts of one shard. The code `c` belongs to the text number `c >> 6` of shard `c & 63`.
#[derive(Default)]
struct Texts {
    /// The full chunks of entries. A text that is longer than a chunk has a longer chunk of its own.
    full: Vec<Bytes>,
    /// The last chunk, to which entries are added.
    open: Vec<u8>,
    /// The codes of blank texts. There are few.
    blank: Vec<u32>,
    /// For every number of a text, the place of its entry.
    places: Vec<u32>,
    /// The places of the entries by the hash of their texts. A lookup reads memory in two places only: the slot of the index, and the
    /// entry.
    index: HashIndex,
    /// The bytes of the shard, and how many of them are reserved.
    bytes: usize,
    reserved_bytes: usize,
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
    /// A dictionary that reserves the memory that it takes.
    pub fn within(reservation: Reservation) -> Self {
        Dictionary { reservation: Some(reservation), ..Dictionary::default() }
    }

    /// The codes of texts. Texts that are not in the dictionary are added. The array may be of a text type or an Arrow dictionary of texts.
    ///
    /// # Errors
    /// When there are more texts than codes.
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
    /// When there are more texts than codes.
    pub fn code(&self, text: &str) -> Result<u32, DataFusionError> {
        let hash = hash(text);
        let shard = shard_of(hash);
        let mut growing = write(&self.shards.0[shard]);
        let code = growing.find_or_add(shard, hash, text)?;
        self.count(&mut growing)?;
        Ok(code)
    }

    /// Calls `look` with the text of a code and returns its result.
    ///
    /// # Errors
    /// When no text has this code.
    pub fn look_at<T>(&self, code: u32, look: impl FnOnce(&str) -> T) -> Result<T, DataFusionError> {
        let texts = read(&self.shards.0[code as usize % SHARDS]);
        Ok(look(text_of(texts.bytes(texts.place(code)?)?)))
    }

    /// The codes of all blank texts ([`is_blank`]).
    pub fn blanks(&self) -> CodeSet {
        self.shards.0.iter().flat_map(|shard| read(shard).blank.clone()).collect()
    }

    /// The shard and the place of the text of a code, for [`TextSnapshot::text`].
    ///
    /// # Errors
    /// When no text has this code.
    pub fn place(&self, code: u32) -> Result<(u8, u32), DataFusionError> {
        let shard = code as usize % SHARDS;
        Ok((u8::try_from(shard).unwrap_or(u8::MAX), read(&self.shards.0[shard]).place(code)?))
    }

    /// All texts that are in the dictionary now. They can be read without waiting for threads that add texts.
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

    /// The texts of codes as an array of `text_type`.
    ///
    /// # Errors
    /// When the type is no text type, when no text has one of the codes, and when the texts take too much memory.
    pub fn decode(&self, codes: &UInt32Array, text_type: &DataType) -> Result<ArrayRef, DataFusionError> {
        let known: [RwLockReadGuard<'_, Texts>; SHARDS] = std::array::from_fn(|shard| read(&self.shards.0[shard]));
        // In three steps, so that the processor waits for the memory of many texts at the same time: the places, the lengths, the bytes.
        let place = |code: Option<u32>| code.map_or(Ok(None), |code| known[code as usize % SHARDS].place(code).map(Some));
        let places = codes.iter().map(place).collect::<Result<Vec<Option<u32>>, _>>()?;
        let text = |(code, place): (u32, Option<u32>)| place.map_or(Ok(&[][..]), |place| known[code as usize % SHARDS].bytes(place));
        let texts = codes.values().iter().copied().zip(places).map(text).collect::<Result<Vec<&[u8]>, _>>()?;
        let total: usize = texts.iter().map(|text| text.len()).sum();
        // The dictionary has each text once, but a batch may repeat a long text in a thousand rows.
        let most = self
            .reservation
            .as_ref()
            .map_or(usize::MAX, |reservation| (reservation.limit() / DECODED_SHARE).max(MIN_DECODED_BYTES))
            .min(i32::MAX as usize);
        if total > most {
            let (total, most) = (size(total as u64), size(most as u64));
            return Err(DataFusionError::ResourcesExhausted(format!("the texts of one batch take {total}, but may take {most} at most")));
        }
        let offsets = OffsetBuffer::from_lengths(texts.iter().map(|text| text.len()));
        let mut bytes = Vec::with_capacity(total);
        for text in &texts {
            bytes.extend_from_slice(text);
        }
        drop(known);
        // UTF-8 is validated once for all texts, which is faster than for each text.
        let texts = StringArray::try_new(offsets, bytes.into(), codes.nulls().cloned())?;
        if text_type == &DataType::Utf8 { Ok(Arc::new(texts)) } else { Ok(arrow::compute::cast(&texts, text_type)?) }
    }

    /// What `make` makes of the bytes of the text of each code.
    ///
    /// # Errors
    /// When no text has one of the codes.
    pub fn of_each<T>(&self, codes: &[u32], make: impl Fn(&[u8]) -> T) -> Result<Vec<T>, DataFusionError> {
        let known: [RwLockReadGuard<'_, Texts>; SHARDS] = std::array::from_fn(|shard| read(&self.shards.0[shard]));
        // In steps, as in `decode`.
        let places = codes.iter().map(|code| known[*code as usize % SHARDS].place(*code)).collect::<Result<Vec<u32>, _>>()?;
        let text = |(code, place): (&u32, u32)| known[*code as usize % SHARDS].bytes(place);
        let texts = codes.iter().zip(places).map(text).collect::<Result<Vec<&[u8]>, _>>()?;
        Ok(texts.into_iter().map(make).collect())
    }

    fn encode_all<'a>(&self, texts: impl Iterator<Item = Option<&'a str>>) -> Result<UInt32Array, DataFusionError> {
        // Equal texts often follow each other. Only the first of them is looked up.
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

    /// The codes of texts with their hashes.
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
        // Threads begin at different shards, so that they do not wait for each other at every shard.
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

    /// Reserves what a shard has grown by, if that is enough.
    fn count(&self, shard: &mut Texts) -> Result<(), DataFusionError> {
        let more = shard.bytes - shard.reserved_bytes;
        let Some(reservation) = self.reservation.as_ref().filter(|_| more >= RESERVED_AT_ONCE_BYTES) else { return Ok(()) };
        shard.reserved_bytes = shard.bytes;
        reservation.grow(more)
    }
}

fn read(shard: &RwLock<Texts>) -> RwLockReadGuard<'_, Texts> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Texts>) -> RwLockWriteGuard<'_, Texts> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// The lowest bits of the hash, because the index uses the highest ones.
fn shard_of(hash: u32) -> usize {
    hash as usize % SHARDS
}

impl Texts {
    /// Writes the codes of the texts at the positions `mine` into `codes`, as far as they are in the dictionary, and returns whether all
    /// are. It works in steps, as [`HashIndex`] describes.
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

    /// The code at a place, if the text there is this one.
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

    /// Moves the last chunk to the full ones.
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

    /// The code and the text of the entry at a place.
    fn entry(&self, place: u32) -> Option<(u32, &[u8])> {
        let position = place as usize * ALIGNMENT_BYTES;
        let at = position / CHUNK_BYTES;
        let chunk = if at == self.full.len() { self.open.as_slice() } else { self.full.get(at)? };
        entry_at(chunk, position % CHUNK_BYTES)
    }
}

/// The code and the text of the entry that begins at a position of a chunk.
fn entry_at(chunk: &[u8], start: usize) -> Option<(u32, &[u8])> {
    let (code, rest) = chunk.get(start..)?.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*code), rest.get(..u32::from_le_bytes(*length) as usize)?))
}

fn text_of(bytes: &[u8]) -> &str {
    // Entries are made from `str` only, so this never fails.
    str::from_utf8(bytes).unwrap_or_default()
}

/// The texts of a dictionary at one moment. Their memory is shared with the dictionary.
#[derive(Debug)]
pub struct TextSnapshot {
    shards: Vec<Vec<Bytes>>,
}

impl TextSnapshot {
    /// The text at a shard and place that [`Dictionary::place`] returned before the snapshot was taken; empty at any other place.
    pub fn text(&self, shard: u8, place: u32) -> &str {
        let position = place as usize * ALIGNMENT_BYTES;
        let chunk = self.shards.get(usize::from(shard)).and_then(|chunks| chunks.get(position / CHUNK_BYTES));
        chunk.and_then(|chunk| entry_at(chunk, position % CHUNK_BYTES)).map_or("", |(_, bytes)| text_of(bytes))
    }
}

/// Encodes the batches of a Parquet column chunk. They share one Arrow dictionary, whose values are looked up once and not once a row.
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
    DataFusionError::ResourcesExhausted("there are more distinct texts than a run can number (4 thousand million)".to_owned())
}

/// A hash of 32 bits, made of both halves of one of 64 bits.
fn hash(text: &str) -> u32 {
    // The seed is fixed, so that runs over the same data take the same time.
    let hash = FixedState::with_seed(0).hash_one(text.as_bytes());
    upper_half(hash) ^ lower_half(hash)
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
        assert_eq!(dictionary.blanks(), CodeSet::from_iter([known[1].0, known[3].0]));
    }
}
