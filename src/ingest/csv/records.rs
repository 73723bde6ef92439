//! Where the records of a CSV text begin and end (RFC 4180, and as Python's `csv` module reads what RFC 4180 leaves open).
//!
//! - A line ends with LF, CR or both. A record ends with a line, unless it is in quotes there; blank lines are no records.
//! - A quote opens at a field's beginning and nowhere else. It closes with the next quote that is not doubled; what stands between that one
//!   and the field's end belongs to the field.
//! - A quote that never closes, up to the end of the file, makes its record bad, and reading goes on with the line after it. Whatever quotes
//!   follow it in the file are doubled, or one of them would have closed it; so none of them is left open at the end of a line, and the file
//!   has no second such quote.
//!
//! [`Machine`] is this for one byte after the other; [`scan`] is the same for a whole text, and looks at quotes and line ends alone.

/// Where in a record a byte stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A part of a field, or a quote about it.
    Text,
    /// The opening quote of a field.
    Opening,
    /// A comma between two fields.
    Comma,
    /// The end of a record: LF or CR.
    End,
    /// The LF of a line end that its CR began.
    SecondOfEnd,
}

/// Reads a text byte by byte.
#[derive(Debug, Default, Clone)]
pub struct Machine {
    state: State,
    after_return: bool,
}

impl Machine {
    /// Takes a byte.
    #[inline]
    pub fn step(&mut self, byte: u8) -> Mark {
        let after_return = std::mem::take(&mut self.after_return);
        let (state, mark) = match (self.state, byte) {
            (State::Quoted, b'"') => (State::QuoteInQuoted, Mark::Text),
            (State::Quoted, _) | (State::QuoteInQuoted, b'"') => (State::Quoted, Mark::Text),
            (State::FieldStart, b'"') => (State::Quoted, Mark::Opening),
            (State::FieldStart, b'\n') if after_return => (State::FieldStart, Mark::SecondOfEnd),
            (_, b'\n' | b'\r') => {
                self.after_return = byte == b'\r';
                (State::FieldStart, Mark::End)
            }
            (_, b',') => (State::FieldStart, Mark::Comma),
            _ => (State::Plain, Mark::Text),
        };
        self.state = state;
        mark
    }

    /// Takes bytes of which none is a quote or a line end.
    pub fn skip(&mut self, plain: &[u8]) {
        if let Some(last) = plain.last() {
            self.after_return = false;
            if self.state != State::Quoted {
                self.state = if *last == b',' { State::FieldStart } else { State::Plain };
            }
        }
    }

    /// Whether the text may not end here, because a quote is open.
    pub fn is_in_quotes(&self) -> bool {
        self.state == State::Quoted
    }
}

/// What a text that begins with a record holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// Where the last whole record ends, behind its line end.
    pub last_end: Option<usize>,
    /// The opening quote that is open at the end of the text.
    pub open_quote: Option<usize>,
}

/// Looks for the last record end of a text, and whether a quote is open at its end.
pub fn scan(bytes: &[u8]) -> Scanned {
    let mut scanned = Scanned::default();
    let mut start = 0;
    loop {
        let opening = next_opening(bytes, start);
        let outside = &bytes[start..opening.unwrap_or(bytes.len())];
        if let Some(end) = memchr::memrchr2(b'\n', b'\r', outside) {
            scanned.last_end = Some(start + end + 1);
        }
        let Some(opening) = opening else { return scanned };
        match closing(bytes, opening) {
            Some(closing) => start = closing + 1,
            None => return Scanned { open_quote: Some(opening), ..scanned },
        }
    }
}

/// The next quote that opens a field, when none is open at the start.
fn next_opening(bytes: &[u8], start: usize) -> Option<usize> {
    let opens = |at: &usize| *at == 0 || matches!(bytes[at - 1], b',' | b'\n' | b'\r');
    memchr::memchr_iter(b'"', &bytes[start..]).map(|at| start + at).find(opens)
}

