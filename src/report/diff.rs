//! Two publications compared, in lines and as JSON.

use std::collections::BTreeMap;

use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use super::movement::{self, Between, arrow, by_segments, causes_in_words};
use crate::identity::shown;
use crate::segments::movement::{ComparedSet, Comparison, Edition, Kind, Movement, OfSet};

/// The widest matrix that is shown. A wider one becomes a list of the largest flows.
const MATRIX_WIDTH: usize = 130;

/// The flows that are listed of a set, and of which the revenue is told.
const FLOWS_LISTED: usize = 8;
const REVENUES_SHOWN: usize = 3;

/// The comparison in lines.
pub fn human(comparison: &Comparison) -> String {
    let mut text = format!("{}: {} → {}\n", comparison.pipeline, edition(&comparison.from), edition(&comparison.to));
    text += &customers(comparison);
    for set in &comparison.sets {
        text += &format!("\n{}", set_lines(comparison, set));
    }
    for note in &comparison.notes {
        text += &format!("\nNote: {note}");
    }
    text.trim_end().to_owned()
}

/// How many customers there were and are.
pub fn customers(comparison: &Comparison) -> String {
    let merged = match comparison.merged {
        0 => String::new(),
        merged => format!(", {} merged into others", HumanCount(merged)),
    };
    let count = |of: &Edition| of.customers.map_or_else(|| "?".to_owned(), |count| HumanCount(count).to_string());
    format!("{} → {} customers{merged}\n", count(&comparison.from), count(&comparison.to))
}

fn edition(edition: &Edition) -> String {
    edition.number.map_or_else(|| format!("{} as planned", edition.as_of), |number| format!("{} (number {number})", edition.as_of))
}

/// A set: what has changed, because of what, and its segments.
fn set_lines(comparison: &Comparison, set: &ComparedSet) -> String {
    let movement = &comparison.movement;
    let of_set = movement.of_set(&set.segment_set);
    let mut text =
        format!("{}{}\n", shown(&set.segment_set), of_set.as_ref().map_or_else(|| ": nobody entered, left or moved".to_owned(), counts));
    let flows = of_set.as_ref().map(|of| by_segments(of.flows.iter().copied())).unwrap_or_default();
    let matrix = if set.kind == "overlapping" { None } else { Matrix::of(set, &flows) };
    text += &sizes(movement, set, matrix.as_ref());
    if matrix.is_none() && set.kind != "overlapping" {
        text += &listed(&flows);
    }
    if let Some(of_set) = &of_set {
        text += &revenue_line(movement, of_set, &flows);
    }
    text
}

/// How many entered, left and moved, and because of what.
pub fn counts(of_set: &OfSet<'_>) -> String {
    let kinds = [Kind::Entered, Kind::Left, Kind::Moved, Kind::Merged];
    let told: Vec<String> = kinds
        .into_iter()
        .filter(|kind| of_set.count(*kind) > 0)
        .map(|kind| format!("{} {}", HumanCount(of_set.count(kind)), kind.word()))
        .collect();
    let causes = causes_in_words(&of_set.causes());
    let causes = if causes.is_empty() { String::new() } else { format!("; because of {causes}") };
    format!(": {}{causes}", told.join(", "))
}

