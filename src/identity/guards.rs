//! What keeps strangers apart: addresses that passed on, and customers with too much.

use std::collections::{HashMap, HashSet};

use super::components::Sets;
use super::edges::{Chunk, UNKNOWN, Verdict};
use super::intern::{BLOCKED, Nodes, SHARED};
use super::rules::Rules;

/// The edges that were cut, by chunk and position, with the type that the customer would have had too many of.
pub(super) type PrunedEdges = HashMap<(usize, usize), u8>;

/// When somebody had an identifier that has passed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ownership {
    pub(super) identifier: u32,
    pub(super) holder: u32,
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

/// The ownerships of identifiers that have passed on, each identifier's in the order of time.
pub(super) type Ownerships = Vec<Ownership>;

/// An edge on its own.
#[derive(Clone, Copy)]
struct Tie {
    ends: [u32; 2],
    source: u8,
    first: i64,
    chunk: usize,
    at: usize,
}

/// Finds the ties that ended before their identifier had its next holder.
///
/// What was seen of the identifier before then was another's, so it counts as first seen with the holders it has now: an old
/// address must not name the customer who took it over.
pub(super) fn transfer(rules: &Rules, nodes: &mut Nodes, chunks: &mut [Chunk]) -> Ownerships {
    /// A holder of an identifier, with when that began and ended.
    struct Tenure {
        identifier: u32,
        holder: u32,
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
                    ownerships.push(Tenure { identifier, holder: ends[1 - side], first: chunk.first[at], ended, place: (number, at) });
                }
            }
        }
    }
    ownerships.sort_by_key(|tenure| tenure.identifier);
    let mut told = Ownerships::new();
    for held in ownerships.chunk_by(|one, other| one.identifier == other.identifier) {
        let known = || held.iter().filter(|tenure| tenure.first != UNKNOWN);
        let Some(newest) = known().max_by_key(|tenure| tenure.first) else { continue };
        // The newest holder succeeds everybody but itself, whom the newest of the others may succeed.
        let runner_up = known().filter(|tenure| tenure.holder != newest.holder).map(|tenure| tenure.first).max();
        let successor = |tenure: &Tenure| if tenure.holder == newest.holder { runner_up } else { Some(newest.first) };
        let (past, present): (Vec<&Tenure>, Vec<&Tenure>) =
            held.iter().partition(|tenure| tenure.ended != UNKNOWN && successor(tenure).is_some_and(|began| began >= tenure.ended));
        for tenure in &past {
            chunks[tenure.place.0].verdicts[tenure.place.1] = Verdict::Transferred;
        }
        if past.is_empty() {
            continue;
        }
        if let Some(since) = present.iter().map(|tenure| tenure.first).min() {
            nodes.seen_since(newest.identifier, since);
        }
        let told_of =
            |tenure: &&Tenure, is_past| Ownership { identifier: tenure.identifier, holder: tenure.holder, first: tenure.first, is_past };
        let start = told.len();
        told.extend(past.iter().map(|tenure| told_of(tenure, true)));
        told.extend(present.iter().map(|tenure| told_of(tenure, false)));
        // Whose beginning is not known had it first, and of those that began at once the present one is the later.
        told[start..]
            .sort_by_key(|tenure| (tenure.began(), !tenure.is_past, nodes.kind(tenure.holder), nodes.text(tenure.holder).to_owned()));
    }
    told
}

/// PrunedEdges the customers that have too many identifiers of a type.
///
/// The ties of such a customer are made anew, the strongest first: of the more trusted source, then the older. One that would
/// make a customer with too many of a type is left out. So the weakest are cut, no limit is broken, and among ties of one source
/// a later one never undoes an earlier one.
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
    let mut ties: Vec<(u32, Tie)> = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for (at, &ends) in chunk.ends.iter().enumerate().filter(|(at, _)| chunk.verdicts[*at] == Verdict::Joins) {
            let root = sets.root(ends[0]);
            if over.contains(&root) {
                ties.push((root, Tie { ends, source: chunk.sources[at], first: chunk.first[at], chunk: number, at }));
            }
        }
    }
    let named = |tie: &Tie| {
        let name = |node: u32| (name_of(nodes.kind(node)), nodes.text(node));
        let [one, other] = tie.ends.map(name);
        if one <= other { (one, other) } else { (other, one) }
    };
    let trust = |source: u8| usize::from(source).min(rules.trust.len());
    ties.sort_unstable_by(|(_, one), (_, other)| {
        (trust(one.source), one.first).cmp(&(trust(other.source), other.first)).then_with(|| named(one).cmp(&named(other)))
    });
    let freed: Vec<u32> = nodes.all().filter(|&node| over.contains(&sets.root(node))).collect();
    let own = |node: u32| limits.iter().map(|(kind, _)| u32::from(nodes.kind(node) == *kind)).collect::<Vec<u32>>();
    let mut counts: HashMap<u32, Vec<u32>> = freed.iter().map(|&node| (node, own(node))).collect();
    for node in freed {
        sets.release(node);
    }
    // A pair seen several times is cut for one reason, the first, whichever of its rows is told of.
    let mut reasons: HashMap<[u32; 2], u8> = HashMap::new();
    for (_, tie) in ties {
        let [one, other] = tie.ends.map(|node| sets.root(node));
        if one == other {
            continue;
        }
        let both: Vec<u32> = counts[&one].iter().zip(&counts[&other]).map(|(one, other)| one + other).collect();
        if let Some(broken) = both.iter().zip(&limits).find(|(count, (_, most))| *count > most).map(|(_, (kind, _))| *kind) {
            chunks[tie.chunk].verdicts[tie.at] = Verdict::Pruned;
            let [low, high] = [tie.ends[0].min(tie.ends[1]), tie.ends[0].max(tie.ends[1])];
            pruned.insert((tie.chunk, tie.at), *reasons.entry([low, high]).or_insert(broken));
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
