//! CSV extracts (RFC 4180): columns are found by the header's names, and a record that does not parse costs only itself.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::builder::StringBuilder;

use super::column::ContractColumn;
use super::contract::Contract;
use super::text::{Block, MAX_RECORD_BYTES, Record};
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};

/// The names of a CSV file's columns, in order.
#[derive(Debug, Clone)]
pub struct Header {
    /// All of the file's columns.
    pub names: Vec<String>,
    /// For every column of the contract its place among those that are decoded, if it is.
    decoded: Vec<Option<usize>>,
    /// For every column of the file its place among those that are decoded, if it is.
    wanted: Vec<Option<usize>>,
}

/// Records of a block as columns of text, and those that could not be.
pub struct Decoded {
    /// An array for every column of the contract that the file has and that is needed.
    pub columns: Vec<Option<ArrayRef>>,
    /// How many records they hold.
    pub rows: usize,
    /// Records that do not parse, and why.
    pub bad: Vec<(Record, &'static str)>,
    /// The records that the arrays hold, when they are not simply all of the block's.
    pub records: Option<Vec<Record>>,
}

impl Header {
    /// Reads the header line and finds in it the contract's columns, of which those are decoded that are needed.
    ///
    /// # Errors
    /// [`Error::Refused`] when the line does not parse, names a column twice or lacks one that must be there.
    pub fn parse(line: &[u8], contract: &Contract, needed: &[bool], shown: &str) -> Result<Self> {
        let refused = |what: String| Error::Refused(Message::new(format!("{shown}: {what}")));
        let fields = fields(line).ok_or_else(|| refused("the header line does not parse".to_owned()))?;
        let names: Vec<String> = fields.into_iter().map(|name| name.trim().to_owned()).collect();
        // What stands there instead may be personal, so it is not repeated.
        if !contract.columns.iter().flat_map(|column| &column.names).any(|name| names.contains(name)) {
            let wanted: Vec<&str> = contract.columns.iter().map(ContractColumn::in_files).collect();
            let message = Message::new(format!("{shown}: the first line names none of the contract's columns"));
            let message = message.detail(format!("they are {}", list(&wanted)));
            return Err(Error::Refused(
                message.hint("does the file have a header line? If its columns are named otherwise, say so with `from`"),
            ));
        }
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name) {
            return Err(refused(format!("the header names `{twice}` twice")));
        }
        let mut positions = Vec::new();
        let mut missing = Vec::new();
        for column in &contract.columns {
            let position = column.find(|wanted| names.iter().position(|name| name == wanted));
            if position.is_none() && !column.optional {
                missing.push(column.in_files());
            }
            positions.push(position);
        }
        if !missing.is_empty() {
            let there = names.iter().map(String::as_str).collect::<Vec<_>>();
            let message = Message::new(format!("{shown}: the header lacks {}", list(&missing))).detail(format!("it has {}", list(&there)));
            return Err(Error::Refused(
                message.hint("correct `from` in the contract, or say `optional: true` where a file may lack the column"),
            ));
        }
        contract.refuse_unknown(shown, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut wanted = vec![None; names.len()];
        let mut count = 0;
        let decode = |(position, needed): (Option<usize>, &bool)| {
            let place = &mut wanted[position.filter(|_| *needed)?];
            Some(*place.get_or_insert_with(|| {
                count += 1;
                count - 1
            }))
        };
        let decoded = positions.into_iter().zip(needed).map(decode).collect();
        Ok(Header { names, decoded, wanted })
    }

    /// Decodes a block: all at once if it is clean, and record by record if it is not.
    ///
    /// # Errors
    /// [`Error::Defect`] when records that parse singly do not parse together.
    pub fn decode(&self, block: &Block) -> Result<Decoded> {
        if let Some(split) = self.split(&block.bytes) {
            return Ok(self.decoded(&split, Vec::new(), None));
        }
        let mut good = Vec::with_capacity(block.bytes.len());
        let mut records = Vec::new();
        let mut bad = Vec::new();
        for (record, fault) in checked_records(block, self.names.len()) {
            match fault {
                Some(reason) => bad.push((record, reason)),
                None => {
                    good.extend_from_slice(&block.bytes[record.bytes.clone()]);
                    good.push(b'\n');
                    records.push(record);
                }
            }
        }
        let split = self.split(&good).ok_or_else(|| Error::defect("checked records did not parse"))?;
        Ok(self.decoded(&split, bad, Some(records)))
    }

