//! What keeps strangers apart: addresses that went from one owner to the next, and customers with too many identifiers.

use std::collections::{HashMap, HashSet};

use super::components::Sets;
use super::edges::{Chunk, UNKNOWN, Verdict};
use super::intern::{BLOCKED, Nodes, SHARED};
use super::rules::Rules;

/// The edges that were pruned, by chunk and position, with the type that the customer would have had too many of.
pub(super) type PrunedEdges = HashMap<(usize, usize), u8>;

/// A time during which somebody had an identifier that has gone from one owner to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ownership {
    pub(super) identifier: u32,
    pub(super) owner: u32,
    /// When it began; [`UNKNOWN`] where that is not known.
    pub(super) first: i64,
    /// Whether somebody else has had it since.
    pub(super) is_past: bool,
}

impl Ownership {
    /// When it began, or before everything where that is not known.
    pub(super) fn began(&self) -> i64 {
        if self.first == UNKNOWN { i64::MIN } else { self.first }
    }
}

/// The ownerships of identifiers that were transferred, each identifier's in the order of time.
pub(super) type Ownerships = Vec<Ownership>;

/// An edge, and where it is.
#[derive(Clone, Copy)]
struct PlacedEdge {
    ends: [u32; 2],
    source: u8,
    first: i64,
    chunk: usize,
    at: usize,
}

/// Prunes the edges that ended before their identifier had its next owner.
///
/// What was seen of the identifier before then was another's, so it counts as first seen with the owners it has now: an old
/// address must not name the customer who took it over.
pub(super) fn transfer(rules: &Rules, nodes: &mut Nodes, chunks: &mut [Chunk]) -> Ownerships {
    /// An owner of an identifier, with when that began and ended.
    struct Owned {
        identifier: u32,
        owner: u32,
        first: i64,
        ended: i64,
        place: (usize, usize),
    }
    let transferable: Vec<bool> = rules.types.iter().map(|rule| rule.transferable).collect();
    let given_up: HashSet<u32> = chunks
        .iter()
        .flat_map(|chunk| chunk.ended.iter().map(|(at, _)| (chunk.ends[*at as usize], chunk.kinds[*at as usize])))
        .flat_map(|(ends, kinds)| [0, 1].map(|side: usize| (ends[side], kinds[side])))
        .filter(|(_, kind)| transferable[usize::from(*kind)])
        .map(|(node, _)| node)
        .collect();
    if given_up.is_empty() {
        return Ownerships::new();
    }
    let mut ownerships = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for (at, ends) in chunk.ends.iter().enumerate().filter(|(at, _)| chunk.verdicts[*at] == Verdict::Joins) {
            for side in [0, 1] {
                let identifier = ends[side];
                if transferable[usize::from(chunk.kinds[at][side])] && given_up.contains(&identifier) {
                    let ended =
                        chunk.ended.binary_search_by_key(&at, |(ended, _)| *ended as usize).map_or(UNKNOWN, |found| chunk.ended[found].1);
                    ownerships.push(Owned { identifier, owner: ends[1 - side], first: chunk.first[at], ended, place: (number, at) });
                }
            }
        }
    }
    ownerships.sort_by_key(|owned| owned.identifier);
    let mut told = Ownerships::new();
    for of_one in ownerships.chunk_by(|one, other| one.identifier == other.identifier) {
        let known = || of_one.iter().filter(|owned| owned.first != UNKNOWN);
        let Some(newest) = known().max_by_key(|owned| owned.first) else { continue };
        // The newest owner succeeds everybody but itself, whom the newest of the others may succeed.
        let runner_up = known().filter(|owned| owned.owner != newest.owner).map(|owned| owned.first).max();
        let successor = |owned: &Owned| if owned.owner == newest.owner { runner_up } else { Some(newest.first) };
        let (past, present): (Vec<&Owned>, Vec<&Owned>) =
            of_one.iter().partition(|owned| owned.ended != UNKNOWN && successor(owned).is_some_and(|began| began >= owned.ended));
        for owned in &past {
            chunks[owned.place.0].verdicts[owned.place.1] = Verdict::Transferred;
        }
        if past.is_empty() {
            continue;
        }
        if let Some(since) = present.iter().map(|owned| owned.first).min() {
            nodes.seen_since(newest.identifier, since);
        }
        let told_of = |owned: &&Owned, is_past| Ownership { identifier: owned.identifier, owner: owned.owner, first: owned.first, is_past };
        let start = told.len();
        told.extend(past.iter().map(|owned| told_of(owned, true)));
        told.extend(present.iter().map(|owned| told_of(owned, false)));
        // Whose beginning is not known had it first, and of those that began at once the present one is the later.
        told[start..].sort_by_key(|owned| (owned.began(), !owned.is_past, nodes.kind(owned.owner), nodes.text(owned.owner).to_owned()));
    }
    told
}

