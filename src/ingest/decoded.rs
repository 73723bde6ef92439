//! Records of a text file whose values have been taken out.

use arrow::array::ArrayRef;

use super::text::Record;

/// Records of a block as columns of text, and those that could not be.
pub struct Decoded {
    /// An array for every column of the contract that the file has and that is needed.
    pub columns: Vec<Option<ArrayRef>>,
    /// How many records they hold.
    pub rows: usize,
    /// Values that could not be taken out of their records, by row and column of the contract, and why.
    pub unread: Vec<(usize, usize, &'static str)>,
    /// Records that do not parse, and why.
    pub bad: Vec<(Record, &'static str)>,
    /// The records that the arrays hold, when they are not simply all of the block's.
    pub records: Option<Vec<Record>>,
}
