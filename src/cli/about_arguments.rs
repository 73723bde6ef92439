//! The arguments of commands that tell of the program itself: `version`, `completions`, `man` and `schema`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// What `version` takes.
#[derive(Debug, Clone, Args)]
pub struct VersionArguments {
    /// One JSON document: the same as `--format json`
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// What `completions` takes.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// What `man` takes.
#[derive(Debug, Clone, Args)]
pub struct ManArguments {
    /// Write the pages of all commands into this folder, as `segmill.1`, `segmill-run.1` and so on
    #[arg(long, short, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
}

/// What `schema` takes.
#[derive(Debug, Clone, Args)]
pub struct SchemaArguments {
    /// Print the schema of the given/expect cases in `tests/models` instead
    #[arg(long)]
    pub cases: bool,
}
