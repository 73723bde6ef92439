//! Runs a query to its end and registers its rows as a materialised table.

use std::sync::{Arc, PoisonError};

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, internal_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use super::encoding::{EncodedTable, decoded_schema, is_text};
use super::limits::LEAST_PARTITIONS;
use super::materialised_table::{MaterialisedProvider, MaterialisedTable};
use super::{Engine, failure, order};

/// After so many rows it is known what part of a table a query takes.
const ROWS_LOOKED_AT: usize = 1 << 16;
/// A query takes few rows of a table if it takes less than one of so many.
const FEW: usize = 2;

impl Engine {
    /// Runs a query to its end, registers its rows as a materialised table, and returns how many there are.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn materialise(&self, name: &str, frame: DataFrame) -> Result<u64, DataFusionError> {
        let (mut state, plan) = frame.into_parts();
        let optimized = self.optimized(&state, &plan)?;
        let keys = order::keys_of(&optimized, &self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let is_sorted = matches!(optimized, LogicalPlan::Sort(_));
        let texts = text_types(&optimized);
        let encoded = self.texts.stored_plan(&state, optimized)?;
        let plan = state.query_planner().create_physical_plan(&encoded, &state).await?;
        if is_sorted && plan.output_partitioning().partition_count() != 1 {
            return internal_err!("the rows of {name} are dealt out after they were sorted");
        }
        let may_sort = has_hash_join(&plan) && reads_materialised_tables_only(&encoded)?;
        let materialised = match self.fill(plan).await {
            // A hash join holds one side in memory and cannot spill. A sort-merge join takes longer and can spill, so the query runs again
            // with such joins, unless it reads a source: a source must not be read twice.
            Err(error) if may_sort && failure::is_out_of_memory(&error) => {
                self.work.end_queries();
                let options = state.config_mut().options_mut();
                options.optimizer.prefer_hash_join = false;
                // With one partition DataFusion would plan a hash join all the same.
                options.execution.target_partitions = options.execution.target_partitions.max(LEAST_PARTITIONS);
                self.fill(state.query_planner().create_physical_plan(&encoded, &state).await?).await?
            }
            filled => filled?,
        };
        self.register_filled(name, materialised, &texts, keys)
    }

    /// Materialises a query that makes each of its rows from one row of a table, if it takes few of the rows, or reading them again costs
    /// much, and returns how many it takes. Otherwise the query becomes a view. So many queries will read it.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn materialise_few(&self, name: &str, query: LogicalPlan, readers: usize) -> Result<Option<u64>, DataFusionError> {
        let (state, plan) = self.frame(query.clone()).into_parts();
        let optimized = self.optimized(&state, &plan)?;
        let keys = order::keys_of(&optimized, &self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let texts = text_types(&optimized);
        let (looked_at, tables) = for_a_look(optimized)?;
        let is_cheap = tables.iter().all(|table| encoded(table).is_some_and(EncodedTable::is_cheap_to_read));
        let plan = state.query_planner().create_physical_plan(&self.texts.stored_plan(&state, looked_at)?, &state).await?;
        let takes_most = |taken: usize| is_cheap && taken.saturating_mul(FEW) >= rows_read(&plan);
        match self.fill_unless(Arc::clone(&plan), takes_most).await? {
            Some(materialised) => {
                tables.iter().filter_map(encoded).for_each(|table| table.expect_fewer(readers));
                self.register_filled(name, materialised, &texts, keys).map(Some)
            }
            None => {
                self.register_view(name, query).map_err(|error| DataFusionError::External(Box::new(error)))?;
                Ok(None)
            }
        }
    }

    /// Registers a materialised table. Some of its columns may have codes in the place of texts, whose types are given.
    fn register_filled(
        &self,
        name: &str,
        materialised: Arc<MaterialisedTable>,
        texts: &[Option<DataType>],
        keys: Vec<Vec<Column>>,
    ) -> Result<u64, DataFusionError> {
        let (stored, rows) = (materialised.schema(), materialised.rows() as u64);
        let schema = decoded_schema(&stored, texts);
        let table = MaterialisedProvider::new(stored, (0..schema.fields().len()).map(Some).collect(), materialised);
        self.register_stored(name, schema, Arc::new(table)).map_err(|error| DataFusionError::External(error.to_string().into()))?;
        for key in keys {
            self.declare_key(name, key.into_iter().map(|column| column.name).collect());
        }
        Ok(rows)
    }

