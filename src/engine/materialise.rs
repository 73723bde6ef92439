//! Runs a query to its end and registers its rows as a materialised table.

use std::sync::{Arc, PoisonError};

use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use super::encoding::{decoded_schema, is_text};
use super::limits::LEAST_PARTITIONS;
use super::materialised_table::{MaterialisedProvider, MaterialisedTable};
use super::{Engine, failure, order};

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
        let texts: Vec<_> = optimized.schema().fields().iter().map(|field| Some(field.data_type().clone()).filter(is_text)).collect();
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
        let (stored, rows) = (materialised.schema(), materialised.rows() as u64);
        let schema = decoded_schema(&stored, &texts);
        let table = MaterialisedProvider::new(stored, (0..schema.fields().len()).map(Some).collect(), materialised);
        self.register_stored(name, schema, Arc::new(table)).map_err(|error| DataFusionError::External(error.to_string().into()))?;
        for key in keys {
            self.declare_key(name, key.into_iter().map(|column| column.name).collect());
        }
        Ok(rows)
    }

    /// Runs a plan and collects its rows in a materialised table.
    async fn fill(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<MaterialisedTable>, DataFusionError> {
        self.work.add_query(&plan);
        let materialised = self.empty_table(plan.schema());
        let mut batches = execute_stream(plan, self.context.task_ctx())?;
        while let Some(batch) = batches.next().await.transpose()? {
            materialised.push(self.texts.compact(batch)?)?;
        }
        Ok(materialised)
    }
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
