//! One live line on a terminal while a run works; nothing at all elsewhere.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::ingest::Collector;

const REDRAW: Duration = Duration::from_millis(100);

/// How far back the rate looks.
const LATELY: Duration = Duration::from_secs(2);

/// How much of the last run must be done again before it tells how fast this one is.
const MILLIS_THAT_TELL: u64 = 300;

/// Shows what a run is doing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    sources: Arc<Mutex<Vec<Arc<Collector>>>>,
    pace: Arc<Mutex<Pace>>,
}

/// How far a run is beside the last one, of which it is known how long each step took.
#[derive(Debug, Default)]
struct Pace {
    /// The steps of the last run that have not come to an end, in milliseconds.
    left: Vec<(String, u64)>,
    /// What those that have took then and now, in milliseconds.
    then: u64,
    now: u64,
    /// The step that is being done, and when it began.
    current: Option<(String, Duration)>,
}

impl Progress {
    /// Shows progress on standard error, or none when that is not a terminal.
    pub fn on_terminal(terminal: bool) -> Self {
        let sources: Arc<Mutex<Vec<Arc<Collector>>>> = Arc::default();
        let pace: Arc<Mutex<Pace>> = Arc::default();
        let bar = ProgressBar::with_draw_target(None, if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if terminal {
            let (watched, paced) = (Arc::clone(&sources), Arc::clone(&pace));
            let lately = Arc::new(Mutex::new(VecDeque::new()));
            let rows = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let read: u64 = watched.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|source| source.rows_seen()).sum();
                let rate = rate(&mut lately.lock().unwrap_or_else(PoisonError::into_inner), state.elapsed(), read);
                // A line that is not drawn is no failure.
                let _ = write!(out, "{} rows", HumanCount(read));
                let _ = if rate > 0 { write!(out, ", {}/s", HumanCount(rate)) } else { Ok(()) };
                let left = paced.lock().unwrap_or_else(PoisonError::into_inner).left(state.elapsed());
                let _ = left.map_or(Ok(()), |left| write!(out, ", {left}"));
            };
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg:<26} {elapsed:>4}  {rows}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("rows", rows));
            bar.enable_steady_tick(REDRAW);
        }
        Progress { bar, sources, pace }
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Says how many milliseconds each step took the last time, from which follows how long this time may take.
    pub fn expect(&self, steps: Vec<(String, u64)>) {
        self.pace().left = steps;
    }

    /// Counts the rows of a source among those read.
    pub fn watch(&self, source: &Arc<Collector>) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(source));
    }

    /// Says what is done now.
    pub fn step(&self, name: &str) {
        self.bar.set_message(name.to_owned());
        let began = self.bar.elapsed();
        self.pace().current = Some((name.to_owned(), began));
    }

    /// Says that a step has come to its end.
    pub fn end(&self, name: &str) {
        // Asked before the pace is held: whoever draws the line holds the bar and asks for the pace.
        let elapsed = self.bar.elapsed();
        self.pace().end(name, elapsed);
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// A step has come to its end.
    fn end(&mut self, name: &str, elapsed: Duration) {
        let Some((_, began)) = self.current.take() else { return };
        if let Some(at) = self.left.iter().position(|(step, _)| step == name) {
            // Those before it that have not come will not: steps come in their order.
            let (_, then) = self.left.drain(..=at).next_back().unwrap_or_default();
            self.then = self.then.saturating_add(then);
            self.now = self.now.saturating_add(millis(elapsed.saturating_sub(began)));
        }
    }

    /// How long the rest may take, in words; nothing when nothing is known of it.
    fn left(&self, elapsed: Duration) -> Option<String> {
        if self.left.is_empty() {
            return None;
        }
        // Steps that took no time say nothing of the pace, and no run is many times as fast as the one before.
        let pace = if self.then < MILLIS_THAT_TELL { 100 } else { (self.now.saturating_mul(100) / self.then).clamp(25, 400) };
        let rest = self.left.iter().map(|(step, then)| {
            let gone = self.current.as_ref().filter(|(current, _)| current == step).map(|(_, began)| elapsed.saturating_sub(*began));
            (then.saturating_mul(pace) / 100).saturating_sub(gone.map_or(0, millis))
        });
        let seconds = rest.fold(0, u64::saturating_add).div_ceil(1_000).max(1);
        Some(if seconds < 100 { format!("about {seconds} s left") } else { format!("about {} min left", (seconds + 30) / 60) })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Rows a second lately, given how many have been read after how long, now and before.
fn rate(lately: &mut VecDeque<(Duration, u64)>, elapsed: Duration, read: u64) -> u64 {
    lately.push_back((elapsed, read));
    while lately.len() > 2 && lately.front().is_some_and(|(then, _)| elapsed.saturating_sub(*then) > LATELY) {
        lately.pop_front();
    }
    let (then, before) = lately.front().copied().unwrap_or_default();
    (read.saturating_sub(before) * 1_000).checked_div(millis(elapsed.saturating_sub(then))).unwrap_or(0)
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

    #[test]
    fn what_is_left_is_what_the_last_run_took_at_the_pace_of_this_one() {
        let at = Duration::from_secs;
        let mut pace =
            Pace { left: [("a", 10), ("b", 20), ("c", 300)].map(|(step, took)| (step.to_owned(), took * 1_000)).into(), ..Pace::default() };
        assert_eq!(pace.left(at(0)).unwrap(), "about 6 min left");
        pace.current = Some(("a".to_owned(), at(0)));
        pace.end("a", at(5));
        // Twice as fast: 160 of 320 seconds.
        assert_eq!(pace.left(at(5)).unwrap(), "about 3 min left");
        pace.current = Some(("new".to_owned(), at(5)));
        pace.end("new", at(6));
        pace.current = Some(("c".to_owned(), at(6)));
        assert_eq!(pace.left(at(106)).unwrap(), "about 60 s left");
        // Late, and what came before it the last time is not waited for.
        assert_eq!(pace.left(at(900)).unwrap(), "about 10 s left");
        pace.end("c", at(900));
        assert_eq!(pace.left(at(901)), None);
        assert_eq!(Pace::default().left(at(1)), None);
    }
}
