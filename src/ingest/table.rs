//! A source as a table that DataFusion scans: its pieces are distributed over the threads, and a scan reads only the columns it needs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::Result as EngineResult;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};

use super::collector::Collector;
use super::contract::Contract;
use super::deduplicate::{MAX_PIECES, PlacedRows, Superseded, placed_schema};
use super::extract::Extract;
use super::held::HeldCodes;
use super::needles::Needles;
use super::parquet;
use super::remarks;
use super::scan::{Scan, Unit, carried};
use crate::config::SourceFormat;
use crate::engine::{CODE, Dictionary, Engine, HasTexts, Reservation, Work, estimated};
use crate::error::{Error, Message, Result};
use crate::storage::File;

/// Batches that wait between a reader and the operator above it.
const BATCHES_AHEAD: usize = 2;
/// Of the limit, for each block of text that is looked at: its text, its rows, and what waits behind it.
const BYTES_A_BLOCK: usize = 16 << 20;
/// The planner takes a fifth of the rows for what passes a filter. A source that is held for a join cannot be put on disk, so it is said to have
/// that many times more rows, and is held only where it is smaller for certain.
const UNFILTERED: u64 = 5;
/// The least bytes of a row of text, and how many times larger a packed file may become.
const LEAST_ROW_BYTES: u64 = 16;
const TIMES_UNPACKED: u64 = 20;
/// The part of the limit that row groups may take as they are fetched, when several are read at once.
const PART_OF_LIMIT: usize = 4;

/// A source that can be scanned, with its texts as the engine holds them unless it is asked for [`SourceTable::with_texts`].
#[derive(Debug, Clone)]
pub struct SourceTable {
    contract: Arc<Contract>,
    schema: SchemaRef,
    collector: Arc<Collector>,
    dictionary: Arc<Dictionary>,
    work: Arc<Work>,
    held: Arc<HeldCodes>,
    scans_left: Arc<AtomicUsize>,
    units: Arc<[Unit]>,
    /// What the footers of its files take.
    footers: Arc<Reservation>,
    rows: Precision<usize>,
    superseded: Option<Arc<Superseded>>,
    needles: Option<Arc<Needles>>,
    counts: bool,
    threads: usize,
    batch_rows: usize,
    blocks_that_fit: usize,
}

/// More rows than a file of text has, as a rule: nobody has counted them.
fn most_rows_of((file, format): &(File, SourceFormat)) -> u64 {
    match format {
        SourceFormat::Parquet => 0,
        SourceFormat::Csv | SourceFormat::Ndjson | SourceFormat::Json => {
            let is_packed = [".gz", ".zst", ".gzip", ".zstd"].iter().any(|ending| file.meta.location.as_ref().ends_with(ending));
            let unpacked = file.meta.size.saturating_mul(if is_packed { TIMES_UNPACKED } else { 1 });
            unpacked / LEAST_ROW_BYTES + 1
        }
    }
}

impl SourceTable {
    /// Opens a source that will be scanned so often: reads the footers of its Parquet files.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] when a file is damaged or lacks a column.
    pub async fn open(extract: &Extract, collector: Arc<Collector>, engine: &Engine, scans: usize) -> Result<Self> {
        let is_parquet = |format: &SourceFormat| *format == SourceFormat::Parquet;
        let columnar: Vec<_> = extract.files.iter().filter(|(_, format)| is_parquet(format)).map(|(file, _)| file.clone()).collect();
        let footers = engine.reservation();
        let groups = parquet::row_groups(&columnar, &extract.contract, Some(&footers)).await?;
        for group in groups.iter().filter(|group| group.index == 0) {
            group.read_as(&extract.contract).for_each(|(column, name)| collector.remark(&group.file.shown, remarks::read_as(name, column)));
        }
        let rows: u64 = groups.iter().map(parquet::RowGroup::rows).fold(0, u64::saturating_add);
        let text = extract.files.iter().filter(|(_, format)| !is_parquet(format)).map(|(file, format)| Unit::Text(file.clone(), *format));
        // How many elements are rows nobody knows before they are read.
        let known = (columnar.len() == extract.files.len() && extract.contract.each.is_none()).then_some(rows);
        let most_rows: u64 = groups.iter().map(parquet::RowGroup::most_rows).fold(0, u64::saturating_add);
        let most_rows = known.unwrap_or_else(|| extract.files.iter().map(most_rows_of).fold(most_rows, u64::saturating_add));
        let units: Vec<Unit> = groups.into_iter().map(|group| Unit::RowGroup(Box::new(group))).chain(text).collect();
        if !extract.contract.key.is_empty() && units.len() > MAX_PIECES {
            let what = format!("the source `{}` has a key, and more than {MAX_PIECES} files and row groups", extract.contract.source);
            return Err(Error::Refused(Message::new(what).hint("have it exported in larger files, or narrow its `location`")));
        }
        collector.expect(units.len(), known);
        let rows = Precision::Inexact(usize::try_from(most_rows.saturating_mul(UNFILTERED)).unwrap_or(usize::MAX));
        let schema = engine.stored_schema(&extract.contract.schema);
        let (dictionary, work) = (Arc::clone(engine.dictionary()), Arc::clone(engine.work()));
        let (contract, scans_left) = (Arc::clone(&extract.contract), Arc::new(AtomicUsize::new(scans)));
        let held = Arc::new(HeldCodes::within(engine.reservation()));
        let (superseded, threads, batch_rows) = (None, engine.threads(), engine.batch_rows());
        let blocks_that_fit = engine.memory_limit() / BYTES_A_BLOCK;
        Ok(SourceTable {
            contract,
            schema,
            collector,
            dictionary,
            work,
            held,
            scans_left,
            units: units.into(),
            footers: Arc::new(footers),
            rows,
            superseded,
            needles: None,
            counts: true,
            threads,
            batch_rows,
            blocks_that_fit,
        })
    }

