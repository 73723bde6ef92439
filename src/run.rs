//! The order of the steps, readable top to bottom: what a row passes from its extract to its publication.

mod account;
mod failure;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::ident;
use futures::TryStreamExt;

use crate::config::{self, Environment};
use crate::engine::{self, Engine, Limits};
use crate::error::{Error, Result};
use crate::graph::{self, EDGES, MEMBERSHIP, PROFILE, RESOLVED, SOURCES};
use crate::identity::{self, Resolution, Rules};
use crate::ingest::{self, Collector, Ledger};
use crate::manifest::{self, Commit, Input};
use crate::plan::{self, Plan, PlannedModel};
use crate::predecessor::Identity;
use crate::publish::marker::{self, Marker};
use crate::publish::{self, Publications, Published, Rows, Staging, StateTable};
use crate::record::{self, Recorder, Step};
use crate::report::Progress;
use crate::segments::{self, CUSTOMER_ID, SegmentSize};
use crate::shown;
use crate::storage::{Location, Stores};
use failure::failure;
use steps::Steps;

/// The table of rejected rows, which every publication has beside its outputs.
pub const REJECTED: &str = "rejected";

/// How long a run that has failed may still speak to a store, which may be what failed it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Batches of the profile that are put into segments at once, by each thread.
const BATCHES_A_THREAD: usize = 4;

/// Memory is tight when more than one of so many parts of it is held.
const TIGHT: usize = 4;

/// What a run was asked to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// The day that the publication is as of.
    pub as_of: NaiveDate,
    /// Where to publish, instead of where the pipeline file says.
    pub destination: Option<String>,
    /// Whether to publish although nothing has changed.
    pub force: bool,
    /// Parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// What the run may use.
    pub limits: Limits,
    /// Whether to tell what every operator did.
    pub timings: bool,
    /// The variables of the process.
    pub environment: Environment,
}

/// What a run did.
#[derive(Debug)]
pub struct Outcome {
    /// The pipeline's name.
    pub pipeline: String,
    /// What was published.
    pub published: Published,
    /// The segments with their sizes, by set, in order of the pipeline file.
    pub segments: Vec<SegmentSize>,
    /// How many customers there are.
    pub customers: u64,
    /// What the identity step found, where the project has one.
    pub identity: Option<identity::Counts>,
    /// What somebody should look at although the run went through.
    pub warnings: Vec<String>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// How long the run took.
    pub elapsed_ms: u64,
}

/// A run that would publish again what is published.
#[derive(Debug)]
pub struct Unchanged {
    /// The run.
    pub run_id: String,
    /// The publication that stays.
    pub commit: Commit,
    /// Where its commit file is.
    pub commit_shown: String,
}

