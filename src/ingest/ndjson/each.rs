//! Records of which every element of a list is a row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, Int32Array, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Int32Type;
use serde::de::IgnoredAny;

use super::super::decoded::Decoded;
use super::super::nested::json::{Found, elements};
use super::super::nested::{INVALID, NOT_A_LIST};
use super::super::nested_column::JsonValues;
use super::super::remarks::INVALID_UTF8;
use super::super::text::{Block, MAX_RECORD_BYTES, Record, TOO_LONG};
use super::column::JsonColumn;
use super::elements::{EachLines, Elements};
use super::{Lines, records};

/// The most that the texts of a record may take when every element of a list has them. They are held once.
const REPEATED_BYTES: usize = 64 * 1024 * 1024;
/// The most that lists of the records of a block may take when every element of another list has them. They are copied.
const REPEATED_LIST_BYTES: usize = 64 * 1024 * 1024;

/// The rows of a block while they are gathered.
struct Rows {
    elements: Elements,
    /// For every row the record whose values it has.
    of: Vec<i32>,
    records: Vec<Record>,
    unread: Vec<(usize, usize, &'static str)>,
    bad: Vec<(Record, &'static str)>,
    /// The values of records, and of elements.
    shared: Vec<Option<JsonValues>>,
    own: Vec<Option<JsonValues>>,
    /// How many records have values.
    count: i32,
    /// What the lists take that every element has.
    list_bytes: usize,
}

impl Lines {
    pub(super) fn decode_each(&self, each: &EachLines, block: &Block) -> (Decoded, Elements) {
        let found = records(block);
        let mut rows = Rows {
            elements: Elements::default(),
            of: Vec::new(),
            records: Vec::new(),
            unread: Vec::new(),
            bad: Vec::new(),
            shared: self.builders(|column| !column.is_of_element, found.len(), 0),
            own: self.builders(|column| column.is_of_element, found.len(), 0),
            count: 0,
            list_bytes: 0,
        };
        let mut values: Vec<Found<'_>> = vec![Found::Null; self.values];
        let mut keys = Vec::new();
        let first = block.json.as_ref().and_then(|json| json.first_element);
        for (at, record) in found.into_iter().enumerate() {
            values.fill(Found::Null);
            let bytes = &block.bytes[record.bytes.clone()];
            if self.is_none(bytes) {
                rows.elements.empty += 1;
                continue;
            }
            let added = match first {
                Some(first) => self.element(each, first + at as u64, bytes, &record, &mut values, &mut rows),
                None => self.line(bytes, &mut keys, &mut values).and_then(|()| self.elements(each, bytes, &record, &mut values, &mut rows)),
            };
            if let Err(reason) = added {
                rows.bad.push((record, reason));
            }
        }
        rows.finish(&self.columns)
    }

    /// Adds an element that stands alone, because what it lies in is too long for one record.
    fn element<'a>(
        &self,
        each: &EachLines,
        number: u64,
        bytes: &'a [u8],
        record: &Record,
        values: &mut [Found<'a>],
        rows: &mut Rows,
    ) -> Result<(), &'static str> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(TOO_LONG);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| INVALID_UTF8)?;
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| INVALID)?;
        if rows.count == 0 {
            self.share(values, rows);
        }
        each.put(text, number, values);
        rows.elements.rows.push((0..bytes.len(), number));
        self.add(values, record.clone(), &[], rows);
        Ok(())
    }

