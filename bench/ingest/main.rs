//! Times contract ingest of clean text extracts beside DataFusion's own readers: the same files, columns, types and threads.
//!
//! usage: `cargo bench --bench ingest -- [ROWS] [csv|ndjson]`. Ends with 1 when ingest takes more than 1.3 times as long.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chrono::NaiveDate;
use datafusion::prelude::{CsvReadOptions, JsonReadOptions, SessionConfig, SessionContext};
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::ingest::{self, Collector, RequiredColumns};
use segmill::plan;
use segmill::storage::Stores;

const ROUNDS: usize = 7;
const TARGET: f64 = 1.3;

const PIPELINE: &str = "\
version: 1
name: ingest
sources:
  csv: {location: contacts.csv, event_time: updated_at, columns: &columns {
    contact_id: {type: string, required: true}, updated_at: {type: timestamp, required: true},
    email: {type: string, personal: true}, name: {type: string, personal: true}, birth_date: {type: date},
    household_size: {type: integer, min: 1, max: 20}, city: {type: string}, country: {type: string, accepted: [France, Spain, Poland]},
    spent: {type: 'decimal(18,3)'}, consent: {type: boolean}}}
  ndjson: {location: contacts.ndjson, event_time: updated_at, columns: *columns}
outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}
";

fn main() -> Result<(), Box<dyn Error>> {
    let rows: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let threads = std::thread::available_parallelism()?.get();
    let folder = tempfile::tempdir()?;
    write_project(folder.path(), rows)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(threads).build()?;
    println!("{rows} clean rows in one file, {threads} threads, every column read; medians of {ROUNDS} interleaved rounds\n");
    println!("| format | size | DataFusion's reader | contract ingest | ratio |\n| --- | ---: | ---: | ---: | ---: |");
    let mut missed = false;
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let formats = ["csv", "ndjson"].into_iter().filter(|&format| asked.iter().any(|asked| asked == format));
    let formats: Vec<&str> = formats.collect();
    for format in if formats.is_empty() { vec!["csv", "ndjson"] } else { formats } {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(runtime.block_on(datafusion(folder.path(), format, threads, rows))?);
            ours.push(runtime.block_on(contract(folder.path(), format, threads, rows))?);
        }
        let (theirs, ours) = (median(theirs), median(ours));
        let size = std::fs::metadata(folder.path().join(format!("contacts.{format}")))?.len() / (1 << 20);
        println!("| {format} | {size} MiB | {theirs:.3} s | {ours:.3} s | {:.2} |", ours / theirs);
        missed |= ours / theirs > TARGET;
    }
    if missed { Err(format!("ingest took more than {TARGET} times as long").into()) } else { Ok(()) }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Counting the values of every column makes a reader parse all of them.
fn query(names: &[String]) -> String {
    let counts: Vec<String> = names.iter().map(|name| format!("count({name})")).collect();
    format!("select count(*), {} from sources.extract", counts.join(", "))
}

async fn contract(root: &Path, format: &str, threads: usize, rows: usize) -> Result<f64, Box<dyn Error>> {
    let project = Arc::new(config::load(&root.join("pipeline.yaml"), &Environment::new())?);
    let as_of = NaiveDate::from_ymd_opt(2030, 1, 1).ok_or("no such day")?;
    let values = config::bind(&project, as_of, &std::collections::BTreeMap::new())?;
    let plan = plan::plan(project, values).await?;
    let began = Instant::now();
    let extracts = ingest::find(&plan.project, &plan.contracts, &Stores::new(Environment::new()), None).await?;
    let extract = extracts.iter().find(|extract| extract.contract.source == format).ok_or("no such source")?;
    let engine = Engine::new(Limits { threads, memory_bytes: 1 << 30 }, "UTC")?;
    let collector = Collector::new(&extract.contract, &engine);
    ingest::register(&engine, "sources.extract", extract, &RequiredColumns { scans: 1, ..RequiredColumns::default() }, &collector).await?;
    let names: Vec<String> = extract.contract.columns.iter().map(|column| column.name.clone()).collect();
    engine.collect(engine.query(&query(&names)).await?).await?;
    let seconds = began.elapsed().as_secs_f64();
    let ledger = collector.ledger(1);
    if ledger.rows_kept == rows as u64 { Ok(seconds) } else { Err(format!("the rows are not all there: {ledger:?}").into()) }
}

