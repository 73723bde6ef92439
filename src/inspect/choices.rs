//! Chooses what a source's rows are known by: key, event time, and whether files are events, snapshots or changes; with what speaks for it.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{Finding, Findings};
use super::names::has_word;
use super::table::Origin;
use super::types::Kind;
use super::words::{self, Operation};

/// With fewer rows nothing is sure to be a key.
const FEW_ROWS: usize = 20;
/// How many columns are tried in pairs.
const TRIED_IN_PAIRS: usize = 10;

/// A choice, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The columns.
    pub columns: Vec<String>,
    /// What speaks for it, or what could not be told.
    pub why: String,
}

/// What the rows of a source are.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The key; none if nothing is one.
    pub key: Option<Choice>,
    /// Other keys that would do.
    pub other_keys: Vec<String>,
    /// The event time.
    pub event_time: Option<Choice>,
    /// Other columns that say when.
    pub other_times: Vec<String>,
    /// A column that is named like a key and repeats.
    pub repeats: Option<String>,
    /// Why the files seem to be whole tables.
    pub snapshot: Option<String>,
    /// The words for each operation, if rows are changes.
    pub changes: Option<Changes>,
}

/// Rows that are changes.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The column of the operation.
    pub operation: String,
    /// The words for each.
    pub words: Vec<(Operation, String)>,
    /// The column of their order.
    pub order: Option<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Makes the choices.
pub fn choose(findings: &Findings) -> Choices {
    let mut choices = Choices { changes: changes(findings), ..Choices::default() };
    times(findings, &mut choices);
    match snapshot(findings).filter(|_| choices.changes.is_none()) {
        // The table is sent again with each file.
        Some((key, why)) => {
            choices.snapshot = Some(why);
            choices.key = Some(Choice { columns: vec![key], why: "no value stands twice in files of one day".to_owned() });
        }
        None => keys(findings, &mut choices),
    }
    choices
}

fn is_key_like(column: &Finding) -> bool {
    let is_free = column.personal.is_some_and(|what| what.starts_with("free text"));
    matches!(column.guess.kind, Kind::Text | Kind::Integer)
        && matches!(column.column.origin, Origin::Named(_) | Origin::Position(_))
        && !is_free
        && column.guess.clock.is_none()
}

fn is_named(column: &Finding) -> bool {
    words::is_id_name(&column.name) || (column.name == "name" && column.personal.is_none())
}

fn keys(findings: &Findings, choices: &mut Choices) {
    let rows = findings.columns.iter().map(|column| column.column.cells.len()).max().unwrap_or_default();
    let candidates: Vec<&Finding> = findings.columns.iter().filter(|column| is_key_like(column)).collect();
    if let Some(changes) = &choices.changes {
        choices.key = key_of_changes(&candidates, changes);
        return;
    }
    if rows < 2 {
        return;
    }
    let places: BTreeMap<&str, usize> = findings.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), at)).collect();
    let place = |column: &Finding| places.get(column.name.as_str()).copied().unwrap_or_default();
    let unique: Vec<&&Finding> = candidates.iter().filter(|column| column.is_unique()).collect();
    let sure = |name: &str| {
        if rows < FEW_ROWS {
            format!("UNSURE: no {name} stands twice, but there are only {rows} rows")
        } else {
            format!("no {name} stands twice in {rows} rows")
        }
    };
    if let Some(best) = unique.iter().max_by_key(|column| (is_named(column), column.personal.is_none(), std::cmp::Reverse(place(column)))) {
        let is_doubtful = !is_named(best);
        let why = sure("value");
        let why = if is_doubtful && !why.starts_with("UNSURE") { format!("UNSURE: {why}, but its name is not that of a key") } else { why };
        choices.other_keys = unique.iter().filter(|column| column.name != best.name).map(|column| column.name.clone()).take(5).collect();
        if is_named(best) || rows >= FEW_ROWS {
            choices.key = Some(Choice { columns: vec![best.name.clone()], why });
        }
        if is_named(best) {
            return;
        }
    }
    if let Some((first, second)) = pair(&candidates, findings) {
        if choices.key.is_some() {
            choices.other_keys.push(format!("{first} and {second}"));
        } else {
            choices.key = Some(Choice { columns: vec![first, second], why: sure("pair") });
        }
    }
    if choices.key.is_none()
        && let Some(column) = candidates.iter().find(|column| is_named(column) && column.is_filled && column.distinct > 1)
    {
        let (name, different) = (&column.name, column.distinct);
        let marks = ["deleted", "is_deleted", "removed", "op", "operation", "cdc", "tombstone", "geloescht"];
        let is_marked = |column: &&Finding| has_word(&column.name, &marks) || words::is_operation_name(&column.name);
        choices.repeats = Some(match findings.columns.iter().find(is_marked) {
            Some(mark) => format!(
                "UNSURE: `{name}` has {different} values in {rows} rows, and `{}` may say that a row was deleted: if rows are changes, say \
                 `kind: changes`, since a `key` by itself keeps the rows of what was deleted",
                mark.name
            ),
            None => format!(
                "`{name}` has {different} values in {rows} rows: if later rows replace earlier ones, `key: [{name}]` keeps the latest of each"
            ),
        });
    }
}

