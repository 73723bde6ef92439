//! The ids of customers, made from their oldest identifier, and the ids that merges have ended.

use std::cmp::Ordering;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use sha2::{Digest, Sha256};

use super::edges::{Chunk, Verdict};
use super::intern::{BLOCKED, NOBODY, Nodes, SHARED};
use super::rules::Rules;
use crate::config::StandsAlone;
use crate::engine::parallel;

/// Hexadecimal digits of an id that hides its identifier: 80 bits, so that two customers never get the same one.
const DIGITS: usize = 20;

/// What stands for several neighbours of an identifier.
const SEVERAL: u32 = NOBODY - 1;

/// Ties that a thread looks at ahead of their being made, one after the other.
const AHEAD: usize = 1 << 15;

/// Of these, those whose steps through memory are made side by side.
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

/// All that [`by_age`] looks at.
fn whole_age<'a>(rules: &Rules, nodes: &'a Nodes, node: u32) -> (bool, i64, u8, &'a str) {
    (rules.gives_way(nodes.kind(node)), nodes.first_seen(node), nodes.kind(node), nodes.text(node))
}

/// The types whose identifiers may name a customer, unless they are set aside.
fn kinds_that_may_name(rules: &Rules) -> Vec<bool> {
    rules.types.iter().map(|rule| rule.stands_alone != StandsAlone::No).collect()
}

/// Whether an identifier may name a customer.
fn may_name(rules: &Rules, nodes: &Nodes, node: u32) -> bool {
    rules.rule(nodes.kind(node)).stands_alone != StandsAlone::No && !nodes.is(node, BLOCKED | SHARED)
}

/// The identifier that names each set, by root; [`NOBODY`] for a set that is no customer.
pub(super) fn names(rules: &Rules, nodes: &Nodes, roots: &[u32], threads: usize) -> Vec<u32> {
    let names = nobodies(nodes.count());
    nodes.parts(threads, |part| {
        for node in part.filter(|&node| may_name(rules, nodes, node)) {
            let older = |name: u32| (name == NOBODY || by_age(rules, nodes, node, name).is_lt()).then_some(node);
            // Fails when the set has an older name already.
            let _ = names[roots[node as usize] as usize].fetch_update(Relaxed, Relaxed, older);
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
pub(super) fn aliases(rules: &Rules, nodes: &Nodes, chunks: &mut [Chunk], roots: &[u32], names: &[u32], threads: usize) -> Vec<Alias> {
    let may_name_kind = kinds_that_may_name(rules);
    let Some(merged) = merged(rules, nodes, chunks, roots, names, threads) else { return Vec::new() };
    // What may name nobody and is tied to one identifier only, as most browsers are, joins nothing.
    let neighbours = nobodies(nodes.count());
    let mut found = parallel(chunks, threads, |chunk| {
        let of_merged =
            |at: &usize| chunk.verdicts[*at] == Verdict::Ties && merged[roots[chunk.ends[*at][0] as usize] as usize].load(Relaxed);
        let mut found = Vec::new();
        for at in (0..chunk.ends.len()).filter(of_merged) {
            let ends = chunk.ends[at];
            for side in [0, 1].into_iter().filter(|side| !may_name_kind[usize::from(chunk.kinds[at][*side])]) {
                let neighbour = &neighbours[ends[side] as usize];
                let known = neighbour.compare_exchange(NOBODY, ends[1 - side], Relaxed, Relaxed);
                if known.is_err_and(|known| known != ends[1 - side]) {
                    neighbour.store(SEVERAL, Relaxed);
                }
            }
            found.push(Tie { first: chunk.first[at], ends });
        }
        found
    });
    let joins = |node: u32| neighbours[node as usize].load(Relaxed) >= SEVERAL;
    parallel(&mut found, threads, |ties| ties.retain(|tie| tie.ends.into_iter().all(joins)));
    drop(neighbours);
    let mut ties = Vec::with_capacity(found.iter().map(Vec::len).sum());
    for mut some in found {
        ties.append(&mut some);
    }
    let share = ties.len().div_ceil(threads).max(1);
    parallel(&mut ties.chunks_mut(share).collect::<Vec<_>>(), threads, |some| some.sort_unstable_by_key(|tie| tie.first));
    // A stable sort merges what is sorted already.
    ties.sort_by_key(|tie| tie.first);
    let mut aliases = Replay::of(rules, nodes, threads).make(&ties, threads);
    // They come in the order of time, and those of one moment by age.
    let mut moments: Vec<&mut [Alias]> = aliases.chunk_by_mut(|one, other| one.merged_at == other.merged_at).collect();
    parallel(&mut moments, threads, |moment| moment.sort_by_cached_key(|alias| whole_age(rules, nodes, alias.node)));
    aliases
}

/// The sets, by root, in which another identifier than the one that names it may have named a customer once; none when there is no such set.
///
/// One that was tied, when it was first seen, to an older one that may name a customer never did.
fn merged(rules: &Rules, nodes: &Nodes, chunks: &mut [Chunk], roots: &[u32], names: &[u32], threads: usize) -> Option<Vec<AtomicBool>> {
    let may_name_kind = kinds_that_may_name(rules);
    let none = || (0..nodes.count()).map(|_| AtomicBool::new(false)).collect::<Vec<_>>();
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
            let root = roots[node as usize] as usize;
            if names[root] != node {
                merged.get_or_init(none)[root].store(true, Relaxed);
            }
        }
    });
    merged.into_inner()
}

/// Ties made again in the order of time, by union–find. A set's name lies beside its root, and so does the name's age, since
/// to ask for anything that lies elsewhere takes longer than all else.
struct Replay<'a> {
    rules: &'a Rules,
    nodes: &'a Nodes,
    cells: Vec<Cell>,
}

