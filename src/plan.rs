//! What will run: models in order with their types checked, each kept as a table or computed where it is read.

mod identifier_types;
mod outputs;
mod unused;

pub use unused::unused;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;

use crate::config::{Part, Project, ReferenceTable, Values, parse_scalars, span_of, span_of_part, typed as typed_as};
use crate::diagnostic::{Diagnostic, Level, in_order, list};
use crate::engine::{self, Engine, Limits};
use crate::error::{Error, Result, gather};
use crate::graph::{self, MEMBERSHIP, Node, PROFILE, REFERENCE, SEGMENTS, SOURCES};
use crate::identity::{self, Rules};
use crate::ingest::{self, Contract, Demand};
use crate::segments::{self, Domains, Proof, RuleSet};
use crate::sql;
use crate::storage::{PLACES, Stores};

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
    /// The models, each after what it reads.
    pub models: Vec<PlannedModel>,
    /// The segment sets with their rules compiled.
    pub rules: Vec<RuleSet>,
    /// What is known of the profile.
    pub domains: Domains,
    /// What was proved of every set.
    pub proofs: Vec<Proof>,
}

impl Plan {
    /// Whether it has an identity step.
    pub fn resolves(&self) -> bool {
        self.models.iter().any(|model| model.node.model.name() == graph::EDGES)
    }

    /// What somebody should look at although the project runs.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.proofs.iter().flat_map(|proof| &proof.problems)
    }
}

/// A model and how it is computed.
#[derive(Debug, Clone)]
pub struct PlannedModel {
    /// The model and what it reads.
    pub node: Node,
    /// Its columns.
    pub schema: SchemaRef,
    /// Whether it is computed where it is read, rather than kept as a table: a staging model that is read once.
    pub inline: bool,
    /// Whether it is read by SQL; nothing reads `identity.edges` but the identity step, unless a model does.
    pub is_read: bool,
    /// The tables that nothing reads after this model.
    pub frees: Vec<String>,
    /// What it comes to by itself.
    cost: Cost,
}

/// What a model comes to, with the models that are computed where it reads them.
#[derive(Debug, Clone, Copy)]
struct Cost {
    size: sql::Size,
    /// The most parts that one of its columns is made of.
    parts: u64,
}

impl Cost {
    fn over(self, read: Cost) -> Cost {
        Cost { size: self.size.over(read.size), parts: self.parts.saturating_mul(read.parts) }
    }

