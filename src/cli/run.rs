//! `segmill run`: ingest, join, score, assign, check, publish; for one day, or for several in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::arguments::RunArguments;
use super::days::DaysArguments;
use super::deadline::Deadline;
use super::log::Log;
use super::resources::MAX_THREADS;
use super::runtimes;
use super::signals::Signals;
use super::terminal::Terminal;
use super::text_encoding;
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::engine::{self, Limits, PROGRAM_BYTES};
use crate::error::{Error, ExitStatus, Message, Result, Signal};
use crate::job::{Done, Planned, Request};
use crate::openlineage::{self, Emitter, Ending, RunEvents};
use crate::publish;
use crate::record::Recorder;

use crate::report::{self, Progress};
use crate::run;
use crate::shown;
use crate::storage::{self, Stores};
use crate::telemetry::{self, Audience, Ended};

/// The share of the available memory that a run may use, in percent, after the program's own memory. At its peak a run takes a fifth more.
const MEMORY_SHARE: usize = 70;

const MIB: usize = 1024 * 1024;

/// The least memory that a thread needs: the amount that its operators hold before they spill to disk.
const MIN_THREAD_BYTES: usize = 4 * MIB;

/// How long a run that is publishing may continue after a signal or its deadline, and how long writing its record may then take. Together
/// they stay within the two seconds that a run has to stop.
const FINISH_PUBLISHING: Duration = Duration::from_millis(900);
const WRITE_RECORD: Duration = Duration::from_millis(900);

/// How long a run that a signal has stopped may tell of it.
const TELL_AFTER_SIGNAL: Duration = Duration::from_millis(500);
/// How long a run that has ended waits until its lineage events are sent; when it was stopped, within the time for its record.
const SEND_EVENTS: Duration = Duration::from_secs(5);
const SEND_LAST_EVENTS: Duration = Duration::from_millis(850);

/// Runs the command.
pub fn command(arguments: RunArguments, environment: Environment, terminal: &Terminal) -> Result<ExitStatus> {
    if arguments.profile {
        let problem = Diagnostic::error("invalid-arguments", "there is no `--profile`: the times of operators are given by another flag");
        return Err(problem.hint("it is called `--timings` now").into());
    }
    let limits = limits(arguments.memory_limit, arguments.threads)?;
    arguments.record.as_deref().map_or(Ok(()), refuse_pipe)?;
    arguments.metrics.as_deref().map_or(Ok(()), refuse_no_file)?;
    engine::watch_memory(limits.memory_bytes);
    let runtime = runtimes::working(limits.threads)?;
    let mut job = Job::new(&environment, arguments.timeout, terminal)?;
    job.tells = Some(Tells { metrics: arguments.metrics, notifies: !arguments.no_notify, tells_late: true });
    job.emit_to(arguments.lineage.as_deref(), &environment, terminal);
    let days = if arguments.days.chain { Vec::new() } else { arguments.days.days()? };
    let request = Request {
        parameters: arguments.project.overrides(),
        pipeline: arguments.project.pipeline,
        as_of: days.first().copied().unwrap_or_default(),
        destination: arguments.destination,
        force: arguments.force,
        limits,
        text_encoding: text_encoding::of(&environment)?,
        with_report: arguments.report,
        timings: arguments.timings,
        environment,
    };
    let result = if arguments.days.chain {
        bring_up_to_date(&runtime, &mut job, &request, &arguments.days, terminal)
    } else if arguments.days.is_backfill() {
        backfill(&runtime, &mut job, &request, &days, terminal)
    } else {
        job.run(&runtime, &request, arguments.record, terminal).and_then(|done| tell(&done, request.with_report, terminal))
    };
    // Work that a stopped run left behind ends with the process. Shutting the runtime down first would make that work panic.
    std::mem::forget(runtime);
    result
}

fn tell(done: &Done, is_report_wanted: bool, terminal: &Terminal) -> Result<ExitStatus> {
    if let Done::Unchanged(unchanged) = done
        && is_report_wanted
        && unchanged.commit.report.is_none()
    {
        let day = unchanged.commit.as_of;
        terminal.note(&format!("the publication has no report of its own: `segmill report --as-of {day}` makes it"));
    }
    if terminal.log().is_some() {
        for warning in report::human_warnings(done) {
            terminal.warn(&warning);
        }
    }
    match done {
        Done::Published(outcome) => terminal.tell(|| report::human_outcome(outcome), || report::json_outcome(outcome)),
        Done::Unchanged(unchanged) => terminal.tell(|| report::human_unchanged(unchanged), || report::json_unchanged(unchanged)),
    }?;
    Ok(ExitStatus::Success)
}

