//! `segmill test`: the project's own given/expect cases through the real engine.

use std::sync::Arc;

use comfy_table::{Table, presets};
use serde_json::json;

use super::arguments::TestArguments;
use super::deadline::within;
use super::terminal::Terminal;
use super::text_encoding;
use crate::cases::{self, Verdict};
use crate::clock::Doing;
use crate::config::{self, Environment};
use crate::error::{ExitStatus, Result};

/// Runs the command.
pub fn command(arguments: &TestArguments, environment: &Environment, terminal: &Terminal) -> Result<ExitStatus> {
    let project = Arc::new(config::load(&arguments.project.pipeline, environment)?);
    let text_encoding = text_encoding::of(environment)?;
    let doing = Doing::default();
    let watched = doing.clone();
    let verdicts = within(arguments.timeout, 2, &doing, move |runtime| runtime.block_on(cases::run(&project, text_encoding, &watched)))?;
    let failed = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    let status = if failed == 0 { ExitStatus::Success } else { ExitStatus::Project };
    terminal.give(
        || lines(&verdicts, failed),
        || json!({ "status": if failed == 0 { "passed" } else { "failed" }, "exit_code": status as u8, "cases": verdicts.len(), "failed": failed, "verdicts": verdicts }),
    )?;
    Ok(status)
}

fn lines(verdicts: &[Verdict], failed: usize) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let mark = if verdict.passed() { "ok    " } else { "FAILED" };
        text += &format!("{mark} {}: {}\n", verdict.model, verdict.case);
        if !verdict.passed() {
            text += &format!("{}\n\n", difference(verdict));
        }
    }
    text + &format!("\n{} cases, {failed} failed", verdicts.len())
}

/// The rows that differ, side by side under their columns.
fn difference(verdict: &Verdict) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(std::iter::once(String::new()).chain(verdict.columns.iter().cloned()));
    for (mark, rows) in [("- expected", &verdict.missing), ("+ found", &verdict.unexpected)] {
        for row in rows {
            table.add_row(std::iter::once(mark.to_owned()).chain(row.iter().cloned()));
        }
    }
    table.to_string()
}
