//! What was demanded of datasets, and whether they met it: the contracts of sources and the checks of outputs.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::{Check, CheckKind, Pipeline, Severity};
use crate::diagnostic::SourceFile;
use crate::graph::MEMBERSHIP;
use crate::ingest::{self, Contract};
use crate::manifest::Ledger;
use crate::publish::{CheckOutcome, CheckResult};
use crate::shown;
use crate::sql;

/// What was demanded of the rows of a source, as far as it is known by its ledger. Where reading was given up early because a source is over
/// its budget, only that is known.
pub(super) fn of_source(contract: &Contract, ledger: &Ledger, is_read_to_end: bool) -> Vec<Value> {
    let mut told = Vec::new();
    let budget = contract.reject_budget;
    let expected = format!("at most {} rows and a share of {}", budget.rows, budget.share);
    let over = ledger.over(budget);
    if over.is_empty() && is_read_to_end {
        let actual = format!("{} of {} rows", ledger.rows_rejected, ledger.rows_read);
        told.push(assertion(&contract.source, "reject_budget", true, &expected, &actual));
    }
    for overrun in over {
        let what = if overrun.column.is_some() { "values" } else { "rows" };
        let actual = format!("{} of {} {what}", overrun.count, ledger.rows_read);
        let mut failed = assertion(&contract.source, "reject_budget", false, &expected, &actual);
        let column = overrun.column.and_then(|name| contract.columns.iter().find(|column| column.name == name));
        if let Some(column) = column {
            failed["column"] = json!(column.names.first().unwrap_or(&column.name));
        }
        told.push(failed);
    }
    if !is_read_to_end {
        return told;
    }
    if contract.min_rows > 0 {
        let (expected, actual) = (format!("at least {}", contract.min_rows), ledger.rows_read.to_string());
        told.push(assertion(&contract.source, "row_count", ledger.rows_read >= contract.min_rows, &expected, &actual));
    }
    told.extend(freshness(contract, ledger));
    told
}

/// How old the newest row, file and snapshot may be. A run whose newest file or snapshot is too old has no ledgers.
fn freshness(contract: &Contract, ledger: &Ledger) -> Vec<Value> {
    let newest_micros = ledger.newest_event_at.map(|newest| newest.timestamp_micros());
    let stale_row = || ingest::too_old_rows(contract, ledger.snapshot_day, newest_micros);
    let freshness = &contract.freshness;
    let demands = [
        ("row", freshness.newest_row_days, stale_row()),
        ("file", freshness.newest_file_days, None),
        ("snapshot", freshness.newest_snapshot_days.as_ref().map(|days| days.value), None),
    ];
    let demanded = demands.into_iter().filter_map(|(what, days, stale)| Some((what, days?, stale)));
    let of = |(what, days, stale): (&str, u32, Option<String>)| {
        let expected = format!("newest {what} at most {days} days before {}", contract.as_of_day);
        let actual = stale.as_deref().map_or("fresh", |_| "stale");
        assertion(&contract.source, "freshness", stale.is_none(), &expected, actual)
    };
    demanded.map(of).collect()
}

fn assertion(source: &str, kind: &str, success: bool, expected: &str, actual: &str) -> Value {
    json!({
        "assertion": kind,
        "name": format!("{source}.{kind}"),
        "success": success,
        "severity": "error",
        "expected": expected,
        "actual": actual,
    })
}

/// What the checks found of an output. Those that had nothing to compare with are left out.
pub(super) fn of_output(table: &str, pipeline: &Pipeline, results: &[CheckResult]) -> Vec<Value> {
    let told = results.iter().filter_map(|result| {
        let success = match result.outcome {
            CheckOutcome::Passed => true,
            CheckOutcome::Failed => false,
            CheckOutcome::Skipped => return None,
        };
        let check = pipeline.checks.iter().find(|check| check.name.shown() == result.check || check.name.value == result.check)?;
        let question = check.question()?;
        let (tables, column) = asks(check, question, pipeline);
        if !tables.iter().any(|of| of == table) {
            return None;
        }
        let severity = match result.severity {
            Severity::Fail => "error",
            Severity::Warn => "warn",
        };
        let mut told = json!({
            "assertion": assertion_of(question),
            "name": result.check,
            "success": success,
            "severity": severity,
            "actual": shown::without_given(&result.found),
        });
        if let Some(column) = column {
            told["column"] = json!(column);
        }
        if let Some(description) = &check.description {
            told["description"] = json!(shown::without_given(description));
        }
        Some(told)
    });
    told.collect()
}

/// The kind of a check, in OpenLineage's words where it has one.
fn assertion_of(question: CheckKind<'_>) -> &'static str {
    match question {
        CheckKind::Accepted(_) => "accepted_values",
        CheckKind::Rows(_) => "row_count",
        CheckKind::Sql(_) => "custom_sql",
        other => other.kind(),
    }
}

/// The outputs that a check is about, and the column if it is about one.
fn asks(check: &Check, question: CheckKind<'_>, pipeline: &Pipeline) -> (Vec<String>, Option<String>) {
    let one = |table: &str| vec![table.to_owned()];
    let memberships = || {
        let held = pipeline.outputs.tables.iter().filter(|(_, output)| output.model.value == MEMBERSHIP);
        held.map(|(table, _)| table.clone()).collect::<Vec<_>>()
    };
    match question {
        CheckKind::Unique(of) | CheckKind::NotNull(of) => {
            let only = if let [column] = of.columns.as_slice() { Some(column.value.clone()) } else { None };
            (one(&of.table.value), only)
        }
        CheckKind::Accepted(of) => (one(&of.table.value), Some(of.column.value.clone())),
        CheckKind::Rows(of) => (one(&of.table.value), None),
        CheckKind::Sql(query) => {
            let file = Arc::new(SourceFile { path: format!("check `{}`", check.name.shown()), text: query.value.clone() });
            let tables = sql::parse(&file).map(|(statement, _)| sql::tables(&file, &statement)).unwrap_or_default();
            (tables.into_iter().map(|table| table.name).collect(), None)
        }
        CheckKind::SegmentSize(_) => (memberships(), None),
        CheckKind::Change(of) => match &of.table {
            Some(table) => (one(&table.value), of.column.as_ref().map(|column| column.value.clone())),
            None => (memberships(), None),
        },
    }
}
