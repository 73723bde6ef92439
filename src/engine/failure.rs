//! Failures of the engine as errors of the run: want of memory, of the disk that takes its place, and defects.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::memory::exhausted;
use super::{costs, watch};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message};
use crate::shown::size;

/// The error of something that took more memory than the limit allows without asking for it.
pub fn out_of_memory(what: &str) -> Error {
    failed(what, &exhausted())
}

/// Whether something failed because the limit allows no more memory.
pub(super) fn is_want_of_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// Whether something failed because the disk did, on which tables and operators spill.
fn is_disk(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::IoError(_) => true,
        DataFusionError::ArrowError(error, _) => matches!(**error, ArrowError::IoError(..)),
        _ => false,
    }
}

/// Whether something failed for want of memory, or of the disk that takes its place.
pub fn is_want_of_room(error: &DataFusionError) -> bool {
    is_want_of_memory(error) || is_disk(error)
}

/// The error of something that fails in the engine, which may be for want of memory.
pub fn failed(what: &str, error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(why) => {
            let hint = match watch::enough_bytes() {
                _ if why.starts_with(costs::CONSTANT) => "keep it in a table under `reference`, or make it of less".to_owned(),
                Some(bytes) => format!("`--memory-limit {}` should be enough; fewer `--threads` need less", size(bytes)),
                None => "raise the `--memory-limit` of `segmill run`, or lower `--threads`".to_owned(),
            };
            Diagnostic::error("memory-limit", format!("{what} needs more memory than the limit allows: {why}")).hint(hint).into()
        }
        root if is_disk(error) => {
            let why = std::iter::successors(Some(root as &(dyn std::error::Error + 'static)), |error| error.source());
            let why = why.filter_map(|error| error.downcast_ref::<std::io::Error>()).last().map_or_else(String::new, |error| {
                // The error itself may name the folder, which a variable gives.
                format!(": {}", crate::storage::of_system(error))
            });
            let message = Message::new(format!("{what} cannot use the folder for temporary files{why}"));
            Error::Unavailable(
                message.hint(
                    "make room there, or name another folder in the variable `TMPDIR`; too many open files need a higher `ulimit -n`",
                ),
            )
        }
        _ => Error::defect(format!("{what} failed: {}", crate::sql::discreet(error))),
    }
}
