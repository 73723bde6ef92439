//! A source as a table that DataFusion scans: its pieces are shared out among the threads, and a scan reads the columns it needs.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::Result as EngineResult;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};

use super::Extract;
use super::contract::Contract;
use super::held::HeldCodes;
use super::ledger::Collector;
use super::parquet;
use super::reader::{Scan, Unit, carried};
use crate::config::SourceFormat;
use crate::engine::{Dictionary, Engine, Held, Work, encoded_schema};
use crate::error::Result;

/// Batches that wait between a reader and the operator above it.
const BATCHES_AHEAD: usize = 2;
/// The part of the limit that row groups may take as they are fetched, when several are read at once.
const PART_OF_LIMIT: usize = 4;

/// A source that can be scanned, with codes in the place of text unless it is asked for [`SourceTable::with_texts`].
#[derive(Debug)]
pub struct SourceTable {
    contract: Arc<Contract>,
    schema: SchemaRef,
    collector: Arc<Collector>,
    dictionary: Arc<Dictionary>,
    work: Arc<Work>,
    held: Arc<HeldCodes>,
    scans_left: AtomicUsize,
    units: Vec<Unit>,
    /// What the footers of its files take.
    footers: Held,
    rows: Precision<usize>,
}

impl SourceTable {
    /// Opens a source that will be scanned so often: reads the footers of its Parquet files.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] when a file is damaged or lacks a column.
    pub async fn open(extract: &Extract, collector: Arc<Collector>, engine: &Engine, scans: usize) -> Result<Self> {
        let is_parquet = |format: &SourceFormat| *format == SourceFormat::Parquet;
        let columnar: Vec<_> = extract.files.iter().filter(|(_, format)| is_parquet(format)).map(|(file, _)| file.clone()).collect();
        let footers = engine.hold();
        let groups = parquet::row_groups(&columnar, &extract.contract, Some(&footers)).await?;
        let rows: u64 = groups.iter().map(parquet::RowGroup::rows).fold(0, u64::saturating_add);
        let text = extract.files.iter().filter(|(_, format)| !is_parquet(format)).map(|(file, format)| Unit::Text(file.clone(), *format));
        let bytes: u64 = extract.files.iter().map(|(file, _)| file.meta.size).sum();
        let rows = if columnar.len() == extract.files.len() { rows } else { bytes / 100 };
        let units: Vec<Unit> = groups.into_iter().map(|group| Unit::RowGroup(Box::new(group))).chain(text).collect();
        collector.expect(units.len());
        let rows = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
        let schema = encoded_schema(&extract.contract.schema);
        let (dictionary, work) = (Arc::clone(engine.dictionary()), Arc::clone(engine.work()));
        let (contract, scans_left) = (Arc::clone(&extract.contract), AtomicUsize::new(scans));
        let held = Arc::new(HeldCodes::within(engine.hold()));
        Ok(SourceTable { contract, schema, collector, dictionary, work, held, scans_left, units, footers, rows })
    }

    /// The table with its texts as they are.
    pub fn with_texts(self) -> Self {
        SourceTable { schema: Arc::clone(&self.contract.schema), ..self }
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
        let columns = vec![ColumnStatistics::new_unknown(); self.contract.columns.len()];
        Some(Statistics { num_rows: self.rows, total_byte_size: Precision::Absent, column_statistics: columns })
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.contract.columns.len()).collect());
        let schema: SchemaRef = Arc::new(self.schema.project(&projection)?);
        let options = session.config_options();
        let threads = options.execution.target_partitions.max(1);
        let partitions = self.units.len().clamp(1, threads).min(self.groups_at_once(&projection));
        // A scan more than there should be finds nothing held, and holds nothing.
        let left = self.scans_left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(1))).unwrap_or(0);
        let scan = Arc::new(Scan {
            contract: Arc::clone(&self.contract),
            collector: Arc::clone(&self.collector),
            dictionary: Arc::clone(&self.dictionary),
            work: Arc::clone(&self.work),
            held: Arc::clone(&self.held),
            is_last: left <= 1,
            projection,
            schema: Arc::clone(&schema),
            batch_rows: options.execution.batch_size.into(),
            // One to be looked at by each thread and one to follow it.
            blocks_at_once: 2 * threads.div_ceil(partitions),
        });
        let queue = Arc::new(Mutex::new(self.units.iter().cloned().enumerate().collect::<VecDeque<_>>()));
        let partition = || Arc::new(Partition { scan: Arc::clone(&scan), queue: Arc::clone(&queue) }) as Arc<dyn PartitionStream>;
        let partitions = (0..partitions).map(|_| partition()).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, None)?))
    }
}

/// One thread's share of a scan: whatever unit comes next.
struct Partition {
    scan: Arc<Scan>,
    queue: Arc<Mutex<VecDeque<(usize, Unit)>>>,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}", self.scan.contract.source)
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.scan.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.scan.schema), BATCHES_AHEAD);
        let (scan, queue, sink) = (Arc::clone(&self.scan), Arc::clone(&self.queue), builder.tx());
        builder.spawn(async move {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((piece, unit)) = next else { return Ok(()) };
                match scan.read(piece, unit, &sink).await {
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
