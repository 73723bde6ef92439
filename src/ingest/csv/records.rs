//! Where the records of a CSV text begin and end (RFC 4180, and as Python's `csv` module reads what RFC 4180 leaves open).
//!
//! - A line ends with LF, CR or both. A record ends with a line, unless it is in quotes there; blank lines are no records, nor are lines
//!   that begin with the comment character where a record would.
//! - A quote opens at a field's beginning and nowhere else. It closes with the next quote that is neither doubled nor escaped; what stands
//!   between that one and the field's end belongs to the field.
//! - Within quotes, and anywhere if the dialect has no quotes, the character after the escape character neither closes nor ends anything.
//! - A quote that never closes, up to the end of the file, makes its record bad, and reading goes on with the line after it. Whatever quotes
//!   follow it in the file are doubled or escaped, or one of them would have closed it; so none of them is left open at the end of a line,
//!   and the file has no second such quote.
//!
//! [`Machine`] is this for one byte after the other; [`scan`] is the same for a whole text, and looks at special characters alone.

use super::Dialect;

/// Where in a record a byte stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    RecordStart,
    FieldStart,
    Plain,
    /// Behind an escape character outside of quotes.
    Escaped,
    /// Behind a CR that is escaped, with whose LF it is one line end.
    EscapedReturn,
    Quoted,
    /// Behind an escape character within quotes.
    EscapedInQuotes,
    QuoteInQuoted,
    Comment,
}

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A part of a field, or a quote about it.
    Text,
    /// The opening quote of a field.
    Opening,
    /// The last byte of what separates two fields.
    Delimiter,
    /// A part of a comment.
    Comment,
    /// The end of a record or of a comment: LF or CR.
    End,
    /// The LF of a line end that its CR began.
    SecondOfEnd,
}

/// Reads a text byte by byte.
#[derive(Debug, Clone)]
pub struct Machine {
    dialect: Dialect,
    state: State,
    after_return: bool,
    /// How many bytes of a delimiter have been seen.
    matched: usize,
    /// The bytes that may end a field without quotes, or are more than a part of it.
    special: [u8; 4],
}

impl Machine {
    /// A machine at the beginning of a record.
    pub fn of(dialect: &Dialect) -> Self {
        let delimiter = dialect.delimiter()[0];
        let special = [b'\n', b'\r', delimiter, dialect.escape_outside().unwrap_or(delimiter)];
        Machine { dialect: *dialect, state: State::default(), after_return: false, matched: 0, special }
    }

    /// Takes a byte.
    #[inline]
    pub fn step(&mut self, byte: u8) -> Mark {
        let is_plain = match self.state {
            State::Plain => self.matched == 0 && !self.special.contains(&byte),
            State::Quoted => Some(byte) != self.dialect.quote && Some(byte) != self.dialect.escape,
            _ => false,
        };
        if is_plain { Mark::Text } else { self.change(byte) }
    }

    /// Takes a byte that may be more than a part of a field.
    fn change(&mut self, byte: u8) -> Mark {
        let after_return = std::mem::take(&mut self.after_return);
        let is = |wanted: Option<u8>| wanted == Some(byte);
        let (state, mark) = match self.state {
            State::Quoted if is(self.dialect.quote) => (State::QuoteInQuoted, Mark::Text),
            State::Quoted if is(self.dialect.escape) => (State::EscapedInQuotes, Mark::Text),
            State::Quoted | State::EscapedInQuotes => (State::Quoted, Mark::Text),
            State::QuoteInQuoted if is(self.dialect.quote) => (State::Quoted, Mark::Text),
            State::Escaped => (if byte == b'\r' { State::EscapedReturn } else { State::Plain }, Mark::Text),
            State::EscapedReturn if byte == b'\n' => (State::Plain, Mark::Text),
            State::RecordStart if byte == b'\n' && after_return => (State::RecordStart, Mark::SecondOfEnd),
            _ if matches!(byte, b'\n' | b'\r') => {
                self.after_return = byte == b'\r';
                (State::RecordStart, Mark::End)
            }
            State::Comment => (State::Comment, Mark::Comment),
            State::RecordStart if is(self.dialect.comment) => (State::Comment, Mark::Comment),
            State::RecordStart | State::FieldStart if is(self.dialect.quote) => (State::Quoted, Mark::Opening),
            _ if is(self.dialect.escape_outside()) => (State::Escaped, Mark::Text),
            _ => return self.outside(byte),
        };
        self.matched = 0;
        self.state = state;
        mark
    }

