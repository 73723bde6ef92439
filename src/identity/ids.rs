//! The ids of customers, made from their oldest identifier, and the ids that merges have ended.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::components::Sets;
use super::edges::{Chunk, Verdict};
use super::intern::{BLOCKED, NOBODY, Nodes, SHARED};
use super::rules::Rules;
use crate::config::StandsAlone;
use crate::engine::parallel;

/// Hexadecimal digits of an id that hides its identifier: 80 bits, so that two customers never get the same one.
const DIGITS: usize = 20;

/// Parts that ties are divided into by their set, so that threads make them again side by side.
const PARTS: usize = 64;
/// An odd number that spreads neighbouring roots over the parts.
const SPREAD: u32 = 0x9E37_79B9;

/// Ties of which the roots are looked for side by side.
const STEP: usize = 64;

/// A tie to be made again.
#[derive(Clone, Copy)]
struct Tie {
    first: i64,
    ends: [u32; 2],
}

/// An id that was a customer's until it became one with an older customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alias {
    /// The identifier that gave the id.
    pub(super) node: u32,
    /// When the tie was first seen that made the two one, in microseconds since 1970.
    pub(super) merged_at: i64,
}

/// What decides between identifiers which one names the customer: one that stands alone only until the customer is known comes
/// last; of the others the one seen first, then the type declared first, then the text. What joins later was seen later, so it
/// takes no known customer's name away.
fn by_age(rules: &Rules, nodes: &Nodes, one: u32, other: u32) -> Ordering {
    let age = |node: u32| (rules.gives_way(nodes.kind(node)), nodes.first_seen(node), nodes.kind(node));
    // Texts lie apart from the rest, and seldom matter.
    age(one).cmp(&age(other)).then_with(|| nodes.text(one).cmp(nodes.text(other)))
}

/// Whether an identifier may name a customer.
fn may_name(rules: &Rules, nodes: &Nodes, node: u32) -> bool {
    rules.rule(nodes.kind(node)).stands_alone != StandsAlone::No && !nodes.is(node, BLOCKED | SHARED)
}

/// The identifier that names each set, by root; [`NOBODY`] for a set that is no customer.
pub(super) fn names(rules: &Rules, nodes: &Nodes, sets: &Sets, threads: usize) -> Vec<u32> {
    let names = nobodies(nodes.bound);
    nodes.parts(threads, |part| {
        for node in part.filter(|&node| may_name(rules, nodes, node)) {
            let older = |name: u32| (name == NOBODY || by_age(rules, nodes, node, name).is_lt()).then_some(node);
            // Fails when the set has an older name already.
            let _ = names[sets.root(node) as usize].fetch_update(Relaxed, Relaxed, older);
        }
    });
    names.into_iter().map(AtomicU32::into_inner).collect()
}

fn nobodies(bound: usize) -> Vec<AtomicU32> {
    (0..bound).map(|_| AtomicU32::new(NOBODY)).collect()
}

/// The text of the id that an identifier gives: its own when it is of the first type and not personal, else its type and a hash.
pub(super) fn id_of(rules: &Rules, kind: u8, text: &str) -> String {
    let rule = rules.rule(kind);
    match (kind, rule.personal) {
        (0, false) => text.to_owned(),
        (_, false) => format!("{}:{text}", rule.name),
        (_, true) => {
            let mut digest = format!("{:x}", Sha256::digest(text.as_bytes()));
            digest.truncate(DIGITS);
            format!("{}:{digest}", rule.name)
        }
    }
}

