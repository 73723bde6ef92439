//! Finds rows of a published file by the value of one column, reading only the pages that can hold it.
//!
//! Every file has, for each row group and each page, the least and the greatest value of its columns. In a table that is sorted by the
//! column, one page of each column and its dictionary are read, however large the table is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, RowFilter, RowSelection, RowSelector};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::damage;
use super::publications::Publications;
use crate::error::Result;
use crate::manifest::{Commit, DataFile};
use crate::storage;

/// Bytes at the end of a file that are read with its footer: the footer of a file of a million rows and its page index fit.
const FOOTER_BYTES: usize = 512 * 1024;

/// The rows that were found, and what that took.
#[derive(Debug, Default)]
pub struct Found {
    /// The rows, in their order.
    pub rows: Vec<RecordBatch>,
    /// Bytes read of the file.
    pub bytes_read: u64,
    /// Rows of which the column was looked at.
    pub rows_looked_at: u64,
    /// For each column, in how many rows of the file it has no value, where the file says so.
    pub nulls: BTreeMap<String, u64>,
    /// How many rows the file has.
    pub rows_of_file: u64,
}

impl Found {
    /// Adds what was found in another file of the table.
    pub fn add(&mut self, other: Found) {
        self.rows.extend(other.rows);
        self.bytes_read += other.bytes_read;
        self.rows_looked_at += other.rows_looked_at;
        self.rows_of_file += other.rows_of_file;
        for (column, nulls) in other.nulls {
            *self.nulls.entry(column).or_default() += nulls;
        }
    }
}

impl Publications {
    /// The rows of a file of a publication whose text in a column is one that is given.
    ///
    /// # Errors
    /// As the store fails; [`crate::error::Error::Project`] when the file is not what the commit says.
    pub async fn find(&self, commit: &Commit, file: &DataFile, column: &str, text: &str) -> Result<Found> {
        self.find_any(commit, file, column, &Wanted::Text(text.to_owned())).await
    }

    /// The rows of a file of a publication that have one of some hashes in a column. The whole column is read, because hashes have no order.
    ///
    /// # Errors
    /// As [`Publications::find`].
    pub async fn find_hashes(&self, commit: &Commit, file: &DataFile, column: &str, hashes: Vec<[u8; 16]>) -> Result<Found> {
        self.find_any(commit, file, column, &Wanted::Hashes(hashes)).await
    }

    async fn find_any(&self, commit: &Commit, file: &DataFile, column: &str, wanted: &Wanted) -> Result<Found> {
        let path = self.destination.join(&file.path);
        let shown = self.destination.shown(&path);
        let damaged = damage::of_file(commit, &shown);
        let size = match self.destination.store.head(&path).await {
            Ok(meta) => meta.size,
            Err(object_store::Error::NotFound { .. }) => return Err(damage::told(&self.destination, damaged).await?),
            Err(error) => return Err(storage::failure("read", &shown, error)),
        };
        if size != file.bytes {
            return Err(damage::told(&self.destination, damaged).await?);
        }
        let reader = Reader { store: Arc::clone(&self.destination.store), path, size, bytes_read: Arc::default() };
        found(reader, column, wanted).await.map_err(|error| match error {
            ParquetError::External(cause) => storage::broken("read", &shown, &*cause),
            _ => damaged.error(),
        })
    }
}

/// What a column is searched for.
#[derive(Debug, Clone)]
enum Wanted {
    Text(String),
    Hashes(Vec<[u8; 16]>),
}

impl Wanted {
    /// Which values of a column are wanted.
    fn among(&self, column: &ArrayRef) -> Result<BooleanArray, arrow::error::ArrowError> {
        match self {
            Wanted::Text(text) => {
                let wanted = Scalar::new(Arc::new(StringArray::from(vec![text.as_str()])) as ArrayRef);
                cmp::eq(&arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8)?, &wanted)
            }
            Wanted::Hashes(hashes) => {
                let column = column.as_fixed_size_binary_opt();
                let column = column.ok_or_else(|| arrow::error::ArrowError::CastError("a column has no hashes".to_owned()))?;
                Ok(column.iter().map(|value| Some(value.is_some_and(|value| hashes.iter().any(|hash| value == hash.as_slice())))).collect())
            }
        }
    }
}

