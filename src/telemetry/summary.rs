//! A run in short, for those who are told of it: numbers, names of the project, and messages. No value of an extract and no id is in it.

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::ended::Ended;
use crate::error::Error;
use crate::job::Done;

/// The details of a problem that are told: the first ones.
const DETAILS_SHOWN: usize = 20;

/// The problems of a project that are told: the first ones.
const PROBLEMS_SHOWN: usize = 20;

/// The run in one line.
pub fn line(ended: &Ended<'_>) -> String {
    let pipeline = ended.record.pipeline.as_deref().unwrap_or("segmill");
    let day = ended.record.as_of;
    let mut line = match ended.result {
        Ok(Done::Published(outcome)) => {
            format!(
                "{pipeline} as of {day}: published as number {}, {} customers",
                outcome.published.commit.number,
                HumanCount(outcome.customers)
            )
        }
        Ok(Done::Unchanged(unchanged)) => format!("{pipeline} as of {day}: unchanged since number {}", unchanged.commit.number),
        Err(error) => format!("{pipeline} as of {day}: {} (exit {}): {}", error.kind(), ended.exit_code(), what(error)),
    };
    for check in ended.failed_checks() {
        line += &format!("; {}: {}", check.check, check.found);
    }
    line
}

/// The run as a document.
pub fn document(ended: &Ended<'_>) -> Value {
    let record = &ended.record;
    let sources = record.sources.iter().map(|ledger| {
        json!({
            "source": ledger.source,
            "files": ledger.files,
            "rows_read": ledger.rows_read,
            "rows_kept": ledger.rows_kept,
            "rows_rejected": ledger.rows_rejected,
            "rows_deduplicated": ledger.rows_deduplicated,
            "rows_out_of_window": ledger.rows_out_of_window,
            "newest_event_at": ledger.newest_event_at,
        })
    });
    let checks = ended
        .failed_checks()
        .map(|check| json!({ "check": check.check, "kind": check.kind, "severity": check.severity, "found": check.found }));
    let outcome = match ended.result {
        Ok(Done::Published(outcome)) => Some(outcome),
        _ => None,
    };
    let segments = outcome.into_iter().flat_map(|outcome| {
        outcome.segments.iter().map(|size| {
            let change = outcome.movement.since.map(|_| outcome.movement.change_of(&size.segment_set, &size.segment));
            json!({
                "segment_set": size.segment_set,
                "segment": size.segment,
                "customers": size.customers,
                "entered": change.map(|(entered, _)| entered),
                "left": change.map(|(_, left)| left),
            })
        })
    });
    json!({
        "number": ended.publication().map(|commit| commit.number),
        "predecessor_as_of": record.predecessor.as_ref().map(|base| base.as_of),
        "started_at": record.started_at,
        "elapsed_ms": ended.elapsed_ms,
        "unfinished_step": record.unfinished_step,
        "customers": outcome.map(|outcome| outcome.customers),
        "sources": sources.collect::<Vec<_>>(),
        "segments": segments.collect::<Vec<_>>(),
        "failed_checks": checks.collect::<Vec<_>>(),
        "warnings": outcome.map(|outcome| outcome.warnings.clone()).unwrap_or_default(),
        "problems": ended.result.err().map(problems).unwrap_or_default(),
    })
}

/// What happened, in a sentence.
fn what(error: &Error) -> String {
    match error {
        Error::Project(diagnostics) => match diagnostics.split_first() {
            Some((only, [])) => only.message.clone(),
            Some((first, others)) => format!("{}, and {} more", first.message, others.len()),
            None => "the project is wrong".to_owned(),
        },
        other => other.message().map(|message| message.what.clone()).unwrap_or_default(),
    }
}

fn problems(error: &Error) -> Vec<Value> {
    match error {
        Error::Project(diagnostics) => {
            let told = diagnostics.iter().take(PROBLEMS_SHOWN);
            told.map(|problem| json!({ "code": problem.code, "message": problem.message, "details": [], "hint": problem.hint.as_ref().map(ToString::to_string) })).collect()
        }
        other => {
            let told = other.message().map(|message| {
                let details: Vec<&String> = message.details.iter().take(DETAILS_SHOWN).collect();
                json!({ "code": error.kind(), "message": message.what, "details": details, "hint": message.hint.as_ref().map(ToString::to_string) })
            });
            told.into_iter().collect()
        }
    }
}
