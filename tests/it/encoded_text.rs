//! Texts may be numbers inside the engine, and nobody can tell: every query gives the rows that DataFusion gives on plain text, and the
//! sample has the same bytes, whether texts are held as codes or as they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use segmill::engine::{Engine, Limits, TextEncoding};

use crate::support::{SAMPLE_AS_OF, package};

/// Queries that keep, compare, group, join, look into, and make texts. All sort what they give, or give one row.
const QUERIES: &[&str] = &[
    "select a, b, n from t order by n, a, b",
    "select a from t order by a desc nulls first, n limit 7",
    "select a, count(*) as c, sum(n) as s from t group by a order by a",
    "select a, b, min(b) as low, max(a) as high from t group by a, b order by a, b",
    "select upper(trim(a)) as u, count(distinct b) as c, count(b) as k from t group by upper(trim(a)) order by u",
    "select distinct a, coalesce(b, 'none') as b from t order by a, b",
    "select count(*) from t where a = 'x'",
    "select count(*) from t where a <> b",
    "select count(*) from t where a is distinct from b",
    "select count(*) from t where a is null or b is not null",
    "select count(*) from t where a in ('x', 'y', null)",
    "select count(*) from t where a not in ('x', 'z')",
    "select count(*) from t where a like 'x%' or b > 'm'",
    "select count(*) from t where a || b like '%xy%'",
    "select count(*) filter (where a = 'x' and n > 3) as c, bool_or(b like '%y') as any_y from t",
    "select nullif(a, 'x') as a, case when b is null then 'nothing' else b end as b, n from t order by n, a, b",
    "select case a when 'x' then 'ex' when b then 'same' else lower(a) end as c, n from t order by n, c",
    "select case when n > 5 then a when a = 'y' then null else 'few' end as c, count(*) as k from t group by 1 order by 1",
    "select t.a, u.b, t.n, u.n as m from t join u on t.a = u.a order by t.n, m, t.a, u.b",
    "select t.a, u.b, t.n, u.n as m from t left join u on t.a = u.b and t.n < u.n order by t.n, t.a, m, u.b",
    "select t.a, u.a as ua, t.n, u.n as m from t full join u on lower(t.a) = u.b order by t.n, m, t.a, ua",
    "select t.a, t.n from t join u on concat(t.a, '') = u.a and t.b <> u.b order by t.n, t.a",
    "select a, n from t where not exists (select 1 from u where u.b = t.a) order by n, a",
    "select a, n from t where a in (select b from u) order by n, a",
    "select a, n from t where a not in (select b from u where b is not null) order by n, a",
    "select k, count(*) as c from (select a as k from t union all select 'x' from u union all select upper(b) from u) group by k order by k",
    "select a from t union select b from u order by a",
    "select a from t intersect select b from u order by a",
    "select a, n, row_number() over (partition by a order by b, n) as r from t order by n, a, r",
    "select a, n, lag(b) over (partition by a order by n, b) as before from t order by n, a, before",
    "select a, first_value(b order by n, b) as first from t group by a order by a",
    "select a, string_agg(distinct b, ',' order by b) as bs from t group by a order by a",
    "with x as (select a, sum(n) as n from t group by a) select x.a, y.n from x join x as y on x.a = y.a order by x.a",
    "select a, grouping(a) as g, sum(n) as s from t group by grouping sets ((a), ()) order by g, a",
    "select cast(a as varchar) as a, length(a) as l, try_cast(a as bigint) as i from t order by a, l, i",
    "select max(concat(lpad(cast(n as varchar), 4, '0'), a)) as m from t",
    "select (select max(b) from u) as top, a from t order by a, n",
];

fn table(rows: &[(Option<String>, Option<String>, i64)]) -> RecordBatch {
    let a: ArrayRef = Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>());
    let b: ArrayRef = Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>());
    let n: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>());
    RecordBatch::try_from_iter_with_nullable([("a", a, true), ("b", b, true), ("n", n, true)]).unwrap()
}

fn rows() -> impl Strategy<Value = Vec<(Option<String>, Option<String>, i64)>> {
    let text = || proptest::option::weighted(0.85, proptest::sample::select(vec!["x", "y", " x", "X", "", "xy", "żółw", "12"]));
    let row = (text(), text(), 0_i64..9).prop_map(|(a, b, n)| (a.map(str::to_owned), b.map(str::to_owned), n));
    proptest::collection::vec(row, 0..40)
}

