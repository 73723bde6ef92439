//! Judges the sources of a run: whether every row is accounted for, whether a source is over its reject budget, has too few rows, has lost
//! opt-outs or is stale. Writes the table of rejected rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use indicatif::HumanCount;

use crate::config::RejectBudget;
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::execute::Source;
use crate::ingest::{self, Collector, Extract, Ledger, Overrun, Reject, RejectCount, Scope};
use crate::publish::{REJECTED, Rows, Staging, rejected_schema};
use crate::record::Recorder;

/// Rejects of a batch of their table, and what their texts may take, but for the last that is added.
const BATCH_REJECTS: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// Judges every source as soon as its last reader has ended, so that a bad one ends the run before the rest of the day is computed.
pub struct Judge<'a> {
    engine: &'a Engine,
    sources: Vec<Source>,
    judgements: BTreeMap<String, Judgement>,
    /// Whether the execution was ended because of a source.
    has_objected: bool,
}

/// What was found of a source.
struct Judgement {
    ledger: Ledger,
    /// Why its rows cannot be taken.
    refused: Vec<String>,
    /// Why a newer extract must be waited for.
    stale: Option<String>,
    warnings: Vec<String>,
}

/// What was found of sources that were taken.
pub struct Judged {
    /// What became of the rows of every source, in the order of the pipeline file.
    pub ledgers: Vec<Ledger>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

impl<'a> Judge<'a> {
    /// No source has been judged.
    pub fn new(engine: &'a Engine, sources: &[Source]) -> Self {
        Judge { engine, sources: sources.to_vec(), judgements: BTreeMap::new(), has_objected: false }
    }

    /// Judges a source of which all has been read that will be.
    ///
    /// # Errors
    /// [`Error::Refused`] for a source that cannot be taken, which [`Judge::conclude`] tells in full; otherwise as reading the rest of it fails.
    pub async fn judge(&mut self, name: &str, recorder: &Recorder) -> Result<()> {
        let Some(source) = self.sources.iter().find(|source| source.extract.contract.source == name).cloned() else { return Ok(()) };
        let objects = self.objects_to(&source).await?;
        // Whatever ends the run, its record has the ledgers that were closed by then.
        let judged = self.sources.iter().filter_map(|source| self.judgements.get(&source.extract.contract.source));
        let ledgers: Vec<Ledger> = judged.map(|judgement| judgement.ledger.clone()).collect();
        recorder.note(|record| record.sources = ledgers);
        if objects {
            self.has_objected = true;
            return Err(Error::Refused(Message::new(format!("the source `{name}` cannot be taken"))));
        }
        Ok(())
    }

    /// Whether a source cannot be taken; it is judged once.
    async fn objects_to(&mut self, source: &Source) -> Result<bool> {
        let name = &source.extract.contract.source;
        if !self.judgements.contains_key(name) {
            let judgement = judgement(self.engine, source).await?;
            self.judgements.insert(name.clone(), judgement);
        }
        Ok(self.judgements.get(name).is_some_and(|judgement| !judgement.refused.is_empty() || judgement.stale.is_some()))
    }

    /// Judges the sources that have not been judged, and says how the execution ended: a source that cannot be taken is told before, and
    /// together with, what a model failed of. Writes the table of rejected rows.
    ///
    /// # Errors
    /// [`Error::Refused`] with every source whose rows cannot be taken, and [`Error::Late`] with those that are stale; otherwise as the
    /// execution failed.
    pub async fn conclude(mut self, executed: Result<()>, staging: &mut Staging, recorder: &Recorder) -> Result<Judged> {
        let failed = executed.err().filter(|_| !self.has_objected);
        // Where a service or memory failed, or reading was given up, reading on would tell no more.
        if self.has_given_up(failed.as_ref()) || !matches!(failed, None | Some(Error::Refused(_))) {
            if !matches!(failed, None | Some(Error::Refused(_) | Error::Unavailable(_) | Error::Stopped(..))) {
                // What was rejected may explain the failure.
                let _ = write_rejected(&self.sources, staging).await;
            }
            return Err(self.why_given_up(failed, staging, recorder).await);
        }
        for source in self.sources.clone() {
            if let Err(error) = self.objects_to(&source).await {
                let known = self.judgements.values().flat_map(|judgement| judgement.refused.clone()).collect();
                let error = self.why_given_up(Some(error), staging, recorder).await;
                return Err(also(also_of(error, failed), known));
            }
        }
        self.verdict(failed, staging, recorder).await
    }

