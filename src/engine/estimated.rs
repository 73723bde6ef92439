//! A scan of which nobody knows how many rows it will give, with an estimate.
//!
//! A hash join holds one side in memory, and the planner chooses the smaller one where it knows something of both. Tables in memory know
//! their rows; what streams from files does not, and is as a rule the larger side, whichever way round the SQL has it.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream};
use futures::TryStreamExt;

/// A scan that gives about so many rows, with the metrics in which it counts its CPU time.
pub fn estimated(scan: Arc<dyn ExecutionPlan>, rows: Precision<usize>, metrics: ExecutionPlanMetricsSet) -> Arc<dyn ExecutionPlan> {
    Arc::new(EstimatedExec { scan, rows: rows.to_inexact(), metrics })
}

#[derive(Debug)]
struct EstimatedExec {
    /// Not a child of this operator: nothing may be put between the two.
    scan: Arc<dyn ExecutionPlan>,
    rows: Precision<usize>,
    metrics: ExecutionPlanMetricsSet,
}

impl DisplayAs for EstimatedExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EstimatedExec: {:?} rows of ", self.rows)?;
        self.scan.fmt_as(form, f)
    }
}

impl ExecutionPlan for EstimatedExec {
    fn name(&self) -> &'static str {
        "EstimatedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        self.scan.apply_expressions(visit)
    }

    fn with_new_children(self: Arc<Self>, _none: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = MetricBuilder::new(&self.metrics).output_rows(partition);
        let counted = self.scan.execute(partition, context)?.inspect_ok(move |batch| rows.add(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.scan.schema(), counted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let partitions = self.scan.properties().output_partitioning().partition_count().max(1);
        let num_rows = if asked.partition().is_none() { self.rows } else { self.rows.map(|rows| rows / partitions) };
        Ok(Arc::new(Statistics { num_rows, ..Statistics::new_unknown(&self.scan.schema()) }))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use arrow::record_batch::RecordBatch;
    use async_trait::async_trait;
    use datafusion::catalog::{Session, TableProvider};
    use datafusion::logical_expr::{Expr, TableType};
    use datafusion::physical_plan::displayable;
    use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

    use super::*;
    use crate::engine::{Engine, Limits};

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("number", DataType::Int64, false)]))
    }

    fn batch(rows: i64) -> RecordBatch {
        RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(0..rows))]).unwrap()
    }

    /// A source whose rows nobody has counted.
    #[derive(Debug)]
    struct Streamed {
        rows: i64,
        schema: SchemaRef,
    }

    impl PartitionStream for Streamed {
        fn schema(&self) -> &SchemaRef {
            &self.schema
        }

        fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
            let rows = futures::stream::iter([Ok(batch(self.rows))]);
            Box::pin(RecordBatchStreamAdapter::new(schema(), rows))
        }
    }

    #[async_trait]
    impl TableProvider for Streamed {
        fn schema(&self) -> SchemaRef {
            schema()
        }

        fn table_type(&self) -> TableType {
            TableType::Base
        }

        async fn scan(
            &self,
            _session: &dyn Session,
            projection: Option<&Vec<usize>>,
            _filters: &[Expr],
            _limit: Option<usize>,
        ) -> Result<Arc<dyn ExecutionPlan>> {
            let partition: Arc<dyn PartitionStream> = Arc::new(Streamed { rows: self.rows, schema: schema() });
            let scan = StreamingTableExec::try_new(schema(), vec![partition], projection, [], false, None)?;
            Ok(estimated(Arc::new(scan), Precision::Inexact(usize::try_from(self.rows).unwrap_or(0)), ExecutionPlanMetricsSet::new()))
        }
    }

    /// The table in memory is as large as makes the planner ask which side is the larger one, and not only whether one is small.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_smaller_side_of_a_join_is_held_whichever_way_round_the_sql_has_it() {
        const KEPT_ROWS: i64 = 300_000;
        for (streamed_rows, join, held) in [
            (1_000_000, "streamed left join kept using (number)", "kept"),
            (1_000_000, "kept right join streamed using (number)", "kept"),
            (150_000, "streamed left join kept using (number)", "streamed"),
            (150_000, "kept right join streamed using (number)", "streamed"),
        ] {
            let engine = Engine::new(Limits { threads: 2, memory_bytes: 1 << 30 }, "UTC").unwrap();
            engine.register("streamed", Arc::new(Streamed { rows: streamed_rows, schema: schema() })).unwrap();
            engine.register_batches("kept", schema(), vec![batch(KEPT_ROWS)]).unwrap();
            let query = engine.query(&format!("select count(*) as rows from {join}")).await.unwrap();
            let plan = query.create_physical_plan().await.unwrap();
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            let sides = shown.split("HashJoinExec").nth(1).unwrap_or_default();
            let first = ["EstimatedExec", "MaterialisedExec", "DataSourceExec"]
                .into_iter()
                .min_by_key(|name| sides.find(name).unwrap_or(usize::MAX));
            assert_eq!(first == Some("EstimatedExec"), held == "streamed", "{join} of {streamed_rows} rows:\n{shown}");
        }
    }
}