/// The quote that closes one.
fn closing(bytes: &[u8], opening: usize) -> Option<usize> {
    let mut at = opening + 1;
    loop {
        at += memchr::memchr(b'"', bytes.get(at..)?)?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// How many lines end in a text: with LF, with CR or with both.
pub fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64 + lone_returns(bytes).count() as u64
}

/// The carriage returns that no line feed follows.
pub fn lone_returns(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n'))
}

/// A record as it stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where it begins.
    pub start: usize,
    /// Where it ends, without its line end.
    pub end: usize,
    /// Where what follows it begins.
    pub next: usize,
    /// The line that it begins on, counted from that of the text.
    pub line: u64,
    /// How many fields it has.
    pub fields: usize,
    /// Whether a quote is open at its end, which then is that of the text.
    pub in_quotes: bool,
}

/// The records of a text that begins with one, in one pass; blank lines are left out.
pub fn records(bytes: &[u8]) -> Records<'_> {
    Records { bytes, at: 0, line: 0 }
}

/// Goes over the records of a text.
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Iterator for Records<'_> {
    type Item = Standing;

    fn next(&mut self) -> Option<Standing> {
        while self.at < self.bytes.len() {
            let mut record = Standing { start: self.at, end: self.bytes.len(), next: 0, line: self.line, fields: 1, in_quotes: false };
            let (mut machine, mut after_return, mut ended) = (Machine::default(), false, false);
            while let Some(&byte) = self.bytes.get(self.at).filter(|_| !ended) {
                // Within quotes too a CR and its LF are one line end.
                self.line += u64::from(byte == b'\r' || (byte == b'\n' && !after_return));
                after_return = byte == b'\r';
                match machine.step(byte) {
                    Mark::Comma => record.fields += 1,
                    Mark::End => (record.end, ended) = (self.at, true),
                    Mark::Text | Mark::Opening | Mark::SecondOfEnd => {}
                }
                self.at += 1;
            }
            self.at += usize::from(ended && after_return && self.bytes.get(self.at) == Some(&b'\n'));
            record.next = self.at;
            record.in_quotes = machine.is_in_quotes();
            if record.end > record.start {
                return Some(record);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<(&str, u64, usize)> {
        records(text.as_bytes()).map(|record| (&text[record.start..record.end], record.line, record.fields)).collect()
    }

    #[test]
    fn lines_end_in_every_way() {
        assert_eq!(texts("a,b\rc\r\nd\n\r\n\re"), [("a,b", 0, 2), ("c", 1, 1), ("d", 2, 1), ("e", 5, 1)]);
        assert_eq!(texts("\"x\r\ny\rz\",1\n2"), [("\"x\r\ny\rz\",1", 0, 2), ("2", 3, 1)]);
        assert_eq!(line_ends(b"a\rb\r\nc\n\n\r"), 5);
    }

    #[test]
    fn a_quote_opens_only_a_field() {
        assert_eq!(texts("a\"b,\"c,\"\"\n\"d,e\nf"), [("a\"b,\"c,\"\"\n\"d,e", 0, 3), ("f", 2, 1)]);
    }

    proptest! {
        #[test]
        fn a_scan_is_the_machine(text in "[a,\"\n\r]{0,24}") {
            let bytes = text.as_bytes();
            let mut machine = Machine::default();
            let mut expected = Scanned::default();
            let mut opened = 0;
            for (at, &byte) in bytes.iter().enumerate() {
                match machine.step(byte) {
                    Mark::Opening => opened = at,
                    Mark::End | Mark::SecondOfEnd => expected.last_end = Some(at + 1),
                    Mark::Text | Mark::Comma => {}
                }
            }
            expected.open_quote = machine.is_in_quotes().then_some(opened);
            prop_assert_eq!(scan(bytes), expected);
            prop_assert_eq!(records(bytes).last().is_some_and(|record| record.in_quotes), machine.is_in_quotes());
        }

        #[test]
        fn no_quote_is_left_open_after_one_that_never_closes(text in "[a,\"\n]{0,24}") {
            let Some(opening) = scan(text.as_bytes()).open_quote else { return Ok(()) };
            let Some(end) = text[opening..].find('\n') else { return Ok(()) };
            let rest = &text.as_bytes()[opening + end + 1..];
            prop_assert_eq!(scan(rest).open_quote, None);
            for record in records(rest) {
                prop_assert_eq!(line_ends(&rest[record.start..record.end]), 0);
            }
        }
    }
}
