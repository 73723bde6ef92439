//! Of rows with an equal key the latest is kept; of equally late ones the one whose values sort last, whatever the files' order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};

use super::contract::Contract;
use super::ledger::Collector;
use crate::error::{Error, Result};

/// Leaves out every row that another row of the same key supersedes; none when the source has no key.
///
/// # Errors
/// [`Error::Defect`] when rows cannot be compared.
pub fn keep_latest(contract: &Contract, batches: Vec<RecordBatch>, collector: &Collector) -> Result<Vec<RecordBatch>> {
    if contract.key.is_empty() {
        return Ok(batches);
    }
    let all: Vec<usize> = (0..contract.columns.len()).collect();
    let order: Vec<usize> = std::iter::once(contract.event_time).chain(all).collect();
    let mut keys = Encoder::new(contract, &contract.key)?;
    let mut orders = Encoder::new(contract, &order)?;
    let mut latest: HashMap<OwnedRow, (OwnedRow, usize, usize)> = HashMap::new();
    let mut keep: Vec<Vec<bool>> = batches.iter().map(|batch| vec![true; batch.num_rows()]).collect();
    let mut dropped = 0;
    for (position, batch) in batches.iter().enumerate() {
        let (key_rows, order_rows) = (keys.encode(batch)?, orders.encode(batch)?);
        for row in 0..batch.num_rows() {
            match latest.entry(key_rows.row(row).owned()) {
                Entry::Vacant(entry) => {
                    entry.insert((order_rows.row(row).owned(), position, row));
                }
                Entry::Occupied(mut entry) => {
                    let (best, best_batch, best_row) = entry.get();
                    dropped += 1;
                    if order_rows.row(row) > best.row() {
                        keep[*best_batch][*best_row] = false;
                        entry.insert((order_rows.row(row).owned(), position, row));
                    } else {
                        keep[position][row] = false;
                    }
                }
            }
        }
    }
    if dropped == 0 {
        return Ok(batches);
    }
    collector.deduplicate(dropped);
    let filter = |(batch, keep): (RecordBatch, Vec<bool>)| filter_record_batch(&batch, &BooleanArray::from(keep)).map_err(defect);
    batches.into_iter().zip(keep).map(filter).collect()
}

/// Encodes some columns as bytes that compare as the values do.
struct Encoder {
    converter: RowConverter,
    columns: Vec<usize>,
}

impl Encoder {
    fn new(contract: &Contract, columns: &[usize]) -> Result<Self> {
        let fields = columns.iter().map(|&at| SortField::new(contract.schema.field(at).data_type().clone())).collect();
        Ok(Encoder { converter: RowConverter::new(fields).map_err(defect)?, columns: columns.to_vec() })
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<Rows> {
        let arrays: Vec<ArrayRef> = self.columns.iter().map(|&at| batch.column(at).slice(0, batch.num_rows())).collect();
        self.converter.convert_columns(&arrays).map_err(defect)
    }
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("duplicates were not told apart: {error}"))
}
