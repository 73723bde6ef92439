//! Brings texts into plain characters before they are parsed.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// A text in plain characters, without space around it: compatibility forms composed (NFKC, so full-width letters and digits are
/// the usual ones), invisible characters left out, line ends and every kind of space a space, and every kind of full stop,
/// hyphen and quotation mark the usual one.
pub(super) fn tidy(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Cow::Borrowed(text.trim());
    }
    let seen = text.chars().filter(|c| !is_ignorable(*c));
    let plain: String = seen.map(spaced).nfkc().map(plain).collect();
    Cow::Owned(plain.trim().to_owned())
}

/// Whether a character shows nothing and means nothing by itself (Unicode's `Default_Ignorable_Code_Point`).
pub(super) fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Before characters are composed, so that an accent that follows a line end joins nothing.
fn spaced(c: char) -> char {
    if c.is_whitespace() || c.is_control() { ' ' } else { c }
}

fn plain(c: char) -> char {
    match c {
        _ if c.is_whitespace() => ' ',
        '\u{3002}' => '.',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => '"',
        '\u{2039}' => '<',
        '\u{203a}' => '>',
        // Digits that are decimal in their script.
        '\u{660}'..='\u{669}' => digit(c, 0x660),
        '\u{6f0}'..='\u{6f9}' => digit(c, 0x6f0),
        '\u{966}'..='\u{96f}' => digit(c, 0x966),
        _ => c,
    }
}

fn digit(c: char, zero: u32) -> char {
    char::from_digit(u32::from(c) - zero, 10).unwrap_or(c)
}

/// A text in lower case, where every letter has one form (a Greek sigma at the end of a word is a sigma).
pub(super) fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).map(|c| if c == '\u{3c2}' { '\u{3c3}' } else { c }).nfkc().collect()
}
