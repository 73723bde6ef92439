//! The operator that groups in shards.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt};

use super::shards::{Grouping, Shards};

/// Groups the rows of all its input's partitions. All of its own partitions must be executed, because each waits until the others have read
/// their rows.
#[derive(Debug)]
pub struct ShardedAggregateExec {
    input: Arc<dyn ExecutionPlan>,
    grouping: Arc<Grouping>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// Made for the partition that is executed first, and how many others are still to have them.
    shards: Mutex<Option<(Arc<Shards>, usize)>>,
}

impl ShardedAggregateExec {
    /// The operator that computes a grouping.
    pub fn new(input: Arc<dyn ExecutionPlan>, grouping: Arc<Grouping>) -> Self {
        let partitions = Partitioning::UnknownPartitioning(input.output_partitioning().partition_count());
        let properties = PlanProperties::new(grouping.equivalences.clone(), partitions, EmissionType::Final, Boundedness::Bounded);
        let (metrics, shards) = (ExecutionPlanMetricsSet::new(), Mutex::default());
        ShardedAggregateExec { input, grouping, properties: Arc::new(properties), metrics, shards }
    }

    fn shards(&self, context: &TaskContext) -> Result<Arc<Shards>> {
        let mut waiting = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let partitions = self.input.output_partitioning().partition_count();
        let (shards, left) = match waiting.take() {
            Some((shards, left)) => (shards, left - 1),
            None => {
                let made = Shards::new(&self.grouping, partitions, context, SpillMetrics::new(&self.metrics, 0))?;
                (Arc::new(made), partitions - 1)
            }
        };
        // Their memory is free when the last partition has ended, however long the plan is kept.
        *waiting = (left > 0).then(|| (Arc::clone(&shards), left));
        Ok(shards)
    }
}

impl DisplayAs for ShardedAggregateExec {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardedAggregateExec: {}", self.grouping.shown())
    }
}

impl ExecutionPlan for ShardedAggregateExec {
    fn name(&self) -> &'static str {
        "ShardedAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(&self, _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(ShardedAggregateExec::new(input, Arc::clone(&self.grouping)))),
            _ => Err(DataFusionError::Internal("rows of one input are grouped".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let shards = self.shards(&context)?;
        let rows = self.input.execute(partition, context)?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (computing, counted) = (metrics.elapsed_compute().clone(), metrics.output_rows().clone());
        let groups = futures::stream::once(async move {
            let to_finish = shards.meeting.attend(shards.fill(partition, rows, &computing)).await?;
            let finished = futures::stream::try_unfold((shards, to_finish, computing), |(shards, mut to_finish, computing)| async {
                let batches = shards.finish_next(&mut to_finish, &computing).await?;
                Ok::<_, DataFusionError>(batches.map(|batches| (batches, (shards, to_finish, computing))))
            });
            Ok::<_, DataFusionError>(finished.map_ok(|batches| futures::stream::iter(batches).map(Ok)).try_flatten())
        });
        let groups = groups.try_flatten().inspect_ok(move |batch| counted.add(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.grouping.schema), groups)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
