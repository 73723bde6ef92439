//! Groups of rows by a map, beside those of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use datafusion::error::DataFusionError;

use super::meeting::Meeting;
use crate::engine::{Engine, Limits, TextEncoding};

/// The rows of a batch.
const BATCH: usize = 5_000;

/// A text, a number and a value, of which any may be missing.
type Row = (Option<String>, Option<i64>, Option<i64>);
/// By text and number: rows; sum, least and greatest value; different values, also as texts, and different even ones as texts; even values.
type Groups = BTreeMap<(Option<String>, Option<i64>), [Option<i64>; 8]>;

fn rows(count: usize, texts: u64, numbers: u64, seed: u64) -> Vec<Row> {
    let mut state = seed | 1;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut one = |below: u64| (next(20) > 0).then(|| i64::try_from(next(below)).unwrap());
    (0..count).map(|_| (one(texts).map(|text| format!("t{text}")), one(numbers), one(50))).collect()
}

fn expected(rows: &[Row]) -> Groups {
    let mut values: BTreeMap<_, (i64, Vec<i64>)> = BTreeMap::new();
    for (text, number, value) in rows {
        let group = values.entry((text.clone(), *number)).or_default();
        group.0 += 1;
        group.1.extend(value);
    }
    let of_group = |(rows, values): (i64, Vec<i64>)| {
        let different = values.iter().collect::<BTreeSet<_>>().len();
        let even: Vec<_> = values.iter().filter(|value| **value % 2 == 0).collect();
        let different_even = even.iter().collect::<BTreeSet<_>>().len();
        let sum = (!values.is_empty()).then(|| values.iter().sum());
        let counts = |count: usize| Some(i64::try_from(count).unwrap());
        let (least, greatest) = (values.iter().min().copied(), values.iter().max().copied());
        [Some(rows), sum, least, greatest, counts(different), counts(different), counts(different_even), counts(even.len())]
    };
    values.into_iter().map(|(key, group)| (key, of_group(group))).collect()
}

const QUERY: &str = "select text, number, count(*), sum(value), min(value), max(value), count(distinct value), \
                     count(distinct shown), count(distinct shown) filter (where value % 2 = 0), \
                     count(*) filter (where value % 2 = 0) from given group by text, number";

async fn grouped(engine: &Engine, rows: &[Row]) -> Groups {
    let batches: Vec<RecordBatch> = rows
        .chunks(BATCH)
        .map(|rows| {
            let texts: StringArray = rows.iter().map(|row| row.0.as_deref()).collect();
            let of = |column: fn(&Row) -> Option<i64>| Arc::new(rows.iter().map(column).collect::<Int64Array>()) as ArrayRef;
            let shown: StringArray = rows.iter().map(|row| row.2.map(|value| value.to_string())).collect();
            let texts = [("text", Arc::new(texts) as ArrayRef, true), ("shown", Arc::new(shown) as ArrayRef, true)];
            let columns = texts.into_iter().chain([("number", of(|row| row.1), true), ("value", of(|row| row.2), true)]);
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        })
        .collect();
    engine.register_batches("given", batches[0].schema(), batches).unwrap();
    let found = engine.collect(engine.query(QUERY).await.unwrap()).await.unwrap().1;
    let mut groups = Groups::new();
    for batch in found {
        let texts = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        let texts = texts.as_string::<i32>();
        let numbers: Vec<&Int64Array> = (1..10).map(|at| batch.column(at).as_primitive::<Int64Type>()).collect();
        for row in 0..batch.num_rows() {
            let value = |at: usize| Some(numbers[at].value(row)).filter(|_| !arrow::array::Array::is_null(numbers[at], row));
            let text = (!arrow::array::Array::is_null(texts, row)).then(|| texts.value(row).to_owned());
            let before = groups.insert((text, value(0)), std::array::from_fn(|at| value(at + 1)));
            assert!(before.is_none(), "a group is there twice");
        }
    }
    groups
}

fn engine(threads: usize, memory_bytes: usize) -> Engine {
    Engine::with_text_encoding(Limits { threads, memory_bytes }, "UTC", TextEncoding::Dictionary).unwrap()
}

