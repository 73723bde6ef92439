//! Identifiers that too many customers share: one with more of them than its type may have leads to nobody.
//!
//! A customer of an identifier is whatever an edge links to it that is a customer, or may be one. How many there are depends on who is one
//! customer, and that on which identifiers are shared. It is settled so that neither the order of edges nor that of declared types matters:
//!
//! 1. Edges without a limited identifier join their ends.
//! 2. An identifier with no more customers than it may have joins them. That can only make customers fewer, so it is repeated until nothing
//!    changes, and in whichever order it is done the same comes out. An edge between two limited identifiers waits for both.
//! 3. Of identifiers left over that are linked to each other, those furthest over their limit are shared, and step 2 goes on without them.
//! 4. What is left over then is shared.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::components::Sets;
use super::edges::{Chunk, Verdict};
use super::intern::{NOBODY, Nodes, SHARED};
use super::rules::Rules;
use crate::config::Standalone;
use crate::engine::parallel;

/// An identifier that has more customers than its type may.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedNode {
    pub(super) node: u32,
    pub(super) customers: u32,
}

/// What stands for several neighbours of an identifier.
const SEVERAL: u32 = NOBODY - 1;

/// Numbers are hashed often here, and nobody chooses them.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
type Set<K> = HashSet<K, foldhash::fast::RandomState>;

/// Rounds in which all are looked at, before only those are that something has changed for.
const ROUNDS: usize = 3;

/// What limits say of types.
struct Limits {
    /// By type: how many customers it may have; 0 where there is no limit.
    most: Vec<u32>,
    /// By type: whether it names nobody, or only who is not known yet: then an identifier which nothing else is linked to does not count as
    /// a customer, so that no identifier has too many because of anonymous visitors.
    names_nobody: Vec<bool>,
}

impl Limits {
    fn of(&self, kind: u8) -> u32 {
        self.most[usize::from(kind)]
    }

    fn any(&self, kinds: [u8; 2]) -> bool {
        self.of(kinds[0]) | self.of(kinds[1]) != 0
    }
}

/// Identifiers that are linked to one other only, where that matters.
struct Leaves(Vec<AtomicU32>);

impl Leaves {
    fn contains(&self, node: u32) -> bool {
        self.0.get(node as usize).is_some_and(|neighbour| neighbour.load(Relaxed) < SEVERAL)
    }
}

/// Joins what belongs together; the identifiers that too many share.
pub(super) fn join(rules: &Rules, nodes: &mut Nodes, chunks: &mut [Chunk], sets: &Sets, threads: usize) -> Vec<SharedNode> {
    let limits = Limits {
        most: rules.types.iter().map(|rule| rule.max_customers.unwrap_or(0)).collect(),
        names_nobody: rules.types.iter().map(|rule| rule.standalone != Standalone::Yes).collect(),
    };
    let joins = |chunk: &Chunk, at: usize| chunk.verdicts[at] == Verdict::Joins;
    parallel(chunks, threads, |chunk| {
        sets.join_all((0..chunk.ends.len()).filter(|at| joins(chunk, *at) && !limits.any(chunk.kinds[*at])).map(|at| chunk.ends[at]));
    });
    if limits.most.iter().all(|most| *most == 0) {
        return Vec::new();
    }
    let leaves = leaves(&limits, nodes, chunks, threads);
    let over = over_limit(&limits, &leaves, nodes, chunks, sets, threads);
    let left: Vec<LeftOver> = parallel(&mut chunks.iter().enumerate().collect::<Vec<_>>(), threads, |(number, chunk)| {
        let mut left = Vec::new();
        for at in (0..chunk.ends.len()).filter(|at| joins(chunk, *at) && limits.any(chunk.kinds[*at])) {
            let [one, other] = chunk.ends[at];
            if !over.is_empty() && (over.contains_key(&one) || over.contains_key(&other)) {
                left.push(LeftOver { ends: chunk.ends[at], place: (*number, at) });
            } else {
                sets.join(one, other);
            }
        }
        left
    })
    .into_iter()
    .flatten()
    .collect();
    if left.is_empty() {
        return Vec::new();
    }
    let mut shared = settle(over, &left, &leaves, sets);
    shared.sort_unstable_by_key(|shared| shared.node);
    for found in &shared {
        nodes.mark(found.node, SHARED);
    }
    for LeftOver { ends, place: (chunk, at) } in left {
        if ends.into_iter().any(|end| nodes.is(end, SHARED)) {
            chunks[chunk].verdicts[at] = Verdict::Shared;
        }
    }
    shared
}

