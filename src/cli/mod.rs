//! The command line: one file a command. People's text goes to standard error, a result asked for as JSON to standard output.

mod arguments;
mod clean;
mod days;
mod explain;
mod generate;
mod init;
mod outputs;
mod run;
mod schema;
mod signals;
mod terminal;
mod test;
mod validate;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use crate::config::Environment;
use crate::error::{Error, ExitStatus};
use crate::storage::Stores;
use arguments::{Arguments, Command, Format};
use terminal::Terminal;

/// The stack of a thread. A statement is taken apart by recursion, and a model that unites hundreds of tables is that deep.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Parses the arguments, runs the command and gives the exit status.
pub fn main() -> ExitCode {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let environment: Environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))).collect();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse_arguments(&error, &environment),
    };
    start_log();
    Stores::of_command_line();
    let terminal = Terminal::new(arguments.format, &environment);
    if matches!(arguments.format, Format::Urls | Format::Redshift) && !matches!(arguments.command, Command::Outputs(_)) {
        let error = Error::argument("format-of-outputs", "`urls` and `redshift` are formats of `segmill outputs` alone");
        Terminal::new(Format::Human, &environment).fail(&error);
        return error.exit_status().into();
    }
    let result = match arguments.command {
        Command::Run(arguments) => run::command(arguments, environment, &terminal),
        Command::Validate(arguments) => validate::command(&arguments, &environment, &terminal).map(|()| ExitStatus::Success),
        Command::Test(arguments) => test::command(&arguments, &environment, &terminal),
        Command::Explain(arguments) => explain::command(arguments, environment, &terminal).map(|()| ExitStatus::Success),
        Command::Outputs(arguments) => outputs::command(&arguments, environment, &terminal).map(|()| ExitStatus::Success),
        Command::Clean(arguments) => clean::command(&arguments, environment, &terminal),
        Command::Init(arguments) => init::command(&arguments, &terminal).map(|()| ExitStatus::Success),
        Command::Generate(arguments) => generate::command(arguments, &terminal).map(|()| ExitStatus::Success),
        Command::Schema(arguments) => {
            schema::command(&arguments);
            Ok(ExitStatus::Success)
        }
    };
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            terminal.fail(&error);
            error.exit_status().into()
        }
    }
}

/// Tells what is wrong with the arguments, or the help or version that they ask for.
fn refuse_arguments(error: &clap::Error, environment: &Environment) -> ExitCode {
    let json = std::env::args_os().collect::<Vec<_>>().windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
        || std::env::args_os().any(|argument| argument == "--format=json");
    if json && error.use_stderr() {
        let said = error.to_string();
        let what = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Terminal::new(Format::Json, environment).fail(&Error::argument("invalid-arguments", what));
        return ExitStatus::Project.into();
    }
    // A reader that has gone away is no failure.
    let _ = error.print();
    if error.use_stderr() { ExitStatus::Project.into() } else { ExitStatus::Success.into() }
}

/// A runtime for the commands that read and write.
fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Error> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_stack_size(STACK_BYTES).enable_all().build();
    built.map_err(|error| Error::defect(format!("the runtime did not start: {error}")))
}

/// Logs go to standard error when `SEGMILL_LOG` asks for them (as `SEGMILL_LOG=debug`), apart from messages for people.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::builder().with_env_var("SEGMILL_LOG").with_default_directive(tracing::Level::ERROR.into());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter.from_env_lossy())
        .finish();
    // A log that a host program has set up already stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
