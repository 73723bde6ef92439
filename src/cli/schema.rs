//! `segmill schema`: the JSON Schema of the project's YAML files, by which editors complete and check.

use super::about_arguments::SchemaArguments;
use super::terminal::Terminal;
use crate::cases;
use crate::config::{self, Pipeline};
use crate::error::Result;

/// Runs the command.
pub fn command(arguments: &SchemaArguments) -> Result<()> {
    let schema = if arguments.cases { cases::schema() } else { config::schema_of::<Pipeline>() };
    Terminal::print(&format!("{schema:#}"))
}
