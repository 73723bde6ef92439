//! JSON extracts: one object a line, or objects over any lines as `text/json.rs` finds them. A record that is no object is rejected alone.

mod column;
mod each;
mod elements;
mod masked;

use std::borrow::Cow;

use serde::de::IgnoredAny;

use self::column::JsonColumn;
use self::elements::EachLines;
pub use self::elements::Elements;
pub use self::masked::masked;
use super::contract::Contract;
use super::decoded::Decoded;
use super::nested::json::Found;
use super::nested::{INVALID, NESTED, NOT_NESTED, REPEATED};
use super::nested_column::JsonValues;
use super::text::{Block, MAX_RECORD_BYTES, Record, TOO_LONG};
use super::ways::{Roots, Way};
use crate::config::UnknownColumns;

/// Decodes the contract's columns out of JSON objects.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The names of all columns, and of members in which paths begin.
    names: Vec<String>,
    /// The paths that begin in these, and whether the contract reads what has the name, too.
    roots: Vec<(usize, bool, super::nested::json::Paths)>,
    /// How many values a record has: those of the names, and behind them those of the paths.
    values: usize,
    columns: Vec<JsonColumn>,
    /// The names of consents, and of members in which paths to them begin.
    consents: Vec<usize>,
    refuse_unknown: bool,
    each: Option<EachLines>,
    /// Whether a record that is null is none: among changes it says that nothing more will be said of a key.
    passes_nulls: bool,
}

impl Lines {
    /// A decoder for a contract, of which some columns are needed.
    pub fn new(contract: &Contract, needed: &[bool]) -> Self {
        let names = names_of(contract);
        let mut values = names.len();
        let mut next = || {
            values += 1;
            values - 1
        };
        let (mut roots, mut of_element) = (Roots::default(), EachLines::default());
        let mut columns = Vec::new();
        for (column, needed) in contract.columns.iter().zip(needed) {
            let mut places = Vec::new();
            for (of_file, way) in column.names.iter().zip(&column.ways) {
                if !way.is_of_element() {
                    places.extend(names.iter().position(|name| name == of_file));
                }
                match way {
                    Way::Named => {}
                    Way::Path(path) => {
                        places.push(next());
                        roots.add(path, places[places.len() - 1]);
                    }
                    Way::Element(rest) => {
                        places.push(next());
                        of_element.add(rest, places[places.len() - 1]);
                    }
                    Way::Number => places.push(of_element.number(&mut next)),
                }
            }
            columns.push(JsonColumn::of(column, places, *needed));
        }
        if let Some(each) = &contract.each {
            of_element.list = next();
            roots.add(&each.path, of_element.list);
        }
        let is_read = |root: &String| {
            let mut of_files = contract.columns.iter().flat_map(|column| column.names.iter().zip(&column.ways));
            of_files.any(|(name, way)| name == root && !way.is_of_element())
        };
        let place = |(root, paths): (String, _)| names.iter().position(|name| *name == root).map(|at| (at, is_read(&root), paths));
        let roots = roots.0.into_iter().filter_map(place).collect();
        let refuse_unknown = contract.unknown_columns == UnknownColumns::Refuse;
        let of_consent = contract.columns.iter().filter(|column| column.is_consent());
        let of_consent =
            of_consent.flat_map(|column| column.names.iter().map(String::as_str).chain(column.ways.iter().filter_map(Way::root)));
        let consents = of_consent.filter_map(|wanted| names.iter().position(|name| name == wanted)).collect();
        Lines {
            names,
            roots,
            values,
            columns,
            consents,
            refuse_unknown,
            each: contract.each.is_some().then_some(of_element),
            passes_nulls: contract.changes.is_some(),
        }
    }