/// The runs of a command that is for several days.
#[derive(Default)]
struct Told {
    runs: Vec<Value>,
    status: Option<ExitStatus>,
}

impl Told {
    /// Says how a day went; whether a failure would repeat on every day.
    fn day(&mut self, day: NaiveDate, result: &Result<Done>, terminal: &Terminal) -> bool {
        let line = || match result {
            Ok(done) => {
                let what = match done {
                    Done::Published(outcome) => format!("{day}  published as number {}", outcome.published.commit.number),
                    Done::Unchanged(unchanged) => format!("{day}  unchanged since number {}", unchanged.commit.number),
                };
                let warnings = report::human_warnings(done).into_iter().map(|warning| format!("            {warning}"));
                std::iter::once(what).chain(warnings).collect::<Vec<_>>().join("\n")
            }
            Err(error) => format!("{day}  {}", report::human_error(error, false)),
        };
        match result {
            Ok(_) => terminal.say(&line()),
            Err(error) => terminal.say_failure(line, error),
        }
        self.runs.push(match result {
            Ok(Done::Published(outcome)) => report::json_outcome(outcome),
            Ok(Done::Unchanged(unchanged)) => report::json_unchanged(unchanged),
            Err(error) => {
                let mut told = report::json_error(error);
                told["as_of"] = json!(day);
                told
            }
        });
        let Err(error) = result else { return false };
        self.status.get_or_insert(error.exit_status());
        !matches!(error, Error::Refused(_) | Error::Late(_) | Error::Conflict(_)) && !publish::concerns_one_day(error)
    }

    /// Says how the command went, when some days were not tried.
    fn end(self, not_tried: usize, terminal: &Terminal) -> Result<ExitStatus> {
        terminal.log().into_iter().for_each(|log| log.ends());
        let days = self.runs.len() + not_tried;
        let count = |status: &str| self.runs.iter().filter(|told| told["status"] == status).count();
        let (published, unchanged) = (count("published"), count("unchanged"));
        let failed = self.runs.len() - published - unchanged;
        let status = self.status.unwrap_or(ExitStatus::Success);
        let mut lines = vec![format!("{days} days: {published} published, {unchanged} unchanged, {failed} failed")];
        if not_tried > 0 {
            lines.push(format!("{not_tried} of {days} days were not tried; run the same command again to continue"));
        }
        let summary = json!({
            "status": if failed == 0 { "done" } else { "failed" },
            "exit_code": status as u8,
            "days": days,
            "published": published,
            "unchanged": unchanged,
            "failed": failed,
            "not_tried": not_tried,
            "runs": self.runs,
        });
        terminal.tell(|| lines.join("\n"), || summary)?;
        Ok(status)
    }
}

/// Publishes one day after another, so that each day finds the days before it published. When a day fails because of its own data, the
/// next day is tried; a failure that would repeat on every day ends the command. Days that are already published are skipped.
fn backfill(runtime: &Runtime, job: &mut Job, request: &Request, days: &[NaiveDate], terminal: &Terminal) -> Result<ExitStatus> {
    let mut told = Told::default();
    for day in days {
        let result = job.run(runtime, &Request { as_of: *day, ..request.clone() }, None, terminal);
        if told.day(*day, &result, terminal) {
            break;
        }
    }
    let not_tried = days.len() - told.runs.len();
    told.end(not_tried, terminal)
}

/// Publishes, in order, the days that are built on a superseded predecessor. A day that fails ends the command: those after it are built
/// on it.
fn bring_up_to_date(runtime: &Runtime, job: &mut Job, request: &Request, asked: &DaysArguments, terminal: &Terminal) -> Result<ExitStatus> {
    let mut told = Told::default();
    let mut last: Option<NaiveDate> = None;
    loop {
        let is_asked = |day: NaiveDate| asked.is_in_chain(day) && last.is_none_or(|last| last < day);
        let found = runtime.block_on(run::first_superseded(request, &job.stores, is_asked))?;
        let Some((superseded, left)) = found else { return told.end(0, terminal) };
        let mut parameters = superseded.given_parameters;
        parameters.extend(request.parameters.clone());
        let day = Request { as_of: superseded.as_of, parameters, ..request.clone() };
        let result = job.run(runtime, &day, None, terminal);
        told.day(superseded.as_of, &result, terminal);
        // A day whose copies alone are behind is published.
        if result.is_err_and(|error| !publish::delta::is_behind(&error)) {
            return told.end(left - 1, terminal);
        }
        last = Some(superseded.as_of);
    }
}

