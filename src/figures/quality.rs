//! Figures of the data: what became of the rows of sources, what the identity step found, and what the checks found.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::types::{CalibrationFigures, CheckFigures, IdentityFigures, Quality, SourceFigures};
use crate::config::{Project, Severity};
use crate::manifest::Ledger;
use crate::predict;
use crate::publish::{CheckOutcome, CheckResult};
use crate::record::RunRecord;

/// What became of the rows of sources, and what the checks found.
pub fn figures(project: &Project, zone: Tz, ledgers: &[Ledger], record: Option<&RunRecord>) -> Quality {
    Quality {
        sources: ledgers.iter().map(|ledger| source(project, zone, ledger)).collect(),
        identity: record.and_then(|record| record.identity.as_ref()).map(|counts| IdentityFigures {
            customers: counts.customers,
            identifiers: counts.identifiers,
            customers_from_several_sources: counts.customers_from_several_sources,
            merged: counts.merged,
            split: counts.split,
            identifiers_set_aside: counts.identifiers_set_aside,
            edges_set_aside: counts.edges_set_aside,
            known_from: counts.known_from.iter().map(|known| (known.source.clone(), known.customers)).collect(),
        }),
        checks: record.map(|record| record.checks.iter().map(check).collect()).unwrap_or_default(),
    }
}

fn source(project: &Project, zone: Tz, ledger: &Ledger) -> SourceFigures {
    let shown = |moment: DateTime<Utc>| moment.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
    let rejects =
        ledger.rejects.iter().map(|reject| (reject.scope.name().to_owned(), reject.column.clone(), reject.reason.clone(), reject.count));
    SourceFigures {
        name: ledger.source.clone(),
        description: project.pipeline.sources.get(&ledger.source).and_then(|source| source.description.clone()),
        files: ledger.files,
        rows_read: ledger.rows_read,
        rows_kept: ledger.rows_kept,
        rows_rejected: ledger.rows_rejected,
        rows_deduplicated: ledger.rows_deduplicated,
        rows_out_of_window: ledger.rows_out_of_window,
        values_rejected: ledger.values_rejected,
        newest_event: ledger.newest_event_at.map(shown),
        rejects: rejects.collect(),
    }
}

fn check(result: &CheckResult) -> CheckFigures {
    let outcome = match result.outcome {
        CheckOutcome::Passed => "passed",
        CheckOutcome::Failed => "failed",
        CheckOutcome::Skipped => "skipped",
    };
    let severity = match result.severity {
        Severity::Fail => "fail",
        Severity::Warn => "warn",
    };
    CheckFigures { name: result.check.clone(), outcome: outcome.to_owned(), severity: severity.to_owned(), found: result.found.clone() }
}

/// How well predictions did on days that they had not seen.
pub fn calibrations(predictions: &[predict::Report]) -> Vec<CalibrationFigures> {
    let told = predictions.iter().map(|report| {
        let calibration = report.calibration.as_ref();
        let mut losses = calibration.map(predict::Calibration::losses).unwrap_or_default();
        losses.extend(report.purchases.why_not());
        CalibrationFigures {
            prediction: report.prediction.clone(),
            days: calibration.map_or(0, |calibration| calibration.days),
            tenths: calibration.iter().flat_map(|found| &found.deciles).map(|tenth| (tenth.predicted, tenth.actual)).collect(),
            losses,
        }
    });
    told.collect()
}
