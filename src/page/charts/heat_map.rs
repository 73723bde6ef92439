//! The map of customers by recency and frequency, as a table whose cells are shaded and whose segments have borders.

use askama::Template;

use crate::figures::types::{Amount, Cell, HeatMap};
use crate::page::amounts;
use crate::page::markup::Markup;
use crate::page::names;
use crate::page::numbers::NOTHING;
use crate::page::view::{View, total};

/// How many scores an axis shows.
const MOST_SCORES: usize = 12;
/// How many shades there are above none.
const SHADES: f64 = 6.0;

#[derive(Template)]
#[template(path = "report/heat_map.html")]
struct Section {
    map: Option<Map>,
    reason: Option<String>,
}

struct Map {
    set: Option<String>,
    recency: String,
    frequency: String,
    recencies: Vec<i64>,
    rows: Vec<(i64, Vec<Square>)>,
    beside: Option<Markup>,
    has_revenue: bool,
    has_hidden: bool,
    left_out: Option<Markup>,
    minimum: String,
}

struct Square {
    class: String,
    label: Option<String>,
    customers: Markup,
    revenue: Option<String>,
    tip: String,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let map = view.figures.heat_map.as_ref().map(|map| drawn(view, map));
    let reason = view.not_told(&["heat", "recency", "r×f", "rfm"]).map(|not_told| view.excerpt(&not_told.reason));
    Markup::of(&Section { map, reason })
}

fn drawn(view: &View<'_>, map: &HeatMap) -> Map {
    // Customers without a purchase have no score; their cell would stand far from the others and outshine them.
    let is_beside = |cell: &&Cell| cell.recency == 0 && cell.frequency == 0;
    let scored: Vec<&Cell> = map.cells.iter().filter(|cell| !is_beside(cell)).collect();
    let recencies = scores(scored.iter().map(|cell| cell.recency));
    let mut frequencies = scores(scored.iter().map(|cell| cell.frequency));
    frequencies.reverse();
    let at = |recency: i64, frequency: i64| scored.iter().copied().find(|cell| cell.recency == recency && cell.frequency == frequency);
    let largest = scored.iter().map(|cell| cell.customers).max().unwrap_or(0);
    let segment = |column: usize, row: usize| -> Option<&str> {
        let cell = at(*recencies.get(column)?, *frequencies.get(row)?)?;
        cell.segments.iter().max_by_key(|(_, customers)| *customers).map(|(name, _)| name.as_str())
    };
    let square = |column: usize, row: usize| {
        let cell = at(recencies[column], frequencies[row]);
        let own = segment(column, row);
        let above = row.checked_sub(1).and_then(|above| segment(column, above));
        let before = column.checked_sub(1).and_then(|before| segment(before, row));
        let mut class = shade(cell.map_or(0, |cell| cell.customers), largest);
        let edges = [(row == 0 || above != own, " top"), (column == 0 || before != own, " start")];
        edges.iter().filter(|(is_edge, _)| *is_edge).for_each(|(_, edge)| class.push_str(edge));
        let edges = [(row + 1 == frequencies.len(), " bottom"), (column + 1 == recencies.len(), " end")];
        edges.iter().filter(|(is_edge, _)| *is_edge).for_each(|(_, edge)| class.push_str(edge));
        // A segment is named in the first of its cells that touch: in the one with no other above or before it.
        let is_first = own.is_some() && above != own && before != own;
        Square {
            class,
            label: own.filter(|_| is_first).map(names::title),
            customers: cell.map_or_else(|| Markup::text("0"), |cell| view.numbers.group(cell.customers)),
            revenue: cell.and_then(|cell| told_revenue(view, cell)).map(|revenue| view.numbers.rough_amount(revenue)),
            tip: cell.map_or_else(String::new, |cell| tip(view, cell)),
        }
    };
    let rows =
        (0..frequencies.len()).map(|row| (frequencies[row], (0..recencies.len()).map(|column| square(column, row)).collect())).collect();
    let shown = |cell: &&&Cell| recencies.contains(&cell.recency) && frequencies.contains(&cell.frequency);
    let left_out = total(scored.iter().filter(|cell| !shown(cell)).map(|cell| cell.customers));
    let beside = total(map.cells.iter().filter(is_beside).map(|cell| cell.customers));
    Map {
        set: map.segment_set.as_deref().map(names::title),
        recency: names::title(&map.recency_column),
        frequency: names::title(&map.frequency_column),
        rows,
        beside: (beside > 0).then(|| view.numbers.customers(beside)),
        has_revenue: scored.iter().any(|cell| cell.revenue.is_some()),
        has_hidden: scored.iter().any(|cell| view.numbers.is_small(cell.customers)),
        left_out: (left_out > 0).then(|| view.numbers.customers(left_out)),
        minimum: view.numbers.plain(view.numbers.minimum),
        recencies,
    }
}

/// The scores between the lowest and the highest, or those that there are if these are too many.
fn scores(found: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut scores: Vec<i64> = found.collect();
    scores.sort_unstable();
    scores.dedup();
    if let (Some(first), Some(last)) = (scores.first().copied(), scores.last().copied()) {
        let is_short = last.checked_sub(first).and_then(|range| usize::try_from(range).ok()).is_some_and(|range| range < MOST_SCORES);
        if is_short {
            return (first..=last).collect();
        }
    }
    scores.truncate(MOST_SCORES);
    scores
}

fn shade(customers: u64, largest: u64) -> String {
    // By the square root, so that one large cell does not leave the others white.
    let part = amounts::share(customers, largest).sqrt();
    let shade = (1..=6u8).find(|shade| part * SHADES <= f64::from(*shade)).unwrap_or(6);
    if customers == 0 { "h0".to_owned() } else { format!("h{shade}") }
}

fn told_revenue(view: &View<'_>, cell: &Cell) -> Option<Amount> {
    cell.revenue.filter(|_| !view.numbers.is_small(cell.customers))
}

fn tip(view: &View<'_>, cell: &Cell) -> String {
    let segments: Vec<String> = cell
        .segments
        .iter()
        .take(4)
        .map(|(name, customers)| format!("{} {}", names::title(name), view.numbers.plain_group(*customers)))
        .collect();
    let spent = told_revenue(view, cell).map_or(NOTHING.to_owned(), |revenue| view.numbers.rough_amount(revenue));
    let named = if view.numbers.is_small(cell.customers) { String::new() } else { segments.join(", ") };
    format!(
        "Recency {}, frequency {}: {} customers, revenue {spent}. {named}",
        cell.recency,
        cell.frequency,
        view.numbers.plain_group(cell.customers)
    )
}
