//! Runs a query and returns its rows: all at once, as a stream, or to a function that several threads call.

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

/// How many decoded batches may wait for the consumer of a stream.
const DECODED_AHEAD: usize = 4;

/// A planned query. Columns of text may still be dictionary codes in its rows.
pub(super) struct Answer {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    texts: Texts,
}

impl Answer {
    fn decode(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        self.texts.decoded_batch(&self.schema, batch)
    }

    /// Decodes the rows of the plan in a task of their own, because the consumer of a stream is usually the slower side.
    pub(super) fn decoded(self, mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let mut decoding = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), DECODED_AHEAD);
        let decoded = decoding.tx();
        decoding.spawn(async move {
            while let Some(batch) = rows.next().await {
                let batch = batch.and_then(|batch| self.decode(&batch));
                // The consumer has dropped the stream, so the query ends too.
                if decoded.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        decoding.build()
    }
}

impl Engine {
    /// Runs a query to its end and returns its schema and its rows.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn collect(&self, frame: DataFrame) -> Result<(SchemaRef, Vec<RecordBatch>), DataFusionError> {
        let answer = self.answer(frame).await?;
        let batches = collect(Arc::clone(&answer.plan), self.context.task_ctx()).await?;
        let batches = batches.iter().map(|batch| answer.decode(batch)).collect::<Result<_, _>>()?;
        Ok((answer.schema, batches))
    }

    /// Runs a query and returns its rows as a stream.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn stream(&self, frame: DataFrame) -> Result<SendableRecordBatchStream, DataFusionError> {
        let answer = self.answer(frame).await?;
        let rows = execute_stream(Arc::clone(&answer.plan), self.context.task_ctx())?;
        Ok(answer.decoded(rows))
    }

    /// Runs a query and calls `take` with its batches, in no particular order and from several threads at once. Columns of text may be
    /// dictionary codes ([`Engine::dictionary`]).
    ///
    /// # Errors
    /// DataFusion's own, and those that `take` returns.
    pub async fn process_partitions<T: Send + Sync + 'static>(
        &self,
        frame: DataFrame,
        taker: &Arc<T>,
        take: fn(&T, RecordBatch) -> Result<(), DataFusionError>,
    ) -> Result<(), DataFusionError> {
        let (state, plan) = frame.into_parts();
        let stored = self.texts.stored_plan(&state, self.optimized(&state, &plan)?)?;
        let plan = state.query_planner().create_physical_plan(&stored, &state).await?;
        self.work.add_query(&plan);
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

    /// The physical plan of a query. Codes are decoded after the plan has run and not inside it, so that its rows stay in order.
    pub(super) async fn answer(&self, frame: DataFrame) -> Result<Answer, DataFusionError> {
        let (state, plan) = frame.into_parts();
        let encoded = self.texts.encoded(&state, self.optimized(&state, &plan)?)?;
        let plan = state.query_planner().create_physical_plan(&encoded.plan, &state).await?;
        self.work.add_query(&plan);
        let schema = answer_schema(&decoded_schema(&plan.schema(), &encoded.texts_of_codes()));
        Ok(Answer { plan, schema, texts: self.texts.clone() })
    }
}
