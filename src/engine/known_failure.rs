//! Failures with messages of Segmill's own. These contain no values of the data, so they may be shown.

use std::fmt;

use datafusion::error::DataFusionError;

/// The message of such a failure.
#[derive(Debug)]
pub struct KnownFailure {
    message: String,
    /// Whether a result of arithmetic does not fit its type.
    pub is_overflow: bool,
}

impl fmt::Display for KnownFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KnownFailure {}

/// The failure of arithmetic whose result does not fit its type. The message must not contain values of the data.
pub fn overflow(message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(KnownFailure { message: message.into(), is_overflow: true }))
}

/// The failure of a query that is too costly. The message must not contain values of the data.
pub fn too_costly(message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(KnownFailure { message: message.into(), is_overflow: false }))
}
