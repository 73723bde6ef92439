//! From extracts to kept rows and rejected rows: finds the files, reads each row once, casts and checks it against its contract.

mod collector;
mod column;
mod contract;
mod csv;
mod deduplicate;
mod format;
mod held;
mod ledger;
mod ndjson;
mod parquet;
mod plain;
mod reader;
mod rejects;
mod remarks;
mod survey;
mod table;
mod text;
mod unpack;
mod values;

pub use collector::Collector;
pub use contract::{Contract, Fault};
pub use deduplicate::latest_of;
use deduplicate::superseded;
pub use ledger::{Ledger, Overrun, RejectCount, Scope};
pub use parquet::is_decoding;
pub use rejects::Reject;
pub use survey::with_others;
use table::SourceTable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use crate::config::{Project, Source, SourceFormat, Values, span_of};
use crate::diagnostic::Diagnostic;
use crate::engine::{Engine, failed};
use crate::error::{Error, Message, Result, gather};
use crate::manifest::{Commit, Input};
use crate::storage::{File, Found, Glob, Stores};

/// Files looked at at once whose names tell no format.
const FILES_AT_ONCE: usize = 16;

/// A source with its contract and the files that were found for it.
#[derive(Debug, Clone)]
pub struct Extract {
    /// What a row must be.
    pub contract: Arc<Contract>,
    /// The files, in order of path.
    pub files: Vec<(File, SourceFormat)>,
    /// How many markers lie beside them, which are not read.
    pub markers: u64,
    /// A digest of the location.
    pub location: String,
}

impl Extract {
    /// Whether a refusal is that of a file of it.
    pub fn refused_in(&self, refusal: &Message) -> bool {
        self.files.iter().any(|(file, _)| refusal.what.contains(&file.shown))
    }
}

/// Compiles the contracts of every source, but for those that have a problem.
pub fn contracts(project: &Project, values: &Values, problems: &mut Vec<Diagnostic>) -> Vec<Arc<Contract>> {
    let mut contracts = Vec::new();
    // Of a source that lacks a column, since that is wrong, nothing else can be said.
    for (name, source) in project.pipeline.sources.iter().filter(|(name, _)| !project.lost.touches(&["sources", name])) {
        match Contract::new(&project.file, (name, source), &project.pipeline.null_values, values) {
            Ok(contract) => contracts.push(Arc::new(contract)),
            Err(found) => problems.extend(found),
        }
    }
    contracts
}

/// Finds the files of every source, in the order of their contracts. `before` is the newest publication, if there is one: it knows which
/// locations have had files.
///
/// # Errors
/// [`Error::Missing`] naming every source whose files are late; [`Error::Project`] naming those whose location has never had any; otherwise
/// as listing a store fails.
pub async fn find(project: &Project, contracts: &[Arc<Contract>], stores: &Stores, before: Option<&Commit>) -> Result<Vec<Extract>> {
    let mut extracts = Vec::new();
    let mut missing = Vec::new();
    let mut refused = Vec::new();
    let mut wrong = Vec::new();
    for ((name, source), contract) in project.pipeline.sources.iter().zip(contracts) {
        let glob = stores.glob(&source.location.value, &project.root)?;
        let Some(Found { files, markers }) = gather(&mut wrong, glob.files().await)? else { continue };
        let location = glob.digest();
        if files.is_empty() && contract.min_files > 0 && !had_files(before, name, &location) {
            wrong.push(never_matched(project, name, source, &glob));
            continue;
        }
        if let Some(why) = missing_or_stale(contract, &files, &glob.shown()) {
            missing.push(format!("{name}: {why}"));
            continue;
        }
        let looked = futures::stream::iter(files).map(|file| with_format(source.format, file)).buffered(FILES_AT_ONCE);
        let mut files = Vec::new();
        for file in looked.collect::<Vec<_>>().await {
            match file {
                Ok(file) => files.push(file),
                Err(Error::Refused(message)) => refused.push(message),
                Err(other) => return Err(other),
            }
        }
        extracts.push(Extract { contract: Arc::clone(contract), files, markers, location });
    }
    if !wrong.is_empty() {
        return Err(Error::Project(wrong));
    }
    if !refused.is_empty() {
        let first = refused.remove(0);
        return Err(Error::Refused(survey::together(first, refused)));
    }
    if missing.is_empty() { Ok(extracts) } else { Err(not_there_yet(missing)) }
}

