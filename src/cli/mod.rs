//! The command line: one file a command. Results go to standard output; progress, warnings and problems to standard error.

mod about;
mod about_arguments;
mod arguments;
mod clean;
mod comparisons;
mod days;
mod deadline;
mod diff;
mod docs;
mod durations;
mod explain;
mod generate;
mod init;
mod inspect;
mod kept_project;
mod log;
mod look;
mod looks;
mod outputs;
mod plan;
mod project_arguments;
mod query;
mod report;
mod resources;
mod run;
mod runtimes;
mod schema;
mod show;
mod signals;
mod terminal;
mod test;
mod text_encoding;
mod validate;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use serde_json::Map;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, ExitStatus};
use crate::ingest::is_decoding;
use crate::shown;
use crate::storage::Stores;
pub use arguments::Arguments;
use arguments::{Command, Format, LOG_FORMAT_VARIABLE};
use log::{Level, Log, LogFormat, LogLayer};
use runtimes::STACK_BYTES;
use terminal::Terminal;

/// Runs the command on a thread whose stack is as large as those of the threads that work, and gives the exit status.
pub fn main() -> ExitCode {
    match std::thread::Builder::new().stack_size(STACK_BYTES).spawn(command) {
        // The panic hook has reported the panic.
        Ok(command) => command.join().unwrap_or_else(|_| ExitStatus::Defect.into()),
        Err(_) => command(),
    }
}

/// Parses the arguments and runs the command.
fn command() -> ExitCode {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let environment: Environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))).collect();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse_arguments(&error, &environment),
    };
    signals::outlive_file_limit();
    Stores::of_command_line();
    let log = (arguments.log_format == LogFormat::Json).then(Arc::<Log>::default);
    let terminal = Terminal::new(arguments.command.format(), log.clone(), &environment);
    keep_panics_discreet(log.clone());
    if let Err(error) = start_log(log, &environment) {
        terminal.fail(&error);
        return error.exit_status().into();
    }
    let result = match arguments.command {
        Command::Run(formatted) => run::command(formatted.arguments, environment, &terminal),
        Command::Validate(formatted) => validate::command(&formatted.arguments, &environment, &terminal).map(|()| ExitStatus::Success),
        Command::Test(formatted) => test::command(formatted.arguments, &environment, &terminal),
        Command::Explain(formatted) => explain::command(formatted.arguments, environment, &terminal).map(|()| ExitStatus::Success),
        Command::Plan(formatted) => plan::command(formatted.arguments, environment, &terminal),
        Command::Diff(formatted) => diff::command(formatted.arguments, &environment, &terminal).map(|()| ExitStatus::Success),
        Command::Report(formatted) => report::command(&formatted.arguments, &environment, &terminal).map(|()| ExitStatus::Success),
        Command::Docs(formatted) => docs::command(&formatted.arguments, &environment, &terminal).map(|()| ExitStatus::Success),
        Command::Show(arguments) => show::command(arguments, environment, &terminal).map(|()| ExitStatus::Success),
        Command::Query(arguments) => query::command(arguments, environment, &terminal).map(|()| ExitStatus::Success),
        Command::Inspect(arguments) => inspect::command(arguments, environment, &terminal).map(|()| ExitStatus::Success),
        Command::Outputs(arguments) => outputs::command(&arguments, environment, &terminal).map(|()| ExitStatus::Success),
        Command::Clean(formatted) => clean::command(&formatted.arguments, environment, &terminal),
        Command::Init(formatted) => init::command(&formatted.arguments, &terminal).map(|()| ExitStatus::Success),
        Command::Generate(formatted) => generate::command(formatted.arguments, &terminal).map(|()| ExitStatus::Success),
        Command::Schema(arguments) => schema::command(&arguments).map(|()| ExitStatus::Success),
        Command::Version(_) => about::version(&terminal).map(|()| ExitStatus::Success),
        Command::Completions(arguments) => about::completions(&arguments).map(|()| ExitStatus::Success),
        Command::Man(arguments) => about::man(&arguments, &terminal).map(|()| ExitStatus::Success),
    };
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            terminal.fail(&error);
            error.exit_status().into()
        }
    }
}

