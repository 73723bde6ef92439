//! Divides JSON documents into their records: objects one after the other over any lines, or in a list, or in a list that lies in an object.
//! `document.rs` reads them with it.

use std::ops::Range;

use crate::config::{SourceFormat, Step};
use crate::ingest::contract::Contract;

/// The reason of what follows in a JSON document that ends too early, or in which brackets do not match.
pub const UNCLOSED: &str = "unclosed-json";

/// How many brackets may be open.
const DEEPEST: usize = 1024 * 1024;

/// Where the records of a block of a JSON document are.
#[derive(Debug, Clone, Default)]
pub struct JsonRecords {
    /// The bytes of the records, or elements, and the line on which each begins.
    pub records: Vec<(Range<usize>, u64)>,
    /// If they are elements of a list that is too long for one record, the place of the first in it.
    pub first_element: Option<u64>,
}

/// The object around the list whose elements are rows.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The members down to the list.
    pub members: Vec<String>,
    /// The columns that lie outside of the list.
    pub outside: Vec<String>,
}

/// Where a document has been read to, between two records.
#[derive(Debug, Default)]
pub struct Splitter {
    /// What is open around the next record, the outermost first.
    pub open: Vec<Open>,
}

/// What is open around records.
#[derive(Debug)]
pub enum Open {
    /// A list of records.
    List,
    /// A list of elements in an object that is too long for one record, and the place of the next.
    Elements(u64),
    /// Such an object, or one in it: how deep, and whether its list has been seen.
    Envelope {
        /// How deep.
        level: usize,
        /// Whether it has been seen.
        is_found: bool,
    },
}

impl Splitter {
    /// How a text is divided that begins so: as a document, or else line by line.
    pub fn of(head: &[u8], format: SourceFormat, name: &str) -> Option<Self> {
        let text = head.trim_ascii_start();
        let is_document = match format {
            SourceFormat::Json => true,
            SourceFormat::Ndjson => text.starts_with(b"[") || (is_named_json(name) && goes_over_lines(text)),
            SourceFormat::Csv | SourceFormat::Parquet => false,
        };
        is_document.then(Splitter::default)
    }

    /// Goes over whole records; how far, and where they are. It stops where the kind of the records changes.
    ///
    /// # Errors
    /// When the brackets of the first record do not match.
    pub fn scan(&mut self, window: &[u8], is_end: bool, first_line: u64) -> Result<(usize, JsonRecords), Lost> {
        let mut found = JsonRecords { records: Vec::new(), first_element: self.next_element() };
        let (mut at, mut line, mut counted) = (0, first_line, 0);
        while let Some(&byte) = window.get(at) {
            match (byte, self.open.last()) {
                (b' ' | b'\t' | b'\n' | b'\r' | b',', _) => at += 1,
                (b'[', None) => {
                    self.open.push(Open::List);
                    at += 1;
                }
                (b']', Some(Open::List)) => {
                    self.open.pop();
                    at += 1;
                }
                (b']', Some(Open::Elements(_))) => {
                    self.open.pop();
                    return Ok((at + 1, found));
                }
                (_, Some(Open::Envelope { .. })) => return Ok((at, found)),
                _ => {
                    let length = match record(&window[at..], is_end) {
                        Ok(Some(length)) => length,
                        // What stands before it is given first.
                        Err(Lost) if at == 0 => return Err(Lost),
                        Ok(None) | Err(Lost) => break,
                    };
                    line += memchr::memchr_iter(b'\n', &window[counted..at]).count() as u64;
                    counted = at;
                    found.records.push((at..at + length, line));
                    at += length;
                    if let Some(Open::Elements(next)) = self.open.last_mut() {
                        *next += 1;
                    }
                }
            }
        }
        Ok((at, found))
    }

    fn next_element(&self) -> Option<u64> {
        match self.open.last() {
            Some(Open::Elements(next)) => Some(*next),
            _ => None,
        }
    }
}

/// What a record is whose brackets do not match: nobody knows where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// The length of the record that a text begins with; none where it is not all there.
fn record(text: &[u8], is_end: bool) -> Result<Option<usize>, Lost> {
    let mut machine = Machine::default();
    Ok(match machine.feed(text)? {
        Some(end) => Some(end),
        None if is_end && machine.is_word => Some(text.len()),
        None => None,
    })
}

fn is_named_json(name: &str) -> bool {
    [".json", ".json.gz", ".json.zst"].iter().any(|ending| name.ends_with(ending))
        || !name.rsplit('/').next().is_some_and(|file| file.contains('.'))
}