/// Finds the identifiers that name nobody and have one neighbour, if a limited identifier has such neighbours.
fn leaves(limits: &Limits, nodes: &Nodes, chunks: &mut [Chunk], threads: usize) -> Leaves {
    let matters = |kinds: [u8; 2]| {
        [kinds, [kinds[1], kinds[0]]].into_iter().any(|[one, other]| limits.of(one) > 0 && limits.names_nobody[usize::from(other)])
    };
    let found = AtomicBool::new(false);
    parallel(chunks, threads, |chunk| {
        if !found.load(Relaxed) && chunk.kinds.iter().any(|kinds| matters(*kinds)) {
            found.store(true, Relaxed);
        }
    });
    if !found.into_inner() {
        return Leaves(Vec::new());
    }
    let neighbours: Vec<AtomicU32> = (0..nodes.count()).map(|_| AtomicU32::new(SEVERAL)).collect();
    nodes.parts(threads, |part| {
        for node in part.filter(|&node| limits.names_nobody[usize::from(nodes.kind(node))]) {
            neighbours[node as usize].store(NOBODY, Relaxed);
        }
    });
    parallel(chunks, threads, |chunk| {
        for at in (0..chunk.ends.len()).filter(|at| chunk.verdicts[*at] == Verdict::Joins) {
            for side in [0, 1] {
                let (neighbour, other) = (&neighbours[chunk.ends[at][side] as usize], chunk.ends[at][1 - side]);
                let known = neighbour.compare_exchange(NOBODY, other, Relaxed, Relaxed);
                if known.is_err_and(|known| known != other) {
                    neighbour.store(SEVERAL, Relaxed);
                }
            }
        }
    });
    Leaves(neighbours)
}

/// The limited identifiers that have more customers than they may, with their limits, as things stand.
fn over_limit(limits: &Limits, leaves: &Leaves, nodes: &Nodes, chunks: &mut [Chunk], sets: &Sets, threads: usize) -> Map<u32, u32> {
    // The first customer seen of each identifier; most have no other, and need no more than this to be told.
    let first: Vec<AtomicU32> = (0..nodes.count()).map(|_| AtomicU32::new(NOBODY)).collect();
    let customer_at = |chunk: &Chunk, at: usize, side: usize| {
        let (kinds, ends) = (chunk.kinds[at], chunk.ends[at]);
        let most = limits.of(kinds[side]);
        let counts = most > 0 && chunk.verdicts[at] == Verdict::Joins && !leaves.contains(ends[1 - side]);
        counts.then(|| (ends[side], most, sets.root(ends[1 - side])))
    };
    let several: Set<u32> = parallel(chunks, threads, |chunk| {
        let mut several = Vec::new();
        for at in 0..chunk.ends.len() {
            for (identifier, _, customer) in [0, 1].into_iter().filter_map(|side| customer_at(chunk, at, side)) {
                let seen = first[identifier as usize].compare_exchange(NOBODY, customer, Relaxed, Relaxed);
                if seen.is_err_and(|first| first != customer) {
                    several.push(identifier);
                }
            }
        }
        several
    })
    .into_iter()
    .flatten()
    .collect();
    drop(first);
    if several.is_empty() {
        return Map::default();
    }
    let pairs = parallel(chunks, threads, |chunk| {
        let mut pairs = Vec::new();
        for at in 0..chunk.ends.len() {
            for side in [0, 1].into_iter().filter(|side| limits.of(chunk.kinds[at][*side]) > 0 && several.contains(&chunk.ends[at][*side]))
            {
                pairs.extend(customer_at(chunk, at, side));
            }
        }
        pairs
    });
    let mut pairs: Vec<(u32, u32, u32)> = pairs.into_iter().flatten().collect();
    pairs.sort_unstable();
    pairs.dedup();
    let too_many = pairs.chunk_by(|one, other| one.0 == other.0).filter(|customers| customers.len() > customers[0].1 as usize);
    too_many.map(|customers| (customers[0].0, customers[0].1)).collect()
}

