//! Of rows with an equal key the latest is kept; of equally late ones the one whose values sort last, whatever the files' order.

use std::collections::HashMap;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::{FieldRef, Schema};
use arrow::row::{Row, RowConverter, Rows, SortField};

use super::contract::Contract;
use super::ledger::Collector;
use crate::engine::{Dictionary, decoded_batch};
use crate::error::{Error, Result};

/// Leaves out every row that another row of the same key supersedes; all are kept when the source has no key. The batches hold some
/// columns of the source, those of its key and its event time among them, with codes in the place of text.
///
/// # Errors
/// [`Error::Defect`] when rows cannot be compared.
pub fn keep_latest(
    contract: &Contract,
    dictionary: &Dictionary,
    batches: Vec<RecordBatch>,
    collector: &Collector,
) -> Result<Vec<RecordBatch>> {
    let Some(first) = batches.first().filter(|_| !contract.key.is_empty()) else { return Ok(batches) };
    let key: Vec<&str> = contract.key.iter().map(|&at| contract.columns[at].name.as_str()).collect();
    // Equal texts have equal codes.
    let converter = converter(first, &key)?;
    let keys = batches.iter().map(|batch| encode(&converter, batch, &key)).collect::<Result<Vec<_>>>()?;
    let groups = repeated(&keys);
    let dropped: Vec<(usize, usize)> = superseded(contract, dictionary, &batches, &groups)?;
    if dropped.is_empty() {
        return Ok(batches);
    }
    collector.deduplicate(dropped.len() as u64);
    let mut keep: Vec<Vec<bool>> = batches.iter().map(|batch| vec![true; batch.num_rows()]).collect();
    for (batch, row) in dropped {
        keep[batch][row] = false;
    }
    let filter = |(batch, keep): (RecordBatch, Vec<bool>)| filter_record_batch(&batch, &BooleanArray::from(keep)).map_err(defect);
    batches.into_iter().zip(keep).map(filter).collect()
}

/// The places, by batch and row, of the rows of every key that more than one row has.
fn repeated(keys: &[Rows]) -> Vec<Vec<(usize, usize)>> {
    let mut first: HashMap<Row<'_>, (usize, usize)> = HashMap::new();
    let mut group_of: HashMap<Row<'_>, usize> = HashMap::new();
    let mut groups: Vec<Vec<(usize, usize)>> = Vec::new();
    for (batch, rows) in keys.iter().enumerate() {
        for (row, key) in rows.iter().enumerate() {
            let Some(before) = first.get(&key) else {
                first.insert(key, (batch, row));
                continue;
            };
            let group = *group_of.entry(key).or_insert_with(|| {
                groups.push(vec![*before]);
                groups.len() - 1
            });
            groups[group].push((batch, row));
        }
    }
    groups
}

/// The places of the rows that are not the last of their group, by event time and then by their other values.
fn superseded(
    contract: &Contract,
    dictionary: &Dictionary,
    batches: &[RecordBatch],
    groups: &[Vec<(usize, usize)>],
) -> Result<Vec<(usize, usize)>> {
    let places: Vec<(usize, usize)> = groups.concat();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let held: Vec<&RecordBatch> = batches.iter().collect();
    let rows = interleave_record_batch(&held, &places).map_err(defect)?;
    let seen = |field: &FieldRef| contract.schema.field_with_name(field.name()).cloned();
    let texts = Schema::new(rows.schema().fields().iter().map(seen).collect::<Result<Vec<_>, _>>().map_err(defect)?);
    let rows = decoded_batch(dictionary, &texts.into(), &rows).map_err(|error| Error::defect(error.to_string()))?;
    let schema = rows.schema();
    let event_time = contract.columns[contract.event_time].name.as_str();
    let order: Vec<&str> = std::iter::once(event_time).chain(schema.fields().iter().map(|field| field.name().as_str())).collect();
    let order = encode(&converter(&rows, &order)?, &rows, &order)?;
    let mut dropped = Vec::new();
    let mut start = 0;
    for group in groups {
        let latest = (start..start + group.len()).max_by_key(|&at| order.row(at));
        dropped.extend((start..).zip(group).filter(|(at, _)| Some(*at) != latest).map(|(_, place)| *place));
        start += group.len();
    }
    Ok(dropped)
}

/// Encodes some columns as bytes that compare as the values do.
fn converter(batch: &RecordBatch, columns: &[&str]) -> Result<RowConverter> {
    let schema = batch.schema();
    let field = |name: &&str| schema.field_with_name(name).map(|field| SortField::new(field.data_type().clone()));
    RowConverter::new(columns.iter().map(field).collect::<Result<_, _>>().map_err(defect)?).map_err(defect)
}

fn encode(converter: &RowConverter, batch: &RecordBatch, columns: &[&str]) -> Result<Rows> {
    let arrays: Vec<_> = columns.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
    converter.convert_columns(&arrays).map_err(defect)
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("duplicates were not told apart: {error}"))
}