    /// Takes a byte that is a part of a field or of a delimiter.
    #[inline]
    fn outside(&mut self, byte: u8) -> Mark {
        let delimiter = self.dialect.delimiter();
        self.matched = match self.matched {
            matched if delimiter[matched] == byte => matched + 1,
            // The first byte of a character is none of its others.
            _ => usize::from(delimiter[0] == byte),
        };
        if self.matched == delimiter.len() {
            (self.matched, self.state) = (0, State::FieldStart);
            return Mark::Delimiter;
        }
        self.state = State::Plain;
        Mark::Text
    }

    /// Whether [`Machine::skip`] takes many bytes as quickly as a few.
    pub fn is_quick(&self) -> bool {
        self.dialect.escape.is_none() && self.dialect.comment.is_none()
    }

    /// Takes bytes of which none is a quote or a line end, behind the beginning of a text.
    pub fn skip(&mut self, plain: &[u8]) {
        let skipped = if self.is_quick() { plain.len().saturating_sub(self.dialect.delimiter().len()) } else { 0 };
        if skipped > 0 {
            (self.after_return, self.matched) = (false, 0);
            if self.state != State::Quoted {
                self.state = State::Plain;
            }
        }
        for &byte in &plain[skipped..] {
            self.step(byte);
        }
    }

    /// Whether the text may not end here, because a quote is open.
    pub fn is_in_quotes(&self) -> bool {
        matches!(self.state, State::Quoted | State::EscapedInQuotes)
    }

