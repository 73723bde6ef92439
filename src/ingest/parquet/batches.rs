//! Reads a row group batch by batch. What that takes is known from the headers of its pages before any is unpacked: it is held, or the file
//! is refused by name.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Fields};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::{ConvertedType, Type};
use parquet::column::page::{PageIterator, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::damage::{DAMAGED, damaged, damaged_by, unharmed};
use super::pages::{Chunk, Pages, Survey};
use super::texts::{Cut, PART_BYTES, Part};
use super::{RowGroup, inflate};
use crate::engine::{Reservation, failed};
use crate::error::Result;
use crate::ingest::column::ContractColumn;
use crate::ingest::contract::Contract;
use crate::shown;
use crate::storage::File;

/// What the values of one batch should take; a batch of fewer rows takes less.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// What a value takes beside its own bytes, as read and as checked.
const VALUE_BYTES: usize = 32;

const OUTSIDE: &str = "its footer names places that are not in it";
const ELSEWHERE: &str = "its columns are in other files";
const UNKNOWN_CODEC: &str = "it is packed in a way that is not read";
const OTHER_ROWS: &str = "its pages do not have the rows that its footer declares";

/// Reads a row group batch by batch, with an array for every column of the contract that is needed.
pub struct Batches {
    reader: ParquetRecordBatchReader,
    file: Arc<File>,
    /// For every column of the contract its place in the batches.
    columns: Vec<Option<usize>>,
    /// The places whose texts nobody has looked at yet, whether they are UTF-8.
    unchecked: Vec<usize>,
    bytes: u64,
    cut: Option<Cut>,
    /// What all that takes.
    _memory: Reservation,
}

impl Batches {
    /// Begins to read the columns that are asked for or can be at fault.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] when the file is damaged; also when what it takes does not fit, and as reading the store fails.
    pub async fn open(group: RowGroup, contract: &Contract, projection: &[usize], batch_rows: usize, memory: Reservation) -> Result<Self> {
        let needed = |(position, column): (usize, &ContractColumn)| {
            let at = group.positions[position]?;
            let field = group.footer.schema().field(at);
            let wanted = projection.contains(&position) || contract.always_reads(position);
            (wanted || column.can_fail(field.data_type(), group.may_have_nulls(at), group.range_of(at))).then_some(at)
        };
        let needed = contract.columns.iter().enumerate().map(needed).collect();
        Batches::new(group, contract, needed, batch_rows, memory).await
    }

    /// Begins to read every column.
    ///
    /// # Errors
    /// As [`Batches::open`].
    pub async fn whole(group: RowGroup, contract: &Contract, batch_rows: usize, memory: Reservation) -> Result<Self> {
        let needed = (0..contract.columns.len()).map(|position| group.positions[position]).collect();
        Batches::new(group, contract, needed, batch_rows, memory).await
    }

    /// `needed` is for every column of the contract its place in the file, if it is to be read.
    async fn new(group: RowGroup, contract: &Contract, needed: Vec<Option<usize>>, batch_rows: usize, memory: Reservation) -> Result<Self> {
        let mut roots: Vec<usize> = needed.iter().flatten().copied().collect();
        roots.sort_unstable();
        roots.dedup();
        let columns = needed.iter().map(|at| at.and_then(|at| roots.binary_search(&at).ok())).collect();
        let mut read = Vec::with_capacity(roots.len());
        for &root in &roots {
            let takes_texts = contract.columns.iter().zip(&needed).all(|(column, at)| *at != Some(root) || column.takes_texts());
            read.push(Column::new(&group, root, takes_texts)?);
        }
        let bytes = fetch(&group, &mut read, &memory).await?;
        let batch_rows = fit(&group, &mut read, batch_rows, &memory)?;
        let mut fields: Vec<FieldRef> = group.footer.schema().fields().iter().map(Arc::clone).collect();
        for column in &read {
            fields[column.root] = Arc::new(fields[column.root].as_ref().clone().with_data_type(column.read_as.clone()));
        }
        let unchecked = read.iter().enumerate().filter(|(_, column)| column.is_unchecked).map(|(at, _)| at).collect();
        let metadata = Arc::clone(group.footer.metadata());
        let chunks = read.into_iter().map(|column| (column.leaf, column.chunk)).collect();
        let reader = unharmed(|| {
            let descriptor = metadata.file_metadata().schema_descr();
            let mask = ProjectionMask::roots(descriptor, roots);
            let levels = parquet_to_arrow_field_levels(descriptor, mask, Some(&Fields::from(fields)))?;
            let chunks = Fetched { metadata: Arc::clone(&metadata), group: group.index, chunks };
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &chunks, batch_rows, None)
        });
        let reader = reader.map_err(|why| damaged(&group.file, why))?;
        Ok(Batches { reader, file: group.file, columns, unchecked, bytes, cut: None, _memory: memory })
    }

    /// How many bytes of the file the columns take that are read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] when the file is damaged.
    pub fn next(&mut self) -> Result<Option<Part>> {
        loop {
            let damage = |_| damaged(&self.file, DAMAGED);
            if let Some(part) = self.cut.as_mut().map_or(Ok(None), Cut::next).map_err(damage)? {
                return Ok(Some(part));
            }
            let reader = &mut self.reader;
            let Some(batch) = unharmed(|| reader.next().transpose()).map_err(|why| damaged(&self.file, why))? else { return Ok(None) };
            self.check_texts(&batch)?;
            let columns = self.columns.iter().map(|at| at.map(|at| Arc::clone(batch.column(at)))).collect();
            self.cut = Some(Cut::of(columns, batch.num_rows()));
        }
    }

    /// Looks at what is read as text without being declared as UTF-8.
    fn check_texts(&self, batch: &RecordBatch) -> Result<()> {
        for &at in &self.unchecked {
            let is_text = batch.column(at).as_string_view_opt().is_none_or(|texts| {
                let views = texts.clone().to_binary_view();
                (0..views.len()).all(|row| views.is_null(row) || std::str::from_utf8(views.value(row)).is_ok())
            });
            if !is_text {
                return Err(damaged(&self.file, DAMAGED));
            }
        }
        Ok(())
    }
}

