//! The order of the steps of a run, readable top to bottom: what a row passes from its extract to its publication.

mod chain;
mod checked;
mod compute;
mod copies;
mod definition;
mod judge;
mod plan;
mod prepare;
mod reported;
mod schema;
mod sink;
mod steps;
mod unchanged;

use std::time::Duration;

use crate::error::Result;
use crate::job::{Done, Outcome, Request, Unchanged, WhyUnchanged};
use crate::manifest::Commit;
use crate::openlineage::RunEvents;
use crate::publish::{self, CheckOutcome, Checked, Publications};
use crate::record::Recorder;
use crate::report::Progress;
use crate::storage::{Location, Stores};
pub use chain::first_superseded;
use checked::{Description, checked, describe};
use compute::Computed;
use copies::Copying;
pub use plan::plan;
use prepare::Prepared;
use steps::Steps;

/// How long a run that has published may look at the days that build on it.
const LOOKS_AT_CHAIN: Duration = Duration::from_secs(30);

/// The most days that a warning names.
const DAYS_SHOWN: usize = 5;

/// How long a run that has failed may still speak to a store, which may be what failed it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs a pipeline for a day, publishes its outputs unless they are published already, and writes the record of it.
///
/// # Errors
/// Every kind of [`crate::error::Error`]; whatever fails before the commit, nothing is published.
pub async fn run(request: &Request, stores: &Stores, progress: &Progress, recorder: &Recorder, events: &RunEvents) -> Result<Done> {
    let result = attempt(request, stores, progress, recorder, events).await;
    if !recorder.is_stopped() {
        tokio::join!(recorder.close(result.as_ref().map(Done::number)), give_up_uploads(stores));
    }
    result
}

/// Ends the uploads that a run has left unfinished. What a store does not answer to is left to its own rules.
pub async fn give_up_uploads(stores: &Stores) {
    let _ = tokio::time::timeout(LAST_WORDS, stores.end_uploads(false)).await;
}

async fn attempt(request: &Request, stores: &Stores, progress: &Progress, recorder: &Recorder, events: &RunEvents) -> Result<Done> {
    // The project is planned and the extracts are found, which fixes everything that the outputs depend on.
    let mut prepared = Prepared::new(request, stores, recorder, events, false).await?;
    let copying = std::mem::take(&mut prepared.copying);
    if let Some(mut unchanged) = prepared.unchanged(request, recorder).await? {
        unchanged.copied = copying.bring_up_to_date(&prepared.destination, &recorder.run_id(), &unchanged.commit_shown).await?;
        unchanged.warnings.extend(copying.warning.clone());
        return Ok(Done::Unchanged(Box::new(unchanged)));
    }
    prepared.expect_steps(progress).await;
    // Extracts become rows, rows become customers, customers get their segments; outputs are written, and nobody sees them yet.
    let computed = Box::pin(prepared.compute(request, progress, recorder)).await?;
    // What was written is read back and checked, and published by one commit.
    Box::pin(check_and_publish(request, computed, &copying, progress, recorder)).await
}

