//! Divides JSON documents into their records: objects one after the other over any lines, or in a list, or in a list that lies in an object.
//! Nothing but one record is held, and of an object that is longer than a record the list with the records is read element by element.

use super::{BLOCK_BYTES, Block, Blocks, MAX_RECORD_BYTES, Piece, Record, TOO_LONG};
use crate::config::{SourceFormat, Step};
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::ingest::contract::Contract;
use crate::ingest::nested::{INVALID, NOT_A_LIST};

/// The reason of what follows in a JSON document that ends too early, or in which brackets do not match.
pub const UNCLOSED: &str = "unclosed-json";

/// Where the records of a block of a JSON document are.
#[derive(Debug, Clone, Default)]
pub struct JsonRecords {
    /// The records, or elements.
    pub records: Vec<Record>,
    /// If they are elements of a list that is too long for one record, the place of the first in it.
    pub first_element: Option<u64>,
}

/// The object around the list whose elements are rows.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The members down to the list.
    members: Vec<String>,
    /// The columns that lie outside of the list.
    outside: Vec<String>,
}

/// Where a document has been read to, between two records.
#[derive(Debug, Default)]
pub struct Splitter {
    open: Vec<Open>,
}

/// What is open around records.
#[derive(Debug)]
enum Open {
    /// A list of records.
    List,
    /// A list of elements in an object that is too long for one record, and the place of the next.
    Elements(u64),
    /// Such an object, or one in it: how deep, and whether its list has been seen.
    Envelope { level: usize, is_found: bool },
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
    fn scan(&mut self, window: &[u8], is_end: bool, first_line: u64) -> std::result::Result<(usize, JsonRecords), Lost> {
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
                    found.records.push(Record { bytes: at..at + length, line });
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
struct Lost;

/// The length of the record that a text begins with; none where it is not all there.
fn record(text: &[u8], is_end: bool) -> std::result::Result<Option<usize>, Lost> {
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
        Some(b'{') => first.ends_with(b"["),
        _ => first.ends_with(b"[") || first.ends_with(b":"),
    };
    is_open && goes_on
}

impl Envelope {
    /// That of a contract whose rows are elements.
    pub fn of(contract: &Contract) -> Option<Self> {
        let name = |step: &Step| if let Step::Member(name) = step { Some(name.clone()) } else { None };
        let members = contract.each.as_ref()?.path.steps.iter().filter_map(name).collect();
        let is_outside = |column: &&crate::ingest::column::ContractColumn| !column.ways.iter().all(crate::ingest::ways::Way::is_of_element);
        let outside = contract.columns.iter().filter(is_outside).map(|column| column.in_files().to_owned()).collect();
        Some(Envelope { members, outside })
    }
}

/// What comes of a step through the members of an object.
enum Stepped {
    /// On with the next.
    On,
    /// A part that cannot be read.
    Bad(Piece),
    /// The document cannot be read on.
    Lost,
}

impl Blocks {
    /// The next piece of a JSON document; none at the end.
    pub(super) async fn next_of_json(&mut self) -> Result<Option<Piece>> {
        loop {
            if self.pending.len() <= BLOCK_BYTES && !self.ended {
                self.fill().await?;
                continue;
            }
            let Some(json) = self.json.as_mut() else { return Ok(None) };
            if self.pending.is_empty() {
                if !json.open.is_empty() {
                    self.lose(0);
                }
                return Ok(None);
            }
            if let Some(Open::Envelope { .. }) = json.open.last() {
                match self.member().await? {
                    Stepped::On => continue,
                    Stepped::Bad(piece) => return Ok(Some(piece)),
                    Stepped::Lost => {
                        self.lose(self.pending.len().min(BLOCK_BYTES));
                        return Ok(None);
                    }
                }
            }
            let window = &self.pending[..self.pending.len().min(BLOCK_BYTES)];
            let scanned = json.scan(window, self.ended && window.len() == self.pending.len(), self.line);
            match scanned {
                Ok((0, _)) if !self.ended || self.pending.len() > BLOCK_BYTES => match self.too_long().await? {
                    Some(piece) => return Ok(Some(piece)),
                    None if self.broken.is_some() => return Ok(None),
                    None => {}
                },
                Ok((0, _)) | Err(Lost) => {
                    self.lose(self.pending.len().min(BLOCK_BYTES));
                    return Ok(None);
                }
                Ok((end, found)) => {
                    let mut block = self.take(end);
                    if !found.records.is_empty() {
                        block.json = Some(found);
                        return Ok(Some(Piece::Block(block)));
                    }
                }
            }
        }
    }

    /// Gives up what is left, of which so much is at fault.
    fn lose(&mut self, bytes: usize) {
        if !self.damaged {
            self.damage = UNCLOSED;
        }
        self.broken = Some((self.line, bytes as u64));
        self.pending.clear();
        (self.ended, self.damaged) = (true, true);
        self.json = None;
    }

    /// Goes over the first bytes of what is pending.
    fn drop_first(&mut self, count: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.pending[..count]).count() as u64;
        self.offset += count as u64;
        self.pending.drain(..count);
    }

