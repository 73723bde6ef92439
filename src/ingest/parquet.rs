//! Parquet extracts: columns are found by name, row groups are read one by one, and only the columns that matter are decoded.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema, TimeUnit};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::basic::{LogicalType, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;

use super::column::ContractColumn;
use super::contract::Contract;
use super::format;
use super::text::Blocks;
use crate::config::{ColumnType, SourceFormat};
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::shown;
use crate::storage::File;

/// Footers fetched at once.
const FOOTERS_AT_ONCE: usize = 16;

/// A row group of a Parquet file.
#[derive(Debug, Clone)]
pub struct RowGroup {
    /// The file.
    pub file: File,
    /// The file's footer.
    pub footer: ArrowReaderMetadata,
    /// Its place in the file.
    pub index: usize,
    /// The number of its first row in the file, from 1.
    pub first_row: u64,
    /// For every column of the contract its place in the file.
    pub positions: Arc<Vec<Option<usize>>>,
}

impl RowGroup {
    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.footer.metadata().row_group(self.index).num_rows()).unwrap_or_default()
    }

    /// Whether a column of the contract is text that the file stores for every row, and not as keys.
    pub fn is_plain_text(&self, column: usize, schema: &Schema) -> bool {
        let stored = self.positions[column].map(|at| self.footer.schema().field(at).data_type());
        schema.field(column).data_type() == &DataType::Utf8 && stored == Some(&DataType::Utf8)
    }

    /// Whether values of a column may be missing; its statistics may know that none are.
    fn may_have_nulls(&self, column: usize) -> bool {
        let descriptor = self.footer.metadata().file_metadata().schema_descr();
        let leaves = (0..descriptor.num_columns()).filter(|&leaf| descriptor.get_column_root_idx(leaf) == column);
        let group = self.footer.metadata().row_group(self.index);
        leaves.map(|leaf| group.column(leaf).statistics()).any(|known| known.and_then(Statistics::null_count_opt) != Some(0))
    }

    /// The smallest and largest of a column's whole numbers as they are stored, if its statistics say so.
    fn range_of(&self, column: usize) -> Option<(i64, i64)> {
        let descriptor = self.footer.metadata().file_metadata().schema_descr();
        let mut leaves = (0..descriptor.num_columns()).filter(|&leaf| descriptor.get_column_root_idx(leaf) == column);
        match self.footer.metadata().row_group(self.index).column(leaves.next()?).statistics()? {
            Statistics::Int32(known) => Some((i64::from(*known.min_opt()?), i64::from(*known.max_opt()?))),
            Statistics::Int64(known) => Some((*known.min_opt()?, *known.max_opt()?)),
            _ => None,
        }
    }
}

/// The row groups of some files, in order.
///
/// # Errors
/// [`Error::Refused`] when a file is no Parquet, is damaged, or lacks a column.
pub async fn row_groups(files: &[File], contract: &Contract) -> Result<Vec<RowGroup>> {
    let footers = futures::stream::iter(files).map(|file| async move {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let loaded = ArrowReaderMetadata::load_async(&mut reader(file), options).await;
        match loaded.and_then(|footer| with_our_types(footer, contract)) {
            Ok(footer) => split(file, footer, contract),
            Err(error) => Err(instead(file).await.unwrap_or_else(|| damaged(file, error))),
        }
    });
    Ok(footers.buffered(FOOTERS_AT_ONCE).try_collect::<Vec<_>>().await?.concat())
}

/// What a file is that is no Parquet, told from its first bytes.
async fn instead(file: &File) -> Option<Error> {
    let head = Blocks::first_bytes(file).await.ok().filter(|head| !head.is_empty() && format::of_head(head) != SourceFormat::Parquet)?;
    let what = match (format::foreign(&head), format::of_head(&head)) {
        (Some((what, _)), _) => what,
        (None, SourceFormat::Ndjson) => "text that looks like NDJSON",
        (None, _) => "text, perhaps CSV",
    };
    let message = Message::new(format!("{} is not readable as Parquet: it is {what}", file.shown));
    Some(Error::Refused(message.hint("correct the source's `location` or `format`, or have the file exported as Parquet")))
}

/// A footer by which columns are read as types that lose nothing: moments of 96 bits in microseconds of UTC, since nanoseconds reach
/// from 1677 to 2262 alone; and text as it is stored, each once with a key for every row, so that it is looked at and given its code
/// once a row group.
fn with_our_types(footer: ArrowReaderMetadata, contract: &Contract) -> parquet::errors::Result<ArrowReaderMetadata> {
    let fields = footer.schema().fields();
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let mut held: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
    for leaf in 0..descriptor.num_columns() {
        let (column, root) = (descriptor.column(leaf), descriptor.get_column_root_idx(leaf));
        if column.physical_type() == Type::INT96 && matches!(held[root], DataType::Timestamp(..)) {
            held[root] = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        }
    }
    let keyed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for column in contract.columns.iter().filter(|column| column.data_type == DataType::Utf8) {
        if let Some((at, _)) = column.find(|name| fields.find(name))
            && held[at] == DataType::Utf8
            && is_keyed(footer.metadata(), at)
        {
            held[at] = keyed.clone();
        }
    }
    let field = |(field, held): (&FieldRef, DataType)| field.as_ref().clone().with_data_type(held);
    let schema = Schema::new(fields.iter().zip(held).map(field).collect::<Vec<_>>());
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options)
}

