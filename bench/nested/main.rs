//! Times contract ingest of nested values beside DataFusion's own readers of the same leaves: events as Google Analytics 4 exports them, as
//! NDJSON and as Parquet.
//!
//! usage: `cargo bench --bench nested -- [ROWS]`. Ends with 1 when ingest takes more than 1.5 times as long.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema;
use chrono::NaiveDate;
use datafusion::prelude::{JsonReadOptions, ParquetReadOptions, SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::ingest::{self, Collector, RequiredColumns};
use segmill::plan;
use segmill::storage::Stores;

const ROUNDS: usize = 7;
const TARGET: f64 = 1.5;

const PIPELINE: &str = "\
version: 1
name: nested
sources:
  ndjson: {location: events.ndjson, event_time: at, columns: &columns {
    at: {type: timestamp, from: event_timestamp, format: epoch_us, required: true},
    visitor: {type: string, from: user_pseudo_id}, device: {type: string, from: device.category},
    browser: {type: string, from: device.web_info.browser},
    page: {type: string, from: 'event_params[key=page_location].value.string_value'},
    session: {type: integer, from: 'event_params[key=ga_session_id].value.int_value'},
    tags: {type: list(string)}}}
  parquet: {location: events.parquet, event_time: at, columns: *columns}
outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}
";

/// What DataFusion is asked for: the same leaves, without looking for entries.
const THEIRS: &str = "\
select count(*), count(event_timestamp), count(user_pseudo_id), count(device['category']), count(device['web_info']['browser']),
    sum(array_length(event_params)), count(tags)
from events";

fn main() -> Result<(), Box<dyn Error>> {
    let rows: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(300_000);
    let threads = std::thread::available_parallelism()?.get();
    let folder = tempfile::tempdir()?;
    let schema = write_project(folder.path(), rows)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(threads).build()?;
    println!("{rows} events in one file, {threads} threads; medians of {ROUNDS} interleaved rounds\n");
    println!("| format | size | DataFusion's reader | contract ingest | ratio |\n| --- | ---: | ---: | ---: | ---: |");
    let mut missed = false;
    for format in ["ndjson", "parquet"] {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(runtime.block_on(datafusion(folder.path(), format, &schema, threads))?);
            ours.push(runtime.block_on(contract(folder.path(), format, threads, rows))?);
        }
        let (theirs, ours) = (median(theirs), median(ours));
        let size = std::fs::metadata(folder.path().join(format!("events.{format}")))?.len() / (1 << 20);
        println!("| {format} | {size} MiB | {theirs:.3} s | {ours:.3} s | {:.2} |", ours / theirs);
        missed |= ours / theirs > TARGET;
    }
    if missed { Err(format!("ingest took more than {TARGET} times as long").into()) } else { Ok(()) }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

async fn contract(root: &Path, format: &str, threads: usize, rows: usize) -> Result<f64, Box<dyn Error>> {
    let project = Arc::new(config::load(&root.join("pipeline.yaml"), &Environment::new())?);
    let as_of = NaiveDate::from_ymd_opt(2030, 1, 1).ok_or("no such day")?;
    let values = config::bind(&project, as_of, &BTreeMap::new())?;
    let plan = plan::plan(project, values).await?;
    let began = Instant::now();
    let extracts = ingest::find(&plan.project, &plan.contracts, &Stores::new(Environment::new()), None).await?;
    let extract = extracts.iter().find(|extract| extract.contract.source == format).ok_or("no such source")?;
    let engine = Engine::new(Limits { threads, memory_bytes: 1 << 30 }, "UTC")?;
    let collector = Collector::new(&extract.contract, &engine);
    let names: BTreeSet<String> = extract.contract.columns.iter().map(|column| column.name.clone()).collect();
    let counts: Vec<String> = names.iter().map(|name| format!("count({name})")).collect();
    let required = RequiredColumns { scans: 1, columns: names, ..RequiredColumns::default() };
    ingest::register(&engine, "sources.extract", extract, &required, &collector).await?;
    engine.collect(engine.query(&format!("select count(*), {} from sources.extract", counts.join(", "))).await?).await?;
    let seconds = began.elapsed().as_secs_f64();
    let ledger = collector.ledger(1);
    if ledger.rows_kept == rows as u64 { Ok(seconds) } else { Err(format!("the rows are not all there: {ledger:?}").into()) }
}

async fn datafusion(root: &Path, format: &str, schema: &SchemaRef, threads: usize) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
    let path = root.join(format!("events.{format}"));
    let path = path.to_str().ok_or("the folder is not Unicode")?;
    if format == "parquet" {
        context.register_parquet("events", path, ParquetReadOptions::default()).await?;
    } else {
        context.register_json("events", path, JsonReadOptions::default().schema(schema).file_extension(".ndjson")).await?;
    }
    context.sql(THEIRS).await?.collect().await?;
    Ok(began.elapsed().as_secs_f64())
}

/// Writes the events, and gives their schema.
fn write_project(root: &Path, rows: usize) -> Result<SchemaRef, Box<dyn Error>> {
    std::fs::write(root.join("pipeline.yaml"), PIPELINE)?;
    std::fs::create_dir_all(root.join("sql/staging"))?;
    for format in ["ndjson", "parquet"] {
        std::fs::write(root.join(format!("sql/staging/{format}.sql")), format!("select visitor from sources.{format}"))?;
    }
    let customers = "select visitor as customer_id from staging.ndjson union select visitor from staging.parquet";
    std::fs::write(root.join("sql/customers.sql"), customers)?;
    let browsers = ["Chrome", "Safari", "Firefox", "Edge"];
    let mut lines = String::new();
    for row in 0..rows {
        // A multiplier spreads neighbours; nothing here is random.
        let mixed = row.wrapping_mul(2_654_435_761) % 1_000_003;
        let browser = browsers[mixed % 4];
        write!(
            lines,
            r#"{{"user_pseudo_id":"{mixed}.{}","event_timestamp":{},"event_name":"page_view","#,
            row % 977,
            1_762_387_200_000_000_u64 + row as u64
        )?;
        write!(
            lines,
            r#""device":{{"category":"mobile","language":"en-us","web_info":{{"browser":"{browser}","browser_version":"12{}"}}}},"event_params":["#,
            mixed % 10
        )?;
        for param in 0..6 {
            write!(lines, r#"{{"key":"param_{param}","value":{{"string_value":"value {}","int_value":null}}}},"#, mixed % (100 + param))?;
        }
        write!(lines, r#"{{"key":"ga_session_id","value":{{"string_value":null,"int_value":{mixed}}}}},"#)?;
        write!(
            lines,
            r#"{{"key":"page_location","value":{{"string_value":"https://shop.example/garden/{}?utm=mail","int_value":null}}}}],"#,
            mixed % 500
        )?;
        writeln!(lines, r#""tags":["a","t{}"]}}"#, mixed % 7)?;
    }
    let (schema, _) = infer_json_schema(lines.as_bytes(), Some(100))?;
    let schema: SchemaRef = Arc::new(schema);
    let mut writer = ArrowWriter::try_new(std::fs::File::create(root.join("events.parquet"))?, Arc::clone(&schema), None)?;
    for batch in ReaderBuilder::new(Arc::clone(&schema)).build(lines.as_bytes())? {
        writer.write(&batch?)?;
    }
    writer.close()?;
    std::fs::write(root.join("events.ndjson"), lines)?;
    Ok(schema)
}