/// A column of a row group that is read.
struct Column {
    root: usize,
    leaf: usize,
    name: String,
    place: Range<u64>,
    chunk: Chunk,
    physical_type: Type,
    /// The type that it is read as.
    read_as: DataType,
    /// Whether its texts may be read as numbers of the dictionary's.
    may_be_keyed: bool,
    is_unchecked: bool,
    /// The bytes of each value of a fixed length.
    width: usize,
}

impl Column {
    fn new(group: &RowGroup, root: usize, takes_texts: bool) -> Result<Self> {
        let metadata = group.footer.metadata();
        let field = group.footer.schema().field(root);
        let leaf = group.footer.leaf_of(root).ok_or_else(|| damaged(&group.file, DAMAGED))?;
        let described = metadata.file_metadata().schema_descr().column(leaf);
        let chunk = metadata.row_group(group.index).column(leaf);
        let refused = |why| Err(damaged(&group.file, why));
        if chunk.file_path().is_some_and(|path| !path.is_empty()) {
            return refused(ELSEWHERE);
        }
        if !inflate::is_known(chunk.compression()) {
            return refused(UNKNOWN_CODEC);
        }
        let Some(place) = place_of(chunk, group.file.meta.size) else { return refused(OUTSIDE) };
        let Some(values) = usize::try_from(chunk.num_values()).ok().filter(|values| *values as u64 == group.rows()) else {
            return refused(OTHER_ROWS);
        };
        let width = usize::try_from(described.type_length()).unwrap_or(0);
        let physical_type = described.physical_type();
        let is_text = physical_type == Type::BYTE_ARRAY;
        let read_as = match field.data_type() {
            DataType::Utf8 if is_text => DataType::Utf8View,
            DataType::Binary if is_text => DataType::BinaryView,
            held => held.clone(),
        };
        let is_utf8 = described.converted_type() == ConvertedType::UTF8;
        let least_value_bytes = match physical_type {
            Type::BOOLEAN => 0,
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => width,
        };
        let may_miss = described.max_def_level() > 0;
        Ok(Column {
            root,
            leaf,
            name: shown::column(field.name()).into_owned(),
            place,
            may_be_keyed: read_as == DataType::Utf8View && is_utf8 && takes_texts,
            is_unchecked: read_as == DataType::Utf8View && !is_utf8,
            chunk: Chunk { bytes: bytes::Bytes::new(), codec: chunk.compression(), may_miss, values, least_value_bytes },
            physical_type,
            read_as,
            width,
        })
    }

