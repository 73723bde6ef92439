//! Takes a decoded text apart into records by a dialect, and notes what does not fit it. One pass over the text, whatever it holds.

/// How fields are separated and quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// What stands between fields.
    pub delimiter: char,
    /// What stands around fields.
    pub quote: Option<char>,
    /// What stands before a quote within quotes; none if that is doubled.
    pub escape: Option<char>,
    /// What lines begin with that are no records.
    pub comment: Option<char>,
}

impl Dialect {
    /// Comma, double quote.
    pub const PLAIN: Dialect = Dialect { delimiter: ',', quote: Some('"'), escape: None, comment: None };
}

/// One record.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The fields.
    pub cells: Vec<String>,
    /// Which of them were quoted.
    pub quoted: Vec<bool>,
    /// The number of its first line, from 0.
    pub line: usize,
    /// How many lines it takes.
    pub lines: usize,
    /// How many quotes stand where they should not.
    pub flaws: usize,
    /// Whether a doubled or escaped quote was in it.
    pub has_escapes: bool,
}

impl Record {
    /// Whether nothing stands in it.
    pub fn is_blank(&self) -> bool {
        self.cells.len() == 1 && self.cells[0].trim().is_empty() && !self.quoted[0]
    }

    /// How many of its fields are not empty.
    pub fn filled(&self) -> usize {
        self.cells.iter().filter(|cell| !cell.trim().is_empty()).count()
    }
}

/// The records of a text.
#[derive(Debug, Default)]
pub struct Records {
    /// In order; without comments and blank lines.
    pub records: Vec<Record>,
    /// How many lines were comments.
    pub comments: usize,
    /// Whether the text ends within quotes.
    pub is_open: bool,
}

/// Takes a text apart, up to so many records.
pub fn records(text: &str, dialect: &Dialect, most: usize) -> Records {
    let mut found = Records::default();
    let mut chars = text.chars().peekable();
    let mut line = 0;
    while chars.peek().is_some() && found.records.len() < most {
        if dialect.comment.is_some() && chars.peek().copied() == dialect.comment {
            for c in chars.by_ref() {
                if c == '\n' {
                    break;
                }
            }
            line += 1;
            found.comments += 1;
            continue;
        }
        let mut record = Record { line, ..Record::default() };
        let is_open = record_of(&mut chars, dialect, &mut record);
        line += record.lines;
        if !record.is_blank() {
            found.records.push(record);
        }
        if is_open {
            found.is_open = true;
        }
    }
    found
}

/// Reads one record; whether the text ended within quotes.
fn record_of(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, dialect: &Dialect, record: &mut Record) -> bool {
    let (mut cell, mut is_quoted, mut inside) = (String::new(), false, false);
    record.lines = 1;
    while let Some(c) = chars.next() {
        if inside {
            let next = chars.peek().copied();
            if dialect.escape == Some(c)
                && dialect.escape != dialect.quote
                && next.is_some_and(|next| dialect.quote == Some(next) || next == c)
            {
                cell.extend(chars.next());
                record.has_escapes = true;
            } else if dialect.quote == Some(c) {
                if dialect.escape.is_none() && next == Some(c) {
                    chars.next();
                    cell.push(c);
                    record.has_escapes = true;
                } else {
                    inside = false;
                    if next.is_some_and(|next| next != dialect.delimiter && next != '\n' && next != '\r') {
                        record.flaws += 1;
                    }
                }
            } else {
                record.lines += usize::from(c == '\n');
                cell.push(c);
            }
        } else if dialect.quote == Some(c) && cell.is_empty() && !is_quoted {
            (inside, is_quoted) = (true, true);
        } else if c == dialect.delimiter {
            record.cells.push(std::mem::take(&mut cell));
            record.quoted.push(std::mem::take(&mut is_quoted));
        } else if c == '\n' || (c == '\r' && dialect.delimiter != '\r') {
            if c == '\r' && chars.peek() == Some(&'\n') {
                chars.next();
            }
            record.cells.push(cell);
            record.quoted.push(is_quoted);
            return false;
        } else {
            cell.push(c);
        }
    }
    record.flaws += usize::from(inside);
    record.cells.push(cell);
    record.quoted.push(is_quoted);
    inside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(text: &str, dialect: Dialect) -> Vec<Vec<String>> {
        records(text, &dialect, usize::MAX).records.into_iter().map(|record| record.cells).collect()
    }

    #[test]
    fn records_are_taken_apart() {
        assert_eq!(cells("a,\"b,\n\"\"c\"\"\"\r\n\r\n1,2", Dialect::PLAIN), [["a", "b,\n\"c\""], ["1", "2"]]);
        let escaped = Dialect { escape: Some('\\'), ..Dialect::PLAIN };
        assert_eq!(cells("\"a\\\"b\",c\\d\n", escaped), [["a\"b", "c\\d"]]);
        assert_eq!(
            cells("# note\na|b\n#x\n1|2", Dialect { delimiter: '|', comment: Some('#'), ..Dialect::PLAIN }),
            [["a", "b"], ["1", "2"]]
        );
        assert_eq!(cells("5\" pipe,x", Dialect::PLAIN), [["5\" pipe", "x"]]);
    }

    proptest! {
        /// What Rust's csv crate reads of sound records.
        #[test]
        fn sound_records_are_those_of_the_csv_crate(rows in proptest::collection::vec(proptest::collection::vec("[a,\"\n ]{0,6}", 2..5), 1..8)) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(cells(&text, Dialect::PLAIN), rows);
        }

        #[test]
        fn any_text_has_records(text in "\\PC{0,200}", delimiter in proptest::char::any()) {
            records(&text, &Dialect { delimiter, quote: Some('\''), escape: Some('\\'), comment: Some('#') }, 100);
        }
    }
}
