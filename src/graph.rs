//! Who reads whom: dependencies between models, taken from their parsed SQL, in the order they run.

mod declared;
mod step;

pub use declared::DeclaredKind;
pub use step::{Input, Made, NativeInput, NativeTable, Signature, Step};

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
/// Who has entered or left a segment since the predecessor publication: made with the memberships.
pub const CHANGES: &str = "segment_changes";
/// How the members of segments differ from everybody: made from the profile and the memberships.
pub const TRAITS: &str = "segment_traits";
/// What each column of each output is and means: made from the plan.
pub const PUBLISHED_COLUMNS: &str = "published_columns";
/// What the pipeline file says of every segment.
pub const SEGMENTS: &str = "segments";

/// The model of edges between identifiers, from which the identity step finds the customers.
pub const EDGES: &str = "identity.edges";

/// A model with its parsed statement and what it reads.
#[derive(Debug, Clone)]
pub struct ParsedModel {
    /// The model.
    pub model: Model,
    /// Its parsed statement.
    pub statement: Statement,
    /// The names of the tables it reads, of every kind.
    pub reads: BTreeSet<String>,
}

/// A node of the graph: what makes tables from other tables.
#[derive(Debug, Clone)]
pub enum Vertex {
    /// A model, which makes the table of its name.
    Model(Box<ParsedModel>),
    /// A native step.
    Native(Arc<Step>),
}

impl Vertex {
    /// The model's or step's name.
    pub fn name(&self) -> String {
        match self {
            Vertex::Model(model) => model.model.name(),
            Vertex::Native(step) => step.name.clone(),
        }
    }

    /// The tables that it reads.
    pub fn reads(&self) -> BTreeSet<String> {
        match self {
            Vertex::Model(model) => model.reads.clone(),
            Vertex::Native(step) => step.reads.iter().map(|input| input.table.clone()).collect(),
        }
    }

    /// The tables that it makes.
    pub fn makes(&self) -> Vec<String> {
        match self {
            Vertex::Model(model) => vec![model.model.name()],
            Vertex::Native(step) => step.makes.iter().map(|table| table.name.clone()).collect(),
        }
    }

    fn place(&self) -> Place {
        match self {
            Vertex::Model(model) => place_of(&model.model),
            Vertex::Native(step) => place_of_step(step),
        }
    }
}

/// Where a table stands on the way of a row: it may read what stands at or before its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Given,
    Layer(usize),
    Profile,
    Membership,
    Last,
}

/// What every model of a project reads, as far as its SQL can be parsed, and the native steps of the project.
#[derive(Debug)]
pub struct Graph<'p> {
    project: &'p Project,
    natives: Vec<Arc<Step>>,
    parsed: Vec<(&'p Model, Result<Sound, Diagnostic>)>,
}

/// A parsed statement, and what is wrong with it nevertheless.
type Sound = (Statement, Vec<Diagnostic>);

impl<'p> Graph<'p> {
    /// Parses every model. A native step that is not declared belongs to a project that has what the step reads.
    pub fn of(project: &'p Project, natives: Vec<Arc<Step>>) -> Self {
        let is_model = |table: &str| project.models.iter().any(|model| model.name() == table);
        let mut kept: Vec<Arc<Step>> = Vec::with_capacity(natives.len());
        // A step comes after those that make what it reads.
        for native in natives {
            let has = |table: &str| is_model(table) || kept.iter().any(|earlier| earlier.makes_table(table));
            if native.declared.is_some() || native.reads.iter().all(|input| has(&input.table)) {
                kept.push(native);
            }
        }
        let parsed = project.models.iter().map(|model| (model, sql::parse(&model.file))).collect();
        Graph { project, natives: kept, parsed }
    }

