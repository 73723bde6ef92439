//! NDJSON extracts: one JSON object a line. A line that is no object is rejected alone.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::builder::StringBuilder;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::contract::Contract;
use super::decoded::Decoded;
use super::text::{Block, MAX_RECORD_BYTES, Record, TOO_LONG};
use super::values::JsonNumbers;
use crate::config::UnknownColumns;
use crate::number;

/// Decodes the contract's columns out of JSON lines.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The names of all columns.
    names: Vec<String>,
    columns: Vec<JsonColumn>,
    refuse_unknown: bool,
}

/// A column of the contract as lines may have it.
#[derive(Debug, Clone)]
struct JsonColumn {
    /// The positions of its names: the first with a value counts.
    places: Vec<usize>,
    /// The positions of members in which names with a point lead, as `device` does of `device.category`; what is nested there is not read.
    roots: Vec<usize>,
    numbers: JsonNumbers,
    is_needed: bool,
}

impl Lines {
    /// A decoder for a contract, of which some columns are needed.
    pub fn new(contract: &Contract, needed: &[bool]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut columns = Vec::new();
        for (column, needed) in contract.columns.iter().zip(needed) {
            let mut place = |wanted: &str| {
                names.iter().position(|name| name == wanted).unwrap_or_else(|| {
                    names.push(wanted.to_owned());
                    names.len() - 1
                })
            };
            let places = column.names.iter().map(|name| place(name)).collect();
            let roots = column.names.iter().filter_map(|name| name.split_once('.')).map(|(root, _)| place(root)).collect();
            columns.push(JsonColumn { places, roots, numbers: column.json_numbers(), is_needed: *needed });
        }
        // A member of the name of a column that is in the path is known, and not read.
        for (at, _) in contract.in_path.columns() {
            let name = &contract.columns[at].name;
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Lines { names, columns, refuse_unknown: contract.unknown_columns == UnknownColumns::Refuse }
    }

    /// Decodes the lines of a block.
    pub fn decode(&self, block: &Block) -> Decoded {
        let lines = memchr::memchr_iter(b'\n', &block.bytes).count() + 1;
        let share = block.bytes.len() / (2 * self.columns.len().max(1));
        let builder = |column: &JsonColumn| column.is_needed.then(|| StringBuilder::with_capacity(lines, share));
        let mut builders: Vec<Option<StringBuilder>> = self.columns.iter().map(builder).collect();
        let mut values: Vec<Scalar<'_>> = vec![Scalar::Null; self.names.len()];
        let (mut keys, mut rows, mut unread, mut bad) = (Vec::new(), 0, Vec::new(), Vec::new());
        for record in records(block) {
            values.fill(Scalar::Null);
            if let Err(reason) = self.line(&block.bytes[record.bytes.clone()], &mut keys, &mut values) {
                bad.push((record, reason));
                continue;
            }
            for (at, (builder, column)) in builders.iter_mut().zip(&self.columns).enumerate() {
                let value = match column.read(&values) {
                    Ok(value) => value,
                    Err(reason) => {
                        unread.push((rows, at, reason));
                        None
                    }
                };
                if let Some(builder) = builder {
                    builder.append_option(value);
                }
            }
            rows += 1;
        }
        let columns = builders.iter_mut().map(|column| column.as_mut().map(|column| Arc::new(column.finish()) as ArrayRef)).collect();
        let good = |record: &Record| bad.binary_search_by_key(&record.line, |(record, _)| record.line).is_err();
        let kept = (!bad.is_empty()).then(|| records(block).into_iter().filter(good).collect());
        Decoded { columns, rows, unread, bad, records: kept }
    }

    /// Puts the values of a line at the positions of their names.
    fn line<'a>(&self, line: &'a [u8], keys: &mut Vec<Key>, values: &mut [Scalar<'a>]) -> Result<(), &'static str> {
        if line.len() > MAX_RECORD_BYTES {
            return Err(TOO_LONG);
        }
        let text = std::str::from_utf8(line).map_err(|_| super::remarks::INVALID_UTF8)?;
        let mut json = Json { text, at: 0, has_controls: line.iter().min().is_some_and(|least| *least < b' ') };
        if !json.takes(b'{') {
            return Err(if serde_json::from_str::<IgnoredAny>(text).is_ok() { "not-an-object" } else { INVALID });
        }
        let mut unknown = false;
        let mut member = 0;
        while !(member == 0 && json.takes(b'}')) {
            let place = json.key(&self.names, keys, member).filter(|_| json.takes(b':')).ok_or(INVALID)?;
            json.over_space();
            let value = json.value().ok_or(INVALID)?;
            match values.get_mut(place) {
                Some(held) => *held = value,
                None => unknown = true,
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
            () if json.at < text.len() => Err(INVALID),
            () if unknown && self.refuse_unknown => Err(UNKNOWN),
            () => Ok(()),
        }
    }
}

impl JsonColumn {
    /// The value of a line, as text.
    #[inline]
    fn read<'a>(&self, values: &'a [Scalar<'_>]) -> Result<Option<Cow<'a, str>>, &'static str> {
        for &place in &self.places {
            match &values[place] {
                Scalar::Null => {}
                Scalar::Text(text) => return Ok(Some(Cow::Borrowed(text))),
                Scalar::Number(number) => return self.read_number(number).map(Some),
                Scalar::Nested => return Err(NESTED),
            }
        }
        if self.roots.iter().any(|&root| values[root] == Scalar::Nested) { Err(NESTED) } else { Ok(None) }
    }

    #[inline]
    fn read_number<'a>(&self, number: &'a str) -> Result<Cow<'a, str>, &'static str> {
        let as_written = Cow::Borrowed(number);
        // Digits alone mean the same everywhere, but for a zero below zero.
        if self.numbers == JsonNumbers::AsWritten || (number != "-0" && !number.contains(['.', 'e', 'E'])) {
            return Ok(as_written);
        }
        match self.numbers {
            JsonNumbers::AsWritten => Ok(as_written),
            JsonNumbers::Whole => Ok(number::whole_digits(number).map_or(as_written, Cow::Owned)),
            JsonNumbers::WholeAlone(reason) => number::whole_digits(number).map(Cow::Owned).ok_or(reason),
            JsonNumbers::Plain('.') => Ok(number::plain(number).map_or(as_written, Cow::Owned)),
            JsonNumbers::Plain(point) => {
                Ok(number::plain(number).map_or(as_written, |plain| Cow::Owned(plain.replace('.', point.encode_utf8(&mut [0; 4])))))
            }
        }
    }
}

const INVALID: &str = "invalid-json";
const NESTED: &str = "nested-value";
const UNKNOWN: &str = "unknown-column";

/// The key that a line before had in the same place, in its quotes, and the position of its name. Lines mostly have their keys in one
/// order.
type Key = (String, usize);

/// A value of an object.
#[derive(Clone, PartialEq)]
enum Scalar<'a> {
    /// A text, or a truth as it is written.
    Text(Cow<'a, str>),
    /// A number as it is written.
    Number(&'a str),
    Null,
    /// An array or an object.
    Nested,
}

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
    fn value(&mut self) -> Option<Scalar<'a>> {
        let start = self.at;
        match self.text.as_bytes().get(start)? {
            b'"' => return self.string().map(Scalar::Text),
            b'-' | b'0'..=b'9' => return self.number().map(|()| Scalar::Number(&self.text[start..self.at])),
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => return self.word("null").map(|()| Scalar::Null),
            _ => {
                let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<IgnoredAny>();
                values.next()?.ok()?;
                self.at += values.byte_offset();
                return Some(Scalar::Nested);
            }
        }
        Some(Scalar::Text(Cow::Borrowed(&self.text[start..self.at])))
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

/// The lines of a block, blank ones left out.
pub fn records(block: &Block) -> Vec<Record> {
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
    reason == UNKNOWN
}

/// How many rows have an object or a list where the contract has a column.
pub fn nested_rows(unread: &[(usize, usize, &str)]) -> usize {
    let mut rows: Vec<usize> = unread.iter().filter(|(.., reason)| *reason == NESTED).map(|(row, ..)| *row).collect();
    rows.dedup();
    rows.len()
}

/// A line as a JSON object of the members that the contract names, without nested values and the values of personal ones; none of its
/// values when it is no JSON object.
pub fn masked(line: &[u8], contract: &Contract) -> String {
    let Ok(Value::Object(object)) = serde_json::from_slice(line) else {
        return super::remarks::withheld(&format!("{} bytes", line.len()));
    };
    let declared = object.into_iter().filter_map(|(name, value)| {
        let shown = super::remarks::shown(contract, &name, value)?;
        Some((name, shown))
    });
    Value::Object(declared.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["a", "b", "old \"b\""];

    /// What stands for a value that cannot be read.
    const UNREAD: &str = "(unread)";

    type Rows = Vec<[Option<String>; 2]>;

    /// Two columns, of which the second has two names.
    fn decode(text: &str) -> (Rows, Vec<(u64, &'static str)>) {
        let column =
            |places: &[usize]| JsonColumn { places: places.to_vec(), roots: Vec::new(), numbers: JsonNumbers::AsWritten, is_needed: true };
        let lines = Lines { names: NAMES.map(str::to_owned).to_vec(), columns: vec![column(&[0]), column(&[1, 2])], refuse_unknown: false };
        let decoded = lines.decode(&Block { bytes: text.as_bytes().to_vec(), first_line: 1, has_lone_returns: false });
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
