//! The DataFusion session: its memory and threads, the tables it knows, and running a model in it.

mod arg_max;
mod catalogue;
mod checked;
mod costs;
mod dictionary;
mod disks;
mod encoding;
mod estimated;
mod exact;
mod functions;
mod growth;
mod index;
mod inspect;
mod kept;
mod local_date;
mod machine;
mod memory;
mod order;
mod packing;
mod parallel;
mod parameters;
mod pool;
mod profile;
mod recursion;
mod rules;
mod scratch;
mod table;
mod told;
mod watch;

pub use costs::MAX_PARTS;
pub use dictionary::{CODE, ChunkCodes, Dictionary};
pub use estimated::estimated;
pub use index::{HashIndex, Slot};
pub use inspect::{columns_read, reads, unrepeatable, unrepeatable_in};
pub use kept::Kept;
pub use machine::memory_at_hand;
pub use memory::{Gathered, Held, failed, is_want_of_room, out_of_memory, peak_memory, within_limit};
pub use order::{Dependence, dependent_on_order};
pub use parallel::parallel;
pub use profile::{Operator, Work, compute_ms};
pub use scratch::Scratch;
pub use table::{decoded_batch, encoded_schema};
pub use told::{Told, told};
pub use watch::{PROGRAM_BYTES, expect_to_read, memory_is_exceeded, watch_memory};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use checked::Checks;
use disks::NamelessFiles;
use encoding::Encoder;
use kept::KeptTable;
use local_date::LocalDates;
use memory::Holdings;
use order::Keys;
use parameters::bind;
use pool::Pool;
use recursion::CountRounds;
use table::is_text;

/// Rows of a batch where there is memory enough, and at least.
const BATCH_ROWS: std::ops::RangeInclusive<usize> = 512..=8192;
/// The memory of a thread for each row of a batch: several operators hold some batches each, of rows with many columns.
const BYTES_A_BATCH_ROW: usize = 32 * 1024;

/// Batches of an answer that are decoded before somebody takes them.
const DECODED_AHEAD: usize = 4;

/// What a run may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads, which is also the number of partitions that work is split into.
    pub threads: usize,
    /// Bytes that tables, texts, identifiers and operators may take together; past them tables and operators spill.
    pub memory_bytes: usize,
}

/// A DataFusion session with the tables of one run.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    dictionary: Arc<Dictionary>,
    /// For planning: a session's state is large, and the context copies it whenever it is asked. Tables that are registered later
    /// are seen all the same, since the catalogue is shared.
    state: Arc<SessionState>,
    work: Arc<Work>,
    holdings: Arc<Holdings>,
    files: NamelessFiles,
    /// What tells the rows of tables apart.
    keys: Arc<Mutex<Keys>>,
    salt: Arc<OnceLock<String>>,
    /// The most that a function may make of a batch.
    most_bytes: usize,
}

/// A planned query whose rows are codes where its answer has text.
struct Answer {
    plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    dictionary: Arc<Dictionary>,
}

impl Answer {
    fn decode(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        table::decoded_batch(&self.dictionary, &self.schema, batch)
    }
}

