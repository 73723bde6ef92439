//! What the project declares of its identifiers: which make a customer, how many one may have, which stand for nobody.

use std::collections::HashSet;

use regex::RegexSet;

use crate::config::Standalone;

/// The most types a project may declare: a type is kept in one byte beside every identifier.
pub const MAX_TYPES: usize = 64;

/// The rules of a project's identity step.
#[derive(Clone, Default)]
pub struct Rules {
    /// The types of identifiers, the one that best names a customer first.
    pub types: Vec<TypeRule>,
    /// Sources of edges, the most trusted first. Sources not named here are trusted less than all that are.
    pub trust: Vec<String>,
    /// Other sources that the model of edges names: texts that stand in it.
    pub sources: Vec<String>,
    /// The as-of day's first moment in microseconds since 1970: ages are counted from it.
    pub as_of_micros: i64,
    /// The as-of day, in days since 1970.
    pub as_of_days: i32,
    /// A secret that goes into hashes of personal identifiers; empty for none.
    pub salt: String,
}

/// The rules of one type of identifier.
#[derive(Debug, Clone, Default)]
pub struct TypeRule {
    /// Its name, such as `email`.
    pub name: String,
    /// Whether an identifier of this type is a customer even if nothing else is known, and may give a customer its id.
    pub standalone: Standalone,
    /// Whether its values are personal data: ids made from them are hashed, and people see them masked.
    pub personal: bool,
    /// The most of this type that one customer may have.
    pub max_per_customer: Option<u32>,
    /// An identifier of this type with more customers than this is shared, and leads to nobody.
    pub max_customers: Option<u32>,
    /// Whether an identifier of this type can go from one owner to the next, as an address can: an edge that ended before the
    /// next owner's began does not make them one customer.
    pub transferable: bool,
    /// How long after it was last seen an edge to an identifier of this type holds, in microseconds.
    pub valid_micros: Option<i64>,
    /// Values that stand for nobody.
    pub blocked: BlockList,
}

/// How much an identifier says of who somebody is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It names nobody who is known, such as a browser.
    #[default]
    Device,
    /// It may be somebody else's by now, such as an address.
    Passing,
    /// It is not transferable, and makes nobody a customer by itself.
    Lasting,
    /// It is a person's own, such as a number at the CRM.
    Own,
}

/// Values and patterns of identifiers that stand for nobody, such as `test@…`.
#[derive(Debug, Clone, Default)]
pub struct BlockList {
    values: HashSet<String>,
    patterns: Option<RegexSet>,
    /// In lower case.
    words: HashSet<String>,
    longest_word_bytes: usize,
}

impl BlockList {
    /// A block list of values and, where they have a `*`, patterns: `*` stands for any characters.
    ///
    /// # Errors
    /// A pattern that is too large.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, regex::Error> {
        let (patterns, values): (Vec<&str>, Vec<&str>) = entries.into_iter().partition(|entry| entry.contains('*'));
        let patterns: Vec<String> = patterns.into_iter().map(pattern).collect();
        Ok(BlockList {
            values: values.into_iter().map(str::to_owned).collect(),
            patterns: if patterns.is_empty() { None } else { Some(RegexSet::new(patterns)?) },
            ..BlockList::default()
        })
    }

    /// The list with words for no value, which stand for nobody in any case and with or without space around them.
    #[must_use]
    pub fn with_words<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.words = words.into_iter().map(|word| word.trim().to_lowercase()).collect();
        self.longest_word_bytes = self.words.iter().map(String::len).max().unwrap_or(0);
        self
    }

    /// Whether a value stands for nobody, as a blank does.
    pub fn holds(&self, value: &str) -> bool {
        self.is_word(value.trim()) || self.values.contains(value) || self.patterns.as_ref().is_some_and(|list| list.is_match(value))
    }

    fn is_word(&self, value: &str) -> bool {
        value.is_empty() || value.len() <= self.longest_word_bytes && self.words.contains(&value.to_lowercase())
    }
}

fn pattern(entry: &str) -> String {
    let parts: Vec<String> = entry.split('*').map(regex::escape).collect();
    format!("(?s)^{}$", parts.join(".*"))
}

