//! Tables in order: a table that was materialised in an order is read in it, without being sorted again.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream_partitioned};
use datafusion::prelude::{DataFrame, ident};
use futures::StreamExt;

use super::Engine;
use super::materialised_table::{MaterialisedExec, MaterialisedTable};

impl Engine {
    /// As [`Engine::materialise`], in the order of some columns: ascending, nulls last.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn materialise_sorted(&self, name: &str, frame: DataFrame, columns: &[String]) -> Result<u64, DataFusionError> {
        let rows = self.materialise(name, sorted(frame, columns)?).await?;
        self.sorted.lock().unwrap_or_else(PoisonError::into_inner).insert(TableReference::parse_str(name).to_string(), columns.to_vec());
        Ok(rows)
    }

    /// Registers a materialised table whose rows are in the order of some columns: ascending, nulls last.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_in_order(&self, name: &str, table: Arc<MaterialisedTable>, columns: &[String]) -> crate::error::Result<()> {
        self.register_materialised(name, table)?;
        self.sorted.lock().unwrap_or_else(PoisonError::into_inner).insert(TableReference::parse_str(name).to_string(), columns.to_vec());
        Ok(())
    }

    /// The rows of a table in the order of some columns: ascending, nulls last. A table that was materialised in this order is only read.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn stream_sorted(&self, name: &str, columns: &[String]) -> Result<SendableRecordBatchStream, DataFusionError> {
        self.in_order(name, self.context.table(name).await?, columns).await
    }

    /// As [`Engine::stream_sorted`], with some of the columns, those of the order among them.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn stream_some_sorted(
        &self,
        name: &str,
        columns: &[String],
        some: &[&str],
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        self.in_order(name, self.context.table(name).await?.select_columns(some)?, columns).await
    }

    async fn in_order(&self, name: &str, table: DataFrame, columns: &[String]) -> Result<SendableRecordBatchStream, DataFusionError> {
        let known = self.sorted.lock().unwrap_or_else(PoisonError::into_inner).get(&TableReference::parse_str(name).to_string()).cloned();
        if known.is_none_or(|known| known != columns) {
            return self.stream(sorted(table, columns)?).await;
        }
        let answer = self.answer(table.clone()).await?;
        if !deals_out_in_turn(&answer.plan) {
            return self.stream(sorted(table, columns)?).await;
        }
        // A materialised table deals its batches out over its partitions in turn, so taking them in turn gives their order back.
        let partitions = execute_stream_partitioned(Arc::clone(&answer.plan), self.context.task_ctx())?;
        let schema = answer.plan.schema();
        let in_turn = futures::stream::unfold(VecDeque::from(partitions), |mut partitions| async {
            let mut partition = partitions.pop_front()?;
            // The first partition that has no more batches is the one whose turn comes after the last batch of all.
            let batch = partition.next().await?;
            partitions.push_back(partition);
            Some((batch, partitions))
        });
        Ok(answer.decoded(Box::pin(RecordBatchStreamAdapter::new(schema, in_turn))))
    }
}

/// Whether a plan only reads a materialised table, so that its batches are those of the table.
fn deals_out_in_turn(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<MaterialisedExec>() || plan.is::<ProjectionExec>() && plan.children().into_iter().all(deals_out_in_turn)
}