    /// Adds the elements of a record.
    fn elements<'a>(
        &self,
        each: &EachLines,
        bytes: &'a [u8],
        record: &Record,
        values: &mut [Found<'a>],
        rows: &mut Rows,
    ) -> Result<(), &'static str> {
        let list = match &values[each.list] {
            Found::Null => "[]",
            Found::Nested(list) if list.starts_with('[') => list,
            Found::Bad(reason) => return Err(reason),
            _ => return Err(NOT_A_LIST),
        };
        let Some(mut found) = elements(list).map(Iterator::peekable) else { return Err(NOT_A_LIST) };
        if found.peek().is_none() {
            rows.elements.empty += 1;
            return Ok(());
        }
        let (mut shared_bytes, mut list_bytes) = (0, 0);
        for column in self.columns.iter().filter(|column| column.is_needed && !column.is_of_element) {
            match column.read(values) {
                Found::Text(text) => shared_bytes += text.len(),
                Found::Nested(text) => (shared_bytes, list_bytes) = (shared_bytes + text.len(), list_bytes + text.len()),
                _ => {}
            }
        }
        // Most records are far below it, and their elements are not counted first.
        let may_be_over = (list.len() / 2).saturating_mul(shared_bytes) > REPEATED_BYTES;
        if may_be_over && elements(list).map_or(0, Iterator::count).saturating_mul(shared_bytes) > REPEATED_BYTES {
            return Err(TOO_LONG);
        }
        if list_bytes > 0 {
            // A value of a list takes more than its text, such as `1,`.
            let bytes = elements(list).map_or(0, Iterator::count).saturating_mul(list_bytes).saturating_mul(4);
            if rows.list_bytes.saturating_add(bytes) > REPEATED_LIST_BYTES {
                return Err(TOO_LONG);
            }
            rows.list_bytes += bytes;
        }
        let unread = self.share(values, rows);
        let begin = list.as_ptr() as usize - bytes.as_ptr() as usize;
        let (mut line, mut seen) = (record.line, 0);
        for (number, (at, element)) in found.enumerate() {
            each.put(element, number as u64, values);
            let start = begin + at;
            line += memchr::memchr_iter(b'\n', &bytes[seen..start]).count() as u64;
            seen = start;
            rows.elements.rows.push((start..start + element.len(), number as u64));
            self.add(values, Record { bytes: record.bytes.clone(), line }, &unread, rows);
        }
        Ok(())
    }

    /// Gathers the values that all elements of a record share: which of them are at fault.
    fn share(&self, values: &[Found<'_>], rows: &mut Rows) -> Vec<(usize, &'static str)> {
        rows.count += 1;
        let put = |(at, (column, builder)): (usize, (&JsonColumn, &mut Option<JsonValues>))| {
            if column.is_of_element { None } else { column.put(values, builder.as_mut()).err().map(|reason| (at, reason)) }
        };
        self.columns.iter().zip(&mut rows.shared).enumerate().filter_map(put).collect()
    }

    /// Adds a row.
    fn add(&self, values: &[Found<'_>], record: Record, unread: &[(usize, &'static str)], rows: &mut Rows) {
        let row = rows.of.len();
        rows.unread.extend(unread.iter().map(|(column, reason)| (row, *column, *reason)));
        for (at, (column, builder)) in self.columns.iter().zip(&mut rows.own).enumerate().filter(|(_, (column, _))| column.is_of_element) {
            if let Err(reason) = column.put(values, builder.as_mut()) {
                rows.unread.push((row, at, reason));
            }
        }
        rows.of.push(rows.count - 1);
        rows.records.push(record);
    }
}

impl Rows {
    fn finish(mut self, columns: &[JsonColumn]) -> (Decoded, Elements) {
        let count = self.of.len();
        let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(columns.len());
        for (shared, own) in self.shared.iter_mut().zip(&mut self.own) {
            arrays.push(match (shared, own) {
                (Some(shared), _) => repeated(&shared.finish(), &self.of),
                (None, own) => own.as_mut().map(JsonValues::finish),
            });
        }
        let decoded = Decoded { columns: arrays, rows: count, unread: self.unread, bad: self.bad, records: Some(self.records) };
        (decoded, self.elements)
    }
}

/// The values of records for each of their rows. Texts stay where they are, so that a long one does not take its length for each row.
fn repeated(values: &ArrayRef, of: &[i32]) -> Option<ArrayRef> {
    if let Some(texts) = values.as_any().downcast_ref::<StringArray>() {
        let is_there = |record: &i32| usize::try_from(*record).is_ok_and(|record| texts.is_valid(record));
        let keys: Int32Array = of.iter().map(|record| Some(*record).filter(is_there)).collect();
        let keyed = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts.clone())).ok()?;
        return Some(Arc::new(keyed));
    }
    let rows: UInt32Array = of.iter().map(|record| u32::try_from(*record).ok()).collect();
    take(values, &rows, None).ok()
}
