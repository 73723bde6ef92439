//! The order of the steps, readable top to bottom: what a row passes from its extract to its publication.

mod following;
mod judge;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::ident;

use crate::config;
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::execute::{Execution, Inputs, Source};
use crate::identity;
use crate::ingest::{self, Ledger};
use crate::job::{Done, Outcome, Request, Unchanged};
use crate::manifest::{self, Commit, Input};
use crate::native::Surroundings;
use crate::plan::{self, Plan};
use crate::predecessor::Carried;
use crate::publish::marker::{self, Marker};
use crate::publish::{self, Publications, Rows, Staging};
use crate::record::{self, Recorder};
use crate::report::Progress;
use crate::shown;
use crate::storage::{Location, Stores};
use following::Following;
use steps::Steps;

/// The table of rejected rows, which every publication has beside its outputs.
pub const REJECTED: &str = "rejected";

/// How long a run that has failed may still speak to a store, which may be what failed it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Memory is tight when more than one of so many parts of it is held.
const TIGHT: usize = 4;

/// Runs a pipeline for a day, publishes its outputs unless they are published already, and writes the record of it.
///
/// # Errors
/// Every kind of [`Error`]; whatever fails before the commit, nothing is published.
pub async fn run(request: &Request, stores: &Stores, progress: &Progress, recorder: &Recorder) -> Result<Done> {
    let result = attempt(request, stores, progress, recorder).await;
    if !recorder.is_stopped() {
        tokio::join!(recorder.close(result.as_ref().map(Done::number)), give_up_uploads(stores));
    }
    result
}

/// Ends the uploads that a run has left unfinished. What a store does not answer to is left to its own rules.
pub async fn give_up_uploads(stores: &Stores) {
    let _ = tokio::time::timeout(LAST_WORDS, stores.end_uploads(false)).await;
}