/// Settles which of the identifiers with too many customers are shared: in most extracts all but a few, after a look or two at all of them.
fn settle(mut over: Map<u32, u32>, left: &[LeftOver], leaves: &Leaves, sets: &Sets) -> Vec<SharedNode> {
    let depend_on_each_other = left.iter().any(|edge| edge.ends.iter().all(|end| over.contains_key(end)));
    for _ in 0..ROUNDS {
        if depend_on_each_other {
            break;
        }
        let sides = left.iter().flat_map(|edge| [edge.ends, [edge.ends[1], edge.ends[0]]]);
        let open = sides.filter(|[identifier, customer]| over.contains_key(identifier) && !leaves.contains(*customer));
        let mut pairs: Vec<(u32, u32)> = open.map(|[identifier, customer]| (identifier, sets.root(customer))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let counted = pairs.chunk_by(|one, other| one.0 == other.0).map(|customers| (customers[0].0, customers.len()));
        let (few, many): (Vec<_>, Vec<_>) =
            counted.partition(|(node, customers)| over.get(node).is_some_and(|most| *customers <= *most as usize));
        if few.is_empty() {
            let shared = |(node, customers): (u32, usize)| SharedNode { node, customers: u32::try_from(customers).unwrap_or(u32::MAX) };
            return many.into_iter().map(shared).collect();
        }
        let few: Set<u32> = few.into_iter().map(|(node, _)| node).collect();
        over.retain(|node, _| !few.contains(node));
        for edge in left.iter().filter(|edge| edge.ends.iter().any(|end| few.contains(end))) {
            sets.join(edge.ends[0], edge.ends[1]);
        }
        if over.is_empty() {
            return Vec::new();
        }
    }
    Settling::begin(over, left, leaves, sets).settle(sets)
}

/// An edge of an identifier that has had too many customers.
struct LeftOver {
    ends: [u32; 2],
    place: (usize, usize),
}

/// An identifier that has had too many customers.
struct Candidate {
    node: u32,
    most: usize,
    /// Its own token.
    token: u32,
    state: State,
    /// Its edges: the other end's token, and its number if that is a candidate too.
    edges: Vec<(u32, u32, Option<usize>)>,
    /// By token of a customer: the edges that lead to it.
    customers: Map<u32, u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Joins,
    Shared,
}

/// Candidates while it is settled which of them are shared. A token stands for a set of identifiers; tokens of sets that become one are
/// joined, the one that fewer candidates wait for into the other, so that all is done in little more than linear time.
struct Settling {
    candidates: Vec<Candidate>,
    /// The token that another was joined into, or itself.
    joined_into: Vec<u32>,
    /// By token: the candidates that have it as a customer.
    waiting: Vec<Vec<usize>>,
    /// Candidates that have few enough customers.
    ready: Vec<usize>,
}

impl Settling {
    fn begin(over: Map<u32, u32>, left: &[LeftOver], leaves: &Leaves, sets: &Sets) -> Self {
        let mut tokens: Map<u32, u32> = Map::default();
        let mut token = |node: u32| {
            let next = u32::try_from(tokens.len()).unwrap_or(NOBODY);
            *tokens.entry(sets.root(node)).or_insert(next)
        };
        let mut numbers: Map<u32, usize> = Map::default();
        let mut candidates: Vec<Candidate> = Vec::with_capacity(over.len());
        for (node, most) in over {
            numbers.insert(node, candidates.len());
            let (edges, customers) = (Vec::new(), Map::default());
            candidates.push(Candidate { node, most: most as usize, token: token(node), state: State::Open, edges, customers });
        }
        for LeftOver { ends, .. } in left {
            for side in [0, 1] {
                let Some(&number) = numbers.get(&ends[side]) else { continue };
                let other = ends[1 - side];
                let of_other = token(other);
                candidates[number].edges.push((of_other, other, numbers.get(&other).copied()));
                if !leaves.contains(other) {
                    *candidates[number].customers.entry(of_other).or_default() += 1;
                }
            }
        }
        let mut waiting = vec![Vec::new(); tokens.len()];
        for (number, candidate) in candidates.iter().enumerate() {
            for token in candidate.customers.keys() {
                waiting[*token as usize].push(number);
            }
        }
        let ready = (0..candidates.len()).filter(|number| candidates[*number].customers.len() <= candidates[*number].most).collect();
        Settling { joined_into: (0..u32::try_from(tokens.len()).unwrap_or(NOBODY)).collect(), candidates, waiting, ready }
    }

    /// Settles it; the candidates that are shared.
    fn settle(mut self, sets: &Sets) -> Vec<SharedNode> {
        let mut shared = Vec::new();
        loop {
            while let Some(number) = self.ready.pop() {
                self.join_all(number, sets);
            }
            let open = |candidate: &&Candidate| candidate.state == State::Open;
            let linked_to_open = |candidate: &&Candidate| {
                let others = candidate.edges.iter().filter_map(|(.., number)| *number);
                others.into_iter().any(|other| self.candidates[other].state == State::Open)
            };
            let excess = |candidate: &Candidate| candidate.customers.len().saturating_sub(candidate.most);
            let most = self.candidates.iter().filter(open).filter(linked_to_open).map(excess).max();
            // Those at least half as far over their limit as the worst one, so that few rounds are enough.
            let far_over = |candidate: &Candidate| most.is_none_or(|most| 2 * excess(candidate) >= most && linked_to_open(&candidate));
            let chosen: Vec<usize> =
                (0..self.candidates.len()).filter(|at| open(&&self.candidates[*at]) && far_over(&self.candidates[*at])).collect();
            if chosen.is_empty() {
                return shared;
            }
            for &number in &chosen {
                let candidate = &mut self.candidates[number];
                candidate.state = State::Shared;
                let customers = u32::try_from(candidate.customers.len()).unwrap_or(u32::MAX);
                shared.push(SharedNode { node: candidate.node, customers });
            }
            for number in chosen {
                self.let_go(number);
            }
        }
    }

    /// Lets a candidate join all that it is linked to.
    fn join_all(&mut self, number: usize, sets: &Sets) {
        if self.candidates[number].state != State::Open {
            return;
        }
        self.candidates[number].state = State::Joins;
        let (node, own) = (self.candidates[number].node, self.candidates[number].token);
        for (token, other, candidate) in std::mem::take(&mut self.candidates[number].edges) {
            if candidate.is_none_or(|other| self.candidates[other].state == State::Joins) {
                sets.join(node, other);
                self.join(own, token);
            }
        }
    }

    /// Leaves a shared candidate out of the customers of those that it is linked to.
    fn let_go(&mut self, number: usize) {
        for (.., other) in std::mem::take(&mut self.candidates[number].edges) {
            let Some(other) = other.filter(|other| self.candidates[*other].state == State::Open) else { continue };
            let token = self.token(self.candidates[number].token);
            let neighbour = &mut self.candidates[other];
            if let Some(edges) = neighbour.customers.get_mut(&token) {
                *edges -= 1;
                if *edges == 0 {
                    neighbour.customers.remove(&token);
                }
            }
            if neighbour.customers.len() <= neighbour.most {
                self.ready.push(other);
            }
        }
    }

    fn token(&mut self, token: u32) -> u32 {
        let mut at = token as usize;
        while self.joined_into[at] as usize != at {
            self.joined_into[at] = self.joined_into[self.joined_into[at] as usize];
            at = self.joined_into[at] as usize;
        }
        self.joined_into[at]
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.token(one), self.token(other));
        if one == other {
            return;
        }
        let fewer_wait = self.waiting[one as usize].len() <= self.waiting[other as usize].len();
        let (from, into) = if fewer_wait { (one, other) } else { (other, one) };
        self.joined_into[from as usize] = into;
        for number in std::mem::take(&mut self.waiting[from as usize]) {
            let candidate = &mut self.candidates[number];
            let Some(edges) = candidate.customers.remove(&from).filter(|_| candidate.state == State::Open) else { continue };
            let known = candidate.customers.contains_key(&into);
            *candidate.customers.entry(into).or_default() += edges;
            if known {
                if candidate.customers.len() <= candidate.most {
                    self.ready.push(number);
                }
            } else {
                self.waiting[into as usize].push(number);
            }
        }
    }
}
