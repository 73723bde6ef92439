//! The time that a command may take, and its end when that is up, whatever still computes or waits.

use std::time::Duration;

use tokio::runtime::Handle;

use super::durations::written;
use super::runtimes;
use crate::clock::Doing;
use crate::error::{Error, Message, Result};

/// When a command must end.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<(Duration, tokio::time::Instant)>);

impl Deadline {
    /// So much after now; none without a time.
    pub fn after(timeout: Option<Duration>) -> Self {
        // A time that no clock reaches is none.
        Deadline(timeout.and_then(|timeout| Some((timeout, tokio::time::Instant::now().checked_add(timeout)?))))
    }

    /// Waits until time is up.
    pub async fn passed(self) {
        match self.0 {
            Some((_, end)) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    /// What to say then.
    pub fn error(self, doing: &Doing, outcome: &str) -> Error {
        let timeout = self.0.map_or_else(String::new, |(timeout, _)| format!(" ({})", written(timeout)));
        let what = doing.told().map_or_else(
            || format!("time was up{timeout} before anything was begun"),
            |(what, elapsed_ms)| {
                format!("time was up{timeout}: {what} had been going on for {}", written(Duration::from_millis(elapsed_ms)))
            },
        );
        let message = Message::new(format!("{what}; {outcome}"));
        Error::Unavailable(message.hint("run again with a longer `--timeout`, or look at what takes so long"))
    }
}

/// Does something that leaves nothing behind, if it is done in time.
///
/// # Errors
/// Its own, and [`Error::Unavailable`] when time is up.
pub fn within<T: Send + 'static>(
    timeout: Option<Duration>,
    threads: usize,
    doing: &Doing,
    work: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = runtimes::working(threads)?;
    let handle = runtime.handle().clone();
    // On a thread of its own, and watched by a runtime that has nothing else to do: what computes for long keeps neither waiting.
    let working = runtime.spawn_blocking(move || work(&handle));
    let done = runtimes::waiting()?.block_on(async {
        let deadline = Deadline::after(timeout);
        tokio::select! {
            // What it panicked with may hold values.
            done = working => done.unwrap_or_else(|_| Err(Error::defect("the command broke off"))),
            () = deadline.passed() => Err(deadline.error(doing, "nothing was changed")),
        }
    });
    // What is still going on ends with the process.
    std::mem::forget(runtime);
    done
}
