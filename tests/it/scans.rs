use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::ingest::{self, Collector, RequiredColumns};
use segmill::plan;
use segmill::storage::Stores;

use crate::tiny::Tiny;

const ROWS: i64 = 50_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// Microseconds of 2026-11-01, from which on nothing counts.
const AS_OF: i64 = 20_758 * DAY_MICROS;

const PIPELINE: &str = "\
version: 1
name: scans
sources:
  visits:
    location: visits.parquet
    event_time: at
    columns:
      visitor: {type: string}
      at: {type: timestamp, required: true}
      pages: {type: integer, min: 0, on_error: reject}
outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}
";

type Row = (Option<String>, i64);

fn visitor(row: i64) -> Option<String> {
    (row % 11 != 0).then(|| format!("visitor {:05}", row * 7_919 % 40_009))
}

/// What is wrong with a row, if something is: its time, or its pages. Batches lose more or fewer rows by that.
fn is_out_of_window(row: i64) -> bool {
    row % 17 == 3 && row > ROWS / 3
}

fn is_at_fault(row: i64) -> bool {
    row % 1_009 < 3 && !is_out_of_window(row)
}

/// An extract that stores every text as it is, and no keys of a dictionary.
fn extract() -> Vec<u8> {
    extract_of(ROWS)
}