    fn fits(self) -> bool {
        self.size.fits() && self.parts <= engine::MAX_PARTS
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
    let nodes = graph::build(&project, &mut problems);
    let engine = Engine::new(PLANNING, values.zone.name())?;
    gather(&mut problems, register_reference(&engine, &project, &values))?;
    for contract in &contracts {
        engine.register(&format!("{SOURCES}.{}", contract.source), empty(Arc::clone(&contract.schema)))?;
    }
    engine.register(MEMBERSHIP, empty(segments::membership_schema()))?;
    for (name, schema) in graph::RESOLVED_TABLES.into_iter().zip(identity::resolved_schemas()) {
        engine.register(name, empty(schema))?;
    }
    gather(&mut problems, Rules::declared(&project, &values))?;
    let checked = check_models(&engine, nodes, &values, &mut problems).await?;
    for edges in checked.models.iter().filter(|model| model.node.model.name() == graph::EDGES && !project.lost.touches(&["identity"])) {
        problems.extend(identity::check_edges(&project, &edges.node.model.file, &edges.schema));
        problems.extend(identifier_types::undeclared(&project, &edges.node, &engine, &values).await);
    }
    let profile = checked.models.iter().find(|model| model.node.model.name() == PROFILE);
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
    outputs::check(&project, &values, &checked.models, &mut problems).await?;
    let demands = demands(&project, &contracts, &checked, &mut problems);
    if !problems.is_empty() || !project.lost.is_empty() {
        // A parameter whose declaration is wrong is there all the same.
        let lost: Vec<String> = project.lost.names(&["parameters"]).iter().map(|name| format!("there is no parameter `${name}`")).collect();
        problems.retain(|problem| problem.code != "unknown-parameter" || !lost.contains(&problem.message));
        problems.extend(proofs.into_iter().flat_map(|proof| proof.problems));
        return Ok(Reviewed { plan: None, problems });
    }
    let published = project.pipeline.outputs.tables.values().map(|output| output.model.value.clone()).collect();
    let models = keep_or_inline(checked, &published);
    let plan = Plan { project, values, contracts, demands, models, rules, domains, proofs };
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

/// Registers the tables kept in the pipeline file, the one that describes the segments, and the salt that identifiers are hashed with.
///
/// # Errors
/// [`Error::Project`] with every row that has the wrong number of values or a value of the wrong type.
pub fn register_reference(engine: &Engine, project: &Project, values: &Values) -> Result<()> {
    let mut problems = Vec::new();
    engine.hash_with(project.pipeline.identity.salt.as_deref().unwrap_or_default());
    for (name, table) in project.pipeline.reference.iter().filter(|(name, _)| !project.lost.touches(&[REFERENCE, name])) {
        match reference_batch(project, name, table, values) {
            Ok(batch) => engine.register_batches(&format!("{REFERENCE}.{name}"), batch.schema(), vec![batch])?,
            Err(found) => problems.extend(found),
        }
    }
    let described = segments::describe(&project.pipeline)?;
    engine.register_batches(SEGMENTS, described.schema(), vec![described])?;
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}

/// The models that could be checked, with how often each table is read, and which columns of the sources.
struct CheckedModels {
    models: Vec<PlannedModel>,
    reads: BTreeMap<String, usize>,
    columns: BTreeMap<String, BTreeSet<String>>,
}

impl CheckedModels {
    /// Counts what a model reads. A source that turns out not to be read, for a condition that never holds, is read no times.
    fn count(&mut self, planned: &LogicalPlan, optimized: Option<&LogicalPlan>) -> Result<(), DataFusionError> {
        let really = optimized.map(engine::reads).transpose()?;
        for (table, times) in engine::reads(planned)? {
            let of_source = table.strip_prefix(SOURCES).is_some_and(|rest| rest.starts_with('.'));
            let times = really.as_ref().filter(|_| of_source).map_or(times, |really| really.get(&table).copied().unwrap_or(0));
            *self.reads.entry(table).or_default() += times;
        }
        for (table, columns) in optimized.map(engine::columns_read).transpose()?.unwrap_or_default() {
            self.columns.entry(table).or_default().extend(columns);
        }
        Ok(())
    }
}

async fn check_models(engine: &Engine, nodes: Vec<Node>, values: &Values, problems: &mut Vec<Diagnostic>) -> Result<CheckedModels> {
    let mut checked = CheckedModels { models: Vec::new(), reads: BTreeMap::new(), columns: BTreeMap::new() };
    for node in nodes {
        let name = node.model.name();
        // A model that reads a wrong one, or a wrong source, would only repeat its problem.
        let of_lost = |parameter: &sql::Mention| !values.parameters.contains_key(&parameter.name);
        if !node.reads.iter().all(|read| engine.has(read)) || sql::parameters(&node.model.file, &node.statement).iter().any(of_lost) {
            continue;
        }
        let planned = engine.plan(&node.statement, &values.parameters).await;
        // Which columns of a source are wanted shows once what nothing uses is gone; elsewhere only the types are looked at.
        let reads_source = node.reads.iter().any(|read| read.starts_with(SOURCES) && read[SOURCES.len()..].starts_with('.'));
        let checked_types =
            |plan: &LogicalPlan| if reads_source { engine.optimize(plan).map(Some) } else { engine.check_types(plan).map(|()| None) };
        let (planned, optimized) = match planned.and_then(|planned| Ok((checked_types(&planned)?, planned))) {
            Ok((optimized, planned)) => (planned, optimized),
            Err(error) => {
                problems.extend(sql::problems(&node.model.file, &error));
                continue;
            }
        };
        let unrepeatable = engine::unrepeatable_in(&planned).map_err(|error| Error::defect(error.to_string()))?;
        problems.extend(unrepeatable.iter().map(|function| sql::unrepeatable(&node.model.file, function)));
        problems.extend(sql::samples(&node.model.file, &node.statement));
        let dependent = engine::dependent_on_order(&planned).map_err(|error| Error::defect(error.to_string()))?;
        problems.extend(dependent.iter().flat_map(|dependence| sql::dependent(&node.model.file, &node.statement, dependence)));
        let schema = engine::answer_schema(planned.schema().as_arrow());
        let parts = Engine::parts(&planned).map_err(|error| Error::defect(error.to_string()))?;
        let cost = Cost { size: sql::size(&node.statement), parts };
        checked.count(&planned, optimized.as_ref()).map_err(|error| Error::defect(error.to_string()))?;
        engine.register(&name, empty(Arc::clone(&schema)))?;
        checked.models.push(PlannedModel { node, schema, inline: false, is_read: true, frees: Vec::new(), cost });
    }
    Ok(checked)
}

/// Decides which models are kept as tables, and after which step each table is of no more use.
fn keep_or_inline(checked: CheckedModels, published: &BTreeSet<String>) -> Vec<PlannedModel> {
    let CheckedModels { mut models, reads, .. } = checked;
    for model in &mut models {
        let staging = model.node.model.schema.as_deref() == Some(graph::LAYERS[0]);
        let name = model.node.model.name();
        model.is_read = reads.contains_key(&name) || published.contains(&name);
        model.inline = staging && reads.get(&name) == Some(&1) && !published.contains(&name);
    }
    keep_what_would_cost_too_much(&mut models);
    // Whoever reads an inline model reads what that one reads.
    let mut last_reader: BTreeMap<String, usize> = BTreeMap::new();
    let mut reach: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (position, model) in models.iter().enumerate() {
        let mut all = model.node.reads.clone();
        for read in &model.node.reads {
            all.extend(reach.get(read).into_iter().flatten().cloned());
        }
        if model.inline {
            reach.insert(model.node.model.name(), all);
        } else {
            last_reader.extend(all.into_iter().map(|read| (read, position)));
        }
    }
    for (table, position) in last_reader {
        let made_later = [PROFILE, MEMBERSHIP, SEGMENTS].contains(&table.as_str());
        if !made_later && !published.contains(&table) {
            models[position].frees.push(table);
        }
    }
    models
}

/// Models that read one another without being kept are planned as one. Where that would be too much, what is read is kept.
fn keep_what_would_cost_too_much(models: &mut [PlannedModel]) {
    let mut costs: BTreeMap<String, (usize, Cost)> = BTreeMap::new();
    for at in 0..models.len() {
        let mut cost = models[at].cost;
        for read in models[at].node.reads.clone() {
            let Some((inline, of_read)) = costs.get(&read).copied() else { continue };
            let together = cost.over(of_read);
            if together.fits() {
                cost = together;
            } else {
                models[inline].inline = false;
            }
        }
        if models[at].inline {
            costs.insert(models[at].node.model.name(), (at, cost));
        }
    }
}

/// What models read of each source. A source that nothing reads is a mistake: its rows could not be accounted for.
fn demands(
    project: &Project,
    contracts: &[Arc<Contract>],
    checked: &CheckedModels,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Demand> {
    let mut demands = BTreeMap::new();
    for contract in contracts {
        let name = format!("{SOURCES}.{}", contract.source);
        if let Some(&times) = checked.reads.get(&name) {
            let columns = checked.columns.get(&name).cloned().unwrap_or_default();
            demands.insert(contract.source.clone(), Demand { times, columns });
            continue;
        }
        // A model that could not be checked may be meant to read it.
        if checked.models.len() < project.models.len() {
            continue;
        }
        let mut problem = Diagnostic::error("unused-source", format!("no model reads `{name}`"))
            .hint("read it in a staging model, or leave it out, so that every row of every source is accounted for");
        if let Some(source) = project.pipeline.sources.get(&contract.source) {
            problem = problem.at(span_of(&project.file, &source.location));
        }
        problems.push(problem);
    }
    demands
}

fn reference_batch(project: &Project, name: &str, table: &ReferenceTable, values: &Values) -> Result<RecordBatch, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let width = table.columns.len();
    for row in table.rows.iter().filter(|row| row.value.len() != width) {
        problems.push(
            Diagnostic::error("reference-width", format!("a row of `{name}` has {} values for {width} columns", row.value.len()))
                .at(span_of(&project.file, row))
                .hint(format!("its columns are {}", list(&table.columns.keys().map(String::as_str).collect::<Vec<_>>()))),
        );
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut arrays = Vec::new();
    for (position, (column, column_type)) in table.columns.iter().enumerate() {
        let texts: StringArray = table.rows.iter().map(|row| row.value[position].clone()).collect();
        let typed = parse_scalars(&texts, *column_type, &values.zone).unwrap_or_else(|| Arc::new(texts));
        for (at, row) in table.rows.iter().enumerate() {
            if let Some(text) = &row.value[position]
                && typed.is_null(at)
            {
                let span = span_of_part(&project.file, row, Part::Item(position));
                let text = typed_as(&span).unwrap_or(text);
                let what = format!("`{text}` is no {column_type}, as the column `{column}` of `{name}` is");
                problems.push(Diagnostic::error("reference-type", what).at(span.clone()).label(format!("not of type {column_type}")));
            }
        }
        arrays.push(typed);
    }
    let fields: Vec<_> =
        table.columns.iter().map(|(name, column_type)| Field::new(name, column_type.arrow(values.zone.name()), true)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| vec![Diagnostic::error("reference-type", error.to_string())])
}

fn empty(schema: SchemaRef) -> Arc<dyn TableProvider> {
    Arc::new(EmptyTable::new(schema))
}