    fn decoded(&self, (columns, rows): &(Vec<ArrayRef>, usize), bad: Vec<(Record, &'static str)>, records: Option<Vec<Record>>) -> Decoded {
        let column = |place: &Option<usize>| place.map(|place| Arc::clone(&columns[place]));
        Decoded { columns: self.decoded.iter().map(column).collect(), rows: *rows, bad, records }
    }

    /// The columns that are decoded, and how many records they hold; none when a record does not parse.
    fn split(&self, bytes: &[u8]) -> Option<(Vec<ArrayRef>, usize)> {
        let text = std::str::from_utf8(bytes).ok()?;
        let lines = memchr::memchr_iter(b'\n', bytes).count() + 1;
        let count = self.wanted.iter().flatten().count();
        let mut columns: Vec<_> = (0..count).map(|_| StringBuilder::with_capacity(lines, bytes.len() / self.wanted.len())).collect();
        let mut fields = Fields { text, at: 0, unquoted: String::new() };
        let mut rows = 0;
        while fields.next_record() {
            let begin = fields.at;
            for (position, wanted) in self.wanted.iter().enumerate() {
                let is_last = position + 1 == self.wanted.len();
                let value = fields.next_field(is_last)?;
                match wanted {
                    Some(place) if value.is_empty() => columns[*place].append_null(),
                    Some(place) => columns[*place].append_value(value),
                    None => {}
                }
            }
            rows += 1;
            if without_line_end(&bytes[begin..fields.at]).len() > MAX_RECORD_BYTES {
                return None;
            }
        }
        Some((columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect(), rows))
    }

    /// A record as a JSON object, personal values left out; none when it does not parse.
    pub fn masked(&self, record: &[u8], contract: &Contract) -> Option<String> {
        let fields = fields(record)?;
        if fields.len() != self.names.len() {
            return None;
        }
        let personal = |name: &str| contract.columns.iter().any(|column| column.personal && column.names.iter().any(|known| known == name));
        let object: serde_json::Map<_, _> = self
            .names
            .iter()
            .zip(fields)
            .map(|(name, value)| (name.clone(), if personal(name) { super::reader::MASK.into() } else { value.into() }))
            .collect();
        Some(serde_json::Value::Object(object).to_string())
    }
}

/// Where the last whole record of some bytes ends.
pub fn last_boundary(bytes: &[u8]) -> Option<usize> {
    if memchr::memchr(b'"', bytes).is_none() {
        return memchr::memrchr(b'\n', bytes).map(|at| at + 1);
    }
    let mut scanner = Scanner::default();
    let mut last = None;
    for (at, &byte) in bytes.iter().enumerate() {
        if scanner.step(byte) {
            last = Some(at + 1);
        }
    }
    last
}

/// The records of a block as they stand, blank lines left out.
pub fn records(block: &Block) -> Vec<Record> {
    let mut found = Vec::new();
    let mut place = (0, block.first_line);
    while let Some((record, next)) = next_record(block, place) {
        found.extend(record);
        place = next;
    }
    found
}

fn ends_outside_quotes(bytes: &[u8]) -> bool {
    if memchr::memchr(b'"', bytes).is_none() {
        return true;
    }
    let mut scanner = Scanner::default();
    for &byte in bytes {
        scanner.step(byte);
    }
    scanner.state != State::Quoted
}

/// Every record of a block with what is wrong with it. A record over several lines that does not parse is probably one with a
/// quote that was never closed: only its first line is at fault, and reading goes on with the next.
fn checked_records(block: &Block, width: usize) -> Vec<(Record, Option<&'static str>)> {
    let mut found = Vec::new();
    let mut place = (0, block.first_line);
    while let Some((record, next)) = next_record(block, place) {
        place = next;
        let Some(record) = record else { continue };
        let bytes = &block.bytes[record.bytes.clone()];
        let Some(reason) = fault(bytes, width) else {
            found.push((record, None));
            continue;
        };
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                place = (record.bytes.start + end + 1, record.line + 1);
                let first = Record { bytes: record.bytes.start..record.bytes.start + end, line: record.line };
                found.push((first, Some("unclosed-quote")));
            }
            None => found.push((record, Some(reason))),
        }
    }
    found
}

