//! Finds where the table of a CSV file begins: lines above the header, the header itself, further header lines, trailing delimiters.

use super::dialect::width;
use super::look::Look;
use super::records::{Record, Records};

/// How many records after the header are looked at.
const LOOK_RECORDS: usize = 200;
/// The most lines above a header.
const LINES_ABOVE: usize = 50;

/// Where the table begins, and what stands above it.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The number of fields.
    pub width: usize,
    /// Lines above the header, or above the first row where there is none.
    pub skip_lines: usize,
    /// The header.
    pub header: Option<Vec<String>>,
    /// Records below the header that are no rows.
    pub skip_after_header: usize,
    /// The place of the first row among the records.
    pub first_row: usize,
    /// Whether every line ends with a delimiter.
    pub trailing_delimiter: bool,
    /// Whether rows have a field more in front than the header, as R writes the names of rows.
    pub has_row_names: bool,
    /// Whether the header has more fields than the rows.
    pub is_header_long: bool,
    /// What could not be told.
    pub notes: Vec<String>,
}

/// Finds the layout of a file from its first records.
pub fn detect(read: &Records) -> Layout {
    let records = &read.records[..read.records.len().min(LOOK_RECORDS + LINES_ABOVE)];
    let mut layout = Layout { width: width(records).unwrap_or_default(), ..Layout::default() };
    if records.is_empty() {
        return layout;
    }
    let mut first = records.iter().position(|record| record.cells.len() == layout.width).unwrap_or_default();
    first = shorter_header(records, first, &mut layout);
    first = padded_titles(records, first, &layout);
    let is_trailing = |record: &Record| record.cells.len() == layout.width && record.cells.last().is_some_and(String::is_empty);
    let rows = &records[first..];
    if layout.width > 1 && !layout.has_row_names && !layout.is_header_long && rows.len() > 1 {
        let table = rows.iter().filter(|record| record.cells.len() == layout.width).count();
        let ending = rows.iter().filter(|record| is_trailing(record)).count();
        layout.trailing_delimiter |= ending == table && rows[1..].iter().any(|record| record.cells.len() == layout.width);
    }
    // Comments and blank lines above the header are left off by themselves.
    layout.skip_lines = if first == 0 { 0 } else { records[first].line };
    let columns = if layout.trailing_delimiter { layout.width - 1 } else { layout.width };
    layout.width = columns;
    let below: Vec<&Record> = records[first + 1..].iter().filter(|record| record.cells.len() >= columns).take(LOOK_RECORDS).collect();
    let below = without_headers(&records[first], below);
    let (is_header, note) =
        if layout.has_row_names || layout.is_header_long { (true, None) } else { header(&records[first], &below, columns) };
    layout.notes.extend(note);
    layout.first_row = first;
    if is_header {
        let cells = &records[first].cells;
        layout.header = Some(cells[..columns.min(cells.len())].to_vec());
        layout.first_row = first + 1;
        layout.skip_after_header = further_headers(&records[first], &below, columns);
        layout.first_row += layout.skip_after_header;
    }
    layout
}

/// The records below a header but for those that are the header again, as where files were put together. Where most records are like the
/// first, that is no header.
fn without_headers<'a>(first: &Record, below: Vec<&'a Record>) -> Vec<&'a Record> {
    if first.cells.iter().any(|cell| Look::of(cell).is_data()) {
        return below;
    }
    let others: Vec<&Record> = below.iter().copied().filter(|record| !is_again(&first.cells, &record.cells)).collect();
    let again = below.len() - others.len();
    if again == 1 || again * 5 <= below.len() { others } else { below }
}

/// Whether a record is the header again.
pub fn is_again(header: &[String], cells: &[String]) -> bool {
    header.iter().any(|name| !name.trim().is_empty())
        && cells.len() >= header.len()
        && header.iter().zip(cells).all(|(name, cell)| name.trim() == cell.trim())
}

