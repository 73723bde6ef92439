//! Who reads whom: dependencies between models, taken from their parsed SQL, in the order they run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::sql::parser::Statement;

use crate::config::{AS_OF, Model, NULL_VALUES, Project};
use crate::diagnostic::{Diagnostic, SourceFile, list};
use crate::sql;

/// The layers from left to right. A model reads its own layer and those to the left of it.
pub const LAYERS: [&str; 4] = ["staging", "identity", "features", "scores"];
/// The schema of the extracts.
pub const SOURCES: &str = "sources";
/// The schema of the tables kept in the pipeline file.
pub const REFERENCE: &str = "reference";
/// The customer profile, which segment rules read.
pub const PROFILE: &str = "customers";
/// Who is in which segment: made from the segment rules, after the profile.
pub const MEMBERSHIP: &str = "segment_membership";
/// What the pipeline file says of every segment.
pub const SEGMENTS: &str = "segments";

/// The model that ties identifiers, from which the identity step finds the customers.
pub const EDGES: &str = "identity.edges";
/// The schema of what the identity step finds.
pub const RESOLVED: &str = "resolved";
/// The tables of that schema.
pub const RESOLVED_TABLES: [&str; 3] = ["resolved.customers", "resolved.conflicts", "resolved.aliases"];

/// A model with its parsed statement and what it reads.
#[derive(Debug, Clone)]
pub struct Node {
    /// The model.
    pub model: Model,
    /// Its parsed statement.
    pub statement: Statement,
    /// The names of the tables it reads, of every kind.
    pub reads: BTreeSet<String>,
}

impl Node {
    /// The tables that must be there before this model: what it reads, and what those are found from.
    pub fn needs(&self) -> BTreeSet<String> {
        let found = self.reads.iter().any(|read| RESOLVED_TABLES.contains(&read.as_str()));
        self.reads.iter().cloned().chain(found.then(|| EDGES.to_owned())).collect()
    }
}

/// Where a table stands on the road of a row: it may read what stands at or before its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Given,
    Layer(usize),
    Profile,
    Membership,
    Last,
}

