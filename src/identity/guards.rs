//! What keeps strangers apart: addresses that passed on, identifiers that many share, customers with too much.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::components::Sets;
use super::edges::{Chunk, UNKNOWN, Verdict};
use super::intern::{BLOCKED, NOBODY, Nodes, SHARED};
use super::rules::Rules;
use crate::engine::parallel;

/// An identifier that has more holders than its type may.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedNode {
    pub(super) node: u32,
    pub(super) holders: u32,
}

/// The edges that were cut, by chunk and position, with the type that the customer would have had too many of.
pub(super) type Cuts = HashMap<(usize, usize), u8>;

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
pub(super) fn pass_on(rules: &Rules, nodes: &mut Nodes, chunks: &mut [Chunk]) {
    /// A holder of an identifier, with when that began and ended.
    struct Tenure {
        identifier: u32,
        holder: u32,
        first: i64,
        ended: i64,
        place: (usize, usize),
    }
    let passes_on: Vec<bool> = rules.types.iter().map(|rule| rule.passes_on).collect();
    let given_up: HashSet<u32> = chunks
        .iter()
        .flat_map(|chunk| chunk.ended.iter().map(|(at, _)| (chunk.ends[*at as usize], chunk.kinds[*at as usize])))
        .flat_map(|(ends, kinds)| [0, 1].map(|side: usize| (ends[side], kinds[side])))
        .filter(|(_, kind)| passes_on[usize::from(*kind)])
        .map(|(node, _)| node)
        .collect();
    if given_up.is_empty() {
        return;
    }
    let mut tenures = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for (at, ends) in chunk.ends.iter().enumerate().filter(|(at, _)| chunk.verdicts[*at] == Verdict::Ties) {
            for side in [0, 1] {
                let identifier = ends[side];
                if passes_on[usize::from(chunk.kinds[at][side])] && given_up.contains(&identifier) {
                    let ended =
                        chunk.ended.binary_search_by_key(&at, |(ended, _)| *ended as usize).map_or(UNKNOWN, |found| chunk.ended[found].1);
                    tenures.push(Tenure { identifier, holder: ends[1 - side], first: chunk.first[at], ended, place: (number, at) });
                }
            }
        }
    }
    tenures.sort_by_key(|tenure| tenure.identifier);
    for held in tenures.chunk_by(|one, other| one.identifier == other.identifier) {
        let known = || held.iter().filter(|tenure| tenure.first != UNKNOWN);
        let Some(newest) = known().max_by_key(|tenure| tenure.first) else { continue };
        // The newest holder succeeds everybody but itself, whom the newest of the others may succeed.
        let runner_up = known().filter(|tenure| tenure.holder != newest.holder).map(|tenure| tenure.first).max();
        let successor = |tenure: &Tenure| if tenure.holder == newest.holder { runner_up } else { Some(newest.first) };
        let (past, present): (Vec<&Tenure>, Vec<&Tenure>) =
            held.iter().partition(|tenure| tenure.ended != UNKNOWN && successor(tenure).is_some_and(|began| began >= tenure.ended));
        for tenure in &past {
            chunks[tenure.place.0].verdicts[tenure.place.1] = Verdict::PassedOn;
        }
        if let (false, Some(since)) = (past.is_empty(), present.iter().map(|tenure| tenure.first).min()) {
            nodes.seen_since(newest.identifier, since);
        }
    }
}

/// Joins what belongs together, type by type: an identifier that may have so many holders is asked, once everything
/// without such a limit is joined, how many it has; with more it ties nobody.
pub(super) fn join(rules: &Rules, nodes: &mut Nodes, chunks: &mut [Chunk], sets: &Sets, threads: usize) -> Vec<SharedNode> {
    let limited: Vec<(u8, u32)> = (0_u8..).zip(&rules.types).filter_map(|(kind, rule)| Some((kind, rule.most_holders?))).collect();
    let mut stage_of_kind = vec![0; rules.types.len()];
    for (stage, (kind, _)) in limited.iter().enumerate() {
        stage_of_kind[usize::from(*kind)] = stage + 1;
    }
    let stage_of = |kinds: [u8; 2]| stage_of_kind[usize::from(kinds[0])].max(stage_of_kind[usize::from(kinds[1])]);
    parallel(chunks, threads, |chunk| {
        let made = |at: &usize| chunk.verdicts[*at] == Verdict::Ties && stage_of(chunk.kinds[*at]) == 0;
        sets.join_all((0..chunk.ends.len()).filter(made).map(|at| chunk.ends[at]));
    });
    let mut shared = Vec::new();
    for (position, (kind, most)) in limited.into_iter().enumerate() {
        let stage = position + 1;
        let found = too_widely_held(nodes, chunks, sets, threads, kind, most, |kinds| stage_of(kinds) == stage);
        for held in &found {
            nodes.mark(held.node, SHARED);
        }
        shared.extend(found);
        let any_shared = !shared.is_empty();
        let flagged = &*nodes;
        parallel(chunks, threads, |chunk| {
            for at in 0..chunk.ends.len() {
                if chunk.verdicts[at] != Verdict::Ties || stage_of(chunk.kinds[at]) != stage {
                    continue;
                }
                let [one, other] = chunk.ends[at];
                if any_shared && (flagged.is(one, SHARED) || flagged.is(other, SHARED)) {
                    chunk.verdicts[at] = Verdict::Shared;
                } else {
                    sets.join(one, other);
                }
            }
        });
    }
    shared
}

