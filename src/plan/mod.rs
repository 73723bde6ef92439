//! What a run will execute: nodes in order, each with its names and types checked before any data is read.

mod identifier_types;
mod models;
mod nodes;
mod outputs;
mod reference;
mod unused;

pub use nodes::{Node, PlannedModel, Work};
pub use reference::register_reference;
pub use unused::unused;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;

use crate::config::{Project, Values, span_of};
use crate::diagnostic::{Diagnostic, Level, in_order};
use crate::engine::{Engine, Limits};
use crate::error::{Error, Result, gather};
use crate::graph::{self, EDGES, MEMBERSHIP, PROFILE, SOURCES};
use crate::identity::{self, Rules};
use crate::ingest::{self, Contract, Demand};
use crate::native::{self, IdentityStep, Native, SIGNATURES, SegmentsStep};
use crate::segments::{self, Domains, Proof};
use crate::storage::{PLACES, Stores};
use models::{check_models, demands};

/// Enough to check a project; no data is read.
const PLANNING: Limits = Limits { threads: 1, memory_bytes: 64 * 1024 * 1024 };

/// Everything that a run needs to know before it reads data.
pub struct Plan {
    /// The project.
    pub project: Arc<Project>,
    /// Its values for this run.
    pub values: Values,
    /// The sources' contracts, in the order of the pipeline file.
    pub contracts: Vec<Arc<Contract>>,
    /// What models read of each source.
    pub demands: BTreeMap<String, Demand>,
    /// The models and native steps, each after what it reads.
    pub nodes: Vec<Node>,
    /// What was proved of every set of segments.
    pub proofs: Vec<Proof>,
}

impl Plan {
    /// The models, each after what it reads.
    pub fn models(&self) -> impl Iterator<Item = &PlannedModel> {
        self.nodes.iter().filter_map(Node::model)
    }

    /// The node that makes a table.
    pub fn maker(&self, table: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.makes.iter().any(|made| made == table))
    }

    /// The tables that a table is made from, itself among them. Nothing is needed for those that are given.
    pub fn needed(&self, table: &str, is_given: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let mut needed = BTreeSet::new();
        let mut waiting = vec![table.to_owned()];
        while let Some(table) = waiting.pop() {
            if !is_given(&table) && !needed.contains(&table) {
                waiting.extend(self.maker(&table).into_iter().flat_map(|node| node.reads.clone()));
            }
            needed.insert(table);
        }
        needed
    }

    /// Whether it has an identity step.
    pub fn has_identity_step(&self) -> bool {
        native::IDENTITY_SIGNATURE.makes.iter().any(|table| self.maker(table).is_some())
    }

    /// What somebody should look at although the project runs.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.proofs.iter().flat_map(|proof| &proof.problems)
    }
}

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
    let contracts = ingest::contracts(&project, &values, &mut problems);
    check_places(&project, &mut problems);
    let vertices = graph::build(&project, &SIGNATURES, &mut problems);
    let engine = Engine::new(PLANNING, values.zone.name())?;
    gather(&mut problems, register_reference(&engine, &project, &values))?;
    for contract in &contracts {
        engine.register(&format!("{SOURCES}.{}", contract.source), empty(Arc::clone(&contract.schema)))?;
    }
    engine.register(MEMBERSHIP, empty(segments::membership_schema()))?;
    for (name, schema) in native::IDENTITY_SIGNATURE.makes.iter().zip(identity::resolved_schemas()) {
        engine.register(name, empty(schema))?;
    }
    let identity_rules = gather(&mut problems, Rules::declared(&project, &values))?;
    let checked = check_models(&engine, vertices, &values, &mut problems).await?;
    if let Some(edges) = checked.model(EDGES).filter(|_| !project.lost.touches(&["identity"])) {
        problems.extend(identity::check_edges(&project, &edges.parsed.model.file, &edges.schema));
        problems.extend(identifier_types::undeclared(&project, &edges.parsed, &engine, &values).await);
    }
    let profile = checked.model(PROFILE);
    let (mut rules, mut domains, mut proofs) = (Vec::new(), Domains::default(), Vec::new());
    if let Some(profile) = profile {
        let known = gather(&mut problems, Domains::compile(&project, &values, &engine, &profile.schema))?;
        let compiled = gather(&mut problems, segments::compile(&project, &values, &engine, &profile.schema))?;
        // Without some rules or what is known, proofs would find what is not there.
        let is_bound = project.pipeline.parameters.keys().all(|name| values.shown.contains_key(name));
        let is_whole = is_bound && ["segments", "profile", "parameters"].iter().all(|part| !project.lost.touches(&[part]));
        if let (Some(known), Some(compiled), true) = (known, compiled, is_whole) {
            proofs = segments::prove(&project, &values, &engine, &profile.schema, &known)?;
            let errors = proofs.iter_mut().flat_map(|proof| proof.problems.extract_if(.., |problem| problem.level == Level::Error));
            problems.extend(errors);
            (rules, domains) = (compiled, known);
        }
    }
    outputs::check(&project, &values, &checked, &mut problems).await?;
    let demands = demands(&project, &contracts, &checked, &mut problems);
    if !problems.is_empty() || !project.lost.is_empty() {
        // A parameter whose declaration is wrong is there all the same.
        let lost: Vec<String> = project.lost.names(&["parameters"]).iter().map(|name| format!("there is no parameter `${name}`")).collect();
        problems.retain(|problem| problem.code != "unknown-parameter" || !lost.contains(&problem.message));
        problems.extend(proofs.into_iter().flat_map(|proof| proof.problems));
        return Ok(Reviewed { plan: None, problems });
    }
    let published = project.pipeline.outputs.tables.values().map(|output| output.model.value.clone()).collect();
    let identity = identity_rules.map(|rules| Arc::new(IdentityStep::new(rules)) as Arc<dyn Native>);
    let natives = identity.into_iter().chain([Arc::new(SegmentsStep::new(rules, domains)) as Arc<dyn Native>]).collect();
    let nodes = nodes::decide(checked, natives, &published);
    let plan = Plan { project, values, contracts, demands, nodes, proofs };
    Ok(Reviewed { plan: Some(plan), problems })
}

/// Tells of locations that name no place. What they say is shown as it was typed, since variables may hold secrets.
fn check_places(project: &Project, problems: &mut Vec<Diagnostic>) {
    let sources = project.pipeline.sources.values().map(|source| (&source.location, Stores::unfit(&source.location.value)));
    let destination = &project.pipeline.outputs.destination;
    for (place, why) in sources.chain([(destination, Stores::unfit_to_write(&destination.value))]) {
        if let Some(why) = why {
            let problem = Diagnostic::error("invalid-location", "this is not a location").at(span_of(&project.file, place));
            problems.push(problem.label(why).hint(PLACES));
        }
    }
}

fn empty(schema: SchemaRef) -> Arc<dyn TableProvider> {
    Arc::new(EmptyTable::new(schema))
}
