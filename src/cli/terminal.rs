//! The one place that prints.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::arguments::Format;
use super::log::{Level, Log};
use crate::config::Environment;
use crate::error::{Error, Message, Result};
use crate::report;
use crate::shown;
use crate::storage;

/// Where a command prints its result and its messages.
#[derive(Debug)]
pub struct Terminal {
    format: Format,
    live: bool,
    colour: bool,
    /// Where what would go to standard error goes as JSON lines, if it does.
    log: Option<Arc<Log>>,
}

impl Terminal {
    /// Finds out whether standard error is a terminal. Nothing else than its lines goes there if there is a log.
    pub fn new(format: Format, log: Option<Arc<Log>>, environment: &Environment) -> Self {
        let live = log.is_none() && std::io::stderr().is_terminal() && environment.get("TERM").is_none_or(|term| term != "dumb");
        let colour = live && environment.get("NO_COLOR").is_none_or(String::is_empty);
        Terminal { format, live, colour, log }
    }

    /// The log of JSON lines, if there is one.
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    /// The format of results that was asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints a result as it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when standard output cannot be written to.
    pub fn print(text: &str) -> Result<()> {
        written(&shown::lines(text))
    }

    /// Whether a line may be redrawn while work goes on.
    pub fn is_live(&self) -> bool {
        self.live && self.format == Format::Human
    }

    /// Whether text for people may be coloured.
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// Prints a result to standard output in the format that was asked for.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when standard output cannot be written to.
    pub fn give(&self, human: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Result<()> {
        match self.format {
            Format::Human | Format::Urls | Format::Redshift | Format::Dbt => written(&shown::lines(&human())),
            Format::Json => written(&shown::json(&format!("{:#}", json()))),
        }
    }

    /// Prints what was done: for people to standard error, where progress goes too, and for programs to standard output.
    ///
    /// # Errors
    /// As [`Terminal::give`].
    pub fn tell(&self, human: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Result<()> {
        if let Some(log) = &self.log {
            let summary = json();
            let told = if self.format == Format::Json { written(&as_document(&summary)) } else { Ok(()) };
            log.line(Level::Info, "summary", Map::from_iter([("summary".to_owned(), summary)]));
            return told;
        }
        match self.format {
            Format::Human | Format::Urls | Format::Redshift | Format::Dbt => {
                self.write_error(&human());
                Ok(())
            }
            Format::Json => written(&as_document(&json())),
        }
    }

    /// Prints a message for people while work goes on.
    pub fn say(&self, line: &str) {
        if let Some(log) = &self.log {
            log.line(Level::Info, line, Map::new());
        } else if self.format == Format::Human {
            self.write_error(line);
        }
    }

    /// Prints what somebody should look at, whatever the form of the result.
    pub fn warn(&self, line: &str) {
        match &self.log {
            Some(log) => log.line(Level::Warning, line, Map::new()),
            None => self.write_error(&format!("warning: {line}")),
        }
    }

    /// Prints what is told of an error while work goes on, such as that of one day of several.
    pub fn say_failure(&self, line: impl FnOnce() -> String, error: &Error) {
        match &self.log {
            Some(log) => log_failure(log, error),
            None => self.say(&line()),
        }
    }

    /// The width of the terminal that standard output is; none if it is something else.
    pub fn width() -> Option<usize> {
        let stdout = std::io::stdout();
        stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout).map_or(80, |(width, _)| usize::from(width.0)))
    }

    /// Prints a message for people, whatever the form of the result: standard output is for that alone.
    pub fn note(&self, line: &str) {
        match &self.log {
            Some(log) => log.line(Level::Info, line, Map::new()),
            None => self.write_error(line),
        }
    }

    /// Prints a part of a result as it is; on a terminal without control characters, if it is text. The rest is not wanted if whoever
    /// reads it has gone.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when standard output cannot be written to.
    pub fn print_part(bytes: &[u8], is_text: bool) -> Result<Reader> {
        let mut out = std::io::stdout().lock();
        let text = if is_text && out.is_terminal() { std::str::from_utf8(bytes).ok() } else { None };
        let written = match text {
            Some(text) => out.write_all(shown::lines(text).as_bytes()),
            None => out.write_all(bytes),
        };
        reader(written.and_then(|()| out.flush()))
    }

    /// Prints an error in the format that was asked for.
    pub fn fail(&self, error: &Error) {
        if let Some(log) = &self.log {
            log_failure(log, error);
        }
        // If the message cannot be printed, the exit status still reports the failure.
        let _ = match self.format {
            Format::Json => written(&as_document(&report::json_error(error))),
            _ if self.log.is_some() => Ok(()),
            _ => self.tell(|| report::human_error(error, self.colour), Value::default),
        };
    }

    /// If standard error is closed, there is nowhere to report that.
    fn write_error(&self, text: &str) {
        let text = shown::without_given(text);
        let text = if self.colour { shown::coloured(&text) } else { shown::lines(&text) };
        let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    }
}

/// A result as it is printed.
fn as_document(result: &Value) -> String {
    shown::json(&shown::without_given(&format!("{result:#}"))).into_owned()
}

/// Writes a failure as a line of the log.
fn log_failure(log: &Log, error: &Error) {
    let told = error.to_string();
    let what = told.lines().next().unwrap_or_default();
    let more = match report::json_error(error) {
        Value::Object(more) => more,
        _ => Map::new(),
    };
    log.line(Level::Error, what, more);
}

/// Whoever reads standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Takes what is written.
    Reads,
    /// Has taken what it wanted, as `head` does, and gone.
    HasGone,
}

/// Writes a whole result to standard output. That a reader leaves before the end is its own affair, as with other tools: what a command
/// has done does not depend on it, and neither does its exit status.
fn written(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    reader(writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush())).map(drop)
}

fn reader(written: std::io::Result<()>) -> Result<Reader> {
    match written {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Reader::HasGone),
        Err(error) => {
            let message = Message::new(format!("the result was not written to standard output: {}", storage::of_system(&error)));
            Err(Error::Unavailable(message.hint("the part that was read is incomplete; free some space, and run the command again")))
        }
    }
}
