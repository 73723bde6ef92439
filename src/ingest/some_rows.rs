//! Some rows of a source: the first ones, or those that fulfil a condition, as they are of the whole source.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::{conjunction, disjunction, split_binary_owned, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Operator, lit};
use datafusion::prelude::{DataFrame, ident};
use futures::TryStreamExt;

use super::collector::Collector;
use super::contract::Contract;
use super::deduplicate::latest_of;
use super::extract::Extract;
use super::needles::Needles;
use super::table::SourceTable;
use crate::engine::{Engine, KeyValues, failed, with_implied};
use crate::error::{Error, Result};

/// The most rows that are chosen from a source.
const ROWS_HELD: usize = 1_000_000;

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

/// What has been read of sources by conditions, so that nothing is read twice.
#[derive(Debug, Default)]
pub struct KnownRows {
    /// By source and condition, which values the first column of its key has.
    keys: Vec<((String, Expr), Option<KeyValues>)>,
    /// By source and condition, the rows.
    rows: Vec<((String, Expr), RecordBatch)>,
}

impl KnownRows {
    /// The rows of a source for which a condition is true, or some more, without those that others supersede; none if it has to be read whole for
    /// them. Only the columns that are required have values.
    ///
    /// # Errors
    /// As reading its files fails.
    pub async fn rows_where(
        &mut self,
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
        let id = (contract.source.clone(), condition.clone());
        if let Some((_, rows)) = self.rows.iter().find(|(known, _)| *known == id) {
            return Ok(Some(rows.clone()));
        }
        let reading = Reading { engine, extract, collector };
        let read = async {
            if contract.key.is_empty() {
                return Ok(Some(reading.matching(required, condition).await?));
            }
            let Some(chosen) = self.by_key(reading, condition).await? else { return Ok(None) };
            let all: BTreeSet<String> = contract.schema.fields().iter().map(|field| field.name().clone()).collect();
            let rows = reading.matching(&all, &chosen).await?;
            Ok::<_, DataFusionError>(Some(latest_of(engine, contract, rows).await?))
        };
        let rows = read.await.map_err(|error| failure(extract, collector, &error))?;
        let rows = rows.map(|rows| whole(contract, rows)).transpose()?;
        self.rows.extend(rows.clone().map(|rows| (id, rows)));
        Ok(rows)
    }

    /// A condition on the columns of a source's key that is true at least where another one is: which row of a key is its latest is known of all
    /// rows of the key alone. None if there are too many keys.
    async fn by_key(&mut self, reading: Reading<'_>, condition: &Expr) -> Result<Option<Expr>, DataFusionError> {
        let contract = &reading.extract.contract;
        let keys: BTreeSet<&str> = contract.key.iter().map(|at| contract.columns[*at].name.as_str()).collect();
        let is_of_keys = |one: &Expr| one.column_refs().into_iter().all(|column| keys.contains(column.name()));
        let (mut on_keys, others): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(condition.clone()).into_iter().partition(is_of_keys);
        // Of several conditions each row fulfils all; so one whose keys are known already is enough.
        let Some(of_others) = conjunction(others) else { return Ok(conjunction(on_keys)) };
        let (alternatives, rest): (Vec<Expr>, Vec<Expr>) = split_binary_owned(of_others, Operator::Or).into_iter().partition(is_of_keys);
        let mut chosen = alternatives;
        if let Some(rest) = disjunction(rest) {
            let rest = conjunction(on_keys.iter().cloned().chain([rest])).unwrap_or_else(|| lit(true));
            let Some(values) = self.keys_where(reading, rest).await? else { return Ok(None) };
            chosen.push(values.hold(ident(&contract.columns[contract.key[0]].name)));
        }
        on_keys.extend(disjunction(chosen));
        Ok(conjunction(on_keys))
    }

    /// Which values the first column of a source's key has in the rows that fulfil a condition, whatever supersedes them; none if there are many.
    async fn keys_where(&mut self, reading: Reading<'_>, condition: Expr) -> Result<Option<KeyValues>, DataFusionError> {
        let contract = &reading.extract.contract;
        let id = (contract.source.clone(), condition);
        if let Some((_, values)) = self.keys.iter().find(|(known, _)| *known == id) {
            return Ok(values.clone());
        }
        let key = contract.columns[contract.key[0]].name.clone();
        let values = KeyValues::of(reading.matching(&[key].into(), &id.1).await?.column(0))?;
        self.keys.push((id, values.clone()));
        Ok(values)
    }
}

fn failure(extract: &Extract, collector: &Collector, error: &DataFusionError) -> Error {
    collector.failure().unwrap_or_else(|| failed(&format!("the source {}", extract.contract.source), error))
}

/// A source that is read for some of its rows.
#[derive(Clone, Copy)]
struct Reading<'a> {
    engine: &'a Engine,
    extract: &'a Extract,
    collector: &'a Arc<Collector>,
}

impl Reading<'_> {
    /// Some columns of the rows that fulfil a condition, whatever supersedes them.
    async fn matching(self, columns: &BTreeSet<String>, condition: &Expr) -> Result<RecordBatch, DataFusionError> {
        let Reading { engine, extract, collector } = self;
        let read: BTreeSet<String> =
            condition.column_refs().into_iter().map(|column| column.name.clone()).chain(columns.iter().cloned()).collect();
        let condition = with_implied(condition.clone());
        let needles = Needles::of(&extract.contract, &condition);
        let frame = frame(engine, extract, collector, &read, needles).await?;
        let names = of_contract(&extract.contract, columns);
        collected(frame.filter(condition)?.select_columns(&names)?).await
    }
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
    let table = table.map_err(|error| DataFusionError::External(Box::new(error)))?.with_texts().uncounted(needles);
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
