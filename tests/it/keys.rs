//! Of rows with one key the latest is kept, and of equally late ones that whose values sort last, with the weightiest answers: held to a plain
//! account of that, over many rows in many files, whatever of the fingerprints is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits, TextEncoding};
use segmill::ingest::{self, Collector, RequiredColumns};
use segmill::plan::{self, Plan};
use segmill::storage::Stores;

use crate::stores::block_on;

const PIPELINE: &str = "\
version: 1
name: keys
sources:
  contacts:
    location: memory:///contacts/*
    event_time: at
    key: [id, shop]
    columns:
      id: {type: string}
      shop: {type: integer}
      at: {type: timestamp, required: true}
      name: {type: string}
      email_opt_in: {type: boolean, consent: {no: [false]}}
outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}
";

/// A row: the parts of its key, its second, a name and an answer.
type Row = (Option<&'static str>, Option<u8>, u8, &'static str, Option<bool>);

fn plan() -> Plan {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("pipelines/keys.yaml", PIPELINE),
        ("sql/customers.sql", "-- A customer.\nselect distinct id as customer_id from sources.contacts where id is not null\n"),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = config::load(&folder.path().join("pipelines/keys.yaml"), &Environment::new()).unwrap();
    let values = config::bind(&project, "2030-01-01".parse().unwrap(), &BTreeMap::new()).unwrap();
    block_on(plan::plan(Arc::new(project), values)).unwrap()
}

fn csv(rows: &[Row]) -> String {
    let mut text = "id,shop,at,name,email_opt_in\n".to_owned();
    for (id, shop, second, name, answer) in rows {
        let shop = shop.map(|shop| shop.to_string()).unwrap_or_default();
        let answer = answer.map(|answer| answer.to_string()).unwrap_or_default();
        writeln!(text, "{},{shop},2026-01-01T00:00:{second:02}Z,{name},{answer}", id.unwrap_or_default()).unwrap();
    }
    text
}

