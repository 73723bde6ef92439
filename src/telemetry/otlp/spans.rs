//! The trace of a run: a span for the run, and below it one for each step.

use prost::Message;
use sha2::{Digest, Sha256};

use super::messages::{KeyValue, Resource, ResourceSpans, ScopeSpans, Span, Status, TraceRequest, attribute, nanoseconds, number, scope};
use super::settings::Parent;
use crate::record::Step;
use crate::shown;
use crate::telemetry::ended::Ended;

/// A span of something that happens within a program.
const INTERNAL: i32 = 1;

/// The codes of a status.
const OK: i32 = 1;
const ERROR: i32 = 2;

/// The trace is recorded.
const SAMPLED: u32 = 1;

/// The spans of a run; none where it is a part of a trace that is not recorded.
pub fn trace(ended: &Ended<'_>, parent: &Parent, resource: Resource) -> Option<Vec<u8>> {
    if parent.is_unsampled {
        return None;
    }
    let run_id = &ended.record.run_id;
    let trace_id = parent.ids.map_or_else(|| id(run_id, "trace", 16), |(trace, _)| trace.to_vec());
    let root_id = id(run_id, "run", 8);
    let span = |name: String, span_id: Vec<u8>, parent_span_id: Vec<u8>| Span {
        trace_id: trace_id.clone(),
        span_id,
        trace_state: parent.state.clone(),
        parent_span_id,
        name,
        kind: INTERNAL,
        flags: SAMPLED,
        ..Span::default()
    };
    let ends = nanoseconds(ended.at.timestamp_micros());
    let begins = ends.saturating_sub(ended.elapsed_ms.saturating_mul(1_000_000));
    let at = |after_ms: u64| begins.saturating_add(after_ms.saturating_mul(1_000_000)).min(ends);
    let mut spans = vec![Span {
        start_time_unix_nano: begins,
        end_time_unix_nano: ends,
        attributes: of_run(ended),
        status: Some(status(ended)),
        ..span("segmill run".to_owned(), root_id.clone(), parent.ids.map(|(_, span)| span.to_vec()).unwrap_or_default())
    }];
    for (position, step) in ended.record.steps.iter().enumerate() {
        spans.push(Span {
            start_time_unix_nano: at(step.began_ms),
            end_time_unix_nano: at(step.began_ms.saturating_add(step.elapsed_ms)),
            attributes: of_step(step),
            ..span(name(&step.name), id(run_id, &position.to_string(), 8), root_id.clone())
        });
    }
    if let Some(step) = &ended.record.unfinished_step {
        let last = ended.record.steps.last().map_or(0, |step| step.began_ms.saturating_add(step.elapsed_ms));
        spans.push(Span {
            start_time_unix_nano: at(last),
            end_time_unix_nano: ends,
            status: Some(Status { message: String::new(), code: ERROR }),
            ..span(name(step), id(run_id, "unfinished", 8), root_id)
        });
    }
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans }];
    Some(TraceRequest { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] }.encode_to_vec())
}

fn name(step: &str) -> String {
    shown::without_given(step).into_owned()
}

fn of_run(ended: &Ended<'_>) -> Vec<KeyValue> {
    let record = &ended.record;
    let mut attributes = vec![
        attribute("segmill.run_id", &record.run_id),
        attribute("segmill.as_of", &record.as_of.to_string()),
        attribute("segmill.status", ended.status()),
        number("segmill.exit_code", ended.exit_code().into()),
    ];
    attributes.extend(record.pipeline.iter().map(|pipeline| attribute("segmill.pipeline", pipeline)));
    attributes.extend(ended.publication().map(|commit| number("segmill.publication", commit.number)));
    attributes
}

fn of_step(step: &Step) -> Vec<KeyValue> {
    let mut attributes = vec![number("segmill.bytes_read", step.bytes_read), number("segmill.bytes_spilled", step.spilled_bytes)];
    attributes.extend(step.rows.map(|rows| number("segmill.rows", rows)));
    attributes.extend(step.compute_ms.map(|milliseconds| number("segmill.compute_ms", milliseconds)));
    attributes
}

/// Whether the run succeeded. Of a failure its kind is told: the message is in the log.
fn status(ended: &Ended<'_>) -> Status {
    match ended.result {
        Ok(_) => Status { message: String::new(), code: OK },
        Err(error) => Status { message: error.kind().to_owned(), code: ERROR },
    }
}

/// An id of so many bytes that no other run has: the name of a run is unique.
fn id(run_id: &str, what: &str, bytes: usize) -> Vec<u8> {
    Sha256::digest(format!("{run_id}/{what}")).into_iter().take(bytes).collect()
}