async fn found(mut reader: Reader, column: &str, wanted: &Wanted) -> ParquetResult<Found> {
    let bytes_read = Arc::clone(&reader.bytes_read);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await?;
    let schema = metadata.parquet_schema();
    let at = schema.columns().iter().position(|leaf| leaf.name() == column);
    let at = at.ok_or_else(|| ParquetError::General("a column is not there".to_owned()))?;
    let mask = ProjectionMask::leaves(schema, [at]);
    let held = |group: &usize| match wanted {
        Wanted::Text(text) => may_hold(metadata.metadata(), *group, at, text),
        Wanted::Hashes(_) => true,
    };
    let groups: Vec<usize> = (0..metadata.metadata().num_row_groups()).filter(held).collect();
    let mut selectors = Vec::new();
    for &group in &groups {
        match wanted {
            Wanted::Text(text) => selectors.extend(pages(metadata.metadata(), group, at, text)),
            Wanted::Hashes(_) => selectors.push(RowSelector::select(rows_of(metadata.metadata(), group))),
        }
    }
    let selection = RowSelection::from(selectors);
    let rows_looked_at = selection.row_count() as u64;
    let (nulls, rows_of_file) = counts(metadata.metadata());
    let wanted = wanted.clone();
    let is_wanted = move |batch: RecordBatch| wanted.among(batch.column(0));
    let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_row_groups(groups)
        .with_row_selection(selection)
        .with_row_filter(RowFilter::new(vec![Box::new(ArrowPredicateFn::new(mask, is_wanted))]));
    let rows: Vec<RecordBatch> = builder.build()?.try_collect().await?;
    let rows = rows.into_iter().filter(|batch| batch.num_rows() > 0).collect();
    Ok(Found { rows, bytes_read: bytes_read.load(Ordering::Relaxed), rows_looked_at, nulls, rows_of_file })
}

/// How often each column has no value, by its statistics, and the number of rows.
fn counts(metadata: &ParquetMetaData) -> (BTreeMap<String, u64>, u64) {
    let leaves = metadata.file_metadata().schema_descr().columns();
    let nulls = leaves.iter().enumerate().filter_map(|(at, leaf)| {
        let groups = metadata.row_groups().iter();
        let nulls = groups.map(|group| group.column(at).statistics().and_then(Statistics::null_count_opt)).sum::<Option<u64>>();
        Some((leaf.name().to_owned(), nulls?))
    });
    (nulls.collect(), u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default())
}

/// Whether a row group can hold a text in a column, by the least and the greatest that it has.
fn may_hold(metadata: &ParquetMetaData, group: usize, column: usize, text: &str) -> bool {
    let Some(Statistics::ByteArray(known)) = metadata.row_group(group).column(column).statistics() else { return true };
    let (least, greatest) = (known.min_opt().map(ByteArray::data), known.max_opt().map(ByteArray::data));
    lies_between(least, greatest, text)
}

fn lies_between(least: Option<&[u8]>, greatest: Option<&[u8]>, text: &str) -> bool {
    least.is_none_or(|least| least <= text.as_bytes()) && greatest.is_none_or(|greatest| text.as_bytes() <= greatest)
}

fn rows_of(metadata: &ParquetMetaData, group: usize) -> usize {
    usize::try_from(metadata.row_group(group).num_rows()).unwrap_or_default()
}

/// The rows of the pages of a row group that can hold a text.
fn pages(metadata: &ParquetMetaData, group: usize, column: usize, text: &str) -> Vec<RowSelector> {
    let rows = rows_of(metadata, group);
    let index = metadata.column_index().and_then(|groups| groups.get(group)?.get(column));
    let places = metadata.offset_index().and_then(|groups| groups.get(group)?.get(column));
    let (Some(ColumnIndexMetaData::BYTE_ARRAY(index)), Some(places)) = (index, places) else { return vec![RowSelector::select(rows)] };
    let first_row = |page: usize| {
        let first = places.page_locations().get(page).map_or(rows, |place| usize::try_from(place.first_row_index).unwrap_or(rows));
        first.min(rows)
    };
    let selector = |page: usize| {
        let count = first_row(page + 1).saturating_sub(first_row(page));
        let holds = !index.is_null_page(page) && lies_between(index.min_value(page), index.max_value(page), text);
        if holds { RowSelector::select(count) } else { RowSelector::skip(count) }
    };
    (0..places.page_locations().len()).map(selector).collect()
}

