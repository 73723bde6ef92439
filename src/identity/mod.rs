//! Who is who: pairs of identifiers seen together become customers, with guards against strangers who share one.
//!
//! ```text
//! batches ─▶ intern ─▶ numbers, edges ─▶ blocked · expired · transferred · shared ─▶ join ─▶ prune ─▶ inherit ─▶ customers
//!                                                 └─────────────────────────▶ conflicts     ▲  │     aliases, map
//!                                                                            the map of the predecessor
//! ```
//!
//! Every identifier is kept once and known by 32 bits; components are found by union–find. Time grows with the number of edges,
//! but for the sorting of what had to be pruned. What comes out depends on the set of rows and the predecessor's map alone, not on the order of
//! rows, their split into batches or the number of threads:
//!
//! - who is one customer follows from the edges of today;
//! - which id a customer has follows from what was published: the one that most of its identifiers had (`identity/inherit.rs`), or else the one that
//!   its oldest identifier gives (`identity/ids.rs`). An id is never given to somebody else, and one that ends with a merge becomes an alias;
//! - what names a customer only until it is known, as a browser does, gives way to whatever else names it, and is an alias then.

mod components;
mod declared;
mod edges;
mod explain;
mod guards;
mod ids;
mod inherit;
mod intern;
mod keys;
mod known;
mod predecessor;
mod rules;
mod shared;
mod tables;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;

use crate::engine::{Held, parallel};
use crate::error::Result;
use components::Sets;
use edges::{Aside, Chunk, Read, Sources};
use guards::{Ownerships, PrunedEdges};
use inherit::Split;
use intern::{Interner, NOBODY, Nodes, Starts};
use predecessor::{Alias, Predecessor};
use shared::SharedNode;

pub use declared::{Before, check_edges, resolve};
pub use edges::edges_schema;
pub use explain::{Answer, Explained, Linked, PrunedEdge, Sighting, Told};
pub use inherit::Heirs;
pub use known::{KnownFrom, NamedBy};
pub use predecessor::map_schema;
pub use rules::{BlockList, MAX_TYPES, Rules, TypeRule, is_blank, masked, shown};
pub use tables::{aliases_schema, conflicts_schema, customers_schema, resolved_schemas};

/// Collects edges. Batches may be pushed by several threads at once.
pub struct Resolver {
    rules: Rules,
    threads: usize,
    interner: Interner,
    sources: Sources,
    chunks: Mutex<Vec<(Starts, Chunk)>>,
    edges: AtomicUsize,
    aside: Mutex<Aside>,
}

/// What an identifier takes while the customers are found: its root, its name, and what tells who has which id.
const BYTES_TO_FIND_ONE: usize = 36;

/// What belongs together, not yet named.
pub struct Joined {
    rules: Rules,
    threads: usize,
    sources: Vec<String>,
    nodes: Nodes,
    chunks: Vec<Chunk>,
    roots: Vec<u32>,
    ownerships: Ownerships,
    shared: Vec<SharedNode>,
    pruned: PrunedEdges,
    aside: Aside,
}

/// Who is who.
pub struct Resolution {
    rules: Rules,
    threads: usize,
    sources: Vec<String>,
    nodes: Nodes,
    chunks: Vec<Chunk>,
    /// What the sets of identifiers are known by: the root of each identifier's.
    roots: Vec<u32>,
    /// The identifier that names each set, by root.
    names: Vec<u32>,
    shared: Vec<SharedNode>,
    pruned: PrunedEdges,
    aside: Aside,
    /// What was published before; none where that is not known.
    before: Option<Predecessor>,
    /// By root: the id of [`Resolution::before`] that a customer keeps; empty where there is none.
    own: Vec<u32>,
    /// Ids that are neither kept nor simply what the oldest identifier gives, by root.
    others: HashMap<u32, (String, u8)>,
    /// By id of [`Resolution::before`]: the root of the customer that it is, or is an alias of; [`NOBODY`] where nothing is left of it.
    led_to: Vec<u32>,
    splits: Vec<Split>,
    withdrawn: u64,
    /// What stands for the identifiers in the map, if that is known already.
    keys: Option<Vec<u128>>,
    aliases: Vec<Alias>,
    /// What it takes of the memory of a run.
    _memory: Option<Held>,
}

/// How many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Distinct identifiers.
    pub identifiers: u64,
    /// Rows that link two identifiers: edges.
    pub edges: u64,
    /// Rows that begin on the as-of day or later, and so link nothing yet.
    #[serde(default)]
    pub edges_later: u64,
    /// Blanks in the place of identifiers, which link nothing.
    #[serde(default)]
    pub blank_identifiers: u64,
    /// Customers.
    pub customers: u64,
    /// Identifiers that stand for nobody, or that too many share.
    pub identifiers_set_aside: u64,
    /// Edges that were pruned, for any reason.
    pub edges_pruned: u64,
    /// Ids of the publication before that became aliases, because their customers became one with others.
    pub merged: u64,
    /// Ids of the publication before that show what is personal now, and so are no more, and no alias either.
    #[serde(default)]
    pub withdrawn: u64,
    /// Customers, or parts of them, that were another customer's in the publication before.
    #[serde(default)]
    pub split: u64,
    /// Customers known from more than one source.
    pub customers_from_several_sources: u64,
    /// By source, the customers known from it; the sources of the trust order first, then by name.
    pub known_from: Vec<KnownFrom>,
    /// By type of identifier, as declared, the customers that have their id from it.
    pub named_by: Vec<NamedBy>,
}