    fn is_view(&self) -> bool {
        matches!(self.read_as, DataType::Utf8View | DataType::BinaryView)
    }
}

/// Where the bytes of a chunk are; none when they are not in the file.
fn place_of(chunk: &ColumnChunkMetaData, size: u64) -> Option<Range<u64>> {
    // Some writers name a place for a dictionary that they have not written.
    let dictionary = chunk.dictionary_page_offset().filter(|at| *at > 0 && *at < chunk.data_page_offset());
    let begin = u64::try_from(dictionary.unwrap_or(chunk.data_page_offset())).ok()?;
    let end = begin.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
    (end <= size).then_some(begin..end)
}

/// Fetches the chunks of columns, and holds what they take.
async fn fetch(group: &RowGroup, columns: &mut [Column], memory: &Reservation) -> Result<u64> {
    let total: u64 = columns.iter().map(|column| column.place.end - column.place.start).fold(0, u64::saturating_add);
    let largest = columns.iter().map(|column| (usize::try_from(column.place.end - column.place.start).unwrap_or(usize::MAX), &column.name));
    hold(group, memory, usize::try_from(total).unwrap_or(usize::MAX), largest.max())?;
    let ranges: Vec<Range<u64>> = columns.iter().map(|column| column.place.clone()).collect();
    let is_there = |range: &Range<u64>| !range.is_empty();
    let fetched = group.file.read_ranges(&ranges.into_iter().filter(is_there).collect::<Vec<_>>()).await?;
    for (column, bytes) in columns.iter_mut().filter(|column| is_there(&column.place)).zip(fetched) {
        column.chunk.bytes = bytes;
    }
    Ok(total)
}

