//! The steps of a run, shown as they go and written into its record.

use crate::clock::Stopwatch;
use crate::engine::{self, Engine};
use crate::record::{Recorder, Step};
use crate::report::Progress;

/// The steps of a run, one after the other.
pub struct Steps<'a> {
    /// Where they are written down.
    pub recorder: &'a Recorder,
    progress: &'a Progress,
    engine: &'a Engine,
    /// Whether what every operator did is written down.
    with_operators: bool,
    begun: Option<Begun>,
}

/// A step that has begun.
struct Begun {
    name: String,
    began_ms: u64,
    since: Stopwatch,
    compute_ms: Option<u64>,
}

impl<'a> Steps<'a> {
    /// No step has begun.
    pub fn new(recorder: &'a Recorder, progress: &'a Progress, engine: &'a Engine, with_operators: bool) -> Self {
        Steps { recorder, progress, engine, with_operators, begun: None }
    }

    /// A step begins.
    pub fn begin(&mut self, name: &str) {
        tracing::info!(step = name, "the step begins");
        self.progress.step(name);
        self.recorder.begin_step(name);
        let began_ms = self.recorder.elapsed_ms();
        self.begun = Some(Begun { name: name.to_owned(), began_ms, since: Stopwatch::start(), compute_ms: engine::compute_ms() });
    }

    /// The step that began last has ended, with so many rows if it makes any.
    pub fn end(&mut self, rows: Option<u64>) {
        let Some(Begun { name, began_ms, since, compute_ms }) = self.begun.take() else { return };
        self.progress.end(&name);
        let done = self.engine.work().take();
        let step = Step {
            name,
            rows,
            began_ms,
            elapsed_ms: since.elapsed_ms(),
            compute_ms: engine::compute_ms().zip(compute_ms).map(|(now, then)| now.saturating_sub(then)),
            bytes_read: done.bytes_read,
            spilled_bytes: done.spilled_bytes,
            held_bytes: self.engine.reserved_bytes() as u64,
            peak_memory_bytes: engine::peak_memory(),
            operators: if self.with_operators { done.operators } else { Vec::new() },
        };
        let (bytes_read, spilled_bytes) = (step.bytes_read, step.spilled_bytes);
        tracing::info!(step = step.name, rows, elapsed_ms = step.elapsed_ms, bytes_read, spilled_bytes, "the step ended");
        self.recorder.note(|record| {
            record.steps.push(step);
            record.unfinished_step = None;
        });
    }
}
