//! `segmill version`, `completions` and `man`: what the program says of itself, from the definitions that parse its arguments.

use clap::CommandFactory;
use serde_json::json;

use super::about_arguments::{CompletionsArguments, ManArguments};
use super::arguments::Arguments;
use super::terminal::Terminal;
use crate::error::{Error, Message, Result};
use crate::manifest::FORMAT;
use crate::{config, storage};

/// Prints the version, and for programs what it is built of and which files it reads and writes.
///
/// # Errors
/// As standard output fails.
pub fn version(terminal: &Terminal) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    terminal.give(
        || format!("segmill {version}\n"),
        || {
            json!({
                "name": env!("CARGO_PKG_NAME"),
                "version": version,
                "os": std::env::consts::OS,
                "architecture": std::env::consts::ARCH,
                "datafusion_version": datafusion::DATAFUSION_VERSION,
                "arrow_version": arrow::ARROW_VERSION,
                "pipeline_version": config::PIPELINE_VERSION,
                "commit_version": FORMAT,
            })
        },
    )
}

/// Prints the script by which a shell completes commands and arguments.
///
/// # Errors
/// As standard output fails.
pub fn completions(arguments: &CompletionsArguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), env!("CARGO_PKG_NAME"), &mut script);
    Terminal::print(String::from_utf8_lossy(&script).trim_end())
}

/// Prints the manual page of the program, or writes the pages of all commands.
///
/// # Errors
/// As standard output or the folder fails.
pub fn man(arguments: &ManArguments, terminal: &Terminal) -> Result<()> {
    let Some(folder) = &arguments.output else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command().disable_help_subcommand(true))
            .render(&mut page)
            .map_err(|error| Error::defect(error.to_string()))?;
        return Terminal::print(String::from_utf8_lossy(&page).trim_end());
    };
    let shown = folder.display();
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Arguments::command(), folder));
    written.map_err(|error| {
        let message = Message::new(format!("the manual pages were not written into {shown}: {}", storage::of_system(&error)));
        Error::Unavailable(message.hint("name another folder with `--output`, or free some space"))
    })?;
    terminal.tell(|| format!("The manual pages are in {shown}: MANPATH, or `man -l FILE`, shows them"), || json!({ "status": "written" }))
}