impl Rules {
    /// The position of a type.
    pub fn type_of(&self, name: &str) -> Option<u8> {
        self.types.iter().position(|declared| declared.name == name).and_then(|at| u8::try_from(at).ok())
    }

    /// Whether a source of edges is one that the project names, and not a value that a model took for one.
    pub(super) fn names_source(&self, source: &str) -> bool {
        self.trust.iter().chain(&self.sources).any(|named| named == source)
    }

    pub(super) fn rule(&self, kind: u8) -> &TypeRule {
        &self.types[usize::from(kind)]
    }

    /// How much an identifier of a type says of who somebody is, beside others of the same person.
    pub(super) fn weight(&self, kind: u8) -> Weight {
        let rule = self.rule(kind);
        match rule.standalone {
            Standalone::UntilKnown => Weight::Device,
            _ if rule.transferable => Weight::Passing,
            Standalone::No => Weight::Lasting,
            Standalone::Yes => Weight::Own,
        }
    }

    /// Whether an identifier of a type names a customer only while nothing better does.
    pub(super) fn gives_way(&self, kind: u8) -> bool {
        self.rule(kind).standalone == Standalone::UntilKnown
    }
}

/// A text as people see it, without what a terminal obeys; what is very long is shortened.
pub fn shown(text: &str) -> String {
    let mut told: String = text.chars().take(MOST_SHOWN).collect();
    if text.chars().nth(MOST_SHOWN).is_some() {
        told.push('…');
    }
    crate::shown::name(&told).into_owned()
}

/// A personal value as people see it: its first character, if it is long enough not to be told by that, and the beginning of what stands for
/// it in ids.
pub fn masked(text: &str, hash: &str) -> String {
    let first = text.chars().next().filter(|first| text.chars().count() >= LEAST_MASKED && first.is_alphanumeric());
    format!("{}… ({})", first.map(String::from).unwrap_or_default(), &hash[..hash.len().min(MASK_DIGITS)])
}

/// Characters of a value that is shown.
const MOST_SHOWN: usize = 200;
/// Characters of the shortest personal value of which the first is shown.
const LEAST_MASKED: usize = 8;
/// Digits of its hash beside it.
const MASK_DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        let list = BlockList::new(["none@none.com", "test@*", "*@example.invalid", "no.reply*@*"]).unwrap();
        for junk in ["none@none.com", "test@x.example", "a\nb@example.invalid", "no.reply1@shop.example"] {
            assert!(list.holds(junk), "{junk}");
        }
        for good in ["latest@test.com", "xnone@none.com", "noXreply@shop.example"] {
            assert!(!list.holds(good), "{good}");
        }
    }

    #[test]
    fn a_word_for_no_value_stands_for_nobody_in_any_case_and_no_part_of_an_identifier_does() {
        let list = BlockList::new(["0"]).unwrap().with_words(["null", "N/A", "\\N"]);
        for junk in ["NULL", "null", " Null ", "n/a", "\\N", "\\n", "", "  ", "0"] {
            assert!(list.holds(junk), "{junk:?}");
        }
        for good in ["nullarbor", "annul", "N", "00"] {
            assert!(!list.holds(good), "{good}");
        }
        assert!(!BlockList::default().holds("null"));
    }

    #[test]
    fn a_masked_value_does_not_tell_who_it_is() {
        for (text, mask) in [
            ("ann.smith@mail.example", "a… (01234567)"),
            ("+447700900123", "… (01234567)"),
            ("@ann.smith", "… (01234567)"),
            ("12345678", "1… (01234567)"),
            ("1234567", "… (01234567)"),
            ("é", "… (01234567)"),
            ("", "… (01234567)"),
        ] {
            assert_eq!(masked(text, "0123456789abcdef"), mask);
        }
    }

    #[test]
    fn what_is_shown_moves_no_cursor_and_turns_no_line() {
        assert_eq!(shown("v1\u{1b}[31m\r\n\u{202e}x"), "v1\\u{1b}[31m\\r\\n\\u{202e}x");
        assert_eq!(shown(&"ü".repeat(300)), format!("{}…", "ü".repeat(200)));
    }
}
