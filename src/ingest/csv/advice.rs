//! The settings with which a CSV file could be read that its contract cannot read. They are tried on its first lines, and only told.

use encoding_rs::Encoding;

use super::records::records;
use super::settings::CsvSettings;
use super::{Dialect, fields};
use crate::config::SourceFormat;
use crate::ingest::contract::Contract;
use crate::ingest::names::fold;
use crate::ingest::{encoding, format};

/// Characters that separate fields, each with its name.
const DELIMITERS: [(char, &str, &str); 10] = [
    (',', "`,`", "','"),
    (';', "`;`", "';'"),
    ('\t', "tabs", "\"\\t\""),
    ('|', "`|`", "'|'"),
    ('^', "`^`", "'^'"),
    ('~', "`~`", "'~'"),
    (':', "`:`", "':'"),
    ('\u{1}', "control characters 0x01", "\"\\x01\""),
    ('§', "`§`", "'§'"),
    ('¦', "`¦`", "'¦'"),
];
/// Characters that stand around fields.
const QUOTES: [u8; 2] = [b'"', b'\''];
/// Characters that begin comments.
const COMMENTS: [u8; 3] = [b'#', b'%', b'!'];
/// Lines of which each could be the header.
const LINES: usize = 30;
/// Records that are looked at for what all of them end with.
const RECORDS: usize = 1_000;

/// Settings that would read a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The settings.
    pub settings: CsvSettings,
    /// How many columns of the contract they find.
    pub columns: usize,
    /// The line of the header or of the first record, from 1.
    line: usize,
    /// What stands in this line, if it is what separates its fields.
    counted: Option<String>,
}

impl Advice {
    /// The advice as a sentence.
    pub fn told(&self, contract: &Contract) -> String {
        let line = if self.line == 1 { "the first line".to_owned() } else { format!("line {}", self.line) };
        let settings = written(&self.settings, &contract.csv);
        if !self.settings.has_header {
            let what = self.counted.as_ref().map_or_else(String::new, |counted| format!(" has {counted} and"));
            return format!(
                "{line}{what} looks like a row: if the file has no header, say `{settings}`, and name its columns in their order"
            );
        }
        let names = || format!("names {} of the contract's {} columns", self.columns, contract.in_files().count());
        match &self.counted {
            Some(counted) if self.line == 1 => format!("{line} has {counted}: say `{settings}`"),
            Some(counted) => format!("{line} has {counted}, and {}: say `{settings}`", names()),
            None => format!("{line} {}: say `{settings}`", names()),
        }
    }
}

/// Settings as the pipeline file says them: those that are not the default, or not what it says now.
fn written(settings: &CsvSettings, now: &CsvSettings) -> String {
    let CsvSettings { dialect, skip_lines, has_header, skip_after_header, trailing_delimiter } = settings;
    let mut parts = Vec::new();
    let character = |byte: u8| if byte == b'\'' { "\"'\"".to_owned() } else { format!("'{}'", char::from(byte)) };
    if dialect.delimiter() != b"," || now.dialect.delimiter() != b"," {
        parts.push(format!("delimiter: {}", delimiter_written(dialect)));
    }
    match dialect.quote {
        Some(b'"') if now.dialect.quote == Some(b'"') => {}
        Some(quote) => parts.push(format!("quote: {}", character(quote))),
        None => parts.push("quote: none".to_owned()),
    }
    parts.extend(dialect.escape.map(|escape| format!("escape: {}", character(escape))));
    parts.extend(dialect.comment.map(|comment| format!("comment: {}", character(comment))));
    if *skip_lines > 0 || now.skip_lines > 0 {
        parts.push(format!("skip_lines: {skip_lines}"));
    }
    if !has_header || !now.has_header {
        parts.push(format!("header: {has_header}"));
    } else if *skip_after_header > 0 {
        parts.push(format!("skip_after_header: {skip_after_header}"));
    }
    if *trailing_delimiter {
        parts.push("trailing_delimiter: true".to_owned());
    }
    format!("csv: {{{}}}", parts.join(", "))
}

fn delimiter_written(dialect: &Dialect) -> String {
    let known = DELIMITERS.iter().find(|(delimiter, ..)| Dialect::of(*delimiter).delimiter() == dialect.delimiter());
    known.map_or_else(|| format!("'{}'", String::from_utf8_lossy(dialect.delimiter())), |(.., written)| (*written).to_owned())
}