/// The identifiers of a type that tie more than `most` of the sets that there are without them.
fn too_widely_held(
    nodes: &Nodes,
    chunks: &mut [Chunk],
    sets: &Sets,
    threads: usize,
    kind: u8,
    most: u32,
    wanted: impl Fn([u8; 2]) -> bool + Sync,
) -> Vec<SharedNode> {
    // The first holder seen of each identifier; most have no other, and need no more than this to be told.
    let holder: Vec<AtomicU32> = (0..nodes.count()).map(|_| AtomicU32::new(NOBODY)).collect();
    let holders_of = |chunk: &Chunk, at: usize| {
        let (kinds, ends) = (chunk.kinds[at], chunk.ends[at]);
        let asked = chunk.verdicts[at] == Verdict::Ties && kinds[0] != kinds[1] && wanted(kinds);
        let side = usize::from(kinds[0] != kind);
        (asked && kinds[side] == kind).then(|| (ends[side], sets.root(ends[1 - side])))
    };
    let several: HashSet<u32> = parallel(chunks, threads, |chunk| {
        let mut several = Vec::new();
        for (identifier, set) in (0..chunk.ends.len()).filter_map(|at| holders_of(chunk, at)) {
            let seen = holder[identifier as usize].compare_exchange(NOBODY, set, Relaxed, Relaxed);
            if seen.is_err_and(|first| first != set) {
                several.push(identifier);
            }
        }
        several
    })
    .into_iter()
    .flatten()
    .collect();
    drop(holder);
    if several.is_empty() {
        return Vec::new();
    }
    let mut held: Vec<(u32, u32)> = chunks
        .iter()
        .flat_map(|chunk| (0..chunk.ends.len()).filter_map(|at| holders_of(chunk, at)))
        .filter(|(node, _)| several.contains(node))
        .collect();
    held.sort_unstable();
    held.dedup();
    let counted = held.chunk_by(|one, other| one.0 == other.0);
    let counted = counted.map(|holders| SharedNode { node: holders[0].0, holders: u32::try_from(holders.len()).unwrap_or(u32::MAX) });
    counted.filter(|shared| shared.holders > most).collect()
}

/// Cuts the customers that have too many identifiers of a type.
///
/// The ties of such a customer are made anew, the strongest first: of the more trusted source, then the older. One that would
/// make a customer with too many of a type is left out. So the weakest are cut, no limit is broken, and among ties of one source
/// a later one never undoes an earlier one.
pub(super) fn cut(rules: &Rules, nodes: &Nodes, chunks: &mut [Chunk], sets: &Sets) -> Cuts {
    let limits: Vec<(u8, u32)> = (0_u8..).zip(&rules.types).filter_map(|(kind, rule)| Some((kind, rule.most_per_customer?))).collect();
    let over = over_limit(nodes, sets, &limits);
    let mut cuts = Cuts::new();
    if over.is_empty() {
        return cuts;
    }
    let mut ties: Vec<(u32, Tie)> = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for (at, &ends) in chunk.ends.iter().enumerate().filter(|(at, _)| chunk.verdicts[*at] == Verdict::Ties) {
            let root = sets.root(ends[0]);
            if over.contains(&root) {
                ties.push((root, Tie { ends, source: chunk.sources[at], first: chunk.first[at], chunk: number, at }));
            }
        }
    }
    let named = |tie: &Tie| {
        let name = |node: u32| (nodes.kind(node), nodes.text(node));
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
            chunks[tie.chunk].verdicts[tie.at] = Verdict::Cut;
            let [low, high] = [tie.ends[0].min(tie.ends[1]), tie.ends[0].max(tie.ends[1])];
            cuts.insert((tie.chunk, tie.at), *reasons.entry([low, high]).or_insert(broken));
        } else {
            sets.join(one, other);
            counts.insert(sets.root(one), both);
        }
    }
    cuts
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
