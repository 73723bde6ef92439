//! The ids of customers, made from their oldest identifier, and the ids that merges have ended.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use sha2::{Digest, Sha256};

use super::components::Sets;
use super::edges::{Chunk, Verdict};
use super::intern::{BLOCKED, NOBODY, Nodes, SHARED};
use super::parallel;
use super::rules::Rules;
use crate::config::StandsAlone;

/// Hexadecimal digits of an id that hides its identifier: 80 bits, so that two customers never get the same one.
const DIGITS: usize = 20;

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
pub(super) fn names(rules: &Rules, nodes: &Nodes, sets: &Sets) -> Vec<u32> {
    let mut names = vec![NOBODY; nodes.bound];
    for node in nodes.all().filter(|&node| may_name(rules, nodes, node)) {
        let name = &mut names[sets.root(node) as usize];
        if *name == NOBODY || by_age(rules, nodes, node, *name).is_lt() {
            *name = node;
        }
    }
    names
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
    let mut ties: Vec<(i64, [u32; 2])> = Vec::new();
    for chunk in &*chunks {
        let held =
            chunk.ends.iter().enumerate().filter(|(at, ends)| chunk.verdicts[*at] == Verdict::Ties && merged[sets.root(ends[0]) as usize]);
        ties.extend(held.map(|(at, ends)| (chunk.first[at], *ends)));
    }
    ties.sort_unstable_by_key(|(first, _)| *first);
    let mut replay = Replay { rules, nodes, sets: Sets::apart(nodes.bound), names: vec![NOBODY; nodes.bound] };
    let mut aliases: Vec<Alias> = ties.into_iter().filter_map(|(at, ends)| replay.join(ends, at)).collect();
    aliases.sort_by(|one, other| one.merged_at.cmp(&other.merged_at).then_with(|| by_age(rules, nodes, one.node, other.node)));
    aliases
}

/// The sets, by root, in which another identifier than the one that names it may have named a customer once; none when there is no such set.
///
/// One that was tied, when it was first seen, to an older one that may name a customer never did.
fn merged(rules: &Rules, nodes: &Nodes, chunks: &mut [Chunk], sets: &Sets, names: &[u32], threads: usize) -> Option<Vec<bool>> {
    let may_name_kind: Vec<bool> = rules.types.iter().map(|rule| rule.stands_alone != StandsAlone::No).collect();
    let born_tied: Vec<AtomicBool> = (0..nodes.bound).map(|_| AtomicBool::new(false)).collect();
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
    let mut merged: Option<Vec<bool>> = None;
    for node in nodes.all().filter(|&node| !born_tied[node as usize].load(Relaxed) && may_name(rules, nodes, node)) {
        let root = sets.root(node) as usize;
        if names[root] != node {
            merged.get_or_insert_with(|| vec![false; nodes.bound])[root] = true;
        }
    }
    merged
}

/// A union–find that keeps the name of every set while ties are made in the order of time.
struct Replay<'a> {
    rules: &'a Rules,
    nodes: &'a Nodes,
    sets: Sets,
    /// The identifier that names each set, by root; [`NOBODY`] until that is asked.
    names: Vec<u32>,
}

impl Replay<'_> {
    fn name(&self, root: u32) -> Option<u32> {
        match self.names[root as usize] {
            NOBODY => may_name(self.rules, self.nodes, root).then_some(root),
            name => Some(name),
        }
    }

    /// Joins two sets; the younger of their names, if it was a customer's before.
    fn join(&mut self, ends: [u32; 2], at: i64) -> Option<Alias> {
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
            self.names[self.sets.root(roots[0]) as usize] = older;
        }
        younger.filter(|&node| self.nodes.first_seen(node) < at).map(|node| Alias { node, merged_at: at })
    }
}