/// Whether the last queries have grouped in shards, and what they have put on disk.
fn done(engine: &Engine) -> (bool, usize) {
    let work = engine.work().take();
    (work.operators.iter().any(|operator| operator.name == "ShardedAggregateExec"), usize::try_from(work.spilled_bytes).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Few groups stay in the threads' own tables, many go to the shards, and some are between the two.
    #[test]
    fn groups_are_those_of_a_map(
        seed in any::<u64>(), texts in prop_oneof![1..4_u64, 1_000..50_000_u64], numbers in 1..6_u64, count in 1..60_000_usize, threads in 2..6_usize,
    ) {
        let rows = rows(count, texts, numbers, seed);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let engine = engine(threads, 1 << 30);
        prop_assert_eq!(runtime.block_on(grouped(&engine, &rows)), expected(&rows));
        prop_assert!(done(&engine).0, "rows were grouped in another way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_do_not_fit_go_to_disk_and_are_the_same() {
    let rows = rows(300_000, 100_000, 3, 7);
    let expected = expected(&rows);
    let roomy = engine(2, 1 << 30);
    assert_eq!(grouped(&roomy, &rows).await, expected);
    assert_eq!(done(&roomy), (true, 0));
    let tight = engine(2, 40 << 20);
    assert_eq!(grouped(&tight, &rows).await, expected);
    let (in_shards, spilled) = done(&tight);
    assert!(in_shards && spilled > 1 << 20, "{spilled} bytes went to disk");
}

/// With so little memory what comes back from disk has to be divided again.
#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_shard_that_do_not_fit_are_divided() {
    const ROWS: i64 = 1_500_000;
    for threads in [2, 12] {
        let engine = engine(threads, 24 << 20);
        let numbers = (0..ROWS).step_by(BATCH).map(|start| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((start..).take(BATCH).map(|row| row % (ROWS / 2))));
            RecordBatch::try_from_iter([("number", numbers)]).unwrap()
        });
        let numbers: Vec<RecordBatch> = numbers.collect();
        engine.register_batches("given", numbers[0].schema(), numbers).unwrap();
        let counted = "select number, count(*) as rows, sum(number) as total, max(number) as greatest from given group by number";
        let checked = format!(
            "select count(*), sum(rows), count(*) filter (where rows = 2 and total = 2 * number and greatest = number) from ({counted})"
        );
        let found = engine.collect(engine.query(&checked).await.unwrap()).await.unwrap().1;
        let of = |at: usize| found[0].column(at).as_primitive::<Int64Type>().value(0);
        assert_eq!([of(0), of(1), of(2)], [ROWS / 2, ROWS, ROWS / 2], "{threads} threads");
        let (in_shards, spilled) = done(&engine);
        assert!(in_shards && spilled > 1 << 20, "{spilled} bytes went to disk");
    }
}

/// What is equal below stays equal above, so that windows in the order of one column need not be sorted by the other.
#[tokio::test(flavor = "multi_thread")]
async fn columns_that_are_equal_stay_equal() {
    let engine = engine(2, 1 << 30);
    let numbers = |factor: i64| Arc::new(Int64Array::from_iter_values((0..1_000).map(|row| row * factor % 7))) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("a", numbers(1)), ("b", numbers(8))]).unwrap();
    engine.register_batches("given", batch.schema(), vec![batch]).unwrap();
    let window = |column: &str| format!("sum(n) over (partition by {column} order by n rows between unbounded preceding and current row)");
    let query =
        format!("select a, {}, {} from (select a, b, count(*) as n from given where a = b group by a, b)", window("a"), window("b"));
    let found = engine.collect(engine.query(&query).await.unwrap()).await.unwrap().1;
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 7);
}

/// A thread that fails does not leave the others waiting, with what they hold.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_one_thread_ends_the_others() {
    let engine = engine(3, 1 << 30);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
    let batch = RecordBatch::try_from_iter([("number", numbers)]).unwrap();
    engine.register_batches("given", batch.schema(), vec![batch]).unwrap();
    let query = engine.query("select number / (number - 99999) as share, count(*) from given group by 1").await.unwrap();
    let failed = engine.collect(query).await.unwrap_err().to_string();
    assert!(failed.to_lowercase().contains("divide"), "{failed}");
}

/// Of threads that meet, those that wait are told of a failure, and of one that is given up.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_of_a_failure() {
    let meeting = Meeting::of(2);
    let fails = async { meeting.attend(async { Err::<(), _>(DataFusionError::Execution("broken".to_owned())) }).await };
    let (waiting, failed) = tokio::join!(meeting.attend(meeting.wait(0)), fails);
    assert!(waiting.unwrap_err().to_string().contains("broken") && failed.unwrap_err().to_string().contains("broken"));
    let meeting = Meeting::of(2);
    drop(Box::pin(meeting.attend(std::future::pending::<Result<(), DataFusionError>>())));
    let mut given_up = Box::pin(meeting.attend(std::future::pending::<Result<(), DataFusionError>>()));
    assert!(futures::poll!(&mut given_up).is_pending());
    drop(given_up);
    assert!(meeting.wait(0).await.unwrap_err().to_string().contains("given up"));
    let meeting = Meeting::of(2);
    let (one, other) = tokio::join!(meeting.attend(meeting.wait(0)), meeting.attend(meeting.wait(0)));
    assert!(one.is_ok() && other.is_ok());
}
