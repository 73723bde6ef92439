use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::error::Error;
use segmill::execute::Source;
use segmill::ingest::{self, Ledger, Reject, RequiredColumns};
use segmill::plan::{self, Plan};
use segmill::storage::Stores;

use crate::stores::block_on;

/// What is read of a source called `rows`: its rows as texts in order, its ledger and its rejects.
#[derive(Debug)]
pub struct Read {
    pub rows: Vec<Vec<String>>,
    pub ledger: Ledger,
    pub rejects: Vec<Reject>,
    /// The files that were opened, without the folder that all are in.
    pub opened: Vec<String>,
}

impl Read {
    /// The rejects by reason.
    pub fn reasons(&self) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for reject in &self.rejects {
            *reasons.entry(reject.reason).or_default() += 1;
        }
        reasons
    }
}

/// The plan of a project whose only source is `rows`; `source` is what the pipeline file says of it, indented by four.
pub fn plan(source: &str, columns: &str, as_of: &str) -> Result<Plan, Error> {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = format!(
        "version: 1\nname: dated\nsources:\n  rows:\n{source}outputs: {{destination: out, tables: {{customers: {{model: customers, sort: [customer_id]}}}}}}\n"
    );
    let first = columns.split(", ").next().unwrap();
    for (path, text) in [
        ("pipelines/dated.yaml", pipeline),
        ("sql/customers.sql", format!("-- A customer.\nselect distinct cast({first} as varchar) as customer_id from sources.rows\n")),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = config::load(&folder.path().join("pipelines/dated.yaml"), &Environment::new())?;
    let values = config::bind(&project, as_of.parse().unwrap(), &BTreeMap::new())?;
    block_on(plan::plan(Arc::new(project), values))
}

/// Reads some columns of a source whose location is in `memory:///in/`, from files in that folder.
pub fn read<B: AsRef<[u8]>>(source: &str, columns: &str, files: &[(&str, B)], as_of: &str) -> Result<Read, Error> {
    let plan = plan(source, columns, as_of)?;
    block_on(async {
        let store = Arc::new(InMemory::new());
        for (path, bytes) in files {
            let path = object_store::path::Path::parse(format!("in/{path}")).unwrap();
            store.put(&path, PutPayload::from(bytes.as_ref().to_vec())).await.unwrap();
        }
        let stores = Stores::new(Environment::new());
        stores.provide("memory:", store);
        let extract = ingest::find(&plan.project, &plan.contracts, &stores, None).await?.remove(0);
        let engine = Engine::new(Limits { threads: 2, memory_bytes: 256 << 20 }, "UTC")?;
        let source = Source::new(&engine, extract);
        let (extract, collector) = (&source.extract, &source.collector);
        let required = columns.split(", ").map(str::to_owned).collect();
        let required = RequiredColumns { scans: 2, columns: required, ..RequiredColumns::default() };
        ingest::register(&engine, "sources.rows", extract, &required, collector).await?;
        let mut rows = Vec::new();
        // A second scan must find the same.
        for scan in 0..2 {
            let frame = engine.query(&format!("select {columns} from sources.rows")).await.unwrap();
            let read = engine.collect(frame).await;
            if let Some(error) = collector.failure() {
                return Err(error);
            }
            let mut found = Vec::new();
            for batch in &read.unwrap().1 {
                let text =
                    |row: usize| batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect::<Vec<_>>();
                found.extend((0..batch.num_rows()).map(text));
            }
            found.sort();
            assert!(scan == 0 || rows == found, "{rows:?} {found:?}");
            rows = found;
        }
        ingest::complete(&engine, extract, collector).await?;
        let mut rejects = Vec::new();
        for part in collector.parts() {
            rejects.extend(collector.rejects_of(part)?);
        }
        let ledger = source.ledger();
        assert!(ledger.adds_up(), "{ledger:?}");
        assert_eq!(ledger.rows_kept, rows.len() as u64, "{ledger:?}");
        let opened = extract.files.iter().map(|(file, _)| file.shown.trim_start_matches("memory:/in/").to_owned()).collect();
        Ok(Read { rows, ledger, rejects, opened })
    })
}

/// Rows of texts, to be compared with those that were read.
pub fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
}