/// Whether an object goes on behind its first line. One a line begins and ends there, and so does one that was cut off.
fn goes_over_lines(text: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', text) else { return false };
    let (first, rest) = (text[..end].trim_ascii_end(), text[end..].trim_ascii_start());
    let is_open = first.starts_with(b"{") && !matches!(record(first, true), Ok(Some(_)));
    let ends_open = matches!(first.last(), Some(b'{' | b'[' | b',' | b':'));
    let goes_on = match rest.first() {
        Some(b'"') => ends_open,
        Some(b'}' | b']' | b',') => true,
        Some(b'{') => first.ends_with(b"[") || (first.ends_with(b",") && is_in_list(first) && !is_one_line(rest)),
        _ => first.ends_with(b"[") || first.ends_with(b":"),
    };
    is_open && goes_on
}

/// Whether a text ends within a list.
fn is_in_list(text: &[u8]) -> bool {
    let mut machine = Machine::default();
    matches!(machine.feed(text), Ok(None)) && !machine.in_string && machine.lists.last() == Some(&true)
}

/// Whether a text begins with an object that has a line for itself.
fn is_one_line(text: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    matches!(record(&text[..end], false), Ok(Some(length)) if text[length..end].trim_ascii().is_empty())
}

impl Envelope {
    /// That of a contract whose rows are elements.
    pub fn of(contract: &Contract) -> Option<Self> {
        let name = |step: &Step| if let Step::Member(name) = step { Some(name.clone()) } else { None };
        let members = contract.each.as_ref()?.path.steps.iter().filter_map(name).collect();
        let is_outside = |column: &&crate::ingest::column::ContractColumn| !column.ways.iter().all(crate::ingest::ways::Way::is_of_element);
        let outside = contract.in_files().filter(is_outside).map(|column| column.in_files().to_owned()).collect();
        Some(Envelope { members, outside })
    }
}

/// The key that a text begins with, and where its value begins.
pub fn key(text: &[u8]) -> Option<(String, usize)> {
    let end = Machine::default().feed(text).ok()??;
    let key = serde_json::from_slice(&text[..end]).ok()?;
    let over_space = |from: usize| text[from..].iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).map(|at| from + at);
    let colon = over_space(end).filter(|at| text[*at] == b':')?;
    Some((key, over_space(colon + 1)?))
}

/// The first list of objects in the one object that a text is, as far as its first bytes say; none where the object has a member that is
/// known.
pub fn list_within(head: &[u8], is_known: impl Fn(&str) -> bool) -> Option<String> {
    let text = head.trim_ascii_start();
    if !text.starts_with(b"{") {
        return None;
    }
    let end = Machine::default().feed(text).ok()?;
    if end.is_some_and(|end| !text[end..].trim_ascii().is_empty()) {
        return None;
    }
    let (mut at, mut list) = (1, None);
    loop {
        at += text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',')).count();
        let Some((name, value)) = key(&text[at..]) else { return list };
        if is_known(&name) {
            return None;
        }
        let value = &text[at + value..];
        if list.is_none() && value.strip_prefix(b"[").is_some_and(|items| items.trim_ascii_start().starts_with(b"{")) {
            list = Some(name);
        }
        // What lies behind the first bytes is not known.
        let Ok(Some(length)) = Machine::default().feed(value) else { return list };
        at = text.len() - value.len() + length;
    }
}

/// Finds the end of a value, whose parts may come one after the other.
#[derive(Debug, Default)]
pub struct Machine {
    has_begun: bool,
    /// Whether it is a number or a word, which ends where something else begins.
    pub is_word: bool,
    in_string: bool,
    is_escaped: bool,
    /// What is open, a list or else an object.
    lists: Vec<bool>,
}

impl Machine {
    /// The end of the value, if it is here.
    ///
    /// # Errors
    /// When brackets do not match.
    pub fn feed(&mut self, text: &[u8]) -> Result<Option<usize>, Lost> {
        let mut at = 0;
        while at < text.len() {
            if self.in_string {
                if !std::mem::take(&mut self.is_escaped) {
                    let Some(length) = memchr::memchr2(b'"', b'\\', &text[at..]) else { return Ok(None) };
                    at += length;
                    self.is_escaped = text[at] == b'\\';
                    self.in_string = self.is_escaped;
                }
                at += 1;
                if !self.in_string && self.lists.is_empty() {
                    return Ok(Some(at));
                }
                continue;
            }
            let byte = text[at];
            if self.is_word && matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(Some(at));
            }
            let begins = !std::mem::replace(&mut self.has_begun, true);
            match byte {
                _ if self.is_word => {}
                b'"' => self.in_string = true,
                b'{' | b'[' if self.lists.len() == DEEPEST => return Err(Lost),
                b'{' | b'[' => self.lists.push(byte == b'['),
                // A bracket that closes nothing is a record of its own, and a bad one.
                b'}' | b']' if begins => return Ok(Some(at + 1)),
                b'}' | b']' => {
                    if self.lists.pop() != Some(byte == b']') {
                        return Err(Lost);
                    }
                    if self.lists.is_empty() {
                        return Ok(Some(at + 1));
                    }
                }
                _ => self.is_word = begins,
            }
            at += 1;
        }
        Ok(None)
    }
}
