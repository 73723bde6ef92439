//! Where the nodes and bands of an alluvial diagram lie: the segments before on the left, those now on the right, and between them who stayed
//! and who moved, as wide as there are customers.

use std::collections::BTreeMap;

use super::coordinate;
use crate::page::amounts::count_number;
use crate::page::names;
use crate::page::view::{SetView, total};

/// How wide a node is.
pub const NODE_WIDTH: f64 = 10.0;
/// The left edges of the nodes before and now.
const BEFORE_X: f64 = 230.0;
const NOW_X: f64 = 660.0;
/// How high all nodes of a side are together, without what is between them.
const NODES_HEIGHT: f64 = 420.0;
/// The least height of a node with its label, and what is between nodes.
const LEAST_ROOM: f64 = 17.0;
const GAP: f64 = 5.0;
/// How many segments are drawn, and how many flows.
const MOST_SEGMENTS: usize = 14;
const MOST_BANDS: usize = 45;
/// Who stayed is drawn if at least one in so many moved.
const STAYS_UNLESS_ONE_IN: u64 = 12;

/// A diagram, laid out.
pub struct Alluvial {
    /// The names of the segments that are drawn.
    pub names: Vec<String>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The bands, those that are drawn over others last.
    pub bands: Vec<Band>,
    /// The height of all.
    pub height: f64,
    /// How many customers stayed where they were.
    pub stayed: u64,
    /// Whether they are drawn.
    pub has_stays: bool,
    /// How many segments are drawn as one, the last.
    pub folded: usize,
    /// Flows that are not drawn, and their customers.
    pub left_out: (usize, u64),
}

/// A segment on one side.
pub struct Node {
    /// Its place in the names; none for customers in no segment.
    pub segment: Option<usize>,
    /// Whether it is on the left.
    pub is_before: bool,
    /// The left edge.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// The height.
    pub height: f64,
    /// The customers.
    pub customers: u64,
}

/// Customers who went from one node to another.
pub struct Band {
    /// Where they were.
    pub from: Option<usize>,
    /// Where they are.
    pub to: Option<usize>,
    /// How many.
    pub customers: u64,
    /// Whether they stayed.
    pub is_stay: bool,
    /// The outline.
    pub path: String,
}

/// Lays out the flows of a set. Bands of fewer than `minimum` customers are drawn as if they had so many.
pub fn lay_out(set: &SetView<'_>, minimum: u64) -> Alluvial {
    let drawn = Drawn::of(set);
    let counts = drawn.counts(set);
    let (mut bands, inside) = drawn.bands(set);
    let others = bands.split_off(bands.len().min(MOST_BANDS));
    let stays: Vec<u64> = (0..drawn.names.len()).map(|at| drawn.stays(set, at).saturating_add(inside[at])).collect();
    let stayed = total(stays.iter().copied());
    let moving = total(bands.iter().map(|band| band.customers));
    let has_stays = stayed > 0 && moving.saturating_mul(STAYS_UNLESS_ONE_IN) >= stayed;
    if has_stays {
        let stays = stays.iter().enumerate().filter(|(_, customers)| **customers > 0);
        bands.splice(0..0, stays.map(|(at, customers)| Band { is_stay: true, ..Band::of(Some(at), Some(at), *customers) }));
    }
    let mut laid_out = Alluvial {
        folded: drawn.folded,
        names: drawn.names,
        nodes: Vec::new(),
        bands,
        height: 0.0,
        stayed,
        has_stays,
        left_out: (others.len(), total(others.iter().map(|band| band.customers))),
    };
    place_nodes(&mut laid_out, minimum, &counts);
    draw_bands(&mut laid_out, minimum);
    laid_out
}

impl Band {
    fn of(from: Option<usize>, to: Option<usize>, customers: u64) -> Self {
        Band { from, to, customers, is_stay: false, path: String::new() }
    }
}

/// Which segments are drawn, and where.
struct Drawn<'a> {
    /// The names for people.
    names: Vec<String>,
    /// The place of every segment among the names, by its name; the smaller ones share the last place.
    places: BTreeMap<&'a str, usize>,
    /// How many share it.
    folded: usize,
}

