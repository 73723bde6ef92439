//! Traits in words.

use super::finish::{Difference, Trait};

/// From which standardised difference on a difference is called small, medium and large: J. Cohen, *Statistical Power Analysis for the
/// Behavioral Sciences* (1988).
const SMALL: f64 = 0.2;
const MEDIUM: f64 = 0.5;
const LARGE: f64 = 0.8;
/// From which lift on it is told how many times as often members have a value.
const TOLD_LIFT: f64 = 1.5;

impl Trait {
    /// The trait in words, such as `orders much higher (12.4, everybody 3.1)`, given the column's name.
    pub fn description(&self, column: &str) -> String {
        match &self.difference {
            Difference::Mean { of_group, of_everybody } => {
                let way = if self.standardised_difference < 0.0 { "lower" } else { "higher" };
                let how = match self.standardised_difference.abs() {
                    size if size >= LARGE => format!("much {way}"),
                    size if size >= MEDIUM => way.to_owned(),
                    size if size >= SMALL => format!("somewhat {way}"),
                    _ => "about the same".to_owned(),
                };
                format!("{column} {how} ({}, everybody {})", rounded(*of_group), rounded(*of_everybody))
            }
            Difference::Share { value, of_group, of_everybody, lift } => {
                let what = match value.as_deref() {
                    None => column.to_owned(),
                    Some("") => format!("{column} blank"),
                    Some(value) => format!("{column} {value}"),
                };
                let how = match *lift {
                    _ if *of_group <= 0.0 => "never".to_owned(),
                    lift if lift >= TOLD_LIFT => format!("{} times as often", rounded(lift)),
                    _ if self.standardised_difference.abs() < SMALL => "about as often".to_owned(),
                    lift if lift > 1.0 => "more often".to_owned(),
                    _ => "less often".to_owned(),
                };
                format!("{what} {how} ({}%, everybody {}%)", rounded(of_group * 100.0), rounded(of_everybody * 100.0))
            }
        }
    }
}

/// What a group is like, in the words of its strongest traits: at most so many, each of another column, and none that is hardly one. `None`
/// if it is like everybody. The traits are those of the group in order of rank; `name` gives a column's name by its position.
pub fn group_description<'a>(traits: &[Trait], name: impl Fn(usize) -> &'a str, most: usize) -> Option<String> {
    let mut told: Vec<&Trait> = Vec::new();
    for found in traits.iter().filter(|found| found.standardised_difference.abs() >= SMALL) {
        if told.len() < most && told.iter().all(|earlier| earlier.column != found.column) {
            told.push(found);
        }
    }
    let words: Vec<String> = told.iter().map(|found| found.description(name(found.column))).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// A number for people: without a fraction from 100 on, with one digit of it from 1 on, and otherwise with two digits that count.
fn rounded(number: f64) -> String {
    let size = number.abs();
    if size >= 1e15 || size > 0.0 && size < 1e-4 {
        return format!("{number:.1e}");
    }
    let places = match size {
        size if size >= 99.95 => 0,
        size if size >= 0.995 => 1,
        size if size >= 0.0995 => 2,
        size if size >= 0.00995 => 3,
        size if size >= 0.000_995 => 4,
        _ => 5,
    };
    let written = format!("{number:.places$}");
    let written = if written.contains('.') { written.trim_end_matches('0').trim_end_matches('.') } else { &written };
    let (sign, digits) = written.strip_prefix('-').map_or(("", written), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let sign = if whole == "0" && fraction.is_none() { "" } else { sign };
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    format!("{sign}{}{fraction}", with_commas(whole))
}

/// The digits of a whole number, with a comma before every three.
fn with_commas(digits: &str) -> String {
    let mut written = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}
