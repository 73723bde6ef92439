//! Codes of texts that one scan has looked up and later ones need again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;

use super::parquet::RowGroup;
use crate::engine::{ChunkCodes, Dictionary};
use crate::error::{Error, Result};

/// The codes of the kept rows of text columns, for every piece that a scan has read to its end.
///
/// Only those of columns with so many different texts that the file does not store them as keys: looking these up takes long, and four
/// bytes a row hold them. The rest is looked up again in a moment.
#[derive(Debug, Default)]
pub struct HeldCodes {
    columns: Mutex<HashMap<(usize, usize), Vec<ArrayRef>>>,
}

/// Where the codes of one column of a piece come from.
#[derive(Debug)]
pub enum Codes {
    /// From the dictionary.
    LookedUp(ChunkCodes),
    /// From the dictionary, and then they are held, batch by batch.
    Kept(ChunkCodes, Vec<ArrayRef>),
    /// From an earlier scan.
    Held(std::vec::IntoIter<ArrayRef>),
}

impl HeldCodes {
    /// Where the codes of a column of a row group come from; the last scan leaves none behind.
    pub fn codes(&self, piece: usize, column: usize, schema: &SchemaRef, group: &RowGroup, is_last: bool) -> Codes {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let held = if is_last { columns.remove(&(piece, column)) } else { columns.get(&(piece, column)).cloned() };
        match held {
            Some(batches) => Codes::Held(batches.into_iter()),
            None if !is_last && group.is_plain_text(column, schema) => Codes::Kept(ChunkCodes::default(), Vec::new()),
            None => Codes::default(),
        }
    }

    /// Holds the codes of a column of a piece that was read to its end.
    pub fn hold(&self, piece: usize, column: usize, codes: Codes) {
        if let Codes::Kept(_, batches) = codes {
            self.columns.lock().unwrap_or_else(PoisonError::into_inner).insert((piece, column), batches);
        }
    }
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

    /// The codes of the next batch, whose texts are given unless they are not needed.
    ///
    /// # Errors
    /// As the dictionary fails.
    pub fn next(&mut self, dictionary: &Dictionary, texts: Option<&ArrayRef>) -> Result<ArrayRef> {
        let missing = || Error::defect("a batch of texts is missing");
        let failed = |error: datafusion::error::DataFusionError| Error::defect(error.to_string());
        match self {
            Codes::Held(batches) => batches.next().ok_or_else(missing),
            Codes::LookedUp(codes) => codes.encode(dictionary, texts.ok_or_else(missing)?).map_err(failed),
            Codes::Kept(codes, batches) => {
                let array = codes.encode(dictionary, texts.ok_or_else(missing)?).map_err(failed)?;
                batches.push(ArrayRef::clone(&array));
                Ok(array)
            }
        }
    }
}
