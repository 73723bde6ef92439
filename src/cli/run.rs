//! `segmill run`: ingest, join, score, assign, check, publish.

use super::arguments::RunArguments;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::engine::Limits;
use crate::error::Result;
use crate::report::{self, Progress};
use crate::run::{self, Request};

/// The share of the memory at hand that the engine's operators may use, in percent. The rest is for what they do not
/// account for: decoded batches, tables kept between models, the writer.
const MEMORY_SHARE: usize = 70;

/// Runs the command.
pub fn command(arguments: RunArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let limits = limits(&arguments);
    let request = Request {
        parameters: arguments.project.overrides(),
        pipeline: arguments.project.pipeline,
        as_of: arguments.as_of,
        destination: arguments.destination,
        limits,
        environment,
    };
    let progress = Progress::on_terminal(terminal.is_live());
    let result = super::runtime(limits.threads)?.block_on(run::run(&request, &progress));
    progress.clear();
    let outcome = result?;
    terminal.tell(|| report::human_outcome(&outcome), || report::json_outcome(&outcome));
    Ok(())
}

fn limits(arguments: &RunArguments) -> Limits {
    let machine = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Limits {
        threads: arguments.threads.map_or(machine, usize::from),
        memory_bytes: arguments.memory_limit.unwrap_or_else(|| crate::engine::memory_at_hand() / 100 * MEMORY_SHARE),
    }
}
