//! Why a customer is in segments or is not, as a tree for people and as JSON, for `segmill explain --customer`.

use datafusion::common::ScalarValue;
use serde_json::{Value, json};

use crate::diagnostic::counted;
use crate::identity::shown;
use crate::segments::why::{
    Answer, By, Change, Condition, ExplainedSegment, ExplainedSet, HeldBy, Membership, Named, Parts, ReadValue, Standing, Turn, Verdict,
    shown_value,
};
use crate::shown::MASK;

/// The widest column of conditions beside which values stand.
const WIDEST: usize = 60;

/// The answer as lines. Personal values are masked unless asked for.
pub fn human(answer: &Answer, unmasked: bool) -> String {
    let lines = Lines { answer, unmasked };
    let mut text = lines.head();
    for set in answer.sets.iter().flatten() {
        text += &format!("\n{}", lines.set(set));
    }
    for warning in &answer.warnings {
        text += &format!("\nNote: {warning}");
    }
    text.trim_end().to_owned()
}

/// The same as a document.
pub fn json(answer: &Answer, unmasked: bool) -> Value {
    let document = Document { answer, unmasked };
    let (named_by, alias) = match &answer.named {
        Named::Id => ("id", None),
        Named::Alias(alias) => ("alias", Some(shown(alias))),
        Named::Published => ("published_identifiers", None),
        Named::Computed => ("computed_identity", None),
    };
    json!({
        "status": if answer.sets.is_some() { "known" } else { "unknown" },
        "exit_code": 0,
        "as_of": answer.as_of,
        "number": answer.number,
        "customer_id": if answer.sets.is_some() || answer.named == Named::Id { Some(shown(&answer.customer_id)) } else { None },
        "found_by": named_by,
        "alias": alias,
        "customers": answer.customers,
        "predecessor_as_of": answer.predecessor,
        "segment_sets": answer.sets.iter().flatten().map(|set| document.set(set)).collect::<Vec<_>>(),
        "warnings": answer.warnings,
    })
}

/// What is masked and what is not.
trait Masks {
    fn answer(&self) -> &Answer;
    fn unmasked(&self) -> bool;

    fn is_masked(&self, column: &str) -> bool {
        !self.unmasked() && self.answer().personal.contains(column)
    }
}

struct Lines<'a> {
    answer: &'a Answer,
    unmasked: bool,
}

impl Masks for Lines<'_> {
    fn answer(&self) -> &Answer {
        self.answer
    }

    fn unmasked(&self) -> bool {
        self.unmasked
    }
}

