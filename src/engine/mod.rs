//! The DataFusion session: its memory and threads, the tables it knows, and running a model in it.

mod answers;
mod arg_max;
mod catalogue;
mod checked;
mod conditions;
mod costs;
mod demand;
mod digest;
mod encoding;
mod estimated;
mod exact;
mod facts;
mod failure;
mod first_rows;
mod gathered;
mod growth;
mod halves;
mod implied;
mod index;
mod inspect;
mod key_values;
mod known_failure;
mod limits;
mod local_date;
mod machine;
mod materialise;
mod materialised_table;
mod mended;
mod names;
mod order;
mod own_order;
mod parameters;
mod planning;
mod pool;
mod privacy;
mod rebound;
mod recursion;
mod reservation;
mod row_hash;
mod rules;
mod scratch;
mod session;
mod sharded;
mod sorted;
mod sorted_lists;
mod spill_files;
mod timings;
mod unsound;
mod watch;

pub use crate::parallel::parallel;
pub use costs::MAX_PARTS;
pub use demand::{Answers, Asked, Demand, Demands, Known, Needs, add, demands, is_monotone};
pub use digest::{DIGEST, DIGEST_VERSION, digest_of, digest_sum, digests, row_digest};
pub use encoding::{CODE, ChunkCodes, CodeSet, Dictionary, HasTexts, TextEncoding, TextSnapshot, answer_schema};
pub use estimated::estimated;
pub use facts::{Facts, facts};
pub use failure::{failed, is_out_of_resources, memory_exceeded};
pub use gathered::Gathered;
pub use halves::{lower_half, upper_half};
pub use implied::with_implied;
pub use index::{HashIndex, Slot};
pub use inspect::{
    breaks_ties, cannot_fail, columns_read, columns_used_in_all_rows, is_correlated, is_row_by_row, reads, unrepeatable, unrepeatable_in,
};
pub use key_values::KeyValues;
pub use known_failure::{KnownFailure, overflow};
pub use limits::Limits;
pub use machine::{memory_at_hand, peak_memory};
pub use materialised_table::MaterialisedTable;
pub use order::{Dependence, dependent_on_order};
pub use own_order::{OrderedBy, is_ordered, own_order};
pub use privacy::{ColumnPrivacy, KnownColumns, Privacy, privacy};
pub use reservation::{Reservation, within_limit};
pub use scratch::Scratch;
pub use timings::{Operator, Work, compute_ms};
pub use unsound::{Unsound, unsound};
pub use watch::{PROGRAM_BYTES, expect_to_read, memory_is_exceeded, watch_memory};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;

/// A DataFusion session with the tables of one run.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    texts: encoding::Texts,
    /// For planning: a session's state is large, and the context copies it whenever it is asked. Tables that are registered later
    /// are seen all the same, since the catalogue is shared.
    state: Arc<SessionState>,
    work: Arc<Work>,
    reservations: Arc<reservation::Reservations>,
    files: spill_files::NamelessFiles,
    /// What tells the rows of tables apart.
    keys: Arc<Mutex<order::Keys>>,
    /// The columns by which tables are sorted, for those that were materialised in an order.
    sorted: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    salt: Arc<OnceLock<String>>,
    /// The most that a function may make of a batch.
    max_bytes: usize,
}
