//! What `arg_max` and its kin answer: as `DuckDB` does, and where that leaves it open, by the rows alone.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use crate::engine::{Engine, Limits};

/// What `DuckDB` 2.0 answers too.
const AS_DUCKDB: &[(&str, &str)] = &[
    ("arg_max(t, n)", "y"),
    ("arg_min(t, n)", "x"),
    // The row with the greatest number has no text.
    ("arg_max(u, n)", "b"),
    ("arg_max_null(u, n)", "null"),
    ("arg_min_null(u, n)", "a"),
    ("arg_max(t, null)", "null"),
    ("arg_max(t, n) filter (where n < 3)", "z"),
    ("arg_max(t, n) filter (where n > 99)", "null"),
    ("arg_max(t, d)", "z"),
    ("arg_min(t, d)", "y"),
    ("arg_max(n, t)", "2"),
    ("arg_max(n + 1, t)", "3"),
    ("arg_max(t, date '2020-01-01' + cast(n as int))", "y"),
    ("arg_max(t, cast(n as decimal(9, 2)))", "y"),
    ("arg_max(t, n = 2)", "z"),
    ("arg_max(distinct t, n)", "y"),
];

/// What is settled here, where `DuckDB` takes whichever row comes first or knows no such call.
const SETTLED: &[(&str, &str)] = &[
    // Of equal rows the greatest value, or the least.
    ("arg_max(t, 1)", "z"),
    ("arg_min(t, 1)", "w"),
    ("arg_max(u, 1)", "b"),
    ("arg_max_null(u, 1)", "b"),
    ("arg_min_null(u, 1)", "a"),
    // Further orderings decide between equal rows, and a null in them loses.
    ("arg_max(t, n > 1, m)", "y"),
    ("arg_max(t, n > 1, m) filter (where n < 4)", "z"),
    ("arg_min(t, n > 9, m)", "x"),
    ("arg_max(t, 1, u, m)", "z"),
    ("arg_max(t, 1, -n)", "x"),
    // All columns of one row: what is no value loses, and is none.
    ("arg_max(named_struct('t', t, 'u', u), n)['u']", "null"),
    ("arg_max(named_struct('u', u, 't', t), 1)['t']", "z"),
    ("arg_max([t, u], n)[1]", "y"),
];

fn engine(partitions: usize) -> Engine {
    let engine = Engine::new(Limits { threads: 2, memory_bytes: 64 << 20 }, "UTC").unwrap();
    let columns: [(&str, ArrayRef); 5] = [
        ("t", Arc::new(StringArray::from(vec!["x", "z", "y", "w"]))),
        ("u", Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, None]))),
        ("n", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(4), None]))),
        ("m", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None]))),
        ("d", Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), Some(f64::NEG_INFINITY), None]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
    let rows = batch.num_rows();
    let batches = (0..partitions).map(|at| batch.slice(at * rows / partitions, (at + 1) * rows / partitions - at * rows / partitions));
    engine.register_batches("t", batch.schema(), batches.collect()).unwrap();
    engine
}

async fn answers(engine: &Engine, query: &str) -> Result<Vec<String>, String> {
    let (_, batches) = async { engine.collect(engine.query(query).await?).await }.await.map_err(|error| error.strip_backtrace())?;
    let options = FormatOptions::new().with_null("null");
    let mut found = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        found.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")),
        );
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_value_of_the_row_with_the_greatest_ordering_is_given() {
    for partitions in [1, 2, 4] {
        let engine = engine(partitions);
        for (call, expected) in AS_DUCKDB.iter().chain(SETTLED) {
            let found = answers(&engine, &format!("select {call} from t")).await;
            assert_eq!(found.as_deref(), Ok(&[(*expected).to_owned()][..]), "{call} in {partitions} batches");
            let found = answers(&engine, &format!("select {call} from t group by 'one'")).await;
            assert_eq!(found.as_deref(), Ok(&[(*expected).to_owned()][..]), "{call} by group in {partitions} batches");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_moves_on_forgets_what_it_leaves() {
    let engine = engine(2);
    let moving = "select t, arg_max(t, -n) over (order by t rows between 1 preceding and current row) as a from t order by t";
    // w has no number; then w and x, x and y, y and z.
    assert_eq!(answers(&engine, moving).await.unwrap(), ["w|null", "x|x", "y|x", "z|z"]);
    let running = "select t, arg_max(t, n) over (order by t rows between unbounded preceding and current row) as a from t order by t";
    assert_eq!(answers(&engine, running).await.unwrap(), ["w|null", "x|x", "y|y", "z|y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_ordering_is_refused() {
    let wrong = answers(&engine(1), "select arg_max(t) from t").await.unwrap_err();
    assert!(wrong.contains("arg_max takes a value and what to order rows by"), "{wrong}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// What is worked out row by row, group by group, for rows in any order and batches.
    #[test]
    fn groups_get_what_a_look_at_all_their_rows_gives(
        rows in proptest::collection::vec((0_i64..4, proptest::option::weighted(0.8, "[ab|]{0,2}"), proptest::option::weighted(0.8, 0_i64..3)), 0..60),
        batch_rows in 1_usize..20,
    ) {
        let columns: [(&str, ArrayRef); 3] = [
            ("g", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>())),
            ("t", Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>())),
            ("n", Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>())),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
        let batches = (0..rows.len()).step_by(batch_rows).map(|at| batch.slice(at, batch_rows.min(rows.len() - at)));
        let engine = Engine::new(Limits { threads: 3, memory_bytes: 64 << 20 }, "UTC").unwrap();
        engine.register_batches("t", batch.schema(), batches.collect()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let query = "select g, arg_max(t, n), arg_min(t, n), arg_max_null(t, n), arg_max(t, g, n) from t group by g order by g";
        let found = runtime.block_on(answers(&engine, query)).unwrap();
        let mut groups: Vec<i64> = rows.iter().map(|row| row.0).collect();
        groups.sort_unstable();
        groups.dedup();
        let expected: Vec<String> = groups.into_iter().map(|group| {
            let of_group: Vec<(Option<&str>, Option<i64>)> = rows.iter().filter(|row| row.0 == group).map(|row| (row.1.as_deref(), row.2)).collect();
            let pairs = || of_group.iter().filter_map(|(text, number)| Some(((*number)?, (*text)?)));
            let most = pairs().max().map(|pair| pair.1);
            let least = pairs().min().map(|pair| pair.1);
            let with_null = of_group.iter().filter_map(|(text, number)| Some(((*number)?, *text))).max().and_then(|pair| pair.1);
            let second = of_group.iter().filter_map(|(text, number)| Some((*number, (*text)?))).max().map(|pair| pair.1);
            let shown = |text: Option<&str>| text.unwrap_or("null").to_owned();
            [group.to_string(), shown(most), shown(least), shown(with_null), shown(second)].join("|")
        }).collect();
        prop_assert_eq!(found, expected);
    }
}
