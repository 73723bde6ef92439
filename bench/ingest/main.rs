//! Times contract ingest of clean text extracts beside DataFusion's own readers: the same files, columns, types and threads.
//!
//! usage: `cargo bench --bench ingest -- [ROWS] [KIND…]`, where a kind is one of those in [`KINDS`]. Ends with 1 when ingest takes more than
//! 1.3 times as long, or more than 1.5 times for CSV in another dialect. DataFusion reads texts in other encodings as UTF-8.

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

/// A kind of text file.
struct Kind {
    name: &'static str,
    /// The settings of the source.
    settings: &'static str,
    /// The character between fields; NDJSON has none.
    delimiter: Option<u8>,
    /// Whether every field has quotes.
    is_quoted: bool,
    encoding: &'static str,
    /// How many times as long as DataFusion's reader ingest may take.
    target: f64,
}

const KINDS: [Kind; 7] = [
    Kind { name: "csv", settings: "format: csv", delimiter: Some(b','), is_quoted: false, encoding: "utf-8", target: 1.3 },
    Kind { name: "ndjson", settings: "format: ndjson", delimiter: None, is_quoted: false, encoding: "utf-8", target: 1.3 },
    Kind { name: "semicolon", settings: "csv: {delimiter: ';'}", delimiter: Some(b';'), is_quoted: true, encoding: "utf-8", target: 1.5 },
    Kind {
        name: "escape",
        settings: r"csv: {delimiter: '|', escape: '\'}",
        delimiter: Some(b'|'),
        is_quoted: true,
        encoding: "utf-8",
        target: 1.5,
    },
    Kind { name: "comment", settings: "csv: {comment: '#'}", delimiter: Some(b','), is_quoted: false, encoding: "utf-8", target: 1.5 },
    Kind {
        name: "tab",
        settings: r#"csv: {delimiter: "\t"}, encoding: windows-1250"#,
        delimiter: Some(b'\t'),
        is_quoted: false,
        encoding: "windows-1250",
        target: 1.5,
    },
    Kind {
        name: "utf16",
        settings: r#"csv: {delimiter: "\t"}"#,
        delimiter: Some(b'\t'),
        is_quoted: false,
        encoding: "utf-16le",
        target: 1.5,
    },
];

const COLUMNS: &str = "\
    contact_id: {type: string, required: true}, updated_at: {type: timestamp, required: true}, \
    email: {type: string, personal: true}, name: {type: string, personal: true}, birth_date: {type: date}, \
    household_size: {type: integer, min: 1, max: 20}, city: {type: string}, country: {type: string, accepted: [France, Spain, Poland]}, \
    spent: {type: 'decimal(18,3)'}, consent: {type: boolean}";

