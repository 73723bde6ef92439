//! One live line on a terminal while a run works; nothing at all elsewhere.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::ingest::Collector;

const REDRAW: Duration = Duration::from_millis(100);

/// How far back the rate looks.
const LATELY: Duration = Duration::from_secs(2);

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
            let lately = Arc::new(Mutex::new(VecDeque::new()));
            let rows = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let read: u64 = watched.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|source| source.rows_seen()).sum();
                let rate = rate(&mut lately.lock().unwrap_or_else(PoisonError::into_inner), state.elapsed(), read);
                // A line that is not drawn is no failure.
                let _ = write!(out, "{} rows read", HumanCount(read));
                let _ = if rate > 0 { write!(out, ", {} a second", HumanCount(rate)) } else { Ok(()) };
            };
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg:<36} {elapsed:>5}  {rows}");
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

/// Rows a second lately, given how many have been read after how long, now and before.
fn rate(lately: &mut VecDeque<(Duration, u64)>, elapsed: Duration, read: u64) -> u64 {
    lately.push_back((elapsed, read));
    while lately.len() > 2 && lately.front().is_some_and(|(then, _)| elapsed.saturating_sub(*then) > LATELY) {
        lately.pop_front();
    }
    let (then, before) = lately.front().copied().unwrap_or_default();
    let millis = u64::try_from(elapsed.saturating_sub(then).as_millis()).unwrap_or(u64::MAX);
    (read.saturating_sub(before) * 1_000).checked_div(millis).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_two_seconds() {
        let mut lately = VecDeque::new();
        let mut at = |millis, read| rate(&mut lately, Duration::from_millis(millis), read);
        assert_eq!(at(0, 0), 0);
        assert_eq!(at(500, 1_000), 2_000);
        assert_eq!(at(2_000, 1_000), 500);
        assert_eq!(at(3_000, 11_000), 10_000);
        assert_eq!(at(60_000, 11_000), 0);
        assert_eq!(at(60_000, 11_000), 0);
    }
}
