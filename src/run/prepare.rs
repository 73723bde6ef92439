//! What a run knows before it reads a row: the plan, the extracts, what is published, and all that the outputs depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::NaiveDate;

use super::copies::Copying;
use super::schema;
use crate::config::{self, SchemaChanges};
use crate::error::Result;
use crate::ingest::{self, Extract};
use crate::job::Request;
use crate::manifest::{Base, Commit, Input, MadeFrom};
use crate::openlineage::RunEvents;
use crate::plan::{self, Plan};
use crate::project::{self, Definition};
use crate::publish::marker::{self, Marker};
use crate::publish::{self, Publications};
use crate::record::{self, Recorder};
use crate::report::Progress;
use crate::segments::EarlierMemberships;
use crate::storage::{Location, Stores};

/// A run that has read no row.
pub struct Prepared {
    /// What will be executed.
    pub plan: Plan,
    /// Where it will be published.
    pub destination: Location,
    /// What is published there.
    pub published: Publications,
    /// The files of every source.
    pub extracts: Vec<Extract>,
    /// The publication of the nearest earlier day.
    pub predecessor: Option<Commit>,
    /// What the project says of who is in which segment.
    pub definition: Definition,
    /// All that the outputs depend on.
    pub made_from: MadeFrom,
    /// By source, a digest of the location at which it has had files.
    pub locations: BTreeMap<String, String>,
    /// The copies in Delta Lake tables.
    pub copying: Copying,
    /// Whether nothing will be published: then nothing is written at the destination.
    pub is_plan: bool,
    /// Who would be in which segment by the definition of the predecessor publication, if that has been evaluated already.
    pub(super) evaluated: Mutex<Option<EarlierMemberships>>,
}

impl Prepared {
    /// Plans the project and finds its extracts.
    ///
    /// # Errors
    /// [`crate::error::Error::Project`] for a project, an argument or a destination that cannot be used, [`crate::error::Error::Late`] for
    /// extracts that are late; otherwise as the stores fail.
    pub async fn new(request: &Request, stores: &Stores, recorder: &Recorder, events: &RunEvents, is_plan: bool) -> Result<Prepared> {
        let (plan, destination) = plan_for(request, stores, recorder, is_plan).await?;
        let copying = Copying::of(&plan, &destination, stores)?;
        events.planned(&plan, &destination, &request.environment, || recorder.record());
        recorder.doing().begins("looking for the extracts, and for what is published");
        // Days that a run died over are put right before anything is compared or read.
        if !is_plan {
            publish::settle(&destination).await?;
        }
        let published = Publications::read(&destination).await?;
        let extracts = ingest::find(&plan.project, &plan.contracts, stores, published.newest()).await?;
        publish::refuse_found_outputs(&destination, &plan.project, &extracts)?;
        let locations = ingest::locations(&extracts, published.newest());
        let predecessor = match published.before(request.as_of).await {
            // Nothing is taken from it.
            Err(error) if publish::concerns_one_day(&error) && !plan.builds_on_predecessor() => None,
            predecessor => predecessor?,
        };
        if plan.project.pipeline.outputs.schema == SchemaChanges::Additive
            && let Some(predecessor) = &predecessor
        {
            schema::refuse_losses(&plan, predecessor)?;
        }
        let base = base_for(&plan, predecessor.as_ref());
        let made_from = note_inputs(request, &plan, &extracts, base.as_ref(), recorder);
        let definition = Definition::of(&plan.project, &plan.values.shown, &request.environment);
        Ok(Prepared {
            plan,
            destination,
            published,
            extracts,
            predecessor,
            definition,
            made_from,
            locations,
            copying,
            is_plan,
            evaluated: Mutex::default(),
        })
    }

    /// The publication that the run builds on.
    pub fn base(&self) -> Option<Base> {
        base_for(&self.plan, self.predecessor.as_ref())
    }

    /// Takes from the record of the newest run how long each step may take.
    pub async fn expect_steps(&self, progress: &Progress) {
        let Some(newest) = self.published.newest_run().filter(|_| progress.is_shown()) else { return };
        let steps = record::earlier(&self.destination, newest).await.map(|record| record.steps).unwrap_or_default();
        progress.expect(steps.into_iter().map(|step| (step.name, step.elapsed_ms)).collect());
    }
}

/// What a predecessor publication is to a run of a plan. Without a memory of segments, nothing depends on what its project said.
fn base_for(plan: &Plan, predecessor: Option<&Commit>) -> Option<Base> {
    let base = predecessor.filter(|_| plan.builds_on_predecessor()).map(Base::of)?;
    Some(if plan.has_memory() { base } else { Base { definition_digest: None, given_digest: None, ..base } })
}

/// The plan of the project, and the destination, which is or will be the pipeline's own.
async fn plan_for(request: &Request, stores: &Stores, recorder: &Recorder, is_plan: bool) -> Result<(Plan, Location)> {
    recorder.doing().begins("reading the project");
    let project = Arc::new(config::load(&request.pipeline, &request.environment)?);
    recorder.reads(&project);
    let values = config::bind(&project, request.as_of, &request.parameters)?;
    let destination = publish::destination(request.destination.as_deref(), &project, stores)?;
    recorder.note(|record| record.pipeline = Some(project.pipeline.name.value.clone()));
    recorder.doing().begins("reading what is published");
    // A destination that is not this pipeline's own gets nothing, not even the record of this run.
    let (found, marker) = tokio::join!(Publications::read(&destination), Marker::read(&destination));
    if let (Ok(found), Ok(marker)) = (&found, &marker) {
        marker::admit(&destination, found, marker.as_ref(), &project.pipeline.name.value)?;
    }
    found.iter().filter_map(Publications::newest).for_each(|newest| recorder.finds(newest));
    let mut days: BTreeSet<NaiveDate> = found.iter().flat_map(|found| found.by_day().into_keys()).collect();
    days.insert(values.as_of);
    publish::refuse_own_outputs(&destination, &project, &days, stores)?;
    if !is_plan {
        recorder.goes_to(&destination);
    }
    recorder.doing().begins("planning");
    let plan = plan::plan(project, values).await?;
    // What is wrong with the project is told before what is wrong with the destination.
    found.and(marker)?;
    Ok((plan, destination))
}

/// Writes down what the outputs will depend on.
fn note_inputs(request: &Request, plan: &Plan, extracts: &[Extract], base: Option<&Base>, recorder: &Recorder) -> MadeFrom {
    let inputs: Vec<Input> = extracts.iter().flat_map(ingest::inputs).collect();
    let project = project::digest_of_outputs(plan, &request.environment);
    let made_from = MadeFrom::of(project::digest_of_program(plan), project, &inputs, base.and_then(Base::digest));
    recorder.note(|record| {
        record.project_digest = Some(plan.digest.clone());
        record.fingerprint = Some(made_from.fingerprint());
        record.parameters = plan.values.shown.clone();
        record.inputs = inputs;
        record.predecessor = base.cloned();
    });
    made_from
}
