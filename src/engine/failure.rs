//! Turns failures of DataFusion into errors of the run: too little memory, a disk that fails, or a defect.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::reservation::exhausted;
use super::{costs, watch};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message};
use crate::shown::size;

/// The error of a step during which the process grew beyond its memory limit without any reservation failing.
pub fn memory_exceeded(what: &str) -> Error {
    failed(what, &exhausted())
}

/// Whether the memory limit caused the failure.
pub(super) fn is_out_of_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// Whether the disk to which tables and operators spill caused the failure.
fn is_disk(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::IoError(_) => true,
        DataFusionError::ArrowError(error, _) => matches!(**error, ArrowError::IoError(..)),
        _ => false,
    }
}

/// Whether the memory limit or the disk for spill files caused the failure.
pub fn is_out_of_resources(error: &DataFusionError) -> bool {
    is_out_of_memory(error) || is_disk(error)
}

/// The error of a step that failed in the engine.
pub fn failed(what: &str, error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(why) => {
            let hint = match watch::enough_bytes() {
                _ if why.starts_with(costs::CONSTANT) => "keep it in a table under `reference`, or make it smaller".to_owned(),
                Some(bytes) => format!("`--memory-limit {}` should be enough; fewer `--threads` need less", size(bytes)),
                None => "raise the `--memory-limit` of `segmill run`, or lower `--threads`".to_owned(),
            };
            Diagnostic::error("memory-limit", format!("{what} needs more memory than the limit allows: {why}")).hint(hint).into()
        }
        root if is_disk(error) => {
            let why = std::iter::successors(Some(root as &(dyn std::error::Error + 'static)), |error| error.source());
            let why = why.filter_map(|error| error.downcast_ref::<std::io::Error>()).last().map_or_else(String::new, |error| {
                // The message of the error may name the folder, which comes from an environment variable.
                format!(": {}", crate::storage::of_system(error))
            });
            let message = Message::new(format!("{what} cannot use the folder for temporary files{why}"));
            Error::Unavailable(
                message.hint(
                    "free space there, or name another folder in the variable `TMPDIR`; if too many files are open, raise `ulimit -n`",
                ),
            )
        }
        _ => Error::defect(format!("{what} failed: {}", crate::sql::discreet(error))),
    }
}
