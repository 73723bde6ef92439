//! Dictionary codes that one scan of a source has looked up and later scans need again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, new_empty_array};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;

use super::parquet::RowGroup;
use crate::engine::{CODE, ChunkCodes, Dictionary, Reservation};

/// The codes of the kept rows of text columns, for every piece that a scan has read to its end.
///
/// Only those of columns with so many different texts that the file does not store them as keys: looking these up takes long, and four
/// bytes a row hold them. The rest is looked up again in a moment.
#[derive(Debug)]
pub struct HeldCodes {
    columns: Mutex<HashMap<(usize, usize), Vec<ArrayRef>>>,
    memory: Reservation,
}

/// Where the codes of one column of a piece come from.
#[derive(Debug)]
pub enum Codes {
    /// From the dictionary.
    LookedUp(ChunkCodes),
    /// From the dictionary, and then they are held, batch by batch.
    Kept(ChunkCodes, Vec<ArrayRef>),
    /// From an earlier scan, whose batches may have been longer or shorter.
    Held(VecDeque<ArrayRef>),
}

impl HeldCodes {
    /// None yet.
    pub fn within(memory: Reservation) -> Self {
        HeldCodes { columns: Mutex::default(), memory }
    }

    /// A reservation of its own for another reader of the source.
    pub fn another(&self) -> Reservation {
        self.memory.another()
    }

    /// Where the codes of a column of a row group come from; the last scan leaves none behind.
    pub fn codes(&self, piece: usize, column: usize, schema: &SchemaRef, group: &RowGroup, is_last: bool) -> Codes {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let held = if is_last { columns.remove(&(piece, column)) } else { columns.get(&(piece, column)).cloned() };
        match held {
            Some(batches) => {
                if is_last {
                    self.memory.shrink(bytes_of(&batches));
                }
                Codes::Held(batches.into())
            }
            None if !is_last && group.is_plain_text(column, schema) => Codes::Kept(ChunkCodes::default(), Vec::new()),
            None => Codes::default(),
        }
    }

    /// Whether codes of a column are held, of any piece.
    pub fn has(&self, column: usize) -> bool {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner).keys().any(|(_, held)| *held == column)
    }

    /// Holds none any more.
    pub fn clear(&self) {
        let columns = std::mem::take(&mut *self.columns.lock().unwrap_or_else(PoisonError::into_inner));
        self.memory.shrink(columns.values().map(|batches| bytes_of(batches)).sum());
    }

    /// Holds the codes of a column of a piece that was read to its end.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn hold(&self, piece: usize, column: usize, codes: Codes) -> Result<(), DataFusionError> {
        if let Codes::Kept(_, batches) = codes {
            // Counted before another scan can take them away.
            self.memory.grow(bytes_of(&batches))?;
            let before = self.columns.lock().unwrap_or_else(PoisonError::into_inner).insert((piece, column), batches);
            self.memory.shrink(before.as_deref().map_or(0, bytes_of));
        }
        Ok(())
    }
}

/// Takes the first rows of some batches.
fn first_rows(batches: &mut VecDeque<ArrayRef>, rows: usize) -> Option<ArrayRef> {
    let mut taken: Vec<ArrayRef> = Vec::new();
    let mut left = rows;
    while left > 0 {
        let batch = batches.pop_front()?;
        let some = left.min(batch.len());
        if some < batch.len() {
            batches.push_front(batch.slice(some, batch.len() - some));
        }
        taken.push(if some < batch.len() { batch.slice(0, some) } else { batch });
        left -= some;
    }
    match taken.as_slice() {
        [] => Some(new_empty_array(&CODE)),
        [one] => Some(ArrayRef::clone(one)),
        several => arrow::compute::concat(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>()).ok(),
    }
}

fn bytes_of(batches: &[ArrayRef]) -> usize {
    batches.iter().map(Array::get_buffer_memory_size).sum()
}

impl Default for Codes {
    fn default() -> Self {
        Codes::LookedUp(ChunkCodes::default())
    }
}

impl Codes {
    /// Whether the column must be read.
    pub fn need_texts(&self) -> bool {
        !matches!(self, Codes::Held(_))
    }

    /// The codes of the next rows, whose texts are given unless they are not needed.
    ///
    /// # Errors
    /// As the dictionary fails.
    pub fn next(&mut self, dictionary: &Dictionary, texts: Option<&ArrayRef>, rows: usize) -> Result<ArrayRef, DataFusionError> {
        let missing = || DataFusionError::Internal("a batch of texts is missing".to_owned());
        match self {
            Codes::Held(batches) => first_rows(batches, rows).ok_or_else(missing),
            Codes::LookedUp(codes) => codes.encode(dictionary, texts.ok_or_else(missing)?),
            Codes::Kept(codes, batches) => {
                let array = codes.encode(dictionary, texts.ok_or_else(missing)?)?;
                batches.push(ArrayRef::clone(&array));
                Ok(array)
            }
        }
    }
}
