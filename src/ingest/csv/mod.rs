//! CSV extracts: columns are found by the header's names, or by their places. A record that does not parse is rejected alone.

mod advice;
mod dialect;
mod escapes;
mod fields;
mod header;
pub mod records;
mod settings;

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::builder::StringBuilder;

pub use self::dialect::Dialect;
use self::fields::Fields;
pub use self::header::Opening;
use self::records::{Standing, records};
pub use self::settings::CsvSettings;
use super::column::ContractColumn;
use super::contract::Contract;
use super::decoded::Decoded;
use super::text::{Block, MAX_RECORD_BYTES, Record, TOO_LONG, UNCLOSED_QUOTE};
use crate::error::{Error, Result};

/// The names of a CSV file's columns, in order.
#[derive(Debug, Clone)]
pub struct Header {
    /// All of the file's columns, by the names that are kept of rejected records.
    pub names: Vec<String>,
    /// For every column of the contract its place among those that are decoded, if it is.
    decoded: Vec<Option<usize>>,
    /// For every column of the file its place among those that are decoded, if it is.
    wanted: Vec<Option<usize>>,
    /// For every column of the file the columns of the contract that it is or may be.
    declared: Vec<Vec<usize>>,
    /// Columns of the contract that the file names in another case, each with the file's name.
    pub alike: Vec<(usize, String)>,
    /// What the file's first records say of its settings.
    pub advice: Option<String>,
    settings: CsvSettings,
}

impl Header {
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
        for standing in self.records(&block.bytes) {
            let bytes = &block.bytes[standing.start..standing.end];
            let record = Record { bytes: standing.start..standing.end, line: block.first_line + standing.line };
            match self.fault(bytes, &standing) {
                Some(reason) => bad.push((record, reason)),
                None => {
                    if !good.is_empty() {
                        // A carriage return that is escaped would take a line feed alone with it.
                        good.extend_from_slice(if self.settings.dialect.escape_outside().is_some() { b"\r\n" } else { b"\n" });
                    }
                    good.extend_from_slice(bytes);
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
        let mut fields = Fields::of(text, &self.settings.dialect, self.settings.trailing_delimiter);
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
        let mut fields = fields(record, &self.settings.dialect).unwrap_or_default();
        if self.settings.trailing_delimiter && fields.len() == self.names.len() + 1 {
            fields.pop_if(|last| last.is_empty());
        }
        if fields.len() != self.names.len() {
            let count = self.records(record).next().map_or(0, |standing| standing.fields);
            return super::remarks::withheld(&format!("{count} fields, {} bytes", record.len()));
        }
        let declared = self.names.iter().zip(&self.declared).zip(fields).filter_map(|((name, declared), value)| {
            let columns: Vec<&ContractColumn> = declared.iter().map(|column| &contract.columns[*column]).collect();
            Some((name.clone(), super::remarks::shown_of(contract, &columns, value.as_str())?))
        });
        serde_json::Value::Object(declared.collect()).to_string()
    }

    /// The records of a block.
    pub fn records<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Standing> + 'a {
        records(bytes, &self.settings.dialect)
    }

    /// What is wrong with a record, if something is.
    fn fault(&self, record: &[u8], standing: &Standing) -> Option<&'static str> {
        let width = self.wanted.len();
        if record.len() > MAX_RECORD_BYTES {
            return Some(TOO_LONG);
        }
        if std::str::from_utf8(record).is_err() {
            return Some(super::remarks::INVALID_UTF8);
        }
        if standing.in_quotes {
            return Some(UNCLOSED_QUOTE);
        }
        let is_trailed = self.settings.trailing_delimiter && standing.ends_in_delimiter && standing.fields == width + 1;
        match (standing.fields - usize::from(is_trailed)).cmp(&width) {
            Ordering::Equal => None,
            Ordering::Less => Some("too-few-fields"),
            Ordering::Greater => Some("too-many-fields"),
        }
    }
}

fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// The fields of one record; none when it is no text.
fn fields(record: &[u8], dialect: &Dialect) -> Option<Vec<String>> {
    let count = records(record, dialect).next()?.fields;
    let mut fields = Fields::of(std::str::from_utf8(record).ok()?, dialect, false);
    (1..=count).map(|place| fields.next_field(place == count).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    /// A header of so many columns, all of which are decoded.
    fn header(width: usize, settings: CsvSettings) -> Header {
        let names = vec![String::new(); width];
        let places: Vec<Option<usize>> = (0..width).map(Some).collect();
        Header {
            names,
            decoded: places.clone(),
            wanted: places,
            declared: vec![Vec::new(); width],
            alike: Vec::new(),
            advice: None,
            settings,
        }
    }

    /// The line of every record, with what is wrong with it.
    fn lines_and_faults(text: &str, width: usize) -> Vec<(u64, Option<&'static str>)> {
        let (bytes, header) = (text.as_bytes(), header(width, CsvSettings::default()));
        header.records(bytes).map(|found| (found.line + 2, header.fault(&bytes[found.start..found.end], &found))).collect()
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
        let (columns, rows) = header(width, CsvSettings::default()).split(text.as_bytes())?;
        let value = |row: usize| columns.iter().map(|column| column.as_string::<i32>().value(row).to_owned()).collect();
        Some((0..rows).map(value).collect())
    }

    fn settings(delimiter: char, quote: Option<u8>, escape: Option<u8>) -> CsvSettings {
        CsvSettings { dialect: Dialect { quote, escape, ..Dialect::of(delimiter) }, ..CsvSettings::default() }
    }

    fn values(columns: &[ArrayRef], rows: usize) -> Vec<Vec<String>> {
        let value = |row: usize| columns.iter().map(|column| column.as_string::<i32>().value(row).to_owned()).collect();
        (0..rows).map(value).collect()
    }

    proptest! {
        #[test]
        fn fields_are_those_that_were_written(
            written in (1..4_usize).prop_flat_map(|width| prop::collection::vec(prop::collection::vec("[a,;\"'\r\n é\t]{0,4}", width), 1..6)),
            all_quoted: bool, delimiter in prop::sample::select(b",;\t|".to_vec()), quote in prop::sample::select(b"\"'".to_vec()),
        ) {
            let style = if all_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new().quote_style(style).delimiter(delimiter).quote(quote).from_writer(Vec::new());
            for record in &written {
                writer.write_record(record).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let width = written[0].len();
            let settings = settings(char::from(delimiter), Some(quote), None);
            let split = |width: usize| header(width, settings).split(text.as_bytes()).map(|(columns, rows)| values(&columns, rows));
            prop_assert_eq!(split(width), Some(written.clone()));
            prop_assert_eq!(split(width + 1), None);
        }

        /// What is written with escape characters, by the rules that MySQL and Python follow, is read as it was.
        #[test]
        fn escaped_fields_are_those_that_were_escaped(
            written in (1..4_usize).prop_flat_map(|width| prop::collection::vec(prop::collection::vec("(\r\n|[a§,\"\n é\\\\]){1,5}", width), 1..6)),
            has_quotes: bool, delimiter in prop::sample::select(vec![',', '§']),
        ) {
            let mut text = String::new();
            for record in &written {
                let field = |field: &String| {
                    let escaped = |c: char| match c {
                        '\\' | '"' => format!("\\{c}"),
                        _ if !has_quotes && (c == delimiter || matches!(c, '\r' | '\n')) => format!("\\{c}"),
                        _ => c.to_string(),
                    };
                    let field: String = field.chars().map(escaped).collect();
                    if has_quotes { format!("\"{field}\"") } else { field }
                };
                text += &record.iter().map(field).collect::<Vec<_>>().join(&delimiter.to_string());
                text.push('\n');
            }
            let settings = settings(delimiter, has_quotes.then_some(b'"'), Some(b'\\'));
            let found = header(written[0].len(), settings).decode(&block(&text)).unwrap();
            let columns: Vec<ArrayRef> = found.columns.into_iter().flatten().collect();
            prop_assert_eq!(values(&columns, found.rows), written);
        }

        /// In every dialect each record of any text is one row or one reject, and rows that are split together are those that are split singly.
        #[test]
        fn every_record_is_a_row_or_a_reject(
            text in "(\r\n|[a,§\"#\\\\\n\r]){0,30}", dialect in records::tests::dialects(), trailing_delimiter: bool, width in 1..4_usize,
        ) {
            let header = header(width, CsvSettings { dialect, trailing_delimiter, ..CsvSettings::default() });
            let found = header.decode(&block(&text)).unwrap();
            prop_assert_eq!(found.rows + found.bad.len(), header.records(text.as_bytes()).count());
            let columns: Vec<ArrayRef> = found.columns.into_iter().flatten().collect();
            let mut rows = values(&columns, found.rows).into_iter();
            for record in header.records(text.as_bytes()).map(|record| &text[record.start..record.end]) {
                let single = fields(record.as_bytes(), &dialect);
                if let Some(single) = single.filter(|fields| fields.len() == width && !trailing_delimiter) {
                    prop_assert_eq!(Some(single), rows.next());
                }
            }
        }
    }

    fn block(text: &str) -> Block {
        let has_lone_returns = records::lone_returns(text.as_bytes()).next().is_some();
        Block { bytes: text.as_bytes().to_vec(), first_line: 1, has_lone_returns, json: None }
    }

    #[test]
    fn a_record_may_end_with_a_delimiter_if_the_settings_say_so() {
        let trailed = header(2, CsvSettings { trailing_delimiter: true, ..CsvSettings::default() });
        let found = trailed.decode(&block("a,b,\nc,\"d\"\ne,\"f\",\r\ng,,\nh,i,\"\"\nj,\nk,l,")).unwrap();
        let columns: Vec<ArrayRef> = found.columns.into_iter().flatten().collect();
        assert_eq!(values(&columns, found.rows), [["a", "b"], ["c", "d"], ["e", "f"], ["g", ""], ["j", ""], ["k", "l"]]);
        assert_eq!(found.bad.iter().map(|(record, reason)| (record.line, *reason)).collect::<Vec<_>>(), [(5, "too-many-fields")]);
    }

    #[test]
    fn backslashes_stand_for_what_their_writers_mean() {
        let read = |text: &str, quote| fields(text.as_bytes(), &settings(',', quote, Some(b'\\')).dialect).unwrap();
        assert_eq!(read(r#""C:\new","a\"b",\N,x\"y,c:\\d"#, Some(b'"')), [r"C:\new", "a\"b", r"\N", "x\"y", r"c:\d"]);
        assert_eq!(read("\\N,a\\tb\\,c,\\\\n,\\\"", None), [r"\N", "a\tb,c", r"\n", "\""]);
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
