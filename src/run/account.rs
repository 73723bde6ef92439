//! The books of a run: what became of every row, whether that may be, and the table of what was rejected.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::{OpenSource, REJECTED};
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::ingest::{self, Collector, Ledger, Overrun, Reject, RejectCount, Scope};
use crate::publish::{Rows, Staging};
use crate::record::Recorder;

/// Rejects of a batch of their table, and what their texts may take, but for the last that is added.
const BATCH_REJECTS: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// Closes the books: every row of every source is accounted for, no source is over its budget, and no answer is lost that may be a no.
/// Gives the ledgers, and what somebody should look at.
///
/// # Errors
/// [`Error::Refused`] with every source whose rows cannot be taken, and [`Error::Missing`] with those that are stale.
pub async fn close_books(
    sources: &[OpenSource],
    staging: &mut Staging,
    engine: &Engine,
    recorder: &Recorder,
) -> Result<(Vec<Ledger>, Vec<String>)> {
    let mut ledgers = Vec::new();
    let mut refused = Vec::new();
    let mut stale = Vec::new();
    let mut warnings = Vec::new();
    for source in sources {
        let contract = &source.extract.contract;
        let collector = &source.collector;
        ingest::complete(engine, &source.extract, collector).await?;
        let ledger = ledger(source);
        let remarks = collector.remarks();
        if !ledger.adds_up() {
            return Err(Error::defect(format!("the rows of the source `{}` do not add up: {ledger:?}", contract.source)));
        }
        let found = against(source, &ledger);
        let is_refused = !found.is_empty();
        refused.extend(found);
        if is_refused {
            refused.extend(remarks.iter().cloned());
        }
        if ledger.rows_read < contract.min_rows {
            refused.push(format!("{}: {} rows, and there must be {}", contract.source, ledger.rows_read, contract.min_rows));
        }
        stale.extend(ingest::stale_rows(contract, collector));
        if ledger.rows_read == 0 {
            warnings.push(format!("{}: the extract is empty", contract.source));
        }
        if ledger.rows_read > 0 && ledger.rows_out_of_window == ledger.rows_read {
            warnings
                .push(format!("{}: every row is of the as-of day or later; is the unit or zone of its event time right?", contract.source));
        }
        warnings.extend(remarks);
        ledgers.push(ledger);
    }
    recorder.note(|record| record.sources.clone_from(&ledgers));
    write_rejected(sources, staging).await?;
    if !refused.is_empty() {
        let shown = staging.shown(REJECTED).unwrap_or_default();
        let message = Message::new("the extracts were refused").details(refused);
        return Err(Error::Refused(message.hint(format!("nothing was published; every rejected row is in {shown}"))));
    }
    if stale.is_empty() { Ok((ledgers, warnings)) } else { Err(ingest::not_there_yet(stale)) }
}

/// Closes the books of a run that ended as soon as it was certain that a source is over its budget: with what had been read by then.
pub async fn over_budget_early(sources: &[OpenSource], staging: &mut Staging, recorder: &Recorder) -> Error {
    for source in sources {
        source.collector.close();
    }
    let ledgers: Vec<Ledger> = sources.iter().map(ledger).collect();
    let mut refused = Vec::new();
    for (source, ledger) in sources.iter().zip(&ledgers) {
        let found = against(source, ledger);
        if !found.is_empty() {
            refused.extend(found);
            refused.extend(source.collector.remarks());
        }
    }
    recorder.note(|record| record.sources = ledgers);
    if let Err(error) = write_rejected(sources, staging).await {
        return error;
    }
    let shown = staging.shown(REJECTED).unwrap_or_default();
    let message = Message::new("the extracts were refused").details(refused);
    Error::Refused(message.hint(format!("nothing was published; reading ended there, and what was rejected by then is in {shown}")))
}

fn ledger(source: &OpenSource) -> Ledger {
    let ledger = source.collector.ledger(source.extract.files.len());
    Ledger { files_skipped: source.extract.markers, ..ledger }
}