/// A header may have a field less than the rows: where these end with a delimiter, or begin with a name of their own.
fn shorter_header(records: &[Record], first: usize, layout: &mut Layout) -> usize {
    let Some(before) = first.checked_sub(1) else { return first };
    let header = &records[before];
    let is_named = |record: &Record| !record.cells.iter().any(|cell| Look::of(cell).is_data());
    let is_long = header.cells.len() > layout.width && header.filled() >= layout.width && layout.width > 1;
    if is_long && is_named(header) && !is_named(&records[first]) {
        layout.is_header_long = true;
        layout.notes.push(format!("UNSURE: the header has {} fields, and the rows have {}", header.cells.len(), layout.width));
        return before;
    }
    if header.cells.len() + 1 != layout.width || layout.width < 2 || header.filled() < header.cells.len() {
        return first;
    }
    if header.cells.iter().any(|cell| Look::of(cell).is_data()) || records[first..].len() < 2 {
        return first;
    }
    if !records[first].cells.iter().any(|cell| Look::of(cell).is_data()) {
        return first;
    }
    if records[first..].iter().all(|record| record.cells.last().is_some_and(String::is_empty)) {
        layout.trailing_delimiter = true;
    } else {
        layout.has_row_names = true;
        layout.notes.push("the header has a field less than the rows: their first field has no name".to_owned());
    }
    before
}

/// Spreadsheets fill up the lines of titles with delimiters.
fn padded_titles(records: &[Record], first: usize, layout: &Layout) -> usize {
    if layout.width < 3 || layout.has_row_names || layout.is_header_long {
        return first;
    }
    let is_title = |record: &Record| record.cells.len() == layout.width && record.filled() <= (layout.width / 2).max(1);
    let mut at = first;
    while at < records.len().min(first + LINES_ABOVE) && is_title(&records[at]) {
        at += 1;
    }
    let Some(header) = records.get(at).filter(|_| at > first) else { return first };
    let is_full = header.cells.len() == layout.width && header.filled() == layout.width && records.len() > at + 1;
    let is_named = !header.cells.iter().any(|cell| Look::of(cell).is_data());
    if is_full && is_named { at } else { first }
}

/// What most values of a column look like, if most look alike.
fn column_look(below: &[&Record], at: usize) -> Option<Look> {
    let looks: Vec<Look> = below.iter().filter_map(|record| record.cells.get(at)).map(|cell| Look::of(cell)).collect();
    let looks: Vec<Look> = looks.into_iter().filter(|look| *look != Look::Empty).map(alike).collect();
    let mut counts = std::collections::BTreeMap::new();
    for look in &looks {
        *counts.entry(*look).or_insert(0_usize) += 1;
    }
    let (most, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count * 10 >= looks.len() * 8).then_some(most)
}

fn alike(look: Look) -> Look {
    if look == Look::Whole { Look::Number } else { look }
}

/// Whether a record is a header, and what could not be told.
fn header(first: &Record, below: &[&Record], columns: usize) -> (bool, Option<String>) {
    let cells: Vec<&str> = first.cells.iter().take(columns).map(|cell| cell.trim()).collect();
    let looks: Vec<Look> = cells.iter().map(|cell| Look::of(cell)).collect();
    let addressed = looks.iter().any(|look| matches!(look, Look::Email | Look::Url | Look::Ip));
    if below.is_empty() {
        let is_header = looks.iter().all(|look| *look == Look::Text);
        let note = is_header.then(|| "UNSURE: there is one record only, which is taken for a header".to_owned());
        return (is_header && !addressed, note);
    }
    let mut score = 0.0;
    let (mut typed, mut against) = (0, 0);
    for (at, cell) in cells.iter().enumerate() {
        let look = alike(looks[at]);
        match column_look(below, at) {
            Some(Look::Text) | None if look == Look::Empty => {}
            Some(Look::Text) | None => score += text_votes(cell, look, below, at),
            Some(_) if look == Look::Empty => {}
            Some(expected) if look == expected || (look.is_data() && expected != Look::Text) => {
                (score, against) = (score - 1.0, against + 1);
            }
            Some(_) => (score, typed) = (score + 1.0, typed + 1),
        }
    }
    if addressed {
        return (false, None);
    }
    // A table by years or numbers has its texts in front: the other cells are a row of rising numbers.
    let numbers: Vec<i64> = cells.iter().filter_map(|cell| cell.parse().ok()).collect();
    let rising =
        numbers.len() >= 2 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers.iter().all(|n| (1900..2100).contains(n));
    if rising && against > 0 && typed == 0 {
        return (true, Some("UNSURE: the first line has years, and is taken for a header".to_owned()));
    }
    let mut seen = std::collections::BTreeSet::new();
    let has_twice = cells.iter().any(|cell| !cell.is_empty() && !seen.insert(cell));
    if has_twice && typed == 0 {
        score -= 0.5;
    }
    if below.len() < 5 && against == 0 {
        score += 0.4;
    }
    match score {
        score if typed > 0 && against == 0 => (score > -2.0, None),
        score if score >= 0.5 => (true, None),
        score if score <= -0.5 => (false, None),
        _ => {
            let is_header = against == 0 && !has_twice && looks.iter().all(|look| *look == Look::Text || *look == Look::Empty);
            let what = if is_header { "a header" } else { "a row" };
            (is_header, Some(format!("UNSURE: nothing tells whether the first line is a header; it is taken for {what}")))
        }
    }
}

