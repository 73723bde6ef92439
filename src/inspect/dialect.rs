//! Finds the dialect of a CSV file: delimiter, quote, escape and comment.
//!
//! Every candidate dialect takes the beginning of the file apart, and the one wins whose table is the most plausible. The measure
//! follows van den Burg, Nazábal and Sutton, "Wrangling messy CSV files by detecting row and type patterns" (Data Mining and Knowledge
//! Discovery, 2019; the package `clevercsv`): rows that agree in their pattern, times cells that look like values of a type. Three things differ. Rows
//! agree if they have the same number of fields, counted from the first row that has it, as in `sniff_csv` of DuckDB, so that lines above
//! the header cost little. Their share counts and not their number, so that line ends within quotes do not favour a dialect without
//! quotes. And quotes that stand where they should not count against a dialect. Characters that often stand within values (space,
//! colon) must agree much better than those that seldom do.

use super::look::Look;
use super::records::{Dialect, Record, Records, records};

/// The delimiters that are tried, each with how much a table by it is believed.
const DELIMITERS: [(char, f64); 18] = [
    (',', 1.0),
    (';', 1.0),
    ('\t', 1.0),
    ('|', 1.0),
    ('^', 0.95),
    ('~', 0.95),
    ('\u{1}', 0.95),
    ('\u{1f}', 0.95),
    ('¦', 0.95),
    ('§', 0.95),
    ('¬', 0.95),
    (':', 0.45),
    (' ', 0.45),
    ('#', 0.4),
    ('*', 0.4),
    ('&', 0.4),
    ('!', 0.4),
    ('=', 0.4),
];

/// The characters that comments begin with.
const COMMENTS: [char; 4] = ['#', '%', '!', ';'];

/// How much of a text is looked at for each candidate.
const LOOK_CHARS: usize = 64 * 1024;
/// How many records are looked at for each candidate.
const LOOK_RECORDS: usize = 1_000;
/// How many cells of each candidate are looked at for their types.
const LOOK_CELLS: usize = 4_000;
/// A table below this is none: the text has one column.
const LEAST_SCORE: f64 = 0.2;
/// A second candidate this near is told.
const NEAR: f64 = 0.93;

/// How much a table is believed whose delimiter seems to stand within a column of another one.
const WITHIN: f64 = 0.3;

/// A dialect, and how sure it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// The dialect; with one column, the delimiter is a comma.
    pub dialect: Dialect,
    /// Whether the text has only one column.
    pub is_single: bool,
    /// What could not be told.
    pub unsure: Option<String>,
}

/// Finds the dialect of the beginning of a text. `is_whole` says that this is all of it.
pub fn detect(text: &str, is_whole: bool) -> Found {
    let (text, is_whole) = match text.char_indices().nth(LOOK_CHARS) {
        Some((end, _)) => (&text[..end], false),
        None => (text, is_whole),
    };
    let comment = comment(text);
    if is_quoted_column(text, comment) {
        return Found { dialect: single(text, comment), is_single: true, unsure: None };
    }
    let typed = typed_lines(text, comment);
    let mut tables: Vec<(f64, Dialect, Begin)> = Vec::new();
    let has_escapes = |quote: char| text.contains(&format!("\\{quote}"));
    let quotes = [Some('"'), Some('\''), None];
    for (delimiter, belief) in DELIMITERS.into_iter().filter(|(delimiter, _)| text.contains(*delimiter)) {
        for quote in quotes {
            if quote.is_some_and(|quote| quote != '"' && !text.contains(quote)) || (quote.is_none() && !text.contains(['"', '\''])) {
                continue;
            }
            for escape in [None, Some('\\')] {
                if escape.is_some() && !quote.is_some_and(has_escapes) {
                    continue;
                }
                let dialect = Dialect { delimiter, quote, escape, comment };
                let read = records(text, &dialect, LOOK_RECORDS);
                tables.push((score(&read, &dialect, is_whole, belief, typed), dialect, begin(&read, is_whole, belief)));
            }
        }
    }
    // A list within a column agrees as well as a table, but its delimiter does not stand in the header, where that of the table does.
    let has_header = |delimiter: char| {
        let around = |(score, dialect, begin): &&(f64, Dialect, Begin)| *score > 0.0 && dialect.delimiter != delimiter && begin.is_headed;
        tables.iter().any(|table| around(&table))
    };
    let mut best: Vec<(f64, Dialect)> = tables
        .iter()
        .map(|(score, dialect, begin)| (if begin.is_below && has_header(dialect.delimiter) { score * WITHIN } else { *score }, *dialect))
        .collect();
    // Stable, so that of equals the first stays.
    best.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    match best.first() {
        Some((score, dialect)) if *score >= LEAST_SCORE => {
            let other = best.iter().find(|(_, other)| other.delimiter != dialect.delimiter).filter(|(other, _)| *other > score * NEAR);
            let unsure = other.map(|(_, other)| {
                format!("UNSURE: fields may be separated by {} instead of {}", shown(other.delimiter), shown(dialect.delimiter))
            });
            Found { dialect: *dialect, is_single: false, unsure }
        }
        _ => Found { dialect: single(text, comment), is_single: true, unsure: None },
    }
}

