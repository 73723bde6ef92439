//! Failures that Segmill's own operators tell in their own words, which hold no value of the data.

use std::fmt;

use datafusion::error::DataFusionError;

/// What an operator of ours says of a failure.
#[derive(Debug)]
pub struct Told {
    words: String,
    /// Whether it is of arithmetic, whose result does not fit.
    pub is_overflow: bool,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Told {}

/// A failure of arithmetic in words of ours, of which none come from the data.
pub fn told(words: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Told { words: words.into(), is_overflow: true }))
}

/// As [`told`], of a query that costs too much, whatever its values are.
pub fn too_costly(words: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Told { words: words.into(), is_overflow: false }))
}
