//! A customer as a tree of identifiers and the links between them, for `segmill explain --identity`.

use chrono::DateTime;
use serde_json::{Value, json};

use crate::identity::{Answer, EdgeSetAside, Explained, Sighting, Told, masked, shown};

/// How a source is called that the project does not name.
const UNNAMED: &str = "unnamed";

/// Links that a line is indented for.
const MOST_INDENTED: usize = 12;
/// Aliases of a customer that a line names.
const MOST_ALIASES: usize = 10;

/// The tree as lines. Personal values are masked unless asked for.
pub fn human(answer: &Answer, unmasked: bool) -> String {
    let warnings: String = answer.warnings.iter().map(|warning| format!("\nNote: {warning}")).collect();
    told(answer, unmasked) + &warnings
}

fn told(answer: &Answer, unmasked: bool) -> String {
    if let (true, Some(last)) = (answer.found.is_empty(), answer.last_published_on) {
        return format!("a customer had this id until {last}; nothing of it is in the extracts as of {}", answer.as_of);
    }
    if answer.found.is_empty() {
        return format!("nobody had this identifier before {}", answer.as_of);
    }
    let parts: Vec<String> = answer.found.iter().map(|explained| one(explained, answer, unmasked)).collect();
    parts.join("\n\n")
}

/// The same as a document.
pub fn json(answer: &Answer, unmasked: bool) -> Value {
    let told = |told: &Told| json!({ "type": told.identifier_type, "identifier": value(told, unmasked) });
    let seen = |seen: &Sighting| json!({ "source": source(seen), "first_seen": day(seen.first_seen), "last_seen": day(seen.last_seen) });
    let found: Vec<Value> = answer
        .found
        .iter()
        .map(|explained| {
            let identifiers = explained.identifiers.iter().map(|linked| {
                json!({
                    "type": linked.told.identifier_type, "identifier": value(&linked.told, unmasked), "set_aside": linked.set_aside,
                    "linked_to": linked.linked_to, "seen": linked.seen.iter().map(seen).collect::<Vec<_>>(),
                })
            });
            let aside = explained.edges_set_aside.iter().map(|edge| {
                json!({
                    "one": told(&edge.one), "other": told(&edge.other), "source": source(&edge.seen),
                    "first_seen": day(edge.seen.first_seen), "last_seen": day(edge.seen.last_seen),
                    "reason": edge.reason, "explanation": edge.explanation,
                })
            });
            json!({
                "customer_id": explained.customer_id.as_deref().map(shown),
                "id_is_kept": explained.id_is_kept,
                "aliases": explained.aliases.iter().map(|alias| shown(alias)).collect::<Vec<_>>(),
                "aliases_left_out": explained.aliases_left_out,
                "identifiers": identifiers.collect::<Vec<_>>(),
                "identifiers_left_out": explained.identifiers_left_out,
                "edges_set_aside": aside.collect::<Vec<_>>(),
                "edges_set_aside_left_out": explained.edges_set_aside_left_out,
            })
        })
        .collect();
    let status = if found.is_empty() { "unknown" } else { "known" };
    json!({
        "status": status, "exit_code": 0, "as_of": answer.as_of, "ids_from": answer.ids_from,
        "last_published_on": answer.last_published_on, "warnings": answer.warnings, "found": found,
    })
}

fn one(explained: &Explained, answer: &Answer, unmasked: bool) -> String {
    let mut text = match &explained.customer_id {
        Some(id) => format!("customer {} as of {}\n", shown(id), answer.as_of),
        None => format!("no customer as of {}\n", answer.as_of),
    };
    if let Some(from) = answer.ids_from.filter(|_| explained.id_is_kept) {
        text += &format!("had this id as of {from}\n");
    }
    if !explained.aliases.is_empty() {
        let aliases: Vec<String> = explained.aliases.iter().take(MOST_ALIASES).map(|alias| shown(alias)).collect();
        let more = explained.aliases.len() - aliases.len() + explained.aliases_left_out;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!("known before as {}{more}\n", aliases.join(", "));
    }
    text += "\n";
    text += &tree(explained, unmasked);
    if explained.identifiers_left_out > 0 {
        text += &format!("… and {} more; `--limit` shows more\n", explained.identifiers_left_out);
    }
    if !explained.edges_set_aside.is_empty() {
        text += "\nEdges set aside\n";
        for edge in &explained.edges_set_aside {
            text += &format!("  {}\n", set_aside(edge, unmasked));
        }
        if explained.edges_set_aside_left_out > 0 {
            text += &format!("  … and {} more; `--limit` shows more\n", explained.edges_set_aside_left_out);
        }
    }
    text.trim_end().to_owned()
}

/// The identifiers as a tree, each below the one that it is linked to.
fn tree(explained: &Explained, unmasked: bool) -> String {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); explained.identifiers.len()];
    for (at, linked) in explained.identifiers.iter().enumerate() {
        if let Some(above) = linked.linked_to {
            below[above].push(at);
        }
    }
    let mut text = String::new();
    // What is still to be written, the next one last: the identifier, how deep it is, what stands before it, and before those below it.
    let mut waiting = vec![(0, 0, String::new(), String::new())];
    while let Some((at, depth, before, indent)) = waiting.pop() {
        let Some(linked) = explained.identifiers.get(at) else { continue };
        let aside = linked.set_aside.map(|why| format!(": {why}")).unwrap_or_default();
        let seen: Vec<String> = linked.seen.iter().map(|seen| format!("{}{}", source(seen), dates(seen))).collect();
        let seen = if seen.is_empty() { String::new() } else { format!("  ({})", seen.join("; ")) };
        text += &format!("{before}{} {}{aside}{seen}\n", linked.told.identifier_type, value(&linked.told, unmasked));
        for (position, &child) in below[at].iter().enumerate().rev() {
            let (branch, more) = if position + 1 == below[at].len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            // A long chain goes straight down from some depth on, with the number of links from the top.
            let steps = depth + 1;
            waiting.push(if steps <= MOST_INDENTED {
                (child, steps, format!("{indent}{branch}"), format!("{indent}{more}"))
            } else {
                (child, steps, format!("{indent}{branch}[{steps}] "), indent.clone())
            });
        }
    }
    text
}

fn set_aside(edge: &EdgeSetAside, unmasked: bool) -> String {
    let [one, other] = [&edge.one, &edge.other].map(|told| format!("{} {}", told.identifier_type, value(told, unmasked)));
    format!("{one} and {other}  ({}{}): {}", source(&edge.seen), dates(&edge.seen), edge.explanation)
}

fn value(told: &Told, unmasked: bool) -> String {
    if told.personal && !unmasked { masked(&told.identifier, &told.hash) } else { shown(&told.identifier) }
}

fn source(seen: &Sighting) -> String {
    seen.source.as_deref().map_or_else(|| UNNAMED.to_owned(), shown)
}

fn dates(seen: &Sighting) -> String {
    match (day(seen.first_seen), day(seen.last_seen)) {
        (Some(first), Some(last)) if first != last => format!(", {first} to {last}"),
        (Some(day), _) | (None, Some(day)) => format!(", {day}"),
        (None, None) => String::new(),
    }
}

fn day(micros: Option<i64>) -> Option<String> {
    micros.and_then(DateTime::from_timestamp_micros).map(|moment| moment.date_naive().to_string())
}
