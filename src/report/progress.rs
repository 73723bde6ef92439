//! One live line on a terminal while a run works; nothing at all elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::ingest::Collector;

const REDRAW: Duration = Duration::from_millis(100);

/// Shows what a run is doing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    sources: Arc<Mutex<Vec<Arc<Collector>>>>,
}

impl Progress {
    /// Shows progress on standard error, or none when that is not a terminal.
    pub fn on_terminal(terminal: bool) -> Self {
        let sources: Arc<Mutex<Vec<Arc<Collector>>>> = Arc::default();
        let bar = ProgressBar::with_draw_target(None, if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if terminal {
            let watched = Arc::clone(&sources);
            let rows = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let read: u64 = watched.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|source| source.rows_seen()).sum();
                // A line that is not drawn is no failure.
                let _ = write!(out, "{} rows read", HumanCount(read));
            };
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg:<36} {rows:>22}  {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("rows", rows));
            bar.enable_steady_tick(REDRAW);
        }
        Progress { bar, sources }
    }

    /// Counts the rows of a source among those read.
    pub fn watch(&self, source: &Arc<Collector>) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(source));
    }

    /// Says what is done now.
    pub fn step(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