/// What a cell above a column of text says for a header.
fn text_votes(cell: &str, look: Look, below: &[&Record], at: usize) -> f64 {
    if look.is_data() {
        return -1.0;
    }
    let values = below.iter().filter_map(|record| record.cells.get(at)).map(|value| value.trim());
    let again = values.clone().filter(|value| value.eq_ignore_ascii_case(cell)).count();
    let mut score = 0.0;
    if again > 0 {
        // Of few rows that may be chance.
        return if below.len() < 5 { -0.4 } else { -1.0 };
    }
    if super::names::is_usual(cell) {
        score += 1.0;
    }
    let is_name = cell.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && cell.contains('_');
    score += if is_name { 0.3 } else { 0.0 };
    // Codes of one length under a name of another.
    let lengths: Vec<usize> = values.filter(|value| !value.is_empty()).map(|value| value.chars().count()).collect();
    let is_even = lengths.len() > 2 && lengths.iter().all(|length| Some(length) == lengths.first());
    if is_even {
        score += if lengths.first() == Some(&cell.chars().count()) { -0.3 } else { 0.4 };
    }
    score
}

/// How many records below a header are no rows: the questions and codes of surveys, the units of measures.
fn further_headers(header: &Record, below: &[&Record], columns: usize) -> usize {
    // Qualtrics: names, questions, and the ids of an import.
    if let Some(at) = below.iter().take(3).position(|record| record.cells.iter().any(|cell| cell.contains("\"ImportId\":"))) {
        return at + 1;
    }
    let Some(second) = below.first() else { return 0 };
    // SurveyMonkey: questions, and the answers that each column is for.
    let said = |cell: &String| ["Response", "Open-Ended Response", "Other (please specify)"].contains(&cell.trim());
    let is_below_gap = header.cells.iter().zip(&second.cells).any(|(name, cell)| name.trim().is_empty() && !cell.trim().is_empty());
    if second.cells.iter().any(said) && (is_below_gap || second.filled() < columns) {
        return 1;
    }
    let rest = &below[1..];
    if rest.len() < 3 {
        return 0;
    }
    let typed: Vec<usize> = (0..columns).filter(|&at| column_look(rest, at).is_some_and(|look| look != Look::Text)).collect();
    let odd = |record: &Record| {
        let cells = typed.iter().filter_map(|&at| record.cells.get(at)).map(|cell| Look::of(cell));
        let (filled, texts) = cells.fold((0, 0), |(filled, texts), look| match look {
            Look::Empty => (filled, texts),
            Look::Text => (filled + 1, texts + 1),
            _ => (filled + 1, texts),
        });
        texts >= 2 && texts == filled
    };
    usize::from(typed.len() >= 2 && odd(second) && !rest.iter().any(|record| odd(record)))
}
