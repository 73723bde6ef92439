//! Failures that Segmill's own operators tell in their own words, which hold no value of the data.

use std::fmt;

use datafusion::error::DataFusionError;

/// What an operator of ours says of a failure.
#[derive(Debug)]
pub struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// A failure in words of ours, of which none come from the data.
pub fn told(words: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Told(words.into())))
}
