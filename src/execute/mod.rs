//! Executes the nodes of a plan in order: a query becomes a view if it streams, otherwise a materialised table, and a native step runs. A run,
//! the project's cases, `explain`, `show` and `query` execute the same nodes with other inputs. A run takes what it reports and keeps through a sink; the others read
//! the tables afterwards.

mod failure;
mod inputs;
mod sample;

pub use inputs::{Inputs, Source};
pub use sample::Sample;

use std::collections::BTreeSet;

use datafusion::error::DataFusionError;

use crate::engine::Engine;
use crate::error::Result;
use crate::graph::SOURCES;
use crate::native::{Findings, Found, IDENTITY_SIGNATURE, MakeState};
use crate::plan::{Node, Plan, Work};

/// Takes what an execution tells and finds. Every method does nothing unless it is implemented.
pub trait Sink {
    /// A source is about to be read, or a node to be computed. Views, which cost nothing, are passed over.
    fn begin(&mut self, _name: &str) {}

    /// What began last has ended, with so many rows, unless its rows are computed where they are read.
    fn end(&mut self, _rows: Option<u64>) {}

    /// No node reads a source any more: all that will be read of it has been read.
    ///
    /// # Errors
    /// What the sink finds against the source; it ends the execution.
    fn source_ended(&mut self, _source: &str) -> impl Future<Output = Result<()>> {
        async { Ok(()) }
    }

    /// What a native step found.
    fn found(&mut self, _findings: &Findings) {}

    /// The state tables of a native step, whose inputs have been released.
    ///
    /// # Errors
    /// As the sink fails to keep them; it ends the execution.
    fn keep(&mut self, _state: MakeState) -> impl Future<Output = Result<()>> {
        async { Ok(()) }
    }
}

/// Takes nothing: for those who read the tables afterwards.
pub struct Silent;

impl Sink for Silent {}

/// An execution of some nodes of a plan.
pub struct Execution<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The engine, which has the tables afterwards that no other node reads.
    pub engine: &'a Engine,
    /// The tables that are wanted, with all that they are made from; everything if none are named.
    pub needed: Option<BTreeSet<String>>,
    /// Where the nodes are executed, for messages, such as `` in the case `merges` ``; empty for a run.
    pub scene: String,
}

impl Execution<'_> {
    /// Registers the inputs and executes the nodes.
    ///
    /// # Errors
    /// If a source failed, its failure; otherwise the node's or the sink's.
    pub async fn run(&self, inputs: &mut Inputs, sink: &mut impl Sink) -> Result<()> {
        self.engine.hash_with(self.plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
        self.register_given(inputs, |_| true)?;
        self.register_sources(inputs, sink).await?;
        let mut releases = self.plan.releases(&BTreeSet::new());
        let mut materialised = BTreeSet::new();
        for (position, node) in self.plan.nodes.iter().enumerate() {
            if !self.is_needed(node, inputs) {
                continue;
            }
            let found = self.compute(node, inputs, sink).await.map_err(|error| self.failure_of(node.told_as(), inputs, &error))?;
            if matches!(found, Done::Few) {
                materialised.insert(node.name.clone());
                releases = self.plan.releases(&materialised);
            }
            let found = found.found();
            // What is given stands also in the place of some of the tables that a native step makes.
            self.register_given(inputs, |table| node.makes.iter().any(|made| made == table))?;
            if let Some(found) = &found {
                sink.found(&found.findings);
            }
            for table in &releases[position] {
                if let Some(source) = source_of(table) {
                    sink.source_ended(source).await?;
                }
                if !inputs.kept.contains(table) {
                    self.engine.forget(table);
                }
            }
            if let Some(state) = found.and_then(|found| found.state) {
                sink.keep(state).await?;
            }
        }
        Ok(())
    }

    /// Registers the rows that are given in the place of some tables.
    fn register_given(&self, inputs: &Inputs, of: impl Fn(&str) -> bool) -> Result<()> {
        for (name, batch) in inputs.given.iter().filter(|(name, _)| of(name)) {
            self.engine.register_batches(name, batch.schema(), vec![batch.clone()])?;
        }
        Ok(())
    }

    fn is_needed(&self, node: &Node, inputs: &Inputs) -> bool {
        node.makes.iter().any(|table| self.is_needed_table(table) && !inputs.is_given(table))
    }

    /// Makes every source readable: some are read now, the others while their readers run.
    async fn register_sources(&self, inputs: &Inputs, sink: &mut impl Sink) -> Result<()> {
        for source in &inputs.sources {
            let name = source.table();
            if !self.is_needed_table(&name) {
                continue;
            }
            let required = self.plan.required_columns.get(&source.extract.contract.source).cloned().unwrap_or_default();
            sink.begin(&name);
            if let Some(rows) = source.register(self.engine, &required).await? {
                sink.end(Some(rows));
            }
        }
        // All of them have been opened, so that a bad one does not keep the others from being counted.
        for source in inputs.sources.iter().filter(|source| self.is_needed_table(&source.table()) && source.collector.is_complete()) {
            sink.source_ended(&source.extract.contract.source).await?;
        }
        Ok(())
    }

    fn is_needed_table(&self, table: &str) -> bool {
        self.needed.as_ref().is_none_or(|needed| needed.contains(table))
    }

    async fn compute(&self, node: &Node, inputs: &mut Inputs, sink: &mut impl Sink) -> Result<Done, DataFusionError> {
        match &node.work {
            Work::Streamed(model) => {
                let query = self.engine.plan(&model.parsed.statement, &self.plan.values.parameters).await?;
                self.engine.register_view(&node.name, query).map_err(|error| DataFusionError::External(Box::new(error)))?;
                Ok(Done::Table)
            }
            Work::RowByRow { model, readers } => {
                let query = self.engine.plan(&model.parsed.statement, &self.plan.values.parameters).await?;
                sink.begin(&node.name);
                let rows = self.engine.materialise_few(&node.name, query, *readers).await?;
                sink.end(rows);
                Ok(if rows.is_some() { Done::Few } else { Done::Table })
            }
            Work::Materialised { model, sorted_by } => {
                let query = self.engine.plan(&model.parsed.statement, &self.plan.values.parameters).await?;
                sink.begin(&node.name);
                let frame = self.engine.frame(query);
                let rows = if sorted_by.is_empty() {
                    self.engine.materialise(&node.name, frame).await?
                } else {
                    self.engine.materialise_sorted(&node.name, frame, sorted_by).await?
                };
                sink.end(Some(rows));
                Ok(Done::Table)
            }
            Work::Native(native) => {
                sink.begin(&node.name);
                let found = native.run(self.engine, &mut inputs.context).await?;
                if let Some(sample) = inputs.sample {
                    sample.keep(self.engine, &native.step()).await?;
                    if node.name == IDENTITY_SIGNATURE.name {
                        sample.keep_memory(&mut inputs.context, self.plan.clusters());
                    }
                }
                sink.end(Some(found.rows));
                Ok(Done::Native(Box::new(found)))
            }
        }
    }
}

/// What has been done for a node.
enum Done {
    /// Its table is there.
    Table,
    /// Its few rows were materialised, though they might have been computed where they are read.
    Few,
    /// Its native step has run.
    Native(Box<Found>),
}

impl Done {
    fn found(self) -> Option<Found> {
        match self {
            Done::Native(found) => Some(*found),
            Done::Table | Done::Few => None,
        }
    }
}

/// The source whose table it is.
fn source_of(table: &str) -> Option<&str> {
    table.split_once('.').filter(|(schema, _)| *schema == SOURCES).map(|(_, source)| source)
}