/// What a line says for a delimiter: how many there are, and how many of the one it was read with.
fn counted(line: &[u8], dialect: &Dialect, read_with: &Dialect) -> Option<String> {
    if dialect.delimiter() == read_with.delimiter() {
        return None;
    }
    let count = |dialect: &Dialect| memchr::memmem::find_iter(line, dialect.delimiter()).count();
    let name = |dialect: &Dialect| {
        let known = DELIMITERS.iter().find(|(delimiter, ..)| Dialect::of(*delimiter).delimiter() == dialect.delimiter());
        known.map_or_else(|| format!("`{}`", String::from_utf8_lossy(dialect.delimiter())), |(_, name, _)| (*name).to_owned())
    };
    let had = count(read_with);
    let had = if had == 0 { "no".to_owned() } else { had.to_string() };
    let there = match (count(dialect), name(dialect)) {
        (1, name) => format!("1 {}", name.trim_end_matches('s')),
        (count, name) => format!("{count} {name}"),
    };
    Some(format!("{there} and {had} {}", name(read_with)))
}

/// The settings with which the first lines of a file name most columns of a contract, or else look like rows of it.
pub fn of_head(head: &[u8], contract: &Contract) -> Option<Advice> {
    let lines: Vec<usize> = std::iter::once(0).chain(behind_line_ends(head)).take(LINES).filter(|start| *start < head.len()).collect();
    let mut best: Option<Advice> = None;
    for dialect in dialects(&contract.csv.dialect, head) {
        for (skipped, &start) in lines.iter().enumerate() {
            let settings = CsvSettings { dialect, skip_lines: skipped as u64, has_header: true, ..contract.csv };
            let Some(record) = records(&head[start..], &dialect).next() else { continue };
            let line = &head[start + record.start..start + record.end];
            let columns = columns_named(line, &dialect, contract);
            if columns > 0 && columns * 2 >= contract.in_files().count() && best.as_ref().is_none_or(|best| columns > best.columns) {
                let counted = counted(line, &dialect, &contract.csv.dialect);
                let line = skipped + 1 + usize::try_from(record.line).unwrap_or(0);
                let settings = with_comments(settings, head, start);
                best = Some(Advice { settings, columns, line, counted });
            }
        }
    }
    best.filter(|best| best.settings != contract.csv).or_else(|| without_header(head, &lines, contract))
}

/// Settings that leave lines out by the character that they begin with, if all that are skipped do.
fn with_comments(settings: CsvSettings, head: &[u8], start: usize) -> CsvSettings {
    let mut skipped = head[..start].split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()).peekable();
    let Some(first) = skipped.peek().and_then(|line| line.first().copied()) else { return settings };
    let is_comment = settings.dialect.comment.is_none() && COMMENTS.contains(&first) && skipped.all(|line| line.first() == Some(&first));
    if !is_comment {
        return settings;
    }
    CsvSettings { skip_lines: 0, dialect: Dialect { comment: Some(first), ..settings.dialect }, ..settings }
}

/// Where lines begin behind others.
fn behind_line_ends(head: &[u8]) -> impl Iterator<Item = usize> {
    let ends = memchr::memchr2_iter(b'\n', b'\r', head);
    ends.filter(|at| head[*at] == b'\n' || head.get(at + 1) != Some(&b'\n')).map(|at| at + 1)
}

/// Dialects that could be that of a text: at first the one that it is read with.
fn dialects(read_with: &Dialect, head: &[u8]) -> Vec<Dialect> {
    let delimiters =
        DELIMITERS.iter().map(|(delimiter, ..)| Dialect::of(*delimiter)).filter(|dialect| dialect.delimiter() != read_with.delimiter());
    let there = delimiters.filter(|dialect| memchr::memmem::find(head, dialect.delimiter()).is_some());
    let mut dialects = Vec::new();
    for delimiter in std::iter::once(*read_with).chain(there) {
        let Dialect { quote, escape, comment, .. } = *read_with;
        let with = Dialect { quote, escape, comment, ..delimiter };
        dialects.push(with);
        let others = QUOTES.into_iter().filter(|other| Some(*other) != quote && memchr::memchr(*other, head).is_some());
        dialects.extend(others.map(|quote| Dialect { quote: Some(quote), ..with }));
    }
    dialects
}