    /// A record that is too long: into it, if rows are the elements of a list in it, or over it.
    async fn too_long(&mut self) -> Result<Option<Piece>> {
        let line = self.line;
        let is_record = self.json.as_ref().is_some_and(|json| !matches!(json.open.last(), Some(Open::Elements(_))));
        if let (Some(envelope), true, Some(b'{')) = (&self.envelope, is_record, self.pending.first()) {
            if !envelope.outside.is_empty() {
                let names: Vec<&str> = envelope.outside.iter().map(String::as_str).collect();
                let message = Message::new(format!("{} has an object of more than 1 MiB around its list, at line {line}", self.file.shown));
                let message = message.detail(format!("of such an object the elements of the list are read, and not {}", list(&names)));
                return Err(Error::Refused(message.hint("leave these columns out of the contract, or have the list exported alone")));
            }
            self.drop_first(1);
            self.push(Open::Envelope { level: 0, is_found: false });
            return Ok(None);
        }
        let before = self.offset;
        if self.over_value().await? {
            if let Some(Open::Elements(next)) = self.json.as_mut().and_then(|json| json.open.last_mut()) {
                *next += 1;
            }
            return Ok(Some(Piece::Bad { line, bytes: self.offset - before, reason: TOO_LONG }));
        }
        let bytes = self.offset - before;
        self.line = line;
        self.lose(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(None)
    }

    fn push(&mut self, open: Open) {
        if let Some(json) = &mut self.json {
            json.open.push(open);
        }
    }

    /// Goes over a value without holding it; false where it never ends.
    async fn over_value(&mut self) -> Result<bool> {
        let mut machine = Machine::default();
        loop {
            match machine.feed(&self.pending) {
                Err(Lost) => return Ok(false),
                Ok(Some(end)) => {
                    self.drop_first(end);
                    return Ok(true);
                }
                Ok(None) => self.drop_first(self.pending.len()),
            }
            if self.ended {
                return Ok(machine.is_word);
            }
            self.fill().await?;
        }
    }

    /// Goes over members of an object around the list, and into the list when it comes.
    async fn member(&mut self) -> Result<Stepped> {
        let Some(Open::Envelope { level, is_found }) = self.json.as_ref().and_then(|json| json.open.last()) else { return Ok(Stepped::On) };
        let (level, is_found) = (*level, *is_found);
        while self.pending.len() <= BLOCK_BYTES && !self.ended {
            self.fill().await?;
        }
        let members = self.envelope.as_ref().map(|envelope| envelope.members.clone()).unwrap_or_default();
        let is_last = level + 1 == members.len();
        let mut at = 0;
        loop {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',');
            at += self.pending[at..].iter().take_while(|byte| blank(byte)).count();
            // What is far behind is left off at once, and not member by member.
            if at > 0 && (at >= self.pending.len() || (at + BLOCK_BYTES > self.pending.len() && !self.ended)) {
                self.drop_first(at);
                return Ok(if self.pending.is_empty() && self.ended { Stepped::Lost } else { Stepped::On });
            }
            match self.pending.get(at) {
                Some(b'}') => {
                    self.drop_first(at + 1);
                    return Ok(self.leave(is_found));
                }
                Some(b'"') => {}
                _ => return Ok(Stepped::Lost),
            }
            let Some((key, value)) = key(&self.pending[at..]) else { return Ok(Stepped::Lost) };
            let begin = at + value;
            let first = self.pending.get(begin).copied();
            let reason = match first {
                _ if members.get(level) != Some(&key) => None,
                _ if is_found => Some(INVALID),
                Some(b'[') if is_last => return Ok(self.enter(begin, Open::Elements(0))),
                Some(b'{') if !is_last => return Ok(self.enter(begin, Open::Envelope { level: level + 1, is_found: false })),
                Some(b'n') => None,
                _ => Some(NOT_A_LIST),
            };
            if reason.is_none()
                && let Ok(Some(length)) = Machine::default().feed(&self.pending[begin..])
            {
                at = begin + length;
                continue;
            }
            self.drop_first(begin);
            let (line, before) = (self.line, self.offset);
            if !self.over_value().await? {
                return Ok(Stepped::Lost);
            }
            let bytes = self.offset - before;
            return Ok(reason.map_or(Stepped::On, |reason| Stepped::Bad(Piece::Bad { line, bytes, reason })));
        }
    }

    /// Goes into the list, or an object around it.
    fn enter(&mut self, begin: usize, open: Open) -> Stepped {
        self.drop_first(begin + 1);
        if let Some(json) = &mut self.json {
            for around in &mut json.open {
                if let Open::Envelope { is_found, .. } = around {
                    *is_found = true;
                }
            }
            json.open.push(open);
        }
        Stepped::On
    }

    /// Leaves an object around the list. One without a list counts as a record without elements.
    fn leave(&mut self, is_found: bool) -> Stepped {
        if let Some(json) = &mut self.json {
            json.open.pop();
        }
        if is_found {
            return Stepped::On;
        }
        let bytes = b"{}".to_vec();
        let json = JsonRecords { records: vec![Record { bytes: 0..bytes.len(), line: self.line }], first_element: None };
        Stepped::Bad(Piece::Block(Block { bytes, first_line: self.line, has_lone_returns: false, json: Some(json) }))
    }
}

/// The key that a text begins with, and where its value begins.
fn key(text: &[u8]) -> Option<(String, usize)> {
    let window = &text[..text.len().min(BLOCK_BYTES)];
    let end = Machine::default().feed(window).ok()??;
    let key = serde_json::from_slice(&window[..end]).ok()?;
    let over_space = |from: usize| window[from..].iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).map(|at| from + at);
    let colon = over_space(end).filter(|at| window[*at] == b':')?;
    Some((key, over_space(colon + 1)?))
}

/// Finds the end of a value, whose parts may come one after the other.
#[derive(Debug, Default)]
struct Machine {
    has_begun: bool,
    /// Whether it is a number or a word, which ends where something else begins.
    is_word: bool,
    in_string: bool,
    is_escaped: bool,
    /// What is open, a list or else an object.
    lists: Vec<bool>,
}

impl Machine {
    /// The end of the value, if it is here.
    fn feed(&mut self, text: &[u8]) -> std::result::Result<Option<usize>, Lost> {
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
                b'{' | b'[' if self.lists.len() == MAX_RECORD_BYTES => return Err(Lost),
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

#[cfg(test)]
mod tests;
