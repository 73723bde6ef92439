//! The project's own tests: given rows go through the real engine, and what comes out is compared with what is expected.

mod bench;
mod case;
mod compare;

pub use compare::CaseResult;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;

use crate::clock::Doing;
use crate::config::{self, Part, Project, span_of, span_of_part};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::engine::TextEncoding;
use crate::error::{Error, Result};
use crate::graph::SOURCES;
use crate::plan::{self, Plan};
use bench::Bench;
use case::Case;
use compare::compare;

/// The JSON Schema of a file of cases.
pub fn schema() -> serde_json::Value {
    config::schema_of::<Vec<Case>>()
}

/// Runs every case of the files in `tests/models`, and says which.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong with the cases themselves; a difference is no error.
pub async fn run(project: &Arc<Project>, text_encoding: TextEncoding, doing: &Doing) -> Result<Vec<CaseResult>> {
    let folder = project.root.join("tests/models");
    let mut results = Vec::new();
    // Most cases share their day and parameters, and so their plan.
    let mut plans: BTreeMap<(NaiveDate, BTreeMap<String, String>), Plan> = BTreeMap::new();
    for file in config::read_files(&folder, "yaml")? {
        let cases: Vec<Case> = config::parse(&file, &config::Environment::new())?;
        for case in cases {
            doing.begins(format!("the case `{}` of `{}`", case.name.shown(), case.model.shown()));
            let key = (case.day(&file)?, case.parameters.clone());
            if !plans.contains_key(&key) {
                let values = config::bind(project, key.0, &key.1)?;
                plans.insert(key.clone(), plan::plan(Arc::clone(project), values).await?);
            }
            let plan = &plans[&key];
            let problems = unknown_names(plan, &file, &case);
            if !problems.is_empty() {
                return Err(Error::Project(problems));
            }
            let (schema, found) = Bench::new(plan, text_encoding, &file, &case)?.compute().await?;
            results.push(compare(&file, &case, &schema, &found)?);
        }
    }
    if results.is_empty() {
        let what = format!("there are no cases in {}", shown(&folder));
        return Err(Diagnostic::error("no-cases", what)
            .hint("write given rows and expected rows in `tests/models`: docs/guides/segments.md#testing-a-model shows how")
            .into());
    }
    Ok(results)
}

/// What is wrong with the cases of a project, told without running one; with a plan, also which names in them are none.
pub fn problems(project: &Project, plan: Option<&Plan>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let files = match config::read_files(&project.root.join("tests/models"), "yaml") {
        Ok(files) => files,
        Err(Error::Project(found)) => return found,
        Err(_) => return problems,
    };
    for file in files {
        let parsed: config::Parsed<Vec<Case>> = config::parse_what_is_right(&file, &config::Environment::new());
        problems.extend(parsed.problems);
        for case in parsed.value.into_iter().flatten() {
            match case.day(&file) {
                Ok(day) => {
                    let bound = config::bind_what_is_right(project, day, &case.parameters).map(|(_, found)| found).unwrap_or_default();
                    // What is wrong with the project itself has a place, and has been told.
                    let of_case = bound.into_iter().filter(|problem| problem.span.is_none());
                    problems.extend(of_case.map(|problem| Diagnostic { hint: None, ..problem.at(span_of(&file, &case.name)) }));
                }
                Err(Error::Project(found)) => problems.extend(found),
                Err(_) => {}
            }
            problems.extend(plan.map(|plan| unknown_names(plan, &file, &case)).unwrap_or_default());
        }
    }
    problems
}

/// Every table that is given, and the model that is asked, must be there.
fn unknown_names(plan: &Plan, file: &Arc<SourceFile>, case: &Case) -> Vec<Diagnostic> {
    let sources = plan.contracts.iter().map(|contract| format!("{SOURCES}.{}", contract.source));
    let made = plan.nodes.iter().flat_map(|node| node.makes.iter().cloned());
    let known: BTreeSet<String> = sources.chain(made).collect();
    let names = known.iter().map(String::as_str);
    let wrong = |name: &str| Diagnostic::error("unknown-table", format!("there is no table `{name}`")).did_you_mean(name, names.clone());
    let model = &case.model;
    let mut problems: Vec<Diagnostic> = Vec::new();
    if !known.contains(&model.value) {
        problems.push(wrong(&model.value).at(span_of(file, model)));
    }
    if let Some(given) = &case.given {
        let unknown = given.value.keys().filter(|name| !known.contains(*name));
        problems.extend(unknown.map(|name| wrong(name).at(span_of_part(file, given, Part::Key(name)))));
    }
    problems
}

fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}
