//! Some rows of a source: the first ones, or those that fulfil a condition, as they are of the whole source.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::{DataFrame, ident};
use futures::TryStreamExt;

use super::collector::Collector;
use super::contract::Contract;
use super::deduplicate::latest_of;
use super::extract::Extract;
use super::needles::Needles;
use super::table::SourceTable;
use crate::engine::{Engine, failed, with_implied};
use crate::error::{Error, Result};

/// The most rows that are chosen from a source.
const ROWS_HELD: usize = 1_000_000;
/// The most values of a key by which rows are chosen.
const KEYS_CHOSEN_BY: usize = 4096;

/// The first rows of a source in the order of its files, whatever supersedes them. Only the columns that are required have values.
///
/// # Errors
/// As reading its files fails.
pub async fn first_rows(engine: &Engine, extract: &Extract, required: &BTreeSet<String>, count: usize) -> Result<RecordBatch> {
    let collector = Collector::new(&extract.contract, engine);
    let read = async {
        let frame = frame(engine, extract, &collector, required, None).await?;
        collected(frame.limit(0, Some(count))?).await
    };
    let rows = read.await.map_err(|error| failure(extract, &collector, &error))?;
    whole(&extract.contract, rows)
}

/// The rows of a source for which a condition is true, or some more, without those that others supersede; none if it has to be read whole for
/// them. Only the columns that are required have values.
///
/// # Errors
/// As reading its files fails.
pub async fn rows_where(
    engine: &Engine,
    extract: &Extract,
    required: &BTreeSet<String>,
    collector: &Arc<Collector>,
    condition: &Expr,
) -> Result<Option<RecordBatch>> {
    let contract = &extract.contract;
    if contract.changes.is_some() {
        return Ok(None);
    }
    let read = async {
        if contract.key.is_empty() {
            return Ok(Some(matching(engine, extract, collector, required, condition).await?));
        }
        let keys: BTreeSet<&str> = contract.key.iter().map(|at| contract.columns[*at].name.as_str()).collect();
        let all: BTreeSet<String> = contract.schema.fields().iter().map(|field| field.name().clone()).collect();
        let is_of_keys = condition.column_refs().into_iter().all(|column| keys.contains(column.name()));
        let condition = if is_of_keys {
            condition.clone()
        } else {
            // Which row of a key is its latest is known of all rows of the key alone.
            let key = &contract.columns[contract.key[0]].name;
            let named = matching(engine, extract, collector, &[key.clone()].into(), condition).await?;
            let Some(chosen) = one_of(ident(key.as_str()), named.column(0))? else { return Ok(None) };
            chosen
        };
        let rows = matching(engine, extract, collector, &all, &condition).await?;
        Ok::<_, DataFusionError>(Some(latest_of(engine, contract, rows).await?))
    };
    let rows = read.await.map_err(|error| failure(extract, collector, &error))?;
    rows.map(|rows| whole(contract, rows)).transpose()
}

/// The condition that an expression has one of some values, which may be missing; none if there are too many.
///
/// # Errors
/// DataFusion's own.
pub fn one_of(expr: Expr, values: &ArrayRef) -> Result<Option<Expr>, DataFusionError> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let (mut listed, mut may_be_null) = (Vec::new(), false);
    for row in 0..values.len() {
        let value = datafusion::common::ScalarValue::try_from_array(values, row)?;
        if value.is_null() {
            may_be_null = true;
        } else if known.insert(value.to_string()) {
            listed.push(Expr::Literal(value, None));
        }
        if listed.len() > KEYS_CHOSEN_BY {
            return Ok(None);
        }
    }
    let is_null = expr.clone().is_null();
    let is_listed = if listed.is_empty() { lit(false) } else { expr.in_list(listed, false) };
    Ok(Some(if may_be_null { is_null.or(is_listed) } else { is_listed }))
}

fn failure(extract: &Extract, collector: &Collector, error: &DataFusionError) -> Error {
    collector.failure().unwrap_or_else(|| failed(&format!("the source {}", extract.contract.source), error))
}

/// Some columns of the rows that fulfil a condition, whatever supersedes them.
async fn matching(
    engine: &Engine,
    extract: &Extract,
    collector: &Arc<Collector>,
    columns: &BTreeSet<String>,
    condition: &Expr,
) -> Result<RecordBatch, DataFusionError> {
    let read: BTreeSet<String> =
        condition.column_refs().into_iter().map(|column| column.name.clone()).chain(columns.iter().cloned()).collect();
    let condition = with_implied(condition.clone());
    let needles = Needles::of(&extract.contract, &condition);
    let frame = frame(engine, extract, collector, &read, needles).await?;
    let names = of_contract(&extract.contract, columns);
    collected(frame.filter(condition)?.select_columns(&names)?).await
}

fn of_contract<'a>(contract: &'a Contract, columns: &BTreeSet<String>) -> Vec<&'a str> {
    contract.schema.fields().iter().map(|field| field.name().as_str()).filter(|name| columns.contains(*name)).collect()
}

/// A query over some columns of the source, with its texts as they are.
async fn frame(
    engine: &Engine,
    extract: &Extract,
    collector: &Arc<Collector>,
    columns: &BTreeSet<String>,
    needles: Option<Needles>,
) -> Result<DataFrame, DataFusionError> {
    let table = SourceTable::open(extract, Arc::clone(collector), engine, 1).await;
    let table = table.map_err(|error| DataFusionError::External(Box::new(error)))?.with_texts().with_needles(needles);
    engine.context().read_table(Arc::new(table))?.select_columns(&of_contract(&extract.contract, columns))
}

async fn collected(frame: DataFrame) -> Result<RecordBatch, DataFusionError> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let (mut batches, mut rows) = (Vec::new(), 0);
    let mut found = frame.execute_stream().await?;
    while let Some(batch) = found.try_next().await? {
        rows += batch.num_rows();
        if rows > ROWS_HELD {
            return Err(DataFusionError::ResourcesExhausted("more rows than are held for a look".to_owned()));
        }
        if batch.num_rows() > 0 {
            batches.push(batch);
        }
    }
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    Ok(concat_batches(&schema, &batches)?)
}

/// Rows with all columns of the contract: those that were not read are missing.
fn whole(contract: &Contract, rows: RecordBatch) -> Result<RecordBatch> {
    let arrays: Vec<ArrayRef> = contract
        .schema
        .fields()
        .iter()
        .map(|field| rows.column_by_name(field.name()).cloned().unwrap_or_else(|| new_null_array(field.data_type(), rows.num_rows())))
        .collect();
    let field = |(field, array): (&Arc<Field>, &ArrayRef)| Field::new(field.name(), array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(contract.schema.fields().iter().zip(&arrays).map(field).collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|error| Error::defect(crate::sql::discreet(&error.into())))
}
