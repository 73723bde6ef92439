//! `segmill explain`: why an identifier leads to its customer.

use tokio::runtime::Handle;

use super::arguments::ExplainArguments;
use super::deadline::within;
use super::terminal::Terminal;
use super::text_encoding;
use crate::clock::Doing;
use crate::config::Environment;
use crate::engine::{Limits, memory_at_hand};
use crate::error::Result;
use crate::explain::{self, Question};
use crate::job::Request;
use crate::report;
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
        text_encoding: text_encoding::of(&environment)?,
        timings: false,
        force: false,
        limits: Limits { threads, memory_bytes: memory_at_hand() / 2 },
        environment,
    };
    let unmask = arguments.unmask;
    let doing = Doing::default();
    doing.begins("finding who is who");
    let asked = move |runtime: &Handle| {
        let question =
            Question { identifier: &arguments.identity, identifier_type: arguments.identifier_type.as_deref(), most: arguments.limit };
        runtime.block_on(explain::identity(&request, &stores, question))
    };
    let answer = within(arguments.timeout, threads, &doing, asked)?;
    terminal.give(|| report::human_identity(&answer, unmask), || report::json_identity(&answer, unmask))
}
