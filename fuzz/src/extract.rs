//! An extract of arbitrary bytes, read by contract: whatever they are, every row is kept or rejected, once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use arrow::util::display::array_value_to_string;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};
use segmill::clock::Stopwatch;
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::error::{Error, ExitStatus};
use segmill::ingest::{self, Collector, Ledger, Reject, RequiredColumns};
use segmill::plan::{self, Plan};
use segmill::storage::Stores;

/// Every type of column with every rule that a contract has, once as it comes and once with a key.
const PIPELINE: &str = "\
version: 1
name: fuzz
sources:
  plain: &source
    location: memory:///extract.*
    event_time: at
    reject_budget: {share: 1}
    columns:
      id: {type: string, required: true, pattern: '[a-z0-9]{1,8}'}
      at: {type: timestamp, required: true, format: '%Y-%m-%d %H:%M:%S%.f'}
      day: {type: date, format: '%d.%m.%Y', from: [date]}
      number: {type: integer, min: -5, max: 500}
      amount: {type: 'decimal(7,2)', min: 0}
      big: {type: 'decimal(38,10)'}
      share: {type: double}
      flag: {type: boolean}
      kind: {type: string, accepted: [a, b, 'c \"d\"', ü]}
      email: {type: string, personal: true}
  keyed: {<<: *source, key: [id]}
outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}
";

const MODELS: [(&str, &str); 3] = [
    ("staging/plain", "select id from sources.plain"),
    ("staging/keyed", "select id from sources.keyed"),
    ("customers", "select id as customer_id from staging.plain union select id from staging.keyed"),
];

/// How long reading may take: to set up, and for every byte of text. An instrumented build on a busy machine is far below it, and what grows with
/// the square is soon above.
const BEFORE_THE_FIRST_BYTE_MS: u64 = 5000;
const BYTES_A_MS: u64 = 10;

/// What became of an extract.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// The counts.
    pub ledger: Ledger,
    /// What was rejected.
    pub rejects: Vec<Reject>,
    /// The rows, in order of their values.
    pub kept: Vec<String>,
}

/// Reads an extract by contract and holds it to the laws that every extract keeps. The first byte says how the rest is compressed.
pub fn read(format: &str, input: &[u8]) {
    let Some((mode, bytes)) = input.split_first() else { return };
    let plain = |source: &str| outcome(source, &format!("extract.{format}"), bytes.to_vec());
    match mode % 4 {
        0 => drop(plain("plain")),
        1 => drop(plain("keyed")),
        // Most are no sound stream, or one that breaks off.
        2 => {
            let ending = if mode & 4 == 0 { "gz" } else { "zst" };
            drop(outcome("plain", &format!("extract.{format}.{ending}"), bytes.to_vec()));
        }
        // Compression changes nothing but the name; what is compressed twice is refused.
        _ if [b"\x1f\x8b".as_slice(), b"\x28\xb5\x2f\xfd"].iter().any(|packed| bytes.starts_with(packed)) => drop(plain("plain")),
        _ => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("a vector takes all");
            let packed = outcome("plain", &format!("extract.{format}.gz"), encoder.finish().expect("a vector takes all"));
            match (plain("plain"), packed) {
                (Ok(plain), Ok(mut packed)) => {
                    packed.rejects.iter_mut().for_each(|reject| reject.file = reject.file.trim_end_matches(".gz").to_owned());
                    assert_eq!(plain, packed);
                }
                (plain, packed) => assert_eq!(plain.is_ok(), packed.is_ok()),
            }
        }
    }
}

/// Reads a file of a name by the contract of a source.
///
/// # Errors
/// As reading it fails; a defect breaks a law.
pub fn outcome(source: &str, name: &str, bytes: Vec<u8>) -> Result<Outcome, Error> {
    let (plan, size) = (plan(), bytes.len() as u64);
    let begun = Stopwatch::start();
    let outcome = crate::block_on(ingest(plan, source, name, bytes));
    // What unpacks to a thousand times its size takes the time of that.
    let is_packed = [".gz", ".zst", ".parquet"].iter().any(|ending| name.ends_with(ending));
    let elapsed_ms = begun.elapsed_ms();
    assert!(is_packed || elapsed_ms < BEFORE_THE_FIRST_BYTE_MS + size / BYTES_A_MS, "{size} bytes took {elapsed_ms} ms");
    match &outcome {
        Ok(found) => {
            let ledger = &found.ledger;
            assert!(ledger.adds_up(), "{ledger:?}");
            assert_eq!(ledger.rows_rejected + ledger.values_rejected, found.rejects.len() as u64);
            assert_eq!(ledger.rows_kept, found.kept.len() as u64);
        }
        Err(error) => assert_ne!(error.exit_status(), ExitStatus::Defect, "{error:?}"),
    }
    outcome
}

async fn ingest(plan: &Plan, source: &str, name: &str, bytes: Vec<u8>) -> Result<Outcome, Error> {
    let store = Arc::new(InMemory::new());
    store.put(&name.into(), PutPayload::from(bytes)).await.expect("memory takes all");
    let stores = Stores::new(Environment::new());
    stores.provide("memory:", store);
    let extracts = ingest::find(&plan.project, &plan.contracts, &stores, None).await?;
    let extract = extracts.iter().find(|extract| extract.contract.source == source).expect("both are found");
    let engine = Engine::new(Limits { threads: 1, memory_bytes: 64 << 20 }, "UTC")?;
    let collector = Collector::new(&extract.contract, &engine);
    let names: Vec<&str> = extract.contract.columns.iter().map(|column| column.name.as_str()).collect();
    let required = RequiredColumns { scans: 1, columns: names.iter().map(|&name| name.to_owned()).collect(), ..RequiredColumns::default() };
    ingest::register(&engine, "sources.extract", extract, &required, &collector).await?;
    let columns: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let frame = engine.query(&format!("select {} from sources.extract", columns.join(", "))).await.expect("the columns are there");
    let read = engine.collect(frame).await;
    if let Some(error) = collector.failure() {
        return Err(error);
    }
    let (_, batches) = read.expect("what fails is told to the collector");
    ingest::complete(&engine, extract, &collector).await?;
    let mut kept = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values: Vec<String> =
                batch.columns().iter().map(|column| array_value_to_string(column, row).expect("every value is shown")).collect();
            kept.push(format!("{values:?}"));
        }
    }
    kept.sort();
    let mut rejects = Vec::new();
    for part in collector.parts() {
        rejects.extend(collector.rejects_of(part)?);
    }
    assert!(rejects.is_sorted(), "rejects come in order");
    Ok(Outcome { ledger: collector.ledger(1), rejects, kept })
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder is made");
        super::project::write(folder.path(), PIPELINE, &MODELS);
        let project = config::load(&folder.path().join("pipelines/fuzz.yaml"), &Environment::new()).expect("the project is sound");
        let as_of = chrono::NaiveDate::from_ymd_opt(2030, 1, 1).expect("it is a day");
        let values = config::bind(&project, as_of, &BTreeMap::new()).expect("nothing is to be bound");
        super::block_on(plan::plan(Arc::new(project), values)).unwrap_or_else(|error| panic!("the project is sound: {error:?}"))
    })
}
