//! What an execution reads: sources, the tables that the pipeline file holds, rows that are given in the place of tables, and the predecessor
//! publication. What a node makes follows from these and the plan alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::sample::Sample;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::SOURCES;
use crate::ingest::{self, Collector, Extract, Ledger, RequiredColumns};
use crate::native::Context;
use crate::plan::{self, Plan};

/// What an execution reads.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The sources, in the order of the pipeline file.
    pub sources: Vec<Source>,
    /// Rows by table: of those that the pipeline file holds, and in the place of sources or of what nodes would make.
    pub given: BTreeMap<String, RecordBatch>,
    /// What native steps may read beside tables: the predecessor publication, if there is one to build on.
    pub context: Context,
    /// Which customers are computed; all of them if there is no sample.
    pub sample: Option<Sample>,
    /// Tables that are still there after their last reader.
    pub kept: BTreeSet<String>,
}

impl Inputs {
    /// The tables that the pipeline file holds, without sources.
    ///
    /// # Errors
    /// [`Error::Defect`] alone, since planning has refused what is wrong with them.
    pub fn of(plan: &Plan) -> Result<Inputs> {
        let reference = plan::reference_tables(&plan.project, &plan.values)?;
        Ok(Inputs { given: reference.tables, ..Inputs::default() })
    }

    /// Whether rows are given in the place of a table.
    pub fn is_given(&self, table: &str) -> bool {
        self.given.contains_key(table)
    }

    /// The first failure of a source, which is the cause of the failure of whatever read it.
    pub fn failure(&self) -> Option<Error> {
        self.sources.iter().find_map(|source| source.collector.failure())
    }
}

/// A source while it is read: its extract, and what became of its rows.
#[derive(Debug, Clone)]
pub struct Source {
    /// The files and their contract.
    pub extract: Extract,
    /// What became of the rows that have been read.
    pub collector: Arc<Collector>,
}

impl Source {
    /// A source of which nothing has been read.
    pub fn new(engine: &Engine, extract: Extract) -> Self {
        Source { collector: Collector::new(&extract.contract, engine), extract }
    }

    /// The name by which SQL reads it.
    pub fn table(&self) -> String {
        format!("{SOURCES}.{}", self.extract.contract.source)
    }

    /// What became of the rows that have been read.
    pub fn ledger(&self) -> Ledger {
        let Extract { markers, unopened, snapshot, ref files, .. } = self.extract;
        Ledger { files_skipped: markers, files_unopened: unopened, snapshot_day: snapshot, ..self.collector.ledger(files.len()) }
    }

    /// Makes it readable by SQL; how many rows there are, if they had to be read for that.
    pub(super) async fn register(&self, engine: &Engine, required: &RequiredColumns) -> Result<Option<u64>> {
        ingest::register(engine, &self.table(), &self.extract, required, &self.collector).await
    }
}