    /// Whether a member is a column, or a path leads through it.
    pub fn knows(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether a record is none.
    fn is_none(&self, record: &[u8]) -> bool {
        self.passes_nulls && record.trim_ascii() == b"null"
    }

    /// Decodes the records of a block; where their elements are rows, where those stand is told, too.
    pub fn decode(&self, block: &Block) -> (Decoded, Option<Elements>) {
        if let Some(each) = &self.each {
            let (decoded, elements) = self.decode_each(each, block);
            return (decoded, Some(elements));
        }
        let found = records(block);
        let share = block.bytes.len() / (2 * self.columns.len().max(1));
        let mut builders = self.builders(|_| true, found.len(), share);
        let mut values: Vec<Found<'_>> = vec![Found::Null; self.values];
        let (mut keys, mut rows, mut unread, mut bad) = (Vec::new(), 0, Vec::new(), Vec::new());
        let mut nulls = 0;
        for record in found {
            values.fill(Found::Null);
            if self.is_none(&block.bytes[record.bytes.clone()]) {
                nulls += 1;
                continue;
            }
            if let Err(reason) = self.line(&block.bytes[record.bytes.clone()], &mut keys, &mut values) {
                bad.push((record, reason));
                continue;
            }
            for (at, (builder, column)) in builders.iter_mut().zip(&self.columns).enumerate() {
                if let Err(reason) = column.put(&values, builder.as_mut()) {
                    unread.push((rows, at, reason));
                }
            }
            rows += 1;
        }
        let columns = builders.iter_mut().map(|column| column.as_mut().map(JsonValues::finish)).collect();
        let is_bad = |record: &Record| bad.binary_search_by_key(&record.bytes.start, |(record, _)| record.bytes.start).is_ok();
        let good = |record: &Record| !is_bad(record) && !self.is_none(&block.bytes[record.bytes.clone()]);
        let kept = (!bad.is_empty() || nulls > 0).then(|| records(block).into_iter().filter(good).collect());
        let elements = (nulls > 0).then(|| Elements { rows: Vec::new(), empty: nulls });
        (Decoded { columns, rows, unread, bad, records: kept }, elements)
    }

    /// Where the values of some columns are gathered, if they are needed.
    fn builders(&self, which: impl Fn(&JsonColumn) -> bool, rows: usize, bytes: usize) -> Vec<Option<JsonValues>> {
        let builder =
            |column: &JsonColumn| (column.is_needed && which(column)).then(|| JsonValues::new(column.numbers, column.is_list, rows, bytes));
        self.columns.iter().map(builder).collect()
    }

    /// Puts the values of a record at their places.
    fn line<'a>(&self, line: &'a [u8], keys: &mut Vec<Key>, values: &mut [Found<'a>]) -> Result<(), &'static str> {
        if line.len() > MAX_RECORD_BYTES {
            return Err(TOO_LONG);
        }
        let text = std::str::from_utf8(line).map_err(|_| super::remarks::INVALID_UTF8)?;
        let mut json = Json { text, at: 0, has_controls: line.iter().min().is_some_and(|least| *least < b' ') };
        if !json.takes(b'{') {
            return Err(if serde_json::from_str::<IgnoredAny>(text).is_ok() { NOT_NESTED } else { INVALID });
        }
        let mut unknown = false;
        let mut member = 0;
        while !(member == 0 && json.takes(b'}')) {
            let place = json.key(&self.names, keys, member).filter(|_| json.takes(b':')).ok_or(INVALID)?;
            json.over_space();
            let value = json.value().ok_or(INVALID)?;
            if place < self.names.len() {
                // The last of equal names counts, as everywhere. Of two answers one may be a no.
                let is_doubt = self.consents.contains(&place) && values[place] != Found::Null && values[place] != value;
                values[place] = if is_doubt { Found::Bad(REPEATED) } else { value };
            } else {
                unknown = true;
            }
            member += 1;
            if !json.takes(b',') {
                if json.takes(b'}') {
                    break;
                }
                return Err(INVALID);
            }
        }
        json.over_space();
        match () {
            () if json.at < text.len() => return Err(INVALID),
            () if unknown && self.refuse_unknown => return Err(UNKNOWN),
            () => {}
        }
        for (root, is_read, paths) in &self.roots {
            match &values[*root] {
                Found::Null => {}
                Found::Nested(text) => paths.find(text, values),
                // A single value may be a column of its own, beside one whose name has a full stop.
                single if *is_read => paths.here(&single.clone(), values),
                single => paths.only_here(&single.clone(), values),
            }
        }
        Ok(())
    }
}

/// The names of all columns of a contract, and of members in which paths begin; each once.
fn names_of(contract: &Contract) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut name = |wanted: &str| {
        names.iter().position(|name| name == wanted).unwrap_or_else(|| {
            names.push(wanted.to_owned());
            names.len() - 1
        })
    };
    for column in &contract.columns {
        for (of_file, way) in column.names.iter().zip(&column.ways) {
            name(of_file);
            way.root().map(&mut name);
        }
    }
    contract.each.iter().filter_map(|each| each.path.root()).for_each(|root| {
        name(root);
    });
    // A member of the name of a column that is in the path is known, and not read.
    contract.in_path.columns().flat_map(|(at, part)| [contract.columns[at].name.as_str(), part]).for_each(|known| {
        name(known);
    });
    names
}

const UNKNOWN: &str = "unknown-column";

/// The key that a line before had in the same place, in its quotes, and the position of its name. Lines mostly have their keys in one
/// order.
type Key = (String, usize);

/// A JSON text (RFC 8259) as far as it has been read.
struct Json<'a> {
    text: &'a str,
    at: usize,
    /// Whether there are control characters, which may stand between values and not in strings.
    has_controls: bool,
}

