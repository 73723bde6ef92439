//! Reviews a whole project: parses, orders and type-checks it, proves its segment sets, and plans its nodes.

use std::sync::Arc;

use chrono::NaiveDate;

use super::decide::decide;
use super::dictionary::{self, Dictionary};
use super::empty::{PLANNING, empty};
use super::models::{CheckedModels, check_models, required_columns};
use super::needs::{self, Needs};
use super::nodes::Plan;
use super::privacy::PersonalColumns;
use super::reference::reference_tables;
use super::{declared, edge_texts, origins, outputs, traits, unused};
use crate::config::{self, Project, Values, span_of};
use crate::diagnostic::{Diagnostic, Level, in_order};
use crate::engine::Engine;
use crate::error::{Error, Result, gather};
use crate::graph::{EDGES, Graph, PROFILE, SOURCES};
use crate::identity::{self, Rules};
use crate::ingest::{self, Contract};
use crate::native::{self, IDENTITY_SIGNATURE, IdentityStep, Native, SegmentsStep};
use crate::segments::movement::is_revenue;
use crate::segments::{self, Domains, Origins, Proof, RuleSet};
use crate::storage::{PLACES, Stores};

/// Plans a run: parses, orders and type-checks the whole project.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong with it, and what somebody should look at besides.
pub async fn plan(project: Arc<Project>, values: Values) -> Result<Plan> {
    let Reviewed { plan, problems } = review(project, values).await?;
    plan.ok_or_else(|| Error::Project(in_order(problems)))
}

/// A project as it was looked at.
pub struct Reviewed {
    /// What will run, if nothing is wrong.
    pub plan: Option<Plan>,
    /// Everything that is wrong, and what somebody should look at; of a plan, its warnings are in it.
    pub problems: Vec<Diagnostic>,
}

/// Looks at a whole project, of which parts may have been left out since they are wrong: what depends on those is passed over.
///
/// # Errors
/// [`Error::Defect`] alone.
pub async fn review(project: Arc<Project>, values: Values) -> Result<Reviewed> {
    let mut problems = Vec::new();
    let contracts: Vec<Arc<Contract>> = ingest::contracts(&project, &values, &mut problems).into_iter().map(Arc::new).collect();
    check_places(&project, &mut problems);
    problems.extend(needs::same_names(&project));
    let graph = Graph::of(&project, native::steps(&project));
    let Needs { own, orphans } = needs::of(&project, &graph);
    problems.extend(own.iter().flat_map(|own| graph.wrong_beside(own)));
    let vertices = graph.build(own.as_ref(), &mut problems);
    problems.extend(needs::no_profile(&project, &vertices));
    let expected = vertices.len();
    let engine = planning_engine(&project, &values, &contracts, &mut problems)?;
    let identity_rules = gather(&mut problems, Rules::declared(&project, &values))?;
    let mut warnings = Vec::new();
    let personal = PersonalColumns::of(&project.pipeline, &contracts);
    let checked = check_models(&engine, vertices, &values, personal, &mut problems).await?;
    if let Some(edges) = checked.model(EDGES).filter(|_| !project.lost.touches(&["identity"])) {
        problems.extend(identity::check_edges(&project, &edges.parsed.model.file, &edges.schema));
        problems.extend(edge_texts::undeclared(&project, &edges.parsed, &engine, &values).await);
        warnings = edge_texts::without_edges(&project, &edges.parsed, &engine, &values).await;
    }
    let Judged { rules, domains, proofs } = judge(&project, &values, &engine, &checked, &mut problems)?;
    let declared_steps = declared::steps(&project, &values, &engine, &checked, &mut problems)?;
    let published = project.pipeline.outputs.tables.values().map(|output| output.model.value.clone()).collect();
    let traits = traits::step(&project, &checked, &published, &rules, &mut problems);
    outputs::check(&project, &values, &checked, &mut problems).await?;
    let mut required_columns = required_columns(&contracts, &checked);
    let has_identity_step = checked.has_step(IDENTITY_SIGNATURE.name);
    let declared = gather(&mut problems, origins::declared(&project, &values, &engine, &contracts, has_identity_step))?.unwrap_or_default();
    let hanging = origins::follow(&project, &values, &checked, &contracts, declared, &required_columns);
    // A model that could not be checked may be meant to read a source that no other model reads.
    if checked.checked.len() == expected {
        warnings.extend(unused::sources(&project, &required_columns));
        if !rules.is_empty() {
            warnings.extend(origins::leading_nowhere(&project, &hanging, &required_columns));
        }
    }
    warnings.extend(unused::orphans(&project, &orphans));
    if !problems.is_empty() || !project.lost.is_empty() {
        // A parameter whose declaration is wrong is there all the same.
        let lost: Vec<String> = project.lost.names(&["parameters"]).iter().map(|name| format!("there is no parameter `${name}`")).collect();
        problems.retain(|problem| problem.code != "unknown-parameter" || !lost.contains(&problem.message));
        problems.extend(proofs.into_iter().flat_map(|proof| proof.problems).chain(warnings));
        return Ok(Reviewed { plan: None, problems });
    }
    let (bounds, segments_of_churn) = (checked.predicted.bounds(), checked.predicted.segments_of_churn(&rules));
    let (rows, origins) = origins::of(hanging, &rules, &contracts, &mut required_columns, has_identity_step);
    let dictionary = Dictionary::of(&project, &checked, &rules);
    let columns = dictionary::step(dictionary.published.clone(), &checked, &published);
    let mut natives = natives_of(&checked, identity_rules, (rules, origins), domains, values.as_of, revenue_of(&project, &checked));
    natives.extend(declared_steps.into_iter().chain(traits).chain(columns));
    let digest = own.as_ref().map_or_else(|| project.digest.clone(), |own| project.digest_of(|model| own.contains(&model.name())));
    let (personal, nodes) = decide(checked, natives, &published, rows, false);
    let contracts = contracts.into_iter().filter(|contract| required_columns.contains_key(&contract.source)).collect();
    let plan = Plan {
        project,
        digest,
        values,
        contracts,
        required_columns,
        nodes,
        personal,
        bounds,
        segments_of_churn,
        proofs,
        dictionary,
        warnings,
    };
    Ok(Reviewed { plan: Some(plan), problems })
}

