//! Opens the DataFusion session of an engine with its memory, rules and functions, and answers questions about it.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::arg_max;
use super::checked::Checks;
use super::encoding::{Dictionary, TextEncoding, Texts};
use super::first_rows::CompareByAllKeys;
use super::limits::Limits;
use super::local_date::LocalDates;
use super::materialised_table::MaterialisedTable;
use super::mended::{self, RefreshOuterColumns, RelationsWithoutKeys};
use super::pool::Pool;
use super::recursion::CountRounds;
use super::reservation::{Reservation, Reservations};
use super::scratch::Scratch;
use super::sharded::GroupInShards;
use super::spill_files::NamelessFiles;
use super::timings::Work;
use super::{Engine, exact, growth};
use crate::error::{Error, Result};

/// Memory is tight when what is held is more than this part of the limit.
const TIGHT: usize = 4;

impl Engine {
    /// An engine without tables, in the default text encoding.
    ///
    /// # Errors
    /// As [`Engine::with_text_encoding`].
    pub fn new(limits: Limits, time_zone: &str) -> Result<Self> {
        Engine::with_text_encoding(limits, time_zone, TextEncoding::default())
    }

    /// An engine without tables.
    ///
    /// # Errors
    /// [`Error::Defect`] when DataFusion refuses its configuration.
    pub fn with_text_encoding(limits: Limits, time_zone: &str, text_encoding: TextEncoding) -> Result<Self> {
        let pool = Arc::new(Pool::new(limits.memory_bytes));
        let tables_go_to_disk = Arc::clone(&pool);
        let pool: Arc<dyn MemoryPool> = pool;
        let (reservations, files) = (Reservations::of(&pool, limits.memory_bytes), NamelessFiles::default());
        tables_go_to_disk.make_room_from(&reservations);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(files.disk()).build_arc();
        let runtime = runtime.map_err(|error| Error::defect(format!("the engine did not start: {error}")))?;
        let state = SessionStateBuilder::new()
            .with_config(configuration(limits, time_zone))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(mended::rules())
            .with_physical_optimizer_rules(mended::physical_rules())
            .with_relation_planners(vec![Arc::new(RelationsWithoutKeys)])
            .with_analyzer_rule(Arc::new(RefreshOuterColumns))
            .with_analyzer_rule(Arc::new(Checks { max_bytes: growth::max_bytes(limits) }))
            .with_optimizer_rule(Arc::new(LocalDates::default()))
            .with_physical_optimizer_rule(Arc::new(CountRounds))
            .with_physical_optimizer_rule(Arc::new(CompareByAllKeys))
            .with_physical_optimizer_rule(Arc::new(GroupInShards::within(limits)))
            .build();
        let context = SessionContext::new_with_state(state);
        for function in crate::functions::all() {
            context.register_udf(function);
        }
        let salt = Arc::new(OnceLock::new());
        for function in crate::functions::hashing_with(&salt) {
            context.register_udf(function);
        }
        for function in exact::functions().into_iter().chain(arg_max::functions()) {
            context.register_udaf(function);
        }
        let state = Arc::new(context.state());
        Ok(Engine {
            context,
            texts: Texts::new(text_encoding, reservations.reservation()),
            state,
            work: Arc::default(),
            reservations,
            files,
            keys: Arc::default(),
            sorted: Arc::default(),
            salt,
            max_bytes: growth::max_bytes(limits),
        })
    }

    /// The same engine with smaller batches, for those who want few rows and want them soon. It must have no tables yet.
    #[must_use]
    pub fn with_batches_of(mut self, rows: usize) -> Self {
        let mut state = self.context.state();
        let config = state.config().clone().with_batch_size(rows.clamp(1, self.batch_rows()));
        *state.config_mut() = config;
        self.context = SessionContext::new_with_state(state);
        self.state = Arc::new(self.context.state());
        self
    }

    /// Sets the secret of `identifier_hash`. Unless this is called it hashes without one.
    pub fn hash_with(&self, salt: &str) {
        let _ = self.salt.set(salt.to_owned());
    }

    /// A materialised table without rows. It is moved to disk when memory is needed.
    pub fn empty_table(&self, schema: SchemaRef) -> Arc<MaterialisedTable> {
        MaterialisedTable::new(schema, self.threads(), &self.reservations, self.context.runtime_env(), &self.work)
    }

    /// A new memory reservation of no bytes.
    pub fn reservation(&self) -> Reservation {
        self.reservations.reservation()
    }

    /// A spill file for bytes that do not fit memory.
    pub fn scratch(&self) -> Scratch {
        Scratch::new(&self.files)
    }

    /// The bytes of all memory reservations, which do not include the operators of queries.
    pub fn reserved_bytes(&self) -> usize {
        self.reservations.bytes()
    }

    /// Whether what is held leaves little memory for several things at once.
    pub fn is_tight(&self) -> bool {
        self.reserved_bytes() > self.memory_limit() / TIGHT
    }

    /// How tables and operators represent texts.
    pub fn text_encoding(&self) -> TextEncoding {
        self.texts.encoding()
    }

    /// The dictionary of this engine, whose codes tables and operators may have instead of texts.
    pub fn dictionary(&self) -> &Arc<Dictionary> {
        self.texts.dictionary()
    }

    /// The DataFusion session, for everything that this type does not wrap.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The queries and counts since they were last taken.
    pub fn work(&self) -> &Arc<Work> {
        &self.work
    }

    /// The number of threads, and of partitions of a query.
    pub fn threads(&self) -> usize {
        self.state.config().target_partitions()
    }

    /// The most rows of a batch.
    pub fn batch_rows(&self) -> usize {
        self.state.config().batch_size()
    }

    /// The memory limit in bytes, for tables, texts, identifiers and operators together.
    pub fn memory_limit(&self) -> usize {
        self.reservations.limit()
    }
}

fn configuration(limits: Limits, time_zone: &str) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(limits.threads)
        .with_batch_size(limits.batch_rows())
        .with_information_schema(false)
        .with_collect_statistics(true);
    let options = config.options_mut();
    options.execution.time_zone = Some(time_zone.to_owned());
    options.execution.parquet.pushdown_filters = false;
    // Small enough that a join of two sorted inputs fits a small memory limit.
    options.execution.sort_spill_reservation_bytes = 1024 * 1024;
    options.sql_parser.collect_spans = true;
    // It refuses what is right: an expression may be known to the logical plan alone never to be null.
    options.execution.skip_physical_aggregate_schema_check = true;
    config
}
