//! Writes one table as Parquet. The bytes depend on the rows alone, not on how they were cut into batches.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{BatchCoalescer, SortOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::async_writer::{AsyncArrowWriter, AsyncFileWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::manifest::Column;
use crate::shown::{self, MASK};
use crate::storage;

/// Rows handed to the writer at once: always as many, so that pages end at the same rows.
const WRITE_ROWS: usize = 8192;
/// Rows to a row group: large enough to compress well, small enough to skip by statistics.
const ROW_GROUP_ROWS: usize = 131_072;

/// The columns that rows are in order of, and that no two of them share.
pub struct Key {
    pub columns: Vec<String>,
    /// Whether several rows may have the same one.
    pub may_repeat: bool,
    /// Whether values of each may be told.
    pub may_be_told: Vec<bool>,
}

/// What was written.
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
    pub columns: Vec<Column>,
}

/// Writes rows, which must come in order of `key`, to a new file. An upload that fails is ended with the run.
///
/// # Errors
/// [`Error::Refused`] when two rows have one key; otherwise as writing to the store fails.
pub async fn parquet(
    store: Arc<dyn ObjectStore>,
    path: Path,
    shown: &str,
    table: &str,
    key: &Key,
    rows: SendableRecordBatchStream,
) -> Result<Written> {
    let schema = published_schema(&rows.schema());
    let sink = Hashing { inner: BufWriter::new(store, path), hash: Sha256::new(), bytes: 0 };
    let mut writer =
        AsyncArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties_of(&schema))).map_err(|error| unwritten(shown, error))?;
    let written = write_rows(&mut writer, &schema, shown, table, key, rows).await;
    let sink = writer.into_inner();
    Ok(Written { rows: written?, bytes: sink.bytes, sha256: format!("{:x}", sink.hash.finalize()), columns: columns_of(&schema) })
}

/// Writes the rows and ends the file; how many there were.
async fn write_rows(
    writer: &mut AsyncArrowWriter<Hashing>,
    schema: &SchemaRef,
    shown: &str,
    table: &str,
    key: &Key,
    mut rows: SendableRecordBatchStream,
) -> Result<u64> {
    let mut coalescer = BatchCoalescer::new(Arc::clone(schema), WRITE_ROWS);
    let mut unique = Unique::new(table, key, schema)?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await.map_err(|error| failed(table, &error))? {
        let batch = published(schema, &batch)?;
        unique.check(&batch)?;
        count += batch.num_rows() as u64;
        coalescer.push_batch(batch).map_err(defect)?;
        while let Some(full) = coalescer.next_completed_batch() {
            writer.write(&full).await.map_err(|error| unwritten(shown, error))?;
        }
    }
    coalescer.finish_buffered_batch().map_err(defect)?;
    while let Some(rest) = coalescer.next_completed_batch() {
        writer.write(&rest).await.map_err(|error| unwritten(shown, error))?;
    }
    writer.finish().await.map_err(|error| unwritten(shown, error))?;
    Ok(count)
}

/// How every table is written.
pub fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(format!("segmill {}", env!("CARGO_PKG_VERSION")))
        .build()
}

/// How a table is written that may have columns of hashes: nothing makes those smaller, so nothing is tried.
fn properties_of(schema: &Schema) -> WriterProperties {
    let hashes = schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::FixedSizeBinary(_)));
    let plain = hashes.map(|field| ColumnPath::from(field.name().as_str())).fold(properties().into_builder(), |properties, column| {
        properties
            .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_statistics_enabled(column, EnabledStatistics::None)
    });
    plain.build()
}

/// The schema with types that every warehouse loads: plain text, UTC moments, signed integers, also inside lists and structures.
pub fn published_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(published_field).collect::<Vec<_>>()))
}

fn published_field(field: &Arc<Field>) -> Field {
    Field::new(field.name(), published_type(field.data_type()), field.is_nullable())
}

fn published_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) | DataType::Null => DataType::Utf8,
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 | DataType::Int8 | DataType::Int16 => DataType::Int64,
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            DataType::List(Arc::new(published_field(element)))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(published_field).collect()),
        other => other.clone(),
    }
}

fn published(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let cast = |(field, array): (&Arc<Field>, &ArrayRef)| arrow::compute::cast(array, field.data_type());
    let arrays = schema.fields().iter().zip(batch.columns()).map(cast).collect::<Result<Vec<_>, _>>().map_err(defect)?;
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(defect)
}

/// The columns of a published schema.
pub fn columns_of(schema: &Schema) -> Vec<Column> {
    let column = |field: &Arc<Field>| Column { name: field.name().clone(), column_type: type_name(field.data_type()) };
    schema.fields().iter().map(column).collect()
}

/// A column's type in the words of the pipeline file.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".to_owned(),
        DataType::Int64 | DataType::Int32 => "integer".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::List(element) => format!("list({})", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields.iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type()))).collect();
            format!("struct({})", fields.join(", "))
        }
        other => other.to_string().to_lowercase(),
    }
}

/// As the engine sorts outputs.
const ORDER: SortOptions = SortOptions { descending: false, nulls_first: false };

/// Refuses two rows with one key. Rows must come in order of the key, so equal ones are neighbours.
struct Unique<'a> {
    table: &'a str,
    key: &'a Key,
    converter: RowConverter,
    columns: Vec<usize>,
    last: Option<OwnedRow>,
}

