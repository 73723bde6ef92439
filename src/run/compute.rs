//! Executes the plan of a run and writes its outputs where nobody sees them yet.

use std::collections::{BTreeMap, BTreeSet};

use super::prepare::Prepared;
use super::sink::RunSink;
use super::steps::Steps;
use crate::affinity;
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::execute::{Execution, Inputs, Source};
use crate::groups;
use crate::identity;
use crate::ingest::Ledger;
use crate::job::Request;
use crate::likeness;
use crate::manifest::{Base, MadeFrom};
use crate::native::Context;
use crate::plan::Plan;
use crate::predecessor::Carried;
use crate::predict;
use crate::project::{Definition, Version};
use crate::publish::{self, REJECTED, Rows, Staging};
use crate::record::Recorder;
use crate::report::Progress;
use crate::segments::movement::Movement;
use crate::segments::{Avoided, Look, SegmentSize};
use crate::shown;
use crate::storage::Location;
use crate::traits;

/// A run whose outputs are written.
pub struct Computed {
    /// What was executed.
    pub plan: Plan,
    /// The files that were written.
    pub staging: Staging,
    /// What the project says of who is in which segment.
    pub definition: Definition,
    /// All that the outputs depend on.
    pub made_from: MadeFrom,
    /// The publication that it builds on.
    pub base: Option<Base>,
    /// What tells whether identifiers are hashed as before; none for a project without identity step.
    pub hash_id: Option<String>,
    /// By source, a digest of the location at which it has had files.
    pub locations: BTreeMap<String, String>,
    /// What became of the rows of every source.
    pub judged: Vec<Ledger>,
    /// What the identity step found, where the project has one.
    pub identity: Option<identity::Counts>,
    /// What the predictions are made with, and how good they are.
    pub predictions: Vec<predict::Report>,
    /// Which groups customers are in, and how they were found.
    pub clusters: Vec<groups::Report>,
    /// What offers are made from, and how good they are.
    pub affinities: Vec<affinity::Report>,
    /// How many traits of segments there are; none where nothing reads them.
    pub traits: Option<traits::Report>,
    /// How look-alikes were found, and how well.
    pub look_alikes: Vec<likeness::Report>,
    /// The segments with their sizes, by set, in order of the pipeline file.
    pub segments: Vec<SegmentSize>,
    /// How many changes the memory of segments has avoided, by set.
    pub avoided: Vec<Avoided>,
    /// Who has entered, left or moved since the predecessor publication.
    pub movement: Movement,
    /// A closer look at the rules, if this is a plan.
    pub look: Option<Look>,
    /// How many customers there are.
    pub customers: u64,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// Executes the plan, judges the sources and writes the outputs.
    ///
    /// # Errors
    /// Every kind of [`crate::error::Error`].
    pub async fn compute(self, request: &Request, progress: &Progress, recorder: &Recorder) -> Result<Computed> {
        engine::expect_to_read(self.extracts.iter().flat_map(|extract| &extract.files).map(|(file, _)| file.meta.size).sum());
        let engine = Engine::with_text_encoding(request.limits, self.plan.values.zone.name(), request.text_encoding)?;
        let mut steps = Steps::new(recorder, progress, &engine, request.timings);
        recorder.begin_writing(files_of(&self.plan, &self.destination, &recorder.run_id())).await?;
        let (old_definition, why_unknown) = Box::pin(self.old_definition(request, &engine, &mut steps)).await?;
        let base = self.base();
        let Prepared { plan, destination, published, extracts, predecessor, definition, made_from, locations, is_plan, .. } = self;
        let Carried { mut warnings, predecessor, hash_id, .. } = Carried::of(&plan, &published, predecessor.as_ref()).await?;
        warnings.extend(why_unknown);
        let mut staging =
            Staging::new(destination, recorder.run_id(), request.as_of, published).of_pipeline(&plan.project.pipeline).as_trial(is_plan);

        let sources: Vec<Source> = extracts.into_iter().map(|extract| Source::new(&engine, extract)).collect();
        for source in &sources {
            progress.watch(&source.collector);
        }
        let context = Context { predecessor, old_definition, takes_look: is_plan, ..Context::default() };
        let mut inputs = Inputs { sources, context, ..Inputs::of(&plan)? };
        let mut sink = RunSink::new(&engine, &inputs.sources, &mut steps, &mut staging);
        let execution = Execution { plan: &plan, engine: &engine, needed: None, scene: String::new() };
        let executed = execution.run(&mut inputs, &mut sink).await;
        let RunSink {
            judge,
            identity,
            mut predictions,
            clusters,
            look_alikes,
            affinities,
            traits,
            segments,
            avoided,
            customers,
            movement,
            look,
            ..
        } = sink;
        let judged = judge.conclude(executed, &mut staging, recorder).await?;
        write_outputs(&execution, &inputs, &mut staging, &mut steps).await?;
        staging.write_project(&Version::of(&plan).kept).await?;

        name_segments_without_churn(&mut predictions, &plan);
        recorder.note(|record| record.predictions.clone_from(&predictions));
        warnings.extend(of_declared_steps(&predictions, &clusters, &look_alikes, &affinities));
        warnings.extend(withdrawn(identity.as_ref()).into_iter().chain(judged.warnings));
        warnings.extend(plan.warnings().map(|warning| shown::without_given(&warning.to_string()).into_owned()));
        Ok(Computed {
            plan,
            staging,
            definition,
            made_from,
            base,
            hash_id,
            locations,
            judged: judged.ledgers,
            identity,
            predictions,
            clusters,
            affinities,
            traits,
            look_alikes,
            segments,
            avoided,
            movement,
            look,
            customers,
            warnings,
        })
    }
}

