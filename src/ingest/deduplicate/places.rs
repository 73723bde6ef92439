//! The places of rows in a source, and which rows are superseded by others.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch, interleave};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;

use crate::engine::{CODE, Dictionary, Reservation};

/// The bits of a place that number the row of a piece, among those that break no rule; the others number the piece.
const ROW_BITS: u32 = 40;
/// The most pieces that places number.
pub const MAX_PIECES: usize = 1 << (u64::BITS - ROW_BITS);

/// Where a row stands: its piece of the source, and its number among the rows of that piece which break no rule of the contract. Every scan
/// finds the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u64);

impl Place {
    /// The place of a row.
    pub fn of(piece: usize, row: u64) -> Self {
        Place((piece as u64) << ROW_BITS | row)
    }

    fn piece(self) -> u64 {
        self.0 >> ROW_BITS
    }

    fn row(self) -> u64 {
        self.0 & ((1 << ROW_BITS) - 1)
    }
}

/// A set of places: a bit for each row of a piece, up to the last that is in it.
#[derive(Debug, Default)]
pub struct Places {
    pieces: BTreeMap<u64, Vec<u64>>,
    count: u64,
}

impl Places {
    /// Adds a place; the bytes that the set takes more.
    pub fn insert(&mut self, place: Place) -> usize {
        let bits = self.pieces.entry(place.piece()).or_default();
        let before = bits.capacity();
        let word = usize::try_from(place.row() / 64).unwrap_or(usize::MAX);
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        let bit = 1 << (place.row() % 64);
        self.count += u64::from(bits[word] & bit == 0);
        bits[word] |= bit;
        (bits.capacity() - before) * size_of::<u64>()
    }

    /// Adds all places of another set; the bytes that this one takes more.
    pub fn join(&mut self, other: Places) -> usize {
        let mut more = 0;
        for (piece, bits) in other.pieces {
            let own = self.pieces.entry(piece).or_default();
            let before = own.capacity();
            if own.len() < bits.len() {
                own.resize(bits.len(), 0);
            }
            for (own, other) in own.iter_mut().zip(bits) {
                self.count += u64::from((other & !*own).count_ones());
                *own |= other;
            }
            more += (own.capacity() - before) * size_of::<u64>();
        }
        more
    }

    /// Takes away the places of another set.
    pub fn take_away(&mut self, other: &Places) {
        for (piece, own) in &mut self.pieces {
            let Some(bits) = other.pieces.get(piece) else { continue };
            for (own, other) in own.iter_mut().zip(bits) {
                self.count -= u64::from((*own & other).count_ones());
                *own &= !other;
            }
        }
    }

    /// How many places there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether a place is in it.
    pub fn has(&self, place: Place) -> bool {
        let word = usize::try_from(place.row() / 64).unwrap_or(usize::MAX);
        self.pieces.get(&place.piece()).and_then(|bits| bits.get(word)).is_some_and(|bits| bits >> (place.row() % 64) & 1 == 1)
    }
}

/// The superseded rows of a source, and the merged consent answers of the rows that are kept.
#[derive(Debug, Default)]
pub struct Superseded {
    /// The rows that are left out.
    pub(super) dropped: Places,
    /// For a column of the contract the rows that get another answer, in order, and the answers.
    pub(super) answers: BTreeMap<usize, (Vec<Place>, ArrayRef)>,
    /// Whether the key tells all rows apart that are left.
    pub(super) is_key: bool,
    /// How many of the rows that are left out are deletions that count: see [`crate::manifest::Ledger`].
    pub(super) deleted: u64,
    /// What all that takes of the memory of a run.
    pub(super) held: Option<Reservation>,
}

impl Superseded {
    /// Whether the key tells all rows apart that are left: those without it, or with a word for no value in its place, are each like no
    /// other.
    pub fn is_key(&self) -> bool {
        self.is_key
    }

    /// How many rows are left out.
    pub fn rows(&self) -> u64 {
        self.dropped.count()
    }

