//! `segmill schema`: the JSON Schema of the project's YAML files, by which editors complete and check.

use clap::Args;

use super::terminal::Terminal;
use crate::cases;
use crate::config::{self, Pipeline};
use crate::error::Result;

/// What `schema` takes.
#[derive(Debug, Clone, Args)]
pub struct SchemaArguments {
    /// Print the schema of the given/expect cases in `tests/models` instead
    #[arg(long)]
    pub cases: bool,
}

/// Runs the command.
pub fn command(arguments: &SchemaArguments) -> Result<()> {
    let schema = if arguments.cases { cases::schema() } else { config::schema_of::<Pipeline>() };
    Terminal::print(&format!("{schema:#}"))
}
