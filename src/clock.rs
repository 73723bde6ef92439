//! The one place that reads the clock. What it returns goes into logs and run records, never into an output.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};

/// A moment of the run, for durations.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts counting.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// Milliseconds since the start.
    pub fn elapsed_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is being done, and since when: for whoever ends it.
#[derive(Debug, Clone, Default)]
pub struct Doing(Arc<Mutex<Option<(String, Stopwatch)>>>);

impl Doing {
    /// Something begins, and what was being done has ended.
    pub fn begins(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((what.into(), Stopwatch::start()));
    }

    /// What is being done, and for how many milliseconds.
    pub fn told(&self) -> Option<(String, u64)> {
        let doing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doing.as_ref().map(|(what, since)| (what.clone(), since.elapsed_ms()))
    }
}

/// The time of day, for log lines and run records.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
