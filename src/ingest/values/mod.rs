//! Reads the values of extracts: one table for every declared type and every way in which files hold values.
//!
//! A value is read without loss or it is bad: nothing is rounded, cut off, wrapped or guessed. The table is `docs/values.md`, and
//! `tests/it/meanings.rs` compares every cell of it with files that other programs wrote.

mod affixes;
mod dates;
mod meaning;
mod nulls;
mod numbers;
mod outcome;
mod parts;
mod pattern;
mod serial;
mod strings;
mod years;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, PrimitiveArray, StringArray, new_null_array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int32Type};

pub use affixes::WrittenNumber;
pub use meaning::{EpochUnit, Format, Meaning};
pub use nulls::{NullMarkers, folded};
pub use outcome::{Bad, Values};
pub use parts::{Moment, Part, fits as part_fits};
pub use pattern::Pattern;
pub use serial::Serial;
pub use years::Years;

use meaning::{Kind, defect};

use crate::config::ColumnType;
use crate::error::Result;
use crate::number;

impl Meaning {
    /// Reads the values of an array, whatever type the file holds them as.
    ///
    /// # Errors
    /// [`Error::Refused`] when no value of the array's type can be of the declared type.
    pub fn read(&self, array: &ArrayRef) -> Result<Values> {
        let mut values = self.read_any(array)?;
        if self.markers.may_take() {
            self.markers.take_out(&mut values, array, |text| self.is_null_word(text))?;
        }
        if matches!(self.column_type, ColumnType::Date | ColumnType::Timestamp) {
            self.years.check(&values.array, &self.zone, &mut values.bad);
        }
        Ok(values)
    }

