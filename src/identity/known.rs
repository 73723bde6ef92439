//! What customers are known from: counted by source of evidence, and by the type of identifier that names them.

use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::edges::BITS;
use super::intern::{BLOCKED, NOBODY, SHARED};
use super::resolution::Resolution;

/// How the sources are called that the last bit stands for.
const OTHERS: &str = "others";

/// How a source is called that the project does not name.
const UNNAMED: &str = "unnamed";

/// The customers of whom a source tells: one of their identifiers is in a row of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFrom {
    /// The source, as the trust order or the model `identity.edges` names it; `unnamed` for what stands in neither; `others` for those past the trust order when there are more than 16.
    pub source: String,
    /// Customers known from it.
    pub customers: u64,
    /// Those of them whom no other source knows.
    pub customers_from_it_alone: u64,
}

/// What identifiers of a type lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBy {
    /// The type.
    pub identifier_type: String,
    /// Customers whose id is made from one.
    pub customers: u64,
    /// Identifiers that are no customer and lead to none, because nothing that they are linked to is standalone.
    pub identifiers_without_customer: u64,
}

/// All that is counted.
pub(super) struct Known {
    pub(super) customers: u64,
    pub(super) identifiers_set_aside: u64,
    pub(super) from_several: u64,
    pub(super) from: Vec<KnownFrom>,
    pub(super) named_by: Vec<NamedBy>,
}

/// What one thread has counted of its part of the identifiers.
struct Tally {
    set_aside: u64,
    /// By type: customers that it names, identifiers that lead to none.
    by_type: Vec<[u64; 2]>,
}

impl Resolution {
    /// Counts, in a pass over the identifiers by all threads.
    pub(super) fn known(&self) -> Known {
        let evidence: Vec<AtomicU16> = (0..self.nodes.count()).map(|_| AtomicU16::new(0)).collect();
        let tallies = self.nodes.parts(self.threads, |part| self.tally(part, &evidence));
        let (told, told_as) = self.told_sources();
        // Sets of sources are few, and a number each.
        let mut by_sources = vec![0_u64; 1 << BITS];
        for (name, sources) in self.names.iter().zip(&evidence) {
            if *name != NOBODY {
                by_sources[usize::from(apart(&told_as, sources.load(Relaxed)))] += 1;
            }
        }
        let by_sources: Vec<(usize, u64)> = by_sources.into_iter().enumerate().filter(|(_, customers)| *customers > 0).collect();
        let count =
            |wanted: &dyn Fn(usize) -> bool| by_sources.iter().filter(|(set, _)| wanted(*set)).map(|(_, customers)| customers).sum();
        let sum = |kind: usize, which: usize| tallies.iter().map(|tally| tally.by_type[kind][which]).sum();
        let mut from: Vec<KnownFrom> = told
            .into_iter()
            .enumerate()
            .map(|(at, source)| KnownFrom {
                source,
                customers: count(&|set| set & (1 << at) != 0),
                customers_from_it_alone: count(&|set| set == 1 << at),
            })
            .collect();
        // Sources outside of the trust order are numbered as they come, and threads race.
        let trusted = self.rules.trust.len().min(from.len());
        from[trusted..].sort_by(|one, other| one.source.cmp(&other.source));
        Known {
            customers: count(&|_| true),
            identifiers_set_aside: tallies.iter().map(|tally| tally.set_aside).sum(),
            from_several: count(&|set| set.count_ones() > 1),
            from,
            named_by: self
                .rules
                .types
                .iter()
                .enumerate()
                .map(|(kind, rule)| NamedBy {
                    identifier_type: rule.name.clone(),
                    customers: sum(kind, 0),
                    identifiers_without_customer: sum(kind, 1),
                })
                .collect(),
        }
    }

    /// Counts some identifiers, and adds what they are known from to that of their set.
    fn tally(&self, part: Range<u32>, evidence: &[AtomicU16]) -> Tally {
        let mut tally = Tally { set_aside: 0, by_type: vec![[0; 2]; self.rules.types.len()] };
        for node in part {
            if self.nodes.is(node, BLOCKED | SHARED) {
                tally.set_aside += 1;
                continue;
            }
            let root = self.root(node) as usize;
            match self.names[root] {
                NOBODY => tally.by_type[usize::from(self.nodes.kind(node))][1] += 1,
                _ if self.root(node) == node => tally.by_type[usize::from(self.kind_of_id(node))][0] += 1,
                _ => {}
            }
            let sources = self.nodes.sources(node);
            if evidence[root].load(Relaxed) & sources != sources {
                evidence[root].fetch_or(sources, Relaxed);
            }
        }
        tally
    }

    /// How many sources have a bit of their own: all, or, when there are too many, those that the trust order names, since which of the
    /// others came first is chance.
    fn sources_apart(&self) -> usize {
        if self.sources.len() <= BITS { self.sources.len() } else { self.rules.trust.len().min(BITS - 1) }
    }

    /// The sources as they are told, and by the bit of a source which of them it is. What a model took for a source may be anything, a
    /// person's value among it, so those that the project does not name are one.
    fn told_sources(&self) -> (Vec<String>, [u8; BITS]) {
        let apart = self.sources_apart();
        let mut told: Vec<String> = Vec::new();
        let mut told_as = [0; BITS];
        for (bit, place) in told_as.iter_mut().enumerate().take(BITS.min(self.sources.len())) {
            let name = match self.sources.get(bit).filter(|_| bit < apart) {
                Some(source) if self.rules.names_source(source) => source.as_str(),
                Some(_) => UNNAMED,
                None => OTHERS,
            };
            let at = told.iter().position(|known| known == name).unwrap_or_else(|| {
                told.push(name.to_owned());
                told.len() - 1
            });
            *place = u8::try_from(at).unwrap_or(0);
        }
        (told, told_as)
    }
}

/// A set of sources as a set of what they are told as.
fn apart(told_as: &[u8; BITS], sources: u16) -> u16 {
    (0..BITS).filter(|bit| sources & (1 << bit) != 0).fold(0, |set, bit| set | 1 << told_as[bit])
}
