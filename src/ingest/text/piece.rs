//! The parts of a text file: blocks of whole records, and records that cannot be given whole.

use std::ops::Range;

use super::json::JsonRecords;

/// Some whole records of a text file.
#[derive(Debug)]
pub struct Block {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// The line that the first begins on, from 1.
    pub first_line: u64,
    /// Whether lines end with a carriage return alone.
    pub has_lone_returns: bool,
    /// Where its records are, if it is of a JSON document.
    pub json: Option<JsonRecords>,
}

/// A record in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its bytes, without the line's end.
    pub bytes: Range<usize>,
    /// The line that it begins on, from 1.
    pub line: u64,
}

/// A part of a text file.
#[derive(Debug)]
pub enum Piece {
    /// Whole records.
    Block(Block),
    /// A record that cannot be given whole.
    Bad {
        /// The line that it begins on, from 1.
        line: u64,
        /// Its size.
        bytes: u64,
        /// A stable word for the reason.
        reason: &'static str,
    },
}