/// The key of changes, which have one in any case.
fn key_of_changes(candidates: &[&Finding], changes: &Changes) -> Option<Choice> {
    let is_free = |column: &Finding| {
        column.name != changes.operation && Some(&column.name) != changes.order.as_ref() && words::order_rank(&column.name) == 0
    };
    // A deletion has nothing under `after`.
    let is_there = |column: &Finding| column.is_filled || image(column, "after").is_some();
    let mut possible = candidates.iter().filter(|column| is_free(column) && is_there(column));
    let first = possible.clone().next();
    let (column, why) = match possible.find(|column| is_named(column)) {
        Some(named) => (named, "UNSURE: the first column that is named like a key"),
        None => (first?, "UNSURE: the first column, as none is named like a key"),
    };
    Some(Choice { columns: vec![column.name.clone()], why: why.to_owned() })
}

/// Two columns that are named like keys or counts, and together differ in every row.
fn pair(candidates: &[&Finding], findings: &Findings) -> Option<(String, String)> {
    let part = |column: &&&Finding| column.is_filled && (is_named(column) || words::is_line_name(&column.name));
    let is_date =
        |column: &&Finding| column.guess.kind == Kind::Date && column.is_filled && column.parts.is_none() && column.column.name().is_some();
    let dates = findings.columns.iter().filter(is_date).filter(|column| !matches!(column.column.origin, Origin::Path(_)));
    let parts: Vec<&Finding> = candidates.iter().filter(part).copied().chain(dates).take(TRIED_IN_PAIRS).collect();
    for (at, first) in parts.iter().enumerate().filter(|(_, column)| is_named(column)) {
        for second in parts.iter().skip(at + 1).chain(parts[..at].iter()) {
            let rows = first.column.cells.len();
            let pairs: BTreeSet<(&Option<String>, &Option<String>)> = first.column.cells.iter().zip(&second.column.cells).collect();
            if rows > 2 && pairs.len() == rows && second.column.cells.len() == rows && second.distinct > 1 && first.distinct > 1 {
                return Some((first.name.clone(), second.name.clone()));
            }
        }
    }
    None
}

/// Names of the moment at which a row happened, those that may be it, and those that are another.
const BEST: [&str; 22] = [
    "event_time",
    "event_timestamp",
    "occurred",
    "occurred_at",
    "timestamp",
    "ts",
    "event_date",
    "ordered_at",
    "order_date",
    "purchased",
    "sent_at",
    "time",
    "bestelldatum",
    "invoicedate",
    "invoice_date",
    "transaction_date",
    "moment",
    "happened",
    "clicked_at",
    "submitted",
    "response_date",
    "recorded_date",
];
const GOOD: [&str; 12] =
    ["created", "created_at", "date", "datum", "fecha", "updated", "updated_at", "modified", "changed_at", "start_date", "startdate", "at"];
