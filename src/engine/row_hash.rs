//! The hashes of rows: 128 bits that depend on the values of a row alone.
//!
//! A row is put together from words of eight bytes, and the hash is XXH3 of them: first a bit for each column that says whether there is no
//! value, then the words of each column. A text is two words, its own hash. So a hash is the same for any number of threads, any version of
//! the libraries, and texts with or without codes.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::{DataFusionError, Result};
use twox_hash::XxHash3_128;

use super::encoding::Dictionary;
use crate::cast::is_text;

/// The bytes of a word.
const WORD: usize = size_of::<u64>();
/// The columns whose missing values are told in one word.
const FLAGS: usize = u64::BITS as usize;
/// The codes that are remembered while a batch is hashed; a power of two.
const REMEMBERED: usize = 256;

/// The hash of bytes.
pub fn hash_of(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

/// The hashes of some rows, given as columns. Of a column of codes, the texts are hashed; `dictionary` has them.
///
/// # Errors
/// When a code stands for no text, and as Arrow fails.
pub fn hashes_of_rows(columns: &[(ArrayRef, bool)], dictionary: Option<&Dictionary>, rows: usize) -> Result<Vec<u128>> {
    let flags = columns.len().div_ceil(FLAGS).max(1);
    let width = (flags + columns.iter().map(|(column, _)| words(column.data_type())).sum::<usize>()) * WORD;
    let mut all = vec![0_u8; rows * width];
    let mut at = flags * WORD;
    for (number, (column, is_code)) in columns.iter().enumerate() {
        let mut rows = Rows { all: &mut all, width, at };
        match (is_code, dictionary) {
            (true, Some(dictionary)) => rows.add_codes(column, dictionary)?,
            _ => rows.add(column)?,
        }
        rows.mark_missing(column, number);
        at += words(column.data_type()) * WORD;
    }
    Ok(all.chunks_exact(width).map(hash_of).collect())
}

/// The words of a value. Codes have two, for the hash of their text.
fn words(data_type: &DataType) -> usize {
    match data_type {
        DataType::Boolean | DataType::Int64 | DataType::Date32 | DataType::Float64 | DataType::Timestamp(TimeUnit::Microsecond, _) => 1,
        _ => 2,
    }
}

/// Rows of one width, one after the other, to which a column is added.
struct Rows<'a> {
    all: &'a mut [u8],
    width: usize,
    /// Where the column begins in a row.
    at: usize,
}

impl Rows<'_> {
    /// Adds a column that has no codes.
    fn add(&mut self, column: &ArrayRef) -> Result<()> {
        match column.data_type() {
            of_text if is_text(of_text) => {
                let texts = cast(column, &DataType::Utf8)?;
                let texts = texts.as_string::<i32>();
                self.put((0..texts.len()).map(|row| hash_of(texts.value(row).as_bytes()).to_le_bytes()));
            }
            DataType::Boolean => self.put(column.as_boolean().values().iter().map(|truth| u64::from(truth).to_le_bytes())),
            DataType::Date32 => self.put(column.as_primitive::<Date32Type>().values().iter().map(|day| i64::from(*day).to_le_bytes())),
            DataType::Int64 => self.put(column.as_primitive::<Int64Type>().values().iter().map(|whole| whole.to_le_bytes())),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.put(column.as_primitive::<TimestampMicrosecondType>().values().iter().map(|moment| moment.to_le_bytes()));
            }
            DataType::Float64 => {
                self.put(column.as_primitive::<Float64Type>().values().iter().map(|number| number.to_bits().to_le_bytes()));
            }
            DataType::Decimal128(..) => {
                self.put(column.as_primitive::<Decimal128Type>().values().iter().map(|amount| amount.to_le_bytes()));
            }
            DataType::FixedSizeBinary(16) => {
                let hashes = column.as_fixed_size_binary();
                self.put((0..hashes.len()).map(|row| digest_at(hashes, row).to_le_bytes()));
            }
            // Everything else by what it is shown as.
            _ => {
                let shown = ArrayFormatter::try_new(column, &FormatOptions::default())?;
                let mut text = String::new();
                let mut all = Vec::with_capacity(column.len());
                for row in 0..column.len() {
                    text.clear();
                    write!(text, "{}", shown.value(row)).map_err(|_| DataFusionError::Internal("a value cannot be shown".to_owned()))?;
                    all.push(hash_of(text.as_bytes()).to_le_bytes());
                }
                self.put(all.into_iter());
            }
        }
        Ok(())
    }

    /// Adds a column of codes. A text that is repeated is hashed once, as far as it is remembered.
    fn add_codes(&mut self, column: &ArrayRef, dictionary: &Dictionary) -> Result<()> {
        let codes = column.as_primitive_opt::<UInt32Type>();
        let codes = codes.ok_or_else(|| DataFusionError::Internal(format!("{} is not the type of a code", column.data_type())))?;
        let mut remembered: [Option<(u32, usize)>; REMEMBERED] = [None; REMEMBERED];
        let (mut different, mut numbers) = (Vec::new(), Vec::with_capacity(codes.len()));
        for code in codes {
            let Some(code) = code else {
                numbers.push(None);
                continue;
            };
            let known = &mut remembered[code as usize % REMEMBERED];
            let number = match known {
                Some((same, number)) if *same == code => *number,
                _ => {
                    different.push(code);
                    *known = Some((code, different.len() - 1));
                    different.len() - 1
                }
            };
            numbers.push(Some(number));
        }
        let hashes: Vec<[u8; 16]> = dictionary.of_each(&different, |text| hash_of(text).to_le_bytes())?;
        self.put(numbers.into_iter().map(|number| number.map_or([0; 16], |number| hashes[number])));
        Ok(())
    }

    fn put<const BYTES: usize>(&mut self, values: impl Iterator<Item = [u8; BYTES]>) {
        for (row, value) in self.all.chunks_exact_mut(self.width).zip(values) {
            row[self.at..self.at + BYTES].copy_from_slice(&value);
        }
    }

    /// Marks the rows in which a column has no value. Whatever stands there for a value counts no more.
    fn mark_missing(&mut self, column: &ArrayRef, number: usize) {
        let Some(missing) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { return };
        let (byte, bit) = (number / 8, 1 << (number % 8));
        let end = self.at + words(column.data_type()) * WORD;
        for (row, is_there) in self.all.chunks_exact_mut(self.width).zip(&missing) {
            if !is_there {
                row[byte] |= bit;
                row[self.at..end].fill(0);
            }
        }
    }
}

