//! How the CSV files of a source are written: what its contract says, and what that may not be.

use std::collections::HashMap;
use std::sync::Arc;

use super::Dialect;
use crate::config::{Csv, Source, SourceFormat, Spanned, key_at, key_span, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::shown as outside;

/// How the CSV files of a source are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvSettings {
    /// Its special characters.
    pub dialect: Dialect,
    /// How many lines stand before the header or the first record.
    pub skip_lines: u64,
    /// Whether a header names the columns.
    pub has_header: bool,
    /// How many records after the header are no rows.
    pub skip_after_header: u64,
    /// Whether a record may end with a delimiter that no field follows.
    pub trailing_delimiter: bool,
}

impl Default for CsvSettings {
    fn default() -> Self {
        CsvSettings { dialect: Dialect::default(), skip_lines: 0, has_header: true, skip_after_header: 0, trailing_delimiter: false }
    }
}

impl CsvSettings {
    /// Those of a source; what has no meaning is added to `problems`.
    pub fn new(file: &Arc<SourceFile>, (name, source): (&str, &Source), problems: &mut Vec<Diagnostic>) -> Self {
        positions(file, (name, source), problems);
        let Some(csv) = &source.csv else { return CsvSettings::default() };
        if source.format.is_some_and(|format| format != SourceFormat::Csv) {
            let problem = Diagnostic::error("csv-settings", "`csv` says how CSV files are written, and the files of this source are none");
            let problem = problem.at(key_at(file, &["sources", name, "csv"]));
            problems.push(problem.hint("leave `csv` out, or say `format: csv`"));
        }
        let mut reader = Reader { file, problems, taken: Vec::new() };
        let has_header = csv.header.as_ref().is_none_or(|header| header.value);
        let skip_after_header = csv.skip_after_header.as_ref().filter(|skip| skip.value > 0);
        if let (false, Some(skip)) = (has_header, skip_after_header) {
            reader.problem(skip, "there is no header to skip records after").hint("leave it out, or say `skip_lines`");
        }
        CsvSettings {
            dialect: reader.dialect(csv),
            skip_lines: csv.skip_lines,
            has_header,
            skip_after_header: skip_after_header.map_or(0, |skip| skip.value),
            trailing_delimiter: csv.trailing_delimiter,
        }
    }
}

/// Adds what is wrong about the places of columns.
fn positions(file: &Arc<SourceFile>, (name, source): (&str, &Source), problems: &mut Vec<Diagnostic>) {
    let has_header = source.csv.as_ref().and_then(|csv| csv.header.as_ref()).is_none_or(|header| header.value);
    let is_csv = source.format.is_none_or(|format| format == SourceFormat::Csv);
    let problem = |what: String| Diagnostic::error("column-position", what);
    let mut in_order: HashMap<u64, &str> = HashMap::new();
    for (at, (column, declared)) in (1..).zip(source.columns.iter().filter(|(_, declared)| declared.path.is_none())) {
        if let Some(parts) = declared.parts.as_ref().filter(|_| !has_header) {
            let what = format!("`{column}` has parts, which are found by their names, and files without a header have none");
            let hint = "have the file exported with a header, or read the parts as texts and put them together in SQL";
            problems.push(problem(what).at(key_span(file, "parts", parts)).hint(hint));
        }
        if !has_header && !declared.from.is_empty() {
            let problem = problem(format!("`{column}` is found by a name, and files without a header have none"));
            let problem = problem.at(key_at(file, &["sources", name, "columns", column, "from"]));
            problems.push(problem.hint("say its `position`, counted from 1, or leave both out if the columns stand in their order"));
        }
        if !has_header && declared.position.is_none() {
            in_order.insert(at, column);
        }
    }
    for (column, declared) in &source.columns {
        let Some(position) = &declared.position else { continue };
        let wrong = match position.value {
            _ if !is_csv => Some(("only CSV files have places for columns".to_owned(), "name the column in `from`")),
            _ if has_header && !declared.from.is_empty() => {
                Some((format!("`{column}` has a place and a name"), "say `position` or `from`, and not both"))
            }
            place => in_order.get(&place).map(|other| {
                let what = format!("`{column}` and `{other}` both have the place {place}");
                (what, "say the `position` of every column, or of none if they stand in their order")
            }),
        };
        problems.extend(wrong.map(|(what, hint)| problem(what).at(span_of(file, position)).hint(hint)));
    }
}