/// Warns of what has not become known elsewhere of a run that has ended: in the summary, if there is one.
fn warn(warnings: impl IntoIterator<Item = String>, of: &mut Result<Done>, terminal: &Terminal) {
    match of {
        Ok(Done::Published(outcome)) => outcome.warnings.extend(warnings),
        Ok(Done::Unchanged(unchanged)) => unchanged.warnings.extend(warnings),
        Err(_) => warnings.into_iter().for_each(|warning| terminal.warn(&warning)),
    }
}

/// What the runs of one command share.
pub struct Job {
    stores: Arc<Stores>,
    progress: Arc<Progress>,
    /// Waits for signals and the deadline, however busy the computing runtime is.
    waiting: Runtime,
    signals: Signals,
    deadline: Deadline,
    log: Option<Arc<Log>>,
    /// Who else is told how a run ended, or a plan that failed.
    pub tells: Option<Tells>,
    /// A signal that came when a run had ended.
    heard: Option<Signal>,
    /// Sends lineage events, if somebody wants them.
    emitter: Option<Arc<Emitter>>,
}

/// Who is told how a run ended, beside who reads what the command prints.
pub struct Tells {
    /// The file of the metrics.
    pub metrics: Option<PathBuf>,
    /// Whether the notifications of the pipeline file are sent.
    pub notifies: bool,
    /// Whether a plan tells that extracts are late.
    pub tells_late: bool,
}

impl Tells {
    fn is_told(&self, error: &Error) -> bool {
        self.tells_late || !matches!(error, Error::Late(_))
    }
}

impl Job {
    /// No day has been run.
    ///
    /// # Errors
    /// When signals cannot be listened for.
    pub fn new(environment: &Environment, timeout: Option<Duration>, terminal: &Terminal) -> Result<Self> {
        let waiting = runtimes::waiting()?;
        let (signals, deadline) = {
            let _entered = waiting.enter();
            (Signals::listen()?, Deadline::after(timeout))
        };
        let (stores, progress) = (Arc::new(Stores::new(environment.clone())), Arc::new(Progress::on_terminal(terminal.is_live())));
        let log = terminal.log().cloned();
        Ok(Job { stores, progress, waiting, signals, deadline, log, tells: None, heard: None, emitter: None })
    }

    /// Sends lineage events of the runs where the command line or the variables of OpenLineage's clients ask for them.
    fn emit_to(&mut self, typed: Option<&str>, environment: &Environment, terminal: &Terminal) {
        let mut warnings = Vec::new();
        let settings = openlineage::settings(typed, environment, &mut warnings);
        self.emitter = settings.map(|settings| Arc::new(Emitter::new(settings, self.waiting.handle().clone())));
        for warning in warnings {
            terminal.warn(&warning);
        }
    }

    /// Runs one day until it ends, a signal arrives or the deadline has passed, and tells who is to be told of it.
    fn run(&mut self, runtime: &Runtime, request: &Request, record: Option<PathBuf>, terminal: &Terminal) -> Result<Done> {
        let recorder = Arc::new(Recorder::start(request.as_of, request.limits, record));
        let (stores, progress, watched) = (Arc::clone(&self.stores), Arc::clone(&self.progress), Arc::clone(&recorder));
        let (handle, environment, request) = (runtime.handle().clone(), request.environment.clone(), request.clone());
        let events = Arc::new(self.emitter.as_ref().map_or_else(RunEvents::none, Emitter::run));
        let planned = Arc::clone(&events);
        let running = move || handle.block_on(run::run(&request, &stores, &progress, &watched, &planned));
        let mut result = self.watch(runtime, &recorder, &events, running);
        let ending = match &result {
            Ok(Done::Published(outcome)) => Ending::Published(&outcome.published.commit),
            Ok(Done::Unchanged(unchanged)) => Ending::Unchanged(&unchanged.commit),
            Err(error) => Ending::of(error),
        };
        self.waiting.block_on(events.ended(recorder.record(), ending, SEND_EVENTS));
        warn(events.take_warning(), &mut result, terminal);
        let warnings = self.tell(&recorder, result.as_ref(), &environment);
        warn(warnings, &mut result, terminal);
        result
    }

