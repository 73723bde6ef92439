//! What the parser says against a text that is no SQL, at its place.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, SourceFile, Span};

/// A syntax error at the place that the parser's message ends with.
pub(super) fn syntax(file: &Arc<SourceFile>, message: &str) -> Diagnostic {
    let message = message.lines().next().unwrap_or_default();
    let (text, place) = message.split_once(" at Line: ").map_or((message, None), |(text, place)| (text, Some(place)));
    let text = text.rsplit("sql parser error: ").next().unwrap_or(text);
    let text = text.trim_start_matches("SQL error: ").trim_start_matches("ParserError(\"").trim_start_matches("TokenizerError(\"");
    let text = text.trim_end_matches("\")");
    let (what, label) = match text.strip_prefix("Expected: ").and_then(|text| text.split_once(", found: ")) {
        Some((expected, "EOF")) => (format!("{} is missing", quoted(expected)), "the text ends here".to_owned()),
        Some((expected, found)) => (format!("expected {}", quoted(expected)), format!("found {}", quoted(found))),
        None => (text.to_owned(), String::new()),
    };
    let mut diagnostic = Diagnostic::error("sql-syntax", format!("SQL syntax: {what}"));
    if !label.is_empty() {
        diagnostic = diagnostic.label(label);
    }
    let numbers = place.and_then(|place| {
        let (line, column) = place.split_once(", Column: ")?;
        let column: String = column.chars().take_while(char::is_ascii_digit).collect();
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    let (line, column) = numbers.unwrap_or_else(|| file.line_and_column(file.text.trim_end().len()));
    let start = file.offset(line, column);
    let token = file.text[start..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').count();
    diagnostic.at(Span::at(file, line, column, token.max(1)))
}

/// Puts punctuation and single words of the parser's message in code quotes; descriptions in words stay as they are.
fn quoted(said: &str) -> String {
    let described = said.contains(' ') || said.chars().next().is_some_and(char::is_lowercase) && said.len() > 12;
    if described { said.to_owned() } else { format!("`{said}`") }
}