/// Names the segments whose rules read a chance that there is not.
fn name_segments_without_churn(predictions: &mut [predict::Report], plan: &Plan) {
    for report in predictions.iter_mut().filter(|report| !report.purchases.tells_churn()) {
        report.segments_without_churn = plan.segments_of_churn.get(&report.prediction).cloned().unwrap_or_default();
    }
}

/// What somebody should look at of the steps that the pipeline file declares.
fn of_declared_steps(
    predictions: &[predict::Report],
    clusters: &[groups::Report],
    look_alikes: &[likeness::Report],
    affinities: &[affinity::Report],
) -> Vec<String> {
    let fitted = predictions.iter().flat_map(predict::Report::warnings).chain(clusters.iter().flat_map(groups::Report::warnings));
    let scored = look_alikes.iter().flat_map(likeness::Report::warnings).chain(affinities.iter().flat_map(affinity::Report::warnings));
    fitted.chain(scored).collect()
}

/// Ids whose customers have new ones without aliases, because the old ones show what is personal now.
fn withdrawn(identity: Option<&identity::Counts>) -> Option<String> {
    let withdrawn = identity.map(|counts| counts.withdrawn).filter(|withdrawn| *withdrawn > 0)?;
    Some(format!(
        "{withdrawn} ids that were published show values of types that are `personal` now: their customers have new ids, without aliases"
    ))
}

/// Writes every output, sorted by its key.
async fn write_outputs(execution: &Execution<'_>, inputs: &Inputs, staging: &mut Staging, steps: &mut Steps<'_>) -> Result<()> {
    let (plan, engine) = (execution.plan, execution.engine);
    steps.begin("write outputs");
    // Each is sorted and written on its own where memory is tight.
    let is_tight = engine.is_tight();
    let mut tables = Vec::new();
    let mut rows = 0;
    for (name, output) in &plan.project.pipeline.outputs.tables {
        let key: Vec<String> = output.sort.iter().map(|column| column.value.clone()).collect();
        let sorted = engine.stream_sorted(&output.model.value, &key).await;
        tables.push(Rows { table: name.clone(), rows: sorted.map_err(|error| execution.failure_of(name, inputs, &error))?, key });
        if is_tight {
            rows += staging.write(std::mem::take(&mut tables)).await?;
            engine.work().end_queries();
        }
    }
    rows += staging.write(tables).await?;
    steps.end(Some(rows));
    steps.begin("write state");
    let rows = staging.finish_state().await?;
    steps.end(Some(rows));
    Ok(())
}

/// All that the run may write under its name, from the destination.
fn files_of(plan: &Plan, destination: &Location, run_id: &str) -> BTreeSet<String> {
    let pipeline = &plan.project.pipeline;
    let tables = pipeline.outputs.tables.keys().map(String::as_str).chain([REJECTED]);
    let clusters = pipeline.clusters.keys().map(String::as_str);
    publish::clean::files_of(destination, run_id, tables, clusters, pipeline.checks.iter().map(|check| check.name.shown()))
}
