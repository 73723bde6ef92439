//! `segmill test`: the project's own given/expect cases through the real engine.

use std::sync::Arc;

use comfy_table::{Table, presets};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::arguments::TestArguments;
use super::deadline::within;
use super::terminal::Terminal;
use super::text_encoding;
use crate::cases::{self, CaseResult, Outcome, Uncovered};
use crate::clock::Doing;
use crate::config::{self, Environment};
use crate::diagnostic::{counted, in_order};
use crate::error::{Error, ExitStatus, Result};
use crate::report;

/// Models that are named for what no case covers, and columns of each, before the rest is only counted.
const SHOWN_MODELS: usize = 12;
const SHOWN_COLUMNS: usize = 6;

/// Runs the command.
pub fn command(arguments: TestArguments, environment: &Environment, terminal: &Terminal) -> Result<ExitStatus> {
    let (pipeline, filters) = arguments.pipeline_and_filters();
    let project = Arc::new(config::load(&pipeline, environment)?);
    let text_encoding = text_encoding::of(environment)?;
    let doing = Doing::default();
    let watched = doing.clone();
    let run = move |runtime: &Handle| runtime.block_on(cases::run(&project, &filters, text_encoding, &watched));
    let outcome = within(arguments.timeout, 2, &doing, run)?;
    if outcome.is_without_results() && !outcome.problems.is_empty() {
        return Err(Error::Project(in_order(outcome.problems)));
    }
    let status = if outcome.passed() { ExitStatus::Success } else { ExitStatus::Project };
    terminal.give(|| lines(&outcome), || document(&outcome, status))?;
    if !outcome.problems.is_empty() {
        terminal.say(&report::human_error(&Error::Project(in_order(outcome.problems)), terminal.has_colour()));
    }
    Ok(status)
}

fn document(outcome: &Outcome, status: ExitStatus) -> Value {
    let failures = outcome
        .failures
        .iter()
        .map(|(of, message)| json!({ "model": of.model, "case": of.case, "what": message.what, "details": message.details }));
    json!({
        "status": if outcome.passed() { "passed" } else { "failed" },
        "exit_code": status as u8,
        "cases": outcome.results.len() + outcome.failures.len(),
        "failed": outcome.failed(),
        "results": outcome.results,
        "failures": failures.collect::<Vec<_>>(),
        "skipped": outcome.skipped,
        "uncovered": outcome.uncovered,
        "problems": outcome.problems.iter().map(report::json_problem).collect::<Vec<_>>(),
    })
}

fn lines(outcome: &Outcome) -> String {
    let mut text = String::new();
    for result in &outcome.results {
        let mark = if result.passed() { "ok    " } else { "FAILED" };
        text += &format!("{mark} {}: {}\n", result.model, result.case);
        if !result.passed() {
            text += &format!("{}\n\n", difference(result));
        }
    }
    for (of, message) in &outcome.failures {
        text += &format!("FAILED {}: {}\n  {}\n", of.model, of.case, message.what);
        text += &message.details.iter().map(|detail| format!("  {detail}\n")).collect::<String>();
    }
    let cases = counted((outcome.results.len() + outcome.failures.len()) as u64, "case");
    text += &format!("\n{cases}, {} failed", outcome.failed());
    if !outcome.skipped.is_empty() {
        let skipped = counted(outcome.skipped.len() as u64, "case");
        text += &format!("; skipped {skipped} of models that this pipeline does not need");
    }
    text + &uncovered(&outcome.uncovered)
}

/// What no case covers: models without cases, and columns of the others that no expected row names.
fn uncovered(all: &[Uncovered]) -> String {
    let mut text = String::new();
    let (without, others): (Vec<&Uncovered>, Vec<&Uncovered>) = all.iter().partition(|model| model.cases == 0);
    let shortened = |names: &[&str], most: usize| {
        let more = names.len().saturating_sub(most);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        names[..names.len().min(most)].join(", ") + &more
    };
    if !others.is_empty() {
        text += "\n\nColumns that no case expects anything of\n";
        for model in others.iter().take(SHOWN_MODELS) {
            let columns: Vec<&str> = model.columns.iter().map(String::as_str).collect();
            text += &format!("  {}: {}\n", model.model, shortened(&columns, SHOWN_COLUMNS));
        }
        if others.len() > SHOWN_MODELS {
            text += &format!("  … and of {}; `--format json` names all\n", counted((others.len() - SHOWN_MODELS) as u64, "more model"));
        }
    }
    if !without.is_empty() {
        let names: Vec<&str> = without.iter().map(|model| model.model.as_str()).collect();
        text += &format!("\nModels without a case: {}\n", shortened(&names, SHOWN_MODELS));
    }
    text
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