impl Lines<'_> {
    fn head(&self) -> String {
        let Answer { customer_id, as_of, number, .. } = self.answer;
        let id = shown(customer_id);
        if self.answer.sets.is_none() {
            return match self.answer.named {
                Named::Id => format!("the publication as of {as_of} (number {number}) has no customer {id}\n"),
                _ => format!("nobody had this identifier before {as_of}\n"),
            };
        }
        let mut text = format!("customer {id} as of {as_of}, as published (number {number})\n");
        match &self.answer.named {
            Named::Id => {}
            Named::Alias(alias) => text += &format!("the id {} has become an alias of this customer\n", shown(alias)),
            Named::Published => text += "found by the identifiers that the publication keeps as hashes\n",
            Named::Computed => text += "found by computing who is who from the extracts\n",
        }
        text
    }

    fn set(&self, set: &ExplainedSet) -> String {
        let mut text = format!("{} ({}{})\n", shown(&set.name), set.kind, self.before(set));
        let widest = set.segments.iter().map(|segment| shown(&segment.name).chars().count()).max().unwrap_or_default();
        for segment in &set.segments {
            text += &self.segment(set, segment, widest);
        }
        text
    }

    /// What has changed since the predecessor publication.
    fn before(&self, set: &ExplainedSet) -> String {
        let of_set = self.answer.changes.iter().filter(|change| change.segment_set == set.name);
        let plain = |value: &ScalarValue| shown(shown_value(value).trim_matches('\''));
        let told: Vec<String> = of_set
            .map(|change| {
                let other = |name: &str| change.others.iter().find(|(other, value)| other == name && !value.is_null());
                let part =
                    |before: &str, name: &str| other(name).map(|(_, value)| format!(" {before} {}", plain(value))).unwrap_or_default();
                let what = other("change").map(|(_, value)| plain(value)).unwrap_or_default();
                let whose = other("customer_id").map(|(_, id)| format!("{} ", plain(id))).unwrap_or_default();
                format!("{whose}{what}{}{}{}", part("from", "from_segment"), part("to", "to_segment"), part("because of", "cause"))
            })
            .collect();
        let since = self.answer.predecessor.map(|day| format!("since {day}: ")).unwrap_or_default();
        if told.is_empty() { String::new() } else { format!("; {since}{}", told.join(", ")) }
    }

    fn segment(&self, set: &ExplainedSet, segment: &ExplainedSegment, widest: usize) -> String {
        let name = shown(&segment.name);
        let pad = " ".repeat(widest.saturating_sub(name.chars().count()));
        let mut text = format!("  {} {name}{pad}  {}\n", mark_of(segment.standing), self.standing(set, segment));
        let is_shown_whole = segment.is_searched && set.segments.iter().filter(|segment| segment.is_searched).count() == 1;
        if is_shown_whole || matches!(segment.standing, Standing::Member | Standing::Withheld) {
            text += &self.tree(&segment.rule, "      ");
            if let Some(stay) = &segment.stay {
                text += &format!("      a member remains one while\n{}", self.tree(stay, "      "));
            }
            if let Some(permission) = &segment.permission {
                text += &format!("      {}\n{}", self.reached(segment, permission), self.tree(permission, "      "));
            }
        } else if !segment.is_searched {
            text += &self.tree(&segment.rule, "      ");
        }
        if segment.is_searched {
            text += &self.turns(segment);
        }
        text
    }

    /// How the customer stands to a segment, in a sentence.
    fn standing(&self, set: &ExplainedSet, segment: &ExplainedSegment) -> String {
        match segment.standing {
            Standing::Member => format!("is a member{}{}", self.since(set, segment), held_by(segment)),
            Standing::Withheld => format!("is withheld: may not be reached by {}{}", segment.channel, held_by(segment)),
            Standing::Taken => match &set.segment {
                Some(taken) => format!("its rule matches, but {} comes first", shown(taken)),
                None => "its rule matches, but another segment comes first".to_owned(),
            },
            Standing::Barred => {
                let until = segment.remembered.barred_until.map(|day| format!(" before {day}")).unwrap_or_default();
                format!("its rule matches, but who has left cannot enter again{until}")
            }
            Standing::No => "no".to_owned(),
            Standing::Unknown => format!("unknown, so no: {}", self.unknown(&segment.rule)),
        }
    }

    /// What the publication says of a stay.
    fn since(&self, set: &ExplainedSet, segment: &ExplainedSegment) -> String {
        let Some(membership) = self.answer.membership(&set.name, &segment.name) else { return String::new() };
        let other = |name: &str| membership.others.iter().find(|(other, value)| other == name && !value.is_null()).map(|(_, value)| value);
        let plain = |value: &ScalarValue| shown(shown_value(value).trim_matches('\''));
        let mut told = other("member_since").map(|since| format!(" since {}", plain(since))).unwrap_or_default();
        if let Some(previous) = other("previous_segment") {
            told += &format!(", before that of {}", plain(previous));
        }
        match other("times_entered") {
            Some(ScalarValue::Int64(Some(times))) if *times > 1 => told += &format!(", has entered {times} times"),
            _ => {}
        }
        told
    }

    fn unknown(&self, rule: &Condition) -> String {
        let mut columns: Vec<&str> = Vec::new();
        for leaf in rule.leaves().into_iter().filter(|leaf| leaf.verdict == Verdict::Unknown) {
            if let Parts::One { values, .. } = &leaf.parts {
                columns.extend(values.iter().filter(|read| read.scalar.is_null()).map(|read| read.name.as_str()));
            }
        }
        columns.sort_unstable();
        columns.dedup();
        let told: Vec<String> = columns.iter().map(|column| self.not_known(column)).collect();
        if told.is_empty() { "a value that it needs is not known".to_owned() } else { told.join("; ") }
    }

    fn not_known(&self, column: &str) -> String {
        let of = self.answer.unknown.get(column).filter(|count| **count > 1);
        let of = of.map(|count| format!(", as for {} of {}", counted(*count, "customer"), self.answer.customers)).unwrap_or_default();
        format!("{} is not known{of}", shown(column))
    }

    /// Whether the customer may be reached, and why not.
    fn reached(&self, segment: &ExplainedSegment, permission: &Condition) -> String {
        let channel = &segment.channel;
        if permission.verdict == Verdict::Yes {
            return format!("may be reached by {channel}");
        }
        let reason = self.answer.reasons.get(channel).map(|reason| format!(": {}", shown(reason))).unwrap_or_default();
        format!("may not be reached by {channel}{reason}")
    }

    /// A rule as a tree, the value beside each condition.
    fn tree(&self, rule: &Condition, indent: &str) -> String {
        let mut rows = Vec::new();
        rows_of(rule, "", "", &mut rows);
        let width = |row: &(String, &Condition)| row.0.chars().count();
        let widest = rows.iter().map(width).filter(|width| *width <= WIDEST).max().unwrap_or_default();
        let mut text = String::new();
        for row in &rows {
            let said = self.said(row.1);
            let pad = if said.is_empty() { String::new() } else { " ".repeat(widest.saturating_sub(width(row)) + 2) };
            text += &format!("{indent}{}{pad}{said}\n", row.0);
        }
        text
    }

    /// The values that a condition reads, and by how much it is missed.
    fn said(&self, condition: &Condition) -> String {
        let Parts::One { values, parameters, turn } = &condition.parts else { return String::new() };
        let mut said: Vec<String> = values.iter().map(|read| self.value(read)).collect();
        said.extend(parameters.iter().map(|read| format!("${} is {}", read.name, shown_value(&read.scalar))));
        if condition.verdict == Verdict::Fails {
            said.push("cannot be evaluated for these values".to_owned());
        }
        let mut said = said.join(", ");
        if let Some(by) = turn.as_ref().and_then(|turn| self.missed_by(turn)) {
            said += &format!(": {by}");
        }
        said
    }

    fn value(&self, read: &ReadValue) -> String {
        match () {
            () if read.scalar.is_null() => self.not_known(&read.name),
            () if self.is_masked(&read.name) => format!("{} is {MASK}", shown(&read.name)),
            () => format!("{} is {}", shown(&read.name), shown_value(&read.scalar)),
        }
    }

    fn missed_by(&self, turn: &Turn) -> Option<String> {
        let [change] = turn.changes.as_slice() else { return None };
        if self.is_masked(&change.column) { None } else { change.by().map(|by| by_in_words(&by)).map(|by| format!("needs {by}")) }
    }

    /// The smallest changes by which the customer would enter or leave.
    fn turns(&self, segment: &ExplainedSegment) -> String {
        let would = match segment.standing {
            Standing::Member => "would leave with",
            Standing::Withheld => "would be a member with",
            _ => "would enter with",
        };
        if segment.turns.is_empty() {
            let is_short = !matches!(segment.standing, Standing::Member | Standing::Withheld);
            return if is_short { format!("      {would} no change of values that could be found\n") } else { String::new() };
        }
        let told: Vec<String> = segment.turns.iter().map(|turn| self.turn(turn)).collect();
        let hedge = if segment.turns.iter().all(|turn| turn.is_smallest) { "" } else { " (there may be something smaller)" };
        format!("      {would} {}{hedge}\n", told.join("; or "))
    }

    fn turn(&self, turn: &Turn) -> String {
        let told: Vec<String> = turn.changes.iter().map(|change| self.change(change)).collect();
        told.join(" and ")
    }

    fn change(&self, change: &Change) -> String {
        let (column, to) = (shown(&change.column), shown(&change.to_shown));
        let by = change.by().filter(|_| !self.is_masked(&change.column));
        match by {
            Some(by) => format!("{column} {to} ({})", by_in_words(&by)),
            None if change.to.is_null() => format!("{column} not known"),
            None => format!("{column} {to}"),
        }
    }
}

