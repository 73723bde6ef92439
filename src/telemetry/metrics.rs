//! The values of the metrics after a run.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::carried::Carried;
use super::ended::Ended;
use super::families::{Family, LAST_SUCCESS, NUMBER, Sample};
use crate::config::Severity;
use crate::job::{Done, Outcome};
use crate::manifest::Commit;
use crate::publish::CheckOutcome;

/// The values that are being gathered, all of one pipeline.
struct Gathered {
    pipeline: String,
    samples: Vec<Sample>,
}

impl Gathered {
    fn add(&mut self, name: &str, labels: &[&str], value: f64) {
        let Some(family) = Family::named(name) else { return };
        let own = family.labels.iter().zip(labels).map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        let labels = std::iter::once(("pipeline".to_owned(), self.pipeline.clone())).chain(own).collect();
        self.samples.push(Sample { family, labels, value });
    }

    fn count(&mut self, name: &str, labels: &[&str], count: u64) {
        #[allow(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
        self.add(name, labels, count as f64);
    }

    fn seconds(&mut self, name: &str, labels: &[&str], milliseconds: u64) {
        #[allow(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
        self.add(name, labels, milliseconds as f64 / 1000.0);
    }

    fn moment(&mut self, name: &str, labels: &[&str], moment: DateTime<Utc>) {
        #[allow(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
        self.add(name, labels, moment.timestamp_millis() as f64 / 1000.0);
    }

    fn day(&mut self, name: &str, day: NaiveDate) {
        self.moment(name, &[], day.and_time(NaiveTime::MIN).and_utc());
    }
}

/// The values of all metrics after a run, given those that a file had before.
pub fn samples(ended: &Ended<'_>, before: Option<&Carried>) -> Vec<Sample> {
    let of_record = ended.record.pipeline.clone().or_else(|| ended.project.map(|project| project.pipeline.name.value.clone()));
    // Of a pipeline file that cannot be read, the name is known by the metrics of the run before.
    let pipeline = of_record.or_else(|| before?.pipeline()).unwrap_or_default();
    let before = before.filter(|before| before.pipeline().as_ref() == Some(&pipeline));
    let mut all = Gathered { pipeline, samples: Vec::new() };
    of_run(&mut all, ended);
    of_publication(&mut all, ended, before);
    all.samples
}

fn of_run(all: &mut Gathered, ended: &Ended<'_>) {
    let record = &ended.record;
    all.count("segmill.run.exit_code", &[], ended.exit_code().into());
    all.moment("segmill.run.start.timestamp", &[], record.started_at);
    all.seconds("segmill.run.duration", &[], ended.elapsed_ms);
    all.day("segmill.run.as_of.timestamp", record.as_of);
    if let Some(peak) = record.peak_memory_bytes {
        all.count("segmill.run.peak_memory", &[], peak);
    }
    all.count("segmill.run.memory_limit", &[], record.memory_limit_bytes);
    all.count("segmill.run.read", &[], record.steps.iter().map(|step| step.bytes_read).sum());
    all.count("segmill.run.spilled", &[], record.steps.iter().map(|step| step.spilled_bytes).sum());
    for (at, step) in record.steps.iter().enumerate() {
        // A name counts once, with the sums of its steps.
        if record.steps[..at].iter().any(|before| before.name == step.name) {
            continue;
        }
        let same = || record.steps[at..].iter().filter(|other| other.name == step.name);
        all.seconds("segmill.run.step.duration", &[&step.name], same().map(|step| step.elapsed_ms).sum());
        let rows: Vec<u64> = same().filter_map(|step| step.rows).collect();
        if !rows.is_empty() {
            all.count("segmill.run.step.rows", &[&step.name], rows.iter().sum());
        }
    }
    for ledger in &record.sources {
        all.count("segmill.run.source.files", &[&ledger.source], ledger.files);
        for (fate, rows) in [
            ("kept", ledger.rows_kept),
            ("rejected", ledger.rows_rejected),
            ("deduplicated", ledger.rows_deduplicated),
            ("out_of_window", ledger.rows_out_of_window),
        ] {
            all.count("segmill.run.source.rows", &[&ledger.source, fate], rows);
        }
        if let Some(newest) = ledger.newest_event_at {
            all.moment("segmill.run.source.newest_event.timestamp", &[&ledger.source], newest);
        }
    }
    let checks = |outcome: CheckOutcome| record.checks.iter().filter(move |check| check.outcome == outcome);
    let is_warning = |severity: Severity| severity == Severity::Warn;
    for (outcome, count) in [
        ("passed", checks(CheckOutcome::Passed).count()),
        ("warned", checks(CheckOutcome::Failed).filter(|check| is_warning(check.severity)).count()),
        ("failed", checks(CheckOutcome::Failed).filter(|check| !is_warning(check.severity)).count()),
        ("skipped", checks(CheckOutcome::Skipped).count()),
    ] {
        all.count("segmill.run.checks", &[outcome], count as u64);
    }
}

