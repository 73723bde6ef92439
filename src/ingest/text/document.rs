//! Reads a JSON document piece by piece. Nothing but one record is held, and of an object that is longer than a record the list with the records
//! is read element by element.

use super::json::{JsonRecords, Lost, Machine, Open, UNCLOSED, key};
use super::{BLOCK_BYTES, Block, Blocks, Piece, TOO_LONG};
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::ingest::nested::{INVALID, NOT_A_LIST};

/// What comes of a step through the members of an object.
enum Stepped {
    /// On with the next.
    On,
    /// The document cannot be read on.
    Lost,
}

impl Blocks {
    /// The next piece of a JSON document; none at the end.
    pub(super) async fn next_of_json(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.found.pop_front() {
                return Ok(Some(piece));
            }
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
                if let Stepped::Lost = self.members().await? {
                    self.lose(self.pending.len().min(BLOCK_BYTES));
                    return Ok(self.found.pop_front());
                }
                continue;
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
            self.damage = Some(UNCLOSED);
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

    /// Goes over members of an object around the list, and into the list when it comes. What is bad among them is found on the way, so that
    /// each byte is gone over once, however many there are.
    async fn members(&mut self) -> Result<Stepped> {
        let Some(Open::Envelope { level, is_found }) = self.json.as_ref().and_then(|json| json.open.last()) else { return Ok(Stepped::On) };
        let (level, is_found) = (*level, *is_found);
        while self.pending.len() <= BLOCK_BYTES && !self.ended {
            self.fill().await?;
        }
        let members = self.envelope.as_ref().map(|envelope| envelope.members.clone()).unwrap_or_default();
        let is_last = level + 1 == members.len();
        let (mut at, mut line, mut counted) = (0, self.line, 0);
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
            let Some((key, value)) = key(&self.pending[at..self.pending.len().min(at + BLOCK_BYTES)]) else { return Ok(Stepped::Lost) };
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
            if let Ok(Some(length)) = Machine::default().feed(&self.pending[begin..]) {
                if let Some(reason) = reason {
                    line += memchr::memchr_iter(b'\n', &self.pending[counted..begin]).count() as u64;
                    counted = begin;
                    self.found.push_back(Piece::Bad { line, bytes: length as u64, reason });
                }
                at = begin + length;
                continue;
            }
            self.drop_first(begin);
            let (line, before) = (self.line, self.offset);
            if !self.over_value().await? {
                return Ok(Stepped::Lost);
            }
            let bytes = self.offset - before;
            self.found.extend(reason.map(|reason| Piece::Bad { line, bytes, reason }));
            return Ok(Stepped::On);
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
        let json = JsonRecords { records: vec![(0..bytes.len(), self.line)], first_element: None };
        self.found.push_back(Piece::Block(Block { bytes, first_line: self.line, has_lone_returns: false, json: Some(json) }));
        Stepped::On
    }
}

#[cfg(test)]
mod tests;