/// A hash in a column of hashes.
fn digest_at(digests: &FixedSizeBinaryArray, row: usize) -> u128 {
    digests.value(row).try_into().map_or(0, u128::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray};

    use super::*;

    fn hashes(columns: Vec<ArrayRef>) -> Vec<u128> {
        let rows = columns[0].len();
        hashes_of_rows(&columns.into_iter().map(|column| (column, false)).collect::<Vec<_>>(), None, rows).unwrap()
    }

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    /// The digests that are published must be the same in every version, unless `DIGEST_VERSION` is another one.
    #[test]
    fn a_hash_is_what_it_always_was() {
        let columns: Vec<ArrayRef> = vec![
            texts(&[Some("a"), None, Some("")]),
            Arc::new(Int64Array::from(vec![Some(1), None, Some(0)])),
            Arc::new(Decimal128Array::from(vec![Some(-1), Some(5), None])),
            Arc::new(Float64Array::from(vec![0.5, -0.0, f64::NAN])),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ];
        let shown: Vec<String> = hashes(columns).iter().map(|hash| format!("{hash:x}")).collect();
        // What the package xxhash for Python makes of the same words.
        assert_eq!(shown, ["903c6eed9d22c94cf354b7d4475645ef", "f3ef69032b26c67701716940d25616c8", "34b0fcabf395eebce3654fe7953ea66d"]);
    }

    #[test]
    fn rows_that_differ_have_different_hashes() {
        // Nothing, an empty text and zero are not the same, and a value is not that of the column beside it.
        let one = hashes(vec![
            texts(&[None, Some(""), Some("a"), None, Some("b"), Some("ab")]),
            texts(&[Some("a"), Some("a"), None, None, Some("c"), Some("c")]),
        ]);
        let other = hashes(vec![texts(&[Some("a"), Some("a"), None, Some("a")]), texts(&[Some("bc"), Some(""), Some("a"), Some("a")])]);
        let mut all: Vec<u128> = one.into_iter().chain(other).collect();
        let (count, repeated) = (all.len(), 1);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count - repeated, "only the row of nothing and `a` is there twice");
        let numbers = hashes(vec![Arc::new(Int64Array::from(vec![Some(0), None, Some(1 << 40)]))]);
        assert!(numbers[0] != numbers[1] && numbers[0] != numbers[2]);
    }

    #[test]
    fn more_columns_than_flags_fit_in_a_word_are_told_apart() {
        let missing: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let there: ArrayRef = Arc::new(Int64Array::from(vec![0]));
        let with = |at: usize| hashes((0..130).map(|column| Arc::clone(if column == at { &missing } else { &there })).collect())[0];
        let mut all: Vec<u128> = (0..131).map(with).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 131);
    }

    /// Codes stand for their texts, repeated ones and more than are remembered among them.
    #[test]
    fn codes_are_hashed_as_their_texts() {
        let dictionary = Dictionary::default();
        let values: Vec<Option<String>> = (0..5_000_u64).map(|row| (row % 11 > 0).then(|| format!("t{}", row * row % 1_777))).collect();
        let plain: ArrayRef = Arc::new(StringArray::from(values));
        let codes = dictionary.encode(&plain).unwrap();
        let of_codes = hashes_of_rows(&[(codes, true)], Some(&dictionary), 5_000).unwrap();
        assert_eq!(of_codes, hashes(vec![plain]));
    }
}
