//! Computes the sort keys of ordered aggregates before the rows are grouped.
//!
//! With several threads DataFusion groups in two steps, and the second one sorts what the first one kept. It finds a key there if the key is
//! a column. If the key is an expression that is also the aggregate's value, as in `first_value(upper(w) order by upper(w))`, it fails.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::{Aggregate, Projection};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::engine::names::named_as;

/// The name of a computed key. No column of a project can have it.
const NAME: &str = "__sort_key_";

/// The same aggregates with columns as sort keys; the input computes them.
///
/// # Errors
/// DataFusion's own.
pub fn with_computed_keys(aggregate: Aggregate) -> Result<Aggregate> {
    let mut computed: Vec<Expr> = Vec::new();
    let mut aggregates = Vec::new();
    for expr in &aggregate.aggr_expr {
        let rewritten = expr.clone().transform_down(|part| match part {
            Expr::AggregateFunction(call) if !call.params.order_by.is_empty() => {
                Ok(Transformed::yes(Expr::AggregateFunction(of_columns(call, &mut computed))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        aggregates.push(named_as(expr, rewritten.data));
    }
    if computed.is_empty() {
        return Ok(aggregate);
    }
    let columns = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    let computed = computed.into_iter().enumerate().map(|(at, expr)| expr.alias(format!("{NAME}{at}")));
    let input = Projection::try_new(columns.chain(computed).collect(), aggregate.input)?;
    Aggregate::try_new_with_schema(Arc::new(LogicalPlan::Projection(input)), aggregate.group_expr, aggregates, aggregate.schema)
}

/// A call with columns in the place of its sort keys, and of a value that is one of the keys.
fn of_columns(mut call: AggregateFunction, computed: &mut Vec<Expr>) -> AggregateFunction {
    for at in 0..call.params.order_by.len() {
        let key = call.params.order_by[at].expr.clone();
        if key.column_refs().is_empty() || key.try_as_col().is_some() {
            continue;
        }
        let known = computed.iter().position(|one| *one == key).unwrap_or_else(|| {
            computed.push(key.clone());
            computed.len() - 1
        });
        let column = Expr::Column(Column::from_name(format!("{NAME}{known}")));
        for part in call.params.args.iter_mut().chain(call.params.order_by.iter_mut().map(|sort| &mut sort.expr)) {
            if *part == key {
                part.clone_from(&column);
            }
        }
    }
    call
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use arrow::util::pretty::pretty_format_batches;

    use super::*;
    use crate::engine::{Engine, Limits, TextEncoding};

    fn engine(threads: usize, encoding: TextEncoding) -> Engine {
        let engine = Engine::with_text_encoding(Limits { threads, memory_bytes: 1 << 28 }, "UTC", encoding).unwrap();
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("n", DataType::Int64, true),
            Field::new("w", DataType::Utf8, true),
        ]));
        let rows: Vec<i64> = (0..400).collect();
        let batch = |rows: &[i64]| {
            let word =
                |row: &i64| (row % 9 > 0).then(|| format!("{}{}", ["a", "B", "c"][usize::try_from(row % 3).unwrap()], row * 31 % 17));
            RecordBatch::try_new(
                Arc::clone(&schema),
                vec![
                    Arc::new(rows.iter().map(|row| row % 4).collect::<Int64Array>()),
                    Arc::new(rows.iter().map(|row| (row % 7 > 0).then_some(row * 13 % 23)).collect::<Int64Array>()),
                    Arc::new(rows.iter().map(word).collect::<StringArray>()),
                ],
            )
            .unwrap()
        };
        engine.register_batches("t", Arc::clone(&schema), rows.chunks(57).map(batch).collect()).unwrap();
        engine
    }

    async fn answer(engine: &Engine, sql: &str) -> String {
        let plan = engine.query(sql).await.unwrap().into_unoptimized_plan();
        let collected = engine.collect(engine.frame(plan)).await;
        let (_, batches) = collected.unwrap_or_else(|error| panic!("{sql}: {error}"));
        pretty_format_batches(&batches).unwrap().to_string()
    }

    /// Every ordered aggregate of a computed value, by that value and by others, is what the same aggregate of columns is that a query below
    /// has computed, with one thread and with several.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_aggregate_in_the_order_of_its_own_computed_value_is_that_of_computed_columns() {
        let orders = ["V", "V desc", "K, V", "V nulls first, n", "n desc, V", "V, K desc"];
        let calls = ["first_value(V order by O)", "last_value(V order by O)", "nth_value(V, 2 order by O)", "array_agg(V order by O)"];
        let calls = calls.into_iter().chain(["array_agg(distinct V order by V)", "string_agg(cast(V as varchar), ',' order by O)"]);
        let values = [("upper(w)", "n % 3"), ("-n", "lower(w)"), ("cast(n as double) * 0.5", "n + 1"), ("w || '!'", "w is null")];
        let forms = ["", " filter (where n > 5)"];
        let mut asked = 0;
        let engines: Vec<Engine> = [1, 3]
            .into_iter()
            .flat_map(|threads| [TextEncoding::Plain, TextEncoding::Dictionary].map(|encoding| engine(threads, encoding)))
            .collect();
        for call in calls {
            for (order, form) in orders.iter().flat_map(|order| forms.map(|form| (order, form))) {
                for (value, key) in values {
                    let call = format!("{call}{form}").replace('O', order);
                    let direct = call.replace('V', value).replace('K', key);
                    let below = call.replace('V', "v").replace('K', "x");
                    for group in ["", " group by k order by k"] {
                        let sql = format!("select {direct} as a, count(*) as rows from t{group}");
                        let other =
                            format!("select {below} as a, count(*) as rows from (select k, n, w, {value} as v, {key} as x from t){group}");
                        let expected = answer(&engines[0], &other).await;
                        for engine in &engines {
                            assert_eq!(answer(engine, &sql).await, expected, "{sql}");
                            asked += 1;
                        }
                    }
                }
            }
        }
        assert!(asked > 1_000, "{asked}");
    }
}
