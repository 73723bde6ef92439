//! The books of a run: what became of every row, whether that may be, and the table of what was rejected.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};

use super::failure::failure;
use super::{OpenSource, REJECTED, sorted};
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::ingest::{self, Ledger, Overrun, RejectCount, Scope};
use crate::publish::{Rows, Staging};
use crate::record::Recorder;

/// Rejected rows that one batch has: their texts must fit the offsets of 32 bits that it has.
const REJECTS_A_BATCH: usize = 1024;

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
    let mut rejects = Vec::new();
    let mut refused = Vec::new();
    let mut stale = Vec::new();
    let mut warnings = Vec::new();
    for source in sources {
        let contract = &source.extract.contract;
        let collector = &source.collector;
        ingest::complete(engine, &source.extract, collector).await?;
        let mut ledger = collector.ledger(&contract.source, source.extract.files.len());
        ledger.files_skipped = source.extract.markers;
        let found = collector.rejects();
        let remarks = ingest::remarks(&contract.source, &found);
        if !ledger.adds_up() {
            return Err(Error::defect(format!("the rows of the source `{}` do not add up: {ledger:?}", contract.source)));
        }
        let (overruns, before) = (ledger.over(contract.reject_budget), refused.len());
        refused.extend(overruns.iter().map(|overrun| over_budget(&ledger, overrun)));
        refused.extend(lost_answers(&contract.source, &found));
        if refused.len() > before {
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
        rejects.extend(found.into_iter().map(|reject| (contract.source.clone(), reject)));
        ledgers.push(ledger);
    }
    recorder.note(|record| record.sources.clone_from(&ledgers));
    let chunks = rejects.chunks(REJECTS_A_BATCH).map(rejected_batch).collect::<Result<Vec<_>>>()?;
    let batches = if chunks.is_empty() { vec![rejected_batch(&[])?] } else { chunks };
    engine.register_batches(REJECTED, batches[0].schema(), batches)?;
    let key = ["source", "file", "row_number", "scope", "column"].map(str::to_owned);
    let rows = async { engine.stream(sorted(engine.context().table(REJECTED).await?, &key)?).await }.await;
    let rows = rows.map_err(|error| failure(None, REJECTED, &error, sources))?;
    staging.write(vec![Rows { table: REJECTED.to_owned(), key: key.into(), rows }]).await?;
    if !refused.is_empty() {
        let shown = staging.shown(REJECTED).unwrap_or_default();
        let message = Message { what: "the extracts were refused".to_owned(), details: refused, hint: None };
        return Err(Error::Refused(message.hint(format!("nothing was published; every rejected row is in {shown}"))));
    }
    if stale.is_empty() { Ok((ledgers, warnings)) } else { Err(ingest::not_there_yet(stale)) }
}

/// What is over the budget, with the commonest reasons.
fn over_budget(ledger: &Ledger, overrun: &Overrun) -> String {
    let scope = if overrun.column.is_some() { Scope::Value } else { Scope::Row };
    let counted = |count: &&RejectCount| count.scope == scope && (scope == Scope::Row || count.column == overrun.column);
    let shown: Vec<String> = ledger.rejects.iter().filter(counted).take(3).map(ToString::to_string).collect();
    let what = match &overrun.column {
        Some(column) => format!("{} of {} values of `{column}`", overrun.count, ledger.rows_read),
        None => format!("{} of {} rows", overrun.count, ledger.rows_read),
    };
    format!("{}: {what} rejected, over its budget: {}", ledger.source, shown.join(", "))
}

/// Rows that may say that somebody must not be written to, and that could not be kept: without them an older yes would stand.
fn lost_answers(source: &str, rejects: &[ingest::Reject]) -> Option<String> {
    let lost: Vec<_> = rejects.iter().filter(|reject| reject.may_be_no).collect();
    let first = lost.first()?;
    let rows = if lost.len() == 1 { "1 row".to_owned() } else { format!("{} rows", lost.len()) };
    let place = format!("{}:{}: {}", first.file, first.row_number, first.reason);
    Some(format!("{source}: {rows} that may say no to being written to cannot be read; the first is {place}"))
}

/// Rejected rows and values as a table.
fn rejected_batch(rejects: &[(String, ingest::Reject)]) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(&(String, ingest::Reject)) -> Option<String>| {
        Arc::new(rejects.iter().map(value).collect::<StringArray>()) as ArrayRef
    };
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("source", text(&|(source, _)| Some(source.clone())), false),
        ("file", text(&|(_, reject)| Some(reject.file.clone())), false),
        ("row_number", Arc::new(rejects.iter().map(|(_, reject)| i64::try_from(reject.row_number).ok()).collect::<Int64Array>()), false),
        ("scope", text(&|(_, reject)| Some(reject.scope.name().to_owned())), false),
        ("column", text(&|(_, reject)| reject.column.clone()), true),
        ("reason", text(&|(_, reject)| Some(reject.reason.to_owned())), false),
        ("raw", text(&|(_, reject)| Some(reject.raw.clone())), false),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, array, nullable)| Field::new(*name, array.data_type().clone(), *nullable)).collect();
    let arrays = columns.into_iter().map(|(_, array, _)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| Error::defect(error.to_string()))
}