/// The locations at which sources have had files: now, or else when the newest publication was made.
pub fn locations(extracts: &[Extract], before: Option<&Commit>) -> BTreeMap<String, String> {
    let of = |extract: &Extract| {
        let source = &extract.contract.source;
        let had = before.and_then(|before| before.locations.get(source).cloned());
        let location = if extract.files.is_empty() { had } else { Some(extract.location.clone()) };
        Some((source.clone(), location?))
    };
    extracts.iter().filter_map(of).collect()
}

/// Whether a source has had files at a location when the newest publication was made. One that is older than these digests says only
/// whether it had some.
fn had_files(before: Option<&Commit>, source: &str, location: &str) -> bool {
    before.is_some_and(|before| match before.locations.get(source) {
        Some(then) => then == location,
        None => before.locations.is_empty() && before.sources.iter().any(|ledger| ledger.source == source && ledger.files > 0),
    })
}

/// A location that has no files, and never had any as far as is known: it is wrong, not late.
fn never_matched(project: &Project, name: &str, source: &Source, glob: &Glob) -> Diagnostic {
    let problem = Diagnostic::error("no-such-extract", format!("the source `{name}` has no files, and never had any at this location"));
    let problem = problem.at(span_of(&project.file, &source.location)).label(match glob.has_wildcards() {
        true => "no file matches",
        false if glob.is_folder() => "this is a folder",
        false => "there is no such file",
    });
    problem.hint(if glob.is_folder() {
        "name its files, as `folder/*.csv`"
    } else {
        "correct it or what the environment gives for it; `[`, `?` and `*` are wildcards, and themselves as `[[]`, `[?]` and `[*]`; \
         where there may be none yet, say `min_files: 0`"
    })
}

/// Says that extracts are missing or stale, and that waiting helps.
pub fn not_there_yet(which: Vec<String>) -> Error {
    let what = if which.len() == 1 {
        "an extract is missing or stale".to_owned()
    } else {
        format!("{} extracts are missing or stale", which.len())
    };
    let message = Message { what, details: which, hint: None };
    Error::Missing(message.hint("wait for them, or correct the source's `location`, `min_files` or `freshness` in the pipeline file"))
}

/// What is wrong with the files of a source, so that the run must wait.
fn missing_or_stale(contract: &Contract, files: &[File], location: &str) -> Option<String> {
    match files.len() as u64 {
        0 if contract.min_files > 0 => return Some(format!("no file matches {location}")),
        count if count < contract.min_files => {
            return Some(format!("{count} files match {location}, and there must be {}", contract.min_files));
        }
        _ => {}
    }
    let allowed = contract.freshness.newest_file_days?;
    let newest = files.iter().map(|file| file.meta.last_modified.timestamp_micros()).max()?;
    stale("the newest file", newest, contract, allowed)
}

/// The files of an extract, each with what tells this version of it from another.
pub fn inputs(extract: &Extract) -> Vec<Input> {
    let input = |(file, _): &(File, SourceFormat)| Input {
        source: extract.contract.source.clone(),
        file: file.shown.clone(),
        bytes: file.meta.size,
        version: file.meta.e_tag.clone().unwrap_or_else(|| file.meta.last_modified.to_rfc3339()),
    };
    extract.files.iter().map(input).collect()
}

/// What is wrong with the rows of a source that has been read, so that the run must wait.
pub fn stale_rows(contract: &Contract, collector: &Collector) -> Option<String> {
    let allowed = contract.freshness.newest_row_days?;
    let Some(micros) = collector.newest_micros() else {
        return Some(format!("{}: there is no row before {}", contract.source, contract.as_of_day));
    };
    stale("the newest row", micros, contract, allowed).map(|why| format!("{}: {why}", contract.source))
}

