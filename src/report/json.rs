//! Results and errors as one JSON document, for programs.

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Level, Span};
use crate::error::{Error, Message};
use crate::job::{Outcome, Unchanged};

/// Everything that the summary of a run shows.
pub fn outcome(outcome: &Outcome) -> Value {
    let commit = &outcome.published.commit;
    let places = &outcome.published.tables_shown;
    let table = |(name, table): (&String, &crate::manifest::Table)| json!({ "table": name, "rows": table.rows, "columns": table.columns, "files": table.files, "urls": places.get(name) });
    json!({
        "status": "published",
        "exit_code": 0,
        "pipeline": outcome.pipeline,
        "as_of": commit.as_of,
        "number": commit.number,
        "predecessor": commit.predecessor.as_ref().map(|base| json!({ "as_of": base.as_of, "number": base.number, "run_id": base.run_id })),
        "run_id": commit.run_id,
        "commit": outcome.published.commit_shown,
        "report": outcome.published.report_shown,
        "segmill_version": commit.segmill_version,
        "project_digest": commit.project_digest,
        "parameters": commit.parameters,
        "sources": commit.sources,
        "customers": outcome.customers,
        "identity": outcome.identity,
        "predictions": outcome.predictions,
        "clusters": outcome.clusters,
        "affinities": outcome.affinities,
        "traits": outcome.traits,
        "look_alikes": outcome.look_alikes,
        "segments": outcome.segments,
        "avoided_changes": outcome.avoided,
        "movement": super::movement::json(&outcome.movement),
        "outputs": commit.tables.iter().map(table).collect::<Vec<_>>(),
        "delta_tables": outcome.copied,
        "warnings": outcome.warnings,
        "checks": outcome.published.check_results,
        "steps": outcome.steps,
        "elapsed_ms": outcome.elapsed_ms,
    })
}

/// What is told when a run would publish again what is published.
pub fn unchanged(unchanged: &Unchanged) -> Value {
    let commit = &unchanged.commit;
    json!({
        "status": "unchanged",
        "exit_code": 0,
        "pipeline": commit.pipeline,
        "as_of": commit.as_of,
        "number": commit.number,
        "run_id": unchanged.run_id,
        "published_by": commit.run_id,
        "because": unchanged.why.word(),
        "warnings": unchanged.warnings,
        "commit": unchanged.commit_shown,
        "delta_tables": unchanged.copied,
    })
}

/// An error, with a place for each of its problems.
pub fn error(error: &Error) -> Value {
    let exit_code = error.exit_status() as u8;
    let problems: Vec<Value> = match error {
        Error::Project(diagnostics) => diagnostics.iter().map(problem).collect(),
        other => other.message().map(told).into_iter().collect(),
    };
    json!({ "status": error.kind(), "exit_code": exit_code, "problems": problems })
}

/// A problem of the project, with its places.
pub fn problem(diagnostic: &Diagnostic) -> Value {
    let place = |span: &Span| {
        let (line, column) = span.file.line_and_column(span.bytes.start);
        json!({ "file": span.file.path, "line": line, "column": column })
    };
    let mut told = json!({
        "level": if diagnostic.level == Level::Error { "error" } else { "warning" },
        "code": diagnostic.code,
        "message": diagnostic.message,
        "place": diagnostic.span.as_ref().map(place),
        "label": diagnostic.label,
        "hint": diagnostic.hint.as_ref().map(ToString::to_string),
    });
    if !diagnostic.also.is_empty() {
        told["also"] = diagnostic.also.iter().map(|(span, label)| json!({ "place": place(span), "label": label })).collect();
    }
    told
}

fn told(message: &Message) -> Value {
    json!({ "message": message.what, "details": message.details, "hint": message.hint.as_ref().map(ToString::to_string) })
}
