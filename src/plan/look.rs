//! Plans a look at tables of a project: the nodes that one query needs, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decide::decide;
use super::dictionary::{self, Dictionary};
use super::models::{check_models, required_columns};
use super::nodes::Plan;
use super::planned_model::QUERY;
use super::privacy::PersonalColumns;
use super::review::{natives_of, plan, planning_engine};
use super::{declared, origins, traits};
use crate::config::{Freshness, Model, Project, RejectBudget, Values};
use crate::diagnostic::{Diagnostic, SourceFile, in_order};
use crate::error::{Error, Result, gather};
use crate::graph::{self, EDGES, Graph, PROFILE, PUBLISHED_COLUMNS, ParsedModel, Vertex};
use crate::identity::{self, Rules};
use crate::ingest::{self, Contract};
use crate::native::{self, IDENTITY_SIGNATURE};
use crate::segments::{self, Domains};
use crate::sql;

/// A query over the tables of a project.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its text.
    pub file: Arc<SourceFile>,
    /// Tables that are wanted beside those that it reads.
    pub beside: BTreeSet<String>,
    /// Tables that it may read and that the project does not make: they are there when it is computed.
    pub others: Vec<(String, arrow::datatypes::SchemaRef)>,
}

/// Plans what a query needs. The last node is the query itself. What is wrong with models that it does not need is passed over.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong with the query, and with what it needs.
pub async fn look(project: Arc<Project>, values: Values, query: Query) -> Result<Plan> {
    let mut problems = Vec::new();
    let contracts = ingest::contracts(&project, &values, &mut problems).into_iter().map(lenient);
    let contracts: Vec<Arc<Contract>> = contracts.map(Arc::new).collect();
    let graph = Graph::of(&project, native::steps(&project));
    let parsed = parse(&project, &graph, &query)?;
    let needed = graph.behind(parsed.reads.iter().chain(&query.beside).cloned());
    // What is published is known of the whole project alone.
    let whole = if needed.contains(PUBLISHED_COLUMNS) { Some(plan(Arc::clone(&project), values.clone()).await?) } else { None };
    let dictionary = whole.map_or_else(Dictionary::default, |whole| whole.dictionary);
    let mut vertices = graph.build(Some(&needed), &mut problems);
    vertices.push(Vertex::Model(Box::new(parsed)));
    let engine = planning_engine(&project, &values, &contracts, &mut problems)?;
    for (name, schema) in &query.others {
        engine.register(name, super::empty::empty(Arc::clone(schema)))?;
    }
    let identity_rules = gather(&mut problems, Rules::declared(&project, &values))?;
    let personal = PersonalColumns::of(&project.pipeline, &contracts);
    let checked = check_models(&engine, vertices, &values, personal, &mut problems).await?;
    if let Some(edges) = checked.model(EDGES) {
        problems.extend(identity::check_edges(&project, &edges.parsed.model.file, &edges.schema));
    }
    let (mut rules, mut domains) = (Vec::new(), Domains::default());
    if let Some(profile) = checked.model(PROFILE).filter(|_| checked.has_step(graph::MEMBERSHIP)) {
        domains = gather(&mut problems, Domains::compile(&project, &values, &engine, &profile.schema))?.unwrap_or_default();
        domains = domains.with_bounds(&profile.schema, &checked.predicted.bounds());
        rules = gather(&mut problems, segments::compile(&project, &values, &engine, &profile.schema))?.unwrap_or_default();
    }
    let declared_steps = declared::steps(&project, &values, &engine, &checked, &mut problems)?;
    let traits = traits::step(&project, &checked, &BTreeSet::new(), &rules, &mut problems);
    if !problems.is_empty() {
        return Err(Error::Project(in_order(problems)));
    }
    let mut required_columns = required_columns(&contracts, &checked);
    let has_identity_step = checked.has_step(IDENTITY_SIGNATURE.name);
    let declared = origins::declared(&project, &values, &engine, &contracts, has_identity_step)?;
    let hanging = origins::follow(&project, &values, &checked, &contracts, declared, &required_columns);
    let (bounds, segments_of_churn) = (checked.predicted.bounds(), checked.predicted.segments_of_churn(&rules));
    let (rows, origins) = origins::of(hanging, &rules, &contracts, &mut required_columns, has_identity_step);
    let mut natives = natives_of(&checked, identity_rules, (rules, origins), domains, values.as_of, None);
    let columns = dictionary::step(dictionary.published.clone(), &checked, &BTreeSet::new());
    natives.extend(declared_steps.into_iter().chain(traits).chain(columns));
    let (personal, nodes) = decide(checked, natives, &BTreeSet::new(), rows, true);
    let contracts = contracts.into_iter().filter(|contract| required_columns.contains_key(&contract.source)).collect();
    let (digest, proofs, warnings) = (project.digest.clone(), Vec::new(), Vec::new());
    Ok(Plan {
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
    })
}

/// Parses the query, all of whose tables must be known.
fn parse(project: &Project, graph: &Graph<'_>, query: &Query) -> Result<ParsedModel> {
    let (statement, mut problems) = sql::parse(&query.file)?;
    let tables = sql::tables(&query.file, &statement);
    let known: BTreeSet<String> = graph.tables().into_iter().chain(query.others.iter().map(|(name, _)| name.clone())).collect();
    let unknown = tables.iter().filter(|table| !known.contains(&table.name));
    let told: Vec<Diagnostic> = unknown.map(|table| sql::unknown_table(table, known.iter().map(String::as_str))).collect();
    problems.extend(told);
    problems.extend(graph::unknown_parameters(project, &query.file, &statement));
    if !problems.is_empty() {
        return Err(Error::Project(in_order(problems)));
    }
    let model = Model { schema: None, table: QUERY.to_owned(), file: Arc::clone(&query.file) };
    Ok(ParsedModel { model, statement, reads: tables.into_iter().map(|table| table.name).collect() })
}

/// A contract that refuses no extract for what is in it, or for its age, so that a bad extract can be looked at.
fn lenient(mut contract: Contract) -> Contract {
    contract.reject_budget = RejectBudget { share: 1.0, rows: u64::MAX };
    contract.freshness = Freshness::default();
    contract.min_files = contract.min_files.min(1);
    contract.min_rows = 0;
    contract
}