fn held_by(segment: &ExplainedSegment) -> String {
    match (segment.held_by, segment.remembered.stays_until) {
        (Some(HeldBy::Stay), _) => ", and remains one while `stay` holds".to_owned(),
        (Some(HeldBy::MinimumStay), Some(until)) => format!(", and remains one until {until} at least"),
        _ => String::new(),
    }
}

/// The conditions of a rule in order, each with the lines of the tree before it.
fn rows_of<'a>(condition: &'a Condition, before: &str, indent: &str, rows: &mut Vec<(String, &'a Condition)>) {
    let label = match &condition.parts {
        Parts::All(_) => "all of".to_owned(),
        Parts::Any(_) => "any of".to_owned(),
        Parts::Not(_) => "not".to_owned(),
        Parts::One { .. } => condition.written.clone(),
    };
    rows.push((format!("{before}{} {label}", mark(condition.verdict)), condition));
    let parts: Vec<&Condition> = match &condition.parts {
        Parts::All(parts) | Parts::Any(parts) => parts.iter().collect(),
        Parts::Not(part) => vec![part],
        Parts::One { .. } => Vec::new(),
    };
    let last = parts.len().saturating_sub(1);
    for (at, part) in parts.into_iter().enumerate() {
        let (branch, more) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        rows_of(part, &format!("{indent}{branch}"), &format!("{indent}{more}"), rows);
    }
}

fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Yes => '✓',
        Verdict::No => '✗',
        Verdict::Unknown => '?',
        Verdict::Fails => '!',
    }
}

fn mark_of(standing: Standing) -> char {
    match standing {
        Standing::Member => '✓',
        Standing::Withheld | Standing::Barred => '!',
        Standing::Taken => '·',
        Standing::No => '✗',
        Standing::Unknown => '?',
    }
}