impl Resolver {
    /// A resolver without edges.
    pub fn new(rules: Rules, threads: usize) -> Self {
        let sources = Sources::new(&rules);
        Resolver {
            rules,
            threads: threads.max(1),
            interner: Interner::new(),
            sources,
            chunks: Mutex::default(),
            edges: AtomicUsize::new(0),
            aside: Mutex::default(),
        }
    }

    /// Takes a batch of edges, with the columns of [`edges_schema`].
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] with a type that is not declared, or with more than can be numbered.
    pub fn push(&self, batch: &RecordBatch) -> Result<()> {
        let Read { starts, chunk, aside } = edges::read(&self.rules, &self.interner, &self.sources, batch)?;
        if aside.later > 0 || !aside.blank.is_empty() {
            self.aside.lock().unwrap_or_else(PoisonError::into_inner).and(aside);
        }
        if !chunk.kinds.is_empty() {
            self.edges.fetch_add(chunk.kinds.capacity(), Relaxed);
            self.chunks.lock().unwrap_or_else(PoisonError::into_inner).push((starts, chunk));
        }
        Ok(())
    }

    /// The bytes that finding the customers will take, with all that was taken so far.
    pub fn bytes(&self) -> usize {
        let (identifiers, bytes) = self.interner.size();
        bytes + identifiers * BYTES_TO_FIND_ONE + self.edges.load(Relaxed) * Chunk::BYTES_OF_ONE
    }

    /// Looks up what waits to be, after which [`Resolver::bytes`] is exact.
    ///
    /// # Errors
    /// As [`Resolver::push`].
    pub fn look_up(&self) -> Result<()> {
        self.interner.look_up(&self.rules, self.threads)
    }

    /// Finds the customers.
    ///
    /// # Errors
    /// As [`Resolver::join`].
    pub fn finish(self) -> Result<Resolution> {
        Ok(self.join()?.name())
    }

    /// Finds what belongs together.
    ///
    /// # Errors
    /// As [`Resolver::push`].
    pub fn join(self) -> Result<Joined> {
        self.look_up()?;
        let Resolver { rules, threads, interner, sources, chunks, aside, .. } = self;
        let aside = aside.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut chunks = chunks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut nodes, found) = interner.finish(threads);
        parallel(&mut chunks, threads, |(starts, chunk)| chunk.number(starts, &found));
        drop(found);
        let mut chunks: Vec<Chunk> = chunks.into_iter().map(|(_, chunk)| chunk).collect();
        let sets = Sets::apart(nodes.count());
        let ownerships = guards::transfer(&rules, &mut nodes, &mut chunks);
        let shared = shared::join(&rules, &mut nodes, &mut chunks, &sets, threads);
        let pruned = guards::prune(&rules, &nodes, &mut chunks, &sets);
        let roots = sets.roots(threads);
        Ok(Joined { rules, threads, sources: sources.finish(), nodes, chunks, roots, ownerships, shared, pruned, aside })
    }
}

impl Joined {
    /// How many sets of identifiers there are; one that nothing is linked to is a set.
    pub fn components(&self) -> usize {
        (0..).zip(&self.roots).filter(|(node, root)| node == *root).count()
    }

    /// Names the customers where nothing was published before: each by its oldest identifier.
    pub fn name(self) -> Resolution {
        let names = ids::names(&self.rules, &self.nodes, &self.roots, self.threads);
        self.named(names)
    }

    fn named(self, names: Vec<u32>) -> Resolution {
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
    fn bytes(&self) -> usize {
        let edges: usize = self.chunks.iter().map(|chunk| chunk.kinds.capacity()).sum();
        self.nodes.bytes() + self.nodes.count() * size_of::<u32>() + edges * Chunk::BYTES_OF_ONE
    }
}

impl Resolution {
    /// What it takes, in bytes.
    fn bytes(&self) -> usize {
        let edges: usize = self.chunks.iter().map(|chunk| chunk.kinds.capacity()).sum();
        let keys = self.keys.as_ref().map_or(0, |keys| size_of_val(keys.as_slice()));
        let before = self.before.as_ref().map_or(0, Predecessor::bytes) + size_of_val(self.own.as_slice());
        self.nodes.bytes() + self.nodes.count() * 2 * size_of::<u32>() + edges * Chunk::BYTES_OF_ONE + keys + before
    }

    /// What an identifier's set is known by.
    fn root(&self, node: u32) -> u32 {
        self.roots[node as usize]
    }

    /// The root of the customer that an identifier leads to.
    fn customer_of(&self, node: u32) -> Option<u32> {
        let root = self.root(node);
        (self.nodes.ties(node) && self.names[root as usize] != NOBODY).then_some(root)
    }

    /// The customers, by root.
    fn customers(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes.all().filter(|root| self.names[*root as usize] != NOBODY)
    }

    /// The id of a customer, by root.
    fn id(&self, root: u32) -> Cow<'_, str> {
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
    fn kind_of_id(&self, root: u32) -> u8 {
        let own = self.own.get(root as usize).filter(|own| **own != NOBODY);
        match (&self.before, own, self.others.get(&root)) {
            (Some(before), Some(&own), _) => before.kinds[own as usize].unwrap_or(0),
            (.., Some((_, kind))) => *kind,
            _ => self.nodes.kind(self.names[root as usize]),
        }
    }
}
