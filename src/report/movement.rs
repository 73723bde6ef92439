//! Who entered, left or moved between segments, because of what, and the revenue that went with them: in lines and as JSON.

use std::collections::BTreeMap;

use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use crate::identity::shown;
use crate::segments::memory::Cause;
use crate::segments::movement::{Flow, Kind, Movement, OfSet, causes};

/// The flows that a summary names: the largest.
const FLOWS_SHOWN: usize = 3;

/// What a change that is counted is called, in the order in which it is told.
const COUNTED: [Kind; 3] = [Kind::Entered, Kind::Left, Kind::Moved];

/// The movement since the predecessor publication in three lines; none where there was nothing before.
pub fn summary(movement: &Movement) -> Option<String> {
    let since = movement.since?;
    let sets = movement.sets();
    let all = || sets.iter().flat_map(|set| set.flows.iter().copied());
    let counted: Vec<String> = COUNTED
        .into_iter()
        .filter_map(|kind| {
            let causes = causes(all().filter(|flow| flow.kind == kind));
            let count: u64 = causes.values().sum();
            (count > 0).then(|| format!("{} {} ({})", HumanCount(count), kind.word(), causes_in_words(&causes)))
        })
        .collect();
    let mut text = format!("\nSince {since}\n");
    if counted.is_empty() {
        return Some(text + "  nobody has entered, left or moved\n");
    }
    text += &format!("  changes  {}\n", counted.join("; "));
    let mut flows = by_segments(all());
    flows.sort_by(|one, other| other.customers.cmp(&one.customers).then_with(|| one.segments.cmp(&other.segments)));
    let told = |flow: &Between<'_>| format!("{}: {} {}", shown(flow.segments.0), arrow(flow), HumanCount(flow.customers));
    let most: Vec<String> = flows.iter().take(FLOWS_SHOWN).map(told).collect();
    text += &format!("  mostly   {}\n", most.join("; "));
    if movement.revenue.is_some() {
        let told: Vec<String> =
            sets.iter().filter(|set| set.flows.iter().any(|flow| flow.kind != Kind::Merged)).map(|set| revenue(movement, set)).collect();
        text += &format!("  revenue  {} of the changes\n", told.join(", "));
    }
    Some(text)
}

/// What those who changed in a set spent, in words.
fn revenue(movement: &Movement, set: &OfSet<'_>) -> String {
    let (sum, unknown) = set.revenue();
    let unknown = if unknown > 0 { format!(" (not known of {})", HumanCount(unknown)) } else { String::new() };
    format!("{} {}{unknown}", shown(set.segment_set), movement.money(sum).short())
}

/// Those who changed from one segment of a set to another, whatever the cause.
pub struct Between<'a> {
    /// The set, and the segments that they left and entered.
    pub segments: (&'a str, Option<&'a str>, Option<&'a str>),
    /// How many there are.
    pub customers: u64,
    /// What they spent.
    pub revenue: i128,
    /// Of how many that is not known.
    pub revenue_unknown: u64,
    /// The ids of some of them.
    pub examples: Vec<&'a str>,
}

/// Flows together, whatever their cause, without ids that have only merged; in order of set and segments.
pub fn by_segments<'a>(flows: impl Iterator<Item = &'a Flow>) -> Vec<Between<'a>> {
    let mut found: BTreeMap<(&str, Option<&str>, Option<&str>), Between<'a>> = BTreeMap::new();
    for flow in flows.filter(|flow| flow.kind != Kind::Merged) {
        let segments = (flow.segment_set.as_str(), flow.from.as_deref(), flow.to.as_deref());
        let none = || Between { segments, customers: 0, revenue: 0, revenue_unknown: 0, examples: Vec::new() };
        let all = found.entry(segments).or_insert_with(none);
        all.customers += flow.customers;
        all.revenue += flow.revenue;
        all.revenue_unknown += flow.revenue_unknown;
        all.examples.extend(flow.examples.iter().map(String::as_str));
    }
    found.into_values().collect()
}

/// From where to where, in words.
pub fn arrow(flow: &Between<'_>) -> String {
    match (flow.segments.1, flow.segments.2) {
        (Some(from), Some(to)) => format!("{} → {}", shown(from), shown(to)),
        (Some(from), None) => format!("out of {}", shown(from)),
        (None, to) => format!("into {}", shown(to.unwrap_or_default())),
    }
}

/// Counts by cause, such as `time 12, data 3`: the largest first.
pub fn causes_in_words(causes: &BTreeMap<Cause, u64>) -> String {
    let mut causes: Vec<(&Cause, &u64)> = causes.iter().filter(|(_, count)| **count > 0).collect();
    causes.sort_by_key(|(cause, count)| (std::cmp::Reverse(**count), **cause));
    causes.iter().map(|(cause, count)| format!("{cause} {}", HumanCount(**count))).collect::<Vec<_>>().join(", ")
}

/// The movement as a document; null where there was nothing before.
pub fn json(movement: &Movement) -> Value {
    let Some(since) = movement.since else { return Value::Null };
    let sets: Vec<Value> = movement.sets().iter().map(|set| Value::Object(of_set(movement, set, false))).collect();
    json!({ "since": since, "revenue_column": movement.revenue.as_ref().map(|(column, _)| column), "segment_sets": sets })
}

/// The movement of a set as a document.
pub fn of_set(movement: &Movement, set: &OfSet<'_>, with_examples: bool) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("segment_set".to_owned(), json!(set.segment_set));
    for kind in Kind::ALL {
        told.insert(kind.word().to_owned(), json!(set.count(kind)));
    }
    let causes: Map<String, Value> = set.causes().into_iter().map(|(cause, count)| (cause.word().to_owned(), json!(count))).collect();
    told.insert("causes".to_owned(), Value::Object(causes));
    if movement.revenue.is_some() {
        let (sum, unknown) = set.revenue();
        told.insert("revenue_moved".to_owned(), json!(movement.money(sum).to_string()));
        told.insert("revenue_unknown".to_owned(), json!(unknown));
    }
    let flow = |flow: &&Flow| {
        let mut told = json!({
            "change": flow.kind.word(),
            "from_segment": flow.from,
            "to_segment": flow.to,
            "cause": flow.cause.word(),
            "cause_detail": flow.detail,
            "identity_event": flow.identity_event,
            "customers": flow.customers,
            "adds_members": flow.adds,
        });
        if movement.revenue.is_some() {
            told["revenue"] = json!(movement.money(flow.revenue).to_string());
            told["revenue_unknown"] = json!(flow.revenue_unknown);
        }
        if with_examples {
            told["examples"] = json!(flow.examples);
        }
        told
    };
    told.insert("flows".to_owned(), set.flows.iter().map(flow).collect());
    told
}
