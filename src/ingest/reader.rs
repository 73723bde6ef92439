//! Reads one piece of a source after the other, checks its rows against the contract, and hands the kept ones on.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;

use super::contract::{Contract, Fault};
use super::csv::{self, Decoded, Header};
use super::ledger::{Collector, Reject};
use super::ndjson::{self, Lines};
use super::parquet::{Batches, RowGroup};
use super::text::{Block, Blocks, Record};
use crate::config::SourceFormat;
use crate::error::{Error, Result};
use crate::storage::File;

/// What stands in the place of a personal value.
pub const MASK: &str = "***";

/// The reason of the record in which a damaged file breaks off.
pub const DAMAGED: &str = "damaged-compression";

/// A piece of a source that one thread reads.
#[derive(Debug, Clone)]
pub enum Unit {
    /// A whole text file.
    Text(File, SourceFormat),
    /// A row group of a Parquet file.
    RowGroup(Box<RowGroup>),
}

/// One scan of a source: what is asked for, and where the counts go.
#[derive(Debug)]
pub struct Scan {
    /// What a row must be.
    pub contract: Arc<Contract>,
    /// Where the rows are counted.
    pub collector: Arc<Collector>,
    /// The columns asked for.
    pub projection: Vec<usize>,
    /// Their schema.
    pub schema: SchemaRef,
    /// Rows to a batch.
    pub batch_rows: usize,
}

/// Where the kept rows of a scan go.
pub type Sink = tokio::sync::mpsc::Sender<datafusion::error::Result<RecordBatch>>;

impl Scan {
    /// Reads a unit to its end; false when it stopped before, because nobody takes the rows any more.
    ///
    /// # Errors
    /// As reading the file fails.
    pub async fn read(&self, unit: Unit, sink: &Sink) -> Result<bool> {
        match unit {
            Unit::RowGroup(group) => self.read_row_group(*group, sink).await,
            Unit::Text(file, SourceFormat::Csv) => self.read_csv(&file, sink).await,
            Unit::Text(file, _) => self.read_ndjson(&file, sink).await,
        }
    }

    async fn read_row_group(&self, group: RowGroup, sink: &Sink) -> Result<bool> {
        let mut row_number = group.first_row;
        let file = group.file.shown.clone();
        let mut batches = Batches::open(group, &self.contract, &self.projection, self.batch_rows)?;
        while let Some((columns, rows)) = batches.next().await? {
            let reject = |fault: &Fault| self.reject(&file, row_number + fault.row as u64, fault, self.masked_row(&columns, fault.row));
            let kept = self.settle(&columns, rows, Vec::new(), reject)?;
            if !self.send(kept, sink).await {
                return Ok(false);
            }
            row_number += rows as u64;
        }
        Ok(true)
    }

    async fn read_csv(&self, file: &File, sink: &Sink) -> Result<bool> {
        let mut blocks = Blocks::open(file)?;
        let mut header: Option<Header> = None;
        while let Some(mut block) = blocks.next(csv::last_boundary).await? {
            if header.is_none() {
                let Some(first) = csv::records(&block).into_iter().next() else { continue };
                header = Some(Header::parse(&block.bytes[first.bytes.clone()], &self.contract, &file.shown)?);
                drop_records_before(&mut block, first.bytes.end);
            }
            let Some(header) = &header else { continue };
            let decoded = header.decode(&block)?;
            let raw = |record: &Record| header.masked(&block.bytes[record.bytes.clone()], &self.contract);
            let kept = self.settle_text(file, &block, decoded, csv::records, raw)?;
            if !self.send(kept, sink).await {
                return Ok(false);
            }
        }
        self.settle_break(file, &mut blocks)?;
        Ok(true)
    }

    async fn read_ndjson(&self, file: &File, sink: &Sink) -> Result<bool> {
        let mut blocks = Blocks::open(file)?;
        let lines = Lines::new(&self.contract);
        while let Some(block) = blocks.next(ndjson::last_boundary).await? {
            let decoded = lines.decode(&block)?;
            let raw = |record: &Record| ndjson::masked(&block.bytes[record.bytes.clone()], &self.contract);
            let kept = self.settle_text(file, &block, decoded, ndjson::records, raw)?;
            if !self.send(kept, sink).await {
                return Ok(false);
            }
        }
        self.settle_break(file, &mut blocks)?;
        Ok(true)
    }

