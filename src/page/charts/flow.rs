//! The flow between segments since the predecessor publication, as an alluvial diagram.

use askama::Template;

use super::coordinate;
use super::flow_layout::{self, Alluvial, Band};
use crate::figures::types::Flow;
use crate::page::amounts;
use crate::page::causes;
use crate::page::charts::bar::bar;
use crate::page::charts::change::of_counts;
use crate::page::markup::{Markup, isolated_text};
use crate::page::names;
use crate::page::view::{SetView, View, day, total};

/// How many flows a table lists.
const MOST_ROWS: usize = 30;
/// How many segments of a set that is not drawn are listed with who came and left.
const MOST_SEGMENTS: usize = 40;
/// How many flows stand out.
const LARGEST: usize = 5;

#[derive(Template)]
#[template(path = "report/flows.html")]
struct Section {
    days: Option<(String, String)>,
    sets: Vec<Set>,
    has_hidden: bool,
    minimum: String,
    meanings: &'static str,
}

struct Set {
    title: String,
    in_short: Markup,
    picture: Option<Picture>,
    comings: Vec<Coming>,
    rows: Vec<Row>,
    rest: Option<(Markup, Markup)>,
    causes: Vec<(String, Markup, String, Markup)>,
    has_revenue: bool,
    /// Where those are who are in no segment of a flow.
    outside: &'static str,
}

struct Picture {
    height: String,
    nodes: Vec<Node>,
    bands: Vec<Ribbon>,
    notes: Vec<String>,
    has_stays: bool,
    label: String,
}

struct Node {
    x: String,
    y: String,
    height: String,
    text_x: String,
    text_y: String,
    is_before: bool,
    label: String,
    count: String,
}

struct Ribbon {
    path: String,
    class: &'static str,
    tip: String,
}

struct Coming {
    title: String,
    anchor: String,
    came: Markup,
    came_bar: Markup,
    left: Markup,
    left_bar: Markup,
    change: Markup,
}

struct Row {
    from: Option<String>,
    to: Option<String>,
    customers: Markup,
    revenue: Markup,
    causes: String,
}

/// The section.
pub fn section(view: &View<'_>) -> Result<Markup, askama::Error> {
    let moving = || view.sets.iter().filter(|set| set.moved().next().is_some());
    let sets = moving().map(|set| of_set(view, set)).collect::<Result<Vec<_>, _>>()?;
    Markup::of(&Section {
        days: view.figures.previous_as_of.map(|previous| (day(previous), day(view.figures.as_of))),
        sets,
        has_hidden: moving().flat_map(SetView::moved).any(|flow| view.numbers.is_small(flow.customers)),
        minimum: view.numbers.plain(view.numbers.minimum),
        meanings: causes::MEANINGS,
    })
}

fn of_set(view: &View<'_>, set: &SetView<'_>) -> Result<Set, askama::Error> {
    let numbers = &view.numbers;
    let all = total(set.moved().map(|flow| flow.customers));
    let told = set.moved().take(MOST_ROWS);
    let rest: Vec<&Flow> = set.moved().skip(MOST_ROWS).collect();
    let left = total(rest.iter().map(|flow| flow.customers));
    let added = causes::added(set.moved());
    let causes = added.into_iter().map(|(cause, customers)| {
        let part = amounts::share(customers, all);
        Ok((
            causes::title(cause),
            numbers.group(customers),
            if numbers.is_small(customers) { String::new() } else { numbers.percent(part) },
            bar(part)?,
        ))
    });
    Ok(Set {
        title: set.title.clone(),
        in_short: if set.is_exclusive() {
            numbers.counted(all, "customer moved", "customers moved")
        } else {
            numbers.counted(all, "coming or going", "comings and goings")
        },
        picture: set.is_exclusive().then(|| picture(view, set)),
        comings: if set.is_exclusive() { Vec::new() } else { comings(view, set)? },
        rows: told.map(|flow| row(view, flow)).collect(),
        rest: (!rest.is_empty()).then(|| (numbers.counted(rest.len() as u64, "other flow", "other flows"), numbers.group(left))),
        causes: causes.collect::<Result<_, askama::Error>>()?,
        outside: if set.is_exclusive() { "in none" } else { "not in it" },
        has_revenue: set.moved().any(|flow| flow.revenue.is_some()),
    })
}

fn row(view: &View<'_>, flow: &Flow) -> Row {
    let numbers = &view.numbers;
    let is_small = numbers.is_small(flow.customers);
    let causes: Vec<String> = match flow.causes.as_slice() {
        _ if is_small => Vec::new(),
        [(cause, _)] => vec![causes::title(cause)],
        many => many.iter().map(|(cause, customers)| format!("{} {}", causes::title(cause), numbers.plain_group(*customers))).collect(),
    };
    Row {
        from: flow.from.as_deref().map(names::title),
        to: flow.to.as_deref().map(names::title),
        customers: numbers.group(flow.customers),
        revenue: if is_small { Markup::text("not told") } else { numbers.maybe_amount(flow.revenue) },
        causes: causes.join(", "),
    }
}