/// What a run came to.
#[derive(Debug)]
pub enum Done {
    /// It published.
    Published(Box<Outcome>),
    /// Nothing has changed, so it published nothing.
    Unchanged(Box<Unchanged>),
}

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
        Err(error) if publish::concerns_one_day(&error) && !plan.resolves() => None,
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
    let identity = Identity::of(&plan, &seen, predecessor.as_ref()).await?;
    engine::expect_to_read(extracts.iter().flat_map(|extract| &extract.files).map(|(file, _)| file.meta.size).sum());
    let engine = Engine::new(request.limits, plan.values.zone.name())?;
    let mut steps = Steps { recorder, progress, engine: &engine, timings: request.timings };
    recorder.begin_writing(files_of(&plan, &destination, &recorder.run_id())).await?;
    let mut staging = Staging::new(destination, recorder.run_id(), request.as_of, seen).of_pipeline(&plan.project.pipeline);

    let Identity { mut warnings, mut before, hash_id } = identity;
    let sources = open_sources(&engine, &extracts, progress);
    let read = async {
        read_sources(&plan, &engine, &sources, &mut steps).await?;
        plan::register_reference(&engine, &plan.project, &plan.values)?;
        let before_membership = |model: &PlannedModel| !graph::after_membership(&model.node.model);
        compute_models(&plan, &engine, &sources, (before.take(), &mut staging), &mut steps, before_membership).await
    };
    let identity = match read.await {
        // Whatever else the run met then, what has been found is told.
        Err(_) if sources.iter().any(|source| source.collector.is_over()) => {
            return Err(account::over_budget_early(&sources, &mut staging, recorder).await);
        }
        Err(Error::Refused(refused)) if extracts.iter().any(|extract| extract.refused_in(&refused)) => {
            return Err(Error::Refused(ingest::with_others(refused, &engine, &extracts).await));
        }
        read => read?,
    };
    if let Some(withdrawn) = identity.as_ref().map(|counts| counts.withdrawn).filter(|withdrawn| *withdrawn > 0) {
        warnings.push(format!(
            "{withdrawn} ids that were published show values of types that are `personal` now: their customers have new ids, without aliases"
        ));
    }

    let (ledgers, of_sources) = match account::close_books(&sources, &mut staging, &engine, recorder).await {
        Err(_) if sources.iter().any(|source| source.collector.is_over()) => {
            return Err(account::over_budget_early(&sources, &mut staging, recorder).await);
        }
        closed => closed?,
    };

    warnings.extend(of_sources);
    warnings.extend(plan.warnings().map(|warning| shown::without_given(&warning.to_string()).into_owned()));
    let (segments, customers) = assign_segments(&plan, &engine, &mut steps).await?;
    compute_models(&plan, &engine, &sources, (None, &mut staging), &mut steps, |model| graph::after_membership(&model.node.model)).await?;

    stage_outputs(&plan, &engine, &mut staging, &mut steps).await?;
    // Checks read the files: what the models held is room for them.
    drop(engine);
    let asking = Engine::new(request.limits, plan.values.zone.name())?;
    let steps = Steps { recorder, progress, engine: &asking, timings: request.timings };
    let checking = steps.begin("check outputs");
    asking.hash_with(plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
    let staged = staging.finish().with_parameters(plan.values.parameters.clone());
    let report = staged.check(&asking, &plan.project.pipeline).await?;
    steps.end("check outputs", report.check_results().len() as u64, checking);
    recorder.note(|record| record.checks = report.check_results().to_vec());
    let checked = report.passed()?;

    let publishing = steps.begin("publish");
    recorder.begin_publishing()?;
    let published = checked.publish(|tables| commit(&plan, recorder.run_id(), fingerprint, hash_id, tables, ledgers, locations)).await?;
    steps.end("publish", published.commit.tables.len() as u64, publishing);

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

impl Done {
    /// The number of the publication, and whether this run made it.
    fn number(&self) -> (u64, bool) {
        match self {
            Done::Published(outcome) => (outcome.published.commit.number, true),
            Done::Unchanged(unchanged) => (unchanged.commit.number, false),
        }
    }
}

/// Writes down what the outputs will depend on; its digest.
fn note_inputs(request: &Request, plan: &Plan, extracts: &[ingest::Extract], predecessor: Option<&Commit>, recorder: &Recorder) -> String {
    let inputs: Vec<Input> = extracts.iter().flat_map(ingest::inputs).collect();
    let parameters = plan.values.shown.clone();
    let variables = config::variables(&plan.project, &request.environment);
    let state = predecessor.map(|commit| commit.state.clone()).unwrap_or_default();
    let fingerprint = manifest::fingerprint(&plan.project.digest, &variables, &parameters, &inputs, &state);
    recorder.note(|record| {
        record.project_digest = Some(plan.project.digest.clone());
        record.fingerprint = Some(fingerprint.clone());
        record.parameters = parameters;
        record.inputs = inputs;
    });
    fingerprint
}

/// A source while a run reads it.
struct OpenSource {
    extract: ingest::Extract,
    collector: Arc<Collector>,
}

/// The sources, of which nothing has been read.
fn open_sources(engine: &Engine, extracts: &[ingest::Extract], progress: &Progress) -> Vec<OpenSource> {
    let open = |extract: &ingest::Extract| {
        let collector = Collector::new(&extract.contract, engine);
        progress.watch(&collector);
        OpenSource { extract: extract.clone(), collector }
    };
    extracts.iter().map(open).collect()
}

/// Makes every source readable: some are read now, the others while their readers run.
async fn read_sources(plan: &Plan, engine: &Engine, sources: &[OpenSource], steps: &mut Steps<'_>) -> Result<()> {
    for OpenSource { extract, collector } in sources {
        let name = format!("{SOURCES}.{}", extract.contract.source);
        let demand = plan.demands.get(&extract.contract.source).cloned().unwrap_or_default();
        let reading = steps.begin(&name);
        if let Some(rows) = ingest::register(engine, &name, extract, &demand, collector).await? {
            steps.end(&name, rows, reading);
        }
    }
    Ok(())
}

/// Computes the models that are wanted, in order, each once.
async fn compute_models(
    plan: &Plan,
    engine: &Engine,
    sources: &[OpenSource],
    (mut before, staging): (Option<identity::Before>, &mut Staging),
    steps: &mut Steps<'_>,
    wanted: impl Fn(&PlannedModel) -> bool,
) -> Result<Option<identity::Counts>> {
    let mut found = None;
    for model in plan.models.iter().filter(|model| wanted(model)) {
        let name = model.node.model.name();
        let failed = |error: DataFusionError| failure(Some(plan), &name, &error, sources);
        let logical = engine.plan(&model.node.statement, &plan.values.parameters).await.map_err(failed)?;
        if name == EDGES {
            found = Some(resolve(plan, engine, (model, logical), sources, (before.take(), &mut *staging), steps).await?);
            continue;
        }
        if model.inline {
            engine.register_view(&name, logical)?;
            continue;
        }
        let computing = steps.begin(&name);
        let frame = engine.frame(logical);
        // The profile is kept in order, because memberships are written in its order.
        let frame = if name == PROFILE { sorted(frame, &[CUSTOMER_ID.to_owned()]).map_err(failed)? } else { frame };
        let rows = engine.keep(&name, frame).await.map_err(failed)?;
        steps.end(&name, rows, computing);
        for table in &model.frees {
            engine.forget(table);
        }
    }
    Ok(found)
}

/// Finds who is who from the ties of `identity.edges`, and makes it readable as `resolved`.
async fn resolve(
    plan: &Plan,
    engine: &Engine,
    (edges, mut logical): (&PlannedModel, LogicalPlan),
    sources: &[OpenSource],
    (before, staging): (Option<identity::Before>, &mut Staging),
    steps: &mut Steps<'_>,
) -> Result<identity::Counts> {
    let resolving = steps.begin(EDGES);
    let failed = |error: DataFusionError| failure(Some(plan), EDGES, &error, sources);
    if edges.is_read {
        engine.keep(EDGES, engine.frame(logical)).await.map_err(failed)?;
        logical = async { engine.context().table(EDGES).await }.await.map_err(failed)?.into_unoptimized_plan();
    }
    let rules = Rules::declared(&plan.project, &plan.values)?;
    let resolution = identity::resolve(engine, rules, logical, before).await.map_err(failed)?;
    let counts = resolution.counts();
    steps.recorder.note(|record| record.identity = Some(counts.clone()));
    steps.end(EDGES, counts.edges, resolving);
    resolution.register(engine, RESOLVED)?;
    for table in &edges.frees {
        engine.forget(table);
    }
    keep_identity(resolution, engine, staging, steps).await?;
    Ok(counts)
}

/// Keeps for the next publication who is who.
async fn keep_identity(resolution: Resolution, engine: &Engine, staging: &mut Staging, steps: &mut Steps<'_>) -> Result<()> {
    let keeping = steps.begin("keep identifiers");
    let memory = engine.hold();
    memory.reach(resolution.map_bytes()).map_err(|error| engine::failed("the map of identifiers", &error))?;
    let (map, aliases) = (resolution.map()?, resolution.kept_aliases()?);
    drop(resolution);
    memory.settle(map.iter().map(RecordBatch::get_array_memory_size).sum());
    let rows = rows_of(&map);
    let (schema, key) = (identity::map_schema(), &["customer_id", "identifier_key"]);
    staging.write_state(StateTable { name: publish::IDENTITY_MAP, schema, key, rows: map }).await?;
    let schema = aliases.schema();
    staging.write_state(StateTable { name: publish::IDENTITY_ALIASES, schema, key: &["alias_id"], rows: vec![aliases] }).await?;
    steps.end("keep identifiers", rows, keeping);
    Ok(())
}

/// Puts every customer of the profile into segments, and tells their sizes and how many customers there are.
async fn assign_segments(plan: &Plan, engine: &Engine, steps: &mut Steps<'_>) -> Result<(Vec<SegmentSize>, u64)> {
    let assigning = steps.begin(MEMBERSHIP);
    let failed = |error: DataFusionError| failure(Some(plan), PROFILE, &error, &[]);
    let profile = async { engine.stream(sorted(engine.context().table(PROFILE).await?, &[CUSTOMER_ID.to_owned()])?).await }.await;
    let mut profile = profile.map_err(failed)?.try_chunks(engine.threads() * BATCHES_A_THREAD);
    let mut members = segments::Assigner::new(&plan.rules, &plan.domains, engine.threads());
    let held = engine.hold();
    while let Some(batches) = profile.try_next().await.map_err(|error| failed(error.1))? {
        members.add(&batches)?;
        held.reach(members.bytes()).map_err(|error| engine::failed(MEMBERSHIP, &error))?;
    }
    let assigned = members.finish()?;
    let (sizes, customers) = (segments::sizes(&plan.rules, &assigned), assigned.customers);
    let rows = engine.register_each(MEMBERSHIP, segments::membership_schema(), assigned.into_memberships())?;
    steps.end(MEMBERSHIP, rows, assigning);
    Ok((sizes, customers))
}

async fn stage_outputs(plan: &Plan, engine: &Engine, staging: &mut Staging, steps: &mut Steps<'_>) -> Result<()> {
    let writing = steps.begin("write outputs");
    // Each is sorted and written on its own where what is kept leaves little memory for several at once.
    let is_tight = engine.held_bytes() > engine.memory_limit() / TIGHT;
    let mut tables = Vec::new();
    let mut rows = 0;
    for (name, output) in &plan.project.pipeline.outputs.tables {
        let key: Vec<String> = output.sort.iter().map(|column| column.value.clone()).collect();
        let sorted = async { engine.stream(sorted(engine.context().table(output.model.value.as_str()).await?, &key)?).await }.await;
        tables.push(Rows { table: name.clone(), rows: sorted.map_err(|error| failure(Some(plan), name, &error, &[]))?, key });
        if is_tight {
            rows += staging.write(std::mem::take(&mut tables)).await?;
            engine.work().ends();
        }
    }
    rows += staging.write(tables).await?;
    steps.end("write outputs", rows, writing);
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
        state: BTreeMap::new(),
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

fn rows_of(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}