async fn attempt(request: &Request, stores: &Stores, progress: &Progress, recorder: &Recorder) -> Result<Done> {
    recorder.doing().begins("reading the project");
    let project = Arc::new(config::load(&request.pipeline, &request.environment)?);
    let values = config::bind(&project, request.as_of, &request.parameters)?;
    let destination = publish::destination(request.destination.as_deref(), &project, stores)?;
    recorder.note(|record| record.pipeline = Some(project.pipeline.name.value.clone()));
    recorder.doing().begins("reading what is published");
    // What is not this pipeline's own gets nothing, not even the record of this run.
    let (found, marker) = tokio::join!(Publications::read(&destination), Marker::read(&destination));
    if let (Ok(found), Ok(marker)) = (&found, &marker) {
        marker::admit(&destination, found, marker.as_ref(), &project.pipeline.name.value)?;
    }
    let mut days: BTreeSet<NaiveDate> = found.iter().flat_map(|found| found.by_day().into_keys()).collect();
    days.insert(values.as_of);
    publish::refuse_own_outputs(&destination, &project, &days, stores)?;
    recorder.goes_to(&destination);
    recorder.doing().begins("planning");
    let plan = plan::plan(project, values).await?;
    found.and(marker)?;
    recorder.doing().begins("looking for the extracts, and for what is published");

    // Days that a run died over are put right before anything is compared or read.
    publish::settle(&destination).await?;
    let seen = Publications::read(&destination).await?;
    let extracts = ingest::find(&plan.project, &plan.contracts, stores, seen.newest()).await?;
    publish::refuse_found_outputs(&destination, &plan.project, &extracts)?;
    let locations = ingest::locations(&extracts, seen.newest());
    let predecessor = match seen.before(request.as_of).await {
        // Only who is who is taken from it.
        Err(error) if publish::concerns_one_day(&error) && !plan.has_identity_step() => None,
        predecessor => predecessor?,
    };
    let fingerprint = note_inputs(request, &plan, &extracts, predecessor.as_ref(), recorder);
    if !request.force
        && let Some(commit) = seen.of(request.as_of).await?.filter(|commit| commit.fingerprint == fingerprint)
    {
        publish::damage::whole(&destination, &commit).await?;
        let commit_shown = publish::commit_shown(&destination, commit.number);
        return Ok(Done::Unchanged(Box::new(Unchanged { run_id: recorder.run_id(), commit, commit_shown })));
    }

    if let Some(last) = seen.newest_run().filter(|_| progress.is_shown()) {
        let last = record::earlier(&destination, last).await.map(|record| record.steps).unwrap_or_default();
        progress.expect(last.into_iter().map(|step| (step.name, step.elapsed_ms)).collect());
    }
    let carried = Carried::of(&plan, &seen, predecessor.as_ref()).await?;
    engine::expect_to_read(extracts.iter().flat_map(|extract| &extract.files).map(|(file, _)| file.meta.size).sum());
    let engine = Engine::with_text_encoding(request.limits, plan.values.zone.name(), request.text_encoding)?;
    let mut steps = Steps::new(recorder, progress, &engine, request.profile);
    recorder.begin_writing(files_of(&plan, &destination, &recorder.run_id())).await?;
    let mut staging = Staging::new(destination, recorder.run_id(), request.as_of, seen).of_pipeline(&plan.project.pipeline);

    let Carried { mut warnings, predecessor, hash_id } = carried;
    let sources: Vec<Source> = extracts.iter().map(|extract| Source::new(&engine, extract.clone())).collect();
    sources.iter().for_each(|source| progress.watch(&source.collector));
    let mut inputs = Inputs { sources, around: Surroundings { predecessor, ..Surroundings::default() }, ..Inputs::default() };
    let mut following = Following::new(&engine, &inputs.sources, &mut steps, &mut staging);
    let execution = Execution { plan: &plan, engine: &engine, needed: None, scene: String::new() };
    let executed = execution.run(&mut inputs, &mut following).await;
    let Following { judge, identity, segments, customers, .. } = following;
    let judged = judge.conclude(executed, &mut staging, recorder).await?;
    warnings.extend(withdrawn(identity.as_ref()));
    warnings.extend(judged.warnings);
    warnings.extend(plan.warnings().map(|warning| shown::without_given(&warning.to_string()).into_owned()));

    stage_outputs(&execution, &inputs, &mut staging, &mut steps).await?;
    // Checks read the files: what the models held is room for them.
    drop(engine);
    let asking = Engine::with_text_encoding(request.limits, plan.values.zone.name(), request.text_encoding)?;
    let mut steps = Steps::new(recorder, progress, &asking, request.profile);
    steps.begin("check outputs");
    asking.hash_with(plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
    let staged = staging.finish().with_parameters(plan.values.parameters.clone());
    let asked = staged.check(&asking, &plan.project.pipeline).await?;
    steps.end(asked.verdicts().len() as u64);
    recorder.note(|record| record.checks = asked.verdicts().to_vec());
    let checked = asked.passed()?;

    steps.begin("publish");
    recorder.begin_publishing()?;
    let published =
        checked.publish(|tables| commit(&plan, recorder.run_id(), fingerprint, hash_id, tables, judged.ledgers, locations)).await?;
    steps.end(published.commit.tables.len() as u64);

    Ok(Done::Published(Box::new(Outcome {
        pipeline: plan.project.pipeline.name.value.clone(),
        customers,
        identity,
        warnings,
        segments,
        published,
        steps: recorder.steps(),
        elapsed_ms: recorder.elapsed_ms(),
    })))
}

/// Writes down what the outputs will depend on; its digest.
fn note_inputs(request: &Request, plan: &Plan, extracts: &[ingest::Extract], predecessor: Option<&Commit>, recorder: &Recorder) -> String {
    let inputs: Vec<Input> = extracts.iter().flat_map(ingest::inputs).collect();
    let parameters = plan.values.shown.clone();
    let variables = config::variables(&plan.project, &request.environment);
    let kept = predecessor.map(|commit| commit.kept.clone()).unwrap_or_default();
    let fingerprint = manifest::fingerprint(&plan.project.digest, &variables, &parameters, &inputs, &kept);
    recorder.note(|record| {
        record.project_digest = Some(plan.project.digest.clone());
        record.fingerprint = Some(fingerprint.clone());
        record.parameters = parameters;
        record.inputs = inputs;
    });
    fingerprint
}

/// Ids whose customers have new ones without aliases, because the old ones show what is personal now.
fn withdrawn(identity: Option<&identity::Counts>) -> Option<String> {
    let withdrawn = identity.map(|counts| counts.withdrawn).filter(|withdrawn| *withdrawn > 0)?;
    Some(format!(
        "{withdrawn} ids that were published show values of types that are `personal` now: their customers have new ids, without aliases"
    ))
}

async fn stage_outputs(execution: &Execution<'_>, inputs: &Inputs, staging: &mut Staging, steps: &mut Steps<'_>) -> Result<()> {
    let (plan, engine) = (execution.plan, execution.engine);
    steps.begin("write outputs");
    // Each is sorted and written on its own where what is kept leaves little memory for several at once.
    let is_tight = engine.reserved_bytes() > engine.memory_limit() / TIGHT;
    let mut tables = Vec::new();
    let mut rows = 0;
    for (name, output) in &plan.project.pipeline.outputs.tables {
        let key: Vec<String> = output.sort.iter().map(|column| column.value.clone()).collect();
        let sorted = async { engine.stream(sorted(engine.context().table(output.model.value.as_str()).await?, &key)?).await }.await;
        tables.push(Rows { table: name.clone(), rows: sorted.map_err(|error| execution.failure_of(name, inputs, &error))?, key });
        if is_tight {
            rows += staging.write(std::mem::take(&mut tables)).await?;
            engine.work().end_queries();
        }
    }
    rows += staging.write(tables).await?;
    steps.end(rows);
    Ok(())
}

/// All that the run may write under its name, from the destination.
fn files_of(plan: &Plan, destination: &Location, run_id: &str) -> BTreeSet<String> {
    let pipeline = &plan.project.pipeline;
    let tables = pipeline.outputs.tables.keys().map(String::as_str).chain([REJECTED]);
    publish::clean::files_of(destination, run_id, tables, pipeline.checks.iter().map(|check| check.name.shown()))
}

fn commit(
    plan: &Plan,
    run_id: String,
    fingerprint: String,
    identity_hash_id: Option<String>,
    tables: BTreeMap<String, manifest::Table>,
    sources: Vec<Ledger>,
    locations: BTreeMap<String, String>,
) -> Commit {
    Commit {
        format: manifest::FORMAT,
        number: 0,
        pipeline: plan.project.pipeline.name.value.clone(),
        as_of: plan.values.as_of,
        run_id,
        segmill_version: env!("CARGO_PKG_VERSION").to_owned(),
        project_digest: plan.project.digest.clone(),
        parameters: plan.values.shown.clone(),
        fingerprint,
        tables,
        kept: BTreeMap::new(),
        identity_hash_id,
        sources,
        publications: BTreeMap::new(),
        withdrawn: BTreeSet::new(),
        locations,
    }
}

fn sorted(frame: DataFrame, columns: &[String]) -> datafusion::error::Result<DataFrame> {
    frame.sort(columns.iter().map(|column| ident(column).sort(true, false)).collect())
}