    /// Whether reading was given up: a source is over its budget for certain, or one of its files cannot be read.
    fn has_given_up(&self, failed: Option<&Error>) -> bool {
        self.sources.iter().any(|source| source.collector.is_over()) || self.refused_file(failed).is_some()
    }

    /// The refusal of a file.
    fn refused_file<'e>(&self, failed: Option<&'e Error>) -> Option<&'e Message> {
        match failed {
            Some(Error::Refused(refused)) => {
                Some(refused).filter(|refused| self.sources.iter().any(|source| source.extract.refused_in(refused)))
            }
            _ => None,
        }
    }

    /// What is told of an execution that failed, where the sources were not all read.
    async fn why_given_up(&self, failed: Option<Error>, staging: &mut Staging, recorder: &Recorder) -> Error {
        if self.sources.iter().any(|source| source.collector.is_over()) {
            return self.over_budget_early(staging, recorder).await;
        }
        if let Some(refused) = self.refused_file(failed.as_ref()) {
            let extracts: Vec<Extract> = self.sources.iter().map(|source| source.extract.clone()).collect();
            return Error::Refused(ingest::with_others(refused.clone(), self.engine, &extracts).await);
        }
        failed.unwrap_or_else(|| Error::defect("reading was given up without a reason"))
    }

    /// What is told when every source has been judged.
    async fn verdict(mut self, failed: Option<Error>, staging: &mut Staging, recorder: &Recorder) -> Result<Judged> {
        let (mut judged, mut refused, mut stale) = (Judged { ledgers: Vec::new(), warnings: Vec::new() }, Vec::new(), Vec::new());
        for source in &self.sources {
            let Some(judgement) = self.judgements.remove(&source.extract.contract.source) else { continue };
            refused.extend(judgement.refused);
            stale.extend(judgement.stale);
            judged.warnings.extend(judgement.warnings);
            judged.ledgers.push(judgement.ledger);
        }
        recorder.note(|record| record.sources.clone_from(&judged.ledgers));
        write_rejected(&self.sources, staging).await?;
        if !refused.is_empty() {
            refused.extend(stale);
            let place = staging.shown(REJECTED).map(|shown| format!("; every rejected row is in {shown}")).unwrap_or_default();
            let message = Message::new("the extracts break their contracts").details(refused);
            let error = Error::Refused(message.hint(format!("nothing was published{place}")));
            return Err(also_of(error, failed));
        }
        if !stale.is_empty() {
            return Err(also_of(ingest::not_there_yet(stale, true), failed));
        }
        failed.map_or(Ok(judged), Err)
    }

    /// What is told of a run that ended as soon as it was certain that a source is over its budget: what had been read by then.
    async fn over_budget_early(&self, staging: &mut Staging, recorder: &Recorder) -> Error {
        for source in &self.sources {
            source.collector.close();
        }
        let ledgers: Vec<Ledger> = self.sources.iter().map(Source::ledger).collect();
        let mut refused = Vec::new();
        for (source, ledger) in self.sources.iter().zip(&ledgers) {
            let found = against(source, ledger);
            if !found.is_empty() {
                refused.extend(found);
                refused.extend(source.collector.remarks());
            }
        }
        recorder.note(|record| record.sources = ledgers);
        if let Err(error) = write_rejected(&self.sources, staging).await {
            return error;
        }
        let place = staging.shown(REJECTED).map(|shown| format!(", and what was rejected by then is in {shown}")).unwrap_or_default();
        let message = Message::new("the extracts break their contracts").details(refused);
        Error::Refused(message.hint(format!("nothing was published; reading ended there{place}")))
    }
}

/// An error with what else failed.
fn also_of(error: Error, failed: Option<Error>) -> Error {
    let Some(Error::Refused(failure)) = failed else { return error };
    let details = failure.details.into_iter().map(|detail| format!("  {detail}"));
    also(error, std::iter::once(failure.what).chain(details).collect())
}

/// An error with more details.
fn also(mut error: Error, more: Vec<String>) -> Error {
    if let Error::Refused(message) | Error::Late(message) | Error::Unavailable(message) = &mut error {
        message.details.extend(more);
    }
    error
}