fn extract_of(rows: i64) -> Vec<u8> {
    let rows = || 0..rows;
    let at = rows().map(|row| if is_out_of_window(row) { AS_OF + row } else { AS_OF - 1 - row });
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("visitor", Arc::new(rows().map(visitor).collect::<StringArray>())),
        ("at", Arc::new(at.map(Some).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
        ("pages", Arc::new(rows().map(|row| if is_at_fault(row) { -1 } else { row }).collect::<Int64Array>())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let plain = WriterProperties::builder().set_dictionary_enabled(false).set_max_row_group_row_count(Some(20_000)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(plain)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Every scan of a source gives the same rows, though only the first looks the codes of a text up that has no keys: the next ones
/// are given them, and do not read the column; the last leaves none behind, so one more than was said reads all again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scan_of_a_source_gives_the_same_rows_and_the_later_ones_read_less() {
    let project = Tiny::new();
    project.write("pipelines/scans.yaml", PIPELINE);
    project.write("sql/staging/orders.sql", "-- A visitor.\nselect visitor from sources.visits\n");
    project.write("sql/customers.sql", "-- A customer.\nselect distinct visitor as customer_id from staging.orders\n");
    std::io::Write::write_all(&mut File::create(project.folder.path().join("visits.parquet")).unwrap(), &extract()).unwrap();
    let loaded = Arc::new(config::load(&project.folder.path().join("pipelines/scans.yaml"), &Environment::new()).unwrap());
    let values = config::bind(&loaded, "2026-11-01".parse().unwrap(), &BTreeMap::new()).unwrap();
    let plan = plan::plan(loaded, values).await.unwrap();
    let extracts = ingest::find(&plan.project, &plan.contracts, &Stores::new(Environment::new()), None).await.unwrap();
    let engine = Engine::new(Limits { threads: 2, memory_bytes: 64 << 20 }, "UTC").unwrap();
    let collector = Collector::new(&extracts[0].contract, &engine);
    let required = RequiredColumns { scans: 3, columns: ["visitor", "pages"].map(str::to_owned).into(), ..RequiredColumns::default() };
    ingest::register(&engine, "sources.visits", &extracts[0], &required, &collector).await.unwrap();

    let expected: Vec<Row> = (0..ROWS).filter(|row| !is_out_of_window(*row) && !is_at_fault(*row)).map(|row| (visitor(row), row)).collect();
    let (mut bytes_read, mut bytes_held) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        engine.work().take();
        let frame = engine.query("select visitor, pages from sources.visits").await.unwrap();
        let (_, batches) = engine.collect(frame).await.unwrap();
        let mut rows: Vec<Row> = Vec::new();
        for batch in &batches {
            let visitors = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
            let visitors = visitors.as_string::<i32>().iter().map(|visitor| visitor.map(str::to_owned));
            rows.extend(visitors.zip(batch.column(1).as_primitive::<Int64Type>().values().iter().copied()));
        }
        rows.sort_by_key(|row| row.1);
        assert!(rows == expected, "{} rows, and {} were expected", rows.len(), expected.len());
        bytes_read.push(engine.work().take().bytes_read);
        bytes_held.push(engine.context().runtime_env().memory_pool.reserved());
    }
    let four_a_row = expected.len() * 4;
    assert!(bytes_held[0] - bytes_held[2] >= four_a_row, "{bytes_held:?}: codes count while they are held, and no longer");
    assert_eq!(bytes_held[0], bytes_held[1]);
    assert_eq!(bytes_held[2], bytes_held[3]);
    let [first, second, last, one_more] = bytes_read.try_into().unwrap();
    let texts: usize = (0..ROWS).filter_map(visitor).map(|visitor| visitor.len()).sum();
    assert!(first - second > texts as u64, "{second} of {first} bytes");
    assert_eq!(last, second);
    assert_eq!(one_more, first);

    // A recursive query reads the source again in every round, and counts no row twice.
    let leads = "with recursive leads as (select visitor, pages from sources.visits where pages = 10
        union all select next.visitor, next.pages from leads inner join sources.visits as next on next.pages = leads.pages + 7 and next.pages < 70)
        select visitor, pages from leads order by pages";
    let (_, batches) = engine.collect(engine.query(leads).await.unwrap()).await.unwrap();
    let led: Vec<Vec<String>> = (10..70).step_by(7).map(|row| vec![visitor(row).unwrap_or_default(), row.to_string()]).collect();
    assert_eq!(crate::support::rows(&batches), led);

    let ledger = collector.ledger(1);
    assert_eq!((ledger.rows_read, ledger.rows_kept), (ROWS as u64, expected.len() as u64));
    assert_eq!(ledger.rows_out_of_window, (0..ROWS).filter(|row| is_out_of_window(*row)).count() as u64);
}

/// Whether the texts of a column are codes or plain is a matter of cost alone: queries that group, join and compare give the same rows, over files
/// with row groups and files of text, read where they are asked for or materialised before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_are_passed_on_give_the_same_rows_as_codes() {
    let csv: String = (0..ROWS)
        .map(|row| format!("{},2026-10-01T00:00:00Z,{}\n", visitor(row).unwrap_or_default(), if is_at_fault(row) { -1 } else { row % 5 }))
        .collect();
    let (as_parquet, as_csv) = (extract(), format!("visitor,at,pages\n{csv}").into_bytes());
    for (file, bytes, scans) in
        [("visits.parquet", &as_parquet, 1), ("visits.parquet", &as_parquet, 3), ("visits.csv", &as_csv, 1), ("visits.csv", &as_csv, 3)]
    {
        let project = Tiny::new();
        project.write("pipelines/scans.yaml", &PIPELINE.replace("visits.parquet", file));
        project.write("sql/staging/orders.sql", "-- A visitor.\nselect visitor from sources.visits\n");
        project.write("sql/customers.sql", "-- A customer.\nselect distinct visitor as customer_id from staging.orders\n");
        std::fs::write(project.folder.path().join(file), bytes).unwrap();
        let loaded = Arc::new(config::load(&project.folder.path().join("pipelines/scans.yaml"), &Environment::new()).unwrap());
        let values = config::bind(&loaded, "2026-11-01".parse().unwrap(), &BTreeMap::new()).unwrap();
        let plan = plan::plan(loaded, values).await.unwrap();
        let extracts = ingest::find(&plan.project, &plan.contracts, &Stores::new(Environment::new()), None).await.unwrap();
        let mut found = Vec::new();
        for passed_on in [&[][..], &["visitor".to_owned()]] {
            let engine = Engine::new(Limits { threads: 2, memory_bytes: 256 << 20 }, "UTC").unwrap();
            let collector = Collector::new(&extracts[0].contract, &engine);
            let columns = ["visitor", "pages"].map(str::to_owned).into();
            let required = RequiredColumns { scans, columns, passed_on: passed_on.iter().cloned().collect(), ..RequiredColumns::default() };
            ingest::register(&engine, "sources.visits", &extracts[0], &required, &collector).await.unwrap();
            let sql =
                "select one.visitor, count(distinct case when two.pages > 2 then two.visitor end) as others, max(two.visitor) as greatest
                from sources.visits as one inner join sources.visits as two on two.visitor = one.visitor
                where one.visitor <> 'visitor 00007' group by one.visitor";
            let (_, batches) = engine.collect(engine.query(sql).await.unwrap()).await.unwrap();
            let mut rows = crate::support::rows(&batches);
            rows.sort();
            assert!(rows.len() > 20_000, "{file}: {}", rows.len());
            found.push(rows);
        }
        assert!(found[0] == found[1], "{file}, read {scans} times");
    }
}

/// The dictionary keeps no text of a column that queries only count, and counts are as exact as with codes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_are_only_counted_are_not_kept() {
    let project = Tiny::new();
    project.write("pipelines/scans.yaml", PIPELINE);
    project.write("sql/staging/orders.sql", "-- A visitor.\nselect visitor from sources.visits\n");
    project.write("sql/customers.sql", "-- A customer.\nselect distinct visitor as customer_id from staging.orders\n");
    std::fs::write(project.folder.path().join("visits.parquet"), extract()).unwrap();
    let loaded = Arc::new(config::load(&project.folder.path().join("pipelines/scans.yaml"), &Environment::new()).unwrap());
    let values = config::bind(&loaded, "2026-11-01".parse().unwrap(), &BTreeMap::new()).unwrap();
    let plan = plan::plan(loaded, values).await.unwrap();
    let extracts = ingest::find(&plan.project, &plan.contracts, &Stores::new(Environment::new()), None).await.unwrap();
    let engine = Engine::new(Limits { threads: 2, memory_bytes: 256 << 20 }, "UTC").unwrap();
    let collector = Collector::new(&extracts[0].contract, &engine);
    let required = RequiredColumns { scans: 3, columns: ["visitor", "pages"].map(str::to_owned).into(), ..RequiredColumns::default() };
    ingest::register(&engine, "sources.visits", &extracts[0], &required, &collector).await.unwrap();

    let mut expected: BTreeMap<i64, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for row in (0..ROWS).filter(|row| !is_out_of_window(*row) && !is_at_fault(*row)) {
        let (all, some) = expected.entry(row % 100).or_default();
        all.extend(visitor(row));
        some.extend(visitor(row).filter(|_| row > 30_000));
    }
    let expected: Vec<Vec<String>> =
        expected.iter().map(|(part, (all, some))| vec![part.to_string(), all.len().to_string(), some.len().to_string()]).collect();
    let sql =
        "select pages % 100 as part, count(distinct visitor) as of_all, count(distinct visitor) filter (where pages > 30000) as of_some
        from sources.visits group by part order by part";
    for is_coded in [false, true] {
        if is_coded {
            engine.collect(engine.query("select max(visitor), visitor as v from sources.visits group by v").await.unwrap()).await.unwrap();
        }
        let (_, batches) = engine.collect(engine.query(sql).await.unwrap()).await.unwrap();
        assert_eq!(crate::support::rows(&batches), expected);
        let texts = format!("{:?}", engine.dictionary());
        assert_eq!(texts == "a dictionary of 0 texts", !is_coded, "{texts}");
    }
}