impl Engine {
    /// A session without tables.
    ///
    /// # Errors
    /// [`Error::Defect`] when DataFusion refuses its configuration.
    pub fn new(limits: Limits, time_zone: &str) -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_target_partitions(limits.threads)
            .with_batch_size(batch_rows(limits))
            .with_information_schema(false)
            .with_collect_statistics(true);
        let options = config.options_mut();
        options.execution.time_zone = Some(time_zone.to_owned());
        options.execution.parquet.pushdown_filters = false;
        // Small enough that a join of two sorted inputs fits a small limit.
        options.execution.sort_spill_reservation_bytes = 1024 * 1024;
        options.sql_parser.collect_spans = true;
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(limits.memory_bytes));
        let (holdings, files) = (Holdings::of(&pool, limits.memory_bytes), NamelessFiles::default());
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(files.disk()).build_arc();
        let runtime = runtime.map_err(|error| Error::defect(format!("the engine did not start: {error}")))?;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rule(Arc::new(Checks { most_bytes: growth::most_bytes(limits) }))
            .with_optimizer_rule(Arc::new(LocalDates::default()))
            .with_physical_optimizer_rule(Arc::new(CountRounds))
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
            dictionary: Arc::new(Dictionary::within(holdings.part())),
            state,
            work: Arc::default(),
            holdings,
            files,
            keys: Arc::default(),
            salt,
            most_bytes: growth::most_bytes(limits),
        })
    }

    /// Says with which secret identifiers are hashed; unless it is called, they are hashed without one.
    pub fn hash_with(&self, salt: &str) {
        let _ = self.salt.set(salt.to_owned());
    }

    /// A plan as it will run: optimised, and with every order total that its result depends on.
    fn optimized(&self, state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let plan = state.optimize(plan)?;
        costs::refuse_large_constants(&plan)?;
        order::with_ties_broken(plan, &self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A table without rows, which is put on disk when there is no room for it.
    pub fn table(&self, encoded: SchemaRef) -> Arc<Kept> {
        Kept::new(encoded, self.threads(), &self.holdings, self.context.runtime_env(), &self.work)
    }

    /// A part, empty yet, of what may be held beside the operators of queries.
    pub fn hold(&self) -> Held {
        self.holdings.part()
    }

    /// Room on disk for what does not fit memory.
    pub fn scratch(&self) -> Scratch {
        Scratch::new(&self.files)
    }

    /// What is held beside the operators of queries, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.holdings.bytes()
    }

    /// The codes of the texts in this engine's tables.
    pub fn dictionary(&self) -> &Arc<Dictionary> {
        &self.dictionary
    }

    /// Plans a statement with its parameters bound.
    ///
    /// # Errors
    /// DataFusion's own, for the caller to put beside the SQL.
    pub async fn plan(&self, statement: &Statement, parameters: &BTreeMap<String, ScalarValue>) -> Result<LogicalPlan, DataFusionError> {
        let bound = bind(statement.clone(), parameters)?;
        let plan = self.state.statement_to_plan(bound).await?;
        costs::parts(&plan)?;
        read_only().verify_plan(&plan)?;
        Ok(plan)
    }

    /// Checks the types of a planned query, which planning alone does not.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn check_types(&self, plan: &LogicalPlan) -> Result<(), DataFusionError> {
        // The optimiser's passes check no more than the analyser's do, and take most of the time.
        self.state.analyzer().execute_and_check(plan.clone(), self.state.config_options(), |_, _| {}).map(|_| ())
    }

    /// A planned query as it will run, with its types checked.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn optimize(&self, plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        self.optimized(&self.state, plan)
    }

    /// The most parts that a column of a planned query comes to: what reads it without keeping it comes to as many more.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn parts(plan: &LogicalPlan) -> Result<u64, DataFusionError> {
        costs::parts(plan)
    }

    /// A planned query, ready to run.
    pub fn frame(&self, plan: LogicalPlan) -> DataFrame {
        DataFrame::new(self.context.state(), plan)
    }

    /// Runs a query to its end; the rows, and their columns as they came out.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn collect(&self, frame: DataFrame) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
        let answer = self.answer(frame).await?;
        self.work.runs(&answer.plan);
        let batches = datafusion::physical_plan::collect(Arc::clone(&answer.plan), self.context.task_ctx()).await?;
        let batches = batches.iter().map(|batch| answer.decode(batch)).collect::<Result<_, _>>()?;
        Ok((answer.schema, batches))
    }

    /// Runs a query and hands its rows on as they come.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn stream(&self, frame: DataFrame) -> Result<SendableRecordBatchStream, DataFusionError> {
        let answer = self.answer(frame).await?;
        self.work.runs(&answer.plan);
        let mut rows = datafusion::physical_plan::execute_stream(Arc::clone(&answer.plan), self.context.task_ctx())?;
        // Decoded beside whoever takes the rows, who has enough to do.
        let mut decoding = RecordBatchReceiverStream::builder(Arc::clone(&answer.schema), DECODED_AHEAD);
        let decoded = decoding.tx();
        decoding.spawn(async move {
            while let Some(batch) = rows.next().await {
                let batch = batch.and_then(|batch| answer.decode(&batch));
                // Nobody takes rows any more: the query is dropped.
                if decoded.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(decoding.build())
    }

    /// Runs a query and hands its rows, in no order, to somebody who takes them from several threads at once.
    ///
    /// # Errors
    /// DataFusion's own, and those of whoever takes the rows.
    pub async fn share_out<T: Send + Sync + 'static>(
        &self,
        frame: DataFrame,
        taker: &Arc<T>,
        take: fn(&T, RecordBatch) -> Result<(), DataFusionError>,
    ) -> Result<(), DataFusionError> {
        let answer = Arc::new(self.answer(frame).await?);
        self.work.runs(&answer.plan);
        let mut taking = JoinSet::new();
        for mut rows in datafusion::physical_plan::execute_stream_partitioned(Arc::clone(&answer.plan), self.context.task_ctx())? {
            let (answer, taker) = (Arc::clone(&answer), Arc::clone(taker));
            taking.spawn(async move {
                while let Some(batch) = rows.next().await {
                    take(&taker, answer.decode(&batch?)?)?;
                }
                Ok::<(), DataFusionError>(())
            });
        }
        while let Some(done) = taking.join_next().await {
            done.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
        }
        Ok(())
    }

    /// Runs a query to its end and makes its rows readable by SQL; how many there are.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn keep(&self, name: &str, frame: DataFrame) -> Result<u64, DataFusionError> {
        let (mut state, plan) = frame.into_parts();
        let optimized = self.optimized(&state, &plan)?;
        let keys = order::keys_of(&optimized, &self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let texts: Vec<_> = optimized.schema().fields().iter().map(|field| Some(field.data_type().clone()).filter(is_text)).collect();
        let encoded = Encoder::new(&state, &self.dictionary).encoded(optimized)?;
        let plan = state.query_planner().create_physical_plan(&encoded, &state).await?;
        let may_sort = has_hash_join(&plan) && kept::reads_nothing_else(&encoded)?;
        let kept = match self.fill(plan).await {
            // Hash joins hold one side and cannot spill; sorting both takes longer, and can. What reads a source is not run twice.
            Err(error) if may_sort && memory::is_want_of_memory(&error) => {
                self.work.ends();
                let options = state.config_mut().options_mut();
                options.optimizer.prefer_hash_join = false;
                // With one partition DataFusion plans no other join.
                options.execution.target_partitions = options.execution.target_partitions.max(2);
                self.fill(state.query_planner().create_physical_plan(&encoded, &state).await?).await?
            }
            filled => filled?,
        };
        let (held, rows) = (kept.schema(), kept.rows() as u64);
        let schema = table::decoded_schema(&held, &texts);
        let table = KeptTable::new(held, (0..schema.fields().len()).map(Some).collect(), kept);
        self.register_encoded(name, schema, Arc::new(table)).map_err(|error| DataFusionError::External(error.to_string().into()))?;
        for key in keys {
            self.declare_key(name, key.into_iter().map(|column| column.name).collect());
        }
        Ok(rows)
    }

    /// The rows of a query.
    async fn fill(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<Kept>, DataFusionError> {
        self.work.runs(&plan);
        let kept = self.table(plan.schema());
        let mut batches = datafusion::physical_plan::execute_stream(plan, self.context.task_ctx())?;
        while let Some(batch) = batches.next().await.transpose()? {
            kept.push(batch)?;
        }
        Ok(kept)
    }

    /// A query as DataFusion runs it. Codes are decoded after it and not in it, so that its rows stay in order.
    async fn answer(&self, frame: DataFrame) -> Result<Answer, DataFusionError> {
        let (state, plan) = frame.into_parts();
        let encoded = Encoder::new(&state, &self.dictionary).rewrite(self.optimized(&state, &plan)?)?;
        let plan = state.query_planner().create_physical_plan(&encoded.plan, &state).await?;
        let schema = table::decoded_schema(&plan.schema(), &encoded.columns);
        Ok(Answer { plan, schema, dictionary: Arc::clone(&self.dictionary) })
    }

    /// A query over registered tables; what would write is an error.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn query(&self, sql: &str) -> Result<DataFrame, DataFusionError> {
        self.context.sql_with_options(sql, read_only()).await
    }

    /// The DataFusion session, for what this type does not wrap.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// What ran and was read since somebody last asked.
    pub fn work(&self) -> &Arc<Work> {
        &self.work
    }

    /// How many partitions work is split into.
    pub fn threads(&self) -> usize {
        self.state.config().target_partitions()
    }

    /// The most rows of a batch.
    pub fn batch_rows(&self) -> usize {
        self.state.config().batch_size()
    }

    /// What tables, texts, identifiers and operators may take together, in bytes.
    pub fn memory_limit(&self) -> usize {
        self.holdings.limit()
    }
}

/// Rows to a batch, fewer where there is little memory. What is published does not depend on it.
fn batch_rows(limits: Limits) -> usize {
    let of_thread = limits.memory_bytes / limits.threads.max(1);
    (of_thread / BYTES_A_BATCH_ROW).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end())
}

/// What a plan may do. SQL that writes is refused as text; this is for what nobody thought of.
fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

fn has_hash_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>() || plan.children().into_iter().any(has_hash_join)
}