    fn read_any(&self, array: &ArrayRef) -> Result<Values> {
        match array.data_type() {
            DataType::Utf8 => Ok(self.read_texts(array.as_string())),
            DataType::Null => Ok(Values::good(new_null_array(&self.data_type, array.len()))),
            held if is_keyed_text(held) && self.takes_texts() => Ok(Values::good(Arc::clone(array))),
            DataType::Dictionary(..) if array.as_dictionary_opt::<Int32Type>().is_some() => self.read_keyed(array.as_dictionary()),
            DataType::Dictionary(_, value) => self.read_any(&cast(array, value).map_err(defect)?),
            DataType::Utf8View if self.takes_texts() => Ok(Values::good(Arc::clone(array))),
            DataType::LargeUtf8 | DataType::Utf8View => self.read_any(&cast(array, &DataType::Utf8).map_err(defect)?),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                let texts = strings::of_bytes(array)?;
                let mut values = self.read_texts(texts.as_string());
                values.bad.extend(Values::lost(texts, array, self.not_of_type()).bad);
                values.bad.sort_unstable();
                Ok(values)
            }
            held if self.column_type != ColumnType::String && (!self.words.is_empty() || self.markers.are_truths) => {
                let texts = strings::read(array, self)?;
                let typed = if self.holds(Kind::of(held)) { Some(self.read_typed(array)?) } else { None };
                self.replaced(texts, typed)
            }
            _ => self.read_typed(array),
        }
    }

    /// Values of which those are words that stand for others, such as 1 for female: these are read as texts, and the others as the file holds
    /// them if that can be of the declared type.
    fn replaced(&self, texts: Values, typed: Option<Values>) -> Result<Values> {
        let mut read = self.read_texts(texts.array.as_string());
        let Some(typed) = typed else {
            read.bad.extend(texts.bad);
            read.bad.sort_unstable();
            return Ok(read);
        };
        let is_word = |text: &str| self.word(text).is_some() || (self.markers.are_truths && self.is_null_word(text));
        let words: BooleanArray = texts.array.as_string::<i32>().iter().map(|text| Some(text.is_some_and(is_word))).collect();
        let mut bad = read.bad;
        bad.retain(|(row, _)| words.value(*row));
        bad.extend(typed.bad.into_iter().filter(|(row, _)| !words.value(*row)));
        bad.sort_unstable();
        Ok(Values { array: zip(&words, &read.array, &typed.array).map_err(defect)?, bad })
    }

    /// Reads values that are no texts.
    fn read_typed(&self, array: &ArrayRef) -> Result<Values> {
        match self.column_type {
            ColumnType::String if !self.words.is_empty() || !self.markers.texts.is_empty() => {
                let texts = strings::read(array, self)?;
                Ok(Values { array: self.read_texts(texts.array.as_string()).array, bad: texts.bad })
            }
            ColumnType::String => strings::read(array, self),
            ColumnType::Integer | ColumnType::Decimal { .. } | ColumnType::Double | ColumnType::Boolean => numbers::read(array, self),
            ColumnType::Date | ColumnType::Timestamp => dates::read(array, self),
        }
    }

    /// Whether texts are values as they stand.
    pub fn takes_texts(&self) -> bool {
        self.column_type == ColumnType::String && self.words.is_empty() && self.markers.leave_texts()
    }

    /// Reads each value of a dictionary once. Texts stay values of one, so that they take no more than in the file.
    fn read_keyed(&self, keyed: &DictionaryArray<Int32Type>) -> Result<Values> {
        let read = self.read_any(keyed.values())?;
        let reasons: BTreeMap<usize, &'static str> = read.bad.into_iter().collect();
        let key = |key: Option<i32>| usize::try_from(key?).ok();
        let bad = if reasons.is_empty() {
            Vec::new()
        } else {
            let reason = |(row, held): (usize, Option<i32>)| Some((row, *reasons.get(&key(held)?)?));
            keyed.keys().iter().enumerate().filter_map(reason).collect()
        };
        if read.array.data_type() != &DataType::Utf8 {
            return Ok(Values { array: take(&read.array, keyed.keys(), None).map_err(defect)?, bad });
        }
        let is_there = |held: &i32| key(Some(*held)).is_some_and(|key| read.array.is_valid(key));
        let keys: PrimitiveArray<Int32Type> = keyed.keys().iter().map(|held| held.filter(is_there)).collect();
        let array = DictionaryArray::try_new(keys, read.array.clone()).map_err(defect)?;
        Ok(Values { array: Arc::new(array), bad })
    }

    /// A value that the pipeline file names, as it is shown; none when it is not of the declared type.
    pub fn read_text(&self, text: &str) -> Option<String> {
        let plain: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let read = self.read(&plain).ok().filter(|read| read.bad.is_empty() && read.array.is_valid(0))?;
        arrow::util::display::array_value_to_string(&read.array, 0).ok()
    }

    fn read_texts(&self, texts: &StringArray) -> Values {
        let word = |text: &str| self.words.get(text).map(String::as_str);
        match self.column_type {
            ColumnType::String if self.takes_texts() => Values::good(Arc::new(texts.clone())),
            ColumnType::String => Values::good(Arc::new(texts.iter().map(|text| self.markers.text(text?, word)).collect::<StringArray>())),
            ColumnType::Integer | ColumnType::Decimal { .. } | ColumnType::Double | ColumnType::Boolean => numbers::of_texts(texts, self),
            ColumnType::Date | ColumnType::Timestamp => dates::of_texts(texts, self),
        }
    }

    /// Reads each text with a function, in words of the contract's. One that is not read as it stands is tried without the space around it;
    /// one that stands for no value is none, and any other is bad.
    fn each_text<T>(&self, texts: &StringArray, read: impl Fn(&str) -> Option<T>) -> (Vec<Option<T>>, Bad) {
        let mut values = Vec::with_capacity(texts.len());
        let mut bad = Vec::new();
        for (row, text) in texts.iter().enumerate() {
            let Some(text) = text else {
                values.push(None);
                continue;
            };
            let word = if self.words.is_empty() { None } else { self.word(text) };
            if word.is_none() && self.markers.are_truths && self.is_null_word(text) {
                values.push(None);
                continue;
            }
            let text = word.unwrap_or(text);
            let value = read(text).or_else(|| Some(text.trim()).filter(|trimmed| trimmed.len() < text.len()).and_then(&read));
            if value.is_none() && !self.is_null_word(text) {
                bad.push((row, self.not_of_type()));
            }
            values.push(value);
        }
        (values, bad)
    }

    /// What a word of the sender's stands for, as it is or without the space around it.
    pub fn word(&self, text: &str) -> Option<&str> {
        let found = if self.words_in_any_case {
            self.words.get(folded(text).as_ref())
        } else {
            self.words.get(text).or_else(|| self.words.get(text.trim()))
        };
        found.map(String::as_str)
    }

    /// Whether a text is read as no value.
    pub fn is_none(&self, text: &str) -> bool {
        match self.column_type {
            ColumnType::String => self.markers.text(text, |word| self.word(word)).is_none(),
            _ if self.word(text).is_some() => false,
            _ if self.is_null_word(text) => true,
            _ if self.markers.values.is_empty() => false,
            _ => {
                let alone: ArrayRef = Arc::new(StringArray::from(vec![text]));
                self.read(&alone).is_ok_and(|read| read.bad.is_empty() && read.array.is_null(0))
            }
        }
    }

    /// Whether a text stands for no value.
    pub fn is_null_word(&self, text: &str) -> bool {
        if self.column_type == ColumnType::String && self.markers.texts.contains(text) {
            return true;
        }
        let trimmed = text.trim();
        // Nearly every text is ASCII, and of another length than the words.
        let is_word = |text: &str| {
            if text.is_ascii() {
                self.null_values.iter().any(|word| word.eq_ignore_ascii_case(text))
            } else {
                self.null_values.contains(&text.to_lowercase())
            }
        };
        trimmed.is_empty() || is_word(trimmed)
    }

    /// Whether a file's values of this type can be at fault, by themselves or by their years; `range` is what the file says of its
    /// smallest and largest, as it stores them.
    pub fn can_fail(&self, held: &DataType, range: Option<(i64, i64)>) -> bool {
        if matches!(held, DataType::Null) {
            return false;
        }
        if !self.words.is_empty() {
            return true;
        }
        match self.column_type {
            ColumnType::String => strings::can_fail(held),
            ColumnType::Date | ColumnType::Timestamp => dates::can_fail(self, held, range),
            _ => numbers::can_fail(self, held),
        }
    }

    /// Whether values of a file's type can be of the declared one; if not, what to do.
    ///
    /// # Errors
    /// What to write instead.
    pub fn fits(&self, held: &DataType) -> Result<(), &'static str> {
        const AS_STRING: &str = "declare it as it is, as a `string` if need be, and take it apart in SQL";
        let kind = Kind::of(held);
        match (self.column_type, kind) {
            (_, Kind::Text | Kind::Nothing) => Ok(()),
            (_, Kind::Other) => Err("leave the column out, or have the sender write it as text, a number, a date or a timestamp"),
            (ColumnType::String, _) => Ok(()),
            (_, _) if !self.words.is_empty() || self.holds(kind) => Ok(()),
            (ColumnType::Date | ColumnType::Timestamp, Kind::Integer | Kind::Float | Kind::Decimal) => Err(
                "say how it counts: `format: epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` or `epoch_days` from 1970, or `serial_1900` or \
                     `serial_1904` for the days of a spreadsheet",
            ),
            _ => Err(AS_STRING),
        }
    }

    /// Whether values that a file holds as this kind, and not as text, may be of the declared type.
    fn holds(&self, kind: Kind) -> bool {
        let is_number = matches!(kind, Kind::Integer | Kind::Float | Kind::Decimal);
        match self.column_type {
            ColumnType::String => kind != Kind::Other,
            ColumnType::Boolean => is_number || kind == Kind::Boolean,
            ColumnType::Integer | ColumnType::Decimal { .. } | ColumnType::Double => is_number,
            ColumnType::Date | ColumnType::Timestamp => kind == Kind::Moment || (is_number && self.format.is_some()),
        }
    }

    /// A word for a value that is not of the declared type.
    pub fn not_of_type(&self) -> &'static str {
        match self.column_type {
            ColumnType::String => "not-text",
            ColumnType::Integer => "not-an-integer",
            ColumnType::Decimal { .. } => "not-a-decimal",
            ColumnType::Date => "not-a-date",
            ColumnType::Timestamp => "not-a-timestamp",
            ColumnType::Boolean => "not-a-boolean",
            ColumnType::Double => "not-a-number",
        }
    }
}