/// Prunes edges of the customers that have too many identifiers of a type.
///
/// The edges of such a customer are added anew, the strongest first: of the more trusted source, then the older. One that would
/// make a customer with too many of a type is left out. So the weakest are pruned, no limit is broken, and among edges of one
/// source a later one never undoes an earlier one.
pub(super) fn prune(rules: &Rules, nodes: &Nodes, chunks: &mut [Chunk], sets: &Sets) -> PrunedEdges {
    // In the order of names, so that the order of declared types does not matter.
    let mut limits: Vec<(u8, u32)> = (0_u8..).zip(&rules.types).filter_map(|(kind, rule)| Some((kind, rule.max_per_customer?))).collect();
    let name_of = |kind: u8| rules.rule(kind).name.as_str();
    limits.sort_by_key(|(kind, _)| name_of(*kind));
    let over = over_limit(nodes, sets, &limits);
    let mut pruned = PrunedEdges::new();
    if over.is_empty() {
        return pruned;
    }
    let mut edges: Vec<(u32, PlacedEdge)> = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for (at, &ends) in chunk.ends.iter().enumerate().filter(|(at, _)| chunk.verdicts[*at] == Verdict::Joins) {
            let root = sets.root(ends[0]);
            if over.contains(&root) {
                edges.push((root, PlacedEdge { ends, source: chunk.sources[at], first: chunk.first[at], chunk: number, at }));
            }
        }
    }
    let named = |edge: &PlacedEdge| {
        let name = |node: u32| (name_of(nodes.kind(node)), nodes.text(node));
        let [one, other] = edge.ends.map(name);
        if one <= other { (one, other) } else { (other, one) }
    };
    let trust = |source: u8| usize::from(source).min(rules.trust.len());
    edges.sort_unstable_by(|(_, one), (_, other)| {
        (trust(one.source), one.first).cmp(&(trust(other.source), other.first)).then_with(|| named(one).cmp(&named(other)))
    });
    let released: Vec<u32> = nodes.all().filter(|&node| over.contains(&sets.root(node))).collect();
    let own = |node: u32| limits.iter().map(|(kind, _)| u32::from(nodes.kind(node) == *kind)).collect::<Vec<u32>>();
    let mut counts: HashMap<u32, Vec<u32>> = released.iter().map(|&node| (node, own(node))).collect();
    for node in released {
        sets.release(node);
    }
    // A pair seen several times is pruned for one reason, the first, whichever of its rows is told of.
    let mut reasons: HashMap<[u32; 2], u8> = HashMap::new();
    for (_, edge) in edges {
        let [one, other] = edge.ends.map(|node| sets.root(node));
        if one == other {
            continue;
        }
        let both: Vec<u32> = counts[&one].iter().zip(&counts[&other]).map(|(one, other)| one + other).collect();
        if let Some(broken) = both.iter().zip(&limits).find(|(count, (_, most))| *count > most).map(|(_, (kind, _))| *kind) {
            chunks[edge.chunk].verdicts[edge.at] = Verdict::Pruned;
            let [low, high] = [edge.ends[0].min(edge.ends[1]), edge.ends[0].max(edge.ends[1])];
            pruned.insert((edge.chunk, edge.at), *reasons.entry([low, high]).or_insert(broken));
        } else {
            sets.join(one, other);
            counts.insert(sets.root(one), both);
        }
    }
    pruned
}

/// The roots of the sets that have more of a type than they may.
fn over_limit(nodes: &Nodes, sets: &Sets, limits: &[(u8, u32)]) -> HashSet<u32> {
    let mut over = HashSet::new();
    for &(kind, most) in limits {
        let mut counts = vec![0_u32; nodes.count()];
        for node in nodes.all().filter(|&node| nodes.kind(node) == kind && !nodes.is(node, BLOCKED | SHARED)) {
            let root = sets.root(node);
            let count = &mut counts[root as usize];
            *count += 1;
            if *count > most {
                over.insert(root);
            }
        }
    }
    over
}
