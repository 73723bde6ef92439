//! Who is in two segments of a set whose segments overlap.

use askama::Template;

use super::amounts;
use super::charts::bar::bar;
use super::markup::Markup;
use super::view::{SetView, View};
use crate::figures::types::Overlap;

/// Up to how many segments pairs are shown as a matrix.
const MOST_IN_MATRIX: usize = 16;
/// How many pairs are listed.
const MOST_PAIRS: usize = 20;

#[derive(Template)]
#[template(path = "report/overlaps.html")]
struct Section {
    sets: Vec<Set>,
}

struct Set {
    title: String,
    pairs: Vec<Pair>,
    rest: Option<Markup>,
    heads: Vec<String>,
    matrix: Vec<(String, Vec<Square>)>,
}

struct Pair {
    one: String,
    other: String,
    customers: Markup,
    bar: Markup,
    of_one: String,
    of_other: String,
}

struct Square {
    class: String,
    customers: Option<Markup>,
}

/// The section, if any set overlaps.
pub fn section(view: &View<'_>) -> Result<Option<Markup>, askama::Error> {
    let overlapping = view.sets.iter().filter(|set| known(set).next().is_some());
    let sets: Vec<Set> = overlapping.map(|set| of_set(view, set)).collect::<Result<_, _>>()?;
    if sets.is_empty() { Ok(None) } else { Markup::of(&Section { sets }).map(Some) }
}

fn known<'a>(set: &SetView<'a>) -> impl Iterator<Item = &'a Overlap> {
    let most = set.segments.len();
    set.figures.overlaps.iter().filter(move |overlap| overlap.customers > 0 && overlap.segments.iter().all(|at| *at < most))
}

fn of_set(view: &View<'_>, set: &SetView<'_>) -> Result<Set, askama::Error> {
    let mut overlaps: Vec<&Overlap> = known(set).filter(|overlap| overlap.segments[0] != overlap.segments[1]).collect();
    overlaps.sort_by(|left, right| right.customers.cmp(&left.customers).then(left.segments.cmp(&right.segments)));
    let largest = overlaps.first().map_or(0, |overlap| overlap.customers);
    let left_out = overlaps.len().saturating_sub(MOST_PAIRS);
    let pairs = overlaps.iter().take(MOST_PAIRS).map(|overlap| pair(view, set, overlap, largest)).collect::<Result<_, _>>()?;
    let is_matrix = set.segments.len() <= MOST_IN_MATRIX;
    let count = |row: usize, column: usize| {
        let is_pair = |overlap: &&&Overlap| overlap.segments == [row, column] || overlap.segments == [column, row];
        overlaps.iter().find(is_pair).map_or(0, |overlap| overlap.customers)
    };
    let square = |row: usize, column: usize| {
        let customers = if row == column { return Square { class: "self".to_owned(), customers: None } } else { count(row, column) };
        let smaller = set.segments[row].members.min(set.segments[column].members);
        Square { class: shade(customers, smaller), customers: Some(view.numbers.group(customers)) }
    };
    let row = |at: usize| (set.segments[at].title.clone(), (0..set.segments.len()).map(|column| square(at, column)).collect());
    Ok(Set {
        title: set.title.clone(),
        pairs,
        rest: (left_out > 0).then(|| view.numbers.counted(left_out as u64, "other pair", "other pairs")),
        heads: if is_matrix { set.segments.iter().map(|segment| segment.title.clone()).collect() } else { Vec::new() },
        matrix: if is_matrix { (0..set.segments.len()).map(row).collect() } else { Vec::new() },
    })
}

fn pair(view: &View<'_>, set: &SetView<'_>, overlap: &Overlap, largest: u64) -> Result<Pair, askama::Error> {
    let [one, other] = overlap.segments.map(|at| &set.segments[at]);
    let is_small = view.numbers.is_small(overlap.customers);
    let share = |of: u64| if is_small { String::new() } else { view.numbers.share(overlap.customers, of) };
    Ok(Pair {
        one: one.title.clone(),
        other: other.title.clone(),
        customers: view.numbers.group(overlap.customers),
        bar: bar(amounts::share(overlap.customers, largest))?,
        of_one: share(one.members),
        of_other: share(other.members),
    })
}

/// By which part of the smaller segment is in the other.
fn shade(customers: u64, smaller: u64) -> String {
    let part = amounts::share(customers, smaller);
    let shade = match part {
        _ if customers == 0 => 0,
        part if part <= 0.1 => 1,
        part if part <= 0.25 => 2,
        part if part <= 0.5 => 3,
        part if part <= 0.75 => 4,
        _ => 5,
    };
    format!("h{shade}")
}
