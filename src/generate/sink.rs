//! The files a run writes: text, compressed lines and Parquet, each told with its rows and bytes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::outcome::{Error, Written};

/// Rows handed to the Parquet writer at a time.
pub(super) const BATCH_ROWS: usize = 32_768;
const ROW_GROUP_ROWS: usize = 1_000_000;
/// Lines are gathered to about this size before they are written.
const FLUSH_BYTES: usize = 1 << 16;

fn create(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Create { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    File::create(path).map_err(failed)
}

fn written(path: PathBuf, rows: u64) -> Result<Written, Error> {
    match fs::metadata(&path) {
        Ok(metadata) => Ok(Written { bytes: metadata.len(), path, rows }),
        Err(source) => Err(Error::Write { path, source }),
    }
}

enum Target {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

/// A file of lines. Write a line into [`Lines::text`], then call [`Lines::end_row`].
pub(super) struct Lines {
    path: PathBuf,
    target: Target,
    pub(super) text: String,
    pub(super) rows: u64,
}

impl Lines {
    pub(super) fn plain(path: PathBuf) -> Result<Self, Error> {
        let target = Target::Plain(BufWriter::new(create(&path)?));
        Ok(Self::new(path, target))
    }

    pub(super) fn gzip(path: PathBuf) -> Result<Self, Error> {
        let file = BufWriter::new(create(&path)?);
        // The encoder writes neither a time nor a name into the header, so equal rows are equal bytes.
        let target = Target::Gzip(Box::new(GzEncoder::new(file, Compression::new(6))));
        Ok(Self::new(path, target))
    }

    fn new(path: PathBuf, target: Target) -> Self {
        Self { path, target, text: String::new(), rows: 0 }
    }

    /// Ends a row; header lines are not rows and use [`Lines::end_header`].
    pub(super) fn end_row(&mut self) -> Result<(), Error> {
        self.rows += 1;
        self.end_header()
    }

    pub(super) fn end_header(&mut self) -> Result<(), Error> {
        self.text.push('\n');
        if self.text.len() >= FLUSH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let bytes = self.text.as_bytes();
        match &mut self.target {
            Target::Plain(file) => file.write_all(bytes),
            Target::Gzip(file) => file.write_all(bytes),
        }
        .map_err(|source| self.failed(source))?;
        self.text.clear();
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Write { path: self.path.clone(), source }
    }

    pub(super) fn finish(mut self) -> Result<Written, Error> {
        self.flush()?;
        let path = self.path;
        let ended = match self.target {
            Target::Plain(mut file) => file.flush(),
            Target::Gzip(file) => file.finish().and_then(|mut file| file.flush()),
        };
        match ended {
            Ok(()) => written(path, self.rows),
            Err(source) => Err(Error::Write { path, source }),
        }
    }
}

/// Appends a CSV field, in quotes where it needs them (RFC 4180).
pub(super) fn push_field(text: &mut String, field: &str) {
    if !field.contains([',', '"', '\n', '\r']) {
        text.push_str(field);
        return;
    }
    text.push('"');
    for part in field.chars() {
        if part == '"' {
            text.push('"');
        }
        text.push(part);
    }
    text.push('"');
}

/// A Parquet file, filled batch by batch.
pub(super) struct Table {
    path: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    rows: u64,
}

impl Table {
    /// `rising` names the columns of rising numbers: they are written as differences.
    pub(super) fn create(path: PathBuf, schema: SchemaRef, rising: &[&str]) -> Result<Self, Error> {
        let file = BufWriter::new(create(&path)?);
        let level = ZstdLevel::try_new(3).map_err(|source| table_error(&path, source))?;
        let mut properties = WriterProperties::builder()
            // A fixed author: the default carries the version of a library.
            .set_created_by("segmill generate".to_owned())
            .set_compression(Codec::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
        for column in rising {
            let column = ColumnPath::from(*column);
            properties =
                properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        let writer = ArrowWriter::try_new(file, schema, Some(properties.build())).map_err(|source| table_error(&path, source))?;
        Ok(Self { path, writer, rows: 0 })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|source| table_error(&self.path, source))
    }

    /// An error about this table's rows.
    pub(super) fn failed(&self, source: arrow::error::ArrowError) -> Error {
        table_error(&self.path, source.into())
    }

    pub(super) fn finish(self) -> Result<Written, Error> {
        let path = self.path;
        let ended = self.writer.into_inner().and_then(|mut file| {
            file.flush()?;
            Ok(())
        });
        match ended {
            Ok(()) => written(path, self.rows),
            Err(source) => Err(table_error(&path, source)),
        }
    }
}

fn table_error(path: &Path, source: ParquetError) -> Error {
    Error::WriteTable { path: path.to_owned(), source }
}

/// A column of text in a table.
pub(super) fn text_column(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// The column of the moment at which something happened, in UTC.
pub(super) fn occurred_at() -> Field {
    Field::new("occurred_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}
