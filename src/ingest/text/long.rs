//! A record that is too long for memory: finds its end, and the place to continue from if a quote in it never closes.

use super::Division;
use crate::ingest::csv::records::{Machine, Mark};

/// Such a record, while it is gone over.
pub struct Long {
    /// How quotes stand; none where lines are records.
    machine: Option<Machine>,
    /// The quote, if there is one.
    quote: Option<u8>,
    /// The place behind what has been seen.
    offset: u64,
    line: u64,
    after_return: bool,
    /// Whether the record has ended with a carriage return, which a line feed may follow.
    returned: bool,
    whole: bool,
    /// Whether it is a comment, and no record.
    is_comment: bool,
    /// Whether a quote has been opened, and no line has ended since.
    on_line_of_quote: bool,
    /// The place and the line behind the line on which the last quote opened.
    after_quote: Option<(u64, u64)>,
}

impl Long {
    /// Begins at the beginning of a record.
    pub fn begin(division: Division, offset: u64, line: u64) -> Self {
        Long {
            machine: if let Division::Csv(dialect) = &division { Some(Machine::of(dialect)) } else { None },
            quote: if let Division::Csv(dialect) = &division { dialect.quote } else { None },
            offset,
            line,
            after_return: false,
            returned: false,
            whole: false,
            is_comment: false,
            on_line_of_quote: false,
            after_quote: None,
        }
    }

    /// Looks for the end of the record in some text.
    pub fn feed(&mut self, text: &[u8]) -> Option<usize> {
        let Some(mut machine) = self.machine.take() else { return self.feed_line(text) };
        let mut at = 0;
        let mut end = None;
        while at < text.len() && end.is_none() {
            let plain = memchr::memchr3(self.quote.unwrap_or(b'\n'), b'\n', b'\r', &text[at..]).unwrap_or(text.len() - at);
            if self.returned {
                // The record has ended; a line feed here is a part of its line end.
                end = Some(at + usize::from(text[at] == b'\n'));
            } else if plain > 0 {
                self.end_line_of_quote(at as u64);
                machine.skip(&text[at..at + plain]);
                self.is_comment |= machine.is_in_comment();
                self.after_return = false;
                at += plain;
            } else {
                self.special(&mut machine, text[at], at as u64);
                at += 1;
                end = self.whole.then_some(at).filter(|_| !self.returned);
            }
        }
        self.machine = Some(machine);
        self.offset += end.unwrap_or(text.len()) as u64;
        end
    }

    /// Takes a quote or a line end.
    fn special(&mut self, machine: &mut Machine, byte: u8, at: u64) {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if byte != b'\n' {
            self.end_line_of_quote_if(after_return, at);
        }
        self.line += u64::from(byte == b'\r' || (byte == b'\n' && !after_return));
        match machine.step(byte) {
            Mark::Opening => (self.on_line_of_quote, self.after_quote) = (true, None),
            Mark::End => (self.whole, self.returned) = (true, byte == b'\r'),
            _ if byte == b'\n' => self.end_line_of_quote_if(true, at + 1),
            _ => {}
        }
    }

    fn end_line_of_quote(&mut self, at: u64) {
        self.end_line_of_quote_if(self.after_return, at);
    }

    /// If the line on which a quote opened has ended, what follows begins here.
    fn end_line_of_quote_if(&mut self, line_ended: bool, at: u64) {
        if line_ended && self.on_line_of_quote {
            self.on_line_of_quote = false;
            self.after_quote = Some((self.offset + at, self.line));
        }
    }

    fn feed_line(&mut self, text: &[u8]) -> Option<usize> {
        let end = memchr::memchr(b'\n', text).map(|at| at + 1);
        self.whole = end.is_some();
        self.line += u64::from(self.whole);
        self.offset += end.unwrap_or(text.len()) as u64;
        end
    }

    /// Whether it is a comment.
    pub fn is_comment(&self) -> bool {
        self.is_comment
    }

    /// Whether its line end has been seen.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The place and the line behind it.
    pub fn end(&self) -> (u64, u64) {
        (self.offset, self.line)
    }

    /// At the end of the file: whether a quote in it was never closed.
    pub fn is_unclosed(&self) -> bool {
        self.machine.as_ref().is_some_and(Machine::is_in_quotes)
    }

    /// The place and the line behind the line on which the last quote opened, if there is one.
    pub fn after_quote(&self) -> Option<(u64, u64)> {
        self.after_quote
    }
}