/// Reads what nobody has read of a source, and says what became of its rows and whether that may be.
async fn judgement(engine: &Engine, source: &Source) -> Result<Judgement> {
    let (contract, collector) = (&source.extract.contract, &source.collector);
    ingest::complete(engine, &source.extract, collector).await?;
    let ledger = source.ledger();
    if !ledger.adds_up() {
        return Err(Error::defect(format!("the rows of the source `{}` do not add up: {ledger:?}", contract.source)));
    }
    let remarks = collector.remarks();
    let mut refused = against(source, &ledger);
    if !refused.is_empty() {
        refused.extend(remarks.iter().cloned());
    }
    if ledger.rows_read < contract.min_rows {
        refused.push(format!(
            "{}: {}, and there must be {}",
            contract.source,
            counted_rows(ledger.rows_read),
            HumanCount(contract.min_rows)
        ));
    }
    let mut warnings = Vec::new();
    if ledger.rows_read == 0 {
        warnings.push(format!("{}: the extract is empty", contract.source));
    }
    if ledger.rows_read > 0 && ledger.rows_out_of_window == ledger.rows_read {
        warnings.push(format!("{}: every row is of the as-of day or later; is the unit or zone of its event time right?", contract.source));
    }
    warnings.extend(remarks);
    Ok(Judgement { ledger, refused, stale: ingest::stale_rows(&source.extract, collector), warnings })
}

/// What speaks against the rows of a source: that it is over its budget, and answers that are lost.
fn against(source: &Source, ledger: &Ledger) -> Vec<String> {
    let so_far = if source.collector.is_complete() { "" } else { " read so far" };
    let over =
        source.collector.overruns().into_iter().map(|overrun| over_budget(ledger, &overrun, source.extract.contract.reject_budget, so_far));
    over.chain(source.collector.lost_answers().map(|lost| lost_answers(&ledger.source, lost))).collect()
}

/// What is over the budget, with the commonest reasons.
fn over_budget(ledger: &Ledger, overrun: &Overrun, budget: RejectBudget, so_far: &str) -> String {
    let scope = if overrun.column.is_some() { Scope::Value } else { Scope::Row };
    let counted = |count: &&RejectCount| count.scope == scope && (scope == Scope::Row || count.column == overrun.column);
    let shown: Vec<String> = ledger.rejects.iter().filter(counted).take(3).map(ToString::to_string).collect();
    let what = match &overrun.column {
        Some(column) => format!("{} of {} values of `{column}`{so_far}", overrun.count, ledger.rows_read),
        None => format!("{} of {} rows{so_far}", overrun.count, ledger.rows_read),
    };
    // A share such as 0.07 has no exact binary form, and 7.000000000000001 % would be shown of it.
    let percent = (budget.share * 100.0 * 1e6).round() / 1e6;
    let allowed = format!("{percent} % and {}", counted_rows(budget.rows));
    format!("{}: {what} rejected, over its budget of {allowed}: {}", ledger.source, shown.join(", "))
}

/// Rows that may say that somebody must not be written to, and that could not be kept: without them an older yes would stand.
fn lost_answers(source: &str, (rows, first): (u64, String)) -> String {
    format!("{source}: {} that may say no to being written to cannot be read; the first is {first}", counted_rows(rows))
}

fn counted_rows(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{} rows", HumanCount(rows)) }
}

/// Writes the table of rejected rows, which are in its order already: of source, file and row.
async fn write_rejected(sources: &[Source], staging: &mut Staging) -> Result<()> {
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
    let key = ["source", "file", "row_number"].map(str::to_owned);
    staging.write(vec![Rows { table: REJECTED.to_owned(), key: key.into(), rows: Box::pin(rows) }]).await?;
    Ok(())
}

/// Rejected rows and values as a table.
fn rejected_batch(source: &str, rejects: &[Reject]) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(&Reject) -> Option<String>| Arc::new(rejects.iter().map(value).collect::<StringArray>()) as ArrayRef;
    let numbers: Int64Array = rejects.iter().map(|reject| i64::try_from(reject.row_number).ok()).collect();
    let columns: Vec<ArrayRef> = vec![
        text(&|_| Some(source.to_owned())),
        text(&|reject| Some(reject.file.clone())),
        Arc::new(numbers),
        text(&|reject| Some(reject.scope.name().to_owned())),
        text(&|reject| reject.column.clone()),
        text(&|reject| Some(reject.reason.to_owned())),
        text(&|reject| Some(reject.raw.to_string())),
    ];
    RecordBatch::try_new(rejected_schema(), columns).map_err(|error| Error::defect(error.to_string()))
}
