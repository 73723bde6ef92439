use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::AsArray;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::error::Error;
use segmill::ingest::{self, Collector, Ledger, Reject, RequiredColumns};
use segmill::plan::{self, Plan};
use segmill::storage::Stores;

/// Two texts, which a file may lack.
const PIPELINE: &str = "\
version: 1
name: reading
sources:
  extract:
    location: memory:///extract.*
    event_time: at
    reject_budget: {share: 1, rows: 1000000}
    columns:
      a: {type: string, optional: true}
      b: {type: string, optional: true}
      at: {type: timestamp, required: true}
outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}
";

/// What a run makes of an extract.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub ledger: Ledger,
    pub rejects: Vec<Reject>,
    /// The values of `a` and `b`, in order of the file.
    pub kept: Vec<[Option<String>; 2]>,
}

impl Outcome {
    /// The line and the reason of every rejected record.
    pub fn reasons(&self) -> Vec<(u64, &'static str)> {
        self.rejects.iter().map(|reject| (reject.row_number, reject.reason)).collect()
    }
}

/// Reads some bytes as an extract of a name.
pub fn read(name: &str, bytes: &[u8]) -> Result<Outcome, Error> {
    read_from(store_of(name, bytes))
}

/// Reads some bytes as an extract of a name, with settings of its source and more keys of the columns `a` and `b`, in the flow style of YAML.
pub fn read_with(settings: &str, columns: [&str; 2], name: &str, bytes: &[u8]) -> Result<Outcome, Error> {
    block_on(ingest(&plan_of(settings, columns), store_of(name, bytes)))
}

fn store_of(name: &str, bytes: &[u8]) -> Arc<dyn ObjectStore> {
    let store = InMemory::new();
    block_on(store.put(&name.into(), PutPayload::from(bytes.to_vec()))).unwrap();
    Arc::new(store)
}

/// Reads the extract of a store, on one thread.
fn read_from(store: Arc<dyn ObjectStore>) -> Result<Outcome, Error> {
    block_on(ingest(plan(), store))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn ingest(plan: &Plan, store: Arc<dyn ObjectStore>) -> Result<Outcome, Error> {
    let stores = Stores::new(Environment::new());
    stores.provide("memory:", store);
    let extracts = ingest::find(&plan.project, &plan.contracts, &stores, None).await?;
    let [extract] = extracts.as_slice() else { panic!("there is one source") };
    let engine = Engine::new(Limits { threads: 1, memory_bytes: 256 << 20 }, "UTC")?;
    let collector = Collector::new(&extract.contract, &engine);
    let required = RequiredColumns { scans: 1, columns: ["a", "b"].map(str::to_owned).into(), ..RequiredColumns::default() };
    ingest::register(&engine, "sources.extract", extract, &required, &collector).await?;
    let frame = engine.query("select a, b from sources.extract").await.unwrap();
    let read = engine.collect(frame).await;
    if let Some(error) = collector.failure() {
        return Err(error);
    }
    let (_, batches) = read.unwrap();
    ingest::complete(&engine, extract, &collector).await?;
    let mut kept = Vec::new();
    for batch in &batches {
        let texts = |column: usize| batch.column(column).as_string::<i32>().iter().map(|text| text.map(str::to_owned));
        kept.extend(texts(0).zip(texts(1)).map(|(a, b)| [a, b]));
    }
    let mut rejects = Vec::new();
    for part in collector.parts() {
        rejects.extend(collector.rejects_of(part)?);
    }
    // Records that stand on one line of a JSON file come in the order of the file.
    assert!(rejects.is_sorted_by_key(|reject| (reject.file.clone(), reject.row_number)), "rejects come in order");
    let outcome = Outcome { ledger: collector.ledger(extract.files.len()), rejects, kept };
    assert!(outcome.ledger.adds_up(), "{:?}", outcome.ledger);
    assert_eq!(outcome.ledger.rows_kept, outcome.kept.len() as u64);
    assert_eq!(outcome.ledger.rows_rejected + outcome.ledger.values_rejected, outcome.rejects.len() as u64);
    Ok(outcome)
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| plan_of("", [""; 2]))
}

/// The plan of a source with more settings, and with more keys of the columns `a` and `b`.
fn plan_of(settings: &str, columns: [&str; 2]) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let mut pipeline = PIPELINE.to_owned();
    for (name, keys) in ["a", "b"].iter().zip(columns).filter(|(_, keys)| !keys.is_empty()) {
        pipeline = pipeline.replace(&format!("      {name}: {{"), &format!("      {name}: {{{keys}, "));
    }
    if !settings.is_empty() {
        pipeline = pipeline.replace("    event_time: at\n", &format!("    event_time: at\n    <<: {{{settings}}}\n"));
    }
    write("pipelines/reading.yaml", &pipeline);
    write("sql/customers.sql", "-- A customer.\nselect distinct a as customer_id, b from sources.extract\n");
    let project = config::load(&folder.path().join("pipelines/reading.yaml"), &Environment::new()).unwrap();
    let values = config::bind(&project, "2030-01-01".parse().unwrap(), &BTreeMap::new()).unwrap();
    let mut plan = block_on(plan::plan(Arc::new(project), values)).unwrap();
    // No project may do without an event time; what is tried here is bytes of two columns.
    let contract = Arc::get_mut(&mut plan.contracts[0]).unwrap();
    let at = contract.event_time.unwrap();
    let column = &mut contract.columns[at];
    (column.required, column.optional, column.costs_row) = (false, true, false);
    let fields = contract.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    contract.schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
    plan
}

/// Replaces an extract of a store after its first read, after its second, and so on: each time its reader must see it.
pub fn replace_after_every_read(inner: &Arc<dyn ObjectStore>, name: &str, old: &[u8], new: &[u8]) {
    let put = |bytes: &[u8]| block_on(inner.put(&name.into(), PutPayload::from(bytes.to_vec()))).map(|_| ()).unwrap();
    for after in 0.. {
        put(old);
        let store = Arc::new(Replacing { inner: Arc::clone(inner), with: new.to_vec(), after, reads: AtomicUsize::new(0) });
        let outcome = read_from(Arc::clone(&store) as _);
        if store.reads.load(Ordering::SeqCst) <= after {
            outcome.unwrap();
            assert!(after >= 2, "{name} was read {after} times");
            break;
        }
        let error = outcome.expect_err("it changed before it was read to its end");
        assert_eq!(error.exit_status() as u8, 75, "{name} after {after}: {error}");
        assert!(error.to_string().contains(&format!("{name} was replaced")), "{error}");
    }
    block_on(inner.delete(&name.into())).unwrap();
}

/// A store whose objects all become another's when they have been read from so often.
#[derive(Debug)]
struct Replacing {
    inner: Arc<dyn ObjectStore>,
    with: Vec<u8>,
    after: usize,
    reads: AtomicUsize,
}

impl fmt::Display for Replacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replacing")
    }
}

#[async_trait]
impl ObjectStore for Replacing {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if !options.head && self.reads.fetch_add(1, Ordering::SeqCst) == self.after {
            self.inner.put(path, PutPayload::from(self.with.clone())).await?;
        }
        self.inner.get_opts(path, options).await
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
