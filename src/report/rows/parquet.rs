//! Rows as a Parquet file, handed out as it grows.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::error::{Error, Result};

/// A Parquet file that is being written.
pub struct Parquet {
    writer: ArrowWriter<Bytes>,
    bytes: Bytes,
}

/// The bytes that have been written and not handed out.
#[derive(Debug, Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Parquet {
    /// A file of some columns without rows.
    ///
    /// # Errors
    /// [`Error::Defect`] for columns that Parquet cannot have.
    pub fn new(schema: &SchemaRef) -> Result<Self> {
        let bytes = Bytes::default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("segmill".to_owned())
            .build();
        let writer = ArrowWriter::try_new(bytes.clone(), Arc::clone(schema), Some(properties)).map_err(|error| unwritten(&error))?;
        Ok(Parquet { writer, bytes })
    }

    /// Adds rows; the bytes that come next.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<Vec<u8>> {
        self.writer.write(rows).map_err(|error| unwritten(&error))?;
        Ok(self.bytes.take())
    }

    /// Ends the file; the last bytes.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn end(self) -> Result<Vec<u8>> {
        self.writer.close().map_err(|error| unwritten(&error))?;
        Ok(self.bytes.take())
    }
}

fn unwritten(error: &ParquetError) -> Error {
    let kind = if matches!(error, ParquetError::NYI(_)) { "Parquet has no such type" } else { "the rows do not fit their columns" };
    Error::defect(format!("the rows were not written as Parquet: {kind}"))
}