const BAD: [&str; 24] = [
    "birth",
    "expires",
    "expiry",
    "valid_until",
    "valid_to",
    "due",
    "end",
    "end_date",
    "enddate",
    "until",
    "to",
    "next",
    "delivery",
    "geburtsdatum",
    "birthday",
    "deleted",
    "cancelled",
    "canceled",
    "refunded",
    "previous",
    "last_login",
    "first_touch",
    "dob",
    "ablauf",
];

/// How much a column's name is that of the moment at which a row happened.
fn time_rank(column: &Finding) -> i32 {
    let mut rank = 0;
    rank += if has_word(&column.name, &BEST) {
        4
    } else if has_word(&column.name, &GOOD) {
        2
    } else {
        0
    };
    rank -= if has_word(&column.name, &BAD) || column.personal.is_some() { 6 } else { 0 };
    rank += i32::from(column.guess.kind == Kind::Timestamp);
    rank += if column.is_filled { 2 } else { -1 };
    // A file without it would have no rows.
    rank -= if column.is_optional { 10 } else { 0 };
    rank + i32::from(column.parts.is_some())
}

fn times(findings: &Findings, choices: &mut Choices) {
    let is_time = |column: &&Finding| column.guess.kind.is_time() && column.guess.filled > 0;
    let mut found: Vec<&Finding> = findings.columns.iter().filter(is_time).collect();
    found.sort_by_key(|column| std::cmp::Reverse(time_rank(column)));
    let Some(best) = found.first() else { return };
    let gaps = best.column.cells.len() - best.filled;
    let mut why = match best.column.origin {
        Origin::Path(_) => "the day in the files' path, since no column of theirs is better".to_owned(),
        _ if gaps == 0 => "every row has it".to_owned(),
        _ => format!("UNSURE: {gaps} of {} rows lack it, and would be rejected", best.column.cells.len()),
    };
    let others: Vec<&Finding> = found.iter().skip(1).filter(|column| time_rank(column) > -3).copied().collect();
    if others.iter().any(|column| time_rank(column) == time_rank(best)) {
        why = format!("UNSURE: {}, as of others", why.trim_start_matches("UNSURE: "));
    }
    if time_rank(best) < 0 {
        why = format!("UNSURE: {}, but its name is not that of when a row happened", why.trim_start_matches("UNSURE: "));
    }
    choices.other_times = others.into_iter().map(|column| column.name.clone()).take(5).collect();
    choices.event_time = Some(Choice { columns: vec![best.name.clone()], why });
}

/// Files of several days that hold mostly the same keys, each once a day, are whole tables: the key, and what speaks for it.
fn snapshot(findings: &Findings) -> Option<(String, String)> {
    let part = findings.paths.parts.iter().find(|part| part.day.is_some())?;
    for key in findings.columns.iter().filter(|column| is_key_like(column) && is_named(column) && column.is_filled && column.distinct > 1) {
        let mut days: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut begin = 0;
        for (place, (_, rows)) in findings.places.iter().zip(&findings.looked) {
            let end = (begin + rows).min(key.column.cells.len());
            let cells = key.column.cells.get(begin..end).unwrap_or_default();
            let day = part.values.get(*place).map(String::as_str).unwrap_or_default();
            days.entry(day).or_default().extend(cells.iter().flatten().map(String::as_str));
            begin = end;
        }
        let sets: Vec<BTreeSet<&str>> = days.values().map(|keys| keys.iter().copied().collect()).collect();
        if sets.iter().zip(days.values()).any(|(set, keys)| set.len() < keys.len()) {
            continue;
        }
        let overlaps = sets.windows(2).map(|pair| (pair[0].intersection(&pair[1]).count(), pair[0].len().min(pair[1].len())));
        let (shared, all) = overlaps.fold((0, 0), |(shared, all), (one, of)| (shared + one, all + of));
        if all > 0 && shared * 10 >= all * 6 {
            let why = format!(
                "files of different days hold the same values of `{}`, each once a day: the whole table seems to be sent each time",
                key.name
            );
            return Some((key.name.clone(), why));
        }
    }
    None
}

