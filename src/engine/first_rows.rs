//! Keeps the first rows of unions right. Each partition of a sort with a limit looks for the first rows on its own, and passes over rows that
//! come behind the last one of the first rows that another partition has found. DataFusion leaves keys out of that comparison that are constant
//! within every partition, although they may differ between partitions, as in a union of queries with a constant column each: rows were lost.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::{AcrossPartitions, LexOrdering};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// A physical optimiser rule that lets partitions compare their first rows by all keys.
#[derive(Debug, Default)]
pub struct CompareByAllKeys;

impl PhysicalOptimizerRule for CompareByAllKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        mended(plan)
    }

    fn name(&self) -> &'static str {
        "compare_by_all_keys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn mended(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mended_node = |node: Arc<dyn ExecutionPlan>| {
        let merge = node.downcast_ref::<SortPreservingMergeExec>();
        let below = merge.and_then(|merge| Some((merge, shared(merge.input())?)));
        let new: Arc<dyn ExecutionPlan> = match (below, shared(&node)) {
            (Some((merge, sort)), _) => {
                let first = sorted(merge.expr(), mended(Arc::clone(sort.input()))?, sort.fetch());
                Arc::new(SortPreservingMergeExec::new(merge.expr().clone(), first).with_fetch(merge.fetch()))
            }
            // Which keys were left out is not known here: each partition sorts all its rows.
            (None, Some(sort)) if differs_between_partitions(sort.input()) => {
                let all = sorted(sort.expr(), mended(Arc::clone(sort.input()))?, None);
                sort.fetch().map_or(Arc::clone(&all), |fetch| Arc::new(LocalLimitExec::new(all, fetch)))
            }
            _ => return Ok(Transformed::no(node)),
        };
        Ok(Transformed::new(new, true, TreeNodeRecursion::Jump))
    };
    plan.transform_down(mended_node).data()
}

/// A sort with a limit whose partitions share what they have found.
fn shared(node: &Arc<dyn ExecutionPlan>) -> Option<&SortExec> {
    let sort = node.downcast_ref::<SortExec>()?;
    (sort.preserve_partitioning() && sort.fetch().is_some() && sort.input().output_partitioning().partition_count() > 1).then_some(sort)
}

fn differs_between_partitions(input: &Arc<dyn ExecutionPlan>) -> bool {
    input.equivalence_properties().constants().iter().any(|constant| constant.across_partitions == AcrossPartitions::Heterogeneous)
}

fn sorted(by: &LexOrdering, input: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Arc<dyn ExecutionPlan> {
    Arc::new(SortExec::new(by.clone(), input).with_preserve_partitioning(true).with_fetch(fetch))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use datafusion::datasource::MemTable;

    use crate::engine::{Engine, Limits, TextEncoding};

    /// The second query's rows are found first, and have smaller keys.
    #[tokio::test]
    async fn rows_of_one_query_of_a_union_do_not_hide_those_of_another() {
        let engine = Engine::with_text_encoding(Limits { threads: 4, memory_bytes: 1 << 28 }, "UTC", TextEncoding::Plain).unwrap();
        for (table, from) in [("large", 1_000_000), ("small", 0)] {
            let parts = (0..4).map(|part| {
                let of = (0..40).map(|batch| {
                    let keys: ArrayRef =
                        std::sync::Arc::new(Int64Array::from_iter_values((0..100).map(|key| from + 4 * (100 * batch + key) + part)));
                    RecordBatch::try_from_iter([("key", keys)]).unwrap()
                });
                of.collect::<Vec<_>>()
            });
            let parts: Vec<_> = parts.collect();
            engine.register(table, std::sync::Arc::new(MemTable::try_new(parts[0][0].schema(), parts).unwrap())).unwrap();
        }
        let union = "select 'a' as kind, key from large union all select 'b' as kind, key from small";
        for limited in ["order by kind, key limit 5", "order by kind desc, key desc limit 5"] {
            let sql = format!("select kind, key from ({union}) {limited}");
            let rows = engine.query(&sql).await.unwrap().collect().await.unwrap();
            let keys: Vec<i64> = rows.iter().flat_map(|rows| rows.column(1).as_primitive::<Int64Type>().values().to_vec()).collect();
            let expected = if limited.contains("desc") {
                [15_999, 15_998, 15_997, 15_996, 15_995]
            } else {
                [1_000_000, 1_000_001, 1_000_002, 1_000_003, 1_000_004]
            };
            assert_eq!(keys, expected, "{sql}");
        }
    }
}
