//! CSV extracts (RFC 4180): columns are found by the header's names. A record that does not parse is rejected alone.

mod fields;
pub mod records;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::builder::StringBuilder;

use self::fields::Fields;
use self::records::{Standing, records};
use super::column::ContractColumn;
use super::contract::Contract;
use super::decoded::Decoded;
use super::format;
use super::text::{Block, MAX_RECORD_BYTES, Record, TOO_LONG, UNCLOSED_QUOTE};
use crate::config::SourceFormat;
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::shown as outside;

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

impl Header {
    /// Reads the header line and finds in it the contract's columns, of which those are decoded that are needed.
    ///
    /// # Errors
    /// [`Error::Refused`] when the line does not parse, names a column twice or lacks one that must be there.
    pub fn parse(line: &[u8], contract: &Contract, needed: &[bool], shown: &str) -> Result<Self> {
        let refused = |what: String| Error::Refused(Message::new(format!("{shown}: {what}")));
        let fields = fields(line).ok_or_else(|| {
            let message = Message::new(format!("{shown}: the header line is no text in UTF-8"));
            Error::Refused(message.hint("save the file as UTF-8; it may be in Windows-1252 or Latin-1, or be no text at all"))
        })?;
        let names: Vec<String> = fields.into_iter().map(|name| name.trim().to_owned()).collect();
        // The line may contain personal data instead of names, so it is not repeated.
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(names.len());
        let mut twice = None;
        for (at, name) in names.iter().enumerate() {
            // Spreadsheets leave columns without a name behind, which are ignored.
            let first = *places.entry(name).or_insert(at);
            if first < at && !name.is_empty() {
                twice = twice.or(Some(name));
            }
        }
        let in_files = || contract.columns.iter().filter(|column| !column.names.is_empty());
        let found = in_files().filter(|column| column.names.iter().any(|name| places.contains_key(name.as_str()))).count();
        if found == 0 {
            let wanted: Vec<&str> = in_files().map(ContractColumn::in_files).collect();
            let message = Message::new(format!("{shown}: the first line names none of the contract's columns"));
            let mut message = message.detail(format!("they are {}", list(&wanted)));
            message.details.extend(format::guess(line, SourceFormat::Csv));
            return Err(Error::Refused(
                message.hint("does the file have a header line? If its columns are named otherwise, say so with `from`"),
            ));
        }
        // A first row may have a word that is a column's name, too.
        let is_header = found * 2 >= in_files().count();
        if let Some(twice) = twice {
            return Err(refused(if is_header {
                format!("the header names `{}` twice", outside::column(twice))
            } else {
                "the header names a column twice".to_owned()
            }));
        }
        let mut positions = Vec::new();
        let mut missing = Vec::new();
        for column in &contract.columns {
            let position = column.find(|wanted| places.get(wanted).copied());
            if position.is_none() && !column.optional {
                missing.push(column.in_files());
            }
            positions.push(position);
        }
        if !missing.is_empty() {
            let there = names.iter().map(String::as_str).collect::<Vec<_>>();
            let mut message = Message::new(format!("{shown}: the header lacks {}", list(&missing)));
            message.details.extend(is_header.then(|| format!("it has {}", list(&outside::names(&there)))));
            message.details.extend(format::key_in_path(shown, &missing));
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
        if !block.has_lone_returns
            && let Some(split) = self.split(&block.bytes)
        {
            return Ok(self.decoded(&split, Vec::new(), None));
        }
        let mut good = Vec::with_capacity(block.bytes.len() + 1);
        let mut kept = Vec::new();
        let mut bad = Vec::new();
        for standing in records(&block.bytes) {
            let bytes = &block.bytes[standing.start..standing.end];
            let record = Record { bytes: standing.start..standing.end, line: block.first_line + standing.line };
            match fault(bytes, &standing, self.names.len()) {
                Some(reason) => bad.push((record, reason)),
                None => {
                    good.extend_from_slice(bytes);
                    good.push(b'\n');
                    kept.push(record);
                }
            }
        }
        let split = self.split(&good).ok_or_else(|| Error::defect("checked records did not parse"))?;
        Ok(self.decoded(&split, bad, Some(kept)))
    }

    fn decoded(&self, (columns, rows): &(Vec<ArrayRef>, usize), bad: Vec<(Record, &'static str)>, records: Option<Vec<Record>>) -> Decoded {
        let column = |place: &Option<usize>| place.map(|place| Arc::clone(&columns[place]));
        Decoded { columns: self.decoded.iter().map(column).collect(), rows: *rows, unread: Vec::new(), bad, records }
    }

    /// The columns that are decoded, and how many records they hold; none when a record does not parse.
    fn split(&self, bytes: &[u8]) -> Option<(Vec<ArrayRef>, usize)> {
        let text = std::str::from_utf8(bytes).ok()?;
        // Blank lines are no rows.
        let lines = (memchr::memchr_iter(b'\n', bytes).count() + 1).min(bytes.len() / self.wanted.len().max(1) + 1);
        let count = self.wanted.iter().flatten().count();
        let mut columns: Vec<_> = (0..count).map(|_| StringBuilder::with_capacity(lines, bytes.len() / self.wanted.len())).collect();
        let mut fields = Fields::of(text);
        let mut rows = 0;
        while fields.next_record() {
            let begin = fields.at();
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
            if without_line_end(&bytes[begin..fields.at()]).len() > MAX_RECORD_BYTES {
                return None;
            }
        }
        Some((columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect(), rows))
    }

    /// A record as a JSON object of the columns that the contract names, the values of personal ones left out. None of its values when the
    /// record has not as many fields as the header: then none can be trusted to be its column's.
    pub fn masked(&self, record: &[u8], contract: &Contract) -> String {
        let fields = fields(record).unwrap_or_default();
        if fields.len() != self.names.len() {
            let count = records(record).next().map_or(0, |standing| standing.fields);
            return super::remarks::withheld(&format!("{count} fields, {} bytes", record.len()));
        }
        let declared = self.names.iter().zip(fields).filter_map(|(name, value)| {
            let shown = super::remarks::shown(contract, name, value.as_str())?;
            Some((name.clone(), shown))
        });
        serde_json::Value::Object(declared.collect()).to_string()
    }
}

fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// What is wrong with a record, if something is.
fn fault(record: &[u8], standing: &Standing, width: usize) -> Option<&'static str> {
    if record.len() > MAX_RECORD_BYTES {
        return Some(TOO_LONG);
    }
    if std::str::from_utf8(record).is_err() {
        return Some(super::remarks::INVALID_UTF8);
    }
    if standing.in_quotes {
        return Some(UNCLOSED_QUOTE);
    }
    match standing.fields.cmp(&width) {
        Ordering::Equal => None,
        Ordering::Less => Some("too-few-fields"),
        Ordering::Greater => Some("too-many-fields"),
    }
}

/// The fields of one record; none when it is no text.
fn fields(record: &[u8]) -> Option<Vec<String>> {
    let count = records(record).next()?.fields;
    let mut fields = Fields::of(std::str::from_utf8(record).ok()?);
    (1..=count).map(|place| fields.next_field(place == count).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    /// The line of every record, with what is wrong with it.
    fn lines_and_faults(text: &str, width: usize) -> Vec<(u64, Option<&'static str>)> {
        let bytes = text.as_bytes();
        records(bytes).map(|found| (found.line + 2, fault(&bytes[found.start..found.end], &found, width))).collect()
    }

    #[test]
    fn records_keep_their_lines_across_quoted_line_ends() {
        assert_eq!(lines_and_faults("a,\"b\nb\"\r\n\nc,\"d \"\"e\"\"\"\n", 2), [(2, None), (5, None)]);
    }

    #[test]
    fn a_record_over_lines_is_one_whatever_is_wrong_with_it() {
        let found = lines_and_faults("1,\"x\n2,y,5\n\",3,extra\n9,z,4\n", 3);
        assert_eq!(found, [(2, Some("too-many-fields")), (5, None)]);
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
            written in (1..4_usize).prop_flat_map(|width| prop::collection::vec(prop::collection::vec("[a,\"\r\n é]{0,4}", width), 1..6)),
            all_quoted: bool,
        ) {
            let style = if all_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
            for record in &written {
                writer.write_record(record).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let width = written[0].len();
            prop_assert_eq!(split(&text, width), Some(written.clone()));
            prop_assert_eq!(split(&text, width + 1), None);
            prop_assert_eq!(lines_and_faults(&text, width).len(), written.len());
        }
    }

    #[test]
    fn quotes_within_a_field_are_text() {
        let fields = [["a\"b\"", "cd"], ["e", "g"]].map(|record| record.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(split("a\"b\",\"c\"d\r\n\r\n\ne,g", 2), Some(fields));
        assert_eq!(split("a,\"b\n", 2), None);
    }

    #[test]
    fn fields_are_counted() {
        assert_eq!(lines_and_faults("a\nb,c\nd,e,f\n", 2), [(2, Some("too-few-fields")), (3, None), (4, Some("too-many-fields"))]);
    }
}
