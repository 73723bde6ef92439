//! Divides text extracts into blocks of whole records: ranged reads, decompression, and the line numbers of records.

mod division;
mod document;
mod fetch;
mod json;
mod long;
mod piece;

use std::collections::VecDeque;

use bytes::Bytes;
use encoding_rs::Encoding;

pub use self::division::Division;
use self::fetch::Fetch;
use self::json::{Envelope, Splitter};
use self::long::Long;
use super::contract::Contract;
use super::csv::records::{self, Scanned};
use super::encoding::{self, Transcoder};
use super::format::{self, Foreign, HEAD_BYTES};
use super::unpack::{PIECE_BYTES, Unpacker};
use crate::config::SourceFormat;
use crate::engine::{Reservation, failed};
use crate::error::{Error, Result};
use crate::storage::File;

pub use self::json::{UNCLOSED as UNCLOSED_JSON, list_within};
pub use self::piece::{Block, Piece, Record};

/// The longest record; a longer one is at fault.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// Bytes of text in a block: the longest record fits into one, with its line end.
const BLOCK_BYTES: usize = MAX_RECORD_BYTES + 2;
/// Packed bytes that are fetched to see what a file is.
const LOOK_BYTES: u64 = 64 * 1024;

/// The reason of a record that is longer than a record may be.
pub const TOO_LONG: &str = "record-too-long";
/// The reason of a record with a quote that never closes.
pub const UNCLOSED_QUOTE: &str = "unclosed-quote";

/// Reads a text file piece by piece. Every byte is read a bounded number of times, wherever quotes are.
pub struct Blocks {
    file: File,
    format: SourceFormat,
    division: Division,
    /// How a JSON document is divided, if it is one.
    json: Option<Splitter>,
    /// What lies around the list whose elements are rows.
    envelope: Option<Envelope>,
    /// What was found in a JSON document, and comes before what is pending.
    found: VecDeque<Piece>,
    /// Why what breaks off does so.
    damage: Option<&'static str>,
    /// The encoding that the contract says, if it is not UTF-8.
    declared: Option<&'static Encoding>,
    fetch: Fetch,
    unpacker: Option<Unpacker>,
    /// For a text that is not in UTF-8.
    transcoder: Option<Transcoder>,
    /// Lines at the beginning that are left out.
    lines_to_skip: u64,
    /// Where it counts what unpacking takes.
    memory: Option<Reservation>,
    fetched: Bytes,
    /// Bytes that were fetched since somebody last asked.
    newly_fetched: u64,
    /// Text that has not been given, which begins with a record.
    pending: Vec<u8>,
    /// Where it begins in the text.
    offset: u64,
    /// The line that it begins on, from 1.
    line: u64,
    /// The first bytes of the text, once they are there.
    head: Option<Vec<u8>>,
    /// Text that was read before, and is read again.
    skip: u64,
    ended: bool,
    damaged: bool,
    /// The line and the size of the record that a damaged file breaks off in.
    broken: Option<(u64, u64)>,
}

/// What comes next of what is pending.
enum Cut {
    /// So many bytes of whole records.
    Block(usize),
    /// A record that is too long, or as long as the rest of the file.
    Long,
    /// The rest: a record with a quote that opens there and never closes.
    Unclosed(usize),
    /// The rest: what a damaged file breaks off in.
    Broken,
}

impl Blocks {
    /// Begins to read a file.
    pub fn open(file: &File, division: Division) -> Self {
        Blocks {
            file: file.clone(),
            format: if division.is_csv() { SourceFormat::Csv } else { SourceFormat::Ndjson },
            division,
            json: None,
            envelope: None,
            found: VecDeque::new(),
            damage: None,
            declared: None,
            transcoder: None,
            lines_to_skip: 0,
            fetch: Fetch::from(file, 0),
            unpacker: None,
            memory: None,
            fetched: Bytes::new(),
            newly_fetched: 0,
            pending: Vec::new(),
            offset: 0,
            line: 1,
            head: None,
            skip: 0,
            ended: false,
            damaged: false,
            broken: None,
        }
    }

