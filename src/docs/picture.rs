//! The picture of what reads what, laid out.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::known::Known;
use super::layout::layout;
use super::view::{Edge, Graph, Node};

/// The widest name that is shown whole, in columns of a terminal, and the width of one of them in pixels.
const WIDEST: usize = 24;
const COLUMN_WIDTH: f64 = 8.0;
/// The space beside a name, and the narrowest node.
const PADDING: f64 = 20.0;
const NARROWEST: f64 = 84.0;

/// The picture.
pub fn graph(known: &Known<'_>) -> Graph {
    let nodes = &known.nodes.nodes;
    let shorts: Vec<String> = nodes.iter().map(|node| short(&node.name)).collect();
    let width = |(short, above): (&String, &str)| {
        let widest = short.width().max(above.width()).min(WIDEST + 1);
        (f64::from(u32::try_from(widest).unwrap_or(0)) * COLUMN_WIDTH + PADDING).max(NARROWEST).round()
    };
    let widths: Vec<f64> = shorts.iter().zip(nodes).map(|(short, node)| width((short, &node.above))).collect();
    let edges: Vec<(usize, usize)> =
        nodes.iter().enumerate().flat_map(|(to, node)| node.reads.iter().map(move |from| (*from, to))).collect();
    let laid_out = layout(&widths, &edges);
    let shown = |at: usize| {
        let (node, (left, top)) = (&nodes[at], laid_out.nodes[at]);
        let (reads, read_by) = known.ways(Some(at));
        Node {
            id: node.id.clone(),
            kind: node.kind.word(),
            above: node.above.clone(),
            name: node.name.clone(),
            short: shorts[at].clone(),
            place: (left.to_string(), top.to_string(), widths[at].to_string()),
            reads,
            read_by,
        }
    };
    // In the order in which the eye goes over them, so that the keyboard does, too.
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by(|one, other| {
        let (one, other) = (laid_out.nodes[*one], laid_out.nodes[*other]);
        one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
    });
    let edges = edges.iter().zip(&laid_out.edges).map(|((from, to), points)| Edge {
        from: nodes[*from].id.clone(),
        to: nodes[*to].id.clone(),
        path: path(points),
    });
    Graph {
        width: laid_out.width.to_string(),
        height: laid_out.height.to_string(),
        nodes: order.into_iter().map(shown).collect(),
        edges: edges.collect(),
    }
}

/// A smooth way through some points, which leaves and enters each of them level.
fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        match at.checked_sub(1).map(|before| points[before]) {
            None => path += &format!("M{x} {y}"),
            Some((_, before)) if (before - y).abs() < 0.5 => path += &format!("H{x}"),
            Some((from, before)) => {
                let middle = ((from + x) / 2.0).round();
                path += &format!("C{middle} {before} {middle} {y} {x} {y}");
            }
        }
    }
    path
}

/// A name as it fits.
fn short(name: &str) -> String {
    if name.width() <= WIDEST {
        return name.to_owned();
    }
    let mut width = 0;
    let kept: String = name
        .chars()
        .take_while(|c| {
            width += c.width().unwrap_or(0);
            width < WIDEST
        })
        .collect();
    kept + "…"
}