    /// The models and native steps that some tables are made from, their own makers among them.
    pub fn behind(&self, tables: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        let mut makers: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        for (model, parsed) in &self.parsed {
            let reads = parsed.iter().flat_map(|(statement, _)| sql::tables(&model.file, statement)).map(|table| table.name);
            makers.insert(model.name(), (model.name(), reads.collect()));
        }
        for native in &self.natives {
            let reads: Vec<String> = native.reads.iter().map(|input| input.table.clone()).collect();
            makers.extend(native.makes.iter().map(|table| (table.name.clone(), (native.name.clone(), reads.clone()))));
        }
        let (mut found, mut waiting) = (BTreeSet::new(), tables.into_iter().collect::<Vec<_>>());
        while let Some(table) = waiting.pop() {
            // What nothing makes is given.
            let Some((name, reads)) = makers.get(&table) else { continue };
            if found.insert(name.clone()) {
                waiting.extend(reads.iter().cloned());
            }
        }
        found
    }

    /// What is wrong with models that are not needed, of which only the layer and the syntax are looked at.
    pub fn wrong_beside(&self, needed: &BTreeSet<String>) -> Vec<Diagnostic> {
        let beside = self.parsed.iter().filter(|(model, _)| !needed.contains(&model.name()));
        let found = beside.flat_map(|(model, parsed)| match (outside_of_layers(model), parsed) {
            (Some(problem), _) => vec![problem],
            (None, Ok((_, problems))) => problems.clone(),
            (None, Err(problem)) => vec![problem.clone()],
        });
        found.collect()
    }

    /// Every table that a model may name.
    pub fn tables(&self) -> BTreeSet<String> {
        known_tables(self.project, &self.natives).into_keys().collect()
    }

    /// Puts the models that are sound, and the native steps, in an order in which each comes after what it reads. The other models are
    /// problems: SQL that does not parse, tables that do not exist, layers read from right to left, unknown parameters and cycles. Models
    /// that are not needed are passed over; all are needed if none are named.
    pub fn build(self, needed: Option<&BTreeSet<String>>, problems: &mut Vec<Diagnostic>) -> Vec<Vertex> {
        let Graph { project, natives, parsed } = self;
        let is_needed = |name: &str| needed.is_none_or(|needed| needed.contains(name));
        let known = known_tables(project, &natives);
        let steps = natives.into_iter().filter(|native| is_needed(&native.name));
        let mut nodes: Vec<Vertex> = steps.map(Vertex::Native).collect();
        for (model, parsed) in parsed.into_iter().filter(|(model, _)| is_needed(&model.name())) {
            if let Some(problem) = outside_of_layers(model) {
                problems.push(problem);
                continue;
            }
            match parsed {
                Ok((statement, mut found)) => {
                    let reads = check(project, model, &statement, &known, &mut found);
                    if found.is_empty() {
                        nodes.push(Vertex::Model(Box::new(ParsedModel { model: model.clone(), statement, reads })));
                    }
                    problems.append(&mut found);
                }
                Err(problem) => problems.push(problem),
            }
        }
        order(nodes, problems)
    }
}

/// The problem of a model that is in no layer.
fn outside_of_layers(model: &Model) -> Option<Diagnostic> {
    model.schema.as_ref().filter(|schema| !LAYERS.contains(&schema.as_str()))?;
    let problem = Diagnostic::error("unknown-layer", format!("{} is in no layer", model.file.path));
    Some(problem.hint(format!("the folders of `sql/` are {}", list(&LAYERS))))
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
    let part = table.split_once('.').and_then(|(schema, name)| match schema {
        SOURCES | REFERENCE => Some((schema, name)),
        _ => DeclaredKind::ALL.into_iter().find(|kind| kind.schema() == schema).map(|kind| (kind.section(), kind.step_of(name))),
    });
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

/// Puts nodes in order of their reads, by name among equals; a cycle is a problem.
fn order(nodes: Vec<Vertex>, problems: &mut Vec<Diagnostic>) -> Vec<Vertex> {
    let makers: BTreeMap<String, String> =
        nodes.iter().flat_map(|node| node.makes().into_iter().map(move |table| (table, node.name()))).collect();
    let mut waiting: BTreeMap<String, Vertex> = nodes.into_iter().map(|node| (node.name(), node)).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        // The leftmost layer first, so that steps come in the order in which a row passes them.
        let ready = waiting
            .iter()
            .filter(|(_, node)| next_of(node, &makers, &waiting).is_none())
            .min_by_key(|(name, node)| (node.place(), (*name).clone()))
            .map(|(name, _)| name.clone());
        match ready.and_then(|name| waiting.remove(&name)) {
            Some(node) => ordered.push(node),
            None => {
                problems.push(cycle(&makers, &waiting));
                break;
            }
        }
    }
    ordered
}

