//! Identifiers that belong together, before they have the ids of customers.

use std::collections::HashMap;

use super::edges::{Aside, Chunk};
use super::guards::{Ownerships, PrunedEdges};
use super::ids;
use super::intern::Nodes;
use super::resolution::Resolution;
use super::rules::Rules;
use super::shared::SharedNode;

/// What belongs together, not yet named.
pub struct Joined {
    pub(super) rules: Rules,
    pub(super) threads: usize,
    pub(super) sources: Vec<String>,
    pub(super) nodes: Nodes,
    pub(super) chunks: Vec<Chunk>,
    pub(super) roots: Vec<u32>,
    pub(super) ownerships: Ownerships,
    pub(super) shared: Vec<SharedNode>,
    pub(super) pruned: PrunedEdges,
    pub(super) aside: Aside,
}

impl Joined {
    /// How many sets of identifiers there are; one that no edge joins to another is a set.
    pub fn components(&self) -> usize {
        (0..).zip(&self.roots).filter(|(node, root)| node == *root).count()
    }

    /// Names the customers where nothing was published before: each by its oldest identifier.
    pub fn name(self) -> Resolution {
        let names = ids::names(&self.rules, &self.nodes, &self.roots, self.threads);
        self.named(names)
    }

    pub(super) fn named(self, names: Vec<u32>) -> Resolution {
        let Joined { rules, threads, sources, nodes, chunks, roots, shared, pruned, aside, ownerships: _ } = self;
        Resolution {
            rules,
            threads,
            sources,
            nodes,
            chunks,
            roots,
            names,
            shared,
            pruned,
            aside,
            before: None,
            own: Vec::new(),
            others: HashMap::new(),
            led_to: Vec::new(),
            splits: Vec::new(),
            withdrawn: 0,
            keys: None,
            aliases: Vec::new(),
            _memory: None,
        }
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let edges: usize = self.chunks.iter().map(|chunk| chunk.kinds.capacity()).sum();
        self.nodes.bytes() + self.nodes.count() * size_of::<u32>() + edges * Chunk::BYTES_OF_ONE
    }
}
