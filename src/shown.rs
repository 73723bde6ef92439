//! Masks text from outside before it reaches a message. Everything from outside goes through this module.
//!
//! Names of files and columns keep their letters and lose their control characters; locations lose credentials and queries; what
//! the environment gives is shown as it is typed in the project's file (`Spanned` of `config`). Text of data and servers is not shown
//! at all: failures on data are reported by kind (`engine::on_data`), and so are those of a store (`storage::failure`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

/// What stands in the place of a personal value, wherever one would be shown.
pub const MASK: &str = "***";

/// Shorter values of variables are not masked: they are no secrets, and are parts of other words.
const SECRET_BYTES: usize = 6;

/// The values of variables that a project's files read, other than as locations, with the variables' names.
static GIVEN: RwLock<BTreeMap<String, String>> = RwLock::new(BTreeMap::new());

/// Registers the value of a variable, which no message may contain.
pub fn keep_back(variable: &str, value: &str) {
    if value.len() >= SECRET_BYTES {
        GIVEN.write().unwrap_or_else(PoisonError::into_inner).insert(value.to_owned(), variable.to_owned());
    }
}

/// A message in which values of variables are replaced by the variables' names, in case the code that made it forgot to.
pub fn without_given(message: &str) -> Cow<'_, str> {
    let given = GIVEN.read().unwrap_or_else(PoisonError::into_inner);
    let held = given.iter().filter(|(value, _)| message.contains(value.as_str()));
    held.fold(Cow::Borrowed(message), |told, (value, name)| Cow::Owned(told.replace(value.as_str(), &format!("${{{name}}}"))))
}

/// A text without control characters and line ends, for names from outside such as those of files.
pub fn name(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The longest name of a column that is shown whole.
const NAME_CHARS: usize = 100;

/// A name of a column as [`name`], shortened to fit a message.
pub fn column(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(NAME_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", name(&text[..end]))),
        None => name(text),
    }
}

/// Names of columns as [`column()`].
pub fn names<'a>(texts: &[&'a str]) -> Vec<Cow<'a, str>> {
    texts.iter().map(|text| column(text)).collect()
}

/// Lines for people, without control characters.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// Lines for people that may have colours, but no other control characters.
pub fn coloured(text: &str) -> Cow<'_, str> {
    let mut shown = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    shown.push_str(&lines(parts.next().unwrap_or_default()));
    for part in parts {
        let digits = part.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(part.len());
        if part[digits..].starts_with('m') {
            shown.push_str("\u{1b}[");
        } else {
            shown.push_str("\\u{1b}[");
        }
        shown.push_str(&lines(part));
    }
    Cow::Owned(shown)
}

/// A JSON document without raw control characters. They can occur only in strings, where they are escaped.
pub fn json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(|c| is_obeyed(c) && c != '\n') {
        return Cow::Borrowed(document);
    }
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        match c {
            '\n' => shown.push(c),
            // None of them needs two units of UTF-16.
            c if is_obeyed(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_obeyed(c) && !kept(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && !kept(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Whether a terminal does something else with a character than to show it. That holds for control characters, and for characters that
/// change the direction of text or separate lines.
fn is_obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A path or URL without credentials and query, control characters escaped.
pub fn place(location: &str) -> String {
    let mut shown = String::with_capacity(location.len());
    let mut from = 0;
    for secret in secrets_of_url(location) {
        shown.push_str(&location[from..secret.start]);
        from = secret.end;
    }
    shown.push_str(&location[from..]);
    name(&shown).into_owned()
}

/// Whether a URL has a query or a fragment, and not only a wildcard: `?` with an equals sign in the same part of the path.
pub fn has_query(location: &str) -> bool {
    query_of(location).is_some()
}

/// A text of the project in which credentials and queries of URLs, and webhooks, are covered, each character by one of as many columns.
pub fn covered(text: &str) -> Cow<'_, str> {
    match without_webhooks(text) {
        Cow::Borrowed(text) => without_url_secrets(text),
        Cow::Owned(text) => Cow::Owned(without_url_secrets(&text).into_owned()),
    }
}

/// The key of a pipeline file whose value is a secret as a whole, if no variable gives it.
const WEBHOOK: &str = "webhook:";

fn without_webhooks(text: &str) -> Cow<'_, str> {
    if !text.contains(WEBHOOK) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for (at, part) in text.split(WEBHOOK).enumerate() {
        if at == 0 {
            shown.push_str(part);
            continue;
        }
        shown.push_str(WEBHOOK);
        let value = part.trim_start_matches([' ', '\'', '"']);
        let before = &part[..part.len() - value.len()];
        shown.push_str(before);
        let quote = before.chars().find(|c| *c != ' ');
        let is_text = !value.starts_with("${");
        let ends = |c: char| c == '\n' || quote.map_or(c.is_whitespace(), |quote| c == quote);
        let end = value.find(ends).unwrap_or(value.len());
        let cover = if is_text { end } else { 0 };
        // As many bytes, since places are counted in them.
        shown.push_str(&"*".repeat(cover));
        shown.push_str(&value[cover..]);
    }
    Cow::Owned(shown)
}

fn without_url_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at) {
        let start = text[..at].rfind(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).map_or(0, |before| before + 1).max(from);
        let end = text[at..].find(|c: char| c.is_whitespace() || "'\"`<>|,".contains(c)).map_or(text.len(), |length| at + length);
        shown.push_str(&text[from..start]);
        let url = &text[start..end];
        let mut done = 0;
        for secret in secrets_of_url(url) {
            shown.push_str(&url[done..secret.start]);
            // As many bytes, since places are counted in them.
            shown.push_str(&"*".repeat(secret.len()));
            done = secret.end;
        }
        shown.push_str(&url[done..]);
        from = end;
    }
    shown.push_str(&text[from..]);
    Cow::Owned(shown)
}

