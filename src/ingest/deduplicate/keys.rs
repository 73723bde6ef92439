//! Fingerprints of keys: equal keys have equal ones.

use std::hash::Hasher as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::ingest::contract::Contract;

/// Finds the fingerprints of keys.
pub struct Keys {
    contract: Arc<Contract>,
    /// The columns that make up a key.
    columns: Vec<usize>,
    /// For those parts of the key that are no text.
    converter: RowConverter,
    seed: [u8; 16],
}

impl Keys {
    /// For keys of some columns of a contract.
    ///
    /// # Errors
    /// When a column has a type that cannot be compared.
    pub fn of(contract: &Arc<Contract>, columns: Vec<usize>, seed: [u8; 16]) -> Result<Self> {
        let parts = contract.schema.project(&columns)?;
        let others = parts.fields().iter().filter(|part| part.data_type() != &DataType::Utf8);
        let converter = RowConverter::new(others.map(|part| SortField::new(part.data_type().clone())).collect())?;
        Ok(Keys { contract: Arc::clone(contract), columns, converter, seed })
    }

    /// For each row of a batch, of which the first columns are those of the key, its fingerprint; none for a row that is like no other,
    /// because a part of its key is missing or a word for no value: words for no value are equal, and their rows are not.
    ///
    /// # Errors
    /// As Arrow fails.
    pub fn of_batch(&self, batch: &RecordBatch) -> Result<Vec<Option<u128>>> {
        let parts = &batch.columns()[..self.columns.len()];
        let columns = self.columns.iter().map(|&at| &self.contract.columns[at]);
        // Only in texts words for no value are left.
        let texts: Vec<_> = columns.zip(parts).filter_map(|(column, part)| Some((column, part.as_string_opt::<i32>()?))).collect();
        let others: Vec<ArrayRef> = parts.iter().filter(|part| part.data_type() != &DataType::Utf8).cloned().collect();
        let rows = (!others.is_empty()).then(|| self.converter.convert_columns(&others)).transpose()?;
        let has_gaps = parts.iter().any(|part| part.null_count() > 0);
        let fingerprint = |row: usize| {
            if has_gaps && parts.iter().any(|part| part.is_null(row)) {
                return None;
            }
            let mut hasher = SipHasher13::new_with_key(&self.seed);
            for (column, texts) in &texts {
                let text = texts.value(row);
                if column.is_null_word(text) {
                    return None;
                }
                // With its length, so that what ends one text does not begin the next.
                hasher.write_usize(text.len());
                hasher.write(text.as_bytes());
            }
            if let Some(rows) = &rows {
                hasher.write(rows.row(row).as_ref());
            }
            Some(hasher.finish128().as_u128())
        };
        Ok((0..batch.num_rows()).map(fingerprint).collect())
    }
}
