//! `segmill validate`: the project alone, no data read.

use std::sync::Arc;

use serde_json::json;

use super::arguments::ProjectArguments;
use super::terminal::Terminal;
use crate::config::{self, Environment};
use crate::diagnostic::counted;
use crate::error::Result;
use crate::plan;
use crate::report;

/// Runs the command.
pub fn command(arguments: &ProjectArguments, environment: &Environment, terminal: &Terminal) -> Result<()> {
    let project = Arc::new(config::load(&arguments.pipeline, environment)?);
    // Types do not depend on the day, so any will do.
    let values = config::bind(&project, chrono::NaiveDate::default(), &arguments.overrides())?;
    let plan = super::runtime(1)?.block_on(plan::plan(project, values))?;
    let (sources, models) = (plan.contracts.len(), plan.models.len());
    let segments: usize = plan.rules.iter().map(|set| set.rules.len()).sum();
    let name = &plan.project.pipeline.name.value;
    let warnings: Vec<_> = plan.warnings().collect();
    terminal.tell(
        || {
            let frames: String = warnings.iter().map(|warning| warning.render(terminal.has_colour()) + "\n\n").collect();
            let proved = plan.proofs.iter().filter(|proof| proof.cells.is_some()).count();
            let [sources, models, segments, sets] =
                [(sources, "source"), (models, "model"), (segments, "segment"), (plan.rules.len(), "set")]
                    .map(|(count, what)| counted(count as u64, what));
            format!("{frames}{name} is valid: {sources}, {models}, {segments} in {sets}, {proved} of them proved")
        },
        || {
            let proofs: Vec<_> =
                plan.proofs.iter().map(|proof| json!({ "segment_set": proof.segment_set, "cells": proof.cells })).collect();
            json!({
                "status": "valid", "exit_code": 0, "pipeline": name, "sources": sources, "models": models, "segments": segments,
                "proofs": proofs, "warnings": warnings.iter().map(|warning| report::json_problem(warning)).collect::<Vec<_>>(),
            })
        },
    );
    Ok(())
}