/// Parses every model and puts those that are sound in an order in which each comes after what it reads. The others are
/// problems: SQL that does not parse, tables that do not exist, layers read from right to left, unknown parameters and cycles.
pub fn build(project: &Project, problems: &mut Vec<Diagnostic>) -> Vec<Node> {
    let known = known_tables(project);
    let mut nodes = Vec::new();
    for model in &project.models {
        if let Some(schema) = &model.schema
            && !LAYERS.contains(&schema.as_str())
        {
            problems.push(
                Diagnostic::error("unknown-layer", format!("{} is in no layer", model.file.path))
                    .hint(format!("the folders of `sql/` are {}", list(&LAYERS))),
            );
            continue;
        }
        match sql::parse(&model.file) {
            Ok((statement, mut found)) => {
                let reads = check(project, model, &statement, &known, &mut found);
                if found.is_empty() {
                    nodes.push(Node { model: model.clone(), statement, reads });
                }
                problems.append(&mut found);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let profile = project.models.iter().find(|model| model.name() == PROFILE);
    if profile.is_none() {
        problems.push(
            Diagnostic::error("no-profile", "there is no model `customers`")
                .hint("segment rules read the customer profile, one row a customer: write `sql/customers.sql`"),
        );
    }
    order(nodes, problems)
}

/// Checks what one model reads, and gives the names.
fn check(
    project: &Project,
    model: &Model,
    statement: &Statement,
    known: &BTreeMap<String, Place>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeSet<String> {
    let tables = sql::tables(&model.file, statement);
    let own = place_of(model);
    for table in &tables {
        let name = &table.name;
        match known.get(name) {
            None if is_lost(project, name) => {}
            None => problems.push(sql::unknown_table(table, known.keys().map(String::as_str))),
            Some(place) if *place > own => {
                let problem = Diagnostic::error("layer-order", format!("`{}` reads `{name}`, which comes after it", model.name()))
                    .label("stands to the right")
                    .hint(
                        "layers are read from left to right: sources, staging, identity, features, scores, customers, segment_membership",
                    );
                problems.push(match &table.span {
                    Some(span) => problem.at(span.clone()),
                    None => problem,
                });
            }
            Some(_) => {}
        }
    }
    problems.extend(unknown_parameters(project, &model.file, statement));
    tables.into_iter().map(|table| table.name).collect()
}

/// Whether a table is declared in a part of the pipeline file that is wrong, and has been told so.
fn is_lost(project: &Project, table: &str) -> bool {
    let part = table.split_once('.').filter(|(schema, _)| [SOURCES, REFERENCE].contains(schema));
    // One whose name is none may be the one that is meant.
    let is_none = |lost: &str| !lost.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    part.is_some_and(|(schema, name)| project.lost.names(&[schema]).iter().any(|lost| *lost == name || is_none(lost)))
}

/// The parameters that a query reads and nobody declares.
pub fn unknown_parameters(project: &Project, file: &Arc<SourceFile>, statement: &Statement) -> Vec<Diagnostic> {
    let lost = project.lost.names(&["parameters"]);
    let declared: Vec<&str> = project.pipeline.parameters.keys().map(String::as_str).chain([AS_OF, NULL_VALUES]).chain(lost).collect();
    let written: Vec<String> = declared.iter().map(|parameter| format!("${parameter}")).collect();
    let unknown = sql::parameters(file, statement).into_iter().filter(|parameter| !declared.contains(&parameter.name.as_str()));
    let told = unknown.map(|sql::Mention { name, span }| {
        let problem = Diagnostic::error("unknown-parameter", format!("there is no parameter `${name}`"))
            .label("not declared")
            .did_you_mean(&format!("${name}"), written.iter().map(String::as_str));
        match span {
            Some(span) => problem.at(span),
            None => problem,
        }
    });
    told.collect()
}

/// Puts models in order of their reads, by name among equals; a cycle is a problem.
fn order(nodes: Vec<Node>, problems: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut waiting: BTreeMap<String, Node> = nodes.into_iter().map(|node| (node.model.name(), node)).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        // The leftmost layer first, so that steps read like the road of a row.
        let ready = waiting
            .iter()
            .filter(|(_, node)| !node.needs().iter().any(|read| waiting.contains_key(read)))
            .min_by_key(|(name, node)| (place_of(&node.model), (*name).clone()))
            .map(|(name, _)| name.clone());
        match ready.and_then(|name| waiting.remove(&name)) {
            Some(node) => ordered.push(node),
            None => {
                problems.push(cycle(&waiting));
                break;
            }
        }
    }
    ordered
}

/// The cycle that the first of the models that wait for each other is on.
fn cycle(waiting: &BTreeMap<String, Node>) -> Diagnostic {
    let next = |name: &String| waiting.get(name).and_then(|node| node.needs().into_iter().find(|read| waiting.contains_key(read)));
    let mut path: Vec<String> = waiting.keys().next().cloned().into_iter().collect();
    while let Some(name) = path.last().and_then(next) {
        if let Some(start) = path.iter().position(|seen| *seen == name) {
            path.drain(..start);
            path.push(name);
            break;
        }
        path.push(name);
    }
    let diagnostic = Diagnostic::error("cycle", format!("models read each other in a circle: {}", path.join(" → ")));
    let place = waiting.get(path.first().map_or("", String::as_str)).and_then(|node| {
        let tables = sql::tables(&node.model.file, &node.statement);
        tables.into_iter().find(|table| path.get(1) == Some(&table.name))?.span
    });
    match place {
        Some(span) => diagnostic.at(span).label("the circle begins here"),
        None => diagnostic,
    }
}

/// Every table that a model may name, with its place.
fn known_tables(project: &Project) -> BTreeMap<String, Place> {
    let sources = project.pipeline.sources.keys().map(|name| (format!("{SOURCES}.{name}"), Place::Given));
    let reference = project.pipeline.reference.keys().map(|name| (format!("{REFERENCE}.{name}"), Place::Given));
    let models = project.models.iter().map(|model| (model.name(), place_of(model)));
    let made = [(SEGMENTS.to_owned(), Place::Given), (MEMBERSHIP.to_owned(), Place::Membership)];
    let identity = LAYERS.iter().position(|layer| *layer == "identity").unwrap_or(0);
    let resolved = project.models.iter().filter(|model| model.name() == EDGES).flat_map(|_| RESOLVED_TABLES);
    let resolved = resolved.map(|name| (name.to_owned(), Place::Layer(identity)));
    sources.chain(reference).chain(models).chain(made).chain(resolved).collect()
}

fn place_of(model: &Model) -> Place {
    match &model.schema {
        Some(schema) => Place::Layer(LAYERS.iter().position(|layer| layer == schema).unwrap_or(LAYERS.len())),
        None if model.table == PROFILE => Place::Profile,
        None => Place::Last,
    }
}

/// Whether a model can only run once customers have their segments.
pub fn after_membership(model: &Model) -> bool {
    place_of(model) == Place::Last
}
