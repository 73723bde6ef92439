//! Why customers moved, in words.

use super::markup::Sentence;
use super::names;
use super::numbers::Numbers;
use crate::figures::types::Flow;

/// How many customers moved for each cause, the commonest first and equals by name.
pub fn added<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Vec<(&'a str, u64)> {
    let mut causes: Vec<(&str, u64)> = Vec::new();
    for (cause, customers) in flows.into_iter().flat_map(|flow| &flow.causes) {
        match causes.iter_mut().find(|(known, _)| known == cause) {
            Some((_, sum)) => *sum = sum.saturating_add(*customers),
            None => causes.push((cause, *customers)),
        }
    }
    causes.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    causes.retain(|(_, customers)| *customers > 0);
    causes
}

/// A cause after `because`.
fn clause(cause: &str) -> String {
    match cause {
        "data" => "of something new about them, such as an order or an answer".to_owned(),
        "time" => "days passed without anything new from them".to_owned(),
        "definition" => "the rules were edited".to_owned(),
        "consent" => "they gave or withdrew consent".to_owned(),
        "identity" => "customers are new, or records were joined or split".to_owned(),
        other => format!("of: {}", names::phrase(other)),
    }
}

/// A cause as the head of a row or a legend.
pub fn title(cause: &str) -> String {
    match cause {
        "data" => "New data".to_owned(),
        "time" => "Days passed".to_owned(),
        "definition" => "Rules edited".to_owned(),
        "consent" => "Consent".to_owned(),
        "identity" => "Identity".to_owned(),
        "undetermined" => "Not known".to_owned(),
        other => names::title(other),
    }
}

/// What each cause means, for a note below a table.
pub const MEANINGS: &str = "New data: rows about the customer came, changed or went. Days passed: nothing is new of the customer, but time has \
    passed or everybody else has moved. Rules edited: the project's definition changed. Consent: it was given or withdrawn. Identity: the \
    customer is new, or records were joined or split.";

/// Adds the commonest cause of a movement as a sentence of its own.
pub fn told(sentence: Sentence, causes: &[(&str, u64)], moved: u64, numbers: &Numbers) -> Sentence {
    let Some((cause, customers)) = causes.first().copied() else { return sentence };
    if cause == "undetermined" {
        return sentence.words(" For most of them it cannot be told why.");
    }
    let opening = match customers {
        all if all >= moved => " All because ",
        most if most > moved / 2 => " Mostly because ",
        _ => " Most often because ",
    };
    let sentence = sentence.words(opening).words(&clause(cause));
    if customers >= moved || numbers.is_small(customers) {
        return sentence.words(".");
    }
    sentence.words(" (").with(&numbers.count(customers)).words(").")
}
