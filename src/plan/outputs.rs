//! Outputs and the checks on them, held against the models before data is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::empty::{PLANNING, empty};
use super::models::CheckedModels;
use super::report;

use crate::config::{Model, Project, Spanned, Values, key_span, placed, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::graph::{self, CHANGES, MEMBERSHIP, PROFILE, PUBLISHED_COLUMNS, TRAITS};
use crate::native;
use crate::publish;
use crate::segments;
use crate::sql;

/// Checks that outputs name models and columns, and that checks are queries over outputs.
pub async fn check(project: &Project, values: &Values, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) -> Result<()> {
    let engine = Engine::new(PLANNING, values.zone.name())?;
    let always = [
        (MEMBERSHIP, segments::membership_schema()),
        (CHANGES, segments::memory::changes_schema()),
        (TRAITS, native::traits_schema()),
        (PUBLISHED_COLUMNS, native::published_columns_schema()),
    ];
    let mut native: BTreeMap<String, SchemaRef> = always.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    native.extend(checked.declared_tables());
    let mut outputs = BTreeMap::new();
    for (name, output) in &project.pipeline.outputs.tables {
        if let Some(why) = publish::unfit_name(name) {
            let problem = Diagnostic::error("output-name", format!("an output cannot be called `{name}`: {why}"));
            problems.push(problem.at(span_of(&project.file, &output.model)).label("of this output").hint("give it another name"));
        }
        let model = checked.model(&output.model.value).map(|model| &model.schema);
        let schema = model.or_else(|| native.get(output.model.value.as_str()));
        let Some(schema) = schema else {
            // A model that is there but wrong, and a profile that is not there, have been told already.
            if output.model.value != PROFILE && project.models.iter().all(|model| model.name() != output.model.value) {
                let names: Vec<String> = project.models.iter().map(Model::name).chain(native.keys().cloned()).collect();
                problems.push(
                    Diagnostic::error("unknown-model", format!("the output `{name}` names no model: `{}`", output.model.shown()))
                        .at(span_of(&project.file, &output.model))
                        .did_you_mean(&output.model.value, names.iter().map(String::as_str)),
                );
            }
            continue;
        };
        let before = problems.len();
        for (column, description) in output.columns.iter().filter(|(column, _)| schema.column_with_name(column).is_none()) {
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let problem = Diagnostic::error("unknown-column", format!("the output `{name}` has no column `{column}` to describe"));
            problems.push(problem.at(key_span(&project.file, column, description)).label("not a column of it").did_you_mean(column, names));
        }
        for (at, column) in output.sort.iter().enumerate() {
            if output.sort[..at].iter().any(|other| other.value == column.value) {
                let problem = Diagnostic::error("duplicate-column", format!("the output `{name}` sorts by `{}` twice", column.shown()));
                problems.push(problem.at(span_of(&project.file, column)).label("the second time"));
            }
            if schema.column_with_name(&column.value).is_none() {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                problems.push(
                    Diagnostic::error("unknown-column", format!("the output `{name}` has no column `{}` to sort by", column.shown()))
                        .at(span_of(&project.file, column))
                        .did_you_mean(&column.value, names),
                );
            }
        }
        if problems.len() == before {
            engine.register(name, empty(Arc::clone(schema)))?;
            outputs.insert(name.clone(), publish::Output { schema: Arc::clone(schema) });
        }
    }
    report::check(project, checked, problems);
    problems.extend(publish::check_problems(project, &outputs));
    problems.extend(publish::delta::problems(project, &outputs));
    for check in &project.pipeline.checks {
        let Some(query) = &check.sql else { continue };
        let found = check_query(project, values, &engine, check.name.shown(), query, &outputs).await;
        problems.extend(found.into_iter().map(|problem| placed(&project.file, query, problem)));
    }
    Ok(())
}

/// What is wrong with the query of a check, at its place in the query's own text.
async fn check_query(
    project: &Project,
    values: &Values,
    engine: &Engine,
    name: &str,
    query: &Spanned<String>,
    outputs: &BTreeMap<String, publish::Output>,
) -> Vec<Diagnostic> {
    let file = Arc::new(SourceFile { path: format!("check `{name}`"), text: query.value.clone() });
    let (statement, mut problems) = match sql::parse(&file) {
        Ok(parsed) => parsed,
        Err(problem) => return vec![problem],
    };
    let tables = sql::tables(&file, &statement);
    // A check of an output that is wrong would only repeat its problem.
    let lost = project.lost.names(&["outputs", "tables"]);
    let is_wrong = |name: &str| !outputs.contains_key(name) && (project.pipeline.outputs.tables.contains_key(name) || lost.contains(&name));
    let unknown = tables.iter().filter(|table| !outputs.contains_key(&table.name) && !is_wrong(&table.name));
    problems.extend(unknown.map(|table| sql::unknown_table(table, outputs.keys().map(String::as_str))));
    problems.extend(graph::unknown_parameters(project, &file, &statement));
    problems.extend(sql::samples(&file, &statement));
    let of_lost = |parameter: &sql::Mention| !values.parameters.contains_key(&parameter.name);
    let depends = tables.iter().any(|table| is_wrong(&table.name)) || sql::parameters(&file, &statement).iter().any(of_lost);
    if depends || !problems.is_empty() {
        return problems;
    }
    let planned = engine.plan(&statement, &values.parameters).await.and_then(|plan| engine.typed(&plan).map(|_| plan));
    match planned.and_then(|plan| engine::unsound(&plan)) {
        Ok(unsound) => unsound.into_iter().map(|part| sql::unsound(&file, &statement, part)).collect(),
        Err(error) => sql::problems(&file, &error),
    }
}
