//! Of rows with an equal key the latest is kept; of equally late ones the one whose values sort last, whatever the files' order, but
//! with the answer of whoever said no to being written to.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave, interleave_record_batch};
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::row::{Row, RowConverter, Rows, SortField};

use super::column::ContractColumn;
use super::contract::Contract;
use super::ledger::Collector;
use crate::engine::{Dictionary, decoded_batch};
use crate::error::{Error, Result};

/// Leaves out every row that another row of the same key supersedes; all are kept when the source has no key. Says, too, whether the key
/// tells all rows apart that are left: those without it, or with a word for no value in its place, are each like no other. The batches
/// hold some columns of the source, those of its key and its event time among them, with codes in the place of text.
///
/// # Errors
/// [`Error::Defect`] when rows cannot be compared.
pub fn keep_latest(
    contract: &Contract,
    dictionary: &Dictionary,
    batches: Vec<RecordBatch>,
    collector: &Collector,
) -> Result<(Vec<RecordBatch>, bool)> {
    let Some(first) = batches.first().filter(|_| !contract.key.is_empty()) else { return Ok((batches, !contract.key.is_empty())) };
    let key: Vec<&str> = contract.key.iter().map(|&at| contract.columns[at].name.as_str()).collect();
    // Equal texts have equal codes.
    let converter = converter(first, &key)?;
    let keys = batches.iter().map(|batch| encode(&converter, batch, &key)).collect::<Result<Vec<_>>>()?;
    let groups = repeated(&keys, &batches, &key);
    let decided = decide(contract, dictionary, &batches, &groups)?;
    let lacks = |batch: &RecordBatch| key.iter().any(|name| batch.column_by_name(name).is_none_or(|part| part.null_count() > 0));
    let is_key = !decided.has_words && !batches.iter().any(lacks);
    if decided.dropped.is_empty() {
        return Ok((batches, is_key));
    }
    collector.deduplicate(decided.dropped.len() as u64);
    let mut keep: Vec<Vec<bool>> = batches.iter().map(|batch| vec![true; batch.num_rows()]).collect();
    for &(batch, row) in &decided.dropped {
        keep[batch][row] = false;
    }
    let batches = with_answers(contract, batches, &decided.answers)?;
    let filter = |(batch, keep): (RecordBatch, Vec<bool>)| filter_record_batch(&batch, &BooleanArray::from(keep)).map_err(defect);
    Ok((batches.into_iter().zip(keep).map(filter).collect::<Result<_>>()?, is_key))
}

/// A row by batch and place in it.
type Place = (usize, usize);

/// What becomes of rows that share a key.
#[derive(Default)]
struct Decided {
    /// The rows that others supersede.
    dropped: Vec<Place>,
    /// For a column of the contract and a row that is kept, the row that its answer is taken from.
    answers: Vec<(usize, Place, Place)>,
    /// Whether rows have the same word for no value in their key.
    has_words: bool,
}