fn by_in_words(by: &By) -> String {
    match by {
        By::More(by) => format!("{by} more"),
        By::Less(by) => format!("{by} less"),
        By::Later(days) => format!("{} later", counted(days.unsigned_abs(), "day")),
        By::Earlier(days) => format!("{} earlier", counted(days.unsigned_abs(), "day")),
    }
}

struct Document<'a> {
    answer: &'a Answer,
    unmasked: bool,
}

impl Masks for Document<'_> {
    fn answer(&self) -> &Answer {
        self.answer
    }

    fn unmasked(&self) -> bool {
        self.unmasked
    }
}

impl Document<'_> {
    fn set(&self, set: &ExplainedSet) -> Value {
        json!({
            "segment_set": shown(&set.name),
            "kind": set.kind.to_string(),
            "segment": set.segment.as_deref().map(shown),
            "changes": self.answer.changes.iter().filter(|change| change.segment_set == set.name).map(others_of).collect::<Vec<_>>(),
            "segments": set.segments.iter().map(|segment| self.segment(set, segment)).collect::<Vec<_>>(),
        })
    }

    fn segment(&self, set: &ExplainedSet, segment: &ExplainedSegment) -> Value {
        let membership = self.answer.membership(&set.name, &segment.name);
        let published = membership.map(others_of);
        json!({
            "segment": shown(&segment.name),
            "description": segment.description,
            "channel": segment.channel,
            "standing": segment.standing,
            "held_by": segment.held_by,
            "published": published,
            "verdict": segment.rule.verdict,
            "rule": self.condition(&segment.rule),
            "stay": segment.stay.as_ref().map(|stay| self.condition(stay)),
            "was_member": segment.remembered.was_member,
            "stays_until": segment.remembered.stays_until,
            "barred_until": segment.remembered.barred_until,
            "permission": segment.permission.as_ref().map(|permission| self.condition(permission)),
            "reason": segment.permission.as_ref().and_then(|_| self.answer.reasons.get(&segment.channel)),
            "changes": segment.is_searched.then(|| segment.turns.iter().map(|turn| self.turn(turn)).collect::<Vec<_>>()),
        })
    }

    fn condition(&self, condition: &Condition) -> Value {
        let mut document = json!({ "condition": condition.written, "verdict": condition.verdict });
        let each = |parts: &[Condition]| parts.iter().map(|part| self.condition(part)).collect::<Vec<_>>();
        match &condition.parts {
            Parts::All(parts) => document["all"] = json!(each(parts)),
            Parts::Any(parts) => document["any"] = json!(each(parts)),
            Parts::Not(part) => document["not"] = self.condition(part),
            Parts::One { values, parameters, turn } => {
                document["values"] = Value::Object(values.iter().map(|read| (read.name.clone(), self.value(read))).collect());
                document["parameters"] = Value::Object(parameters.iter().map(|read| (read.name.clone(), value_of(&read.scalar))).collect());
                document["missed_by"] = json!(turn.as_ref().map(|turn| self.turn(turn)));
                if condition.verdict == Verdict::Unknown {
                    let nulls = values.iter().filter(|read| read.scalar.is_null());
                    let counts = nulls.filter_map(|read| Some((read.name.clone(), json!(self.answer.unknown.get(&read.name)?))));
                    document["customers_not_known"] = Value::Object(counts.collect());
                }
            }
        }
        document
    }

    fn value(&self, read: &ReadValue) -> Value {
        if self.is_masked(&read.name) && !read.scalar.is_null() { json!(MASK) } else { value_of(&read.scalar) }
    }

    fn turn(&self, turn: &Turn) -> Value {
        let change = |change: &Change| {
            let is_masked = self.is_masked(&change.column);
            let by = change.by().filter(|_| !is_masked).map(|by| by_in_words(&by));
            let from = if is_masked && !change.from.is_null() { json!(MASK) } else { value_of(&change.from) };
            json!({ "column": change.column, "from": from, "to": value_of(&change.to), "to_shown": change.to_shown, "by": by })
        };
        json!({ "columns": turn.changes.iter().map(change).collect::<Vec<_>>(), "is_smallest": turn.is_smallest })
    }
}

/// The columns of a published row, without those that say whose it is and of which segment.
fn others_of(row: &Membership) -> Value {
    Value::Object(row.others.iter().map(|(name, value)| (name.clone(), value_of(value))).collect())
}

/// A value as JSON: whole numbers and truths as they are, and everything else as text, so that no digit is lost.
fn value_of(value: &ScalarValue) -> Value {
    match value {
        value if value.is_null() => Value::Null,
        ScalarValue::Boolean(truth) => json!(truth),
        ScalarValue::Int64(number) => json!(number),
        ScalarValue::Int32(number) => json!(number),
        ScalarValue::Float64(number) => json!(number),
        value => match value.try_as_str().flatten() {
            Some(text) => json!(text),
            None => json!(shown_value(value)),
        },
    }
}
