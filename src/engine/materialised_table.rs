//! A materialised table: the rows of a model between the query that computes them and those that read them, in memory or on disk.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SpillManager, coop::make_cooperative,
};
use futures::{Stream, StreamExt, TryStreamExt};

use super::gathered::Gathered;
use super::reservation::{Reservation, Reservations, Spillable};
use super::timings::Work;

/// The most rows of a batch. A larger batch is cut, so that all threads get a part of it.
const BATCH_ROWS: usize = 8_192;

/// The rows of a materialised table. Its batches are dealt out in turn over the partitions in which all threads read it.
pub struct MaterialisedTable {
    partitions: usize,
    state: Mutex<State>,
    /// The reservation of what is in memory.
    reservation: Reservation,
    disk: SpillManager,
    work: Arc<Work>,
}

#[derive(Default)]
struct State {
    in_memory: Gathered,
    /// For each partition, the rows that came before those in memory.
    on_disk: Vec<OnDisk>,
    /// How many batches were put on disk.
    put_on_disk: usize,
    /// Whether rows are lost because the disk failed.
    is_broken: bool,
    rows: usize,
    bytes: usize,
}

/// The part of a partition that is on disk. A file is appended to until it is read, so that there are few files.
#[derive(Default)]
struct OnDisk {
    files: Vec<Arc<dyn SpillFile>>,
    begun: Option<Writer>,
}

/// Appends a batch to a file, or finishes the file and returns it. It is a function because DataFusion's type for it has no public name.
type Writer = Box<dyn FnMut(Option<&RecordBatch>) -> Result<Option<Arc<dyn SpillFile>>> + Send>;

impl MaterialisedTable {
    /// A table without rows.
    pub fn new(
        schema: SchemaRef,
        partitions: usize,
        reservations: &Arc<Reservations>,
        runtime: Arc<RuntimeEnv>,
        work: &Arc<Work>,
    ) -> Arc<Self> {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let on_disk = (0..partitions).map(|_| OnDisk::default()).collect();
        let materialised = Arc::new(MaterialisedTable {
            partitions,
            state: Mutex::new(State { on_disk, ..State::default() }),
            reservation: reservations.reservation(),
            disk: SpillManager::new(runtime, metrics, schema),
            work: Arc::clone(work),
        });
        let weak: Weak<MaterialisedTable> = Arc::downgrade(&materialised);
        reservations.may_spill(weak);
        materialised
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When they fit neither memory nor disk, or have other columns.
    pub fn push(&self, batch: RecordBatch) -> Result<()> {
        let types = |schema: &SchemaRef| schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
        if types(self.disk.schema()) != types(&batch.schema()) {
            return Err(DataFusionError::Internal("a materialised table was given a batch of other columns".to_owned()));
        }
        let mut state = self.state();
        state.rows += batch.num_rows();
        let mut more = 0;
        for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
            more += state.in_memory.add(batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)));
        }
        state.bytes += more;
        self.reservation.count(more);
        // Making room may spill this table, which needs the lock.
        drop(state);
        self.reservation.fit()
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.disk.schema())
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.state().rows
    }

    fn writer(&self) -> Result<Writer> {
        let mut file = self.disk.create_in_progress_file("a materialised table")?;
        Ok(Box::new(move |batch| match batch {
            Some(batch) => file.append_batch(batch).map(|_| None),
            None => file.finish(),
        }))
    }

    /// The rows of a partition: first the files on disk, then the batches in memory. With each batch comes whether it was on disk.
    fn read(&self, partition: usize) -> Result<impl Stream<Item = Result<(RecordBatch, bool)>> + use<>> {
        let mut state = self.state();
        if state.is_broken {
            return Err(DataFusionError::IoError(std::io::Error::other("rows of a materialised table could not be put on disk")));
        }
        if let Some(mut begun) = state.on_disk[partition].begun.take() {
            state.is_broken = true;
            let file = begun(None)?;
            state.on_disk[partition].files.extend(file);
            state.is_broken = false;
        }
        let on_disk = &state.on_disk[partition];
        let (disk, files) = (self.disk.clone(), on_disk.files.clone());
        let files = futures::stream::iter(files).map(move |file| disk.read_spill_as_stream(file, None)).try_flatten();
        // The batches in memory continue the turn of those on disk.
        let first = (partition + self.partitions - state.put_on_disk % self.partitions) % self.partitions;
        let batches: Vec<_> = state.in_memory.batches.iter().skip(first).step_by(self.partitions).cloned().collect();
        Ok(files.map_ok(|batch| (batch, true)).chain(futures::stream::iter(batches).map(|batch| Ok((batch, false)))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The statistics of so many of its columns, of all partitions together or of one.
    fn statistics(&self, columns: usize, in_all: bool) -> Statistics {
        let state = self.state();
        let rows = if in_all { Precision::Exact(state.rows) } else { Precision::Inexact(state.rows / self.partitions) };
        let bytes = state.bytes * columns / self.disk.schema().fields().len().max(1);
        let bytes = Precision::Inexact(if in_all { bytes } else { bytes / self.partitions });
        Statistics { num_rows: rows, total_byte_size: bytes, column_statistics: vec![ColumnStatistics::new_unknown(); columns] }
    }
}

impl Spillable for MaterialisedTable {
    fn in_memory(&self) -> usize {
        self.state().in_memory.bytes
    }

    fn spill(&self) -> Result<()> {
        let mut state = self.state();
        let in_memory = std::mem::take(&mut state.in_memory);
        self.reservation.shrink(in_memory.bytes);
        self.work.count_spilled(in_memory.bytes as u64);
        state.is_broken = true;
        for batch in in_memory.into_batches() {
            let partition = state.put_on_disk % self.partitions;
            state.put_on_disk += 1;
            let on_disk = &mut state.on_disk[partition];
            let mut writer = match on_disk.begun.take() {
                Some(writer) => writer,
                None => self.writer()?,
            };
            writer(Some(&batch))?;
            on_disk.begun = Some(writer);
        }
        state.is_broken = false;
        Ok(())
    }
}

fn copied(batch: &RecordBatch) -> Result<RecordBatch> {
    let all = UInt32Array::from_iter_values(0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX));
    Ok(take_record_batch(batch, &all)?)
}

impl fmt::Debug for MaterialisedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.state().rows)
    }
}