/// The places of the rows of every key that more than one row has. A row that lacks a part of its key is like no other.
fn repeated(keys: &[Rows], batches: &[RecordBatch], key: &[&str]) -> Vec<Vec<Place>> {
    let mut first: HashMap<Row<'_>, Place> = HashMap::new();
    let mut group_of: HashMap<Row<'_>, usize> = HashMap::new();
    let mut groups: Vec<Vec<Place>> = Vec::new();
    for (batch, rows) in keys.iter().enumerate() {
        let parts: Vec<_> =
            key.iter().filter_map(|name| batches[batch].column_by_name(name)).filter(|part| part.null_count() > 0).collect();
        for (row, key) in rows.iter().enumerate() {
            if parts.iter().any(|part| part.is_null(row)) {
                continue;
            }
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

/// Which row of every group is kept, by event time and then by its other values, and whose answers it gives: of rows of one time the no
/// of each column wins, and what cannot be read, which may be one, wins over a yes.
fn decide(contract: &Contract, dictionary: &Dictionary, batches: &[RecordBatch], groups: &[Vec<Place>]) -> Result<Decided> {
    let places: Vec<Place> = groups.concat();
    let mut decided = Decided::default();
    if places.is_empty() {
        return Ok(decided);
    }
    let held: Vec<&RecordBatch> = batches.iter().collect();
    let rows = interleave_record_batch(&held, &places).map_err(defect)?;
    let seen = |field: &FieldRef| contract.schema.field_with_name(field.name()).cloned();
    let texts = Schema::new(rows.schema().fields().iter().map(seen).collect::<Result<Vec<_>, _>>().map_err(defect)?);
    let rows = decoded_batch(dictionary, &texts.into(), &rows).map_err(|error| Error::defect(crate::sql::discreet(&error)))?;
    let schema = rows.schema();
    let event_time = contract.columns[contract.event_time].name.as_str();
    let times = encode(&converter(&rows, &[event_time])?, &rows, &[event_time])?;
    let order: Vec<&str> = std::iter::once(event_time).chain(schema.fields().iter().map(|field| field.name().as_str())).collect();
    let order = encode(&converter(&rows, &order)?, &rows, &order)?;
    let consents: Vec<(usize, &ArrayRef)> = contract
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.is_consent())
        .filter_map(|(at, column)| Some((at, rows.column_by_name(&column.name)?)))
        .collect();
    // Words for no value are equal, and their rows are not.
    let words: Vec<(&ContractColumn, &ArrayRef)> = contract
        .key
        .iter()
        .map(|&at| &contract.columns[at])
        .filter_map(|column| Some((column, rows.column_by_name(&column.name).filter(|values| values.data_type() == &DataType::Utf8)?)))
        .collect();
    let is_nobody = |at: usize| words.iter().any(|(column, values)| column.is_null_word(values.as_string::<i32>().value(at)));
    let mut start = 0;
    for group in groups {
        let all = start..start + group.len();
        if is_nobody(start) {
            decided.has_words = true;
            start += group.len();
            continue;
        }
        let Some(latest) = all.clone().max_by_key(|&at| order.row(at)) else { continue };
        decided.dropped.extend(all.clone().filter(|at| *at != latest).map(|at| places[at]));
        for &(column, answers) in &consents {
            let answer = |at: usize| contract.columns[column].answer(answers, at);
            let of_time = all.clone().filter(|&at| times.row(at) == times.row(latest));
            let Some(weightiest) = of_time.max_by_key(|&at| (answer(at), at == latest)) else { continue };
            if weightiest != latest {
                decided.answers.push((column, places[latest], places[weightiest]));
            }
        }
        start += group.len();
    }
    Ok(decided)
}

/// Batches in which some rows have the answers of others.
fn with_answers(contract: &Contract, mut batches: Vec<RecordBatch>, answers: &[(usize, Place, Place)]) -> Result<Vec<RecordBatch>> {
    for (at, column) in contract.columns.iter().enumerate() {
        let taken: BTreeMap<Place, Place> = answers.iter().filter(|(of, ..)| *of == at).map(|(_, to, from)| (*to, *from)).collect();
        let held: Option<Vec<ArrayRef>> = batches.iter().map(|batch| batch.column_by_name(&column.name).cloned()).collect();
        let Some(held) = held.filter(|_| !taken.is_empty()) else { continue };
        let arrays: Vec<&dyn Array> = held.iter().map(AsRef::as_ref).collect();
        for (number, batch) in batches.iter_mut().enumerate() {
            let places: Vec<Place> = (0..batch.num_rows()).map(|row| *taken.get(&(number, row)).unwrap_or(&(number, row))).collect();
            let position = batch.schema().index_of(&column.name).map_err(defect)?;
            let mut columns = batch.columns().to_vec();
            columns[position] = interleave(&arrays, &places).map_err(defect)?;
            *batch = RecordBatch::try_new(batch.schema(), columns).map_err(defect)?;
        }
    }
    Ok(batches)
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
    Error::defect(format!("duplicates were not told apart: {}", crate::sql::discreet(&error.into())))
}