impl<'a> Json<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    #[inline]
    fn over_space(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.text.as_bytes()[self.at..].iter().take_while(space).count();
    }

    /// Goes over space and one byte, if it is this one.
    #[inline]
    fn takes(&mut self, byte: u8) -> bool {
        self.over_space();
        let taken = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(taken);
        taken
    }

    /// The position of the name that a key is, past all names if it is none of them; none where there is no key.
    #[inline]
    fn key(&mut self, names: &[String], keys: &mut Vec<Key>, member: usize) -> Option<usize> {
        self.over_space();
        if let Some((key, place)) = keys.get(member)
            && self.rest().starts_with(key.as_str())
        {
            self.at += key.len();
            return Some(*place);
        }
        let start = self.at;
        let key = self.string()?;
        let place = names.iter().position(|name| *name == key).unwrap_or(names.len());
        keys.truncate(member);
        keys.push((self.text[start..self.at].to_owned(), place));
        Some(place)
    }

    #[inline]
    fn value(&mut self) -> Option<Found<'a>> {
        let start = self.at;
        match self.text.as_bytes().get(start)? {
            b'"' => return self.string().map(Found::Text),
            b'-' | b'0'..=b'9' => return self.number().map(|()| Found::Number(&self.text[start..self.at])),
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => return self.word("null").map(|()| Found::Null),
            _ => {
                let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<IgnoredAny>();
                values.next()?.ok()?;
                self.at += values.byte_offset();
                return Some(Found::Nested(&self.text[start..self.at]));
            }
        }
        Some(Found::Text(Cow::Borrowed(&self.text[start..self.at])))
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.rest().starts_with(word).then(|| self.at += word.len())
    }

    #[inline]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let content = self.rest().strip_prefix('"')?;
        let mut length = memchr::memchr2(b'"', b'\\', content.as_bytes())?;
        if content.as_bytes()[length] == b'"' && !self.has_controls {
            self.at += length + 2;
            return Some(Cow::Borrowed(&content[..length]));
        }
        while content.as_bytes().get(length)? != &b'"' {
            // Whatever is escaped ends no string.
            length += 2;
            length += memchr::memchr2(b'"', b'\\', content.as_bytes().get(length..)?)?;
        }
        self.at += length + 2;
        serde_json::from_str(&self.text[start..self.at]).ok().map(Cow::Owned)
    }

    fn number(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = self.at + usize::from(bytes[self.at] == b'-');
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes[at] == b'0') {
            return None;
        }
        at += whole;
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            at += 1 + Some(fraction).filter(|digits| *digits > 0)?;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            at += Some(digits(at)).filter(|digits| *digits > 0)?;
        }
        self.at = at;
        Some(())
    }
}

/// The records of a block: its lines, blank ones left out, unless it says where they are.
pub fn records(block: &Block) -> Vec<Record> {
    if let Some(json) = &block.json {
        return json.records.iter().map(|(bytes, line)| Record { bytes: bytes.clone(), line: *line }).collect();
    }
    let mut found = Vec::new();
    let (mut start, mut line) = (0, block.first_line);
    while start < block.bytes.len() {
        let rest = &block.bytes[start..];
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let content = &rest[..rest[..length].iter().rposition(|byte| !space(byte)).map_or(0, |last| last + 1)];
        if !content.is_empty() {
            found.push(Record { bytes: start..start + content.len(), line });
        }
        (start, line) = (start + length, line + 1);
    }
    found
}