    /// Rejects the record in which a damaged file breaks off.
    fn settle_break(&self, file: &File, blocks: &mut Blocks) -> Result<()> {
        let Some((rest, line)) = blocks.breaks_off() else { return Ok(()) };
        let (file, raw) = (file.shown.clone(), self.unparsed(&rest));
        self.collector.count(1, 0, 0);
        self.collector.reject(&self.contract.source, [Reject { file, row_number: line, column: None, reason: DAMAGED, raw }])
    }

    /// Checks the records of a block, keeps those at fault with their text, and gives the others.
    fn settle_text(
        &self,
        file: &File,
        block: &Block,
        decoded: Decoded,
        records: impl Fn(&Block) -> Vec<Record>,
        raw: impl Fn(&Record) -> Option<String>,
    ) -> Result<RecordBatch> {
        let unparsed = |(record, reason): &(Record, &'static str)| Reject {
            file: file.shown.clone(),
            row_number: record.line,
            column: None,
            reason,
            raw: raw(record).unwrap_or_else(|| self.unparsed(&block.bytes[record.bytes.clone()])),
        };
        let bad: Vec<Reject> = decoded.bad.iter().map(unparsed).collect();
        // Where each row stands is only worked out when one of them is at fault.
        let standing = std::cell::OnceCell::new();
        let reject = |fault: &Fault| {
            let standing = standing.get_or_init(|| decoded.records.clone().unwrap_or_else(|| records(block)));
            let record = standing.get(fault.row);
            let text = record.and_then(&raw).unwrap_or_default();
            self.reject(&file.shown, record.map_or(0, |record| record.line), fault, text)
        };
        self.settle(&decoded.columns, decoded.rows, bad, reject)
    }

    /// Checks rows, counts what became of them, keeps those at fault, and gives the others.
    fn settle(
        &self,
        columns: &[Option<ArrayRef>],
        rows: usize,
        bad: Vec<Reject>,
        reject: impl Fn(&Fault) -> Reject,
    ) -> Result<RecordBatch> {
        let checked = self.contract.check(columns, rows, &self.projection, &self.schema)?;
        self.collector.count(rows as u64 + bad.len() as u64, checked.kept.num_rows() as u64, checked.out_of_window);
        if let Some(newest) = checked.newest_micros {
            self.collector.see(newest);
        }
        if !bad.is_empty() || !checked.faults.is_empty() {
            self.collector.reject(&self.contract.source, bad.into_iter().chain(checked.faults.iter().map(reject)))?;
        }
        Ok(checked.kept)
    }

    /// Hands rows on; false when nobody takes them any more.
    async fn send(&self, kept: RecordBatch, sink: &Sink) -> bool {
        for start in (0..kept.num_rows()).step_by(self.batch_rows) {
            let slice = kept.slice(start, self.batch_rows.min(kept.num_rows() - start));
            if sink.send(Ok(slice)).await.is_err() {
                return false;
            }
        }
        true
    }

    fn reject(&self, file: &str, row_number: u64, fault: &Fault, raw: String) -> Reject {
        let column = Some(self.contract.columns[fault.column].name.clone());
        Reject { file: file.to_owned(), row_number, column, reason: fault.reason, raw }
    }

    /// A row of arrays as a JSON object, personal values left out.
    fn masked_row(&self, columns: &[Option<ArrayRef>], row: usize) -> String {
        let mut object = serde_json::Map::new();
        for (column, array) in self.contract.columns.iter().zip(columns) {
            let Some(array) = array else { continue };
            let value = if array.is_null(row) {
                serde_json::Value::Null
            } else if column.personal {
                MASK.into()
            } else {
                arrow::util::display::array_value_to_string(array, row).map_or(serde_json::Value::Null, Into::into)
            };
            object.insert(column.in_files().to_owned(), value);
        }
        serde_json::Value::Object(object).to_string()
    }

    /// A record that does not parse, as text; withheld where a part of it may be personal.
    fn unparsed(&self, record: &[u8]) -> String {
        if self.contract.has_personal() {
            format!("withheld: {} bytes of a source with personal columns", record.len())
        } else {
            String::from_utf8_lossy(record).into_owned()
        }
    }
}

/// Drops what stands before an offset and the end of its line, keeping count of the lines.
fn drop_records_before(block: &mut Block, offset: usize) {
    let end = memchr::memchr(b'\n', &block.bytes[offset..]).map_or(block.bytes.len(), |at| offset + at + 1);
    block.first_line += memchr::memchr_iter(b'\n', &block.bytes[..end]).count() as u64;
    block.bytes.drain(..end);
}

/// A failure as the engine carries it; the collector keeps the error itself.
pub fn carried(error: &Error) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(error.to_string().into())
}
