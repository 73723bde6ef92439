//! `segmill clean`: what no publication needs any more, shown first, then removed.

use indicatif::HumanBytes;
use serde_json::json;

use super::arguments::CleanArguments;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::error::{Error, Result};
use crate::publish::clean::{self, Waste, Why};
use crate::run;
use crate::storage::Stores;

/// Runs the command.
pub fn command(arguments: &CleanArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let stores = Stores::new(environment.clone());
    let destination = arguments.place.open(&environment, &stores)?;
    let cleaned = async {
        let waste = clean::find(&destination, arguments.grace).await?;
        if arguments.remove {
            clean::remove(&destination, &waste).await?;
        }
        Ok::<_, Error>(waste)
    };
    let waste = super::runtime(2)?.block_on(async {
        let cleaned = cleaned.await;
        run::give_up_uploads(&stores).await;
        cleaned
    })?;
    let file = |waste: &Waste| json!({ "url": waste.url, "bytes": waste.bytes, "why": waste.why });
    terminal.give(
        || lines(&waste, arguments.remove),
        || {
            json!({
                "status": if arguments.remove { "removed" } else { "shown" },
                "exit_code": 0,
                "bytes": waste.iter().map(|waste| waste.bytes).sum::<u64>(),
                "files": waste.iter().map(file).collect::<Vec<_>>(),
            })
        },
    )
}

fn lines(waste: &[Waste], removed: bool) -> String {
    if waste.is_empty() {
        return "There is nothing to clean.".to_owned();
    }
    let mut text = String::new();
    for file in waste {
        let why = match file.why {
            Why::SupersededCommit | Why::SupersededFile => "superseded",
            Why::DeadRun => "never published",
            Why::PendingNote => "left by a run that died",
            Why::UnfinishedFile => "unfinished",
        };
        text += &format!("{:>12}  {why:<23}  {}\n", HumanBytes(file.bytes).to_string(), file.shown);
    }
    let bytes = HumanBytes(waste.iter().map(|file| file.bytes).sum());
    let files = if waste.len() == 1 { "1 file".to_owned() } else { format!("{} files", waste.len()) };
    text + &if removed { format!("\nRemoved {files}, {bytes}") } else { format!("\n{files}, {bytes}; `--remove` removes them") }
}
