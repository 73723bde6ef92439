//! Lists in the order of their own values.
//!
//! `array_agg(x order by x)` takes DataFusion several microseconds a row: it sorts all rows, and holds the list of each group by itself. The
//! lists are the same if the rows are gathered as they come and every list is sorted afterwards, which takes a tenth of that. Equal values
//! cannot be told apart, so any further key of the order changes nothing.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::functions_nested::expr_fn::array_sort;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::{Aggregate, Projection};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit};

use super::names::named_as;
use crate::cast::is_text;

/// An optimised plan that sorts such lists when they have been gathered.
///
/// # Errors
/// DataFusion's own.
pub fn with_sorted_lists(plan: LogicalPlan) -> Result<LogicalPlan> {
    let sorted = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => in_aggregate(aggregate),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(sorted.data)
}

fn in_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let gathered: Vec<Option<(Expr, Order)>> =
        aggregate.aggr_expr.iter().map(|expr| gathered(expr, aggregate.input.schema())).collect::<Result<_>>()?;
    if gathered.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let Aggregate { input, group_expr, aggr_expr, schema, .. } = aggregate;
    // Columns that are grouped by stand before the others, and there may be one more of sets of columns.
    let first = schema.fields().len() - aggr_expr.len();
    let columns = schema.columns().into_iter().enumerate().map(|(at, column)| {
        let order = at.checked_sub(first).and_then(|at| gathered[at].as_ref()).map(|(_, order)| *order);
        in_order(column, order)
    });
    let columns = columns.collect();
    let aggr_expr = aggr_expr.into_iter().zip(&gathered).map(|(expr, gathered)| match gathered {
        Some((gathered, _)) => named_as(&expr, gathered.clone()),
        None => expr,
    });
    let aggregate = Aggregate::try_new_with_schema(input, group_expr, aggr_expr.collect(), Arc::clone(&schema))?;
    let sorted = Projection::try_new_with_schema(columns, Arc::new(LogicalPlan::Aggregate(aggregate)), schema)?;
    Ok(Transformed::yes(LogicalPlan::Projection(sorted)))
}

/// The order of a list.
#[derive(Debug, Clone, Copy)]
struct Order {
    is_descending: bool,
    nulls_first: bool,
}

/// A column, or the column as a sorted list.
fn in_order(column: Column, order: Option<Order>) -> Expr {
    let column = Expr::Column(column);
    let Some(Order { is_descending, nulls_first }) = order else { return column };
    let direction = lit(if is_descending { "DESC" } else { "ASC" });
    let nulls = lit(if nulls_first { "NULLS FIRST" } else { "NULLS LAST" });
    named_as(&column, array_sort(column.clone(), direction, nulls))
}

/// A list in the order of its own values without that order, and the order.
fn gathered(expr: &Expr, schema: &DFSchema) -> Result<Option<(Expr, Order)>> {
    match expr {
        Expr::Alias(alias) => gathered(&alias.expr, schema),
        Expr::AggregateFunction(call) if call.func.name() == "array_agg" && !call.params.distinct => {
            let ([value], Some(key)) = (call.params.args.as_slice(), call.params.order_by.first()) else { return Ok(None) };
            if key.expr != *value || !is_told_apart(&value.get_type(schema)?) {
                return Ok(None);
            }
            let order = Order { is_descending: !key.asc, nulls_first: key.nulls_first };
            let mut params = call.params.clone();
            params.order_by.clear();
            Ok(Some((Expr::AggregateFunction(AggregateFunction { func: Arc::clone(&call.func), params }), order)))
        }
        _ => Ok(None),
    }
}

