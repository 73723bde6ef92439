//! The deadline of a command. When it has passed, the command ends even if threads still compute or wait.

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
    /// The deadline this long after now; no deadline without a timeout.
    pub fn after(timeout: Option<Duration>) -> Self {
        // A time that the clock cannot represent is no deadline.
        Deadline(timeout.and_then(|timeout| Some((timeout, tokio::time::Instant::now().checked_add(timeout)?))))
    }

    /// Waits until the deadline has passed.
    pub async fn passed(self) {
        match self.0 {
            Some((_, end)) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    /// The error for a command whose deadline has passed.
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

/// Runs work that changes nothing, and gives its result if it ends before the deadline.
///
/// # Errors
/// The errors of the work, and [`Error::Unavailable`] when the deadline has passed.
pub fn within<T: Send + 'static>(
    timeout: Option<Duration>,
    threads: usize,
    doing: &Doing,
    work: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = runtimes::working(threads)?;
    let handle = runtime.handle().clone();
    // The work runs on its own thread, and a separate runtime watches the deadline, so a long computation delays neither.
    let working = runtime.spawn_blocking(move || work(&handle));
    let done = runtimes::waiting()?.block_on(async {
        let deadline = Deadline::after(timeout);
        tokio::select! {
            // The message of the panic is dropped because it may contain values.
            done = working => done.unwrap_or_else(|_| Err(Error::defect("the command broke off"))),
            () = deadline.passed() => Err(deadline.error(doing, "nothing was changed")),
        }
    });
    // Work that is still in progress ends with the process.
    std::mem::forget(runtime);
    done
}