/// The segments with their sizes, and in a set in which a customer is in one segment the matrix of who went where.
fn sizes(movement: &Movement, set: &ComparedSet, matrix: Option<&Matrix>) -> String {
    let names: Vec<String> = set.segments.iter().map(|of| shown(&of.segment)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(12);
    let mut text = String::new();
    let changes: Vec<(u64, u64)> = set.segments.iter().map(|of| movement.change_of(&set.segment_set, &of.segment)).collect();
    let wide = |counts: &mut dyn Iterator<Item = u64>| counts.map(|count| HumanCount(count).to_string().len()).max().unwrap_or(0);
    let size = wide(&mut set.segments.iter().map(|of| of.before.max(of.after))).max(6);
    let change = wide(&mut changes.iter().map(|(more, less)| *more.max(less))).max(3) + 3;
    if let Some(matrix) = matrix {
        let head = format!("{:w$}{:>size$}   {:>size$}{:>change$}{:>change$}", "", "before", "after", "in", "out", w = width + 7);
        text += &format!("{head}  to{}\n", matrix.head());
    }
    let mut alike = 0;
    for (at, segment) in set.segments.iter().enumerate() {
        let (more, less) = changes[at];
        if matrix.is_none() && set.kind == "overlapping" && (more, less) == (0, 0) && segment.before == segment.after {
            alike += 1;
            continue;
        }
        let number = if matrix.is_some() { format!("{:>3} ", at + 1) } else { "    ".to_owned() };
        let [before, after] = [segment.before, segment.after].map(|count| HumanCount(count).to_string());
        let gone = if segment.is_gone { "  (not in the pipeline file any more)" } else { "" };
        let cells = matrix.map(|matrix| format!("    {}", matrix.row(Some(at)))).unwrap_or_default();
        let (more, less) = (plus(more), minus(less));
        let line = format!("{number} {:<width$}  {before:>size$} → {after:>size$}{more:>change$}{less:>change$}{cells}{gone}", names[at]);
        text += &format!("{}\n", line.trim_end());
    }
    if let Some(matrix) = matrix.filter(|matrix| matrix.has_entered()) {
        text += &format!("{:w$}    {}\n", "     from no segment", matrix.row(None), w = width + 7 + 2 * size + 3 + 2 * change);
    }
    if alike > 0 {
        text += &format!("     {} others as before\n", HumanCount(alike));
    }
    text
}

/// A number that is added.
pub fn plus(count: u64) -> String {
    if count == 0 { "·".to_owned() } else { format!("+{}", HumanCount(count)) }
}

/// A number that is taken away.
pub fn minus(count: u64) -> String {
    if count == 0 { "·".to_owned() } else { format!("−{}", HumanCount(count)) }
}

/// The largest flows, where there is no room for a matrix.
fn listed(flows: &[Between<'_>]) -> String {
    let mut flows: Vec<&Between<'_>> = flows.iter().collect();
    flows.sort_by(|one, other| other.customers.cmp(&one.customers).then_with(|| one.segments.cmp(&other.segments)));
    let mut text = String::new();
    for flow in flows.iter().take(FLOWS_LISTED) {
        text += &format!("{:>13} {}\n", HumanCount(flow.customers).to_string(), arrow(flow));
    }
    let rest: u64 = flows.iter().skip(FLOWS_LISTED).map(|flow| flow.customers).sum();
    if rest > 0 {
        text += &format!("{:>13} between others\n", HumanCount(rest).to_string());
    }
    text
}

/// The revenue that moved, and with whom the most did.
fn revenue_line(movement: &Movement, of_set: &OfSet<'_>, flows: &[Between<'_>]) -> String {
    if movement.revenue.is_none() || flows.is_empty() {
        return String::new();
    }
    let (sum, unknown) = of_set.revenue();
    let mut flows: Vec<&Between<'_>> = flows.iter().filter(|flow| flow.revenue > 0).collect();
    flows.sort_by(|one, other| other.revenue.cmp(&one.revenue).then_with(|| one.segments.cmp(&other.segments)));
    let most: Vec<String> =
        flows.iter().take(REVENUES_SHOWN).map(|flow| format!("{} {}", arrow(flow), movement.money(flow.revenue).short())).collect();
    let most = if most.is_empty() { String::new() } else { format!(", mostly {}", most.join("; ")) };
    let unknown = if unknown > 0 { format!(" (not known of {})", HumanCount(unknown)) } else { String::new() };
    format!("     revenue moved {}{unknown}{most}\n", movement.money(sum).short())
}

/// Who went from which segment to which. Columns are numbers of segments, because names do not fit.
struct Matrix {
    /// The segments that somebody entered, by position, and last whether somebody left the set.
    columns: Vec<Option<usize>>,
    counts: BTreeMap<(Option<usize>, Option<usize>), u64>,
    width: usize,
}

impl Matrix {
    /// The matrix of a set; none if nobody moved, or if it is too wide.
    fn of(set: &ComparedSet, flows: &[Between<'_>]) -> Option<Self> {
        let at = |name: Option<&str>| name.and_then(|name| set.segments.iter().position(|of| of.segment == name));
        let mut counts = BTreeMap::new();
        for flow in flows {
            *counts.entry((at(flow.segments.1), at(flow.segments.2))).or_default() += flow.customers;
        }
        let mut columns: Vec<Option<usize>> = counts.keys().map(|(_, to)| *to).collect();
        columns.sort_by_key(|to| to.map_or(usize::MAX, |to| to));
        columns.dedup();
        let width = counts.values().map(|count| HumanCount(*count).to_string().len()).max()?.max(4) + 1;
        let names = set.segments.iter().map(|of| of.segment.chars().count()).max().unwrap_or(0);
        let matrix = Matrix { columns, counts, width };
        (names + 42 + matrix.columns.len() * width <= MATRIX_WIDTH).then_some(matrix)
    }

    fn head(&self) -> String {
        let name = |column: &Option<usize>| column.map_or_else(|| "none".to_owned(), |at| (at + 1).to_string());
        self.columns.iter().map(|column| format!("{:>w$}", name(column), w = self.width)).collect()
    }

    fn row(&self, from: Option<usize>) -> String {
        let cell =
            |to: &Option<usize>| self.counts.get(&(from, *to)).map_or_else(|| "·".to_owned(), |count| HumanCount(*count).to_string());
        self.columns.iter().map(|to| format!("{:>w$}", cell(to), w = self.width)).collect()
    }

    fn has_entered(&self) -> bool {
        self.counts.keys().any(|(from, _)| from.is_none())
    }
}

/// The comparison as a document.
pub fn json(comparison: &Comparison) -> Value {
    let mut told = document(comparison);
    told.insert("status".to_owned(), json!("compared"));
    told.insert("exit_code".to_owned(), json!(0));
    Value::Object(told)
}

/// What was compared, and how it differs.
pub fn document(comparison: &Comparison) -> Map<String, Value> {
    let movement = &comparison.movement;
    let edition = |of: &Edition| json!({ "as_of": of.as_of, "number": of.number, "customers": of.customers });
    let mut told = Map::new();
    told.insert("pipeline".to_owned(), json!(comparison.pipeline));
    told.insert("from".to_owned(), edition(&comparison.from));
    told.insert("to".to_owned(), edition(&comparison.to));
    told.insert("merged".to_owned(), json!(comparison.merged));
    told.insert("revenue_column".to_owned(), json!(movement.revenue.as_ref().map(|(column, _)| column)));
    told.insert("causes_known".to_owned(), json!(comparison.causes_known));
    told.insert("notes".to_owned(), json!(comparison.notes));
    told.insert("segment_sets".to_owned(), comparison.sets.iter().map(|set| set_document(movement, set)).collect());
    told
}

fn set_document(movement: &Movement, set: &ComparedSet) -> Value {
    let nothing = OfSet { segment_set: &set.segment_set, flows: Vec::new() };
    let of_set = movement.of_set(&set.segment_set).unwrap_or(nothing);
    let mut told = movement::of_set(movement, &of_set, true);
    told.insert("kind".to_owned(), json!(set.kind));
    let segment = |of: &crate::segments::movement::ComparedSegment| {
        let (more, less) = movement.change_of(&set.segment_set, &of.segment);
        json!({ "segment": of.segment, "before": of.before, "after": of.after, "gained": more, "lost": less, "is_gone": of.is_gone })
    };
    told.insert("segments".to_owned(), set.segments.iter().map(segment).collect());
    Value::Object(told)
}