fn main() -> Result<(), Box<dyn Error>> {
    let rows: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let threads = std::thread::available_parallelism()?.get();
    let folder = tempfile::tempdir()?;
    write_project(folder.path(), rows)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(threads).build()?;
    println!("{rows} clean rows in one file, {threads} threads, every column read; medians of {ROUNDS} interleaved rounds\n");
    println!("| format | size | DataFusion's reader | contract ingest | ratio |\n| --- | ---: | ---: | ---: | ---: |");
    let mut missed = Vec::new();
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let is_any_asked = KINDS.iter().any(|kind| asked.iter().any(|asked| asked == kind.name));
    for kind in KINDS.iter().filter(|kind| !is_any_asked || asked.iter().any(|asked| asked == kind.name)) {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(runtime.block_on(datafusion(folder.path(), kind, threads, rows))?);
            ours.push(runtime.block_on(contract(folder.path(), kind, threads, rows))?);
        }
        let (theirs, ours) = (median(theirs), median(ours));
        let size = std::fs::metadata(folder.path().join(file_of(kind)))?.len() / (1 << 20);
        println!("| {} | {size} MiB | {theirs:.3} s | {ours:.3} s | {:.2} |", kind.name, ours / theirs);
        if ours / theirs > kind.target {
            missed.push(format!("{}: ingest took more than {} times as long", kind.name, kind.target));
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ").into()) }
}

fn file_of(kind: &Kind) -> String {
    format!("{}.{}", kind.name, if kind.delimiter.is_some() { "csv" } else { "ndjson" })
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

async fn contract(root: &Path, kind: &Kind, threads: usize, rows: usize) -> Result<f64, Box<dyn Error>> {
    let project = Arc::new(config::load(&root.join("pipeline.yaml"), &Environment::new())?);
    let as_of = NaiveDate::from_ymd_opt(2030, 1, 1).ok_or("no such day")?;
    let values = config::bind(&project, as_of, &std::collections::BTreeMap::new())?;
    let plan = plan::plan(project, values).await?;
    let began = Instant::now();
    let extracts = ingest::find(&plan.project, &plan.contracts, &Stores::new(Environment::new()), None).await?;
    let extract = extracts.iter().find(|extract| extract.contract.source == kind.name).ok_or("no such source")?;
    let engine = Engine::new(Limits { threads, memory_bytes: 1 << 30 }, "UTC")?;
    let collector = Collector::new(&extract.contract, &engine);
    ingest::register(&engine, "sources.extract", extract, &RequiredColumns { scans: 1, ..RequiredColumns::default() }, &collector).await?;
    let names: Vec<String> = extract.contract.columns.iter().map(|column| column.name.clone()).collect();
    engine.collect(engine.query(&query(&names)).await?).await?;
    let seconds = began.elapsed().as_secs_f64();
    let ledger = collector.ledger(1);
    if ledger.rows_kept == rows as u64 { Ok(seconds) } else { Err(format!("the rows are not all there: {ledger:?}").into()) }
}

async fn datafusion(root: &Path, kind: &Kind, threads: usize, rows: usize) -> Result<f64, Box<dyn Error>> {
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
    let path = root.join("utf-8").join(file_of(kind));
    let path = path.to_str().ok_or("the folder is not Unicode")?;
    context.sql("create schema sources").await?;
    if let Some(delimiter) = kind.delimiter {
        let mut options = CsvReadOptions::new().schema(schema).delimiter(delimiter);
        options.escape = kind.settings.contains("escape").then_some(b'\\');
        options.comment = kind.settings.contains("comment").then_some(b'#');
        context.register_csv("sources.extract", path, options).await?;
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
    let mut pipeline = "version: 1\nname: ingest\nsources:\n".to_owned();
    std::fs::create_dir_all(root.join("sql/staging"))?;
    std::fs::create_dir_all(root.join("utf-8"))?;
    for (at, kind) in KINDS.iter().enumerate() {
        let columns = if at == 0 { format!("&columns {{{COLUMNS}}}") } else { "*columns".to_owned() };
        let (name, settings, file) = (kind.name, kind.settings, file_of(kind));
        writeln!(pipeline, "  {name}: {{location: {file}, event_time: updated_at, {settings}, columns: {columns}}}")?;
        std::fs::write(root.join(format!("sql/staging/{name}.sql")), format!("select contact_id from sources.{name}"))?;
        let text = text_of(kind, rows)?;
        std::fs::write(root.join("utf-8").join(&file), &text)?;
        let bytes = match kind.encoding {
            "utf-16le" => std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
            label => encoding_rs::Encoding::for_label(label.as_bytes()).ok_or("no such encoding")?.encode(&text).0.into_owned(),
        };
        std::fs::write(root.join(&file), bytes)?;
    }
    pipeline += "outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}\n";
    std::fs::write(root.join("pipeline.yaml"), pipeline)?;
    let ids: Vec<String> = KINDS.iter().map(|kind| format!("select contact_id as customer_id from staging.{}", kind.name)).collect();
    Ok(std::fs::write(root.join("sql/customers.sql"), ids.join(" union "))?)
}

const NAMES: [&str; 10] =
    ["contact_id", "updated_at", "email", "name", "birth_date", "household_size", "city", "country", "spent", "consent"];

/// The text of a file of a kind.
fn text_of(kind: &Kind, rows: usize) -> Result<String, Box<dyn Error>> {
    let cities = ["Lyon", "Madrid", "Łódź", "Nice", "Gdańsk", "Sevilla", "Paris"];
    let countries = ["France", "Spain", "Poland"];
    let delimiter = kind.delimiter.map(|delimiter| char::from(delimiter).to_string());
    let mut text = delimiter.as_ref().map_or_else(String::new, |delimiter| NAMES.join(delimiter) + "\n");
    for row in 0..rows {
        // A multiplier spreads neighbours; nothing here is random.
        let mixed = row.wrapping_mul(2_654_435_761) % 1_000_003;
        let values = [
            format!("c{row:08}"),
            format!("2011-{:02}-{:02}T{:02}:{:02}:00Z", mixed % 12 + 1, mixed % 28 + 1, mixed % 24, mixed % 60),
            format!("user{mixed}@mail{}.example", mixed % 97),
            format!("Name {mixed} Surname"),
            format!("19{:02}-{:02}-{:02}", 40 + mixed % 60, mixed % 12 + 1, mixed % 28 + 1),
            (mixed % 6 + 1).to_string(),
            cities[mixed % 7].to_owned(),
            countries[mixed % 3].to_owned(),
            format!("{}.{:03}", mixed % 5000, mixed % 1000),
            (mixed % 2 == 0).to_string(),
        ];
        match &delimiter {
            Some(delimiter) if kind.is_quoted => {
                let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
                writeln!(text, "{}", quoted.join(delimiter))?;
            }
            Some(delimiter) => writeln!(text, "{}", values.join(delimiter))?,
            None => {
                let [id, updated, email, name, birth, size, city, country, spent, consent] = values;
                writeln!(
                    text,
                    r#"{{"contact_id":"{id}","updated_at":"{updated}","email":"{email}","name":"{name}","birth_date":"{birth}","household_size":{size},"city":"{city}","country":"{country}","spent":"{spent}","consent":{consent}}}"#
                )?;
            }
        }
    }
    Ok(text)
}