/// Reads the special characters, which must differ.
struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    problems: &'a mut Vec<Diagnostic>,
    /// Those that have been read, with what they are.
    taken: Vec<(char, &'static str)>,
}

/// A problem that can be given a hint.
struct Told<'a>(&'a mut Vec<Diagnostic>);

impl Told<'_> {
    fn hint(self, hint: &str) {
        if let Some(problem) = self.0.pop() {
            self.0.push(problem.hint(hint));
        }
    }
}

impl Reader<'_> {
    fn problem<T>(&mut self, place: &Spanned<T>, what: impl Into<String>) -> Told<'_> {
        self.problems.push(Diagnostic::error("csv-settings", what).at(span_of(self.file, place)));
        Told(self.problems)
    }

    fn dialect(&mut self, csv: &Csv) -> Dialect {
        let delimiter = csv.delimiter.as_ref().and_then(|written| self.delimiter(written));
        let dialect = Dialect::of(delimiter.unwrap_or(','));
        if csv.delimiter.is_none() {
            self.taken.push((',', "the delimiter"));
        }
        let quote = match &csv.quote {
            None => {
                self.taken.push(('"', "the quote"));
                dialect.quote
            }
            Some(written) if written.value == "none" => None,
            Some(written) => self.narrow(written, "the quote", "write one character of ASCII, such as `'`, or `none`"),
        };
        let mut another =
            |written: &Option<Spanned<String>>, what, hint| written.as_ref().and_then(|written| self.narrow(written, what, hint));
        // To say that quotes escape quotes is to say that they are doubled.
        let escape = csv.escape.clone().filter(|written| quote.is_none_or(|quote| written.value.as_bytes() != [quote]));
        let escape = another(&escape, "the escape character", "write one character of ASCII, such as `\\`");
        let comment = another(&csv.comment, "the comment character", "write one character of ASCII, such as `#`");
        Dialect { quote, escape, comment, ..dialect }
    }

    fn delimiter(&mut self, written: &Spanned<String>) -> Option<char> {
        // In single quotes YAML leaves the backslash of a tab as it is.
        let text = if written.value == "\\t" { "\t" } else { written.value.as_str() };
        let hint = "write one character that is neither a letter nor a digit, such as `;`, or `\"\\t\"` for a tab";
        self.character(written, text, "the delimiter", hint)
    }

    /// A character of one byte.
    fn narrow(&mut self, written: &Spanned<String>, what: &'static str, hint: &str) -> Option<u8> {
        let found = self.character(written, &written.value, what, hint)?;
        if !found.is_ascii() {
            self.problem(written, format!("`{}` is not in ASCII, and {what} must be", outside::column(written.shown()))).hint(hint);
        }
        u8::try_from(found).ok().filter(u8::is_ascii)
    }

    fn character(&mut self, written: &Spanned<String>, text: &str, what: &'static str, hint: &str) -> Option<char> {
        let mut characters = text.chars();
        let (first, second) = (characters.next(), characters.next());
        let fits = |found: &char| second.is_none() && !found.is_alphanumeric() && !matches!(found, '\n' | '\r' | '\0' | '\u{feff}');
        let Some(found) = first.filter(fits) else {
            self.problem(written, format!("`{}` cannot be {what} of CSV files", outside::column(written.shown()))).hint(hint);
            return None;
        };
        if let Some((_, other)) = self.taken.iter().find(|(taken, _)| *taken == found) {
            let message = format!("`{}` cannot be {what}, because it is {other}", outside::column(written.shown()));
            self.problem(written, message).hint("name the characters that the files are written with");
            return None;
        }
        self.taken.push((found, what));
        Some(found)
    }
}
