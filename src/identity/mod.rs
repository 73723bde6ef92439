//! Who is who: pairs of identifiers seen together become customers, with guards against strangers who share one.
//!
//! ```text
//! batches ─▶ intern ─▶ numbers, edges ─▶ blocked · expired · passed on · shared ─▶ join ─▶ cut ─▶ name ─▶ customers
//!                                                 └──────────────────────────────────────▶ conflicts     aliases
//! ```
//!
//! Every identifier is kept once and known by 32 bits; components are found by union–find. Time grows with the number of edges,
//! but for the sorting of what had to be cut or was merged. What comes out depends on the set of rows alone, not on their order,
//! their split into batches or the number of threads:
//!
//! - a customer's id is made from its oldest identifier, so later ones do not change it, and of two customers who become one
//!   the older one's stays; the other is told as an alias, with the moment of the tie that joined them;
//! - what names a customer only until it is known, as a browser does, gives way to whatever else names it, and is an alias then;
//! - nothing is remembered from run to run: the ids of a day follow from the extracts of that day.

mod components;
mod declared;
mod edges;
mod explain;
mod guards;
mod ids;
mod intern;
mod known;
mod rules;
mod tables;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;

use crate::engine::{Held, parallel};
use crate::error::Result;
use components::Sets;
use edges::{Chunk, Sources};
use guards::{Cuts, SharedNode};
use ids::Alias;
use intern::{Interner, Nodes, Starts};

pub use declared::{check_edges, resolve};
pub use edges::edges_schema;
pub use explain::{Answer, DroppedTie, Explained, Leaf, Tie};
pub use known::{KnownFrom, NamedBy};
pub use rules::{BlockList, MAX_TYPES, Rules, TypeRule, masked};
pub use tables::{aliases_schema, conflicts_schema, customers_schema, resolved_schemas};

/// Collects edges. Batches may be pushed by several threads at once.
pub struct Resolver {
    rules: Rules,
    threads: usize,
    interner: Interner,
    sources: Sources,
    chunks: Mutex<Vec<(Starts, Chunk)>>,
    edges: AtomicUsize,
}

/// What an identifier takes while the customers are found: its root, its name, and what the ids that ended are found with.
const BYTES_TO_FIND_ONE: usize = 36;

/// What belongs together, not yet named.
pub struct Joined {
    rules: Rules,
    threads: usize,
    sources: Vec<String>,
    nodes: Nodes,
    chunks: Vec<Chunk>,
    roots: Vec<u32>,
    shared: Vec<SharedNode>,
    cuts: Cuts,
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
    cuts: Cuts,
    aliases: Vec<Alias>,
    /// What it takes of the memory of a run.
    _memory: Option<Held>,
}

/// How many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Distinct identifiers.
    pub identifiers: u64,
    /// Rows that tied two identifiers.
    pub edges: u64,
    /// Customers.
    pub customers: u64,
    /// Identifiers that stand for nobody, or that too many share.
    pub identifiers_set_aside: u64,
    /// Ties that were not made, for any reason.
    pub ties_set_aside: u64,
    /// Customers that became one with another, whose id stayed.
    pub merged: u64,
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
        }
    }

    /// Takes a batch of edges, with the columns of [`edges_schema`].
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] with a type that is not declared, or with more than can be numbered.
    pub fn push(&self, batch: &RecordBatch) -> Result<()> {
        let (starts, chunk) = edges::read(&self.rules, &self.interner, &self.sources, batch)?;
        if !chunk.kinds.is_empty() {
            self.edges.fetch_add(chunk.kinds.capacity(), Relaxed);
            self.chunks.lock().unwrap_or_else(PoisonError::into_inner).push((starts, chunk));
        }
        Ok(())
    }

    /// The bytes that finding the customers will take, with all that was taken so far, but for the ties that are made again: of customers
    /// that merged, who are few.
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
        let Resolver { rules, threads, interner, sources, chunks, .. } = self;
        let mut chunks = chunks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut nodes, found) = interner.finish(threads);
        parallel(&mut chunks, threads, |(starts, chunk)| chunk.number(starts, &found));
        drop(found);
        let mut chunks: Vec<Chunk> = chunks.into_iter().map(|(_, chunk)| chunk).collect();
        let sets = Sets::apart(nodes.count());
        guards::pass_on(&rules, &mut nodes, &mut chunks);
        let shared = guards::join(&rules, &mut nodes, &mut chunks, &sets, threads);
        let cuts = guards::cut(&rules, &nodes, &mut chunks, &sets);
        let roots = sets.roots(threads);
        Ok(Joined { rules, threads, sources: sources.finish(), nodes, chunks, roots, shared, cuts })
    }
}

impl Joined {
    /// How many sets of identifiers there are; one that nothing ties is a set.
    pub fn components(&self) -> usize {
        (0..).zip(&self.roots).filter(|(node, root)| node == *root).count()
    }

    /// Names the customers, and finds the names that merges have ended.
    pub fn name(self) -> Resolution {
        let Joined { rules, threads, sources, nodes, mut chunks, roots, shared, cuts } = self;
        let names = ids::names(&rules, &nodes, &roots, threads);
        let aliases = ids::aliases(&rules, &nodes, &mut chunks, &roots, &names, threads);
        Resolution { rules, threads, sources, nodes, chunks, roots, names, shared, cuts, aliases, _memory: None }
    }
}

impl Resolution {
    /// What it takes, in bytes.
    fn bytes(&self) -> usize {
        let edges: usize = self.chunks.iter().map(|chunk| chunk.kinds.capacity()).sum();
        self.nodes.bytes() + self.nodes.count() * 2 * size_of::<u32>() + edges * Chunk::BYTES_OF_ONE
    }
}