fn sorted(frame: DataFrame, columns: &[String]) -> Result<DataFrame, DataFusionError> {
    frame.sort(columns.iter().map(|column| ident(column).sort(true, false)).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use futures::TryStreamExt;

    use super::*;
    use crate::engine::reservation::Spillable;
    use crate::engine::{Limits, TextEncoding};

    /// Rows in no order, with texts whose codes are in another order than the texts.
    fn rows(count: i64) -> RecordBatch {
        let numbers: Vec<i64> = (0..count).map(|at| (at * 7_919) % count).collect();
        let texts = StringArray::from_iter_values(numbers.iter().map(|number| format!("c{number:07}")));
        let schema = Schema::new(vec![Field::new("id", DataType::Utf8, false), Field::new("number", DataType::Int64, false)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts), Arc::new(Int64Array::from(numbers))]).unwrap()
    }

    async fn numbers_in_order(engine: &Engine, columns: &[String]) -> Vec<i64> {
        let batches: Vec<RecordBatch> = engine.stream_sorted("sorted", columns).await.unwrap().try_collect().await.unwrap();
        batches.iter().flat_map(|batch| batch.column_by_name("number").unwrap().as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_that_was_materialised_in_an_order_is_read_in_it() {
        const ROWS: i64 = 100_003;
        let id = ["id".to_owned()];
        for encoding in [TextEncoding::Dictionary, TextEncoding::Plain] {
            for threads in [1, 3] {
                let engine = Engine::with_text_encoding(Limits { threads, memory_bytes: 1 << 30 }, "UTC", encoding).unwrap();
                engine.register_batches("given", rows(ROWS).schema(), vec![rows(ROWS)]).unwrap();
                let frame = engine.query("select * from given").await.unwrap();
                assert_eq!(engine.materialise_sorted("sorted", frame, &id).await.unwrap(), u64::try_from(ROWS).unwrap());
                engine.forget("given");
                engine.work().take();
                assert_eq!(numbers_in_order(&engine, &id).await, (0..ROWS).collect::<Vec<_>>(), "{threads} threads");
                let sorts = engine.work().take().operators.into_iter().filter(|operator| operator.name.starts_with("Sort")).count();
                assert_eq!(sorts, 0, "it is not sorted again");
                // In another order, or after its name was given to another table, it is sorted.
                assert_eq!(numbers_in_order(&engine, &["number".to_owned()]).await, (0..ROWS).collect::<Vec<_>>());
                engine.register_batches("sorted", rows(ROWS).schema(), vec![rows(ROWS)]).unwrap();
                assert_eq!(numbers_in_order(&engine, &id).await, (0..ROWS).collect::<Vec<_>>());
            }
        }
    }

    /// Texts that are computed have no codes before they are stored.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_with_computed_texts_is_materialised_in_the_order_of_any_column() {
        const ROWS: i64 = 100_003;
        let query = "select max(id) as id, number, upper(max(id)) as shouted from given group by number";
        for encoding in [TextEncoding::Dictionary, TextEncoding::Plain] {
            for order in ["id", "number", "shouted"] {
                let engine = Engine::with_text_encoding(Limits { threads: 3, memory_bytes: 1 << 30 }, "UTC", encoding).unwrap();
                engine.register_batches("given", rows(ROWS).schema(), vec![rows(ROWS)]).unwrap();
                let order = [order.to_owned()];
                engine.materialise_sorted("sorted", engine.query(query).await.unwrap(), &order).await.unwrap();
                assert_eq!(numbers_in_order(&engine, &order).await, (0..ROWS).collect::<Vec<_>>(), "{encoding:?}, by {}", order[0]);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_of_which_a_part_is_on_disk_is_read_in_order() {
        let engine = Engine::new(Limits { threads: 3, memory_bytes: 1 << 30 }, "UTC").unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("number", DataType::Int64, false)]));
        let table = engine.empty_table(Arc::clone(&schema));
        for batch in 0..20_i64 {
            let numbers = Int64Array::from_iter_values(batch * 100..(batch + 1) * 100);
            table.push(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)]).unwrap()).unwrap();
            if [4, 10].contains(&batch) {
                table.spill().unwrap();
            }
        }
        engine.register_materialised("sorted", table).unwrap();
        engine.sorted.lock().unwrap().insert("sorted".to_owned(), vec!["number".to_owned()]);
        assert_eq!(numbers_in_order(&engine, &["number".to_owned()]).await, (0..2_000).collect::<Vec<_>>());
        assert!(engine.work().take().spilled_bytes > 0);
    }
}