    /// Whether it is in a line that is no record.
    pub fn is_in_comment(&self) -> bool {
        self.state == State::Comment
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

/// What the bytes behind it are not read as usual for.
enum Special {
    Quote(usize),
    Escape(usize),
    Comment(usize),
}

/// Looks for the last record end of a text, and whether a quote is open at its end.
pub fn scan(bytes: &[u8], dialect: &Dialect) -> Scanned {
    let mut scanned = Scanned::default();
    let mut start = 0;
    loop {
        let special = next_special(bytes, start, dialect);
        let end = match special {
            None => bytes.len(),
            Some(Special::Quote(at) | Special::Escape(at) | Special::Comment(at)) => at,
        };
        if let Some(end) = memchr::memrchr2(b'\n', b'\r', &bytes[start..end]) {
            scanned.last_end = Some(start + end + 1);
        }
        start = match special {
            None => return scanned,
            Some(Special::Quote(opening)) => match over_quoted_fields(bytes, opening, dialect, &mut scanned.last_end) {
                Ok(behind) => behind,
                Err(opening) => return Scanned { open_quote: Some(opening), ..scanned },
            },
            Some(Special::Escape(at)) => (at + 1 + escaped_bytes(&bytes[at + 1..])).min(bytes.len()),
            Some(Special::Comment(at)) => match memchr::memchr2(b'\n', b'\r', &bytes[at..]) {
                Some(length) => at + length,
                None => return scanned,
            },
        };
    }
}

/// How many of the bytes behind an escape character are escaped, of which there may be none.
pub fn escaped_bytes(behind: &[u8]) -> usize {
    if behind.starts_with(b"\r\n") { 2 } else { 1 }
}

/// The next quote that opens a field, escape character that counts, or comment, when none of them has begun at the start. What stands
/// before the start is not the end of a record, unless nothing does.
fn next_special(bytes: &[u8], start: usize, dialect: &Dialect) -> Option<Special> {
    let is_line_end = |at: usize| matches!(bytes[at], b'\n' | b'\r');
    let begins_record = |at: usize| at == 0 || (at > start && is_line_end(at - 1));
    let opens = |at: usize| at == 0 || is_line_end(at - 1) || bytes[..at].ends_with(dialect.delimiter());
    let special = |at: usize| match Some(bytes[at]) {
        byte if byte == dialect.comment => begins_record(at).then_some(Special::Comment(at)),
        byte if byte == dialect.quote => opens(at).then_some(Special::Quote(at)),
        _ => Some(Special::Escape(at)),
    };
    let rest = &bytes[start..];
    match (dialect.quote.or(dialect.escape), dialect.comment) {
        (Some(one), Some(other)) => memchr::memchr2_iter(one, other, rest).find_map(|at| special(start + at)),
        (Some(one), None) | (None, Some(one)) => memchr::memchr_iter(one, rest).find_map(|at| special(start + at)),
        (None, None) => None,
    }
}

/// Goes over a field in quotes, and over those that stand right behind it: where a program puts every field in quotes, these are all.
/// Returns the place behind the last closing quote, or the opening quote that none closes.
fn over_quoted_fields(bytes: &[u8], opening: usize, dialect: &Dialect, last_end: &mut Option<usize>) -> Result<usize, usize> {
    let delimiter = if dialect.is_narrow() { dialect.delimiter().first() } else { None };
    let mut opening = opening;
    loop {
        let closing = closing(bytes, opening, dialect).ok_or(opening)?;
        let behind = bytes.get(closing + 1);
        if behind == Some(&b'\n') {
            *last_end = Some(closing + 2);
        } else if behind.is_none() || behind != delimiter {
            return Ok(closing + 1);
        }
        if bytes.get(closing + 2) != dialect.quote.as_ref() {
            return Ok(closing + 1);
        }
        opening = closing + 2;
    }
}

/// The quote that closes one.
fn closing(bytes: &[u8], opening: usize, dialect: &Dialect) -> Option<usize> {
    let mut at = opening + 1;
    loop {
        at += next_in_quotes(bytes.get(at..)?, dialect)?;
        let is_escape = Some(bytes[at]) == dialect.escape;
        if !is_escape && bytes.get(at + 1) != dialect.quote.as_ref() {
            return Some(at);
        }
        at += 2;
    }
}

/// The next quote or escape character of a text that begins within quotes.
#[inline]
pub fn next_in_quotes(bytes: &[u8], dialect: &Dialect) -> Option<usize> {
    match dialect.escape {
        Some(escape) => memchr::memchr2(dialect.quote?, escape, bytes),
        None => memchr::memchr(dialect.quote?, bytes),
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
    /// Whether the last of them is empty and has no quotes.
    pub ends_in_delimiter: bool,
    /// Whether a quote is open at its end, which then is that of the text.
    pub in_quotes: bool,
}

/// The records of a text that begins with one, in one pass; blank lines and comments are left out.
pub fn records<'a>(bytes: &'a [u8], dialect: &'a Dialect) -> Records<'a> {
    Records { bytes, dialect, at: 0, line: 0 }
}

/// Goes over the records of a text.
pub struct Records<'a> {
    bytes: &'a [u8],
    dialect: &'a Dialect,
    at: usize,
    line: u64,
}

impl Iterator for Records<'_> {
    type Item = Standing;

    fn next(&mut self) -> Option<Standing> {
        while self.at < self.bytes.len() {
            let (start, line) = (self.at, self.line);
            let (mut machine, mut after_return, mut ended) = (Machine::of(self.dialect), false, false);
            let (mut end, mut fields, mut last) = (self.bytes.len(), 1, Mark::Text);
            while let Some(&byte) = self.bytes.get(self.at).filter(|_| !ended) {
                // Within quotes too a CR and its LF are one line end.
                self.line += u64::from(byte == b'\r' || (byte == b'\n' && !after_return));
                after_return = byte == b'\r';
                match machine.step(byte) {
                    Mark::End => (end, ended) = (self.at, true),
                    mark => {
                        fields += usize::from(mark == Mark::Delimiter);
                        last = mark;
                    }
                }
                self.at += 1;
            }
            self.at += usize::from(ended && after_return && self.bytes.get(self.at) == Some(&b'\n'));
            if end > start && last != Mark::Comment {
                let (ends_in_delimiter, in_quotes) = (last == Mark::Delimiter, machine.is_in_quotes());
                return Some(Standing { start, end, next: self.at, line, fields, ends_in_delimiter, in_quotes });
            }
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Dialect = Dialect::of(',');

    fn texts(text: &str) -> Vec<(&str, u64, usize)> {
        texts_of(text, &PLAIN)
    }

    fn texts_of<'a>(text: &'a str, dialect: &Dialect) -> Vec<(&'a str, u64, usize)> {
        records(text.as_bytes(), dialect).map(|record| (&text[record.start..record.end], record.line, record.fields)).collect()
    }

    /// Dialects whose special characters are among those of [`TEXT`].
    pub fn dialects() -> impl Strategy<Value = Dialect> {
        let delimiter = prop::sample::select(vec![',', '§', '\t']);
        let quote = prop::sample::select(vec![Some(b'"'), Some(b'\''), None]);
        let escape = prop::sample::select(vec![None, Some(b'\\')]);
        let comment = prop::sample::select(vec![None, Some(b'#')]);
        (delimiter, quote, escape, comment).prop_map(|(delimiter, quote, escape, comment)| Dialect {
            quote,
            escape,
            comment,
            ..Dialect::of(delimiter)
        })
    }

    /// Fields in quotes often stand side by side, over records.
    const TEXT: &str = "(\r\n|\"a\"[,\n]|[a,§Â\t\"'#\\\\\n\r]){0,24}";

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

    #[test]
    fn comments_and_escapes_end_no_records() {
        let comments = Dialect { comment: Some(b'#'), ..PLAIN };
        assert_eq!(texts_of("# it's \"x\na,#b\r\n#\n\"x\n# y\",2\n#", &comments), [("a,#b", 1, 2), ("\"x\n# y\",2", 3, 2)]);
        let escapes = Dialect { escape: Some(b'\\'), ..PLAIN };
        assert_eq!(texts_of("\"a\\\"\n\",b\nc", &escapes), [("\"a\\\"\n\",b", 0, 2), ("c", 2, 1)]);
        let no_quotes = Dialect { quote: None, ..escapes };
        assert_eq!(texts_of("\"a\\,b,c\\\nd\ne\\\r\nf", &no_quotes), [("\"a\\,b,c\\\nd", 0, 2), ("e\\\r\nf", 2, 1)]);
    }

    #[test]
    fn a_delimiter_may_have_several_bytes() {
        assert_eq!(texts_of("Â§\"b§\nc\"§d\n§", &Dialect::of('§')), [("Â§\"b§\nc\"§d", 0, 3), ("§", 2, 2)]);
    }

    proptest! {
        #[test]
        fn a_scan_is_the_machine(text in TEXT, dialect in dialects()) {
            let bytes = text.as_bytes();
            let mut machine = Machine::of(&dialect);
            let mut expected = Scanned::default();
            let mut opened = 0;
            for (at, &byte) in bytes.iter().enumerate() {
                match machine.step(byte) {
                    Mark::Opening => opened = at,
                    Mark::End | Mark::SecondOfEnd => expected.last_end = Some(at + 1),
                    Mark::Text | Mark::Delimiter | Mark::Comment => {}
                }
            }
            expected.open_quote = machine.is_in_quotes().then_some(opened);
            prop_assert_eq!(scan(bytes, &dialect), expected);
            prop_assert_eq!(records(bytes, &dialect).last().is_some_and(|record| record.in_quotes), machine.is_in_quotes());
        }

        #[test]
        fn skipping_is_stepping(text in TEXT, dialect in dialects()) {
            let (mut one, mut other) = (Machine::of(&dialect), Machine::of(&dialect));
            let is_special = |byte: u8| Some(byte) == dialect.quote || matches!(byte, b'\n' | b'\r');
            for run in text.as_bytes().chunk_by(|one, other| is_special(*one) == is_special(*other)) {
                if is_special(run[0]) {
                    for byte in run {
                        other.step(*byte);
                    }
                } else {
                    other.skip(run);
                }
                for byte in run {
                    one.step(*byte);
                }
                prop_assert_eq!((one.state, one.is_in_quotes()), (other.state, other.is_in_quotes()));
            }
        }

        #[test]
        fn no_quote_is_left_open_after_one_that_never_closes(text in "[a,\"#\\\\\n]{0,24}", dialect in dialects()) {
            let Some(opening) = scan(text.as_bytes(), &dialect).open_quote else { return Ok(()) };
            let Some(end) = text[opening..].find('\n') else { return Ok(()) };
            let rest = &text.as_bytes()[opening + end + 1..];
            prop_assert_eq!(scan(rest, &dialect).open_quote, None);
            for record in records(rest, &dialect) {
                prop_assert_eq!(line_ends(&rest[record.start..record.end]), 0);
            }
        }
    }
}
