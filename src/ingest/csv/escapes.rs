//! What doubled quotes and escape characters stand for.

use super::Dialect;

/// Adds a part of a field to its value. Within quotes two of these stand for one.
///
/// - In a dialect with quotes, an escape character makes a quote, a line end or itself a part of the field. Before any other character it
///   stands for itself, as in `C:\new` of a writer that escapes quotes alone.
/// - In one without, it makes any character a part of the field. Backslashes before letters are as `MySQL` and `PostgreSQL` write them: `\t`,
///   `\n`, `\r`, `\b`, `\f`, `\v` and `\0` are control characters, and `\N`, which stands for no value, and others stay as they are.
pub fn unescaped(part: &str, dialect: &Dialect, in_quotes: bool, value: &mut String) {
    let special = |byte: u8| Some(byte) == dialect.escape || (in_quotes && Some(byte) == dialect.quote);
    let mut rest = part;
    while let Some(at) = rest.bytes().position(special) {
        let (before, from) = rest.split_at(at);
        value.push_str(before);
        // Special characters have one byte.
        let (mark, behind) = from.split_at(1);
        let mut after = behind.chars();
        match after.next() {
            Some(next) => {
                if Some(mark.as_bytes()[0]) == dialect.escape {
                    push_escaped(mark, next, dialect, value);
                } else {
                    value.push_str(mark);
                }
                rest = after.as_str();
            }
            None => {
                value.push_str(mark);
                rest = behind;
            }
        }
    }
    value.push_str(rest);
}

/// Adds the character that stands behind an escape character.
fn push_escaped(escape: &str, next: char, dialect: &Dialect, value: &mut String) {
    let is = |byte: Option<u8>| byte.is_some_and(|byte| next == char::from(byte));
    if dialect.quote.is_some() {
        if !is(dialect.quote) && !is(dialect.escape) && !matches!(next, '\n' | '\r') {
            value.push_str(escape);
        }
        value.push(next);
        return;
    }
    if escape != "\\" || !next.is_ascii_alphanumeric() {
        value.push(next);
        return;
    }
    match next {
        't' => value.push('\t'),
        'n' => value.push('\n'),
        'r' => value.push('\r'),
        'b' => value.push('\u{8}'),
        'f' => value.push('\u{c}'),
        'v' => value.push('\u{b}'),
        '0' => value.push('\0'),
        _ => {
            value.push_str(escape);
            value.push(next);
        }
    }
}
