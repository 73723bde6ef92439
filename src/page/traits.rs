//! Traits of a segment, by base.

use super::charts::bar::strength;
use super::markup::{Markup, clean};
use super::names;
use super::numbers::Numbers;
use super::view::View;
use crate::figures::types::Trait;

/// The bases of segmentation, in the order in which the field lists them.
const BASES: [(&str, &str); 11] = [
    ("demographic", "Demographic"),
    ("geographic", "Geographic"),
    ("technographic", "Technographic"),
    ("behavioural", "Behavioural"),
    ("behavioral", "Behavioural"),
    ("engagement", "Engagement"),
    ("psychographic", "Psychographic"),
    ("needs", "Needs"),
    ("needs-based", "Needs"),
    ("value", "Value"),
    ("lifecycle", "Lifecycle"),
];

/// What stands between the number of a group and that of everybody.
const EVERYBODY: &str = ", everybody ";

/// The traits of one base.
pub struct Group {
    /// Its name.
    pub base: String,
    /// The traits, the strongest first.
    pub traits: Vec<Told>,
}

/// A trait for people.
pub struct Told {
    /// The column, such as `Lifetime orders`.
    pub column: String,
    /// The column as programs name it, and what it means.
    pub meaning: String,
    /// How members differ, such as `much higher`.
    pub how: String,
    /// The numbers of members and of everybody.
    pub numbers: Option<(String, String)>,
    /// Its strength as a bar.
    pub bar: Markup,
    /// Whether the rule of the segment reads the column.
    pub is_in_rule: bool,
}

/// The strongest traits, by base: the bases of the field first, then others by name, then traits without one.
pub fn groups(view: &View<'_>, traits: &[Trait]) -> Result<Vec<Group>, askama::Error> {
    let mut groups: Vec<(usize, Group)> = Vec::new();
    for found in traits.iter().take(view.detail.traits) {
        let (place, base) = base(found.base.as_deref());
        let told = told(view, found)?;
        match groups.iter_mut().find(|(_, group)| group.base == base) {
            Some((_, group)) => group.traits.push(told),
            None => groups.push((place, Group { base, traits: vec![told] })),
        }
    }
    groups.sort_by(|left, right| left.0.cmp(&right.0).then(left.1.base.cmp(&right.1.base)));
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn base(name: Option<&str>) -> (usize, String) {
    let Some(name) = name.filter(|name| !name.trim().is_empty()) else { return (BASES.len() + 1, "Other".to_owned()) };
    match BASES.iter().position(|(known, _)| *known == name) {
        Some(at) => (at, BASES[at].1.to_owned()),
        None => (BASES.len(), names::title(name)),
    }
}

fn told(view: &View<'_>, found: &Trait) -> Result<Told, askama::Error> {
    let (how, numbers) = parts(&found.column, &found.words, &view.numbers);
    let description = found.column_description.as_deref().map(|description| format!(": {}", view.excerpt(description)));
    Ok(Told {
        column: names::title(&found.column),
        meaning: format!("{}{}", clean(&found.column, 120), description.unwrap_or_default()),
        how: clean(&how, 240),
        numbers,
        bar: strength(found.standardised_difference)?,
        is_in_rule: found.is_in_rule,
    })
}

/// The words of a trait without the column and, apart, the numbers in the locale. Words that are put otherwise stay as they are.
fn parts(column: &str, words: &str, numbers: &Numbers) -> (String, Option<(String, String)>) {
    let rest = words.strip_prefix(column).filter(|rest| rest.is_empty() || rest.starts_with(' ')).unwrap_or(words).trim();
    let split = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")).and_then(|(how, told)| {
        let (of_group, of_everybody) = told.split_once(EVERYBODY)?;
        Some((how, (retold(of_group, numbers)?, retold(of_everybody, numbers)?)))
    });
    match split {
        Some((how, found)) => (names::spaced(how), Some(found)),
        None => (names::spaced(rest), None),
    }
}

fn retold(number: &str, numbers: &Numbers) -> Option<String> {
    match number.strip_suffix('%') {
        Some(digits) => numbers.retold(digits).map(|digits| numbers.with_percent(&digits)),
        None => numbers.retold(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_into_column_difference_and_numbers() {
        let german = Numbers::new("de-DE", None, 10);
        for (column, words, how, found) in [
            ("lifetime_orders", "lifetime_orders much higher (12.4, everybody 3.1)", "much higher", Some(("12,4", "3,1"))),
            ("spent", "spent lower (8, everybody 12,346)", "lower", Some(("8", "12.346"))),
            ("margin", "margin somewhat higher (-0.25, everybody 0)", "somewhat higher", Some(("\u{2212}0,25", "0"))),
            (
                "stage",
                "stage won_back 4.2 times as often (31%, everybody 7%)",
                "won back 4.2 times as often",
                Some(("31\u{a0}%", "7\u{a0}%")),
            ),
            ("weight", "weight much higher (2.0e20, everybody 1.0e-5)", "much higher (2.0e20, everybody 1.0e-5)", None),
            ("orders", "orders_2 differ", "orders 2 differ", None),
            ("a", "<script> (x, everybody y)", "<script> (x, everybody y)", None),
        ] {
            let (told, numbers) = parts(column, words, &german);
            assert_eq!(told, how);
            assert_eq!(numbers.as_ref().map(|(group, all)| (group.as_str(), all.as_str())), found);
        }
    }
}