impl<'a> Unique<'a> {
    fn new(table: &'a str, key: &'a Key, schema: &Schema) -> Result<Self> {
        let columns = key.columns.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>().map_err(defect)?;
        let fields = columns.iter().map(|&at| SortField::new_with_options(schema.field(at).data_type().clone(), ORDER)).collect();
        Ok(Unique { table, key, converter: RowConverter::new(fields).map_err(defect)?, columns, last: None })
    }

    fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.columns.is_empty() || batch.num_rows() == 0 {
            return Ok(());
        }
        let arrays: Vec<ArrayRef> = self.columns.iter().map(|&at| Arc::clone(batch.column(at))).collect();
        let rows = self.converter.convert_columns(&arrays).map_err(defect)?;
        let before = self.last.as_ref().map(OwnedRow::row);
        let neighbours = before.into_iter().chain(rows.iter()).zip(rows.iter().skip(usize::from(self.last.is_none())));
        let (mut worst, mut twice) = (None, 0);
        // Each with the place of the later row in the batch.
        for (at, (one, next)) in (usize::from(self.last.is_none())..).zip(neighbours) {
            let order = one.cmp(&next);
            if order == Ordering::Equal && self.key.may_repeat {
                continue;
            }
            if order == Ordering::Equal && worst < Some(order) {
                twice = at;
            }
            worst = worst.max(Some(order));
        }
        if worst == Some(Ordering::Greater) {
            return Err(Error::defect(format!("the rows of the output `{}` are out of order", self.table)));
        }
        if worst == Some(Ordering::Equal) {
            return Err(self.came_twice(&arrays, twice));
        }
        self.last = Some(rows.row(rows.num_rows() - 1).owned());
        Ok(())
    }
}

impl Unique<'_> {
    /// Two rows have the key that stands in a row of some arrays.
    fn came_twice(&self, arrays: &[ArrayRef], row: usize) -> Error {
        let value = |(at, array): (usize, &ArrayRef)| {
            let told = self.key.may_be_told.get(at).is_some_and(|may| *may) && array.is_valid(row);
            let text = if told { array_value_to_string(array, row).ok() } else { None };
            let text = text.unwrap_or_else(|| if array.is_null(row) { "null".to_owned() } else { MASK.to_owned() });
            format!("{} = {}", self.key.columns[at], shown::name(&text))
        };
        let values: Vec<String> = arrays.iter().enumerate().map(value).collect();
        let columns: Vec<&str> = self.key.columns.iter().map(String::as_str).collect();
        let what = format!("a key of the output `{}` came twice: two rows have the same {}", self.table, list(&columns));
        let message = Message::new(what).detail(format!("the first such key is {}", values.join(", ")));
        Error::Refused(message.hint(
            "its `sort` columns must name a row: aggregate the model to one row each; a join that finds several rows for one multiplies it",
        ))
    }
}

/// A file of the store that keeps count and a digest of what is written to it.
struct Hashing {
    inner: BufWriter,
    hash: Sha256,
    bytes: u64,
}

impl AsyncFileWriter for Hashing {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, parquet::errors::Result<()>> {
        self.hash.update(&bytes);
        self.bytes += bytes.len() as u64;
        async move { self.inner.put(bytes).await.map_err(|error| parquet::errors::ParquetError::External(Box::new(error))) }.boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, parquet::errors::Result<()>> {
        async move { self.inner.shutdown().await.map_err(|error| parquet::errors::ParquetError::External(Box::new(error))) }.boxed()
    }
}

fn unwritten(shown: &str, error: parquet::errors::ParquetError) -> Error {
    let parquet::errors::ParquetError::External(cause) = error else {
        return Error::defect(format!("{shown} was not written: Parquet cannot hold what it was given"));
    };
    storage::broken("write", shown, &*cause)
}

fn failed(table: &str, error: &DataFusionError) -> Error {
    if crate::engine::is_out_of_resources(error) {
        return crate::engine::failed(&format!("the output `{table}`"), error);
    }
    Error::Refused(Message::new(format!("the output `{table}` failed: {}", crate::sql::discreet(error))))
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("an output was not written: {}", crate::sql::discreet(&error.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_structures_hold_types_that_every_warehouse_loads() {
        let list = |element| DataType::List(Arc::new(Field::new("item", element, true)));
        let moment = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
        let structure = |of| DataType::Struct(vec![Field::new("at", moment(TimeUnit::Nanosecond, Some("Europe/Paris")), true), of].into());
        let given = [
            (list(DataType::Utf8View), "list(string)"),
            (list(list(DataType::UInt32)), "list(list(integer))"),
            (list(moment(TimeUnit::Nanosecond, None)), "list(timestamp)"),
            (DataType::LargeList(Arc::new(Field::new("item", DataType::Decimal128(18, 3), true))), "list(decimal(18,3))"),
            (structure(Field::new("name", DataType::LargeUtf8, true)), "struct(at timestamp, name string)"),
        ];
        for (data_type, name) in given {
            let published = published_schema(&Schema::new(vec![Field::new("column", data_type.clone(), true)]));
            let published = published.field(0).data_type();
            assert_eq!(type_name(published), name);
            let said = published.to_string();
            assert!(["Utf8View", "LargeUtf8", "UInt", "Large", "ns", "Paris"].iter().all(|other| !said.contains(other)), "{said}");
            // What is written can be cast to it.
            let array = arrow::array::new_null_array(&data_type, 2);
            assert_eq!(arrow::compute::cast(&array, published).unwrap().data_type(), published);
        }
    }
}