/// What speaks against the rows of a source: that it is over its budget, and answers that are lost.
fn against(source: &OpenSource, ledger: &Ledger) -> Vec<String> {
    let so_far = if source.collector.is_complete() { "" } else { " read so far" };
    let over = source.collector.overruns().into_iter().map(|overrun| over_budget(ledger, &overrun, so_far));
    over.chain(source.collector.lost_answers().map(|lost| lost_answers(&ledger.source, lost))).collect()
}

/// What is over the budget, with the commonest reasons.
fn over_budget(ledger: &Ledger, overrun: &Overrun, so_far: &str) -> String {
    let scope = if overrun.column.is_some() { Scope::Value } else { Scope::Row };
    let counted = |count: &&RejectCount| count.scope == scope && (scope == Scope::Row || count.column == overrun.column);
    let shown: Vec<String> = ledger.rejects.iter().filter(counted).take(3).map(ToString::to_string).collect();
    let what = match &overrun.column {
        Some(column) => format!("{} of {} values of `{column}`{so_far}", overrun.count, ledger.rows_read),
        None => format!("{} of {} rows{so_far}", overrun.count, ledger.rows_read),
    };
    format!("{}: {what} rejected, over its budget: {}", ledger.source, shown.join(", "))
}

/// Rows that may say that somebody must not be written to, and that could not be kept: without them an older yes would stand.
fn lost_answers(source: &str, (rows, first): (u64, String)) -> String {
    let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
    format!("{source}: {rows} that may say no to being written to cannot be read; the first is {first}")
}

/// Writes the table of rejected rows, which are in its order already: of source, file and row.
async fn write_rejected(sources: &[OpenSource], staging: &mut Staging) -> Result<()> {
    let mut sources: Vec<(String, Arc<Collector>)> =
        sources.iter().map(|source| (source.extract.contract.source.clone(), Arc::clone(&source.collector))).collect();
    sources.sort_by(|one, two| one.0.cmp(&two.0));
    let batches = sources.into_iter().flat_map(|(source, collector)| {
        let mut parts = collector.parts().into_iter();
        std::iter::from_fn(move || {
            // Parts may be of one row, and the writer gathers many batches.
            let mut rejects = Vec::new();
            let mut bytes = 0;
            while rejects.len() < BATCH_REJECTS && bytes < BATCH_BYTES {
                let Some(part) = parts.next() else { break };
                match collector.rejects_of(part) {
                    Ok(some) => {
                        bytes += some.iter().map(|reject| reject.raw.len()).sum::<usize>();
                        rejects.extend(some);
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
            (!rejects.is_empty()).then(|| rejected_batch(&source, &rejects))
        })
    });
    let batches = batches.map(|batch| batch.map_err(|error| DataFusionError::External(Box::new(error))));
    let rows = RecordBatchStreamAdapter::new(rejected_batch("", &[])?.schema(), futures::stream::iter(batches));
    let key = ["source", "file", "row_number", "scope", "column"].map(str::to_owned);
    staging.write(vec![Rows { table: REJECTED.to_owned(), key: key.into(), rows: Box::pin(rows) }]).await?;
    Ok(())
}

/// Rejected rows and values as a table.
fn rejected_batch(source: &str, rejects: &[Reject]) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(&Reject) -> Option<String>| Arc::new(rejects.iter().map(value).collect::<StringArray>()) as ArrayRef;
    let numbers: Int64Array = rejects.iter().map(|reject| i64::try_from(reject.row_number).ok()).collect();
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("source", text(&|_| Some(source.to_owned())), false),
        ("file", text(&|reject| Some(reject.file.clone())), false),
        ("row_number", Arc::new(numbers), false),
        ("scope", text(&|reject| Some(reject.scope.name().to_owned())), false),
        ("column", text(&|reject| reject.column.clone()), true),
        ("reason", text(&|reject| Some(reject.reason.to_owned())), false),
        ("raw", text(&|reject| Some(reject.raw.to_string())), false),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, array, nullable)| Field::new(*name, array.data_type().clone(), *nullable)).collect();
    let arrays = columns.into_iter().map(|(_, array, _)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| Error::defect(error.to_string()))
}
