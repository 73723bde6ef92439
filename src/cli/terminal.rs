//! The one place that prints.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::arguments::Format;
use crate::config::Environment;
use crate::error::{Error, Message, Result};
use crate::report;
use crate::shown;
use crate::storage;

/// Where a command tells its result.
#[derive(Debug)]
pub struct Terminal {
    format: Format,
    live: bool,
    colour: bool,
}

impl Terminal {
    /// Looks at what standard error is.
    pub fn new(format: Format, environment: &Environment) -> Self {
        let live = std::io::stderr().is_terminal() && environment.get("TERM").is_none_or(|term| term != "dumb");
        let colour = live && environment.get("NO_COLOR").is_none_or(String::is_empty);
        Terminal { format, live, colour }
    }

    /// The form asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints a result as it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when standard output does not take it.
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

    /// Gives a result, in the form asked for, on standard output.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when that does not take it.
    pub fn give(&self, human: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Result<()> {
        match self.format {
            Format::Human | Format::Urls | Format::Redshift => written(&shown::lines(&human())),
            Format::Json => written(&shown::json(&format!("{:#}", json()))),
        }
    }

    /// Tells what was done: people on standard error, where progress goes too, and programs on standard output.
    ///
    /// # Errors
    /// As [`Terminal::give`].
    pub fn tell(&self, human: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Result<()> {
        match self.format {
            Format::Human | Format::Urls | Format::Redshift => {
                self.write_error(&human());
                Ok(())
            }
            Format::Json => written(&shown::json(&shown::without_given(&format!("{:#}", json())))),
        }
    }

    /// Says something to people while work goes on.
    pub fn say(&self, line: &str) {
        if self.format == Format::Human {
            self.write_error(line);
        }
    }

    /// Tells an error in the form asked for.
    pub fn fail(&self, error: &Error) {
        // What cannot be told here is told by the exit status.
        let _ = match self.format {
            Format::Json => written(&shown::json(&shown::without_given(&format!("{:#}", report::json_error(error))))),
            _ => self.tell(|| report::human_error(error, self.colour), Value::default),
        };
    }

    /// Nobody could be told that nobody reads this.
    fn write_error(&self, text: &str) {
        let text = shown::without_given(text);
        let text = if self.colour { shown::coloured(&text) } else { shown::lines(&text) };
        let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    }
}

/// Writes a result to standard output, to its last byte. A reader that has gone away has not got it.
fn written(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).map_err(|error| {
        let why =
            if error.kind() == std::io::ErrorKind::BrokenPipe { "nobody reads it any more".to_owned() } else { storage::of_system(&error) };
        let message = Message::new(format!("the result was not written to standard output: {why}"));
        Error::Unavailable(
            message.hint("what was read of it is not the whole of it; make room, or read it to its end, and run the command again"),
        )
    })
}