    /// Runs a plan and collects its rows in a materialised table.
    async fn fill(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<MaterialisedTable>, DataFusionError> {
        let filled = self.fill_unless(plan, |_| false).await?;
        filled.ok_or_else(|| DataFusionError::Internal("a query was given up".to_owned()))
    }

    /// As [`Engine::fill`], but gives up, and returns nothing, if it is to do so with the rows that there are after some.
    async fn fill_unless(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        gives_up: impl Fn(usize) -> bool,
    ) -> Result<Option<Arc<MaterialisedTable>>, DataFusionError> {
        self.work.add_query(&plan);
        let materialised = self.empty_table(plan.schema());
        let mut batches = execute_stream(plan, self.context.task_ctx())?;
        let mut is_known = false;
        while let Some(batch) = batches.next().await.transpose()? {
            materialised.push(self.texts.compact(batch)?)?;
            if !is_known && materialised.rows() >= ROWS_LOOKED_AT {
                if gives_up(materialised.rows()) {
                    return Ok(None);
                }
                is_known = true;
            }
        }
        Ok(Some(materialised))
    }
}

/// The types of those columns that are text.
fn text_types(plan: &LogicalPlan) -> Vec<Option<DataType>> {
    plan.schema().fields().iter().map(|field| Some(field.data_type().clone()).filter(is_text)).collect()
}

/// A plan whose scans may be given up, with the tables that it reads.
fn for_a_look(plan: LogicalPlan) -> Result<(LogicalPlan, Vec<Arc<dyn TableProvider>>), DataFusionError> {
    let mut tables = Vec::new();
    let looked_at = plan.transform_up(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let table = source_as_provider(&scan.source)?;
        if let Some(look) = encoded(&table).and_then(EncodedTable::for_a_look) {
            scan.source = provider_as_source(Arc::new(look));
        }
        tables.push(table);
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok((looked_at.data, tables))
}

fn encoded(table: &Arc<dyn TableProvider>) -> Option<&EncodedTable> {
    table.downcast_ref()
}

/// How many rows a plan has read so far of its tables.
fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let children = plan.children();
    if children.is_empty() {
        return plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0);
    }
    children.into_iter().map(rows_read).sum()
}

fn has_hash_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>() || plan.children().into_iter().any(has_hash_join)
}

/// Whether a plan reads nothing but materialised tables.
fn reads_materialised_tables_only(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut kept_alone = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            kept_alone &= source_as_provider(&scan.source)?.is::<MaterialisedProvider>();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(kept_alone)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;
    use crate::engine::Limits;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_query_that_takes_most_rows_of_a_table_becomes_a_view() {
        let rows = i64::try_from(4 * ROWS_LOOKED_AT).unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("number", DataType::Int64, false)]));
        let numbers = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from_iter_values(0..rows))]).unwrap();
        // The part that it takes, whether few rows are taken, and how many.
        for (sql, is_few, taken) in [
            ("select number from numbers where number % 3 > 0", false, rows - (rows + 2) / 3),
            ("select number from numbers where number % 3 = 0", true, (rows + 2) / 3),
            ("select number from numbers where number < 100", true, 100),
            ("select number from numbers where number < 0", true, 0),
        ] {
            let engine = Engine::new(Limits { threads: 2, memory_bytes: 1 << 28 }, "UTC").unwrap();
            engine.register_stored_batches("numbers", Arc::clone(&schema), vec![numbers.clone()]).unwrap();
            let query = engine.query(sql).await.unwrap().logical_plan().clone();
            let found = engine.materialise_few("taken", query, 2).await.unwrap();
            assert_eq!(found, is_few.then(|| u64::try_from(taken).unwrap()), "{sql}");
            let frame = engine.query("select count(*), count(distinct number) from taken").await.unwrap();
            let counts = engine.collect(frame).await.unwrap().1;
            for column in counts[0].columns() {
                assert_eq!(column.as_primitive::<Int64Type>().value(0), taken, "{sql}");
            }
        }
    }
}