    /// Begins to read a file as the contract of its source says.
    pub fn of_source(file: &File, format: SourceFormat, contract: &Contract) -> Self {
        let lines_to_skip = if format == SourceFormat::Csv { contract.csv.skip_lines } else { 0 };
        let (declared, envelope) = (contract.encoding, Envelope::of(contract));
        Blocks { format, envelope, declared, lines_to_skip, ..Blocks::open(file, Division::of(format, contract)) }
    }

    /// Counts what unpacking takes as a part of what is held.
    pub fn within(self, memory: Reservation) -> Self {
        Blocks { memory: Some(memory), ..self }
    }

    /// Whether it is read as a JSON document, and not line by line.
    pub fn is_document(&self) -> bool {
        self.json.is_some()
    }

    /// The reason of the record that a file breaks off in, if its compression is not damaged.
    pub fn damage(&self) -> Option<&'static str> {
        self.damage
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`Error::Refused`] when the file is no text in UTF-8; otherwise as reading the store fails.
    pub async fn next(&mut self) -> Result<Option<Piece>> {
        if self.head.is_none() {
            if let Some(what) = self.begin().await? {
                return Err(format::refused(&self.file.shown, what));
            }
            self.leave_off_mark();
            self.json = Splitter::of(&self.pending, self.format, self.file.meta.location.as_ref());
            self.head = Some(self.pending[..self.pending.len().min(HEAD_BYTES)].to_vec());
            self.skip_lines().await?;
        }
        if self.json.is_some() || !self.found.is_empty() {
            return self.next_of_json().await;
        }
        loop {
            // One more byte than a block tells whether a line feed follows a carriage return.
            if self.pending.len() <= BLOCK_BYTES && !self.ended {
                self.fill().await?;
            } else if self.pending.is_empty() {
                return Ok(None);
            } else {
                match self.cut() {
                    Cut::Block(end) => return Ok(Some(Piece::Block(self.take(end)))),
                    Cut::Unclosed(opening) => return Ok(Some(self.unclosed(opening))),
                    // Otherwise it was a comment, or what a damaged file breaks off in.
                    Cut::Long => {
                        if let Some(piece) = self.long_record().await? {
                            return Ok(Some(piece));
                        }
                    }
                    Cut::Broken => {
                        let bytes = self.pending.len();
                        self.broken = Some((self.line, bytes as u64));
                        self.take(bytes);
                    }
                }
            }
        }
    }

    /// Where the record stands that a damaged file breaks off in, and how much of it there is. Whatever could be unpacked before it
    /// has been given. None when the file is whole.
    pub fn breaks_off(&self) -> Option<(u64, u64)> {
        self.damaged.then(|| self.broken.unwrap_or((self.line, 0)))
    }

    /// How many bytes of the file were fetched since this was last asked.
    pub fn newly_fetched(&mut self) -> u64 {
        std::mem::take(&mut self.newly_fetched)
    }

    /// Whether there are fewer lines than are left out at the beginning.
    pub fn has_skipped_all(&self) -> bool {
        self.lines_to_skip > 0 && self.has_text()
    }

    /// Whether there was any text, were it blank.
    pub fn has_text(&self) -> bool {
        self.offset > 0
    }

    /// The first bytes of the text.
    pub fn head(&self) -> &[u8] {
        self.head.as_deref().unwrap_or_default()
    }

    /// Whether it is not in UTF-8, and is turned into that.
    pub fn is_transcoded(&self) -> bool {
        self.transcoder.is_some()
    }

    /// The first bytes of a file's text, unpacked and in UTF-8 if it is in the encoding that is declared, with what the file is if it is no
    /// text.
    ///
    /// # Errors
    /// As reading the store fails.
    pub async fn first_bytes(file: &File, declared: Option<&'static Encoding>) -> Result<(Vec<u8>, Option<Foreign>)> {
        let mut blocks = Blocks { declared, ..Blocks::open(file, Division::Lines) };
        blocks.fetch.end_at(LOOK_BYTES);
        let foreign = blocks.begin().await?;
        blocks.pending.truncate(HEAD_BYTES);
        Ok((blocks.pending, foreign))
    }

    /// Looks at the first bytes, and begins to decode them if they are not in UTF-8. What the file is if it is no text.
    async fn begin(&mut self) -> Result<Option<Foreign>> {
        while self.pending.len() < HEAD_BYTES && !self.ended {
            self.fill().await?;
        }
        let head = &self.pending[..self.pending.len().min(HEAD_BYTES)];
        let encoding = encoding::of_text(head, self.declared);
        let foreign = format::foreign(head, encoding);
        if let Some(encoding) = encoding.filter(|_| foreign.is_none()) {
            let mut transcoder = Transcoder::new(encoding);
            std::mem::swap(&mut transcoder.input, &mut self.pending);
            transcoder.decode(self.ended, &mut self.pending);
            self.transcoder = Some(transcoder);
        }
        Ok(foreign)
    }

    /// Leaves out the lines before the header, which are no records, whatever quotes they have.
    async fn skip_lines(&mut self) -> Result<()> {
        while self.lines_to_skip > 0 {
            let end = memchr::memchr2(b'\n', b'\r', &self.pending);
            match end {
                // A line feed may follow a carriage return.
                Some(end) if self.pending[end] == b'\n' || end + 1 < self.pending.len() || self.ended => {
                    let is_pair = self.pending[end] == b'\r' && self.pending.get(end + 1) == Some(&b'\n');
                    self.leave_off(end + 1 + usize::from(is_pair));
                    (self.line, self.lines_to_skip) = (self.line + 1, self.lines_to_skip - 1);
                }
                Some(_) => self.fill().await?,
                None => {
                    self.leave_off(self.pending.len());
                    if self.ended {
                        return Ok(());
                    }
                    self.fill().await?;
                }
            }
        }
        Ok(())
    }

    /// Leaves out the first bytes of what is pending.
    fn leave_off(&mut self, bytes: usize) {
        self.pending.drain(..bytes);
        self.offset += bytes as u64;
    }

    /// Some programs open a UTF-8 file with a mark that is no part of its text.
    fn leave_off_mark(&mut self) {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.pending.starts_with(MARK) {
            self.leave_off(MARK.len());
        }
    }

    /// What comes next. Blocks end where they would whatever the sizes of the fetches, so that rows fall into the same blocks every time.
    fn cut(&self) -> Cut {
        let window = &self.pending[..self.pending.len().min(BLOCK_BYTES)];
        let Scanned { last_end, open_quote } = self.division.scan(window);
        if self.pending.len() > BLOCK_BYTES {
            let splits = |end: usize| self.division.is_csv() && window[end - 1] == b'\r' && self.pending[end] == b'\n';
            return last_end.map_or(Cut::Long, |end| Cut::Block(end + usize::from(end == window.len() && splits(end))));
        }
        match (last_end, open_quote) {
            (_, None) if !self.damaged => Cut::Block(window.len()),
            (Some(end), _) => Cut::Block(end),
            (None, Some(opening)) if !self.damaged => Cut::Unclosed(opening),
            (None, _) => Cut::Broken,
        }
    }

    /// Takes the first bytes of what is pending.
    fn take(&mut self, end: usize) -> Block {
        let mut rest = Vec::with_capacity(BLOCK_BYTES + 2 * PIECE_BYTES);
        rest.extend_from_slice(&self.pending[end..]);
        self.pending.truncate(end);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let first_line = self.line;
        let lone_returns = if self.division.is_csv() { records::lone_returns(&bytes).count() as u64 } else { 0 };
        self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64 + lone_returns;
        self.offset += bytes.len() as u64;
        Block { bytes, first_line, has_lone_returns: lone_returns > 0, json: None }
    }

    /// Takes a record with a quote that never closes, up to the end of the line on which that opens.
    fn unclosed(&mut self, opening: usize) -> Piece {
        let line = self.line;
        let end = memchr::memchr2(b'\n', b'\r', &self.pending[opening..]).map_or(self.pending.len(), |at| opening + at + 1);
        let is_pair = self.pending[end - 1] == b'\r' && self.pending.get(end) == Some(&b'\n');
        let bytes = self.take(end + usize::from(is_pair)).bytes;
        Piece::Bad { line, bytes: bytes.len() as u64, reason: UNCLOSED_QUOTE }
    }

    /// Goes over a record that is too long, without holding it.
    async fn long_record(&mut self) -> Result<Option<Piece>> {
        let mut long = Long::begin(self.division, self.offset, self.line);
        loop {
            if let Some(end) = long.feed(&self.pending) {
                self.pending.drain(..end);
                break;
            }
            self.pending.clear();
            if self.ended {
                break;
            }
            self.fill().await?;
        }
        let (begin, line) = (self.offset, self.line);
        (self.offset, self.line) = long.end();
        if long.is_comment() {
            return Ok(None);
        }
        if self.damaged && !long.is_whole() {
            self.broken = Some((line, self.offset - begin));
            return Ok(None);
        }
        if long.is_unclosed()
            && let Some(after) = long.after_quote()
        {
            self.read_again(after);
        }
        let reason = if long.is_unclosed() { UNCLOSED_QUOTE } else { TOO_LONG };
        Ok(Some(Piece::Bad { line, bytes: self.offset - begin, reason }))
    }

    /// Goes back to a place of the text. A file has one quote that never closes at most, so this happens once.
    fn read_again(&mut self, (offset, line): (u64, u64)) {
        // The place is one of the text, which then is also one of the file.
        let is_plain = matches!(self.unpacker, Some(Unpacker::Plain)) && self.transcoder.is_none();
        self.fetch = Fetch::from(&self.file, if is_plain { offset } else { 0 });
        self.skip = if is_plain { 0 } else { offset };
        self.unpacker = is_plain.then_some(Unpacker::Plain);
        self.transcoder = self.transcoder.as_ref().map(Transcoder::again);
        self.fetched = Bytes::new();
        self.pending.clear();
        (self.offset, self.line, self.ended) = (offset, line, false);
    }

    /// Unpacks some more.
    async fn fill(&mut self) -> Result<()> {
        if self.fetched.is_empty() && self.unpacker.as_ref().is_none_or(Unpacker::is_drained) {
            match self.fetch.next().await? {
                Some(bytes) => {
                    self.newly_fetched += bytes.len() as u64;
                    self.fetched = bytes;
                }
                None => {
                    self.file.is_unchanged().await?;
                    let out = self.transcoder.as_mut().map_or(&mut self.pending, |transcoder| &mut transcoder.input);
                    let finished = self.unpacker.as_mut().map_or(Ok(()), |unpacker| unpacker.finish(out));
                    self.end(finished.is_err());
                    return Ok(());
                }
            }
        }
        let unpacker = match &mut self.unpacker {
            Some(unpacker) => unpacker,
            unpacker => {
                let started = Unpacker::new(format::packing(&self.fetched));
                unpacker.insert(started.map_err(|error| Error::defect(format!("a decoder did not start: {error}")))?)
            }
        };
        let out = self.transcoder.as_mut().map_or(&mut self.pending, |transcoder| &mut transcoder.input);
        if unpacker.feed(&mut self.fetched, out).is_err() {
            self.file.is_unchanged().await?;
            self.end(true);
        }
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.decode(self.ended, &mut self.pending);
        }
        let held_bytes = self.unpacker.as_ref().map_or(0, Unpacker::held_bytes);
        if let Some(memory) = self.memory.as_ref().filter(|_| held_bytes > 0) {
            memory.reach(held_bytes).map_err(|error| failed(&format!("unpacking {}", self.file.shown), &error))?;
        }
        self.leave_off_read();
        Ok(())
    }

    /// Leaves out what was read before.
    fn leave_off_read(&mut self) {
        let again = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.pending.len());
        if again > 0 {
            self.pending.drain(..again);
            self.skip -= again as u64;
        }
    }

    fn end(&mut self, damaged: bool) {
        self.ended = true;
        self.damaged = damaged;
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.decode(true, &mut self.pending);
        }
        self.leave_off_read();
    }
}

#[cfg(test)]
mod tests;
