//! `segmill run`: ingest, join, score, assign, check, publish; for one day, or for several in order.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::arguments::RunArguments;
use super::signals::Signals;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::engine::{self, Limits};
use crate::error::{Error, ExitStatus, Message, Result, Signal};
use crate::publish;
use crate::record::Recorder;
use crate::report::{self, Progress};
use crate::run::{self, Done, Request};
use crate::storage::Stores;

/// The share of the memory at hand that a run may use, in percent. The rest is for what nobody counts: batches on their way, and the
/// writers of outputs.
const MEMORY_SHARE: usize = 70;

/// How long a run that is publishing may go on after a signal, and then how long its record may take: both within the
/// two seconds that a run has to stop.
const FINISH_PUBLISHING: Duration = Duration::from_millis(900);
const WRITE_RECORD: Duration = Duration::from_millis(900);

/// Runs the command.
pub fn command(arguments: RunArguments, environment: Environment, terminal: &Terminal) -> Result<ExitStatus> {
    let limits = limits(&arguments);
    engine::watch_memory(limits.memory_bytes);
    let runtime = super::runtime(limits.threads)?;
    let job = Job { stores: Arc::new(Stores::new(environment.clone())), progress: Arc::new(Progress::on_terminal(terminal.is_live())) };
    let days = arguments.days.days()?;
    let request = Request {
        parameters: arguments.project.overrides(),
        pipeline: arguments.project.pipeline,
        as_of: days[0],
        destination: arguments.destination,
        force: arguments.force,
        limits,
        profile: arguments.profile,
        environment,
    };
    let result = if arguments.days.is_backfill() {
        backfill(&runtime, &job, &request, &days, terminal)
    } else {
        job.run(&runtime, &request, arguments.record).and_then(|done| tell(&done, terminal))
    };
    engine::remove_spilled();
    // What a stopped run left going ends with the process. A runtime that is shut down under it makes it panic on its last moments.
    std::mem::forget(runtime);
    result
}

fn tell(done: &Done, terminal: &Terminal) -> Result<ExitStatus> {
    match done {
        Done::Published(outcome) => terminal.tell(|| report::human_outcome(outcome), || report::json_outcome(outcome)),
        Done::Unchanged(unchanged) => terminal.tell(|| report::human_unchanged(unchanged), || report::json_unchanged(unchanged)),
    }?;
    Ok(ExitStatus::Success)
}

/// Publishes day after day, so that later days find the earlier ones published. A day that fails by its own data does
/// not keep the others back; what would fail every day alike ends it. Days that are done are skipped when it is run again.
fn backfill(runtime: &Runtime, job: &Job, request: &Request, days: &[chrono::NaiveDate], terminal: &Terminal) -> Result<ExitStatus> {
    let mut told: Vec<Value> = Vec::new();
    let mut lines = Vec::new();
    let mut status = ExitStatus::Success;
    for day in days {
        let result = job.run(runtime, &Request { as_of: *day, ..request.clone() }, None);
        let line = match &result {
            Ok(Done::Published(outcome)) => {
                let published = format!("{day}  published as number {}", outcome.published.commit.number);
                let warnings = report::human_warnings(outcome);
                std::iter::once(published)
                    .chain(warnings.into_iter().map(|warning| format!("            {warning}")))
                    .collect::<Vec<_>>()
                    .join("\n")
            }
            Ok(Done::Unchanged(unchanged)) => format!("{day}  unchanged since number {}", unchanged.commit.number),
            Err(error) => format!("{day}  {}", report::human_error(error, false)),
        };
        terminal.say(&line);
        told.push(match &result {
            Ok(Done::Published(outcome)) => report::json_outcome(outcome),
            Ok(Done::Unchanged(unchanged)) => report::json_unchanged(unchanged),
            Err(error) => {
                let mut told = report::json_error(error);
                told["as_of"] = json!(day);
                told
            }
        });
        if let Err(error) = &result {
            if status == ExitStatus::Success {
                status = error.exit_status();
            }
            if !matches!(error, Error::Refused(_) | Error::Missing(_) | Error::Conflict(_)) && !publish::concerns_one_day(error) {
                let left = days.len() - told.len();
                lines.push(format!("{left} of {} days were not tried; the same command goes on where this one stopped", days.len()));
                break;
            }
        }
    }
    let count = |status: &str| told.iter().filter(|told| told["status"] == status).count();
    let (published, unchanged) = (count("published"), count("unchanged"));
    let failed = told.len() - published - unchanged;
    lines.insert(0, format!("{} days: {published} published, {unchanged} unchanged, {failed} failed", days.len()));
    let summary = json!({
        "status": if failed == 0 { "done" } else { "failed" },
        "exit_code": status as u8,
        "days": days.len(),
        "published": published,
        "unchanged": unchanged,
        "failed": failed,
        "not_tried": days.len() - told.len(),
        "runs": told,
    });
    terminal.tell(|| lines.join("\n"), || summary)?;
    Ok(status)
}

/// What the runs of a command share.
struct Job {
    stores: Arc<Stores>,
    progress: Arc<Progress>,
}

impl Job {
    /// Runs one day, until it is done or a signal comes.
    fn run(&self, runtime: &Runtime, request: &Request, record: Option<std::path::PathBuf>) -> Result<Done> {
        let recorder = Arc::new(Recorder::start(request.as_of, request.limits, record));
        let result = runtime.block_on(self.run_or_stop(request.clone(), &recorder));
        self.progress.clear();
        result
    }

    async fn run_or_stop(&self, request: Request, recorder: &Arc<Recorder>) -> Result<Done> {
        let mut signals = Signals::listen()?;
        let (stores, progress) = (Arc::clone(&self.stores), Arc::clone(&self.progress));
        let watched = Arc::clone(recorder);
        // On a thread of its own, so that a step that computes for long does not keep the signal waiting.
        let handle = tokio::runtime::Handle::current();
        let mut running = tokio::task::spawn_blocking(move || handle.block_on(run::run(&request, &stores, &progress, &watched)));
        let ended = |done: Result<Result<Done>, tokio::task::JoinError>| {
            // What it panicked with may hold values.
            done.unwrap_or_else(|_| Err(Error::defect("the run broke off")))
        };
        let signal = tokio::select! {
            done = &mut running => return ended(done),
            signal = signals.next() => signal,
        };
        let stopped_before = recorder.stop();
        if !stopped_before && let Ok(done) = tokio::time::timeout(FINISH_PUBLISHING, &mut running).await {
            return ended(done);
        }
        let error = stopped(signal, !stopped_before);
        // A store that does not answer must not keep the process.
        let last_words = async { tokio::join!(recorder.close(Err(&error)), self.stores.end_uploads(true)) };
        let _ = tokio::time::timeout(WRITE_RECORD, last_words).await;
        Err(error)
    }
}

fn stopped(signal: Signal, publishing: bool) -> Error {
    let by = match signal {
        Signal::Interrupt => "Ctrl-C",
        Signal::Terminate => "SIGTERM",
    };
    let message = if publishing {
        Message::new(format!("{by} stopped the run while it was publishing; whether the commit is there is not known"))
            .hint("run again: it sees what is there, and publishes only if nothing was")
    } else {
        Message::new(format!("{by} stopped the run; nothing was published")).hint("run again")
    };
    Error::Stopped(signal, message)
}

fn limits(arguments: &RunArguments) -> Limits {
    let machine = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Limits {
        threads: arguments.threads.map_or(machine, usize::from),
        memory_bytes: arguments.memory_limit.unwrap_or_else(|| crate::engine::memory_at_hand() / 100 * MEMORY_SHARE),
    }
}
