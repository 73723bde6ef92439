//! What reading the values of a column gives: an array, and the values that could not be read.

use arrow::array::{Array, ArrayRef};

/// The rows of bad values in ascending order, each with a word for the reason.
pub type Bad = Vec<(usize, &'static str)>;

/// The values of a column, and those that could not be read.
#[derive(Debug)]
pub struct Values {
    /// What was read; null where there is no value, and where it is bad.
    pub array: ArrayRef,
    /// The bad values. One with a year that may not be stands in the array all the same.
    pub bad: Bad,
}

impl Values {
    pub(super) fn good(array: ArrayRef) -> Self {
        Values { array, bad: Vec::new() }
    }

    /// Values of which those are bad that were there and are null now.
    pub(super) fn lost(array: ArrayRef, raw: &dyn Array, reason: &'static str) -> Self {
        let bad = if array.null_count() == raw.null_count() {
            Vec::new()
        } else {
            (0..raw.len()).filter(|&row| array.is_null(row) && raw.is_valid(row)).map(|row| (row, reason)).collect()
        };
        Values { array, bad }
    }
}
