//! Reads back what a run has written, checks it, and says what a commit says of it.

use std::collections::{BTreeMap, BTreeSet};

use super::compute::Computed;
use super::steps::Steps;
use crate::engine::Engine;
use crate::error::Result;
use crate::job::Request;
use crate::manifest::{self, Base, Commit, Ledger, MadeFrom, Table};
use crate::plan::Plan;
use crate::project::Definition;
use crate::publish::Checked;
use crate::record::Recorder;
use crate::report::Progress;
use crate::segments::{self, SegmentSize};

/// What a commit says of a run, beside its tables.
pub struct Description {
    /// What was executed.
    pub plan: Plan,
    definition: Definition,
    made_from: MadeFrom,
    base: Option<Base>,
    hash_id: Option<String>,
    locations: BTreeMap<String, String>,
    judged: Vec<Ledger>,
    customers: u64,
    sizes: Vec<SegmentSize>,
}

/// Reads back what was written, and checks it, on an engine of its own.
///
/// # Errors
/// [`crate::error::Error::Refused`] when a check fails.
pub async fn checked(
    computed: Computed,
    request: &Request,
    progress: &Progress,
    recorder: &Recorder,
) -> Result<(Checked, Description, Engine)> {
    let Computed { plan, staging, definition, made_from, base, hash_id, locations, judged, customers, segments: sizes, .. } = computed;
    // Checks read the files: an engine of their own has all the memory that the models held.
    let engine = Engine::with_text_encoding(request.limits, plan.values.zone.name(), request.text_encoding)?;
    engine.hash_with(plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
    let mut steps = Steps::new(recorder, progress, &engine, request.timings);
    steps.begin("check outputs");
    let staged = staging.finish().with_parameters(plan.values.parameters.clone());
    let report = staged.check(&engine, &plan.project.pipeline).await?;
    steps.end(None);
    recorder.note(|record| record.checks = report.check_results().to_vec());
    Ok((report.passed()?, Description { plan, definition, made_from, base, hash_id, locations, judged, customers, sizes }, engine))
}

/// The commit of a run, for its tables.
pub fn describe(of: &Description, request: &Request, recorder: &Recorder, tables: BTreeMap<String, Table>) -> Commit {
    let plan = &of.plan;
    let pipeline = &plan.project.pipeline;
    Commit {
        format: manifest::FORMAT,
        number: 0,
        pipeline: pipeline.name.value.clone(),
        as_of: plan.values.as_of,
        run_id: recorder.run_id(),
        segmill_version: env!("CARGO_PKG_VERSION").to_owned(),
        project_digest: plan.digest.clone(),
        parameters: plan.values.shown.clone(),
        fingerprint: of.made_from.fingerprint(),
        made_from: Some(of.made_from.clone()),
        tables: plan.with_personal_columns(tables),
        state: BTreeMap::new(),
        predecessor: of.base.clone(),
        given_parameters: request.parameters.clone(),
        identity_hash_id: of.hash_id.clone(),
        project: None,
        report: None,
        definition_digest: Some(of.definition.digest.clone()),
        given_digest: of.definition.given_digest.clone(),
        segment_sets: segments::published_sets(pipeline, &of.sizes),
        customers: (!pipeline.segments.is_empty()).then_some(of.customers),
        revenue_column: pipeline.profile.revenue.as_ref().map(|column| column.value.clone()),
        sources: of.judged.clone(),
        publications: BTreeMap::new(),
        withdrawn: BTreeSet::new(),
        locations: of.locations.clone(),
    }
}