/// Whether a line that was rejected is a JSON object all the same.
pub fn is_object(reason: &str) -> bool {
    ![INVALID, NOT_NESTED, super::remarks::INVALID_UTF8, super::remarks::INVALID_ENCODING].contains(&reason)
}

/// How many rows have an object or a list where the contract has a column.
pub fn nested_rows(unread: &[(usize, usize, &str)]) -> usize {
    let mut rows: Vec<usize> = unread.iter().filter(|(.., reason)| *reason == NESTED).map(|(row, ..)| *row).collect();
    rows.dedup();
    rows.len()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::values::JsonNumbers;
    use super::*;

    const NAMES: [&str; 3] = ["a", "b", "old \"b\""];

    /// What stands for a value that cannot be read.
    const UNREAD: &str = "(unread)";

    type Rows = Vec<[Option<String>; 2]>;

    /// Two columns, of which the second has two names.
    fn decode(text: &str) -> (Rows, Vec<(u64, &'static str)>) {
        let column = |places: &[usize]| JsonColumn {
            places: places.to_vec(),
            meaning: None,
            numbers: JsonNumbers::AsWritten,
            is_list: false,
            is_needed: true,
            is_of_element: false,
        };
        let names = NAMES.map(str::to_owned).to_vec();
        let columns = vec![column(&[0]), column(&[1, 2])];
        let lines = Lines {
            values: names.len(),
            names,
            roots: Vec::new(),
            columns,
            consents: Vec::new(),
            refuse_unknown: false,
            each: None,
            passes_nulls: false,
        };
        let (decoded, _) = lines.decode(&Block { bytes: text.as_bytes().to_vec(), first_line: 1, has_lone_returns: false, json: None });
        let value = |column: usize, row: usize| {
            let texts = decoded.columns[column].as_ref().unwrap().as_string::<i32>();
            let is_unread = decoded.unread.iter().any(|(at, of, _)| (*at, *of) == (row, column));
            if is_unread { Some(UNREAD.to_owned()) } else { texts.iter().nth(row).unwrap().map(str::to_owned) }
        };
        let rows = (0..decoded.rows).map(|row| [value(0, row), value(1, row)]).collect();
        (rows, decoded.bad.into_iter().map(|(record, reason)| (record.line, reason)).collect())
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a\\\\\"\t\u{1F600}é]{0,4}".prop_map(Value::from),
        ];
        scalar.prop_recursive(2, 6, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
    }

    fn shown(value: Option<&Value>) -> Option<String> {
        match value? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Array(_) | Value::Object(_) => Some(UNREAD.to_owned()),
            other => Some(other.to_string()),
        }
    }

    proptest! {
        #[test]
        fn values_are_those_that_were_written(objects in prop::collection::vec(
            prop::collection::vec((prop::sample::select(vec!["a", "b", "old \"b\"", "other"]), value()), 0..5), 1..5,
        )) {
            let objects: Vec<serde_json::Map<String, Value>> =
                objects.into_iter().map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).collect();
            let text: String = objects.iter().map(|object| serde_json::to_string(object).unwrap() + "\r\n").collect();
            let row = |object: &serde_json::Map<String, Value>| {
                let second = shown(object.get("b")).or_else(|| shown(object.get(NAMES[2])));
                [shown(object.get("a")), second]
            };
            let rows: Rows = objects.iter().map(row).collect();
            prop_assert_eq!(decode(&text), (rows, vec![]));
        }

        #[test]
        fn a_line_is_an_object_or_it_is_not(line in r#"\{("a"|"b"|"\\u0061"|[ \t]){0,2}[{}\[\]":, \t\\0-1.e+\-tfnu]{0,8}(true|null|1e5|-0\.5|01|"x"|"\t")?[}\]" ]{0,3}"#) {
            let object = serde_json::from_str::<IgnoredAny>(&line).is_ok();
            let (_, bad) = decode(&line);
            prop_assert_eq!(object, bad.is_empty(), "{:?}", bad);
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_the_first_name_with_a_value() {
        let text = "{\"a\": 1, \"a\": \"\\u0041\"}\n{\"old \\\"b\\\"\": 2.50, \"b\": null, \"other\": [{\"a\": 3}]}\n";
        let rows = vec![[Some("A".to_owned()), None], [None, Some("2.50".to_owned())]];
        assert_eq!(decode(text), (rows, vec![]));
    }
}
