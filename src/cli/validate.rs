//! `segmill validate`: checks the project without reading data.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::arguments::ProjectArguments;
use super::runtimes;
use super::terminal::Terminal;
use crate::cases;
use crate::config::{self, Environment, Read};
use crate::diagnostic::{Diagnostic, counted, in_order};
use crate::error::{Error, Result};
use crate::plan::{self, Plan, Reviewed};
use crate::report;

/// Runs the command.
pub fn command(arguments: &ProjectArguments, environment: &Environment, terminal: &Terminal) -> Result<()> {
    let overrides = arguments.overrides();
    let reviewed = validated(&arguments.pipeline, &overrides, environment);
    let Validated { plan, warnings } = runtimes::working(1)?.block_on(reviewed)?;
    let (sources, models) = (plan.contracts.len(), plan.models().count());
    let sets = &plan.project.pipeline.segments;
    let segments: usize = sets.values().map(|set| set.segments.len()).sum();
    let name = plan.project.pipeline.name.shown();
    if !warnings.is_empty() {
        let frames: Vec<String> = warnings.iter().map(|warning| warning.render(terminal.has_colour())).collect();
        terminal.say(&frames.join("\n\n"));
    }
    terminal.give(
        || {
            let proved = plan.proofs.iter().filter(|proof| proof.cells.is_some()).count();
            let counts = [(sources, "source"), (models, "model"), (segments, "segment"), (sets.len(), "set"), (proved, "set")];
            let [sources, models, segments, in_sets, proved] = counts.map(|(count, what)| counted(count as u64, what));
            let segments = if sets.is_empty() { String::new() } else { format!(", {segments} in {in_sets}, {proved} proved") };
            format!("{name} is valid: {sources}, {models}{segments}")
        },
        || {
            let proofs: Vec<_> =
                plan.proofs.iter().map(|proof| json!({ "segment_set": proof.segment_set, "cells": proof.cells })).collect();
            json!({
                "status": "valid", "exit_code": 0, "pipeline": name, "sources": sources, "models": models, "segments": segments,
                "proofs": proofs, "warnings": warnings.iter().map(report::json_problem).collect::<Vec<_>>(),
            })
        },
    )
}

/// A project in which nothing is wrong.
pub struct Validated {
    /// What will run.
    pub plan: Plan,
    /// What somebody should look at all the same.
    pub warnings: Vec<Diagnostic>,
}

/// Validates everything: the pipeline file, its parameters, the SQL, rules, outputs, checks and cases. A problem in one of them does not
/// prevent the others from being validated.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong.
pub async fn validated(pipeline: &Path, overrides: &BTreeMap<String, String>, environment: &Environment) -> Result<Validated> {
    let Read { project, mut problems, .. } = config::read(pipeline, environment)?;
    let Some(project) = project.map(Arc::new) else { return Err(Error::Project(in_order(problems))) };
    // The types do not depend on the day, so any day will do.
    let (values, found) = config::bind_what_is_right(&project, chrono::NaiveDate::default(), overrides)?;
    problems.extend(found);
    let Reviewed { plan, problems: found } = plan::review(Arc::clone(&project), values).await?;
    problems.extend(found);
    problems.extend(cases::problems(&project, plan.as_ref()));
    let Some(plan) = plan.filter(|_| problems.is_empty()) else { return Err(Error::Project(in_order(problems))) };
    let unused = plan::unused(&plan);
    let warnings = plan.warnings().cloned().chain(unused).collect();
    Ok(Validated { plan, warnings })
}
