//! Where the nodes of a graph stand on a page: in layers from left to right, each node to the right of what it reads.
//!
//! The way of Sugiyama, Tagawa and Toda (1981): layers by the longest way, edges over several layers through places of their own, an order
//! within each layer by the barycentres of neighbours, and heights near those of neighbours (pool adjacent violators). All of it is in
//! a fixed order, so the same graph gives the same picture.

use std::collections::BTreeMap;

/// Rounds in which layers are put in order, and nodes moved to their neighbours.
const ROUNDS: usize = 24;
/// The height of a node, and of the place where an edge passes a layer.
pub const NODE_HEIGHT: f64 = 42.0;
const PASS_HEIGHT: f64 = 6.0;
/// Between two nodes above each other, and between two layers.
const GAP: f64 = 14.0;
const LAYER_GAP: f64 = 44.0;
/// Around the whole.
const MARGIN: f64 = 12.0;

/// Where everything stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The width of the whole.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// By node, the left upper corner.
    pub nodes: Vec<(f64, f64)>,
    /// By edge, the points that it goes through, from the right of a node to the left of another.
    pub edges: Vec<Vec<(f64, f64)>>,
}

/// A node of a layer, or the place where an edge passes it.
#[derive(Debug, Clone)]
struct Place {
    /// The node; none where an edge passes.
    node: Option<usize>,
    height: f64,
    width: f64,
    /// Neighbours in the layer before and in the layer behind, as positions in the list of all places.
    before: Vec<usize>,
    behind: Vec<usize>,
    layer: usize,
    centre: f64,
}

