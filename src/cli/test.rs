//! `segmill test`: the project's own given/expect cases through the real engine.

use std::sync::Arc;

use comfy_table::{Table, presets};
use serde_json::json;

use super::arguments::TestArguments;
use super::deadline::within;
use super::terminal::Terminal;
use super::text_encoding;
use crate::cases::{self, CaseResult};
use crate::clock::Doing;
use crate::config::{self, Environment};
use crate::diagnostic::counted;
use crate::error::{ExitStatus, Result};

/// Runs the command.
pub fn command(arguments: &TestArguments, environment: &Environment, terminal: &Terminal) -> Result<ExitStatus> {
    let project = Arc::new(config::load(&arguments.project.pipeline, environment)?);
    let text_encoding = text_encoding::of(environment)?;
    let doing = Doing::default();
    let watched = doing.clone();
    let results = within(arguments.timeout, 2, &doing, move |runtime| runtime.block_on(cases::run(&project, text_encoding, &watched)))?;
    let failed = results.iter().filter(|result| !result.passed()).count();
    let status = if failed == 0 { ExitStatus::Success } else { ExitStatus::Project };
    terminal.give(
        || lines(&results, failed),
        || json!({ "status": if failed == 0 { "passed" } else { "failed" }, "exit_code": status as u8, "cases": results.len(), "failed": failed, "results": results }),
    )?;
    Ok(status)
}

fn lines(results: &[CaseResult], failed: usize) -> String {
    let mut text = String::new();
    for result in results {
        let mark = if result.passed() { "ok    " } else { "FAILED" };
        text += &format!("{mark} {}: {}\n", result.model, result.case);
        if !result.passed() {
            text += &format!("{}\n\n", difference(result));
        }
    }
    text + &format!("\n{}, {failed} failed", counted(results.len() as u64, "case"))
}

/// The rows that differ, side by side under their columns.
fn difference(result: &CaseResult) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(std::iter::once(String::new()).chain(result.columns.iter().cloned()));
    for (mark, rows) in [("- expected", &result.missing), ("+ found", &result.unexpected)] {
        for row in rows {
            table.add_row(std::iter::once(mark.to_owned()).chain(row.iter().cloned()));
        }
    }
    table.to_string()
}
