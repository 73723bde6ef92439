//! `segmill explain`: why an identifier leads to its customer.

use super::arguments::ExplainArguments;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::engine::{Limits, memory_at_hand};
use crate::error::Result;
use crate::explain::{self, Question};
use crate::report;
use crate::run::Request;
use crate::storage::Stores;

/// Runs the command.
pub fn command(arguments: ExplainArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let stores = Stores::new(environment.clone());
    let request = Request {
        parameters: arguments.project.overrides(),
        pipeline: arguments.project.pipeline,
        as_of: arguments.as_of,
        destination: arguments.destination,
        profile: false,
        force: false,
        limits: Limits { threads, memory_bytes: memory_at_hand() / 2 },
        environment,
    };
    let question =
        Question { identifier: &arguments.identity, identifier_type: arguments.identifier_type.as_deref(), most: arguments.limit };
    let asked = explain::identity(&request, &stores, question);
    let answer = super::runtime(threads)?.block_on(asked)?;
    terminal.give(|| report::human_identity(&answer, arguments.unmask), || report::json_identity(&answer, arguments.unmask))
}