/// The member of a row as it was before a change or is after it, where the path of a column leads to one.
pub fn image<'a>(column: &'a Finding, which: &str) -> Option<&'a str> {
    let name = column.column.name()?;
    name.strip_prefix("payload.").unwrap_or(name).strip_prefix(which)?.strip_prefix('.')
}

/// Changes whose column of the operation is told by its values or by a name that only tools of replication give.
fn marked_changes(findings: &Findings) -> Option<Changes> {
    let is_deleted = |column: &&Finding| {
        column.column.name() == Some("__deleted") && column.column.cells.iter().flatten().all(|text| text == "true" || text == "false")
    };
    let order = || {
        let order = findings.columns.iter().filter(|other| words::order_rank(&other.name) > 0);
        order.max_by_key(|other| words::order_rank(&other.name)).map(|other| other.name.clone())
    };
    let unordered = "UNSURE: no column seems to say in which order changes were made (such as `lsn` or `seq`)".to_owned();
    if let Some(column) = findings.columns.iter().find(is_deleted) {
        let order = order();
        let notes = if order.is_none() { vec![unordered] } else { Vec::new() };
        let words = vec![(Operation::Update, "false".to_owned()), (Operation::Delete, "true".to_owned())];
        return Some(Changes { operation: column.name.clone(), words, order, notes });
    }
    let column = findings.columns.first().filter(|column| column.column.origin == Origin::Position(0))?;
    let seen: BTreeSet<&str> = column.column.cells.iter().flatten().map(|text| text.trim()).collect();
    if !seen.iter().all(|word| ["I", "U", "D"].contains(word)) || !column.is_filled || (seen.len() < 2 && !seen.contains("D")) {
        return None;
    }
    let words = [(Operation::Insert, "I"), (Operation::Update, "U"), (Operation::Delete, "D")].map(|(what, word)| (what, word.to_owned()));
    let name = column.name.clone();
    Some(Changes { operation: name, words: words.to_vec(), order: None, notes: vec![unordered] })
}

fn changes(findings: &Findings) -> Option<Changes> {
    if let Some(changes) = marked_changes(findings) {
        return Some(changes);
    }
    for column in findings.columns.iter().filter(|column| column.guess.kind == Kind::Text && words::is_operation_name(&column.name)) {
        let seen: BTreeSet<&str> = column.values().map(str::trim).collect();
        let said: Vec<(Operation, String)> = seen.iter().filter_map(|word| Some((words::operation(word)?, (*word).to_owned()))).collect();
        let kinds: BTreeSet<Operation> = said.iter().map(|(operation, _)| *operation).collect();
        // A type of one word, or words of which some are no operations, is something else.
        let is_strict = has_word(&column.name, &["op", "operation", "cdc", "change_type", "op_type", "rowkind", "row_kind"]);
        if seen.is_empty()
            || said.len() < seen.len()
            || (kinds.len() < 2 && !is_strict)
            || (!is_strict && !kinds.contains(&Operation::Delete))
        {
            continue;
        }
        let mut said = said;
        said.sort();
        let order = findings.columns.iter().filter(|other| other.name != column.name && words::order_rank(&other.name) > 0);
        let order = order.max_by_key(|other| words::order_rank(&other.name)).map(|other| other.name.clone());
        let mut notes = Vec::new();
        for operation in [Operation::Insert, Operation::Update, Operation::Delete] {
            if !kinds.contains(&operation) {
                notes.push(format!("UNSURE: no word for {operation:?} was seen").to_lowercase().replace("unsure", "UNSURE"));
            }
        }
        if order.is_none() {
            notes.push("UNSURE: no column seems to say in which order changes were made (such as `lsn` or `seq`)".to_owned());
        }
        if findings.columns.iter().any(|other| image(other, "before").is_some()) {
            notes.push("a deletion has its key under `before` only, so the key names both places".to_owned());
        }
        return Some(Changes { operation: column.name.clone(), words: said, order, notes });
    }
    None
}