/// What the footer of a file says.
///
/// # Errors
/// As reading from the store fails, or Parquet cannot be read.
pub async fn footer(store: &Arc<dyn ObjectStore>, path: &Path, size: u64) -> ParquetResult<Arc<ParquetMetaData>> {
    Reader { store: Arc::clone(store), path: path.clone(), size, bytes_read: Arc::default() }.get_metadata(None).await
}

/// Reads a file of a store piece by piece, and counts what it reads.
struct Reader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    bytes_read: Arc<AtomicU64>,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.bytes_read.fetch_add(range.end - range.start, Ordering::Relaxed);
        async move { self.store.get_range(&self.path, range).await.map_err(|error| ParquetError::External(Box::new(error))) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(|error| ParquetError::External(Box::new(error))) }.boxed()
    }

    fn get_metadata<'a>(&'a mut self, options: Option<&'a ArrowReaderOptions>) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let policy = options.map_or(PageIndexPolicy::Skip, ArrowReaderOptions::column_index_policy);
            let reader = ParquetMetaDataReader::new().with_page_index_policy(policy).with_prefetch_hint(Some(FOOTER_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use object_store::memory::InMemory;

    use super::super::write;
    use super::*;

    /// Half a million customers, each with five columns of noise, sorted by customer.
    #[tokio::test]
    async fn one_customer_is_found_without_reading_the_others() {
        const CUSTOMERS: i64 = 500_000;
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut fields = vec![Field::new("customer_id", DataType::Utf8, false)];
        fields.extend((0..5).map(|at| Field::new(format!("noise_{at}"), DataType::Int64, false)));
        let schema = Arc::new(Schema::new(fields));
        let noise =
            |at: i64, row: i64| row.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at * 1_442_695_040_888_963).rotate_left(29);
        let numbers = |at: i64| (0..CUSTOMERS).map(|row| noise(at, row)).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new((0..CUSTOMERS).map(|row| Some(format!("c{row:07}"))).collect::<StringArray>())];
        columns.extend((0..5).map(|at| Arc::new(Int64Array::from_iter_values::<Vec<i64>>(numbers(at))) as ArrayRef));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let path = Path::from("customers.parquet");
        let key = write::Key { columns: vec!["customer_id".to_owned()], may_be_told: vec![false], may_repeat: false };
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch.clone())])));
        let written = write::parquet(Arc::clone(&store), path.clone(), "customers", "customers", &key, rows).await.unwrap();
        for row in [0, 1, 131_071, 131_072, 234_567, CUSTOMERS - 1] {
            let reader = Reader { store: Arc::clone(&store), path: path.clone(), size: written.bytes, bytes_read: Arc::default() };
            let found = found(reader, "customer_id", &Wanted::Text(format!("c{row:07}"))).await.unwrap();
            assert_eq!(found.rows.len(), 1, "{row}");
            assert_eq!(found.rows[0].num_rows(), 1);
            let same = batch.slice(usize::try_from(row).unwrap(), 1);
            assert_eq!(found.rows[0].column(3).as_primitive::<arrow::datatypes::Int64Type>(), same.column(3).as_primitive());
            // The dictionaries of one row group of four, and a page of each column: noise makes large dictionaries.
            assert!(found.bytes_read < written.bytes / 3, "{} of {} bytes were read", found.bytes_read, written.bytes);
            assert!(found.rows_looked_at <= 40_000, "{}", found.rows_looked_at);
        }
        for nobody in ["", "c", "c0234567x", "zzz"] {
            let reader = Reader { store: Arc::clone(&store), path: path.clone(), size: written.bytes, bytes_read: Arc::default() };
            assert!(found(reader, "customer_id", &Wanted::Text(nobody.to_owned())).await.unwrap().rows.is_empty());
        }
    }
}
