//! The fast path for clean records: it goes from one delimiter or line end to the next, without looking at the bytes between them.

use super::Dialect;
use super::escapes::unescaped;
use super::records::{escaped_bytes, next_in_quotes};

/// The fields of some records, one after the other. Outside of quotes no carriage return stands without a line feed: where one does, the
/// records are found byte by byte first.
pub struct Fields<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
    first_of_delimiter: u8,
    /// Whether a record may end with a delimiter that no field follows.
    trailing_delimiter: bool,
    /// A field that does not stand in the text as it is.
    changed: String,
}

impl<'a> Fields<'a> {
    /// The fields of a text that begins with a record.
    pub fn of(text: &'a str, dialect: &Dialect, trailing_delimiter: bool) -> Self {
        let first_of_delimiter = dialect.delimiter()[0];
        Fields { text, at: 0, dialect: *dialect, first_of_delimiter, trailing_delimiter, changed: String::new() }
    }

    /// How far they have been read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes on to the next record, over blank lines and comments; false when there is none.
    pub fn next_record(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        loop {
            match &bytes[self.at..] {
                [] | [b'\r'] => return false,
                [b'\n', ..] => self.at += 1,
                [b'\r', b'\n', ..] => self.at += 2,
                [first, rest @ ..] if Some(*first) == self.dialect.comment => {
                    self.at = memchr::memchr(b'\n', rest).map_or(bytes.len(), |length| self.at + 1 + length);
                }
                _ => return true,
            }
        }
    }

    /// The next field, without its quotes; none when a quote is not closed or the record has fewer or more fields.
    #[inline]
    pub fn next_field(&mut self, is_last: bool) -> Option<&str> {
        if self.dialect.quote.is_some() && self.text.as_bytes().get(self.at) == self.dialect.quote.as_ref() {
            return self.quoted_field(is_last);
        }
        if self.dialect.escape.is_some() {
            return self.escaped_field(is_last);
        }
        let start = self.at;
        let end = self.end_of_field(start, start, is_last)?;
        Some(&self.text[start..end])
    }

    /// The end of the unquoted text that begins here, and is looked at from a place on. A carriage return before the place `behind` is a
    /// part of the text, and no line end. Moves behind it.
    #[inline]
    fn end_of_field(&mut self, behind: usize, from: usize, is_last: bool) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut end = from;
        let ends_record = loop {
            end = memchr::memchr2(self.first_of_delimiter, b'\n', &bytes[end..]).map_or(bytes.len(), |length| end + length);
            match bytes.get(end) {
                None | Some(b'\n') => break true,
                _ if self.dialect.is_narrow() || bytes[end..].starts_with(self.dialect.delimiter()) => break false,
                // The first byte of another character.
                _ => end += 1,
            }
        };
        if ends_record != is_last {
            return if is_last { self.end_before_trailing_delimiter(end) } else { None };
        }
        if !ends_record {
            self.at = end + self.dialect.delimiter().len();
            return Some(end);
        }
        let content = if end > behind && bytes[end - 1] == b'\r' { end - 1 } else { end };
        self.at = (end + 1).min(bytes.len());
        Some(content)
    }

    /// The end of a record's last field at a delimiter, if nothing follows it.
    #[cold]
    fn end_before_trailing_delimiter(&mut self, end: usize) -> Option<usize> {
        let after = end + self.dialect.delimiter().len();
        let line_end = match &self.text.as_bytes()[after..] {
            [] => 0,
            [b'\n', ..] | [b'\r'] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return None,
        };
        self.at = after + line_end;
        self.trailing_delimiter.then_some(end)
    }

    /// Whether one byte ends a field there, and its record if it is the last.
    #[inline]
    fn ends_field(&self, at: usize, is_last: bool) -> bool {
        let byte = self.text.as_bytes().get(at);
        if is_last { byte == Some(&b'\n') } else { self.dialect.is_narrow() && byte == Some(&self.first_of_delimiter) }
    }

    fn quoted_field(&mut self, is_last: bool) -> Option<&str> {
        let text = self.text;
        let bytes = text.as_bytes();
        let start = self.at + 1;
        let mut closing = start;
        let mut is_changed = false;
        loop {
            closing += next_in_quotes(&bytes[closing..], &self.dialect)?;
            let is_escape = Some(bytes[closing]) == self.dialect.escape;
            if !is_escape && bytes.get(closing + 1) != self.dialect.quote.as_ref() {
                break;
            }
            is_changed = true;
            // What is escaped may be the first byte of a character, whose others are no special ones.
            closing = (closing + 2).min(bytes.len());
        }
        let behind = closing + 1;
        // Mostly the field ends with its quote: then there is nothing to look for.
        if !is_changed && self.ends_field(behind, is_last) {
            self.at = behind + 1;
            return Some(&text[start..closing]);
        }
        self.at = behind;
        let end = self.end_of_field(behind, behind, is_last)?;
        if !is_changed && end == behind {
            return Some(&text[start..closing]);
        }
        self.changed.clear();
        unescaped(&text[start..closing], &self.dialect, true, &mut self.changed);
        unescaped(&text[behind..end], &self.dialect, false, &mut self.changed);
        Some(&self.changed)
    }

    /// A field without quotes in a dialect with an escape character.
    fn escaped_field(&mut self, is_last: bool) -> Option<&str> {
        let (text, start, escape) = (self.text, self.at, self.dialect.escape?);
        let bytes = text.as_bytes();
        let end = memchr::memchr3(self.first_of_delimiter, b'\n', escape, &bytes[start..]).map_or(bytes.len(), |length| start + length);
        if bytes.get(end) != Some(&escape) && self.dialect.is_narrow() {
            let end = self.end_of_field(start, end, is_last)?;
            return Some(&text[start..end]);
        }
        let behind = if self.dialect.quote.is_none() { self.behind_escapes(escape) } else { start };
        let end = self.end_of_field(behind, behind, is_last)?;
        self.changed.clear();
        unescaped(&text[start..end], &self.dialect, false, &mut self.changed);
        Some(&self.changed)
    }

    /// The place behind the last character of this field that is escaped, or its beginning.
    fn behind_escapes(&self, escape: u8) -> usize {
        let bytes = self.text.as_bytes();
        let (mut behind, mut at) = (self.at, self.at);
        while let Some(length) = memchr::memchr3(self.first_of_delimiter, b'\n', escape, &bytes[at..]) {
            at += length;
            if bytes[at] == escape {
                at = (at + 1 + escaped_bytes(&bytes[at + 1..])).min(bytes.len());
                behind = at;
            } else if bytes[at] == b'\n' || bytes[at..].starts_with(self.dialect.delimiter()) {
                break;
            } else {
                at += 1;
            }
        }
        behind
    }
}