/// A staging model with several readers is held only where it takes few rows of its source. What is published is the same as of one that is held
/// in any case, because it computes what may fail.
#[test]
fn a_staging_model_with_several_readers_is_held_if_it_takes_few_rows() {
    for (condition, is_held) in [("pages >= 1000", false), ("visitor < 'visitor 13'", true)] {
        let mut published = Vec::new();
        for (pages, is_held) in [("pages", is_held), ("pages + 0", true)] {
            let project = Tiny::new();
            std::fs::remove_file(project.folder.path().join("sql/staging/orders.sql")).unwrap();
            project.write("pipelines/tiny.yaml", &PIPELINE.replace("    columns:", "    reject_budget: {share: 0.01}\n    columns:"));
            std::fs::write(project.folder.path().join("visits.parquet"), extract_of(4 * ROWS)).unwrap();
            let visits = format!("select visitor, {pages} as pages from sources.visits where visitor is not null and {condition}");
            project.write("sql/staging/visits.sql", &format!("-- A visit.\n{visits}\n"));
            project
                .write("sql/features/seen.sql", "-- A visitor.\nselect visitor, count(*) as visits from staging.visits group by visitor\n");
            project.write(
                "sql/features/most.sql",
                "-- A visitor.\nselect visitor, max(pages) as pages from staging.visits group by visitor\n",
            );
            let customers = "select seen.visitor as customer_id, seen.visits, most.pages from features.seen as seen
                inner join features.most as most on most.visitor = seen.visitor";
            project.write("sql/customers.sql", &format!("-- A customer.\n{customers}\n"));
            let arguments = ["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json", "--threads", "2"];
            let output = project.segmill(&arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let steps = result["steps"].as_array().unwrap();
            let step = steps.iter().find(|step| step["name"] == "staging.visits").unwrap();
            assert_eq!(step["rows"].is_u64(), is_held, "{condition}, {pages}: {step}");
            let rows_read = &result["sources"][0]["rows_read"];
            assert_eq!(rows_read, &serde_json::json!(4 * ROWS), "{result}");
            let run = std::fs::read_dir(project.folder.path().join("out/runs")).unwrap().next().unwrap().unwrap();
            published.push(std::fs::read(run.path().join("customers.parquet")).unwrap());
        }
        assert!(published[0] == published[1], "{condition}");
    }
}