    /// Tells who is to be told how a run ended, or a plan that failed; what somebody should know if that did not succeed.
    fn tell(&mut self, recorder: &Recorder, result: Result<&Done, &Error>, environment: &Environment) -> Vec<String> {
        let Some(Tells { metrics, notifies, .. }) = &self.tells else { return Vec::new() };
        let within = if matches!(result, Err(Error::Stopped(..))) { TELL_AFTER_SIGNAL } else { telemetry::WITHIN };
        let audience = Audience { metrics: metrics.as_deref(), notifies: *notifies, environment, within };
        let ended = Ended::now(recorder, result);
        let signals = &mut self.signals;
        let told = self.waiting.block_on(async {
            tokio::select! {
                biased;
                warnings = telemetry::tell(&ended, audience) => Ok(warnings),
                signal = signals.next() => Err(signal),
            }
        });
        told.unwrap_or_else(|signal| {
            // How this run ended stays; what would come after it does not begin.
            self.heard = Some(signal);
            Vec::new()
        })
    }

    /// Plans one day until it is planned, a signal arrives or the deadline has passed, and tells who is to be told if that fails.
    ///
    /// # Errors
    /// As a run fails.
    pub fn plan(&mut self, runtime: &Runtime, request: &Request, folder: &Path, terminal: &Terminal) -> Result<Planned> {
        let recorder = Arc::new(Recorder::start(request.as_of, request.limits, None));
        let (stores, progress, watched) = (Arc::clone(&self.stores), Arc::clone(&self.progress), Arc::clone(&recorder));
        let (handle, environment, request) = (runtime.handle().clone(), request.environment.clone(), request.clone());
        let folder = folder.to_owned();
        let planning = move || handle.block_on(run::plan(&request, &stores, &progress, &watched, &folder));
        let result = self.watch(runtime, &recorder, &RunEvents::none(), planning);
        if let Err(error) = &result
            && self.tells.as_ref().is_some_and(|tells| tells.is_told(error))
        {
            for warning in self.tell(&recorder, Err(error), &environment) {
                terminal.warn(&warning);
            }
        }
        result
    }

    fn watch<T: Send + 'static>(
        &mut self,
        runtime: &Runtime,
        recorder: &Arc<Recorder>,
        events: &RunEvents,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.log.iter().for_each(|log| log.begins(recorder));
        if let Some(signal) = self.heard.take() {
            return Err(stopped(signal, &Standing::NotPublished));
        }
        // The work has its own thread, so that a step that computes for long does not delay the reaction to a signal.
        let running = runtime.spawn_blocking(work);
        let until_stopped = run_or_stop(running, &mut self.signals, self.deadline, &self.stores, recorder, events);
        let result = self.waiting.block_on(until_stopped);
        self.progress.clear();
        result
    }
}

/// Waits for a run, and ends it when a signal comes or time is up.
async fn run_or_stop<T>(
    mut running: JoinHandle<Result<T>>,
    signals: &mut Signals,
    deadline: Deadline,
    stores: &Stores,
    recorder: &Recorder,
    events: &RunEvents,
) -> Result<T> {
    let ended = |done: Result<Result<T>, tokio::task::JoinError>| {
        // What it panicked with may hold values.
        done.unwrap_or_else(|_| Err(Error::defect("the run broke off")))
    };
    let end = tokio::select! {
        done = &mut running => return ended(done),
        signal = signals.next() => End::Signal(signal),
        () = deadline.passed() => End::Time,
        () = engine::memory_is_exceeded() => End::Memory,
    };
    let stopped_before = recorder.stop();
    if !stopped_before && let Ok(done) = tokio::time::timeout(FINISH_PUBLISHING, &mut running).await {
        return ended(done);
    }
    let standing = match recorder.published() {
        Some(commit) => Standing::Published(commit.clone()),
        None if stopped_before => Standing::NotPublished,
        None => Standing::Unknown,
    };
    let error = match end {
        End::Signal(signal) => stopped(signal, &standing),
        End::Time => deadline.error(recorder.doing(), &standing.told()),
        End::Memory => engine::memory_exceeded(&recorder.doing().told().map_or_else(|| "the run".to_owned(), |(what, _)| what)),
    };
    // A store that does not answer must not keep the process.
    let ending = if matches!(end, End::Memory) { Ending::Failed(&error) } else { Ending::Aborted(&error) };
    let told = events.ended(recorder.record(), ending, SEND_LAST_EVENTS);
    let last_words = async { tokio::join!(recorder.close(Err(&error)), stores.end_uploads(true), told) };
    let _ = tokio::time::timeout(WRITE_RECORD, last_words).await;
    Err(error)
}

