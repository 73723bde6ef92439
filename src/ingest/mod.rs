//! From extracts to kept rows and rejected rows: finds the files, reads each row once, casts and checks it against its contract.

mod contract;
mod csv;
mod deduplicate;
mod ledger;
mod ndjson;
mod parquet;
mod reader;
mod table;
mod text;

pub use contract::Contract;
pub use ledger::{Collector, Ledger, Reject};
pub use table::SourceTable;

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;

use crate::config::{Project, Source, SourceFormat, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::storage::{File, Stores};

/// A source with its contract and the files that were found for it.
#[derive(Debug, Clone)]
pub struct Extract {
    /// What a row must be.
    pub contract: Arc<Contract>,
    /// The files, in order of path.
    pub files: Vec<(File, SourceFormat)>,
}

/// Compiles the contracts of every source.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong with them.
pub fn contracts(project: &Project, values: &Values) -> Result<Vec<Arc<Contract>>> {
    let mut problems = Vec::new();
    let mut contracts = Vec::new();
    for (name, source) in &project.pipeline.sources {
        match Contract::new(&project.file, name, source, values) {
            Ok(contract) => contracts.push(Arc::new(contract)),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(contracts) } else { Err(Error::Project(problems)) }
}

/// Finds the files of every source, in the order of their contracts.
///
/// # Errors
/// [`Error::Missing`] naming every source without files; otherwise as listing a store fails.
pub async fn find(project: &Project, contracts: &[Arc<Contract>], stores: &Stores) -> Result<Vec<Extract>> {
    let mut extracts = Vec::new();
    let mut missing = Vec::new();
    for ((name, source), contract) in project.pipeline.sources.iter().zip(contracts) {
        let location = stores.open(&source.location.value, &project.root)?;
        let files = location.files().await?;
        if files.is_empty() {
            missing.push(format!("{name}: no file matches {}", source.location.value));
            continue;
        }
        let files = files.into_iter().map(|file| with_format(name, source, file)).collect::<Result<Vec<_>>>()?;
        extracts.push(Extract { contract: Arc::clone(contract), files });
    }
    if missing.is_empty() {
        return Ok(extracts);
    }
    let what = if missing.len() == 1 { "an extract is missing".to_owned() } else { format!("{} extracts are missing", missing.len()) };
    let message = Message { what, details: missing, hint: None };
    Err(Error::Missing(message.hint("wait for them, or correct `location` in the pipeline file")))
}

fn with_format(name: &str, source: &Source, file: File) -> Result<(File, SourceFormat)> {
    match source.format.or_else(|| SourceFormat::from_name(file.meta.location.as_ref())) {
        Some(format) => Ok((file, format)),
        None => Err(Diagnostic::error("unknown-format", format!("the name of {} tells no format", file.shown))
            .hint(format!("say `format: csv`, `ndjson` or `parquet` for the source `{name}`"))
            .into()),
    }
}

/// Reads a whole source into memory, without the rows whose key a later row repeats.
///
/// # Errors
/// As reading its files fails.
pub async fn read_whole(engine: &Engine, table: SourceTable) -> Result<Vec<RecordBatch>> {
    let contract = Arc::clone(table.contract());
    let collector = Arc::clone(table.collector());
    let frame = engine.context().read_table(Arc::new(table)).map_err(|error| Error::defect(error.to_string()))?;
    let read = async { frame.execute_stream().await?.try_collect::<Vec<_>>().await };
    let batches = read.await.map_err(|error| collector.failure().unwrap_or_else(|| Error::defect(error.to_string())))?;
    if contract.key.is_empty() {
        return Ok(batches);
    }
    deduplicate::keep_latest(&contract, batches, &collector)
}

/// The counts of a source of which every row has been read. A join may leave off reading when it knows that nothing can
/// match; then the source is read once more, for its counts alone.
///
/// # Errors
/// As reading its files fails.
pub async fn complete(engine: &Engine, extract: &Extract, collector: &Arc<Collector>) -> Result<Arc<Collector>> {
    if collector.is_complete() {
        return Ok(Arc::clone(collector));
    }
    let fresh = Arc::new(Collector::default());
    let table = SourceTable::open(extract, Arc::clone(&fresh)).await?;
    let count = async { engine.context().read_table(Arc::new(table))?.count().await };
    count.await.map_err(|error| fresh.failure().unwrap_or_else(|| Error::defect(error.to_string())))?;
    Ok(fresh)
}
