//! A customer as a tree of identifiers and ties, for `segmill explain --identity`.

use chrono::DateTime;
use serde_json::{Value, json};

use crate::identity::{Answer, DroppedTie, Explained, Leaf, Tie, masked};

/// The tree as lines. Personal values are masked unless asked for.
pub fn human(answer: &Answer, unmasked: bool) -> String {
    if answer.found.is_empty() {
        return format!("nobody had this identifier before {}", answer.as_of);
    }
    let parts: Vec<String> = answer.found.iter().map(|explained| one(explained, answer, unmasked)).collect();
    parts.join("\n\n")
}

/// The same as a document.
pub fn json(answer: &Answer, unmasked: bool) -> Value {
    let found: Vec<Value> = answer
        .found
        .iter()
        .map(|explained| {
            let dropped = explained.dropped.iter().map(|tie| {
                json!({
                    "one": { "type": tie.one.0, "identifier": shown(&tie.one.1, tie.one.2, unmasked) },
                    "other": { "type": tie.other.0, "identifier": shown(&tie.other.1, tie.other.2, unmasked) },
                    "source": tie.source, "first_seen": day(tie.first_seen), "last_seen": day(tie.last_seen),
                    "reason": tie.reason, "explanation": tie.explanation,
                })
            });
            json!({
                "customer_id": explained.customer_id,
                "aliases": explained.aliases,
                "tree": leaf(&explained.tree, unmasked),
                "not_tied": dropped.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "status": if found.is_empty() { "unknown" } else { "known" }, "exit_code": 0, "as_of": answer.as_of, "found": found })
}

fn one(explained: &Explained, answer: &Answer, unmasked: bool) -> String {
    let mut text = match &explained.customer_id {
        Some(id) => format!("customer {id} as of {}\n", answer.as_of),
        None => format!("no customer as of {}\n", answer.as_of),
    };
    if !explained.aliases.is_empty() {
        text += &format!("known before as {}\n", explained.aliases.join(", "));
    }
    text += &format!("\n{}\n", named(&explained.tree, unmasked));
    branches(&explained.tree.ties, "", unmasked, &mut text);
    if !explained.dropped.is_empty() {
        text += "\nNot tied\n";
        for tie in &explained.dropped {
            text += &format!("  {}\n", dropped(tie, unmasked));
        }
    }
    text.trim_end().to_owned()
}

fn branches(ties: &[Tie], indent: &str, unmasked: bool, text: &mut String) {
    for (at, tie) in ties.iter().enumerate() {
        let (branch, below) = if at + 1 == ties.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let dates = dates(tie.first_seen, tie.last_seen);
        *text += &format!("{indent}{branch}{}  ({}{dates})\n", named(&tie.to, unmasked), tie.source);
        branches(&tie.to.ties, &format!("{indent}{below}"), unmasked, text);
    }
}

fn named(leaf: &Leaf, unmasked: bool) -> String {
    let aside = leaf.set_aside.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} {}{aside}", leaf.identifier_type, shown(&leaf.identifier, leaf.personal, unmasked))
}

fn dropped(tie: &DroppedTie, unmasked: bool) -> String {
    let [one, other] = [&tie.one, &tie.other].map(|(kind, text, personal)| format!("{kind} {}", shown(text, *personal, unmasked)));
    format!("{one} and {other}  ({}{}): {}", tie.source, dates(tie.first_seen, tie.last_seen), tie.explanation)
}

fn leaf(leaf: &Leaf, unmasked: bool) -> Value {
    let ties = leaf.ties.iter().map(|tie| {
        json!({ "source": tie.source, "first_seen": day(tie.first_seen), "last_seen": day(tie.last_seen), "to": self::leaf(&tie.to, unmasked) })
    });
    json!({
        "type": leaf.identifier_type,
        "identifier": shown(&leaf.identifier, leaf.personal, unmasked),
        "set_aside": leaf.set_aside,
        "ties": ties.collect::<Vec<_>>(),
    })
}

fn shown(text: &str, personal: bool, unmasked: bool) -> String {
    if personal && !unmasked { masked(text) } else { text.to_owned() }
}

fn dates(first: Option<i64>, last: Option<i64>) -> String {
    match (day(first), day(last)) {
        (Some(first), Some(last)) if first != last => format!(", {first} to {last}"),
        (Some(day), _) | (None, Some(day)) => format!(", {day}"),
        (None, None) => String::new(),
    }
}

fn day(micros: Option<i64>) -> Option<String> {
    micros.and_then(DateTime::from_timestamp_micros).map(|moment| moment.date_naive().to_string())
}
