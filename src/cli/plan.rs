//! `segmill plan`: everything that a run does but publishing, and how the result differs from what is published.

use std::path::PathBuf;

use super::arguments::{METRICS_VARIABLE, PlanArguments, TellWhen};
use super::run::{Job, Tells, limits, refuse_no_file};
use super::runtimes;
use super::terminal::Terminal;
use super::text_encoding;
use crate::config::Environment;
use crate::engine;
use crate::error::{Error, ExitStatus, Message, Result};
use crate::job::Request;
use crate::report;
use crate::storage;

/// Runs the command.
pub fn command(arguments: PlanArguments, environment: Environment, terminal: &Terminal) -> Result<ExitStatus> {
    let limits = limits(arguments.memory_limit, arguments.threads)?;
    // A plan that tells nobody does not ask where metrics go.
    let named = || environment.get(METRICS_VARIABLE).filter(|named| !named.is_empty()).map(PathBuf::from);
    let metrics = arguments.notify.and_then(|_| arguments.metrics.or_else(named));
    metrics.as_deref().map_or(Ok(()), refuse_no_file)?;
    engine::watch_memory(limits.memory_bytes);
    let runtime = runtimes::working(limits.threads)?;
    let mut job = Job::new(&environment, arguments.timeout, terminal)?;
    job.tells = arguments.notify.map(|when| Tells { metrics, notifies: true, tells_late: when == TellWhen::Failed });
    let request = Request {
        parameters: arguments.project.overrides(),
        pipeline: arguments.project.pipeline,
        as_of: arguments.as_of,
        destination: arguments.destination,
        force: false,
        limits,
        text_encoding: text_encoding::of(&environment)?,
        with_report: false,
        timings: false,
        environment,
    };
    // It goes when the command ends, also where the plan is stopped from outside.
    let folder = tempfile::Builder::new().prefix("segmill-plan-").tempdir().map_err(|error| {
        let what = format!("no temporary folder was created: {}", storage::of_system(&error));
        Error::Unavailable(Message::new(what).hint("free some space where temporary files go, or name another place in TMPDIR"))
    })?;
    let result = job.plan(&runtime, &request, folder.path(), terminal);
    // As in a run, work that was left behind ends with the process.
    std::mem::forget(runtime);
    let planned = result?;
    terminal.give(|| report::human_plan(&planned, arguments.funnels), || report::json_plan(&planned))?;
    Ok(ExitStatus::Success)
}