fn parquet(rows: &[Row]) -> Vec<u8> {
    let micros = |second: u8| 1_767_225_600_000_000 + i64::from(second) * 1_000_000;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>())),
        ("shop", Arc::new(rows.iter().map(|row| row.1.map(i64::from)).collect::<Int64Array>())),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| micros(row.2))).with_timezone("UTC"))),
        ("name", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<StringArray>())),
        ("email_opt_in", Arc::new(rows.iter().map(|row| row.4).collect::<BooleanArray>())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(5)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// The rows that are kept of some files, as texts in order, and how many rows were left out. Every other number of files is read without the
/// dictionary.
fn kept(files: &[Vec<Row>], readers: usize, memory_bytes: usize) -> (Vec<Vec<String>>, u64) {
    let plan = plan();
    block_on(async {
        let store = Arc::new(InMemory::new());
        for (number, rows) in files.iter().enumerate() {
            let is_parquet = number % 2 == 1;
            let (ending, bytes) = if is_parquet { ("parquet", parquet(rows)) } else { ("csv", csv(rows).into_bytes()) };
            store.put(&format!("contacts/{number}.{ending}").into(), PutPayload::from(bytes)).await.unwrap();
        }
        let stores = Stores::new(Environment::new());
        stores.provide("memory:", store);
        let extracts = ingest::find(&plan.project, &plan.contracts, &stores, None).await.unwrap();
        let text_encoding = if files.len().is_multiple_of(2) { TextEncoding::Plain } else { TextEncoding::Dictionary };
        let engine = Engine::with_text_encoding(Limits { threads: 2, memory_bytes }, "UTC", text_encoding).unwrap();
        let collector = Collector::new(&extracts[0].contract, &engine);
        let columns = ["id", "shop", "at", "name", "email_opt_in"];
        let required = RequiredColumns { scans: readers, columns: columns.map(str::to_owned).into(), ..RequiredColumns::default() };
        ingest::register(&engine, "sources.contacts", &extracts[0], &required, &collector).await.unwrap();
        let mut found = Vec::new();
        for _ in 0..readers {
            let frame = engine.query(&format!("select {} from sources.contacts", columns.join(", "))).await.unwrap();
            let (_, batches) = engine.collect(frame).await.unwrap();
            found.clear();
            for batch in &batches {
                let text =
                    |row: usize| batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect::<Vec<_>>();
                found.extend((0..batch.num_rows()).map(text));
            }
            found.sort();
        }
        let ledger = collector.ledger(files.len());
        assert!(ledger.adds_up(), "{ledger:?}");
        assert_eq!(ledger.rows_kept, found.len() as u64);
        (found, ledger.rows_deduplicated)
    })
}

/// The plain account: all rows at once.
fn expected(files: &[Vec<Row>]) -> Vec<Vec<String>> {
    let is_nameless = |row: &Row| row.0.is_none_or(|id| id == "NULL") || row.1.is_none();
    let mut by_key: BTreeMap<(Option<&str>, Option<u8>), Vec<Row>> = BTreeMap::new();
    let mut kept: Vec<Row> = Vec::new();
    for row in files.iter().flatten() {
        if is_nameless(row) { kept.push(*row) } else { by_key.entry((row.0, row.1)).or_default().push(*row) }
    }
    let weight = |answer: Option<bool>| match answer {
        Some(true) => 0,
        None => 1,
        Some(false) => 2,
    };
    for rows in by_key.into_values() {
        let latest = rows.iter().map(|row| row.2).max().unwrap();
        let tied: Vec<Row> = rows.into_iter().filter(|row| row.2 == latest).collect();
        let last = tied.iter().max_by_key(|row| (row.3, row.4)).unwrap();
        let answer = tied.iter().map(|row| row.4).max_by_key(|answer| weight(*answer)).unwrap();
        kept.push((last.0, last.1, last.2, last.3, answer));
    }
    let text = |(id, shop, second, name, answer): &Row| {
        let id = *id;
        let shop = shop.map(|shop| shop.to_string()).unwrap_or_default();
        let answer = answer.map(|answer| answer.to_string()).unwrap_or_default();
        vec![id.unwrap_or_default().to_owned(), shop, format!("2026-01-01T00:00:{second:02}Z"), (*name).to_owned(), answer]
    };
    let mut kept: Vec<_> = kept.iter().map(text).collect();
    kept.sort();
    kept
}

fn row() -> impl Strategy<Value = Row> {
    let id = prop::sample::select(vec![Some("a"), Some("b"), Some("c"), Some("ä"), Some("NULL"), None]);
    let shop = prop::sample::select(vec![Some(1), Some(2), None]);
    let name = prop::sample::select(vec!["x", "y", "Z"]);
    (id, shop, 0..3_u8, name, prop::sample::select(vec![Some(true), Some(false), None]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_latest_of_each_key_is_kept_with_the_weightiest_answers(
        files in prop::collection::vec(prop::collection::vec(row(), 0..24), 1..4), readers in 1..3_usize,
    ) {
        let rows: usize = files.iter().map(Vec::len).sum();
        let (found, left_out) = kept(&files, readers, 256 << 20);
        let expected = expected(&files);
        prop_assert_eq!(left_out, (rows - expected.len()) as u64);
        prop_assert_eq!(&found, &expected);
        // Whatever the order of the files and of the rows in them.
        let turned: Vec<Vec<Row>> = files.iter().rev().map(|rows| rows.iter().rev().copied().collect()).collect();
        prop_assert_eq!(kept(&turned, readers, 256 << 20).0, expected);
    }
}

#[test]
fn an_extract_that_was_delivered_twice_is_read_once_whatever_fits_memory() {
    let rows: Vec<Vec<String>> = (0..60_000).map(|number| vec![format!("id{number}"), (number % 7).to_string()]).collect();
    let text: String = rows.iter().fold("id,shop,at,name,email_opt_in\n".to_owned(), |mut text, row| {
        writeln!(text, "{},{},2026-01-01T00:00:00Z,n,true", row[0], row[1]).unwrap();
        text
    });
    let keys: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    let plan = plan();
    block_on(async {
        let store = Arc::new(InMemory::new());
        for name in ["contacts/1.csv", "contacts/2.csv"] {
            store.put(&name.into(), PutPayload::from(text.clone())).await.unwrap();
        }
        let stores = Stores::new(Environment::new());
        stores.provide("memory:", store);
        let extracts = ingest::find(&plan.project, &plan.contracts, &stores, None).await.unwrap();
        // A thirty-second of it is less than the fingerprints take.
        let engine = Engine::new(Limits { threads: 2, memory_bytes: 32 << 20 }, "UTC").unwrap();
        let collector = Collector::new(&extracts[0].contract, &engine);
        let required = RequiredColumns { scans: 1, columns: BTreeSet::from(["id".to_owned()]), ..RequiredColumns::default() };
        ingest::register(&engine, "sources.contacts", &extracts[0], &required, &collector).await.unwrap();
        assert!(engine.work().take().spilled_bytes > 1_000_000, "nothing was put on disk, so nothing is shown");
        let frame = engine.query("select count(*) as rows, count(distinct id) as ids from sources.contacts").await.unwrap();
        let (_, batches) = engine.collect(frame).await.unwrap();
        let number = |column: usize| array_value_to_string(batches[0].column(column), 0).unwrap();
        assert_eq!([number(0), number(1)], [keys.len().to_string(), keys.len().to_string()]);
        assert_eq!(collector.ledger(2).rows_deduplicated, 60_000);
    });
}

#[test]
fn which_row_is_kept_does_not_depend_on_the_columns_that_are_read() {
    let plan = plan();
    block_on(async {
        let store = Arc::new(InMemory::new());
        // Equally late: the second sorts last by its name, which nobody reads.
        let text = "id,shop,at,name,email_opt_in\nx,1,2026-01-01T00:00:00Z,a,true\nx,1,2026-01-01T00:00:00Z,b,\n";
        store.put(&"contacts/1.csv".into(), PutPayload::from(text)).await.unwrap();
        let stores = Stores::new(Environment::new());
        stores.provide("memory:", store);
        let extracts = ingest::find(&plan.project, &plan.contracts, &stores, None).await.unwrap();
        for columns in [&["id", "name"][..], &["id"]] {
            let engine = Engine::new(Limits { threads: 2, memory_bytes: 64 << 20 }, "UTC").unwrap();
            let collector = Collector::new(&extracts[0].contract, &engine);
            let required = RequiredColumns {
                scans: 1,
                columns: columns.iter().map(|name| (*name).to_owned()).collect(),
                ..RequiredColumns::default()
            };
            ingest::register(&engine, "sources.contacts", &extracts[0], &required, &collector).await.unwrap();
            let frame = engine.query("select name from sources.contacts").await.unwrap();
            let (_, batches) = engine.collect(frame).await.unwrap();
            assert_eq!(array_value_to_string(batches[0].column(0), 0).unwrap(), "b", "with {columns:?} read");
        }
    });
}