fn fault(record: &[u8], width: usize) -> Option<&'static str> {
    if record.len() > MAX_RECORD_BYTES {
        return Some("record-too-long");
    }
    if std::str::from_utf8(record).is_err() {
        return Some("invalid-utf8");
    }
    if !ends_outside_quotes(record) {
        return Some("unclosed-quote");
    }
    match field_count(record).cmp(&width) {
        Ordering::Equal => None,
        Ordering::Less => Some("too-few-fields"),
        Ordering::Greater => Some("too-many-fields"),
    }
}

fn field_count(record: &[u8]) -> usize {
    let mut scanner = Scanner::default();
    let separates = |&&byte: &&u8| {
        let quoted = scanner.state == State::Quoted;
        scanner.step(byte);
        byte == b',' && !quoted
    };
    1 + record.iter().filter(separates).count()
}

/// The record at a place, none for a blank line, and the place after it.
#[allow(clippy::type_complexity, reason = "a place is an offset and a line")]
fn next_record(block: &Block, (start, line): (usize, u64)) -> Option<(Option<Record>, (usize, u64))> {
    let rest = block.bytes.get(start..).filter(|rest| !rest.is_empty())?;
    let mut scanner = Scanner::default();
    let length = rest.iter().position(|&byte| scanner.step(byte)).map_or(rest.len(), |at| at + 1);
    let lines = memchr::memchr_iter(b'\n', &rest[..length]).count() as u64;
    let content = without_line_end(&rest[..length]);
    let record = (!content.is_empty()).then(|| Record { bytes: start..start + content.len(), line });
    Some((record, (start + length, line + lines)))
}

fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

fn fields(record: &[u8]) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(record);
    let mut fields = csv::StringRecord::new();
    reader.read_record(&mut fields).ok().filter(|read| *read)?;
    Some(fields.iter().map(str::to_owned).collect())
}

/// The fields of some records, one after the other.
struct Fields<'a> {
    text: &'a str,
    at: usize,
    /// A field whose quotes are not simply around it.
    unquoted: String,
}

impl Fields<'_> {
    /// Goes on to the next record, over blank lines; false when there is none.
    fn next_record(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        loop {
            match &bytes[self.at..] {
                [] | [b'\r'] => return false,
                [b'\n', ..] => self.at += 1,
                [b'\r', b'\n', ..] => self.at += 2,
                _ => return true,
            }
        }
    }

    /// The next field, without its quotes; none when a quote is not closed or the record has fewer or more fields.
    #[inline]
    fn next_field(&mut self, is_last: bool) -> Option<&str> {
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            return self.quoted_field(is_last);
        }
        let start = self.at;
        let end = self.end_of_field(is_last)?;
        Some(&self.text[start..end])
    }

    /// Where the unquoted text ends that stands here; goes on behind it.
    #[inline]
    fn end_of_field(&mut self, is_last: bool) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let length = memchr::memchr2(b',', b'\n', &bytes[self.at..]);
        let end = length.map_or(bytes.len(), |length| self.at + length);
        let ends_record = bytes.get(end) != Some(&b',');
        if ends_record != is_last {
            return None;
        }
        let content = if ends_record && end > self.at && bytes[end - 1] == b'\r' { end - 1 } else { end };
        self.at = (end + 1).min(bytes.len());
        Some(content)
    }

    #[cold]
    fn quoted_field(&mut self, is_last: bool) -> Option<&str> {
        let text = self.text;
        self.unquoted.clear();
        loop {
            let start = self.at + 1;
            let end = start + memchr::memchr(b'"', &text.as_bytes()[start..])?;
            self.unquoted.push_str(&text[start..end]);
            self.at = end + 1;
            if text.as_bytes().get(self.at) != Some(&b'"') {
                break;
            }
            // Two quotes stand for one.
            self.unquoted.push('"');
        }
        let start = self.at;
        let end = self.end_of_field(is_last)?;
        self.unquoted.push_str(&text[start..end]);
        Some(&self.unquoted)
    }
}