/// How many columns of a contract a header names.
fn columns_named(line: &[u8], dialect: &Dialect, contract: &Contract) -> usize {
    let names: Vec<String> = fields(line, dialect).unwrap_or_default().iter().map(|name| fold(name)).collect();
    contract.columns.iter().filter(|column| column.names.iter().any(|name| names.contains(&fold(name)))).count()
}

/// The settings with which the first line is a row: as many fields as the contract has columns, and those of a type that tells are of it.
fn without_header(head: &[u8], lines: &[usize], contract: &Contract) -> Option<Advice> {
    let skipped = usize::try_from(contract.csv.skip_lines).ok()?;
    let head = &head[*lines.get(skipped)?..];
    let row = |dialect: Dialect| {
        let record = records(head, &dialect).next()?;
        let line = &head[record.start..record.end];
        let fields = fields(line, &dialect)?;
        let mut tells = false;
        for (column, place) in contract.columns.iter().zip(contract.places()) {
            let Some(place) = place else { continue };
            let text = fields.get(place)?;
            let (is_closed, is_told) = (column.is_closed(text), column.tells_values());
            if is_told && !is_closed && !text.is_empty() {
                return None;
            }
            tells |= is_told && is_closed;
        }
        let settings = CsvSettings { dialect, has_header: false, skip_after_header: 0, ..contract.csv };
        let (columns, line_number) = (contract.columns.len(), skipped + 1 + usize::try_from(record.line).ok()?);
        tells.then(|| Advice { settings, columns, line: line_number, counted: counted(line, &dialect, &contract.csv.dialect) })
    };
    dialects(&contract.csv.dialect, head).into_iter().find_map(row).filter(|advice| advice.settings != contract.csv)
}

/// What a file seems to be whose lines name no column of its contract: another format, or one with another delimiter.
pub fn of_characters(head: &[u8], contract: &Contract) -> Option<String> {
    if let Some(other) = format::guess(head, SourceFormat::Csv) {
        return Some(other);
    }
    let skipped = usize::try_from(contract.csv.skip_lines).ok()?;
    let begin = std::iter::once(0).chain(behind_line_ends(head)).nth(skipped)?;
    let line = records(&head[begin..], &Dialect { quote: None, escape: None, ..contract.csv.dialect }).next()?;
    let line = &head[begin + line.start..begin + line.end];
    let read_with = contract.csv.dialect;
    let count = |dialect: &Dialect| memchr::memmem::find_iter(line, dialect.delimiter()).count();
    let others = DELIMITERS.iter().filter(|(delimiter, ..)| *delimiter != ':').map(|(delimiter, ..)| Dialect::of(*delimiter));
    let best = others.rev().max_by_key(count).filter(|best| count(best) > count(&read_with))?;
    let Dialect { quote, escape, comment, .. } = read_with;
    let settings = CsvSettings { dialect: Dialect { quote, escape, comment, ..best }, ..contract.csv };
    let first = if skipped == 0 { "the first line".to_owned() } else { format!("line {}", skipped + 1) };
    Some(format!("{first} has {}: say `{}`", counted(line, &best, &read_with)?, written(&settings, &contract.csv)))
}

/// What to do about a header that is no text in the encoding that it is read in.
pub fn of_encoding(line: &[u8], declared: Option<&'static Encoding>) -> String {
    match declared {
        Some(declared) => format!("it is read as {}: correct the source's `encoding`", declared.name()),
        None => match encoding::guess(line) {
            Some(guess) => format!("say `encoding: {guess}` if that is what the file is in, or save it as UTF-8"),
            None => "say its `encoding`, such as `windows-1251`, `gbk` or `euc-kr`, or save it as UTF-8".to_owned(),
        },
    }
}

/// What is said of a file whose first records all have one field more than the header: an empty one behind the last delimiter.
pub fn of_first_records(text: &[u8], width: usize, settings: &CsvSettings) -> Option<String> {
    if settings.trailing_delimiter {
        return None;
    }
    let mut seen = 0;
    for record in records(text, &settings.dialect).skip(usize::try_from(settings.skip_after_header).ok()?).take(RECORDS) {
        if record.fields != width + 1 || !record.ends_in_delimiter {
            return None;
        }
        seen += 1;
    }
    let advised = CsvSettings { trailing_delimiter: true, ..*settings };
    let what = "has one field more in every record than in its header, an empty one behind the last delimiter";
    (seen > 1).then(|| format!("{what}: say `{}`", written(&advised, settings)))
}
