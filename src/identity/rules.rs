//! What the project declares of its identifiers: which make a customer, how many one may have, which stand for nobody.

use std::collections::HashSet;

use regex::RegexSet;

use crate::config::StandsAlone;

/// The most types a project may declare: a type is kept in one byte beside every identifier.
pub const MAX_TYPES: usize = 64;

/// The rules of a project's identity step.
#[derive(Debug, Default)]
pub struct Rules {
    /// The types of identifiers, the one that best names a customer first.
    pub types: Vec<TypeRule>,
    /// Sources of edges, the most trusted first. Sources not named here are trusted less than all that are.
    pub trust: Vec<String>,
    /// The as-of day's first moment in microseconds since 1970: ages are counted from it.
    pub as_of_micros: i64,
}

/// The rules of one type of identifier.
#[derive(Debug, Default)]
pub struct TypeRule {
    /// Its name, as `email`.
    pub name: String,
    /// Whether an identifier of this type is a customer even if nothing else is known, and may give a customer its id.
    pub stands_alone: StandsAlone,
    /// Whether its values are personal data: ids made from them are hashed, and people see them masked.
    pub personal: bool,
    /// The most of this type that one customer may have.
    pub most_per_customer: Option<u32>,
    /// With more than so many customers tied to one identifier of this type it is shared, and ties nobody.
    pub most_holders: Option<u32>,
    /// Whether an identifier of this type passes from one holder to the next, as an address does: a tie that ended before
    /// another holder's began does not make them one customer.
    pub passes_on: bool,
    /// How long after it was last seen a tie to an identifier of this type holds, in microseconds.
    pub valid_micros: Option<i64>,
    /// Values that stand for nobody.
    pub blocked: BlockList,
}

/// Values and patterns of identifiers that stand for nobody, as `test@…`.
#[derive(Debug, Default)]
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

    pub(super) fn rule(&self, kind: u8) -> &TypeRule {
        &self.types[usize::from(kind)]
    }

    /// Whether an identifier of a type names a customer only while nothing better does.
    pub(super) fn gives_way(&self, kind: u8) -> bool {
        self.rule(kind).stands_alone == StandsAlone::UntilKnown
    }
}

/// A text with what tells a person left out: of an address the first letter and what comes after the `@` stay, of anything
/// else the first character and the last two.
pub fn masked(text: &str) -> String {
    let first: String = text.chars().take(1).collect();
    match text.rsplit_once('@') {
        Some((_, domain)) => format!("{first}…@{domain}"),
        None => {
            let rest = text.chars().count().saturating_sub(1);
            let last: String = text.chars().skip(1 + rest.saturating_sub(2)).collect();
            format!("{first}…{last}")
        }
    }
}

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
        assert_eq!(masked("ann.smith@mail.example"), "a…@mail.example");
        assert_eq!(masked("+447700900123"), "+…23");
        assert_eq!(masked("é"), "é…");
    }
}
