//! Columns whose values are lists, lie in JSON texts, or stand in one of several places.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::builder::{ListBuilder, StringBuilder};
use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int32Type};
use arrow::error::ArrowError;
use serde::de::IgnoredAny;

use super::column::{ContractColumn, defect};
use super::nested::json::{Found, Paths, elements};
use super::nested::leaves::inner;
use super::nested::{INVALID, NESTED, NOT_A_LIST};
use super::values::{JsonNumbers, Values};
use crate::error::Result;
use crate::number;

/// Values that the same column has in several places, of which in each row the first counts that is there.
///
/// # Errors
/// When they are not of the same rows.
pub fn alternatives(arrays: Vec<ArrayRef>) -> std::result::Result<ArrayRef, ArrowError> {
    let field = |(at, array): (usize, &ArrayRef)| Arc::new(Field::new(at.to_string(), array.data_type().clone(), true));
    let fields: Fields = arrays.iter().enumerate().map(field).collect::<Vec<FieldRef>>().into();
    let rows = arrays.first().map_or(0, Array::len);
    Ok(Arc::new(StructArray::try_new_with_length(fields, arrays, None, rows)?))
}

impl ContractColumn {
    /// Whether a nested type of a file's can be that of the column; none where the type or the column is not nested.
    pub(super) fn fits_nested(&self, held: &DataType) -> Option<Result<(), &'static str>> {
        const BY_A_PATH: &str = "name what lies in it by a path, such as `a.b`, `a[0]` or `a[key=text].value`; a list is read as a column of the type \
                                 `list(type)`, or as a row an element by `each`";
        match held {
            _ if self.json.is_some() => Some(if matches!(held, DataType::Null) || is_text(held) {
                Ok(())
            } else {
                Err("`json` is for columns of text: a path of nested values stands in `from`")
            }),
            DataType::Map(..) => Some(Err(BY_A_PATH)),
            DataType::Null if self.is_list => Some(Ok(())),
            _ => match inner(held) {
                Some(element) if self.is_list && !element.data_type().is_nested() => Some(self.meaning.fits(element.data_type())),
                Some(_) if self.is_list => Some(Err("the elements of a list must be single values: `each` makes a row of every record")),
                Some(_) => Some(Err(BY_A_PATH)),
                None if held.is_nested() => Some(Err(BY_A_PATH)),
                None if self.is_list => Some(Err("declare it as it is, without `list(…)`; a list in a JSON text is read with `json: $`")),
                None => None,
            },
        }
    }

    /// Reads the values of an array, wherever in it they are.
    pub(super) fn values(&self, raw: &ArrayRef) -> Result<Values> {
        match raw.data_type() {
            DataType::Struct(_) => self.first_of(raw.as_struct()),
            _ if self.json.is_some() => self.of_json_texts(raw),
            _ if self.is_list => self.lists(raw),
            _ => self.meaning.read(raw),
        }
    }

    /// In each row the first value that is there; what stands for none is none.
    fn first_of(&self, raw: &StructArray) -> Result<Values> {
        let read = raw.columns().iter().map(|array| self.values(array)).collect::<Result<Vec<_>>>()?;
        let plain = read.iter().map(|values| cast(&values.array, &self.data_type)).collect::<Result<Vec<_>, _>>().map_err(defect)?;
        let bad_rows: Vec<BTreeSet<usize>> = read.iter().map(|values| values.bad.iter().map(|(row, _)| *row).collect()).collect();
        let first = |row: usize| {
            let is_there = |(values, bad): (&Values, &BTreeSet<usize>)| values.array.is_valid(row) || bad.contains(&row);
            read.iter().zip(&bad_rows).position(is_there).unwrap_or(0)
        };
        let chosen: Vec<(usize, usize)> = (0..raw.len()).map(|row| (first(row), row)).collect();
        let arrays: Vec<&dyn Array> = plain.iter().map(AsRef::as_ref).collect();
        let array = interleave(&arrays, &chosen).map_err(defect)?;
        let of_chosen =
            |(at, values): (usize, &Values)| values.bad.iter().filter(|(row, _)| chosen[*row].0 == at).copied().collect::<Vec<_>>();
        let mut bad: Vec<_> = read.iter().enumerate().flat_map(of_chosen).collect();
        bad.sort_unstable();
        Ok(Values { array, bad })
    }

    /// Lists of values; one of which an element is bad is bad.
    fn lists(&self, raw: &ArrayRef) -> Result<Values> {
        let raw = match raw.data_type() {
            DataType::List(_) => Arc::clone(raw),
            DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                cast(raw, &DataType::List(Arc::clone(field))).map_err(defect)?
            }
            _ => {
                let bad = (0..raw.len()).filter(|&row| raw.is_valid(row)).map(|row| (row, NOT_A_LIST)).collect();
                return Ok(Values { array: arrow::array::new_null_array(&self.data_type, raw.len()), bad });
            }
        };
        let lists = raw.as_list::<i32>();
        let read = self.meaning.read(lists.values())?;
        let items = cast(&read.array, &self.meaning.data_type).map_err(defect)?;
        let field = Arc::new(Field::new_list_field(self.meaning.data_type.clone(), true));
        let array = ListArray::try_new(field, lists.offsets().clone(), items, lists.nulls().cloned()).map_err(defect)?;
        let bad = rows_of(&array, read.bad);
        Ok(Values { array: Arc::new(array), bad })
    }

    /// Adds the rows with lists of which an element breaks a rule.
    pub(super) fn break_rules_of_lists(&self, lists: &ListArray, faults: &mut Vec<(usize, &'static str)>) -> Result<()> {
        let mut of_elements = Vec::new();
        self.break_rules_of_values(lists.values(), &mut of_elements)?;
        of_elements.sort_by_key(|(element, _)| *element);
        faults.extend(rows_of(lists, of_elements));
        Ok(())
    }

    /// Values that lie in JSON texts.
    fn of_json_texts(&self, raw: &ArrayRef) -> Result<Values> {
        if let Some(keyed) = raw.as_dictionary_opt::<Int32Type>() {
            let read = self.of_json_texts(keyed.values())?;
            let array = take(&read.array, keyed.keys(), None).map_err(defect)?;
            let reasons: std::collections::BTreeMap<usize, &'static str> = read.bad.into_iter().collect();
            let reason = |(row, key): (usize, Option<i32>)| Some((row, *reasons.get(&usize::try_from(key?).ok()?)?));
            let bad = if reasons.is_empty() { Vec::new() } else { keyed.keys().iter().enumerate().filter_map(reason).collect() };
            return Ok(Values { array, bad });
        }
        let texts = cast(raw, &DataType::Utf8).map_err(defect)?;
        let lost = |row: &usize| texts.is_null(*row) && raw.is_valid(*row);
        let mut bad: Vec<(usize, &'static str)> = (0..raw.len()).filter(lost).map(|row| (row, "not-text")).collect();
        let none = Paths::default();
        let paths = self.json.as_ref().unwrap_or(&none);
        let mut values = JsonValues::of(self, texts.len());
        for (row, text) in texts.as_string::<i32>().iter().enumerate() {
            let text = text.map(|text| text.trim_matches([' ', '\t', '\n', '\r'])).filter(|text| !self.is_null_word(text));
            let mut found = [Found::Null];
            if let Some(text) = text {
                match serde_json::from_str::<IgnoredAny>(text) {
                    Ok(IgnoredAny) => paths.find(text, &mut found),
                    Err(_) => found = [Found::Bad(INVALID)],
                }
            }
            if let Err(reason) = values.append(&found[0]) {
                bad.push((row, reason));
            }
        }
        let array = values.finish();
        let read = if self.is_list { self.lists(&array)? } else { self.meaning.read(&array)? };
        bad.extend(read.bad);
        bad.sort_by_key(|(row, _)| *row);
        Ok(Values { array: read.array, bad })
    }
}

/// Values of JSON that are gathered for a column, as texts or as lists of texts.
pub struct JsonValues {
    numbers: JsonNumbers,
    values: Gathered,
}

enum Gathered {
    Texts(StringBuilder),
    Lists(ListBuilder<StringBuilder>),
}

impl JsonValues {
    /// None yet of a column.
    pub fn of(column: &ContractColumn, rows: usize) -> Self {
        JsonValues::new(column.json_numbers(), column.is_list, rows, 8 * rows)
    }

    /// None yet, of so many rows and so many bytes of texts.
    pub fn new(numbers: JsonNumbers, are_lists: bool, rows: usize, bytes: usize) -> Self {
        let values = if are_lists {
            Gathered::Lists(ListBuilder::with_capacity(StringBuilder::new(), rows))
        } else {
            Gathered::Texts(StringBuilder::with_capacity(rows, bytes))
        };
        JsonValues { numbers, values }
    }

    /// Adds a value, or none where it is at fault.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn append(&mut self, found: &Found<'_>) -> Result<(), &'static str> {
        let numbers = self.numbers;
        match &mut self.values {
            Gathered::Texts(texts) => match found.text(numbers) {
                Ok(text) => texts.append_option(text),
                Err(reason) => {
                    texts.append_null();
                    return Err(reason);
                }
            },
            Gathered::Lists(lists) => {
                let read = match found {
                    Found::Null => Ok(false),
                    Found::Bad(reason) => Err(*reason),
                    Found::Nested(text) => match elements(text) {
                        None => Err(NOT_A_LIST),
                        Some(mut elements) => elements
                            .try_for_each(|(_, element)| {
                                // What was added of a list at fault stays in it: the value is bad whatever it holds.
                                lists.values().append_option(Found::of(element).text(numbers)?);
                                Ok(())
                            })
                            .map(|()| true),
                    },
                    Found::Text(_) | Found::Number(_) => Err(NOT_A_LIST),
                };
                lists.append(read == Ok(true));
                read?;
            }
        }
        Ok(())
    }

    /// The values.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Gathered::Texts(texts) => Arc::new(texts.finish()),
            Gathered::Lists(lists) => Arc::new(lists.finish()),
        }
    }
}

