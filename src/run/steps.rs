//! The steps of a run, told to whoever watches and written into its record.

use crate::clock::Stopwatch;
use crate::engine::{self, Engine};
use crate::record::{Recorder, Step};
use crate::report::Progress;

/// The steps done so far, told to whoever watches.
pub struct Steps<'a> {
    /// What the run did so far.
    pub recorder: &'a Recorder,
    /// Who watches.
    pub progress: &'a Progress,
    /// Who counts what a step cost.
    pub engine: &'a Engine,
    /// Whether what every operator did is written down.
    pub timings: bool,
}

/// A step that is being done.
#[derive(Clone, Copy)]
pub struct Begun {
    since: Stopwatch,
    compute_ms: Option<u64>,
}

impl Steps<'_> {
    /// A step begins.
    pub fn begin(&self, name: &str) -> Begun {
        tracing::debug!("{name} begins");
        self.progress.step(name);
        self.recorder.begin_step(name);
        Begun { since: Stopwatch::start(), compute_ms: engine::compute_ms() }
    }

    /// A step has ended, with so many rows.
    pub fn end(&self, name: &str, rows: u64, begun: Begun) {
        tracing::debug!("{name} ends after {} ms with {rows} rows", begun.since.elapsed_ms());
        self.progress.end(name);
        let done = self.engine.work().take();
        let step = Step {
            name: name.to_owned(),
            rows,
            elapsed_ms: begun.since.elapsed_ms(),
            compute_ms: engine::compute_ms().zip(begun.compute_ms).map(|(now, then)| now.saturating_sub(then)),
            bytes_read: done.bytes_read,
            spilled_bytes: done.spilled_bytes,
            held_bytes: self.engine.held_bytes() as u64,
            peak_memory_bytes: engine::peak_memory(),
            operators: if self.timings { done.operators } else { Vec::new() },
        };
        self.recorder.note(|record| {
            record.steps.push(step);
            record.unfinished_step = None;
        });
    }
}
