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
mod counts;
mod declared;
mod edges;
mod explain;
mod guards;
mod ids;
mod inherit;
mod intern;
mod joined;
mod keys;
mod known;
mod map;
mod predecessor;
mod resolution;
mod rules;
mod shared;
mod tables;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;

use crate::engine::{Dictionary, parallel};
use crate::error::Result;
use components::Sets;
use edges::{Aside, Chunk, Read, Sources};
use intern::{Interner, Starts};

pub use crate::shown::is_blank;
pub use counts::Counts;
pub use declared::{Before, check_edges, resolve};
pub use edges::edges_schema;
pub use explain::{Answer, EdgeSetAside, Explained, Linked, Sighting, Told};
pub use inherit::Heirs;
pub use joined::Joined;
pub use known::{KnownFrom, NamedBy};
pub use map::{map_of, map_schema};
pub use resolution::Resolution;
pub use rules::{BlockList, MAX_TYPES, Rules, TypeRule, masked, shown};
pub use tables::{
    ALIASES_DESCRIPTIONS, CONFLICTS_DESCRIPTIONS, CUSTOMERS_DESCRIPTIONS, aliases_schema, conflicts_schema, customers_schema,
};

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

impl Resolver {
    /// A resolver without edges, which keeps their texts in a dictionary of its own.
    pub fn new(rules: Rules, threads: usize) -> Self {
        Resolver::over(Arc::default(), rules, threads)
    }

    /// A resolver without edges, for batches whose texts may be codes of a dictionary already.
    pub fn over(dictionary: Arc<Dictionary>, rules: Rules, threads: usize) -> Self {
        let sources = Sources::new(&rules);
        Resolver {
            rules,
            threads: threads.max(1),
            interner: Interner::new(dictionary),
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
        let (mut nodes, found) = interner.finish(threads)?;
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