    /// The table without rows that others supersede.
    pub fn without(self, superseded: Arc<Superseded>) -> Self {
        SourceTable { superseded: Some(superseded), ..self }
    }

    /// The table for those who choose some of its rows: without parts of CSV files that have none of some texts, and without counting what is
    /// rejected.
    pub fn uncounted(self, needles: Option<Needles>) -> Self {
        SourceTable { needles: needles.map(Arc::new), counts: false, ..self }
    }

    /// The table with its texts as they are.
    pub fn with_texts(self) -> Self {
        SourceTable { schema: Arc::clone(&self.contract.schema), ..self }
    }

    /// The table with the texts of some columns as they are.
    pub fn with_texts_of(self, columns: &BTreeSet<String>) -> Self {
        let field = |(stored, declared): (&Arc<Field>, &Arc<Field>)| {
            let is_plain = stored.data_type() == &CODE && columns.contains(declared.name());
            Arc::clone(if is_plain { declared } else { stored })
        };
        let fields: Vec<Arc<Field>> = self.schema.fields().iter().zip(self.contract.schema.fields()).map(field).collect();
        SourceTable { schema: Arc::new(Schema::new(fields)), ..self }
    }

    /// Whether a column is text of which no codes are at hand: files have it row by row, and no scan has looked it up.
    fn is_without_codes(&self, column: usize) -> bool {
        let is_plain = |unit: &Unit| matches!(unit, Unit::RowGroup(group) if group.is_plain_text(column, &self.contract.schema));
        self.units.iter().all(is_plain) && !self.held.has(column)
    }

    /// Whether some of it may be texts that the file has as keys, which get their codes at once.
    pub fn has_row_groups(&self) -> bool {
        self.units.iter().any(|unit| matches!(unit, Unit::RowGroup(_)))
    }

    /// How many row groups may be read at once, so that what is fetched of the largest ones is not more than a part of the limit.
    fn groups_at_once(&self, projection: &[usize]) -> usize {
        let bytes = |unit: &Unit| match unit {
            Unit::RowGroup(group) => group.bytes_of(projection),
            Unit::Text(..) => 0,
        };
        let largest = usize::try_from(self.units.iter().map(bytes).max().unwrap_or(0)).unwrap_or(usize::MAX);
        (self.footers.limit() / PART_OF_LIMIT).checked_div(largest).unwrap_or(usize::MAX).max(1)
    }

    /// Whether reading it again costs little, because columns that are not needed are skipped.
    pub fn is_columnar(&self) -> bool {
        self.units.iter().all(|unit| matches!(unit, Unit::RowGroup(_)))
    }
}

#[async_trait]
impl TableProvider for SourceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let columns = vec![ColumnStatistics::new_unknown(); self.contract.width()];
        Some(Statistics { num_rows: self.rows, total_byte_size: Precision::Absent, column_statistics: columns })
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.contract.width()).collect());
        let schema: SchemaRef = Arc::new(self.schema.project(&projection)?);
        // A scan beyond the expected number finds no stored codes, and stores none.
        let left = self.scans_left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(1))).unwrap_or(0);
        let scan = self.scan_of(projection, Arc::clone(&schema), left <= 1, self.superseded.clone());
        let metrics = ExecutionPlanMetricsSet::new();
        let scan = StreamingTableExec::try_new(schema, self.partitions(scan, &metrics), None, [], false, None)?;
        Ok(estimated(Arc::new(scan), self.rows, metrics))
    }
}

impl SourceTable {
    fn scan_of(&self, projection: Vec<usize>, schema: SchemaRef, is_last: bool, superseded: Option<Arc<Superseded>>) -> Scan {
        Scan {
            contract: Arc::clone(&self.contract),
            collector: Arc::clone(&self.collector),
            dictionary: Arc::clone(&self.dictionary),
            work: Arc::clone(&self.work),
            held: Arc::clone(&self.held),
            is_last,
            projection,
            schema,
            placed: None,
            superseded,
            needles: self.needles.clone(),
            counts: self.counts,
            batch_rows: self.batch_rows,
            blocks_at_once: self.blocks_at_once(),
        }
    }

