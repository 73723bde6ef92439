//! `segmill inspect`: drafts a contract from files.

use super::arguments::{DraftFormat, InspectArguments};
use super::runtimes;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::error::Result;
use crate::inspect::{self, Question};
use crate::storage::Stores;

/// Runs the command.
pub fn command(arguments: InspectArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let stores = Stores::new(environment);
    let question = Question { locations: arguments.files, name: arguments.name, time_zone: arguments.time_zone };
    let inspected = runtimes::working(1)?.block_on(inspect::inspect(&question, &stores))?;
    if arguments.format == DraftFormat::Human {
        terminal.say(&format!("{}\n", inspected.human()));
    }
    terminal.give(|| inspected.yaml(), || inspected.json())
}