/// What is published after the run. A run that failed leaves it as it was: as the file said before, or as the newest commit says.
fn of_publication(all: &mut Gathered, ended: &Ended<'_>, before: Option<&Carried>) {
    match ended.result {
        Ok(_) => all.moment(LAST_SUCCESS, &[], ended.at),
        Err(_) => match before.and_then(Carried::last_success) {
            Some(seconds) => all.add(LAST_SUCCESS, &[], seconds),
            None => {
                let began = ended.newest.filter(|newest| newest.publishes()).and_then(|newest| began_at(&newest.run_id));
                if let Some(began) = began {
                    all.moment(LAST_SUCCESS, &[], began);
                }
            }
        },
    }
    if let Ok(Done::Published(outcome)) = ended.result {
        return of_outcome(all, outcome);
    }
    let found = ended.publication().or(ended.newest.filter(|newest| newest.publishes()));
    match (found, before.and_then(Carried::number)) {
        // What the file says of the same publication is more than its commit does.
        (Some(commit), Some(number)) if ended.result.is_ok() && commit.number != number => of_commit(all, commit),
        (Some(commit), Some(number)) if commit.number > number => of_commit(all, commit),
        (_, Some(_)) => all.samples.extend(before.into_iter().flat_map(Carried::of_publication)),
        (Some(commit), None) => of_commit(all, commit),
        (None, None) => {}
    }
}

fn of_outcome(all: &mut Gathered, outcome: &Outcome) {
    let commit = &outcome.published.commit;
    of_every_commit(all, commit, Some(outcome.customers));
    for size in &outcome.segments {
        all.count("segmill.publication.segment.customers", &[&size.segment_set, &size.segment], size.customers);
        if outcome.movement.since.is_some() {
            let (entered, left) = outcome.movement.change_of(&size.segment_set, &size.segment);
            all.count("segmill.publication.segment.entered", &[&size.segment_set, &size.segment], entered);
            all.count("segmill.publication.segment.left", &[&size.segment_set, &size.segment], left);
        }
    }
}

fn of_commit(all: &mut Gathered, commit: &Commit) {
    of_every_commit(all, commit, commit.customers);
    for set in &commit.segment_sets {
        for segment in &set.segments {
            if let Some(customers) = segment.customers {
                all.count("segmill.publication.segment.customers", &[&set.name, &segment.name], customers);
            }
        }
    }
}

fn of_every_commit(all: &mut Gathered, commit: &Commit, customers: Option<u64>) {
    all.count(NUMBER, &[], commit.number);
    all.day("segmill.publication.as_of.timestamp", commit.as_of);
    if let Some(customers) = customers {
        all.count("segmill.publication.customers", &[], customers);
    }
    commit.tables.iter().for_each(|(name, table)| all.count("segmill.publication.table.rows", &[name], table.rows));
    if let Some(base) = &commit.predecessor {
        all.day("segmill.publication.predecessor.as_of.timestamp", base.as_of);
    }
}

/// When a run began, by its name: `2026-11-27-20261127T041500Z-…`.
fn began_at(run_id: &str) -> Option<DateTime<Utc>> {
    let (_, rest) = run_id.split_at_checked("2026-11-27-".len())?;
    NaiveDateTime::parse_from_str(rest.split('-').next()?, "%Y%m%dT%H%M%SZ").ok().map(|moment| moment.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_run_says_when_it_began() {
        let began = began_at("2026-11-27-20261128T041500Z-00000a0000000b00").unwrap();
        assert_eq!(began.to_rfc3339(), "2026-11-28T04:15:00+00:00");
        for other in ["", "2026-11-27", "2026-11-27-x-y", "ä026-11-2ä-20261128T041500Z"] {
            assert_eq!(began_at(other), None, "{other}");
        }
    }
}