async fn check_and_publish(
    request: &Request,
    mut computed: Computed,
    copying: &Copying,
    progress: &Progress,
    recorder: &Recorder,
) -> Result<Done> {
    let destination = computed.staging.destination().clone();
    let (movement, avoided) = (std::mem::take(&mut computed.movement), std::mem::take(&mut computed.avoided));
    let (segments, identity) = (computed.segments.clone(), computed.identity.take());
    let (predictions, traits) = (std::mem::take(&mut computed.predictions), computed.traits.take());
    let clusters = std::mem::take(&mut computed.clusters);
    let look_alikes = std::mem::take(&mut computed.look_alikes);
    let affinities = std::mem::take(&mut computed.affinities);
    let (customers, mut warnings) = (computed.customers, std::mem::take(&mut computed.warnings));
    let (mut checked, description, engine) = Box::pin(checked(computed, request, progress, recorder)).await?;
    let mut steps = Steps::new(recorder, progress, &engine, request.timings);
    if let Some(commit) = published_already(&checked, &description, request, recorder).await? {
        let results = checked.discard().await.into_iter().filter(|result| result.outcome == CheckOutcome::Failed);
        warnings.extend(results.map(|result| format!("{}: {}", result.check, result.found)));
        let commit_shown = publish::commit_shown(&destination, commit.number);
        let copied = copying.bring_up_to_date(&destination, &recorder.run_id(), &commit_shown).await?;
        let (run_id, why) = (recorder.run_id(), WhyUnchanged::SameOutputs);
        warnings.extend(copying.warning.clone());
        return Ok(Done::Unchanged(Box::new(Unchanged { run_id, commit, commit_shown, copied, warnings, why })));
    }
    if request.with_report {
        steps.begin("report");
        Box::pin(reported::write(&mut checked, &description, request, recorder)).await?;
        steps.end(None);
    }
    steps.begin("publish");
    recorder.begin_publishing()?;
    let pipeline = description.plan.project.pipeline.name.value.clone();
    let published = checked.publish(|tables| describe(&description, request, recorder, tables)).await?;
    steps.end(None);
    recorder.has_published(published.commit.number, &published.commit_shown);
    warnings.extend(note_superseded(&destination, &published.commit, recorder).await);
    warnings.extend(copying.warning.clone());
    let mut copied = Vec::new();
    if copying.is_asked() {
        steps.begin("copy to Delta Lake");
        copied = copying.bring_up_to_date(&destination, &recorder.run_id(), &published.commit_shown).await?;
        steps.end(None);
    }

    Ok(Done::Published(Box::new(Outcome {
        pipeline,
        customers,
        identity,
        predictions,
        clusters,
        affinities,
        traits,
        look_alikes,
        warnings,
        segments,
        avoided,
        movement,
        published,
        copied,
        steps: recorder.steps(),
        elapsed_ms: recorder.elapsed_ms(),
    })))
}

/// The publication of the day, if what was written is the same to the byte.
async fn published_already(checked: &Checked, description: &Description, request: &Request, recorder: &Recorder) -> Result<Option<Commit>> {
    if request.force {
        return Ok(None);
    }
    let published = match checked.seen().of(request.as_of).await {
        // The day is damaged: it is published again.
        Err(error) if publish::concerns_one_day(&error) => None,
        published => published?,
    };
    let draft = || checked.draft(|tables| describe(description, request, recorder, tables));
    let Some(commit) = published.filter(|published| unchanged::is_same(&draft(), published)) else { return Ok(None) };
    let is_whole = publish::damage::whole(checked.destination(), &commit).await.is_ok();
    Ok(is_whole.then_some(commit))
}

/// Notes which days are built on a superseded predecessor now, and warns of them. It is known to the record alone if that cannot be read:
/// what is published stays published.
async fn note_superseded(destination: &Location, commit: &Commit, recorder: &Recorder) -> Option<String> {
    commit.predecessor.as_ref().map(|_| ()).or_else(|| (commit.publications.len() > 1).then_some(()))?;
    let read = async { Publications::read(destination).await?.chain(None).await };
    let chain = tokio::time::timeout(LOOKS_AT_CHAIN, read).await.ok()?.ok()?;
    let superseded = chain.superseded();
    if superseded.is_empty() {
        return None;
    }
    let days: Vec<String> = superseded.keys().map(ToString::to_string).collect();
    recorder.note(|record| record.superseded = superseded.into_iter().map(|(day, why)| (day, why.to_string())).collect());
    let more = days.len().saturating_sub(DAYS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = days.iter().take(DAYS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let (are, them) = if days.len() == 1 { ("is", "it") } else { ("are", "them") };
    Some(format!("{shown}{more} {are} built on a superseded predecessor: `segmill run --chain` brings {them} up to date"))
}
