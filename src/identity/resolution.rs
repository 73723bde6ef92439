//! Who is who: the customers, their ids, and what was set aside to find them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::edges::{Aside, Chunk};
use super::guards::PrunedEdges;
use super::ids;
use super::intern::{NOBODY, Nodes};
use super::predecessor::{Alias, Predecessor};
use super::rules::Rules;
use super::shared::SharedNode;
use crate::engine::Reservation;

/// Who is who.
pub struct Resolution {
    pub(super) rules: Rules,
    pub(super) threads: usize,
    pub(super) sources: Vec<String>,
    pub(super) nodes: Nodes,
    pub(super) chunks: Vec<Chunk>,
    /// What the sets of identifiers are known by: the root of each identifier's.
    pub(super) roots: Vec<u32>,
    /// The identifier that names each set, by root.
    pub(super) names: Vec<u32>,
    pub(super) shared: Vec<SharedNode>,
    pub(super) pruned: PrunedEdges,
    pub(super) aside: Aside,
    /// What was published before; none where that is not known.
    pub(super) before: Option<Predecessor>,
    /// By root: the id of [`Resolution::before`] that a customer keeps; empty where there is none.
    pub(super) own: Vec<u32>,
    /// Ids that are neither kept nor simply what the oldest identifier gives, by root.
    pub(super) others: HashMap<u32, (String, u8)>,
    /// By id of [`Resolution::before`]: the root of the customer that it is, or is an alias of; [`NOBODY`] where nothing is left of it.
    pub(super) led_to: Vec<u32>,
    pub(super) splits: Vec<Split>,
    pub(super) withdrawn: u64,
    /// What stands for the identifiers in the map, if that is known already.
    pub(super) keys: Option<Vec<u128>>,
    pub(super) aliases: Vec<Alias>,
    /// What it takes of the memory of a run.
    pub(super) _memory: Option<Reservation>,
}

impl Resolution {
    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let edges: usize = self.chunks.iter().map(|chunk| chunk.kinds.capacity()).sum();
        let keys = self.keys.as_ref().map_or(0, |keys| size_of_val(keys.as_slice()));
        let before = self.before.as_ref().map_or(0, Predecessor::bytes) + size_of_val(self.own.as_slice());
        self.nodes.bytes() + self.nodes.count() * 2 * size_of::<u32>() + edges * Chunk::BYTES_OF_ONE + keys + before
    }

    /// What an identifier's set is known by.
    pub(super) fn root(&self, node: u32) -> u32 {
        self.roots[node as usize]
    }

    /// The root of the customer that an identifier leads to.
    pub(super) fn customer_of(&self, node: u32) -> Option<u32> {
        let root = self.root(node);
        (self.nodes.links(node) && self.names[root as usize] != NOBODY).then_some(root)
    }

    /// The customers, by root.
    pub(super) fn customers(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes.all().filter(|root| self.names[*root as usize] != NOBODY)
    }

    /// The id of a customer, by root.
    pub(super) fn id(&self, root: u32) -> Cow<'_, str> {
        if let (Some(before), Some(&own)) = (&self.before, self.own.get(root as usize).filter(|own| **own != NOBODY)) {
            return before.id(own).into();
        }
        let natural = || {
            let name = self.names[root as usize];
            ids::id_of(&self.rules, self.nodes.kind(name), self.nodes.text(name))
        };
        self.others.get(&root).map_or_else(natural, |(id, _)| id.into())
    }

    /// The type of the identifier that gave a customer its id.
    pub(super) fn kind_of_id(&self, root: u32) -> u8 {
        let own = self.own.get(root as usize).filter(|own| **own != NOBODY);
        match (&self.before, own, self.others.get(&root)) {
            (Some(before), Some(&own), _) => before.kinds[own as usize].unwrap_or(0),
            (.., Some((_, kind))) => *kind,
            _ => self.nodes.kind(self.names[root as usize]),
        }
    }
}

/// Part of a customer that was another's before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    /// The identifier of it that says most of who it is.
    pub(super) node: u32,
    /// The root of the customer that it is today.
    pub(super) root: u32,
    /// The id that it was published under.
    pub(super) from: u32,
}