    /// How many blocks of a text file are decoded in parallel: one for each thread and one waiting, or fewer where there is little memory.
    fn blocks_at_once(&self) -> usize {
        let readers = self.units.len().clamp(1, self.threads);
        (2 * self.threads.div_ceil(readers)).min(self.blocks_that_fit / readers).max(1)
    }

    /// The shares of a scan.
    fn partitions(&self, scan: Scan, metrics: &ExecutionPlanMetricsSet) -> Vec<Arc<dyn PartitionStream>> {
        let partitions = self.units.len().clamp(1, self.threads).min(self.groups_at_once(&scan.projection));
        let scan = Arc::new(scan);
        let queue = Arc::new(Queue { units: Arc::clone(&self.units), next: Mutex::default() });
        let partition = |number| {
            let compute = MetricBuilder::new(metrics).elapsed_compute(number);
            let (scan, queue) = (Arc::clone(&scan), Arc::clone(&queue));
            Arc::new(Partition { scan, queue, rounds: AtomicUsize::new(0), compute }) as Arc<dyn PartitionStream>
        };
        (0..partitions).map(partition).collect()
    }
}

impl HasTexts for SourceTable {
    fn is_cheap_to_read(&self) -> bool {
        self.is_columnar()
    }

    fn for_a_look(&self) -> Arc<dyn HasTexts> {
        let (held, scans_left) = (HeldCodes::within(self.held.another()), AtomicUsize::new(1));
        Arc::new(SourceTable { held: Arc::new(held), scans_left: Arc::new(scans_left), ..self.clone() })
    }

    fn expect_fewer(&self, scans: usize) {
        let fewer = |left: usize| left.saturating_sub(scans);
        let before = self.scans_left.fetch_update(Relaxed, Relaxed, |left| Some(fewer(left))).unwrap_or(0);
        if fewer(before) == 0 {
            self.held.clear();
        }
    }

    fn with_texts_of(&self, columns: &BTreeSet<&str>) -> Option<Arc<dyn TableProvider>> {
        let fields = self.contract.schema.fields().iter().enumerate();
        let chosen = fields.filter(|(at, field)| columns.contains(field.name().as_str()) && self.is_without_codes(*at));
        let chosen: BTreeSet<String> = chosen.map(|(_, field)| field.name().clone()).collect();
        (!chosen.is_empty()).then(|| Arc::new(self.clone().with_texts_of(&chosen)) as Arc<dyn TableProvider>)
    }
}

impl PlacedRows for SourceTable {
    fn placed(&self, columns: &[usize]) -> EngineResult<Vec<SendableRecordBatchStream>> {
        let schema = Arc::new(self.contract.schema.project(columns)?);
        let placed = placed_schema(&self.contract, columns)?;
        let scan = Scan { placed: Some(placed), ..self.scan_of(columns.to_vec(), schema, true, None) };
        Ok(self.partitions(scan, &ExecutionPlanMetricsSet::new()).into_iter().map(|partition| partition.execute(Arc::default())).collect())
    }
}

/// The units of a scan, which the threads take one after the other. A recursive query scans once in every round.
struct Queue {
    units: Arc<[Unit]>,
    /// By round, the number of the unit that comes next.
    next: Mutex<Vec<usize>>,
}

impl Queue {
    fn next(&self, round: usize) -> Option<(usize, Unit)> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.len() <= round {
            next.resize(round + 1, 0);
        }
        let piece = next[round];
        let unit = self.units.get(piece)?.clone();
        next[round] += 1;
        Some((piece, unit))
    }
}

/// One thread's share of a scan: whatever unit comes next.
struct Partition {
    scan: Arc<Scan>,
    queue: Arc<Queue>,
    /// How often it has been executed.
    rounds: AtomicUsize,
    /// How long it has worked, without the time that it waited for bytes or for somebody to take its rows.
    compute: Time,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}", self.scan.contract.source)
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        self.scan.placed.as_ref().unwrap_or(&self.scan.schema)
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(self.schema()), BATCHES_AHEAD);
        let (scan, queue, sink, compute) = (Arc::clone(&self.scan), Arc::clone(&self.queue), builder.tx(), self.compute.clone());
        let round = self.rounds.fetch_add(1, Relaxed);
        builder.spawn(async move {
            loop {
                let Some((piece, unit)) = queue.next(round) else { return Ok(()) };
                let mut reading = std::pin::pin!(scan.read(piece, unit, &sink));
                let read = std::future::poll_fn(|context| {
                    let _working = compute.timer();
                    reading.as_mut().poll(context)
                });
                match read.await {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => {
                        let carried = carried(&error);
                        scan.collector.fail(error);
                        return Err(carried);
                    }
                }
            }
        });
        builder.build()
    }
}