/// The ids that were a customer's before it became one with an older one, found by making the ties again in the order of time.
pub(super) fn aliases(rules: &Rules, nodes: &Nodes, chunks: &mut [Chunk], sets: &Sets, names: &[u32], threads: usize) -> Vec<Alias> {
    let Some(merged) = merged(rules, nodes, chunks, sets, names, threads) else { return Vec::new() };
    // The ties of a set are made again by one thread, and those of other sets by others beside it.
    let parts: Vec<Mutex<Vec<Tie>>> = (0..PARTS).map(|_| Mutex::default()).collect();
    parallel(chunks, threads, |chunk| {
        let mut ties: Vec<(u32, Tie)> = Vec::new();
        for (at, &ends) in chunk.ends.iter().enumerate().filter(|(at, _)| chunk.verdicts[*at] == Verdict::Ties) {
            let root = sets.root(ends[0]);
            if merged[root as usize].load(Relaxed) {
                ties.push((root.wrapping_mul(SPREAD) >> (u32::BITS - PARTS.ilog2()), Tie { first: chunk.first[at], ends }));
            }
        }
        ties.sort_unstable_by_key(|(part, _)| *part);
        for of_part in ties.chunk_by(|one, other| one.0 == other.0) {
            let mut part = parts[of_part[0].0 as usize].lock().unwrap_or_else(PoisonError::into_inner);
            part.extend(of_part.iter().map(|(_, tie)| *tie));
        }
    });
    let mut parts: Vec<Vec<Tie>> = parts.into_iter().map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    // The longest first, so that no thread is left with it when the others are done.
    parts.sort_by_key(|ties| std::cmp::Reverse(ties.len()));
    let names = nobodies(nodes.bound);
    nodes.parts(threads, |part| {
        for node in part.filter(|&node| may_name(rules, nodes, node)) {
            names[node as usize].store(node, Relaxed);
        }
    });
    let replay = Replay { rules, nodes, sets: Sets::apart(nodes.bound), names };
    let ended = parallel(&mut parts, threads, |ties| {
        ties.sort_unstable_by_key(|tie| tie.first);
        ties.chunks(STEP).flat_map(|ties| replay.join_all(ties)).collect::<Vec<Alias>>()
    });
    let mut aliases = ended.concat();
    let in_time = |one: &Alias, other: &Alias| one.merged_at.cmp(&other.merged_at).then_with(|| by_age(rules, nodes, one.node, other.node));
    let share = aliases.len().div_ceil(threads).max(1);
    parallel(&mut aliases.chunks_mut(share).collect::<Vec<_>>(), threads, |some| some.sort_unstable_by(in_time));
    // A stable sort merges what is sorted already.
    aliases.sort_by(in_time);
    aliases
}

/// The sets, by root, in which another identifier than the one that names it may have named a customer once; none when there is no such set.
///
/// One that was tied, when it was first seen, to an older one that may name a customer never did.
fn merged(rules: &Rules, nodes: &Nodes, chunks: &mut [Chunk], sets: &Sets, names: &[u32], threads: usize) -> Option<Vec<AtomicBool>> {
    let may_name_kind: Vec<bool> = rules.types.iter().map(|rule| rule.stands_alone != StandsAlone::No).collect();
    let none = || (0..nodes.bound).map(|_| AtomicBool::new(false)).collect::<Vec<_>>();
    let born_tied = none();
    parallel(chunks, threads, |chunk| {
        for (at, &[one, other]) in chunk.ends.iter().enumerate() {
            let both = chunk.kinds[at].iter().all(|kind| may_name_kind[usize::from(*kind)]);
            if chunk.verdicts[at] == Verdict::Ties && both {
                let younger = if by_age(rules, nodes, one, other).is_lt() { other } else { one };
                if chunk.first[at] <= nodes.first_seen(younger) {
                    born_tied[younger as usize].store(true, Relaxed);
                }
            }
        }
    });
    let merged: OnceLock<Vec<AtomicBool>> = OnceLock::new();
    nodes.parts(threads, |part| {
        for node in part.filter(|&node| !born_tied[node as usize].load(Relaxed) && may_name(rules, nodes, node)) {
            let root = sets.root(node) as usize;
            if names[root] != node {
                merged.get_or_init(none)[root].store(true, Relaxed);
            }
        }
    });
    merged.into_inner()
}

/// A union–find that keeps the name of every set while ties are made in the order of time. Threads may use it at once for sets apart.
struct Replay<'a> {
    rules: &'a Rules,
    nodes: &'a Nodes,
    sets: Sets,
    /// The identifier that names each set, by root; [`NOBODY`] for a set that is no customer.
    names: Vec<AtomicU32>,
}

impl Replay<'_> {
    fn name(&self, root: u32) -> Option<u32> {
        Some(self.names[root as usize].load(Relaxed)).filter(|name| *name != NOBODY)
    }

    /// Makes ties, in order. The way to a root is a walk through memory: the walks of several ties do not wait for each other, as the
    /// joins must.
    fn join_all(&self, ties: &[Tie]) -> Vec<Alias> {
        let near: Vec<[u32; 2]> = ties.iter().map(|tie| tie.ends.map(|node| self.sets.root(node))).collect();
        near.into_iter().zip(ties).filter_map(|(near, tie)| self.join(near, tie.first)).collect()
    }

    /// Joins two sets; the younger of their names, if it was a customer's before.
    fn join(&self, ends: [u32; 2], at: i64) -> Option<Alias> {
        let roots = ends.map(|node| self.sets.root(node));
        if roots[0] == roots[1] {
            return None;
        }
        let (older, younger) = match roots.map(|root| self.name(root)) {
            [Some(one), Some(other)] if by_age(self.rules, self.nodes, one, other).is_lt() => (Some(one), Some(other)),
            [Some(one), Some(other)] => (Some(other), Some(one)),
            [one, other] => (one.or(other), None),
        };
        self.sets.join(roots[0], roots[1]);
        if let Some(older) = older {
            self.names[self.sets.root(roots[0]) as usize].store(older, Relaxed);
        }
        younger.filter(|&node| self.nodes.first_seen(node) < at).map(|node| Alias { node, merged_at: at })
    }
}