/// Whether values of a type that are not told apart by order are the same value. Zero and minus zero are not.
fn is_told_apart(value_type: &DataType) -> bool {
    let is_number_or_time = value_type.is_integer() || value_type.is_decimal() || value_type.is_temporal();
    is_text(value_type) || is_number_or_time && !matches!(value_type, DataType::Interval(_))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{Field, Schema};
    use arrow::util::display::array_value_to_string;
    use datafusion::physical_plan::displayable;

    use super::*;
    use crate::engine::{Engine, Limits, TextEncoding};

    /// The values of row 0, 1, 2, …: with repetitions, and nulls among them.
    fn value(row: i64) -> Option<i64> {
        (row % 5 > 0).then_some(row * 7_919 % 101 - 50)
    }

    fn rows() -> RecordBatch {
        let (rows, values): (Vec<i64>, Vec<Option<i64>>) = (0..3_000).map(|row| (row, value(row))).unzip();
        let texts: StringArray = values.iter().map(|value| value.map(|value| format!("{:03}", value + 100))).collect();
        let amounts = values.iter().map(|value| value.map(i128::from)).collect::<Decimal128Array>().with_precision_and_scale(9, 2).unwrap();
        let doubles: Float64Array = values.iter().map(|value| value.map(|value| f64::from(i32::try_from(value).unwrap()))).collect();
        let columns: Vec<(&str, Arc<dyn Array>)> = vec![
            ("number", Arc::new(Int64Array::from(rows))),
            ("whole", Arc::new(Int64Array::from(values))),
            ("word", Arc::new(texts)),
            ("amount", Arc::new(amounts)),
            ("double", Arc::new(doubles)),
        ];
        let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
    }

    /// What `array_agg(column order by column …)` is by the meaning of SQL: nulls count as large unless the order says something else.
    fn expected(column: &str, order: &str, where_odd: bool) -> Vec<Vec<Option<String>>> {
        let shown = |value: i64| match column {
            "word" => format!("{:03}", value + 100),
            "amount" => format!("{}{}.{:02}", if value < 0 { "-" } else { "" }, value.abs() / 100, value.abs() % 100),
            "double" => format!("{value}.0"),
            _ => value.to_string(),
        };
        let is_descending = order.contains("desc");
        let nulls_first = if order.contains("nulls") { order.contains("first") } else { is_descending };
        let of_part = |part: i64| {
            let rows = (0..3_000).filter(|row| row % 4 == part && (!where_odd || row % 3 == 1));
            let (nulls, mut values): (Vec<_>, Vec<_>) = rows.map(value).partition(Option::is_none);
            values.sort_unstable();
            if is_descending {
                values.reverse();
            }
            let (mut all, mut others) = if nulls_first { (nulls, values) } else { (values, nulls) };
            all.append(&mut others);
            all.into_iter().map(|value| value.map(shown)).collect()
        };
        (0..4).map(of_part).collect()
    }

    async fn found(engine: &Engine, sql: &str) -> (String, Vec<Vec<Option<String>>>) {
        let plan = engine.query(sql).await.unwrap().into_unoptimized_plan();
        let plan = engine.optimize(&plan).unwrap();
        let frame = engine.frame(plan);
        let shown = displayable(frame.clone().create_physical_plan().await.unwrap().as_ref()).indent(false).to_string();
        let mut lists = Vec::new();
        for batch in engine.collect(frame).await.unwrap().1 {
            let column = batch.column(1).as_list::<i32>().clone();
            for list in column.iter().flatten() {
                let shown = |at: usize| list.is_valid(at).then(|| array_value_to_string(&list, at).unwrap());
                lists.push((0..list.len()).map(shown).collect());
            }
        }
        (shown, lists)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_list_in_its_own_order_is_what_it_always_was_and_no_row_is_sorted_for_it() {
        for encoding in [TextEncoding::Plain, TextEncoding::Dictionary] {
            let engine = Engine::with_text_encoding(Limits { threads: 3, memory_bytes: 1 << 28 }, "UTC", encoding).unwrap();
            engine.register_batches("t", rows().schema(), vec![rows().slice(0, 1_000), rows().slice(1_000, 2_000)]).unwrap();
            for column in ["whole", "word", "amount", "double"] {
                for order in ["", "desc", "nulls first", "desc nulls last", "asc nulls last, number"] {
                    for where_odd in [false, true] {
                        let filter = if where_odd { " filter (where number % 3 = 1)" } else { "" };
                        let list = format!("array_agg({column} order by {column} {order}){filter}");
                        let sql = format!("select number % 4 as part, {list} as list, count(*) as rows from t group by 1 order by part");
                        let (plan, lists) = found(&engine, &sql).await;
                        assert_eq!(lists, expected(column, order, where_odd), "{sql}");
                        assert_eq!(plan.matches("array_sort").count(), usize::from(column != "double"), "{sql}\n{plan}");
                    }
                }
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_list_in_another_order_or_of_different_values_is_left_as_it_is() {
        let engine = Engine::new(Limits { threads: 2, memory_bytes: 1 << 28 }, "UTC").unwrap();
        engine.register_batches("t", rows().schema(), vec![rows()]).unwrap();
        for list in ["array_agg(word order by number)", "array_agg(distinct word order by word)", "array_agg(word order by number, word)"] {
            let (plan, lists) = found(&engine, &format!("select 0, {list} from t")).await;
            assert!(!plan.contains("array_sort"), "{list}\n{plan}");
            assert_eq!(lists.len(), 1);
        }
    }
}