/// Lays nodes of some widths out. An edge goes from a node to one that reads it; edges that lead in a circle are drawn to the left.
pub fn layout(widths: &[f64], edges: &[(usize, usize)]) -> Layout {
    let layers = layers_of(widths.len(), edges);
    let (mut places, ways) = places_of(widths, edges, &layers);
    let count = layers.iter().max().map_or(0, |last| last + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (at, place) in places.iter().enumerate() {
        order[place.layer].push(at);
    }
    for round in 0..ROUNDS {
        put_in_order(&mut order, &places, round % 2 == 0);
    }
    stack(&order, &mut places);
    for round in 0..ROUNDS {
        move_to_neighbours(&order, &mut places, round % 2 == 0);
    }
    let lefts = lefts_of(&order, &places);
    finish(&places, &ways, &lefts, widths.len())
}

/// By node its layer, as far to the left as what it reads allows: so the sources stand first, and beside them what is made of them alone.
fn layers_of(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layers = vec![0; nodes];
    // Each round is one step of the longest way, which has no more steps than there are nodes.
    for _ in 0..nodes {
        let mut is_settled = true;
        for &(from, to) in edges {
            if layers[to] < layers[from] + 1 && layers[from] + 1 < nodes {
                layers[to] = layers[from] + 1;
                is_settled = false;
            }
        }
        if is_settled {
            break;
        }
    }
    layers
}

/// The nodes, and the places where edges pass layers; by edge, the places from its beginning to its end. The edges from a node pass a layer
/// together.
fn places_of(widths: &[f64], edges: &[(usize, usize)], layers: &[usize]) -> (Vec<Place>, Vec<Vec<usize>>) {
    let place = |node: Option<usize>, layer: usize, width: f64| Place {
        node,
        height: if node.is_some() { NODE_HEIGHT } else { PASS_HEIGHT },
        width,
        before: Vec::new(),
        behind: Vec::new(),
        layer,
        centre: 0.0,
    };
    let mut places: Vec<Place> = widths.iter().enumerate().map(|(node, width)| place(Some(node), layers[node], *width)).collect();
    let mut passes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut ways = Vec::with_capacity(edges.len());
    for &(from, to) in edges {
        let mut way = vec![from];
        for layer in layers[from] + 1..layers[to].max(layers[from] + 1) {
            let pass = *passes.entry((from, layer)).or_insert_with(|| {
                places.push(place(None, layer, 0.0));
                places.len() - 1
            });
            way.push(pass);
        }
        way.push(to);
        for pair in way.windows(2) {
            if !places[pair[0]].behind.contains(&pair[1]) {
                places[pair[0]].behind.push(pair[1]);
                places[pair[1]].before.push(pair[0]);
            }
        }
        ways.push(way);
    }
    (places, ways)
}

/// Puts each layer in order of the mean places of the neighbours before it, or behind it.
fn put_in_order(order: &mut [Vec<usize>], places: &[Place], forward: bool) {
    let mut position = vec![0.0; places.len()];
    let note = |layer: &[usize], position: &mut Vec<f64>| {
        let step = 1.0 / number(layer.len().max(1));
        for (at, place) in layer.iter().enumerate() {
            position[*place] = (number(at) + 0.5) * step;
        }
    };
    for layer in &*order {
        note(layer, &mut position);
    }
    let layers: Vec<usize> = if forward { (0..order.len()).collect() } else { (0..order.len()).rev().collect() };
    for layer in layers {
        let mean = |place: usize| {
            let neighbours = if forward { &places[place].before } else { &places[place].behind };
            mean_of(neighbours.iter().map(|neighbour| position[*neighbour])).unwrap_or(position[place])
        };
        let mut keyed: Vec<(f64, usize)> = order[layer].iter().map(|place| (mean(*place), *place)).collect();
        // The order is stable, so equal ones stay as they were.
        keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
        order[layer] = keyed.into_iter().map(|(_, place)| place).collect();
        note(&order[layer], &mut position);
    }
}

/// Puts the places of each layer below each other, each layer around the same middle.
fn stack(order: &[Vec<usize>], places: &mut [Place]) {
    for layer in order {
        let height: f64 = layer.iter().map(|place| places[*place].height + GAP).sum();
        let mut top = -height / 2.0;
        for place in layer {
            places[*place].centre = top + places[*place].height / 2.0;
            top += places[*place].height + GAP;
        }
    }
}

/// Moves the places of each layer as near to the middle of their neighbours as their order allows.
fn move_to_neighbours(order: &[Vec<usize>], places: &mut [Place], forward: bool) {
    let layers: Vec<&Vec<usize>> = if forward { order.iter().collect() } else { order.iter().rev().collect() };
    for layer in layers {
        let wished: Vec<f64> = layer
            .iter()
            .map(|at| {
                let neighbours = places[*at].before.iter().chain(&places[*at].behind);
                mean_of(neighbours.map(|neighbour| places[*neighbour].centre)).unwrap_or(places[*at].centre)
            })
            .collect();
        let mut offsets = Vec::with_capacity(layer.len());
        let mut offset = 0.0;
        for pair in 0..layer.len() {
            if pair > 0 {
                offset += f64::midpoint(places[layer[pair - 1]].height, places[layer[pair]].height) + GAP;
            }
            offsets.push(offset);
        }
        let free: Vec<f64> = wished.iter().zip(&offsets).map(|(wished, offset)| wished - offset).collect();
        for ((at, value), offset) in layer.iter().zip(never_falling(&free)).zip(offsets) {
            places[*at].centre = value + offset;
        }
    }
}

/// The numbers that never fall and are nearest to some numbers by their squares.
fn never_falling(numbers: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for number in numbers {
        let mut block = (*number, 1);
        while let Some((mean, count)) = blocks.pop_if(|(mean, _)| *mean > block.0) {
            let (one, other) = (self::number(count), self::number(block.1));
            block = ((mean * one + block.0 * other) / (one + other), count + block.1);
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count)).collect()
}

/// By layer, its left and its right.
fn lefts_of(order: &[Vec<usize>], places: &[Place]) -> Vec<(f64, f64)> {
    let mut left = MARGIN;
    let mut lefts = Vec::with_capacity(order.len());
    for layer in order {
        let width = layer.iter().map(|place| places[*place].width).fold(0.0, f64::max);
        lefts.push((left, left + width));
        left += width + LAYER_GAP;
    }
    lefts
}

/// Moves all to where nothing is negative, and makes the points of the edges.
fn finish(places: &[Place], ways: &[Vec<usize>], lefts: &[(f64, f64)], nodes: usize) -> Layout {
    let top = places.iter().map(|place| place.centre - place.height / 2.0).fold(f64::INFINITY, f64::min);
    let top = if top.is_finite() { top - MARGIN } else { 0.0 };
    let bottom = places.iter().map(|place| place.centre + place.height / 2.0 - top).fold(0.0, f64::max);
    let corner = |place: &Place| (lefts[place.layer].0, (place.centre - place.height / 2.0 - top).round());
    let points = |way: &Vec<usize>| {
        let mut points = Vec::new();
        for (at, place) in way.iter().map(|place| &places[*place]).enumerate() {
            let (left, right, height) = (lefts[place.layer].0, lefts[place.layer].1, (place.centre - top).round());
            if at > 0 {
                points.push((left, height));
            }
            if at + 1 < way.len() {
                let own = if place.node.is_some() { left + place.width } else { right };
                points.push((own, height));
            }
        }
        points
    };
    Layout {
        width: lefts.last().map_or(0.0, |(_, right)| *right) + MARGIN,
        height: bottom.round() + MARGIN,
        nodes: places[..nodes].iter().map(corner).collect(),
        edges: ways.iter().map(points).collect(),
    }
}

fn mean_of(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0_u32), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[allow(clippy::cast_precision_loss, reason = "counts of nodes are far below 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graphs() -> impl Strategy<Value = (Vec<f64>, Vec<(usize, usize)>)> {
        (1_usize..60).prop_flat_map(|nodes| {
            let edges = proptest::collection::vec((0..nodes, 0..nodes), 0..120);
            let edges = edges.prop_map(|edges| edges.into_iter().filter(|(from, to)| from < to).collect());
            (proptest::collection::vec(40.0..200.0, nodes), edges)
        })
    }

    proptest! {
        #[test]
        fn every_node_stands_right_of_what_it_reads_and_no_two_overlap((widths, edges) in graphs()) {
            let found = layout(&widths, &edges);
            for &(from, to) in &edges {
                prop_assert!(found.nodes[from].0 + widths[from] <= found.nodes[to].0);
            }
            for (one, (left, top)) in found.nodes.iter().enumerate() {
                prop_assert!(*left >= 0.0 && *top >= 0.0 && left + widths[one] <= found.width && top + NODE_HEIGHT <= found.height);
                for (other_left, other_top) in &found.nodes[..one] {
                    prop_assert!(left.total_cmp(other_left).is_ne() || (top - other_top).abs() >= NODE_HEIGHT);
                }
            }
            prop_assert_eq!(&layout(&widths, &edges), &found);
        }
    }

    #[test]
    fn a_circle_is_drawn_all_the_same() {
        let found = layout(&[50.0, 50.0], &[(0, 1), (1, 0)]);
        assert_eq!(found.nodes.len(), 2);
        assert_eq!(found.edges.len(), 2);
    }

    #[test]
    fn nothing_has_no_height_to_speak_of() {
        assert_eq!(layout(&[], &[]).nodes, Vec::new());
    }
}