/// What is wrong with the newest of an extract, which is of a moment in microseconds since 1970. Days are the pipeline's.
fn stale(what: &str, newest_micros: i64, contract: &Contract, allowed: u32) -> Option<String> {
    let newest = arrow::datatypes::Date32Type::to_naive_date_opt(contract.zone.day_of(newest_micros)?)?;
    let age = (contract.as_of_day - newest).num_days();
    (age > i64::from(allowed)).then(|| format!("{what} is of {newest}, {age} days before {}; it may be {allowed}", contract.as_of_day))
}

/// A file with its format: as declared, as its name tells, or else as its first bytes tell.
async fn with_format(declared: Option<SourceFormat>, file: File) -> Result<(File, SourceFormat)> {
    if let Some(format) = declared.or_else(|| SourceFormat::from_name(file.meta.location.as_ref())) {
        return Ok((file, format));
    }
    let head = text::Blocks::first_bytes(&file).await?;
    let format = format::of_head(&head);
    match format::foreign(&head) {
        Some(what) if format != SourceFormat::Parquet => Err(format::refused(&file.shown, what)),
        _ => Ok((file, format)),
    }
}

/// Makes a source readable by SQL. It is read where models read it, as often as they do, unless it has several readers and would be costly to
/// read again: then the columns that models read are kept. Of a source with a key the rows are found first that others supersede, by scans of
/// their own. How many rows there are, where something was read.
///
/// # Errors
/// As reading its files fails.
pub async fn register(engine: &Engine, name: &str, extract: &Extract, demand: &Demand, collector: &Arc<Collector>) -> Result<Option<u64>> {
    let contract = &extract.contract;
    let failed = |error: DataFusionError| collector.failure().unwrap_or_else(|| failed(&format!("the source {name}"), &error));
    let mut table = SourceTable::open(extract, Arc::clone(collector), engine, demand.times).await?;
    let columns: Vec<usize> = (0..contract.columns.len()).filter(|at| demand.columns.contains(&contract.columns[*at].name)).collect();
    let (mut rows, mut is_key) = (None, false);
    if !contract.key.is_empty() {
        let superseded = superseded(engine, contract, &table, seed_of(extract)).await.map_err(failed)?;
        collector.deduplicate(superseded.rows());
        (rows, is_key) = (Some(collector.rows_kept()), superseded.is_key());
        table = table.without(Arc::new(superseded));
    }
    if table.is_columnar() || (demand.times <= 1 && table.has_row_groups()) {
        engine.register_encoded(name, Arc::clone(&contract.schema), Arc::new(table))?;
    } else if demand.times <= 1 {
        // What is read once gets codes where something compares it, and not before.
        engine.register(name, Arc::new(table.with_texts()))?;
    } else {
        rows = Some(keep(engine, name, contract, &columns, table).await.map_err(failed)?);
    }
    if is_key {
        engine.declare_key(name, contract.key.iter().map(|&at| contract.columns[at].name.clone()).collect());
    }
    Ok(rows)
}

/// Reads a source once, and keeps some columns of it.
async fn keep(engine: &Engine, name: &str, contract: &Contract, columns: &[usize], table: SourceTable) -> Result<u64, DataFusionError> {
    let names: Vec<&str> = columns.iter().map(|&at| contract.columns[at].name.as_str()).collect();
    let frame = engine.context().read_table(Arc::new(table))?.select_columns(&names)?;
    let mut batches = frame.execute_stream().await?;
    let kept = engine.table(batches.schema());
    while let Some(batch) = batches.try_next().await? {
        kept.push(batch)?;
    }
    let rows = kept.rows() as u64;
    engine.register_columns(name, Arc::clone(&contract.schema), columns, kept)?;
    Ok(rows)
}

/// What the secret of the fingerprints of keys is made from: the versions of the files, which nobody can choose to suit a key.
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
pub struct Demand {
    /// How often it is read.
    pub times: usize,
    /// The columns that are read.
    pub columns: BTreeSet<String>,
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
