//! `segmill explain`: why a customer is in a segment or is not, and why an identifier leads to its customer.

use tokio::runtime::Handle;

use super::arguments::ExplainArguments;
use super::deadline::within;
use super::terminal::Terminal;
use super::text_encoding;
use crate::clock::Doing;
use crate::config::Environment;
use crate::engine::{Limits, memory_at_hand};
use crate::error::Result;
use crate::explain::{self, Asked, Question, Who};
use crate::identity;
use crate::job::Request;
use crate::report;
use crate::segments::why;
use crate::storage::Stores;

/// Runs the command.
pub fn command(arguments: ExplainArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let stores = Stores::new(environment.clone());
    let request = Request {
        parameters: arguments.project.overrides(),
        pipeline: arguments.project.pipeline.clone(),
        as_of: arguments.as_of,
        destination: arguments.destination.clone(),
        text_encoding: text_encoding::of(&environment)?,
        with_report: false,
        timings: false,
        force: false,
        limits: Limits { threads, memory_bytes: memory_at_hand() / 2 },
        environment,
    };
    let unmask = arguments.unmask;
    let doing = Doing::default();
    let ExplainArguments { customer, identity, identifier_type, set, segment, segments, limit, timeout, .. } = arguments;
    let asks_for_segments = customer.is_some() || segments || set.is_some() || segment.is_some();
    doing.begins(if customer.is_some() { "reading the publication" } else { "finding who is who" });
    let asked = move |runtime: &Handle| {
        let identifier = identity.unwrap_or_default();
        let question = Question { identifier: &identifier, identifier_type: identifier_type.as_deref(), most: limit };
        if !asks_for_segments {
            return runtime.block_on(explain::identity(&request, &stores, question)).map(Answer::Identity);
        }
        let who = customer.as_deref().map_or(Who::Identity(question), Who::Customer);
        let asked = Asked { who, set: set.as_deref(), segment: segment.as_deref() };
        runtime.block_on(explain::customer(&request, &stores, asked)).map(Box::new).map(Answer::Segments)
    };
    match within(timeout, threads, &doing, asked)? {
        Answer::Identity(answer) => terminal.give(|| report::human_identity(&answer, unmask), || report::json_identity(&answer, unmask)),
        Answer::Segments(answer) => terminal.give(|| report::human_segments(&answer, unmask), || report::json_segments(&answer, unmask)),
    }
}

/// What was asked, answered.
enum Answer {
    Identity(identity::Answer),
    Segments(Box<why::Answer>),
}