    /// How many of these delete a key.
    pub fn deleted(&self) -> u64 {
        self.deleted
    }

    /// The rows of a batch that are kept, with their answers. `columns` are the columns of the contract that the batch has.
    ///
    /// # Errors
    /// As Arrow fails, and when an answer gets no code.
    pub fn applied(
        &self,
        dictionary: &Dictionary,
        columns: &[usize],
        first: Place,
        batch: RecordBatch,
    ) -> Result<RecordBatch, DataFusionError> {
        let rows = batch.num_rows() as u64;
        let answered = self.answered(dictionary, columns, first, batch)?;
        if !self.dropped.pieces.contains_key(&first.piece()) {
            return Ok(answered);
        }
        let keep: BooleanArray = (0..rows).map(|row| Some(!self.dropped.has(Place(first.0 + row)))).collect();
        Ok(if keep.true_count() == answered.num_rows() { answered } else { filter_record_batch(&answered, &keep)? })
    }

    fn answered(
        &self,
        dictionary: &Dictionary,
        columns: &[usize],
        first: Place,
        mut batch: RecordBatch,
    ) -> Result<RecordBatch, DataFusionError> {
        let rows = batch.num_rows();
        let end = Place(first.0 + rows as u64);
        for (at, column) in columns.iter().enumerate() {
            let Some((places, answers)) = self.answers.get(column) else { continue };
            let of_batch = places.partition_point(|place| *place < first)..places.partition_point(|place| *place < end);
            if of_batch.is_empty() {
                continue;
            }
            let (places, answers) = (&places[of_batch.clone()], answers.slice(of_batch.start, of_batch.len()));
            let held = batch.column(at);
            let is_coded = held.data_type() == &CODE && answers.data_type() == &DataType::Utf8;
            let answers = if is_coded { dictionary.encode(&answers)? } else { cast(&answers, held.data_type())? };
            let mut from: Vec<(usize, usize)> = (0..rows).map(|row| (0, row)).collect();
            for (answer, place) in places.iter().enumerate() {
                from[usize::try_from(place.0 - first.0).unwrap_or(usize::MAX)] = (1, answer);
            }
            let mut arrays = batch.columns().to_vec();
            arrays[at] = interleave(&[held.as_ref(), answers.as_ref()], &from)?;
            batch = RecordBatch::try_new(batch.schema(), arrays)?;
        }
        Ok(batch)
    }
}

/// Answers while they are found.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<usize, Vec<(Place, ScalarValue)>>);

impl Answers {
    /// Gives the row at a place another answer.
    pub fn add(&mut self, column: usize, place: Place, answer: ScalarValue) {
        self.0.entry(column).or_default().push((place, answer));
    }

    /// The answers as arrays, in order of place.
    ///
    /// # Errors
    /// As DataFusion fails.
    pub fn arrays(self) -> Result<BTreeMap<usize, (Vec<Place>, ArrayRef)>, DataFusionError> {
        let of_column = |(column, mut answers): (usize, Vec<(Place, ScalarValue)>)| {
            answers.sort_unstable_by_key(|(place, _)| *place);
            let (places, values): (Vec<Place>, Vec<ScalarValue>) = answers.into_iter().unzip();
            Ok((column, (places, ScalarValue::iter_to_array(values)?)))
        };
        self.0.into_iter().map(of_column).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart_by_piece_and_row() {
        let mut places = Places::default();
        for (piece, row) in [(0, 0), (0, 63), (0, 64), (3, 1_000), (1 << 20, 5)] {
            assert!(!places.has(Place::of(piece, row)));
            places.insert(Place::of(piece, row));
            assert!(places.has(Place::of(piece, row)));
            assert!(!places.has(Place::of(piece + 1, row)) && !places.has(Place::of(piece, row + 1)) || (piece, row) == (0, 63));
        }
        places.insert(Place::of(3, 1_000));
        assert_eq!(places.count(), 5);
    }
}