impl Found<'_> {
    /// The text of a single value, as a column reads it.
    ///
    /// # Errors
    /// Why it has none.
    #[inline]
    pub fn text(&self, numbers: JsonNumbers) -> Result<Option<std::borrow::Cow<'_, str>>, &'static str> {
        match self {
            Found::Null => Ok(None),
            Found::Text(text) => Ok(Some(std::borrow::Cow::Borrowed(text))),
            Found::Number(text) => number_text(text, numbers).map(Some),
            Found::Nested(_) => Err(NESTED),
            Found::Bad(reason) => Err(reason),
        }
    }
}

#[inline]
fn number_text(number: &str, numbers: JsonNumbers) -> Result<std::borrow::Cow<'_, str>, &'static str> {
    use std::borrow::Cow;

    let as_written = Cow::Borrowed(number);
    // Digits alone mean the same everywhere but in percent, and but for a zero below zero.
    let is_percent = matches!(numbers, JsonNumbers::Plain { is_percent: true, .. });
    if numbers == JsonNumbers::AsWritten || (number != "-0" && !is_percent && !number.contains(['.', 'e', 'E'])) {
        return Ok(as_written);
    }
    match numbers {
        JsonNumbers::AsWritten => Ok(as_written),
        JsonNumbers::Whole => Ok(number::whole_digits(number).map_or(as_written, Cow::Owned)),
        JsonNumbers::WholeAlone(reason) => number::whole_digits(number).map(Cow::Owned).ok_or(reason),
        JsonNumbers::Plain { .. } => Ok(Cow::Owned(numbers.written(number))),
    }
}

/// The rows of lists of which an element is at fault, each once, with the first reason. The elements are in order.
fn rows_of(lists: &ListArray, elements: Vec<(usize, &'static str)>) -> Vec<(usize, &'static str)> {
    let mut rows: Vec<(usize, &'static str)> = Vec::new();
    let offsets = lists.value_offsets();
    let mut row = 0;
    for (element, reason) in elements {
        while row < lists.len() && usize::try_from(offsets[row + 1]).unwrap_or(0) <= element {
            row += 1;
        }
        let is_in_it = row < lists.len() && usize::try_from(offsets[row]).unwrap_or(0) <= element && lists.is_valid(row);
        if is_in_it && rows.last().is_none_or(|(last, _)| *last != row) {
            rows.push((row, reason));
        }
    }
    rows
}

fn is_text(held: &DataType) -> bool {
    match held {
        DataType::Dictionary(_, value) => is_text(value),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        _ => false,
    }
}