/// The secret parts of a URL, in order.
pub fn secrets_of_url(url: &str) -> Vec<Range<usize>> {
    let Some(authority) = url.find("://").map(|at| at + 3) else { return Vec::new() };
    let query = query_of(url);
    // A password may hold a slash or a question mark that nobody has encoded: the last `@` before the path's second part ends it.
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    let user = url[authority..end].rfind('@').map(|at| authority..authority + at + 1);
    let user = user.or_else(|| {
        let colon = url[authority..end].find(':')?;
        // What follows the host is a port.
        if url[authority + colon + 1..end].bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let at = url[authority..].rfind('@').filter(|at| *at > colon)?;
        Some(authority..authority + at + 1)
    });
    let query = query.filter(|query| user.as_ref().is_none_or(|user| query.start >= user.end));
    user.into_iter().chain(query).collect()
}

fn query_of(url: &str) -> Option<Range<usize>> {
    let authority = url.find("://").map(|at| at + 3)?;
    for (at, _) in url[authority..].match_indices(['?', '#']) {
        let rest = &url[authority + at..];
        let part = &rest[..rest.find('/').unwrap_or(rest.len())];
        if part.contains('=') || rest.starts_with('#') && !rest[1..].contains('/') && rest.len() > 1 && url.starts_with("http") {
            return Some(authority + at..url.len());
        }
    }
    None
}

/// A size in the largest unit in which it is a whole number, such as `256MiB` or `512MB`; else to a tenth of a mebibyte.
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 6] =
        [("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("kB", 1_000)];
    let whole = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match whole {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None if bytes < 1 << 10 => format!("{bytes}B"),
        None if bytes < 1 << 20 => format!("{}.{}KiB", bytes >> 10, ((bytes % (1 << 10)) * 10) >> 10),
        None => format!("{}.{}MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20),
    }
}

/// Whether nobody would see anything of a text.
pub fn is_blank(text: &str) -> bool {
    let may_be = text.bytes().next().is_none_or(|first| first <= b' ' || first >= 0x7f);
    may_be && text.chars().all(|c| c.is_whitespace() || is_unseen(c))
}

/// Control characters, marks of direction, and what else takes no ink.
fn is_unseen(c: char) -> bool {
    let is_filler =
        matches!(c, '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}');
    let is_mark = matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let is_variant = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || is_filler || is_mark || is_variant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_gives_is_told_by_its_name() {
        keep_back("KEPT_BACK", "kept-back-4711");
        keep_back("SHORT", "ab");
        assert_eq!(without_given("`kept-back-4711` is about"), "`${KEPT_BACK}` is about");
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        assert_eq!(name("a\u{1b}[31mb\nc\u{202e}d\u{9b}\u{7f}"), "a\\u{1b}[31mb\\nc\\u{202e}d\\u{9b}\\u{7f}");
        assert_eq!(lines("a\tb\n\rc"), "a\tb\n\\rc");
        assert_eq!(coloured("\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J\u{1b}]0;t\u{7}"), "\u{1b}[1;31mred\u{1b}[0m \\u{1b}[2J\\u{1b}]0;t\\u{7}");
        assert_eq!(name("Grün 🎉 é"), "Grün 🎉 é");
        assert_eq!(json("{\n\"a\u{9b}\u{202e}\": 1}"), "{\n\"a\\u009b\\u202e\": 1}");
    }

    #[test]
    fn locations_lose_credentials_and_queries_and_keep_wildcards() {
        for (location, shown) in [
            ("http://ann:pw@host:80/a.csv", "http://host:80/a.csv"),
            ("https://ann@host/a.csv?X-Sig=1&b=/c", "https://host/a.csv"),
            ("https://host/a.csv#token=1", "https://host/a.csv"),
            ("http://ann:p/w?=x@host/a.csv", "http://host/a.csv"),
            ("s3://bucket/a?/day=*/b.csv", "s3://bucket/a?/day=*/b.csv"),
            ("az://c/x.csv?sv=1&sig=s", "az://c/x.csv"),
            ("http://host:80/a@b.csv", "http://host:80/a@b.csv"),
            ("s3://bucket/a@b/c.csv", "s3://bucket/a@b/c.csv"),
            ("extracts/a?b=c.csv", "extracts/a?b=c.csv"),
            ("/srv/a\n.csv", "/srv/a\\n.csv"),
        ] {
            assert_eq!(place(location), shown);
        }
        assert!(!has_query("s3://b/a?.csv") && has_query("https://h/a?sig=1"));
    }

    #[test]
    fn a_line_of_a_file_keeps_its_columns() {
        let line = "    location: 'http://ann:pw@host/a?s=1'  # see https://x@y/z, or s3://b/*";
        assert_eq!(covered(line), "    location: 'http://*******host/a****'  # see https://**y/z, or s3://b/*");
        assert_eq!(covered("a: b://"), "a: b://");
        let line = "  team: {on: [late], webhook: \"https://host/a/b\"}  # webhook: x";
        assert_eq!(covered(line), "  team: {on: [late], webhook: \"****************\"}  # webhook: *");
        assert_eq!(covered("webhook: ${WEBHOOK}\nwebhook:\n"), "webhook: ${WEBHOOK}\nwebhook:\n");
    }
}