struct Cell {
    parent: AtomicU32,
    /// The identifier that names the set of a root; [`NOBODY`] for a set that is no customer.
    name: AtomicU32,
    /// What [`age`] gives for it.
    age: AtomicU64,
}

/// The root of a set, and its name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Named {
    root: u32,
    name: u32,
    age: u64,
}

/// Two sets that a tie joins.
struct Meeting {
    at: i64,
    /// The one with the older name, then the other.
    sets: [Named; 2],
    /// The younger name, if it was a customer's before.
    ended: bool,
}

/// What decides between most identifiers by age; [`by_age`] decides between those that it makes the same.
fn age(rules: &Rules, nodes: &Nodes, node: u32) -> u64 {
    const FURTHEST: i64 = 1 << (u64::BITS - 2);
    // One bit tells who gives way.
    let time = nodes.first_seen(node).clamp(-FURTHEST, FURTHEST - 1).wrapping_add(FURTHEST).cast_unsigned();
    u64::from(rules.gives_way(nodes.kind(node))) << (u64::BITS - 1) | time
}

impl<'a> Replay<'a> {
    /// Every identifier by itself.
    fn of(rules: &'a Rules, nodes: &'a Nodes, threads: usize) -> Self {
        let apart = |number: u32| Cell { parent: AtomicU32::new(number), name: AtomicU32::new(NOBODY), age: AtomicU64::new(u64::MAX) };
        let cells: Vec<Cell> = (0..u32::try_from(nodes.count()).unwrap_or(NOBODY)).map(apart).collect();
        nodes.parts(threads, |part| {
            for node in part.filter(|&node| may_name(rules, nodes, node)) {
                cells[node as usize].name.store(node, Relaxed);
                cells[node as usize].age.store(age(rules, nodes, node), Relaxed);
            }
        });
        Replay { rules, nodes, cells }
    }

    /// Makes ties, in their order, and gives the names that this ended.
    ///
    /// A tie is made after those before it, but most of the work is to find out what it joins. So that is looked up some ahead, by several
    /// threads; what is still apart then is joined, and looked up again if it has changed.
    fn make(&self, ties: &[Tie], threads: usize) -> Vec<Alias> {
        let mut ended = Vec::new();
        for ahead in ties.chunks(AHEAD * threads) {
            let mut parts: Vec<(&[Tie], Vec<Meeting>)> = ahead.chunks(AHEAD).map(|ties| (ties, Vec::new())).collect();
            parallel(&mut parts, threads, |(ties, met)| ties.chunks(STEP).for_each(|ties| self.meet_all(ties, met)));
            ended.extend(parts.iter().flat_map(|(_, met)| met).filter_map(|met| self.join(met)));
        }
        ended
    }

    /// What ties join, without those whose ends are together already.
    fn meet_all(&self, ties: &[Tie], met: &mut Vec<Meeting>) {
        let above = |node: u32| self.cells[node as usize].parent.load(Relaxed);
        let near: Vec<[u32; 2]> = ties.iter().map(|tie| tie.ends.map(above)).collect();
        met.extend(ties.iter().zip(near).filter_map(|(tie, near)| self.meet(tie.first, near.map(|node| self.named(node)))));
    }

    /// What a tie between two sets joins; nothing when they are one.
    fn meet(&self, at: i64, [one, other]: [Named; 2]) -> Option<Meeting> {
        if one.root == other.root {
            return None;
        }
        let customers = one.name != NOBODY && other.name != NOBODY;
        let same_age = || if customers { by_age(self.rules, self.nodes, one.name, other.name) } else { Ordering::Equal };
        let one_is_older = one.age.cmp(&other.age).then_with(same_age).is_le();
        let sets = if one_is_older { [one, other] } else { [other, one] };
        Some(Meeting { at, sets, ended: customers && self.nodes.first_seen(sets[1].name) < at })
    }

    /// Joins two sets; the younger of their names, if it was a customer's before.
    fn join(&self, met: &Meeting) -> Option<Alias> {
        let sets = met.sets.map(|set| self.named(set.root));
        let again = if sets == met.sets { None } else { Some(self.meet(met.at, sets)?) };
        let Meeting { at, sets: [older, younger], ended } = again.as_ref().unwrap_or(met);
        let [low, high] = [older.root.min(younger.root), older.root.max(younger.root)].map(|root| &self.cells[root as usize]);
        high.parent.store(older.root.min(younger.root), Relaxed);
        low.name.store(older.name, Relaxed);
        low.age.store(older.age, Relaxed);
        ended.then_some(Alias { node: younger.name, merged_at: *at })
    }

    /// The set of an identifier.
    fn named(&self, mut node: u32) -> Named {
        loop {
            let cell = &self.cells[node as usize];
            let parent = cell.parent.load(Relaxed);
            if parent == node {
                return Named { root: node, name: cell.name.load(Relaxed), age: cell.age.load(Relaxed) };
            }
            let above = self.cells[parent as usize].parent.load(Relaxed);
            if above != parent {
                cell.parent.store(above, Relaxed);
            }
            node = above;
        }
    }
}
