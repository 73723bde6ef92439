//! What the SQL of `identity.edges` itself says before data is read: the types of identifiers that it names, and the sources of its edges.

use std::collections::BTreeSet;

use crate::config::{Project, Values, span_of};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::graph::ParsedModel;
use crate::lineage::texts_of;
use crate::sql;

/// The column of `identity.edges` that says where an edge comes from.
const SOURCE: &str = "source";
/// The columns of `identity.edges` that name a type.
const TYPES: [&str; 2] = ["identifier_type", "other_type"];

/// A problem for each text that the model writes as a type and that is none.
pub async fn undeclared(project: &Project, edges: &ParsedModel, engine: &Engine, values: &Values) -> Vec<Diagnostic> {
    let declared = &project.pipeline.identity.types;
    // What does not plan has been told.
    let Ok(plan) = engine.plan(&edges.statement, &values.parameters).await else { return Vec::new() };
    if declared.is_empty() {
        return Vec::new();
    }
    let mut named = BTreeSet::new();
    for column in TYPES {
        if let Some(at) = plan.schema().index_of_column_by_name(None, column) {
            texts_of(&plan, at, &mut named);
        }
    }
    let file = &edges.model.file;
    let unknown = named.into_iter().filter(|name| !name.is_empty() && !declared.contains_key(name));
    let told = unknown.map(|name| {
        let problem = Diagnostic::error(
            "unknown-identifier-type",
            format!("`identity.edges` names a type of identifiers that is not declared: `{name}`"),
        )
        .at(sql::text_in(file, &name).unwrap_or_else(|| sql::whole(file)))
        .label("not declared");
        let hint = "`identity: types:` of the pipeline file declares the types";
        let told = problem.did_you_mean(&name, declared.keys().map(String::as_str));
        if told.hint.is_some() { told } else { told.hint(hint) }
    });
    told.collect()
}

/// A warning for each name of the trust order from which no edge comes. Where the sources come from a table, they are not known before
/// data is read.
pub async fn without_edges(project: &Project, edges: &ParsedModel, engine: &Engine, values: &Values) -> Vec<Diagnostic> {
    let Ok(plan) = engine.plan(&edges.statement, &values.parameters).await else { return Vec::new() };
    let Some(at) = plan.schema().index_of_column_by_name(None, SOURCE) else { return Vec::new() };
    let mut named = BTreeSet::new();
    if !texts_of(&plan, at, &mut named) {
        return Vec::new();
    }
    let unknown = project.pipeline.identity.trust.iter().filter(|source| !named.contains(&source.value));
    let told = unknown.map(|source| {
        let what = format!("no edge comes from `{}`, which the trust order names", source.shown());
        let told = Diagnostic::warning("unknown-trust", what).at(span_of(&project.file, source)).label("changes nothing");
        let hint = "`identity.edges` says in its column `source` where an edge comes from";
        let told = told.did_you_mean(&source.value, named.iter().map(String::as_str));
        if told.hint.is_some() { told } else { told.hint(hint) }
    });
    told.collect()
}