/// How a table begins.
struct Begin {
    /// Whether every record, from the first one on, has the same number of fields, and the first has names.
    is_headed: bool,
    /// Whether the first record is one field alone, and the table begins below it.
    is_below: bool,
}

fn begin(read: &Records, is_whole: bool, belief: f64) -> Begin {
    // The last one may be cut off.
    let records = &read.records[..read.records.len().saturating_sub(usize::from(!is_whole))];
    let Some((first, rest)) = records.split_first() else { return Begin { is_headed: false, is_below: false } };
    let (width, is_named) = (first.cells.len(), !first.cells.iter().any(|cell| Look::of(cell).is_data() || cell.trim().is_empty()));
    let has_agreed = !rest.is_empty() && rest.iter().all(|record| record.cells.len() == width);
    Begin { is_headed: width > 1 && belief > 0.5 && is_named && has_agreed, is_below: width == 1 }
}

/// A character in words.
pub fn shown(c: char) -> String {
    match c {
        '\t' => "tabs".to_owned(),
        ' ' => "spaces".to_owned(),
        c if c.is_control() => format!("the control character 0x{:02x}", u32::from(c)),
        c => format!("`{c}`"),
    }
}

/// The dialect of a text of one column.
fn single(text: &str, comment: Option<char>) -> Dialect {
    let quoted_by = |quote: char| {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(50).collect();
        let around = |line: &&str| line.len() > 1 && line.starts_with(quote) && line.ends_with(quote);
        lines.len() > 1 && lines.iter().filter(|line| around(line)).count() * 2 > lines.len()
    };
    let quote = if quoted_by('\'') { '\'' } else { '"' };
    Dialect { quote: Some(quote), comment, ..Dialect::PLAIN }
}

/// Whether every line is one quoted field.
fn is_quoted_column(text: &str, comment: Option<char>) -> bool {
    let read = records(text, &Dialect { comment, ..Dialect::PLAIN }, LOOK_RECORDS).records;
    let fits = |record: &&Record| record.cells.len() == 1 && record.quoted[0] && record.flaws == 0;
    read.len() > 1 && read.iter().skip(1).filter(fits).count() * 10 >= (read.len() - 1) * 9
}

/// The share of lines, but for the first, that are each a number, day, time or address as a whole.
fn typed_lines(text: &str, comment: Option<char>) -> f64 {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !comment.is_some_and(|sign| line.starts_with(sign)));
    let looks: Vec<Look> = lines.skip(1).take(LOOK_RECORDS).map(Look::of).collect();
    super::share::share(looks.iter().filter(|look| look.is_data()).count(), looks.len())
}