/// How numbers of JSON are handed on as text, so that a format for text is none for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonNumbers {
    /// As they are written.
    AsWritten,
    /// A whole one as its digits, any other as it is written.
    Whole,
    /// A whole one as its digits; any other is no value of the column, for this reason.
    WholeAlone(&'static str),
    /// Without a power of ten, and as a format writes numbers.
    Plain {
        /// What stands before the fraction.
        point: char,
        /// Whether the number is in percent, of which a number that is held as one is none.
        is_percent: bool,
    },
}

impl JsonNumbers {
    /// Without a power of ten.
    const AS_USUAL: JsonNumbers = JsonNumbers::Plain { point: '.', is_percent: false };

    /// A number as the format writes it; as it is where it has too many digits.
    pub fn written(self, number: &str) -> String {
        let JsonNumbers::Plain { point, is_percent } = self else { return number.to_owned() };
        let plain = if is_percent { number::hundredfold(number).map(|percent| percent + "%") } else { number::plain(number) };
        let Some(plain) = plain else { return number.to_owned() };
        if point == '.' { plain } else { plain.replace('.', point.encode_utf8(&mut [0; 4])) }
    }
}

impl Meaning {
    /// How numbers of JSON are read.
    pub fn json_numbers(&self) -> JsonNumbers {
        match (self.column_type, &self.format) {
            (ColumnType::String, _) => JsonNumbers::WholeAlone(self.not_of_type()),
            (_, Some(Format::Number(format))) => JsonNumbers::Plain { point: format.point(), is_percent: format.is_percent() },
            (_, Some(format)) if format.counts() => JsonNumbers::AS_USUAL,
            (_, _) if !self.words.is_empty() => JsonNumbers::Whole,
            (ColumnType::Decimal { .. } | ColumnType::Double, _) => JsonNumbers::AsWritten,
            _ => JsonNumbers::Whole,
        }
    }
}

/// Whether values are texts held once each, as Parquet's dictionary pages do.
pub fn is_keyed_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8)
}

/// Values of a dictionary of text, if they are held so.
pub fn keyed_text(array: &ArrayRef) -> Option<&arrow::array::DictionaryArray<Int32Type>> {
    array.as_dictionary_opt::<Int32Type>().filter(|_| is_keyed_text(array.data_type()))
}