/// Who came and left, of sets in which a customer can be in several segments.
fn comings(view: &View<'_>, set: &SetView<'_>) -> Result<Vec<Coming>, askama::Error> {
    let numbers = &view.numbers;
    let mut segments: Vec<_> = set.segments.iter().filter(|segment| segment.came.saturating_add(segment.left) > 0).collect();
    segments.sort_by_key(|segment| std::cmp::Reverse(segment.came.saturating_add(segment.left)));
    segments.truncate(MOST_SEGMENTS);
    let largest = segments.iter().map(|segment| segment.came.max(segment.left)).max().unwrap_or(0);
    let rows = segments.into_iter().map(|segment| {
        Ok(Coming {
            title: segment.title.clone(),
            anchor: segment.anchor.clone(),
            came: numbers.group(segment.came),
            came_bar: bar(amounts::share(segment.came, largest))?,
            left: numbers.group(segment.left),
            left_bar: super::bar::outline(amounts::share(segment.left, largest))?,
            change: of_counts(numbers, segment.members, segment.earlier)?,
        })
    });
    rows.collect()
}

fn picture(view: &View<'_>, set: &SetView<'_>) -> Picture {
    let drawn = flow_layout::lay_out(set, view.numbers.minimum);
    let name = |at: Option<usize>, is_before: bool| match at {
        Some(at) => drawn.names[at].clone(),
        None if is_before => "In none before".to_owned(),
        None => "In none now".to_owned(),
    };
    let nodes = drawn.nodes.iter().map(|node| {
        let label = name(node.segment, node.is_before);
        Node {
            x: coordinate(node.x),
            y: coordinate(node.y),
            height: coordinate(node.height),
            text_x: coordinate(if node.is_before { node.x - 8.0 } else { node.x + flow_layout::NODE_WIDTH + 8.0 }),
            text_y: coordinate(node.y + node.height / 2.0 + 4.0),
            is_before: node.is_before,
            label: shortened(&label),
            count: view.numbers.plain_group(node.customers),
        }
    });
    let mut ranks: Vec<u64> = drawn.bands.iter().filter(|band| !band.is_stay).map(|band| band.customers).collect();
    ranks.sort_unstable_by_key(|customers| std::cmp::Reverse(*customers));
    let strong = ranks.get(LARGEST - 1).copied().unwrap_or(0).max(view.numbers.minimum);
    let ribbon = |band: &Band| Ribbon {
        path: band.path.clone(),
        class: match band {
            _ if band.is_stay => "stay",
            _ if band.customers >= strong => "strong",
            _ => "move",
        },
        tip: tip(view, band, &name(band.from, true), &name(band.to, false)),
    };
    Picture {
        height: coordinate(drawn.height),
        nodes: nodes.collect(),
        bands: drawn.bands.iter().map(ribbon).collect(),
        notes: notes(view, &drawn),
        has_stays: drawn.has_stays,
        label: format!("Flow between the segments of {}", isolated_text(&set.title)),
    }
}

fn tip(view: &View<'_>, band: &Band, from: &str, to: &str) -> String {
    let customers = view.numbers.plain_group(band.customers);
    let (from, to) = (isolated_text(from), isolated_text(to));
    if band.is_stay { format!("{to}: {customers} stayed") } else { format!("{from} → {to}: {customers} customers") }
}

fn notes(view: &View<'_>, drawn: &Alluvial) -> Vec<String> {
    let numbers = &view.numbers;
    let mut notes = Vec::new();
    if drawn.stayed > 0 && !drawn.has_stays {
        notes.push(format!(
            "{} customers who stayed are not drawn: beside them the others would not be seen.",
            numbers.plain_group(drawn.stayed)
        ));
    }
    if drawn.folded > 0 {
        notes.push(format!("{} smaller segments are drawn as one, Others.", numbers.plain(drawn.folded as u64)));
    }
    if drawn.left_out.0 > 0 {
        let (flows, customers) = drawn.left_out;
        notes.push(format!(
            "{} smaller flows, of {} customers in all, are not drawn.",
            numbers.plain(flows as u64),
            numbers.plain_group(customers)
        ));
    }
    notes
}

/// A label that fits beside a node.
fn shortened(label: &str) -> String {
    const FITS: usize = 24;
    if label.chars().count() <= FITS { label.to_owned() } else { label.chars().take(FITS - 1).chain(['…']).collect() }
}
