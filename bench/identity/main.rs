//! Times the identity step alone, on generated edges: skewed, with a giant component and a long chain.
//!
//! ```text
//! identity generate FILE EDGES IDENTIFIERS    writes edges as Parquet
//! identity read FILE [THREADS]                reads and hashes every identifier once: what nothing can be faster than
//! identity components FILE [THREADS]          finds what belongs together, as others do
//! identity resolve FILE [THREADS] [guarded]   finds the customers
//! ```
//! What was measured is one JSON document on standard output.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on stops")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "sizes stay far below the limits")]

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use foldhash::quality::FixedState;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use segmill::config::Standalone;
use segmill::identity::{Resolver, Rules, TypeRule, edges_schema};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: segmill_allocator::Allocator = segmill_allocator::Allocator;

const BATCH: u64 = 65_536;
/// Microseconds of 2011-12-10.
const AS_OF: i64 = 1_323_475_200_000_000;
const DAY: i64 = 86_400_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let threads = |word: Option<&&str>| word.and_then(|word| word.parse().ok()).unwrap_or_else(cores);
    match words.as_slice() {
        ["generate", file, edges, identifiers] => generate(file, edges.parse().expect("a number"), identifiers.parse().expect("a number")),
        ["read", file, rest @ ..] => read(file, threads(rest.first())),
        ["components", file, rest @ ..] => components(file, threads(rest.first())),
        ["resolve", file, rest @ ..] => resolve(file, threads(rest.first()), rest.contains(&"guarded")),
        // `cargo bench` asks with `--bench`.
        _ => eprintln!("say generate, read, components or resolve; see bench/identity/README.md"),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A number drawn for a purpose, always the same.
fn draw(number: u64, purpose: u64) -> u64 {
    let mut hasher = FixedState::with_seed(purpose).build_hasher();
    hasher.write_u64(number);
    hasher.finish()
}

/// The type and text of identifier `number` of `all`: a quarter customers, a quarter addresses, a tenth phones, the rest visitors.
fn identifier(number: u64, all: u64) -> (&'static str, String) {
    match number * 20 / all {
        0..5 => ("customer", format!("{}", 10_000_000 + number)),
        5..10 => ("email", format!("person.{number}@mail{}.example", number % 97)),
        10..12 => ("phone", format!("+4477{number:08}")),
        _ => ("visitor", format!("v{:012x}", draw(number, 1) >> 16)),
    }
}

/// The ends of edge `number`: every identifier once with a customer, then what makes the graph hard.
fn ends(number: u64, edges: u64, identifiers: u64) -> (u64, u64) {
    let customers = identifiers / 4;
    // Squared, so that few customers have many identifiers.
    let skewed = |drawn: u64| {
        let share = (drawn >> 40) as f64 / (1_u64 << 24) as f64;
        (share * share * customers as f64) as u64
    };
    if number < identifiers {
        // A customer is seen alone; the rest are somebody's.
        return (number, if number < customers { number } else { skewed(draw(number, 2)) });
    }
    let extra = number - identifiers;
    let kinds = edges.saturating_sub(identifiers).max(1);
    let (hashed, address) = (draw(number, 3), |of: u64| customers + of % customers);
    match extra * 8 / kinds {
        // Seen again, by another system.
        0..5 => ends(hashed % identifiers, edges, identifiers),
        // The addresses of a tenth of the customers are mixed up: a giant component.
        5..7 => (address(draw(number, 4) % (customers / 10).max(1)), hashed % (customers / 10).max(1)),
        // A chain: each address is its customer's and the next one's.
        _ => {
            let link = extra - kinds * 7 / 8;
            let at = customers / 2 + link / 2 % (customers / 2).max(1);
            (address(at), (at + link % 2) % customers)
        }
    }
}

fn generate(file: &str, edges: u64, identifiers: u64) {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_max_row_group_row_count(Some(1 << 20)).build();
    let mut writer = ArrowWriter::try_new(File::create(file).expect("a new file"), edges_schema(), Some(properties)).expect("a writer");
    for start in (0..edges).step_by(BATCH as usize) {
        let mut texts = [(); 5].map(|()| StringBuilder::new());
        let mut times = [(); 3].map(|()| TimestampMicrosecondBuilder::new().with_timezone("UTC"));
        for at in start..(start + BATCH).min(edges) {
            // Shuffled, so that no two edges of a kind stand together; odd factors keep the numbers apart when `edges` is a power of ten.
            let number = (at * 1_000_003 + 7) % edges;
            let (one, other) = ends(number, edges, identifiers);
            for (columns, end) in [([0, 1], one), ([2, 3], other)] {
                let (kind, text) = identifier(end, identifiers);
                texts[columns[0]].append_value(kind);
                texts[columns[1]].append_value(text);
            }
            texts[4].append_value(if number < identifiers { "crm" } else { "web" });
            let first = AS_OF - DAY * (1 + (draw(number, 5) % 300).cast_signed());
            times[0].append_value(first);
            times[1].append_value(first);
            times[2].append_null();
        }
        let texts = texts.map(|mut text| Arc::new(text.finish()) as ArrayRef);
        let times = times.map(|mut time| Arc::new(time.finish()) as ArrayRef);
        let batch = RecordBatch::try_new(edges_schema(), texts.into_iter().chain(times).collect()).expect("a batch");
        writer.write(&batch).expect("room on the disk");
    }
    writer.close().expect("room on the disk");
    println!("{}", serde_json::json!({ "edges": edges, "identifiers": identifiers, "file": file }));
}

/// Does something with every batch of the file, a row group a thread.
fn each_batch(file: &str, threads: usize, work: impl Fn(&RecordBatch) + Sync) {
    let open = || ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("the file")).expect("Parquet");
    let groups = open().metadata().num_row_groups();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(group) = Some(next.fetch_add(1, Relaxed)).filter(|group| *group < groups) {
                    let reader = open().with_row_groups(vec![group]).with_batch_size(8_192).build().expect("a reader");
                    reader.for_each(|batch| work(&batch.expect("a batch")));
                }
            });
        }
    });
}