/// A materialised table as SQL sees it. Columns that no query reads may be missing.
#[derive(Debug)]
pub struct MaterialisedProvider {
    schema: SchemaRef,
    /// For every column its position in the materialised table; none if it is missing there.
    positions: Vec<Option<usize>>,
    materialised: Arc<MaterialisedTable>,
}

impl MaterialisedProvider {
    /// A table with the columns of `schema`. Those that have a position are in `materialised`.
    pub fn new(schema: SchemaRef, positions: Vec<Option<usize>>, materialised: Arc<MaterialisedTable>) -> Self {
        MaterialisedProvider { schema, positions, materialised }
    }
}

#[async_trait]
impl TableProvider for MaterialisedProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.materialised.statistics(self.positions.len(), true))
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.positions.len()).collect();
        let wanted = projection.unwrap_or(&all);
        let materialised = |&at: &usize| {
            let missing = || DataFusionError::Internal(format!("the column {} was not materialised", self.schema.field(at).name()));
            self.positions[at].ok_or_else(missing)
        };
        let positions = wanted.iter().map(materialised).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(MaterialisedExec::new(Arc::clone(&self.materialised), Arc::new(self.schema.project(wanted)?), positions)))
    }
}

/// Reads a materialised table.
#[derive(Debug)]
pub struct MaterialisedExec {
    materialised: Arc<MaterialisedTable>,
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MaterialisedExec {
    fn new(materialised: Arc<MaterialisedTable>, schema: SchemaRef, columns: Vec<usize>) -> Self {
        let partitioning = Partitioning::UnknownPartitioning(materialised.partitions);
        let properties =
            PlanProperties::new(EquivalenceProperties::new(schema), partitioning, EmissionType::Incremental, Boundedness::Bounded);
        let properties = Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative));
        MaterialisedExec { materialised, columns, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for MaterialisedExec {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaterialisedExec: {:?}, columns {:?}", self.materialised, self.columns)
    }
}

impl ExecutionPlan for MaterialisedExec {
    fn name(&self) -> &'static str {
        "MaterialisedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _none: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (columns, schema) = (self.columns.clone(), self.schema());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let materialised = Arc::clone(&self.materialised);
        // The partition is opened when its first batch is asked for: until then more of the table may go to disk.
        let read = futures::stream::once(async move { materialised.read(partition) }).try_flatten();
        let projected = read.map(move |read| {
            let (batch, was_on_disk) = read?;
            let projected = batch.project(&columns)?;
            // All columns of a batch from disk share one allocation. A copy of a few columns lets it be freed.
            let some = !columns.is_empty() && columns.len() < batch.num_columns();
            Ok(if was_on_disk && some { copied(&projected)? } else { projected })
        });
        let counted = projected.inspect_ok(move |batch| metrics.record_output(batch.num_rows()));
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(schema, counted))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::new(self.materialised.statistics(self.columns.len(), asked.partition().is_none())))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::engine::{Engine, Limits};

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("number", DataType::Int64, false), Field::new("square", DataType::Int64, false)]))
    }

    fn batch(start: i64) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(start..start + 100);
        let squares = Int64Array::from_iter_values((start..start + 100).map(|number| number * number));
        RecordBatch::try_new(schema(), vec![Arc::new(numbers), Arc::new(squares)]).unwrap()
    }

    async fn squares(materialised: &Arc<MaterialisedTable>) -> Vec<Vec<i64>> {
        let exec = MaterialisedExec::new(Arc::clone(materialised), Arc::new(schema().project(&[1]).unwrap()), vec![1]);
        let mut read = Vec::new();
        for partition in 0..materialised.partitions {
            let stream = exec.execute(partition, SessionContext::new().task_ctx()).unwrap();
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            read.push(batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect());
        }
        read
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_on_disk_is_read_as_if_it_were_in_memory() {
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(1 << 30));
        let work = Arc::default();
        let table = |limit| MaterialisedTable::new(schema(), 2, &Reservations::of(&pool, limit), Arc::default(), &work);
        let (roomy, tight) = (table(1 << 30), table(16_000));
        for start in (0..3_000).step_by(100) {
            roomy.push(batch(start)).unwrap();
            tight.push(batch(start)).unwrap();
            assert!(tight.in_memory() <= 8_000 && roomy.in_memory() == roomy.state().bytes);
        }
        assert!(work.take().spilled_bytes > 20_000, "nothing was put on disk, so nothing is shown");
        // Batches are dealt out evenly and stay in order, whatever went to disk in between.
        let read = squares(&roomy).await;
        assert_eq!(read, squares(&tight).await);
        let of_partition = |odd: i64| (0..3_000).filter(move |number| number / 100 % 2 == odd).map(|number| number * number);
        assert_eq!(read, [of_partition(0).collect::<Vec<i64>>(), of_partition(1).collect()]);
        assert_eq!(tight.statistics(2, true), roomy.statistics(2, true));
        // A table that has been read can grow and be spilled again.
        tight.push(batch(3_000)).unwrap();
        tight.spill().unwrap();
        assert_eq!((tight.in_memory(), squares(&tight).await.concat().len()), (0, 3_100));
        let no_columns = MaterialisedExec::new(Arc::clone(&tight), Arc::new(Schema::empty()), Vec::new());
        let rows = no_columns.execute(0, SessionContext::new().task_ctx()).unwrap().map_ok(|batch| batch.num_rows());
        assert_eq!(rows.try_fold(0, async |sum, rows| Ok(sum + rows)).await.unwrap(), 1_600);
        // Only what is in memory is still reserved, and it is given back.
        drop((roomy, tight));
        assert_eq!(pool.reserved(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_largest_table_makes_room_for_what_cannot_be_put_on_disk() {
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(1 << 30));
        let reservations = Reservations::of(&pool, 40_000);
        let work = Arc::default();
        let (small, large) = ([(); 2]).map(|()| MaterialisedTable::new(schema(), 1, &reservations, Arc::default(), &work)).into();
        small.push(batch(0)).unwrap();
        (0..5).for_each(|turn| large.push(batch(turn * 100)).unwrap());
        let identifiers = reservations.reservation();
        identifiers.grow(15_000).unwrap();
        assert_eq!((small.in_memory() > 0, large.in_memory()), (true, 0));
        assert!(identifiers.grow(30_000).is_err());
        assert_eq!(small.in_memory(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_join_that_does_not_fit_memory_sorts_both_sides() {
        let keep = async |memory_bytes| {
            let engine = Engine::new(Limits { threads: 2, memory_bytes }, "UTC").unwrap();
            let batches: Vec<RecordBatch> = (0..5_000).map(|turn| batch(turn * 100)).collect();
            engine.register_batches("one", schema(), batches.clone()).unwrap();
            engine.register_batches("other", schema(), batches).unwrap();
            let joined = engine.query("select one.number, other.square from one join other on other.square = one.square").await.unwrap();
            let rows = engine.materialise("joined", joined).await.unwrap();
            let operators: Vec<String> = engine.work().take().operators.into_iter().map(|operator| operator.name).collect();
            let sum = engine.query("select sum(number + square) from joined").await.unwrap();
            (rows, engine.collect(sum).await.unwrap().1, operators.contains(&"SortMergeJoinExec".to_owned()))
        };
        let (rows, sum, sorted) = keep(1 << 30).await;
        assert_eq!((rows, sorted), (500_000, false));
        assert_eq!(keep(16 << 20).await, (rows, sum, true));
    }
}