/// Refuses a file whose columns hold what can be none of their declared types.
fn refuse_misfits(file: &File, footer: &ArrowReaderMetadata, contract: &Contract, positions: &[Option<usize>]) -> Result<()> {
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let is_uuid = |at: usize| {
        let logical = (0..descriptor.num_columns()).filter(|&leaf| descriptor.get_column_root_idx(leaf) == at);
        logical.map(|leaf| descriptor.column(leaf)).any(|column| column.logical_type_ref() == Some(&LogicalType::Uuid))
    };
    let mut message = Message::new(format!("{} does not fit its contract", file.shown));
    let mut hints = Vec::new();
    for (column, at) in contract.columns.iter().zip(positions).filter_map(|(column, at)| Some((column, (*at)?))) {
        let held = footer.schema().field(at).data_type();
        if column.column_type == ColumnType::String && is_uuid(at) {
            continue;
        }
        if let Err(hint) = column.fits(held) {
            let name = footer.schema().field(at).name();
            message = message.detail(format!("the column `{name}` holds {}, which is no {}", in_words(held), column.column_type));
            hints.push(hint);
        }
    }
    hints.dedup();
    if hints.is_empty() { Ok(()) } else { Err(Error::Refused(message.hint(hints.join("; ")))) }
}

/// What a file's column holds, for people.
fn in_words(held: &DataType) -> String {
    match held {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => "integers".to_owned(),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => "unsigned integers".to_owned(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "binary floating-point numbers".to_owned(),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => "decimals".to_owned(),
        DataType::Date32 | DataType::Date64 => "dates".to_owned(),
        DataType::Timestamp(..) => "timestamps".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "times of day".to_owned(),
        DataType::Boolean => "booleans".to_owned(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "lists".to_owned(),
        DataType::Struct(_) => "nested records".to_owned(),
        DataType::Map(..) => "maps".to_owned(),
        DataType::FixedSizeBinary(_) => "bytes without a meaning".to_owned(),
        other => format!("values of the type {other}"),
    }
}

/// Whether a column is stored as keys of a dictionary. Where a writer gave that up, because nearly every value differs, a dictionary
/// would have to be made for every batch; then keys of at most four bytes cannot be all that a value takes.
fn is_keyed(footer: &ParquetMetaData, column: usize) -> bool {
    const KEY_BYTES: i64 = 4;
    let descriptor = footer.file_metadata().schema_descr();
    let leaves: Vec<usize> = (0..descriptor.num_columns()).filter(|&leaf| descriptor.get_column_root_idx(leaf) == column).collect();
    let chunks = || footer.row_groups().iter().flat_map(|group| leaves.iter().map(|&leaf| group.column(leaf)));
    let values: i64 = chunks().map(ColumnChunkMetaData::num_values).sum();
    let bytes: i64 = chunks().map(ColumnChunkMetaData::uncompressed_size).sum();
    chunks().all(|chunk| chunk.dictionary_page_offset().is_some()) && bytes < values.saturating_mul(2 * KEY_BYTES)
}

fn split(file: &File, footer: ArrowReaderMetadata, contract: &Contract) -> Result<Vec<RowGroup>> {
    let fields = footer.schema().fields();
    let positions: Vec<_> = contract.columns.iter().map(|column| column.find(|name| fields.find(name)).map(|(at, _)| at)).collect();
    let missing = |(column, position): (&ContractColumn, &Option<usize>)| {
        (position.is_none() && !column.optional).then(|| column.in_files().to_owned())
    };
    let missing: Vec<String> = contract.columns.iter().zip(&positions).filter_map(missing).collect();
    let path_into = |name: &&String| {
        name.split_once('.').and_then(|(root, _)| fields.find(root)).is_some_and(|(_, field)| field.data_type().is_nested())
    };
    let unread = contract.columns.iter().zip(&positions).filter(|(_, position)| position.is_none());
    if let Some(path) = unread.flat_map(|(column, _)| &column.names).find(path_into) {
        let message = Message::new(format!("{}: `{path}` lies within a nested column, and nested values are not read", file.shown));
        return Err(Error::Refused(message.hint("have the file exported with one plain value a column")));
    }
    if !missing.is_empty() {
        let there: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        let mut message =
            Message::new(format!("{} lacks {}", file.shown, list(&missing))).detail(format!("it has {}", list(&shown::names(&there))));
        message.details.extend(format::key_in_path(&file.shown, &missing));
        return Err(Error::Refused(
            message.hint("correct `from` in the contract, or say `optional: true` where a file may lack the column"),
        ));
    }
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let is_twice = |name: &&String| names.iter().filter(|other| **other == name.as_str()).count() > 1;
    if let Some(twice) = contract.columns.iter().flat_map(|column| &column.names).find(is_twice) {
        let message = Message::new(format!("{} has two columns called `{twice}`", file.shown));
        return Err(Error::Refused(message.hint("have the file exported with one of them, or with names of their own")));
    }
    contract.refuse_unknown(&file.shown, &names)?;
    refuse_misfits(file, &footer, contract, &positions)?;
    let positions = Arc::new(positions);
    let mut first_row = 1;
    let mut groups = Vec::new();
    for index in 0..footer.metadata().num_row_groups() {
        let group = RowGroup { file: file.clone(), footer: footer.clone(), index, first_row, positions: Arc::clone(&positions) };
        first_row += group.rows();
        groups.push(group);
    }
    Ok(groups)
}

/// Reads a row group batch by batch, with an array for every column of the contract that is needed.
pub struct Batches {
    stream: ParquetRecordBatchStream<Ranges>,
    file: File,
    /// For every column of the contract its place in the batches.
    columns: Vec<Option<usize>>,
    bytes: u64,
}

impl Batches {
    /// Begins to read the columns that are asked for or can be at fault.
    ///
    /// # Errors
    /// [`Error::Refused`] when the file is damaged.
    pub fn open(group: RowGroup, contract: &Contract, projection: &[usize], batch_rows: usize) -> Result<Self> {
        let needed = |(position, column): (usize, &ContractColumn)| {
            let at = group.positions[position]?;
            let field = group.footer.schema().field(at);
            let wanted = projection.contains(&position) || position == contract.event_time;
            (wanted || column.can_fail(field.data_type(), group.may_have_nulls(at), group.range_of(at))).then_some(at)
        };
        let needed = contract.columns.iter().enumerate().map(needed).collect();
        Batches::new(group, needed, batch_rows)
    }

    /// Begins to read every column.
    ///
    /// # Errors
    /// [`Error::Refused`] when the file is damaged.
    pub fn whole(group: RowGroup, contract: &Contract, batch_rows: usize) -> Result<Self> {
        let needed = (0..contract.columns.len()).map(|position| group.positions[position]).collect();
        Batches::new(group, needed, batch_rows)
    }

    /// `needed` is for every column of the contract its place in the file, if it is to be read.
    fn new(group: RowGroup, needed: Vec<Option<usize>>, batch_rows: usize) -> Result<Self> {
        let mut roots: Vec<usize> = needed.iter().flatten().copied().collect();
        roots.sort_unstable();
        roots.dedup();
        let columns = needed.iter().map(|at| at.and_then(|at| roots.binary_search(&at).ok())).collect();
        let mask = ProjectionMask::roots(group.footer.metadata().file_metadata().schema_descr(), roots);
        let chunks = group.footer.metadata().row_group(group.index).columns().iter().enumerate();
        let bytes = chunks.filter(|(leaf, _)| mask.leaf_included(*leaf)).map(|(_, chunk)| chunk.compressed_size()).sum::<i64>();
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader(&group.file), group.footer);
        let builder = builder.with_projection(mask).with_row_groups(vec![group.index]).with_batch_size(batch_rows);
        let stream = builder.build().map_err(|error| damaged(&group.file, error))?;
        Ok(Batches { stream, file: group.file, columns, bytes: bytes.unsigned_abs() })
    }

    /// How many bytes of the file the columns take that are read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// [`Error::Refused`] when the file is damaged.
    pub async fn next(&mut self) -> Result<Option<(Vec<Option<ArrayRef>>, usize)>> {
        let batch: Option<RecordBatch> = self.stream.try_next().await.map_err(|error| damaged(&self.file, error))?;
        Ok(batch.map(|batch| {
            let columns = self.columns.iter().map(|at| at.map(|at| Arc::clone(batch.column(at)))).collect();
            (columns, batch.num_rows())
        }))
    }
}

fn reader(file: &File) -> Ranges {
    Ranges(file.clone())
}

/// Reads a file's byte ranges for the Parquet decoder.
struct Ranges(File);

impl AsyncFileReader for Ranges {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.0.read(range).map_err(carried).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move { self.0.read_ranges(&ranges).await.map_err(carried) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.0.meta.size;
            ParquetMetaDataReader::new().with_arrow_reader_options(options).load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

fn carried(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

fn damaged(file: &File, error: ParquetError) -> Error {
    let why = match error {
        ParquetError::External(cause) => match cause.downcast::<Error>() {
            Ok(error) => return *error,
            Err(_) => "it cannot be read",
        },
        ParquetError::NYI(_) => "it is written in a way that is not read",
        ParquetError::EOF(_) | ParquetError::NeedMoreData(_) | ParquetError::NeedMoreDataRange(_) => "it ends too early",
        // What the decoder says may repeat what it has read.
        error if error.to_string().contains("CRC") => "a checksum of it is wrong",
        _ => "its metadata or a page of it is damaged",
    };
    let message = Message::new(format!("{} is not readable as Parquet: {why}", file.shown));
    Error::Refused(message.hint("the file is damaged or cut short: fetch it again"))
}