/// How plausible a table is, from 0 to 1. `typed` is the share of lines that are a value as a whole.
fn score(read: &Records, dialect: &Dialect, is_whole: bool, belief: f64, typed: f64) -> f64 {
    let mut records = read.records.as_slice();
    // The last one may be cut off.
    if !is_whole && records.len() > 1 {
        records = &records[..records.len() - 1];
    }
    let Some(width) = width(records) else { return 0.0 };
    if width < 2 {
        return 0.0;
    }
    let start = records.iter().position(|record| record.cells.len() == width).unwrap_or_default();
    let table = &records[start..];
    let agreeing: Vec<&Record> = table.iter().filter(|record| record.cells.len() == width).collect();
    let rows = count(table.len());
    let agreement = count(agreeing.len()) / rows;
    let least = if belief < 0.5 { 0.95 } else { 0.5 };
    if agreement < least || (belief < 0.5 && agreeing.len() < 3) {
        return 0.0;
    }
    // The delimiter stands within values, and not between them.
    if typed >= 0.9 && (belief < 0.5 || agreement < 1.0 || start > 0) {
        return 0.0;
    }
    if belief < 0.5 && !has_typed_column(&agreeing, width) {
        return 0.0;
    }
    // Lines above the header are few; many rows of other lengths in front are none.
    let above = count(start) / count(records.len());
    let flawed = count(records.iter().filter(|record| record.flaws > 0).count()) / count(records.len());
    let open = if read.is_open && is_whole { 0.5 } else { 1.0 };
    // A record of many lines has swallowed others, unless its quote was closed where a field ends.
    let swallowed = records.iter().map(|record| if record.flaws > 0 { record.lines } else { 1 }).sum::<usize>();
    let swallowed = count(records.len()) / count(swallowed.max(1));
    let fields = (count(width) - 1.0) / count(width);
    let agreement = agreement * agreement * (1.0 - above * 0.5) * (1.0 - flawed) * swallowed;
    agreement * fields.sqrt() * types(&agreeing, dialect) * belief * open
}