/// The rules of a project over its profile, and what was proved of them; nothing where they could not be judged.
#[derive(Default)]
struct Judged {
    rules: Vec<RuleSet>,
    domains: Domains,
    proofs: Vec<Proof>,
}

/// Compiles the rules, and proves the sets. What is certainly wrong with them is added to the problems.
fn judge(project: &Project, values: &Values, engine: &Engine, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) -> Result<Judged> {
    let Some(profile) = checked.model(PROFILE) else { return Ok(Judged::default()) };
    let known = gather(problems, Domains::compile(project, values, engine, &profile.schema))?;
    let known = known.map(|known| known.with_bounds(&profile.schema, &checked.predicted.bounds()));
    let compiled = gather(problems, segments::compile(project, values, engine, &profile.schema))?;
    // Without some rules or what is known, proofs would find what is not there.
    let is_bound = project.pipeline.parameters.keys().all(|name| values.shown.contains_key(name));
    let is_whole = is_bound && ["segments", "profile", "parameters"].iter().all(|part| !project.lost.touches(&[part]));
    let (Some(domains), Some(rules), true) = (known, compiled, is_whole) else { return Ok(Judged::default()) };
    let mut proofs = segments::prove(project, values, engine, &profile.schema, &domains)?;
    let errors = proofs.iter_mut().flat_map(|proof| proof.problems.extract_if(.., |problem| problem.level == Level::Error));
    problems.extend(errors);
    Ok(Judged { rules, domains, proofs })
}

/// An engine on which every table that models may read is there without rows.
pub(super) fn planning_engine(
    project: &Project,
    values: &Values,
    contracts: &[Arc<Contract>],
    problems: &mut Vec<Diagnostic>,
) -> Result<Engine> {
    let engine = Engine::new(PLANNING, values.zone.name())?;
    let reference = reference_tables(project, values)?;
    problems.extend(reference.problems);
    for (name, rows) in reference.tables {
        engine.register_batches(&name, rows.schema(), vec![rows])?;
    }
    for contract in contracts {
        engine.register(&format!("{SOURCES}.{}", contract.source), empty(Arc::clone(&contract.schema)))?;
    }
    // Also those of steps that the project does not have: what reads them has a problem of its own.
    for table in native::steps(project).iter().flat_map(|step| &step.makes) {
        engine.register(&table.name, empty(Arc::clone(&table.schema)))?;
    }
    Ok(engine)
}

/// The column that says what customers spent, and how many digits it has after the point.
pub(super) fn revenue_of(project: &Project, checked: &CheckedModels) -> Option<(String, i8)> {
    let named = &project.pipeline.profile.revenue.as_ref()?.value;
    let (_, field) = checked.model(PROFILE)?.schema.column_with_name(named)?;
    Some((named.clone(), is_revenue(field.data_type())?))
}

/// The native steps among what has been checked.
pub(super) fn natives_of(
    checked: &CheckedModels,
    identity: Option<Rules>,
    (rules, origins): (Vec<RuleSet>, Origins),
    domains: Domains,
    as_of: NaiveDate,
    revenue: Option<(String, i8)>,
) -> Vec<Arc<dyn Native>> {
    let identity = identity.map(|rules| Arc::new(IdentityStep::new(rules)) as Arc<dyn Native>);
    let segments = SegmentsStep::new(rules, origins, domains, as_of).with_revenue(revenue);
    let natives = identity.into_iter().chain([Arc::new(segments) as Arc<dyn Native>]);
    natives.filter(|native| checked.has_step(&native.step().name)).collect()
}

/// Tells of locations that name no place, and of notifications that reach nobody. What locations say is shown as it was typed, since
/// variables may hold secrets.
fn check_places(project: &Project, problems: &mut Vec<Diagnostic>) {
    problems.extend(config::review_notifications(&project.file, &project.pipeline.notify));
    let sources = project.pipeline.sources.values().map(|source| (&source.location, Stores::unfit_to_read(&source.location.value)));
    let outputs = &project.pipeline.outputs;
    let written = std::iter::once(&outputs.destination).chain(outputs.delta.as_ref().map(|delta| &delta.location));
    for (place, why) in sources.chain(written.map(|place| (place, Stores::unfit_to_write(&place.value)))) {
        if let Some(why) = why {
            let problem = Diagnostic::error("invalid-location", "this is not a location").at(span_of(&project.file, place));
            problems.push(problem.label(why).hint(PLACES));
        }
    }
}