/// Where in a record a byte stands. A quote opens only at a field's beginning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

#[derive(Debug, Default)]
struct Scanner {
    state: State,
}

impl Scanner {
    /// Takes a byte; true when it ends a record.
    #[inline]
    fn step(&mut self, byte: u8) -> bool {
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) => State::Quoted,
            (State::QuoteInQuoted, b'"') => State::Quoted,
            (State::FieldStart, b'"') => State::Quoted,
            (_, b'\n') => {
                self.state = State::FieldStart;
                return true;
            }
            (_, b',') => State::FieldStart,
            _ => State::Plain,
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    fn block(text: &str) -> Block {
        Block { bytes: text.as_bytes().to_vec(), first_line: 2 }
    }

    fn lines_and_faults(text: &str, width: usize) -> Vec<(u64, Option<&'static str>)> {
        checked_records(&block(text), width).into_iter().map(|(record, fault)| (record.line, fault)).collect()
    }

    #[test]
    fn records_keep_their_lines_across_quoted_line_ends() {
        let text = "a,\"b\nb\"\r\n\nc,\"d \"\"e\"\"\"\n";
        assert_eq!(lines_and_faults(text, 2), [(2, None), (5, None)]);
        assert_eq!(last_boundary(b"a,b\nc,\"d\n"), Some(4));
    }

    #[test]
    fn an_unclosed_quote_costs_one_line() {
        let text = "a,b\nc,\"d\ne,f\ng,h\n";
        assert_eq!(lines_and_faults(text, 2), [(2, None), (3, Some("unclosed-quote")), (4, None), (5, None)]);
    }

    fn split(text: &str, width: usize) -> Option<Vec<Vec<String>>> {
        let names = vec![String::new(); width];
        let places: Vec<Option<usize>> = (0..width).map(Some).collect();
        let (columns, rows) = Header { names, decoded: places.clone(), wanted: places }.split(text.as_bytes())?;
        let value = |row: usize| columns.iter().map(|column| column.as_string::<i32>().value(row).to_owned()).collect();
        Some((0..rows).map(value).collect())
    }

    proptest! {
        #[test]
        fn fields_are_those_that_were_written(
            records in (1..4_usize).prop_flat_map(|width| prop::collection::vec(prop::collection::vec("[a,\"\r\n é]{0,4}", width), 1..6)),
            all_quoted: bool,
        ) {
            let style = if all_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
            for record in &records {
                writer.write_record(record).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let width = records[0].len();
            prop_assert_eq!(split(&text, width), Some(records.clone()));
            prop_assert_eq!(split(&text, width + 1), None);
            prop_assert_eq!(checked_records(&block(&text), width).len(), records.len());
        }
    }

    #[test]
    fn quotes_within_a_field_and_a_bare_carriage_return_are_text() {
        let fields = [["a\"b\"", "cd"], ["e\rf", "g"]].map(|record| record.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(split("a\"b\",\"c\"d\r\n\r\n\ne\rf,g", 2), Some(fields));
        assert_eq!(split("a,\"b\n", 2), None);
    }

    #[test]
    fn fields_are_counted() {
        assert_eq!(lines_and_faults("a\nb,c\nd,e,f\n", 2), [(2, Some("too-few-fields")), (3, None), (4, Some("too-many-fields"))]);
    }
}
