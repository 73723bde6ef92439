//! Signals that ask a run to stop, and the one that a limit on the size of files sends.

use crate::error::{Error, Result, Signal};

/// The number of `SIGXFSZ`, which the system sends to a process that writes past `ulimit -f`. It is the same on all supported systems.
#[cfg(unix)]
const FILE_TOO_LARGE: std::os::raw::c_int = 25;

/// Makes a write past `ulimit -f` fail with an error, as on a full disk. Without this, the system ends the process.
#[cfg(unix)]
pub fn outlive_file_limit() {
    use tokio::signal::unix::{SignalKind, signal};

    // Listening once replaces the default reaction for the rest of the process. If that is not possible, the default stays.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        let _entered = runtime.enter();
        let _ = signal(SignalKind::from_raw(FILE_TOO_LARGE));
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub fn outlive_file_limit() {}

/// Waits for Ctrl-C, `SIGTERM` and `SIGHUP`.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// None where the signal is ignored, as under `nohup`.
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Begins to listen. From now on a signal does not end the process by itself.
    ///
    /// # Errors
    /// [`Error::Defect`] when the system does not let a process listen.
    pub fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let listen = |kind| signal(kind).map_err(|error| Error::defect(format!("signals are not heard: {error}")));
        let hang_up = if is_heeded(SignalKind::hangup().as_raw_value()) { Some(listen(SignalKind::hangup())?) } else { None };
        Ok(Signals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())?, hang_up })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = hang_up => Signal::HangUp,
        }
    }
}

/// Whether the process may listen to a signal. Where the system does not say whether it is ignored, it is left as it is.
#[cfg(unix)]
fn is_heeded(number: std::os::raw::c_int) -> bool {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|status| is_ignored(&status, number)) == Some(false)
}

/// Whether a process ignores a signal, by what `/proc/PID/status` says of it.
#[cfg(unix)]
fn is_ignored(status: &str, number: std::os::raw::c_int) -> Option<bool> {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u128::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored >> (number - 1) & 1 == 1)
}

#[cfg(not(unix))]
impl Signals {
    /// Begins to listen.
    pub fn listen() -> Result<Self> {
        Ok(Signals {})
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        // On this system no signal can be received.
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::is_ignored;

    #[test]
    fn what_a_process_ignores_is_read() {
        assert_eq!(is_ignored("Name:\tx\nSigIgn:\t0000000000000001\n", 1), Some(true));
        assert_eq!(is_ignored("SigIgn:\t0000000000001000\nSigCgt:\t1\n", 1), Some(false));
        assert_eq!(is_ignored("SigIgn:\t0000000000001000\n", 13), Some(true));
        assert_eq!(is_ignored("Name:\tx\n", 1), None);
    }
}