/// The first node that a node waits for.
fn next_of(node: &Vertex, makers: &BTreeMap<String, String>, waiting: &BTreeMap<String, Vertex>) -> Option<String> {
    node.reads().iter().filter_map(|read| makers.get(read)).find(|maker| waiting.contains_key(*maker)).cloned()
}

/// The cycle that the first of the nodes that wait for each other is on.
fn cycle(makers: &BTreeMap<String, String>, waiting: &BTreeMap<String, Vertex>) -> Diagnostic {
    let next = |name: &String| waiting.get(name).and_then(|node| next_of(node, makers, waiting));
    let mut path: Vec<String> = waiting.keys().next().cloned().into_iter().collect();
    while let Some(name) = path.last().and_then(next) {
        if let Some(start) = path.iter().position(|seen| *seen == name) {
            path.drain(..start);
            path.push(name);
            break;
        }
        path.push(name);
    }
    // It is told from a model on, which has a place.
    if path.first() == path.last() && path.len() > 1 {
        path.pop();
        let first_model = path.iter().position(|name| matches!(waiting.get(name), Some(Vertex::Model(_)))).unwrap_or(0);
        path.rotate_left(first_model);
        path.extend(path.first().cloned());
    }
    let diagnostic = Diagnostic::error("cycle", format!("models read each other in a circle: {}", path.join(" → ")));
    let place = path.first().and_then(|first| match waiting.get(first)? {
        Vertex::Model(model) => {
            let tables = sql::tables(&model.model.file, &model.statement);
            tables.into_iter().find(|table| makers.get(&table.name) == path.get(1))?.span
        }
        Vertex::Native(_) => None,
    });
    match place {
        Some(span) => diagnostic.at(span).label("the circle begins here"),
        None => diagnostic,
    }
}

/// Every table that a model may name, with its place.
fn known_tables(project: &Project, natives: &[Arc<Step>]) -> BTreeMap<String, Place> {
    let sources = project.pipeline.sources.keys().map(|name| (format!("{SOURCES}.{name}"), Place::Given));
    let reference = project.pipeline.reference.keys().map(|name| (format!("{REFERENCE}.{name}"), Place::Given));
    let models = project.models.iter().map(|model| (model.name(), place_of(model)));
    let of_natives = natives.iter().flat_map(|native| {
        let place = place_of_step(native);
        native.makes.iter().map(move |table| (table.name.clone(), place))
    });
    // Memberships and what is said of the segments may be named although there is no profile yet, which is a problem of its own.
    let of_segments = [MEMBERSHIP, CHANGES, TRAITS].map(|table| (table.to_owned(), Place::Membership));
    let always = std::iter::once((SEGMENTS.to_owned(), Place::Given)).chain(of_segments);
    sources.chain(reference).chain(models).chain(always).chain(of_natives).collect()
}

fn place_of(model: &Model) -> Place {
    match &model.schema {
        Some(schema) => layer(schema),
        None if model.table == PROFILE => Place::Profile,
        None => Place::Last,
    }
}

fn place_of_step(step: &Step) -> Place {
    step.layer.map_or(Place::Membership, layer)
}

fn layer(schema: &str) -> Place {
    Place::Layer(LAYERS.iter().position(|layer| *layer == schema).unwrap_or(LAYERS.len()))
}
