//! Running a query and handing its rows out: all at once, as they come, or to several threads.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, collect, execute_stream, execute_stream_partitioned};
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use tokio::task::JoinSet;

use super::Engine;
use super::encoding::{Texts, answer_schema, decoded_schema};

/// Batches of an answer that are decoded before somebody takes them.
const DECODED_AHEAD: usize = 4;

/// A planned query whose rows may be codes where its answer has text.
struct Answer {
    plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    texts: Texts,
}

impl Answer {
    fn decode(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        self.texts.decoded_batch(&self.schema, batch)
    }
}

impl Engine {
    /// Runs a query to its end; the rows, and their columns as they came out.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn collect(&self, frame: DataFrame) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
        let answer = self.answer(frame).await?;
        let batches = collect(Arc::clone(&answer.plan), self.context.task_ctx()).await?;
        let batches = batches.iter().map(|batch| answer.decode(batch)).collect::<Result<_, _>>()?;
        Ok((answer.schema, batches))
    }

    /// Runs a query and hands its rows on as they come.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn stream(&self, frame: DataFrame) -> Result<SendableRecordBatchStream, DataFusionError> {
        let answer = self.answer(frame).await?;
        let mut rows = execute_stream(Arc::clone(&answer.plan), self.context.task_ctx())?;
        // Decoded on another thread than that of whoever takes the rows, which has enough to do.
        let mut decoding = RecordBatchReceiverStream::builder(Arc::clone(&answer.schema), DECODED_AHEAD);
        let decoded = decoding.tx();
        decoding.spawn(async move {
            while let Some(batch) = rows.next().await {
                let batch = batch.and_then(|batch| answer.decode(&batch));
                // Nobody takes rows any more: the query is dropped.
                if decoded.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(decoding.build())
    }

    /// Runs a query and hands its rows, in no order, to somebody who takes them from several threads at once. A text may come as its code
    /// in [`Engine::dictionary`].
    ///
    /// # Errors
    /// DataFusion's own, and those of whoever takes the rows.
    pub async fn share_out<T: Send + Sync + 'static>(
        &self,
        frame: DataFrame,
        taker: &Arc<T>,
        take: fn(&T, RecordBatch) -> Result<(), DataFusionError>,
    ) -> Result<(), DataFusionError> {
        let (state, plan) = frame.into_parts();
        let held = self.texts.held(&state, self.optimized(&state, &plan)?)?;
        let plan = state.query_planner().create_physical_plan(&held, &state).await?;
        self.work.runs(&plan);
        let mut taking = JoinSet::new();
        for mut rows in execute_stream_partitioned(plan, self.context.task_ctx())? {
            let taker = Arc::clone(taker);
            taking.spawn(async move {
                while let Some(batch) = rows.next().await {
                    take(&taker, batch?)?;
                }
                Ok::<(), DataFusionError>(())
            });
        }
        while let Some(done) = taking.join_next().await {
            done.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
        }
        Ok(())
    }

    /// A query as DataFusion runs it. Codes are decoded after it and not in it, so that its rows stay in order.
    async fn answer(&self, frame: DataFrame) -> Result<Answer, DataFusionError> {
        let (state, plan) = frame.into_parts();
        let encoded = self.texts.encoded(&state, self.optimized(&state, &plan)?)?;
        let plan = state.query_planner().create_physical_plan(&encoded.plan, &state).await?;
        self.work.runs(&plan);
        let schema = answer_schema(&decoded_schema(&plan.schema(), &encoded.columns));
        Ok(Answer { plan, schema, texts: self.texts.clone() })
    }
}
