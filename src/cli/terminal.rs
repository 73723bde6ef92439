//! The one place that prints.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::arguments::Format;
use crate::config::Environment;
use crate::error::Error;
use crate::report;

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
    pub fn print(text: &str) {
        write_line(&mut std::io::stdout(), text);
    }

    /// Whether a line may be redrawn while work goes on.
    pub fn is_live(&self) -> bool {
        self.live && self.format == Format::Human
    }

    /// Whether text for people may be coloured.
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// Tells a result in the form asked for.
    pub fn tell(&self, human: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
        match self.format {
            // Lists of files are results; beside them there is only text for people.
            Format::Human | Format::Urls | Format::Redshift => write_line(&mut std::io::stderr(), &human()),
            Format::Json => write_line(&mut std::io::stdout(), &format!("{:#}", json())),
        }
    }

    /// Says something to people while work goes on.
    pub fn say(&self, line: &str) {
        if self.format == Format::Human {
            write_line(&mut std::io::stderr(), line);
        }
    }

    /// Tells an error in the form asked for.
    pub fn fail(&self, error: &Error) {
        self.tell(|| report::human_error(error, self.colour), || report::json_error(error));
    }
}

/// A reader that has gone away is no failure of the command.
fn write_line(out: &mut dyn Write, text: &str) {
    let _ = writeln!(out, "{}", text.trim_end());
}