/// Whether a column holds values that all look alike and like no text.
fn has_typed_column(rows: &[&Record], width: usize) -> bool {
    (0..width).any(|at| rows.iter().skip(1).take(50).all(|row| row.cells.get(at).is_some_and(|cell| Look::of(cell).is_data())))
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The number of fields that most records have; of two the larger.
pub fn width(records: &[Record]) -> Option<usize> {
    let mut counts = std::collections::BTreeMap::new();
    for record in records {
        *counts.entry(record.cells.len()).or_insert(0_usize) += 1;
    }
    counts.into_iter().max_by_key(|(width, count)| (*count, *width)).map(|(width, _)| width)
}

/// How much the cells look like values, from 0 to 1.
fn types(rows: &[&Record], dialect: &Dialect) -> f64 {
    let (mut sum, mut cells) = (0.0, 0_usize);
    let step = (rows.len() * rows.first().map_or(0, |row| row.cells.len()) / LOOK_CELLS).max(1);
    for row in rows.iter().step_by(step) {
        for (cell, quoted) in row.cells.iter().zip(&row.quoted) {
            sum += plausible(cell, *quoted, dialect);
            cells += 1;
        }
    }
    if cells == 0 { 0.0 } else { sum / count(cells) }
}

fn plausible(cell: &str, is_quoted: bool, dialect: &Dialect) -> f64 {
    match Look::of(cell) {
        Look::Text => {}
        Look::Empty => return 0.9,
        _ => return 1.0,
    }
    // The quotes of another dialect.
    let trimmed = cell.trim();
    if !is_quoted && ['"', '\''].iter().any(|quote| trimmed.starts_with(*quote) || trimmed.ends_with(*quote)) {
        return 0.2;
    }
    if !is_quoted && trimmed.contains('"') {
        return 0.5;
    }
    let has_other = DELIMITERS[..4].iter().any(|(other, _)| *other != dialect.delimiter && cell.contains(*other));
    match (has_other, is_quoted) {
        (true, false) => 0.5,
        (true, true) => 0.85,
        _ if cell.starts_with(' ') && cell.len() > 1 => 0.85,
        _ => 0.95,
    }
}

/// The character that comments begin with, if there are any.
fn comment(text: &str) -> Option<char> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(2_000).collect();
    for sign in COMMENTS {
        let begins = |line: &&&str| line.starts_with(sign);
        let those: Vec<&&str> = lines.iter().filter(begins).collect();
        if those.is_empty() || those.len() == lines.len() || (sign != '#' && those.len() * 2 > lines.len()) {
            continue;
        }
        // A header or a value may begin with it as well: then the line has as many fields as others.
        let others: Vec<&str> = lines.iter().filter(|line| !begins(line)).copied().take(200).collect();
        let fields = |line: &str, delimiter: char| line.matches(delimiter).count();
        let most = DELIMITERS[..11].iter().filter(|(c, _)| *c != sign).map(|(c, _)| *c).max_by_key(|c| {
            let counts: Vec<usize> = others.iter().map(|line| fields(line, *c)).collect();
            let agreed = counts.iter().filter(|count| **count > 0 && Some(*count) == counts.get(counts.len() / 2)).count();
            (agreed, counts.first().copied().unwrap_or_default())
        });
        let usual = most.and_then(|c| {
            let mut counts: Vec<usize> = others.iter().map(|line| fields(line, c)).collect();
            counts.sort_unstable();
            counts.get(counts.len() / 2).copied()
        });
        let (Some(delimiter), Some(usual)) = (most, usual) else { continue };
        let alike = those.iter().filter(|line| fields(line, delimiter) == usual && usual > 0).count();
        let is_fewest = sign == '#' || those.len() > 1;
        let is_worded = those.iter().any(|line| line.trim_start_matches(sign).chars().any(char::is_alphabetic));
        // One line that is as long as the others is a header, or a row.
        if alike * 2 < those.len().max(2) && alike < 2 && is_fewest && is_worded && !(those.len() == 1 && alike == 1) {
            return Some(sign);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> (char, Option<char>, Option<char>, Option<char>) {
        let found = detect(text, true);
        assert!(!found.is_single, "{text}");
        let Dialect { delimiter, quote, escape, comment } = found.dialect;
        (delimiter, quote, escape, comment)
    }

    #[test]
    fn dialects_are_told() {
        assert_eq!(of("id,at\n1,2026-01-01\n"), (',', Some('"'), None, None));
        assert_eq!(of("a;b\n1,5;2\n2,5;3\n3,5;4\n"), (';', Some('"'), None, None));
        assert_eq!(of("a|b\n'x|y'|1\n'z'|2\n"), ('|', Some('\''), None, None));
        assert_eq!(of("a,b\n\"x \\\"y\\\" z\",1\n\"u\",2\n"), (',', Some('"'), Some('\\'), None));
        assert_eq!(of("# made by hand\na|b\n1|2\n# more\n3|4\n"), ('|', Some('"'), None, Some('#')));
        assert_eq!(of("#id,at\n1,2\n3,4\n"), (',', Some('"'), None, None));
        assert_eq!(of("a,b\nit's,1\n'tis,2\nx,3\n"), (',', Some('"'), None, None));
        assert!(detect("one\ntwo words\nthree\n", true).is_single);
        // The header has the table's delimiter alone.
        for (inner, delimiter) in [('|', ','), (';', ','), (',', ';'), ('|', ';'), (';', '\t'), (',', '|')] {
            let row = |n: usize| format!("{n}{delimiter}{}\n", [["a", "b c", "7"][n % 3]; 5].join(&inner.to_string()));
            let text = format!("id{delimiter}tags\n{}", (0..30).map(row).collect::<String>());
            assert_eq!(of(&text).0, delimiter, "{text}");
        }
        assert_eq!(of(&format!("Sales, all of them\nid;amount\n{}", "1;2,50\n".repeat(20))).0, ';');
        assert!(detect("2026-01-01 10:00\n2026-01-02 11:00\n2026-01-03 12:00\n", true).is_single);
        assert!(detect("", true).is_single);
    }

    proptest! {
        #[test]
        fn any_text_has_some_dialect(text in "[a,;\t|\"'\\\\#\n 1.]{0,300}|\\PC{0,300}") {
            detect(&text, true);
            detect(&text, false);
        }

        /// A table of plain values is found again however it is written.
        #[test]
        fn a_written_table_is_found_again(
            rows in proptest::collection::vec((1..9999_u32, "[a-z]{2,9}( [a-z,;|]{1,9}[a-z])?", 0..100_u32, "[A-Z][a-z]{2,8}"), 5..40),
            at in 0..4_usize,
        ) {
            let delimiter = [b',', b';', b'\t', b'|'][at];
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            writer.write_record(["id", "note", "score", "name"]).unwrap();
            for (id, note, score, name) in rows {
                writer.write_record([id.to_string(), note, score.to_string(), name]).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(of(&text).0, char::from(delimiter));
        }
    }
}
