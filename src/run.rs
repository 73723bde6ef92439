//! The order of the steps of a run, readable top to bottom: what a row passes from its extract to its publication.

mod compute;
mod judge;
mod prepare;
mod sink;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::engine::Engine;
use crate::error::Result;
use crate::job::{Done, Outcome, Request};
use crate::manifest::{self, Commit};
use crate::record::Recorder;
use crate::report::Progress;
use crate::storage::Stores;
use compute::Computed;
use prepare::Prepared;
use steps::Steps;

/// How long a run that has failed may still speak to a store, which may be what failed it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs a pipeline for a day, publishes its outputs unless they are published already, and writes the record of it.
///
/// # Errors
/// Every kind of [`crate::error::Error`]; whatever fails before the commit, nothing is published.
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
    // The project is planned and the extracts are found, which fixes everything that the outputs depend on.
    let prepared = Prepared::new(request, stores, recorder).await?;
    if let Some(unchanged) = prepared.unchanged(request, recorder).await? {
        return Ok(Done::Unchanged(Box::new(unchanged)));
    }
    prepared.expect_steps(progress).await;
    // Extracts become rows, rows become customers, customers get their segments; outputs are written, and nobody sees them yet.
    let computed = prepared.compute(request, progress, recorder).await?;
    // What was written is read back and checked, and published by one commit.
    let outcome = check_and_publish(request, computed, progress, recorder).await?;
    Ok(Done::Published(Box::new(outcome)))
}

async fn check_and_publish(request: &Request, computed: Computed, progress: &Progress, recorder: &Recorder) -> Result<Outcome> {
    let Computed { plan, staging, fingerprint, hash_id, locations, judged, identity, segments, customers, warnings } = computed;
    // Checks read the files: an engine of their own has all the memory that the models held.
    let engine = Engine::with_text_encoding(request.limits, plan.values.zone.name(), request.text_encoding)?;
    engine.hash_with(plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
    let mut steps = Steps::new(recorder, progress, &engine, request.timings);
    steps.begin("check outputs");
    let staged = staging.finish().with_parameters(plan.values.parameters.clone());
    let report = staged.check(&engine, &plan.project.pipeline).await?;
    steps.end(None);
    recorder.note(|record| record.checks = report.check_results().to_vec());
    let checked = report.passed()?;

    steps.begin("publish");
    recorder.begin_publishing()?;
    let commit = |tables| Commit {
        format: manifest::FORMAT,
        number: 0,
        pipeline: plan.project.pipeline.name.value.clone(),
        as_of: plan.values.as_of,
        run_id: recorder.run_id(),
        segmill_version: env!("CARGO_PKG_VERSION").to_owned(),
        project_digest: plan.digest.clone(),
        parameters: plan.values.shown.clone(),
        fingerprint,
        tables: plan.with_personal_columns(tables),
        state: BTreeMap::new(),
        identity_hash_id: hash_id,
        sources: judged,
        publications: BTreeMap::new(),
        withdrawn: BTreeSet::new(),
        locations,
    };
    let published = checked.publish(commit).await?;
    steps.end(None);

    Ok(Outcome {
        pipeline: plan.project.pipeline.name.value.clone(),
        customers,
        identity,
        warnings,
        segments,
        published,
        steps: recorder.steps(),
        elapsed_ms: recorder.elapsed_ms(),
    })
}
