//! Errors, divided by who must act. Each kind has one exit status, by which an orchestrator can decide what to do.

use std::fmt;

use crate::diagnostic::{Diagnostic, Hint};

/// The result of operations that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by who must act on it.
#[derive(Debug, Clone)]
pub enum Error {
    /// The project is wrong: YAML, SQL, rules or arguments. Contains every problem that was found.
    Project(Vec<Diagnostic>),
    /// The data was refused: a contract, a check or a reject budget.
    Refused(Message),
    /// Another run published first.
    Conflict(Message),
    /// A service did not answer after retries.
    Unavailable(Message),
    /// Extracts are late: they are missing or stale.
    Late(Message),
    /// A signal stopped the run.
    Stopped(Signal, Message),
    /// A defect in Segmill.
    Defect(Message),
}

/// A signal that asks a run to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C (`SIGINT`).
    Interrupt,
    /// The signal that an orchestrator sends (`SIGTERM`).
    Terminate,
    /// The signal that a terminal or session has ended (`SIGHUP`).
    HangUp,
}

/// What happened, details, and what to do about it. Never contains personal data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// One sentence: what happened, and to what.
    pub what: String,
    /// Details, one on each line.
    pub details: Vec<String>,
    /// What to do.
    pub hint: Option<Hint>,
    /// The file of an extract that was refused, if it is about one.
    pub file: Option<String>,
    /// Whether extracts that are there are too old, of late ones.
    pub is_stale: bool,
}

/// The exit status of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Published, or nothing to do.
    Success = 0,
    /// A defect in Segmill.
    Defect = 1,
    /// The project is wrong; a retry does not help.
    Project = 2,
    /// The data was refused; a retry does not help.
    Refused = 3,
    /// Another run published first; run again.
    Conflict = 4,
    /// A service was unavailable (`EX_TEMPFAIL`); retry later.
    Unavailable = 75,
    /// Extracts are late: they are missing or stale (Airflow's default skip code); wait.
    Late = 99,
    /// Stopped by `SIGHUP`: 128 and the signal's number, as shells have it.
    HungUp = 129,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
    /// Stopped by `SIGTERM`.
    Terminated = 143,
}

impl Error {
    /// The exit status that tells an orchestrator what to do.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Error::Project(_) => ExitStatus::Project,
            Error::Refused(_) => ExitStatus::Refused,
            Error::Conflict(_) => ExitStatus::Conflict,
            Error::Unavailable(_) => ExitStatus::Unavailable,
            Error::Late(_) => ExitStatus::Late,
            Error::Stopped(Signal::Interrupt, _) => ExitStatus::Interrupted,
            Error::Stopped(Signal::Terminate, _) => ExitStatus::Terminated,
            Error::Stopped(Signal::HangUp, _) => ExitStatus::HungUp,
            Error::Defect(_) => ExitStatus::Defect,
        }
    }

    /// What it says; none for problems of the project, which are several, each with its place.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Error::Project(_) => None,
            Error::Refused(message)
            | Error::Conflict(message)
            | Error::Unavailable(message)
            | Error::Late(message)
            | Error::Stopped(_, message)
            | Error::Defect(message) => Some(message),
        }
    }

    /// A problem without a place in a file, such as a wrong argument.
    pub fn argument(code: &'static str, what: impl Into<String>) -> Self {
        Error::Project(vec![Diagnostic::error(code, what)])
    }

    /// Something happened that should be impossible.
    pub fn defect(what: impl Into<String>) -> Self {
        Error::Defect(Message::new(what).hint("this is a defect in Segmill: please report it with the command you ran"))
    }

    /// The word that names this kind in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Project(_) => "project",
            Error::Refused(_) => "refused",
            Error::Conflict(_) => "conflict",
            Error::Unavailable(_) => "unavailable",
            Error::Late(_) => "late",
            Error::Stopped(..) => "stopped",
            Error::Defect(_) => "defect",
        }
    }
}

impl Message {
    /// A message of one sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Message { what: what.into(), ..Message::default() }
    }

    /// Adds a line of details.
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds lines of particulars.
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// Says which file of an extract was refused.
    pub fn of_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Says whether extracts that are there are too old.
    pub fn stale(mut self, is_stale: bool) -> Self {
        self.is_stale = is_stale;
        self
    }

    /// Sets the hint: what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(Hint(hint.into()));
        self
    }
}

/// Adds a result's problems to the others, so that all are reported together. Any other error is returned.
///
/// # Errors
/// Every error that is not a problem of the project.
pub fn gather<T>(problems: &mut Vec<Diagnostic>, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Project(found)) => {
            problems.extend(found);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Project(diagnostics) => {
                for (position, diagnostic) in diagnostics.iter().enumerate() {
                    if position > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{diagnostic}")?;
                }
                Ok(())
            }
            other => other.message().map_or(Ok(()), |message| write!(f, "{message}")),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Error::Project(vec![diagnostic])
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        std::process::ExitCode::from(status as u8)
    }
}
