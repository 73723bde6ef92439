//! `segmill generate`: sample extracts of any size.

use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use super::arguments::GenerateArguments;
use super::terminal::Terminal;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::generate::{self, EmailFormat, Options, Written};

/// Runs the command.
pub fn command(arguments: GenerateArguments, terminal: &Terminal) -> Result<()> {
    let options = Options {
        customers: arguments.customers,
        orders: arguments.orders,
        seed: arguments.seed,
        from: arguments.from,
        to: arguments.to,
        force: arguments.force,
        email_format: if arguments.email_parquet { EmailFormat::Parquet } else { EmailFormat::Ndjson },
    };
    let written = generate::generate(&options, &arguments.folder).map_err(|error| match error {
        generate::Error::InUse { .. } => {
            let problem = Diagnostic::error("folder-in-use", error.to_string());
            problem.hint("name a new folder; or, to replace what has the same name and leave the rest, `--force`").into()
        }
        error => Error::argument("not-generated", error.to_string()),
    })?;
    let file = |file: &Written| json!({ "path": file.path.display().to_string(), "rows": file.rows, "bytes": file.bytes });
    terminal.tell(
        || lines(&written),
        || json!({ "status": "generated", "exit_code": 0, "files": written.iter().map(file).collect::<Vec<_>>() }),
    )
}

fn lines(written: &[Written]) -> String {
    let line = |name: &str, rows: u64, bytes: u64| {
        format!("{:>14} rows {:>12}  {name}\n", HumanCount(rows).to_string(), HumanBytes(bytes).to_string())
    };
    let files: String = written.iter().map(|file| line(&file.path.display().to_string(), file.rows, file.bytes)).collect();
    let (rows, bytes) = written.iter().fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
    files + &line("in all", rows, bytes)
}