/// Prints what is wrong with the arguments, or the help or version that they ask for.
fn refuse_arguments(error: &clap::Error, environment: &Environment) -> ExitCode {
    let typed: Vec<_> = std::env::args_os().collect();
    let asks = |option: &str| {
        typed.windows(2).any(|pair| pair[0] == option && pair[1] == "json") || typed.iter().any(|one| *one == *format!("{option}=json"))
    };
    let is_json_log = asks("--log-format") || environment.get(LOG_FORMAT_VARIABLE).is_some_and(|form| form == "json");
    let log = is_json_log.then(Arc::<Log>::default);
    if error.use_stderr() && (asks("--format") || is_json_log) {
        let said = error.to_string();
        let what = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let format = if asks("--format") { Format::Json } else { Format::Human };
        Terminal::new(format, log, environment).fail(&Error::argument("invalid-arguments", what));
        return ExitStatus::Project.into();
    }
    if error.to_string().chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        // The message repeats arguments that contain control characters, which a terminal would obey.
        Terminal::new(Format::Human, None, environment).say(&error.to_string());
    } else {
        // It is no failure when the reader of the output has gone.
        let _ = error.print();
    }
    if error.use_stderr() { ExitStatus::Project.into() } else { ExitStatus::Success.into() }
}

/// The variable that asks for logs.
const LOG_VARIABLE: &str = "SEGMILL_LOG";

/// Logs go to standard error when [`LOG_VARIABLE`] asks for them (as `SEGMILL_LOG=debug`), apart from messages for people; as JSON lines, the
/// steps are among them unless it says otherwise. Only Segmill's own log lines are printed, whatever the filter says, because those of libraries contain signed requests, plans and values.
///
/// # Errors
/// [`Error::Project`] when the variable is no filter.
fn start_log(log: Option<Arc<Log>>, environment: &Environment) -> Result<(), Error> {
    let asked = environment.get(LOG_VARIABLE).map_or("", String::as_str);
    let otherwise = if log.is_some() { tracing::Level::INFO } else { tracing::Level::ERROR };
    let filter = EnvFilter::builder().with_default_directive(otherwise.into()).parse(asked).map_err(|_| {
        let problem = Diagnostic::error("invalid-log-filter", format!("the variable `{LOG_VARIABLE}` does not say what to log"));
        Error::from(problem.hint("write it as `debug`, or as `segmill::run=debug`"))
    })?;
    let own = filter_fn(|of| of.target().split("::").next() == Some(env!("CARGO_CRATE_NAME")));
    let registry = tracing_subscriber::registry().with(filter);
    // A program that embeds Segmill may have set up its own log, which stays in place.
    let _ = match log {
        Some(log) => tracing::subscriber::set_global_default(registry.with(LogLayer(log).with_filter(own))),
        None => {
            let lines = tracing_subscriber::fmt::layer().with_writer(|| LogWriter).with_ansi(std::io::stderr().is_terminal());
            tracing::subscriber::set_global_default(registry.with(lines.with_filter(own)))
        }
    };
    Ok(())
}

/// Makes a panic print its place and not its message, which may contain values.
fn keep_panics_discreet(log: Option<Arc<Log>>) {
    std::panic::set_hook(Box::new(move |panic| {
        // A panic in a decoder is caught there, and reported as damage of the file.
        if is_decoding() {
            return;
        }
        let place = panic.location().map_or_else(String::new, |at| {
            let file = at.file().rsplit_once("/src/").map_or(at.file(), |(before, file)| {
                let package = before.rsplit('/').next().unwrap_or_default();
                &at.file()[at.file().len() - file.len() - "/src/".len() - package.len()..]
            });
            format!(" at {file}:{}", at.line())
        });
        let told = format!("defect: Segmill broke off{place}; please report it with the command you ran");
        match &log {
            Some(log) => log.line(Level::Error, &told, Map::new()),
            None => {
                let mut out = std::io::stderr().lock();
                // If standard error is closed, there is nowhere to report that.
                let _ = writeln!(out, "{told}");
            }
        }
    }));
}

/// Standard error, for the log, with control characters escaped.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().write_all(shown::coloured(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