async fn compare(t: &RecordBatch, u: &RecordBatch) {
    let plain = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let engine = |text_encoding| Engine::with_text_encoding(Limits { threads: 2, memory_bytes: 64 << 20 }, "UTC", text_encoding).unwrap();
    let engines = [TextEncoding::Dictionary, TextEncoding::Plain].map(engine);
    for (name, batch) in [("t", t), ("u", u)] {
        let memory = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
        plain.register_table(name, Arc::new(memory)).unwrap();
        for engine in &engines {
            engine.register_batches(name, batch.schema(), vec![batch.clone()]).unwrap();
        }
    }
    for query in QUERIES {
        let expected = plain.sql(query).await.unwrap().collect().await.unwrap();
        for engine in &engines {
            let (schema, found) = engine.collect(engine.query(query).await.unwrap()).await.unwrap();
            let which = format!("{:?}: {query}", engine.text_encoding());
            assert!(found.iter().all(|batch| batch.schema() == schema), "{which}");
            let shown = |batches: &[RecordBatch]| pretty_format_batches(batches).unwrap().to_string();
            assert_eq!(shown(&concat(&found)), shown(&concat(&expected)), "{which}");
            // Kept as a table and read from there, which is how models pass rows on.
            engine.materialise("kept", engine.query(query).await.unwrap()).await.unwrap();
            let (_, again) = engine.collect(engine.query("select * from kept").await.unwrap()).await.unwrap();
            let rows = |batches: &[RecordBatch]| {
                let shown = shown(&concat(batches));
                let mut rows: Vec<String> = shown.lines().map(str::to_owned).collect();
                rows.sort_unstable();
                rows
            };
            assert_eq!(rows(&again), rows(&expected), "{which}");
        }
    }
}

/// One batch, so that how rows are cut does not count; none for no rows.
fn concat(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let filled: Vec<&RecordBatch> = batches.iter().filter(|batch| batch.num_rows() > 0).collect();
    filled.first().map(|first| arrow::compute::concat_batches(&first.schema(), filled.iter().copied()).unwrap()).into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn every_query_gives_the_rows_that_it_gives_on_plain_text(t in rows(), u in rows()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(compare(&table(&t), &table(&u)));
    }
}

/// Runs the shipped project with texts held in one way.
fn segmill(arguments: &[&str], text_encoding: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segmill"));
    command.args(arguments).current_dir(package()).env_remove("EXTRACTS").env_remove("DESTINATION");
    command.env("SEGMILL_TEXT_ENCODING", text_encoding).output().unwrap()
}

/// Every published table of the sample, by the path of its file.
fn tables_of_sample(text_encoding: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().to_str().unwrap();
    let arguments = ["run", "pipelines/customer_segments.yaml", "--as-of", SAMPLE_AS_OF, "--threads", "2", "--destination", destination];
    let output = segmill(&arguments, text_encoding);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let day = format!("as_of={SAMPLE_AS_OF}");
    let tables = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path().join(&day)).filter(|day| day.is_dir());
    let files = tables.flat_map(|day| std::fs::read_dir(day).unwrap()).map(|entry| entry.unwrap().path());
    files.map(|file| (file.strip_prefix(folder.path()).unwrap().to_owned(), std::fs::read(&file).unwrap())).collect()
}

#[test]
fn every_model_of_the_sample_gives_the_same_bytes_however_texts_are_held() {
    let (encoded, plain) = (tables_of_sample("dictionary"), tables_of_sample("plain"));
    assert!(encoded.len() > 5 && encoded.keys().eq(plain.keys()), "{:?} and {:?}", encoded.keys(), plain.keys());
    let different: Vec<_> = encoded.keys().filter(|path| encoded[*path] != plain[*path]).collect();
    assert!(different.is_empty(), "{different:?}");
}

#[test]
fn the_cases_of_the_shipped_models_pass_without_the_dictionary() {
    let output = segmill(&["test"], "plain");
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_encoding_that_does_not_exist_is_refused() {
    let output = segmill(&["test"], "runes");
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("unknown-text-encoding") && message.contains("`dictionary` or `plain`"), "{message}");
}