fn read(file: &str, threads: usize) {
    let (began, digest, rows) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    each_batch(file, threads, |batch| {
        let state = FixedState::with_seed(0);
        let mut sum = 0_u64;
        for column in [1, 3] {
            for text in batch.column(column).as_string::<i32>().iter().flatten() {
                sum = sum.wrapping_add(state.hash_one(text));
            }
        }
        digest.fetch_add(sum, Relaxed);
        rows.fetch_add(batch.num_rows() as u64, Relaxed);
    });
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({ "edges": rows.into_inner(), "seconds": seconds, "threads": threads, "peak_mib": peak_mib() }));
}

fn collected(file: &str, threads: usize, guarded: bool) -> Resolver {
    let resolver = Resolver::new(rules(guarded), threads);
    each_batch(file, threads, |batch| resolver.push(batch).expect("edges"));
    resolver
}

fn components(file: &str, threads: usize) {
    let began = Instant::now();
    let joined = collected(file, threads, false).join().expect("numbers");
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({ "components": joined.components(), "seconds": seconds, "threads": threads, "peak_mib": peak_mib() })
    );
}

fn resolve(file: &str, threads: usize, guarded: bool) {
    let began = Instant::now();
    let resolver = collected(file, threads, guarded);
    let collected = began.elapsed().as_secs_f64();
    let components = resolver.join().expect("numbers");
    let joined = began.elapsed().as_secs_f64();
    let resolution = components.name();
    let named = began.elapsed().as_secs_f64();
    let rows: usize = resolution.each_customer(|batch| Ok(batch.num_rows())).expect("batches").into_iter().sum();
    let done = began.elapsed().as_secs_f64();
    let told = serde_json::json!({
        "seconds": done, "collect": collected, "join": joined - collected, "components": joined, "name": named - joined, "give": done - named,
        "rows": rows, "counts": resolution.counts(), "threads": threads, "guarded": guarded, "peak_mib": peak_mib(),
    });
    println!("{told}");
}

/// The rules of the shipped project, or no limits at all.
fn rules(guarded: bool) -> Rules {
    let kind = |name: &str, standalone, personal| TypeRule { name: name.to_owned(), standalone, personal, ..TypeRule::default() };
    let (yes, no) = (Standalone::Yes, Standalone::No);
    let mut types = vec![kind("customer", yes, false), kind("email", yes, true), kind("phone", no, true), kind("visitor", no, false)];
    if guarded {
        types[0].max_per_customer = Some(2);
        types[1].max_per_customer = Some(20);
        types[1].max_customers = Some(2);
        types[2].max_customers = Some(2);
        types[3].max_customers = Some(1);
    }
    Rules { types, trust: vec!["crm".to_owned(), "web".to_owned()], as_of_micros: AS_OF, ..Rules::default() }
}

/// The most memory this process has held, where Linux tells.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