impl<'a> Drawn<'a> {
    /// In order of the set, then those that are not in it any more. Of too many, those between which most customers moved are kept.
    fn of(set: &SetView<'a>) -> Self {
        let mut found: Vec<(&'a str, u64)> = Vec::new();
        for segment in &set.segments {
            found.push((&segment.figures.name, segment.came.saturating_add(segment.left)));
        }
        for lost in &set.lost {
            let left = set.moved().filter(|flow| flow.from.as_deref() == Some(*lost));
            found.push((lost, total(left.map(|flow| flow.customers))));
        }
        let mut kept: Vec<usize> = (0..found.len()).collect();
        if found.len() > MOST_SEGMENTS {
            kept.sort_by_key(|at| (std::cmp::Reverse(found[*at].1), *at));
            kept.truncate(MOST_SEGMENTS - 1);
            kept.sort_unstable();
        }
        let mut names: Vec<String> = kept.iter().map(|at| names::title(found[*at].0)).collect();
        let place = |at: usize| kept.binary_search(&at).unwrap_or(MOST_SEGMENTS - 1);
        let places = found.iter().enumerate().map(|(at, (name, _))| (*name, place(at))).collect();
        let folded = found.len() - kept.len();
        if folded > 0 {
            names.push("Others".to_owned());
        }
        Drawn { names, places, folded }
    }

    fn place(&self, name: Option<&str>) -> Option<usize> {
        name.and_then(|name| self.places.get(name).copied())
    }

    /// Who stayed in the segments of a place.
    fn stays(&self, set: &SetView<'_>, place: usize) -> u64 {
        let own = set.segments.iter().filter(|segment| self.places.get(segment.figures.name.as_str()) == Some(&place));
        total(own.map(|segment| segment.members.saturating_sub(segment.came)))
    }

    /// The flows between places, the largest first, and for each place the customers who moved inside it.
    fn bands(&self, set: &SetView<'_>) -> (Vec<Band>, Vec<u64>) {
        let mut inside = vec![0u64; self.names.len()];
        let mut sums: BTreeMap<(Option<usize>, Option<usize>), u64> = BTreeMap::new();
        for flow in set.moved() {
            let (from, to) = (self.place(flow.from.as_deref()), self.place(flow.to.as_deref()));
            let sum = match from.filter(|_| from == to) {
                Some(at) => &mut inside[at],
                None => sums.entry((from, to)).or_default(),
            };
            *sum = sum.saturating_add(flow.customers);
        }
        let mut bands: Vec<Band> = sums.into_iter().map(|((from, to), customers)| Band::of(from, to, customers)).collect();
        bands.sort_by_key(|band| (std::cmp::Reverse(band.customers), band.from, band.to));
        (bands, inside)
    }

    /// All customers of each place, whether their bands are drawn or not.
    fn counts(&self, set: &SetView<'_>) -> Counts {
        let mut counts = Counts { before: vec![0; self.names.len()], now: vec![0; self.names.len()], none_before: 0, none_now: 0 };
        let add = |sum: &mut u64, customers: u64| *sum = sum.saturating_add(customers);
        for segment in &set.segments {
            if let Some(at) = self.places.get(segment.figures.name.as_str()).copied() {
                add(&mut counts.now[at], segment.members);
                add(&mut counts.before[at], segment.members.saturating_sub(segment.came));
            }
        }
        for flow in set.moved() {
            match self.place(flow.from.as_deref()) {
                Some(at) => add(&mut counts.before[at], flow.customers),
                None => add(&mut counts.none_before, flow.customers),
            }
            if self.place(flow.to.as_deref()).is_none() {
                add(&mut counts.none_now, flow.customers);
            }
        }
        counts
    }
}

fn width(customers: u64, minimum: u64) -> f64 {
    count_number(customers.max(minimum.min(1_000_000)))
}

/// The customers of each segment, drawn or not, and those in none who moved.
struct Counts {
    before: Vec<u64>,
    now: Vec<u64>,
    none_before: u64,
    none_now: u64,
}

impl Counts {
    fn of(&self, segment: Option<usize>, is_before: bool) -> u64 {
        match (segment, is_before) {
            (Some(at), true) => self.before[at],
            (Some(at), false) => self.now[at],
            (None, true) => self.none_before,
            (None, false) => self.none_now,
        }
    }
}

fn place_nodes(drawn: &mut Alluvial, minimum: u64, counts: &Counts) {
    let sides: Vec<Vec<(Option<usize>, f64)>> = [true, false]
        .into_iter()
        .map(|is_before| {
            let places = std::iter::once(None).chain((0..drawn.names.len()).map(Some));
            let side = places.map(|segment| {
                let own = drawn.bands.iter().filter(|band| if is_before { band.from == segment } else { band.to == segment });
                (segment, own.map(|band| width(band.customers, minimum)).sum())
            });
            side.filter(|(_, size)| *size > 0.0).collect()
        })
        .collect();
    let largest = sides.iter().map(|side| side.iter().map(|(_, size)| size).sum::<f64>()).fold(1.0, f64::max);
    let unit = NODES_HEIGHT / largest;
    for (side, is_before) in sides.iter().zip([true, false]) {
        let mut y = 30.0;
        for (segment, size) in side {
            let height = (size * unit).max(1.0);
            let room = height.max(LEAST_ROOM);
            let x = if is_before { BEFORE_X } else { NOW_X };
            drawn.nodes.push(Node {
                segment: *segment,
                is_before,
                x,
                y: y + (room - height) / 2.0,
                height,
                customers: counts.of(*segment, is_before),
            });
            y += room + GAP;
        }
        drawn.height = drawn.height.max(y + 6.0);
    }
}

fn draw_bands(drawn: &mut Alluvial, minimum: u64) {
    let node = |segment: Option<usize>, is_before: bool| {
        drawn.nodes.iter().position(|node| node.segment == segment && node.is_before == is_before)
    };
    let ends: Vec<(Option<usize>, Option<usize>)> = drawn.bands.iter().map(|band| (node(band.from, true), node(band.to, false))).collect();
    // At each node, bands leave in the order of where they go, so that few of them cross.
    let mut tops = vec![(0.0, 0.0); drawn.bands.len()];
    for at in 0..drawn.nodes.len() {
        let is_before = drawn.nodes[at].is_before;
        let mut own: Vec<usize> =
            (0..ends.len()).filter(|band| (if is_before { ends[*band].0 } else { ends[*band].1 }) == Some(at)).collect();
        own.sort_by_key(|band| if is_before { ends[*band].1 } else { ends[*band].0 });
        let all: f64 = own.iter().map(|band| width(drawn.bands[*band].customers, minimum)).sum();
        let mut y = drawn.nodes[at].y;
        for band in own {
            if is_before {
                tops[band].0 = y;
            } else {
                tops[band].1 = y;
            }
            y += drawn.nodes[at].height * width(drawn.bands[band].customers, minimum) / all.max(1.0);
        }
    }
    let heights: Vec<(f64, f64)> = (0..drawn.bands.len())
        .map(|band| {
            let part = |end: Option<usize>, own: &dyn Fn(&Band) -> Option<usize>, segment: Option<usize>| {
                let all: f64 = drawn.bands.iter().filter(|other| own(other) == segment).map(|other| width(other.customers, minimum)).sum();
                end.map_or(0.0, |end| drawn.nodes[end].height * width(drawn.bands[band].customers, minimum) / all.max(1.0))
            };
            let (from, to) = (drawn.bands[band].from, drawn.bands[band].to);
            (part(ends[band].0, &|other| other.from, from), part(ends[band].1, &|other| other.to, to))
        })
        .collect();
    for (band, (top, height)) in drawn.bands.iter_mut().zip(tops.into_iter().zip(heights)) {
        band.path = outline(top, height);
    }
}

fn outline((left, right): (f64, f64), (left_height, right_height): (f64, f64)) -> String {
    let (from, to) = (BEFORE_X + NODE_WIDTH, NOW_X);
    let middle = coordinate(f64::midpoint(from, to));
    let [from, to] = [from, to].map(coordinate);
    let [above_left, above_right, below_left, below_right] = [left, right, left + left_height, right + right_height].map(coordinate);
    format!(
        "M{from} {above_left}C{middle} {above_left} {middle} {above_right} {to} {above_right}V{below_right}C{middle} {below_right} {middle} \
         {below_left} {from} {below_left}Z"
    )
}