async fn datafusion(root: &Path, format: &str, threads: usize, rows: usize) -> Result<f64, Box<dyn Error>> {
    let project = Arc::new(config::load(&root.join("pipeline.yaml"), &Environment::new())?);
    let as_of = NaiveDate::from_ymd_opt(2030, 1, 1).ok_or("no such day")?;
    let values = config::bind(&project, as_of, &std::collections::BTreeMap::new())?;
    let mut problems = Vec::new();
    let contracts = ingest::contracts(&project, &values, &mut problems);
    if !problems.is_empty() {
        return Err(segmill::error::Error::Project(problems).into());
    }
    let schema = &contracts.first().ok_or("no source")?.schema;
    let began = Instant::now();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
    let path = root.join(format!("contacts.{format}"));
    let path = path.to_str().ok_or("the folder is not Unicode")?;
    context.sql("create schema sources").await?;
    if format == "csv" {
        context.register_csv("sources.extract", path, CsvReadOptions::new().schema(schema)).await?;
    } else {
        context.register_json("sources.extract", path, JsonReadOptions::default().schema(schema).file_extension(".ndjson")).await?;
    }
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let found = context.sql(&query(&names)).await?.collect().await?;
    let seconds = began.elapsed().as_secs_f64();
    let counted = arrow::util::display::array_value_to_string(found[0].column(0), 0)?;
    if counted == rows.to_string() { Ok(seconds) } else { Err(format!("DataFusion counted {counted}").into()) }
}

fn write_project(root: &Path, rows: usize) -> Result<(), Box<dyn Error>> {
    std::fs::write(root.join("pipeline.yaml"), PIPELINE)?;
    std::fs::create_dir_all(root.join("sql/staging"))?;
    for format in ["csv", "ndjson"] {
        std::fs::write(root.join(format!("sql/staging/{format}.sql")), format!("select contact_id from sources.{format}"))?;
    }
    std::fs::write(
        root.join("sql/customers.sql"),
        "select contact_id as customer_id from staging.csv union select contact_id from staging.ndjson",
    )?;
    let cities = ["Lyon", "Madrid", "Łódź", "Nice", "Gdańsk", "Sevilla", "Paris"];
    let countries = ["France", "Spain", "Poland"];
    let mut csv = String::from("contact_id,updated_at,email,name,birth_date,household_size,city,country,spent,consent\n");
    let mut ndjson = String::new();
    for row in 0..rows {
        // A multiplier spreads neighbours; nothing here is random.
        let mixed = row.wrapping_mul(2_654_435_761) % 1_000_003;
        let (id, email, name) = (format!("c{row:08}"), format!("user{mixed}@mail{}.example", mixed % 97), format!("Name {mixed} Surname"));
        let updated = format!("2011-{:02}-{:02}T{:02}:{:02}:00Z", mixed % 12 + 1, mixed % 28 + 1, mixed % 24, mixed % 60);
        let birth = format!("19{:02}-{:02}-{:02}", 40 + mixed % 60, mixed % 12 + 1, mixed % 28 + 1);
        let (size, city, country) = (mixed % 6 + 1, cities[mixed % 7], countries[mixed % 3]);
        let (spent, consent) = (format!("{}.{:03}", mixed % 5000, mixed % 1000), mixed % 2 == 0);
        writeln!(csv, "{id},{updated},{email},{name},{birth},{size},{city},{country},{spent},{consent}")?;
        writeln!(
            ndjson,
            r#"{{"contact_id":"{id}","updated_at":"{updated}","email":"{email}","name":"{name}","birth_date":"{birth}","household_size":{size},"city":"{city}","country":"{country}","spent":"{spent}","consent":{consent}}}"#
        )?;
    }
    std::fs::write(root.join("contacts.csv"), csv)?;
    std::fs::write(root.join("contacts.ndjson"), ndjson)?;
    Ok(())
}
