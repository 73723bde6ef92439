//! Reads extracts: finds the files, reads each row once, applies the contract, and gives kept and rejected rows.

mod changes;
mod collector;
mod column;
mod contract;
mod counting;
mod csv;
mod decoded;
mod deduplicate;
mod encoding;
mod extract;
mod find;
mod format;
mod held;
mod in_path;
mod kinds;
mod moments;
mod names;
mod ndjson;
mod needles;
mod nested;
mod nested_column;
mod parquet;
mod path_match;
mod plain;
mod reader;
mod refused_files;
mod rejects;
mod remarks;
mod repeats;
mod scan;
mod some_rows;
mod table;
mod text;
mod text_file;
mod unpack;
mod values;
mod ways;
mod whole_rows;

pub use collector::Collector;
pub use column::ContractColumn;
pub use contract::{Contract, Fault};
pub use deduplicate::latest_of;
use deduplicate::superseded;
pub use extract::{Extract, inputs};
pub use find::{find, locations, not_there_yet, stale_rows, too_old_rows};
pub use format::{Packing, foreign, packing};
pub use parquet::{Peeked, is_decoding, peek};
pub use refused_files::with_others;
pub use rejects::Reject;
pub use some_rows::{KnownRows, first_rows};
pub use unpack::Unpacker;

pub use crate::manifest::{Ledger, Overrun, RejectCount, Scope};
use table::SourceTable;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::config::{Project, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::{Engine, TextEncoding, failed};
use crate::error::Result;

/// Compiles the contracts of every source, but for those that have a problem.
pub fn contracts(project: &Project, values: &Values, problems: &mut Vec<Diagnostic>) -> Vec<Contract> {
    let mut contracts = Vec::new();
    // A source from which a wrong column was left out is skipped, because any other finding could be a consequence of that.
    for (name, source) in project.pipeline.sources.iter().filter(|(name, _)| !project.lost.touches(&["sources", name])) {
        match Contract::new(&project.file, (name, source), &project.pipeline.null_values, values) {
            Ok(contract) => contracts.push(contract),
            Err(found) => problems.extend(found),
        }
    }
    contracts
}

/// Makes a source readable by SQL. It is read where models read it, as often as they do, unless it has several readers and would be costly
/// to read again: then the columns that models read are kept. Of a source with a key the rows are found first that others supersede, by
/// scans of their own. How many rows there are, where something was read.
///
/// # Errors
/// As reading its files fails.
pub async fn register(
    engine: &Engine,
    name: &str,
    extract: &Extract,
    required: &RequiredColumns,
    collector: &Arc<Collector>,
) -> Result<Option<u64>> {
    let contract = &extract.contract;
    let failed = |error: DataFusionError| collector.failure().unwrap_or_else(|| failed(&format!("the source {name}"), &error));
    let mut table = SourceTable::open(extract, Arc::clone(collector), engine, required.scans + required.again).await?;
    let columns: Vec<usize> = (0..contract.width()).filter(|at| required.columns.contains(&contract.columns[*at].name)).collect();
    let (mut rows, mut is_key) = (None, false);
    if !contract.key.is_empty() {
        let superseded = superseded(engine, contract, &table, seed_of(extract)).await.map_err(failed)?;
        collector.deduplicate(superseded.rows(), superseded.deleted());
        (rows, is_key) = (Some(collector.rows_kept()), superseded.is_key());
        table = table.without(Arc::new(superseded));
    }
    table = table.with_texts_of(&required.passed_on);
    let has_plain_texts = engine.text_encoding() == TextEncoding::Plain;
    if table.is_columnar() || (required.scans <= 1 && (table.has_row_groups() || has_plain_texts)) {
        engine.register_with_texts(name, Arc::clone(&contract.schema), Arc::new(table), seed_of(extract))?;
    } else if required.scans <= 1 {
        // The texts of a source that is read once get codes only where they are compared.
        engine.register(name, Arc::new(table.with_texts()))?;
    } else {
        rows = Some(keep(engine, name, contract, &columns, table).await.map_err(failed)?);
    }
    if is_key {
        engine.declare_key(name, contract.unique().iter().map(|&at| contract.columns[at].name.clone()).collect());
    }
    Ok(rows)
}

/// Reads a source once, and keeps some columns of it.
async fn keep(engine: &Engine, name: &str, contract: &Contract, columns: &[usize], table: SourceTable) -> Result<u64, DataFusionError> {
    let names: Vec<&str> = columns.iter().map(|&at| contract.columns[at].name.as_str()).collect();
    let frame = engine.context().read_table(Arc::new(table))?.select_columns(&names)?;
    let mut batches = frame.execute_stream().await?;
    let kept = engine.empty_table(batches.schema());
    while let Some(batch) = batches.try_next().await? {
        kept.push(batch)?;
    }
    let rows = kept.rows() as u64;
    engine.register_columns(name, Arc::clone(&contract.schema), columns, kept)?;
    Ok(rows)
}

/// The secret for the fingerprints of keys. It comes from the versions of the files, which nobody can choose to make keys collide.
fn seed_of(extract: &Extract) -> [u8; 16] {
    let mut digest = Sha256::new();
    for input in inputs(extract) {
        for part in [&input.source, &input.file, &input.version] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
    }
    let mut seed = [0; 16];
    seed.copy_from_slice(&digest.finalize()[..16]);
    seed
}

/// What models read of a source.
#[derive(Debug, Clone, Default)]
pub struct RequiredColumns {
    /// How often it is read.
    pub scans: usize,
    /// How often more, if reading it again costs little.
    pub again: usize,
    /// The columns that are read.
    pub columns: BTreeSet<String>,
    /// Those among them whose values models only pass on, and only for some rows. Their texts get codes where that happens, not in every row.
    pub passed_on: BTreeSet<String>,
}

/// The counts of a source of which every row has been read. A join may leave off reading when it knows that nothing can
/// match; then the source is read once more, for its counts alone.
///
/// # Errors
/// As reading its files fails.
pub async fn complete(engine: &Engine, extract: &Extract, collector: &Arc<Collector>) -> Result<()> {
    if collector.is_complete() {
        return Ok(());
    }
    let table = SourceTable::open(extract, Arc::clone(collector), engine, 1).await?;
    let count = async { engine.context().read_table(Arc::new(table))?.count().await };
    let what = || format!("the source {}", extract.contract.source);
    count.await.map_err(|error| collector.failure().unwrap_or_else(|| failed(&what(), &error)))?;
    Ok(())
}

/// Whether no row of an extract's files is of a day before the as-of day, and nothing else is to be said of them: then they change nothing
/// about the day. Not so if that cannot be told.
pub async fn is_out_of_window(engine: &Engine, extract: &Extract) -> bool {
    let collector = Collector::new(&extract.contract, engine);
    let is_read = complete(engine, extract, &collector).await.is_ok();
    let ledger = collector.ledger(extract.files.len());
    let has_faults = !ledger.rejects.is_empty() || ledger.rows_rejected + ledger.values_rejected + ledger.records_without_rows > 0;
    is_read && !has_faults && collector.remarks().is_empty() && ledger.rows_out_of_window == ledger.rows_read
}
