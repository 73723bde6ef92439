//! A run that has ended: what is known of it, however it ended.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::clock;
use crate::config::{Event, Project, Severity};
use crate::error::{Error, ExitStatus, Signal};
use crate::job::Done;
use crate::manifest::Commit;
use crate::publish::{CheckOutcome, CheckResult};
use crate::record::{Recorder, RunRecord};

/// The kind of checks that limit how much may change.
const CHANGE: &str = "change";

/// A run that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Its record.
    pub record: RunRecord,
    /// Its result.
    pub result: Result<&'a Done, &'a Error>,
    /// The project, if it could be read.
    pub project: Option<&'a Project>,
    /// The newest commit at the destination when the run began, if it could be read.
    pub newest: Option<&'a Commit>,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub elapsed_ms: u64,
}

impl<'a> Ended<'a> {
    /// A run that ends now.
    pub fn now(recorder: &'a Recorder, result: Result<&'a Done, &'a Error>) -> Self {
        let record = recorder.so_far();
        let (project, newest) = (recorder.project().map(AsRef::as_ref), recorder.newest());
        Ended { record, result, project, newest, at: clock::now(), elapsed_ms: recorder.elapsed_ms() }
    }

    /// The exit code that the run gives.
    pub fn exit_code(&self) -> u8 {
        self.result.map_or_else(|error| error.exit_status() as u8, |_| ExitStatus::Success as u8)
    }

    /// How it ended: `published`, `unchanged`, or the word for what failed.
    pub fn status(&self) -> &'static str {
        match self.result {
            Ok(Done::Published(_)) => "published",
            Ok(Done::Unchanged(_)) => "unchanged",
            Err(error) => error.kind(),
        }
    }

    /// The publication that it made, or found unchanged.
    pub fn publication(&self) -> Option<&Commit> {
        match self.result {
            Ok(Done::Published(outcome)) => Some(&outcome.published.commit),
            Ok(Done::Unchanged(unchanged)) => Some(&unchanged.commit),
            Err(_) => None,
        }
    }

    /// The checks that failed, whatever their severity.
    pub fn failed_checks(&self) -> impl Iterator<Item = &CheckResult> {
        self.record.checks.iter().filter(|check| check.outcome == CheckOutcome::Failed)
    }

    /// What there is to tell of its end; nothing where nothing has changed, or where Ctrl-C stopped it.
    pub fn events(&self) -> BTreeSet<Event> {
        let mut events = BTreeSet::new();
        match self.result {
            Ok(Done::Published(_)) => {
                events.insert(Event::Published);
            }
            Ok(Done::Unchanged(_)) | Err(Error::Stopped(Signal::Interrupt, _)) => return events,
            Err(Error::Refused(_)) => {
                events.insert(Event::Refused);
            }
            Err(Error::Late(message)) => {
                events.insert(Event::Late);
                events.extend(message.is_stale.then_some(Event::Stale));
            }
            Err(_) => {
                events.insert(Event::Failed);
            }
        }
        for check in self.failed_checks() {
            let is_warning = check.severity == Severity::Warn && self.result.is_ok();
            events.extend(is_warning.then_some(Event::Warned));
            events.extend((check.kind == CHANGE).then_some(Event::Moved));
        }
        events
    }
}