/// Holds what decoding takes, and says how many rows a batch may have.
fn fit(group: &RowGroup, columns: &mut [Column], batch_rows: usize, memory: &Reservation) -> Result<usize> {
    let mut surveys = Vec::with_capacity(columns.len());
    for column in columns.iter() {
        surveys.push(column.chunk.survey().ok_or_else(|| damaged(&group.file, OTHER_ROWS))?);
    }
    // A dictionary is there as it was unpacked, and once more as it is looked up. Pages whose texts stay where they are count with their
    // batch.
    let fixed = |(column, survey): (&Column, &Survey)| {
        let noted = survey.pages.len().saturating_mul(size_of::<(usize, usize)>());
        // Texts that share what they begin with are unpacked to see how long they are.
        let page = if column.is_view() && !survey.is_shared { survey.largest_keyed_bytes } else { survey.largest_page_bytes };
        survey.dictionary_bytes.saturating_mul(2).saturating_add(page).saturating_add(survey.lengths_bytes).saturating_add(noted)
    };
    let takes: Vec<usize> = columns.iter().zip(&surveys).map(fixed).collect();
    let total = takes.iter().copied().fold(0, usize::saturating_add);
    hold(group, memory, total, takes.into_iter().zip(columns.iter().map(|column| &column.name)).max())?;
    let mut value_bytes = Vec::with_capacity(columns.len());
    for (column, survey) in columns.iter_mut().zip(&mut surveys) {
        if column.may_be_keyed && survey.is_keyed {
            column.read_as = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        }
        // Texts that a dictionary does not repeat, or that share what they begin with, are as long as they are when they are read.
        let is_keyed = matches!(column.read_as, DataType::Dictionary(..));
        let longest = if column.physical_type == Type::BYTE_ARRAY && !is_keyed && (survey.is_shared || !column.is_view()) {
            let expanded = column.chunk.expanded().map_err(|error| damaged_by(&group.file, &error))?;
            expanded.longest_bytes
        } else {
            0
        };
        value_bytes.push(VALUE_BYTES.saturating_add(2 * column.width).saturating_add(longest));
    }
    let of_batch = |rows: usize| {
        let of_column = |(at, column): (usize, &Column)| {
            let pages = if column.is_view() { surveys[at].window_bytes(rows) } else { 0 };
            rows.saturating_mul(value_bytes[at]).saturating_add(pages)
        };
        columns.iter().enumerate().map(of_column).collect::<Vec<usize>>()
    };
    let total_of = |takes: &[usize]| takes.iter().copied().fold(0, usize::saturating_add);
    let rows = rows_within(batch_rows, |rows| total_of(&of_batch(rows)));
    let takes = of_batch(rows);
    let total = total_of(&takes);
    // What is cut into parts is copied part by part.
    let copied = if columns.iter().any(Column::is_view) { total.min(2 * PART_BYTES) } else { 0 };
    hold(group, memory, total.saturating_add(copied), takes.into_iter().zip(columns.iter().map(|column| &column.name)).max())?;
    Ok(rows)
}

/// How many rows of a batch are read at once, given what so many take. Fewer help where values are large, and not where pages are: two rows
/// may lie in two of each column's.
fn rows_within(batch_rows: usize, of_batch: impl Fn(usize) -> usize) -> usize {
    let least = of_batch(2);
    let mut rows = batch_rows.max(1);
    while rows > 1 && of_batch(rows).saturating_sub(least) > BATCH_BYTES {
        rows /= 2;
    }
    rows
}

/// Holds so many bytes, most of them for a column.
fn hold(group: &RowGroup, memory: &Reservation, bytes: usize, most: Option<(usize, &String)>) -> Result<()> {
    memory.grow(bytes).map_err(|error| {
        let most = most
            .map_or_else(String::new, |(bytes, column)| format!(", of which the column `{column}` takes {}", shown::size(bytes as u64)));
        let what = format!("reading row group {} of {}, {} at once{most},", group.index + 1, group.file.shown, shown::size(bytes as u64));
        failed(&what, &error)
    })
}

/// The chunks of one row group, as the decoder asks for them.
struct Fetched {
    metadata: Arc<ParquetMetaData>,
    group: usize,
    chunks: Vec<(usize, Chunk)>,
}

impl RowGroups for Fetched {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> parquet::errors::Result<Box<dyn PageIterator>> {
        let chunk = self.chunks.iter().find(|(at, _)| *at == leaf).map(|(_, chunk)| chunk.clone());
        Ok(Box::new(OneChunk(Some(Pages::of(chunk.ok_or_else(super::pages::damage)?)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct OneChunk(Option<Pages>);

impl Iterator for OneChunk {
    type Item = parquet::errors::Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for OneChunk {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_short_where_values_are_large_and_not_where_pages_are() {
        const MIB: usize = 1 << 20;
        assert_eq!(rows_within(8192, |rows| rows * 100), 8192);
        assert_eq!(rows_within(8192, |rows| rows * MIB), 16);
        assert_eq!(rows_within(8192, |rows| rows * (1 << 30)), 2);
        // Forty columns whose pages are of a mebibyte and longer than a batch.
        assert_eq!(rows_within(8192, |rows| 40 * 2 * MIB + rows * 100), 8192);
        assert_eq!(rows_within(0, |_| 0), 1);
    }
}