/// What ends a run from outside.
enum End {
    Signal(Signal),
    Time,
    Memory,
}

/// What is known of the commit of a run that was ended from outside.
enum Standing {
    NotPublished,
    Unknown,
    /// It is there, and only copies of it are not finished.
    Published(String),
}

impl Standing {
    fn told(&self) -> String {
        match self {
            Standing::NotPublished => "nothing was published".to_owned(),
            Standing::Unknown => "whether the commit is there is not known".to_owned(),
            Standing::Published(commit) => format!("published as {commit}, but the copies in Delta Lake are not up to date"),
        }
    }
}

fn stopped(signal: Signal, standing: &Standing) -> Error {
    let by = match signal {
        Signal::Interrupt => "Ctrl-C",
        Signal::Terminate => "SIGTERM",
        Signal::HangUp => "SIGHUP",
    };
    let told = standing.told();
    let message = match standing {
        Standing::NotPublished => Message::new(format!("{by} stopped the run; {told}")).hint("run again"),
        Standing::Unknown => Message::new(format!("{by} stopped the run while it was publishing; {told}"))
            .hint("run again: it publishes only if this run has not"),
        Standing::Published(_) => {
            Message::new(format!("{by} stopped the run: {told}")).hint("run again: it publishes nothing, and brings them up to date")
        }
    };
    Error::Stopped(signal, message)
}

/// Refuses to write the record into a pipe, because writing would block for ever if nobody reads it.
fn refuse_pipe(record: &Path) -> Result<()> {
    match storage::refuse_odd(record) {
        // A terminal and the null device never block.
        Err(error) if storage::why_no_file(&error).is_some_and(|odd| !odd.is_device()) => {
            let odd = storage::why_no_file(&error).map_or("", |odd| odd.0);
            let what = format!("cannot write the record to {}: {odd}", shown::name(&record.to_string_lossy()));
            Err(Error::argument("not-a-file", what))
        }
        _ => Ok(()),
    }
}

/// Refuses to replace what is no file by the metrics: a device, a pipe or a folder.
///
/// # Errors
/// The place of the metrics, as a wrong argument.
pub fn refuse_no_file(metrics: &Path) -> Result<()> {
    match storage::refuse_odd(metrics) {
        Err(error) if storage::why_no_file(&error).is_some() => {
            let odd = storage::why_no_file(&error).map_or("", |odd| odd.0);
            let what = format!("cannot write the metrics to {}: {odd}", shown::name(&metrics.to_string_lossy()));
            Err(Error::argument("not-a-file", what))
        }
        _ => Ok(()),
    }
}

/// The limits of the run: as typed, or else from what the machine or container has.
///
/// # Errors
/// [`Error::Project`] when there is no memory for the threads that were typed.
pub fn limits(memory_limit: Option<usize>, threads: Option<u16>) -> Result<Limits> {
    let memory_bytes = memory_limit.unwrap_or_else(|| engine::memory_at_hand().saturating_sub(PROGRAM_BYTES) / 100 * MEMORY_SHARE);
    let room = (memory_bytes / MIN_THREAD_BYTES).max(1);
    let threads = match threads.map(usize::from) {
        Some(threads) if threads > room => {
            let enough = threads * MIN_THREAD_BYTES / MIB;
            let what = format!("{threads} threads do not fit a memory limit of {} MiB", memory_bytes / MIB);
            let hint = format!("give it `--threads {room}`, or `--memory-limit {enough}MiB`");
            return Err(Diagnostic::error("too-many-threads", what).hint(hint).into());
        }
        Some(threads) => threads,
        None => {
            let machine = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
            machine.min(room).min(usize::from(MAX_THREADS))
        }
    };
    Ok(Limits { threads, memory_bytes })
}
