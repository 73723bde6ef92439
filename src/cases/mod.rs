//! The project's own tests: given rows go through the real engine, and what comes out is compared with what is expected.

mod bench;
mod case;
mod compare;
mod coverage;
mod filters;

pub use compare::CaseResult;
pub use coverage::Uncovered;
pub use filters::Filters;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::Serialize;

use crate::clock::Doing;
use crate::config::{self, Part, Project, Values, span_of, span_of_part};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::engine::TextEncoding;
use crate::error::{Error, Message, Result, gather};
use crate::graph::SOURCES;
use crate::plan::{self, Plan};
use bench::Bench;
use case::Case;
use compare::compare;
use coverage::Coverage;

/// The JSON Schema of a file of cases.
pub fn schema() -> serde_json::Value {
    config::schema_of::<Vec<Case>>()
}

/// What became of the cases of a project.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How every case came out that could be run.
    pub results: Vec<CaseResult>,
    /// The cases of models that this pipeline does not need.
    pub skipped: Vec<Skipped>,
    /// What is wrong with the other cases.
    pub problems: Vec<Diagnostic>,
    /// Cases that ended in a failure, with what failed.
    pub failures: Vec<(Skipped, Message)>,
    /// Which columns no case expects.
    pub uncovered: Vec<Uncovered>,
}

/// A case without result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The model.
    pub model: String,
    /// The case.
    pub case: String,
}

/// Runs the cases of the files in `tests/models` that a filter names, and says which. A case that is wrong does not keep the others from
/// being run.
///
/// # Errors
/// [`Error::Project`] if the project itself is wrong, or no case is named; a difference is no error.
pub async fn run(project: &Arc<Project>, filters: &Filters, text_encoding: TextEncoding, doing: &Doing) -> Result<Outcome> {
    let folder = project.root.join("tests/models");
    let (mut outcome, mut covered) = (Outcome::default(), Coverage::default());
    // Most cases share their day and parameters, and so their plan.
    let mut plans: BTreeMap<(NaiveDate, BTreeMap<String, String>), Plan> = BTreeMap::new();
    let mut models = BTreeSet::new();
    for file in config::read_files(&folder, "yaml")? {
        let parsed: config::Parsed<Vec<Case>> = config::parse_what_is_right(&file, &config::Environment::new());
        outcome.problems.extend(parsed.problems);
        for case in parsed.value.into_iter().flatten() {
            models.insert(case.model.value.clone());
            if !filters.name(&file.path, &case.model.value, &case.name.value) {
                continue;
            }
            doing.begins(format!("the case `{}` of `{}`", case.name.shown(), case.model.shown()));
            let Some((key, values)) = gather(&mut outcome.problems, bound(project, &file, &case))? else { continue };
            let plan = match plans.entry(key) {
                Entry::Occupied(plan) => plan.into_mut(),
                Entry::Vacant(place) => place.insert(plan::plan(Arc::clone(project), values).await?),
            };
            covered.add(plan, &case);
            let named = || Skipped { model: case.model.value.clone(), case: case.name.value.clone() };
            if is_of_others(plan, &case) {
                outcome.skipped.push(named());
                continue;
            }
            let problems = unknown_names(plan, &file, &case);
            if !problems.is_empty() {
                outcome.problems.extend(problems);
                continue;
            }
            let computed = Bench::new(plan, text_encoding, &file, &case)?.compute().await;
            match computed.and_then(|(schema, found)| compare(&file, &case, &schema, &found)) {
                Ok(result) => outcome.results.push(result),
                Err(Error::Project(problems)) => outcome.problems.extend(problems),
                Err(Error::Refused(message)) => outcome.failures.push((named(), message)),
                Err(other) => return Err(other),
            }
        }
    }
    if models.is_empty() && outcome.problems.is_empty() {
        let what = format!("there are no cases in {}", shown(&folder));
        return Err(Diagnostic::error("no-cases", what)
            .hint("write given rows and expected rows in `tests/models`: docs/guides/segments.md#testing-a-model shows how")
            .into());
    }
    if outcome.is_empty() {
        return Err(filters.unknown(&models).into());
    }
    outcome.uncovered = covered.uncovered(plans.values().next(), filters);
    Ok(outcome)
}

impl Outcome {
    fn is_empty(&self) -> bool {
        self.is_without_results() && self.skipped.is_empty() && self.problems.is_empty()
    }

    /// Whether no case was run.
    pub fn is_without_results(&self) -> bool {
        self.results.is_empty() && self.failures.is_empty()
    }

    /// How many cases did not come out as they should.
    pub fn failed(&self) -> usize {
        self.failures.len() + self.results.iter().filter(|result| !result.passed()).count()
    }

    /// Whether everything is as it should be.
    pub fn passed(&self) -> bool {
        self.failed() == 0 && self.problems.is_empty()
    }
}

/// A day, and parameters that differ from their defaults.
type Key = (NaiveDate, BTreeMap<String, String>);

/// The values that a case is run with.
fn bound(project: &Project, file: &Arc<SourceFile>, case: &Case) -> Result<(Key, Values)> {
    let day = case.day(file)?;
    match config::bind(project, day, &case.parameters) {
        Ok(values) => Ok(((day, case.parameters.clone()), values)),
        Err(Error::Project(found)) => Err(Error::Project(found.into_iter().map(|problem| placed(problem, file, case)).collect())),
        Err(other) => Err(other),
    }
}

/// A problem of a case's own parameters at the case; what is wrong with the project itself has a place.
fn placed(problem: Diagnostic, file: &Arc<SourceFile>, case: &Case) -> Diagnostic {
    if problem.span.is_some() { problem } else { Diagnostic { hint: None, ..problem.at(span_of(file, &case.name)) } }
}

/// Whether the asked model is one that this pipeline does not need.
fn is_of_others(plan: &Plan, case: &Case) -> bool {
    let name = &case.model.value;
    !plan.makes(name) && plan.project.models.iter().any(|model| model.name() == *name)
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
                    problems.extend(of_case.map(|problem| placed(problem, &file, &case)));
                }
                Err(Error::Project(found)) => problems.extend(found),
                Err(_) => {}
            }
            let needed = plan.filter(|plan| !is_of_others(plan, &case));
            problems.extend(needed.map(|plan| unknown_names(plan, &file, &case)).unwrap_or_default());
        }
    }
    problems
}

/// Every table that is given, and the model that is asked, must be there.
fn unknown_names(plan: &Plan, file: &Arc<SourceFile>, case: &Case) -> Vec<Diagnostic> {
    let sources = plan.project.pipeline.sources.keys().map(|source| format!("{SOURCES}.{source}"));
    let made = plan.nodes.iter().flat_map(|node| node.makes.iter().cloned());
    let models = plan.project.models.iter().map(config::Model::name);
    let known: BTreeSet<String> = sources.chain(made).chain(models).collect();
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
