//! Reads a row group batch by batch. What that takes is known from the headers of its pages before any is unpacked: it is held, or the file
//! is refused by name.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, FieldRef, Fields};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Type;
use parquet::column::page::{PageIterator, PageReader};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::RowGroup;
use super::damage::{DAMAGED, damaged, damaged_by, unharmed};
use super::leaf::{Column, OTHER_ROWS};
use super::nested::{Assembled, Rows, Unread, as_views};
use super::pages::{Chunk, Pages, Survey};
use super::texts::{Cut, PART_BYTES, Part};
use crate::engine::{Reservation, failed};
use crate::error::{Error, Message, Result};
use crate::ingest::column::ContractColumn;
use crate::ingest::contract::Contract;
use crate::shown;
use crate::storage::File;

/// What the values of one batch should take; a batch of fewer rows takes less.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// What a value takes beside its own bytes, as read and as checked.
const VALUE_BYTES: usize = 32;

/// Reads a row group batch by batch, with an array for every column of the contract that is needed.
pub struct Batches {
    reader: ParquetRecordBatchReader,
    file: Arc<File>,
    /// For every column of the contract its place in the batches.
    columns: Vec<Option<usize>>,
    /// The places whose texts nobody has looked at yet, whether they are UTF-8.
    unchecked: Vec<usize>,
    bytes: u64,
    /// The nested columns that are read, and where the columns of the file are in the batches.
    group: RowGroup,
    wanted: Vec<bool>,
    roots: Vec<usize>,
    /// Whether nested texts are there that nobody has looked at yet.
    has_unchecked_leaves: bool,
    assembled: Option<Assembled>,
    cut: Option<Cut>,
    /// What of the rows that are cut could not be taken out, and of which elements they are.
    of_cut: Rows,
    /// Where the rows that were given last begin among those that are cut, and how many they are.
    given: (usize, usize),
    /// How many rows of the file are before the batch, and how many it has.
    before: (u64, u64),
    /// Rows of the file without an element, where elements are rows.
    empty: u64,
    batch_rows: usize,
    /// What nested values of a batch have taken at most.
    nested_memory: Reservation,
    /// What all that takes.
    _memory: Reservation,
}

/// Where a row stands that was given last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowPlace {
    /// Its row in the row group, from 0.
    pub row: u64,
    /// Its place in the list, where elements are rows.
    pub element: Option<u32>,
}

impl Batches {
    /// Begins to read the columns that are asked for or can be at fault; if not all faults are told, those alone that can cost a row.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] when the file is damaged; also when what it takes does not fit, and as reading the store fails.
    pub async fn open(
        group: RowGroup,
        contract: &Contract,
        (projection, all_faults): (&[usize], bool),
        batch_rows: usize,
        memory: Reservation,
    ) -> Result<Self> {
        let needed = |(position, column): (usize, &ContractColumn)| {
            let at = group.positions[position]?;
            let field = group.footer.schema().field(at);
            let wanted = projection.contains(&position) || contract.always_reads(position);
            let is_told = all_faults || column.matters_to_rows();
            let may_fail = || column.can_fail(field.data_type(), group.may_have_nulls(at), group.range_of(at));
            (wanted || is_told && may_fail()).then_some(at)
        };
        let needed = contract.columns.iter().enumerate().map(needed).collect();
        let wanted = |(position, column): (usize, &ContractColumn)| {
            let is_asked = projection.contains(&position) || contract.always_reads(position);
            group.nested.columns[position].as_ref().is_some_and(|nested| is_asked || nested.can_fail(column))
        };
        let wanted = contract.columns.iter().enumerate().map(wanted).collect();
        Batches::new(group, contract, needed, wanted, batch_rows, memory).await
    }

    /// Begins to read every column.
    ///
    /// # Errors
    /// As [`Batches::open`].
    pub async fn whole(group: RowGroup, contract: &Contract, batch_rows: usize, memory: Reservation) -> Result<Self> {
        let needed = (0..contract.columns.len()).map(|position| group.positions[position]).collect();
        let wanted = group.nested.columns.iter().map(Option::is_some).collect();
        Batches::new(group, contract, needed, wanted, batch_rows, memory).await
    }

    /// `needed` is for every column of the contract its place in the file, if it is to be read, and `wanted` says which nested ones are.
    async fn new(
        group: RowGroup,
        contract: &Contract,
        needed: Vec<Option<usize>>,
        wanted: Vec<bool>,
        batch_rows: usize,
        memory: Reservation,
    ) -> Result<Self> {
        let mut leaves: BTreeSet<usize> = group.nested.each.iter().map(|each| each.leaf).collect();
        let mut flat: BTreeSet<usize> = needed.iter().flatten().copied().collect();
        let nested = group.nested.columns.iter().zip(&wanted).filter(|(_, wanted)| **wanted).filter_map(|(column, _)| column.as_ref());
        for place in nested.flat_map(|column| &column.places) {
            leaves.extend(&place.leaves);
            flat.extend(place.root.filter(|_| place.leaves.is_empty()));
        }
        let descriptor = group.footer.metadata().file_metadata().schema_descr();
        let roots: BTreeSet<usize> = flat.iter().copied().chain(leaves.iter().map(|leaf| descriptor.get_column_root_idx(*leaf))).collect();
        let roots: Vec<usize> = roots.into_iter().collect();
        let columns = needed.iter().map(|at| at.and_then(|at| roots.binary_search(&at).ok())).collect();
        let mut read = Vec::with_capacity(flat.len() + leaves.len());
        for &root in &flat {
            let takes_texts = contract.columns.iter().zip(&needed).all(|(column, at)| *at != Some(root) || column.takes_texts());
            read.push(Column::new(&group, root, takes_texts)?);
        }
        for &leaf in &leaves {
            read.push(Column::nested(&group, leaf)?);
        }
        let bytes = fetch(&group, &mut read, &memory).await?;
        let batch_rows = fit(&group, &mut read, batch_rows, &memory)?;
        let mut fields: Vec<FieldRef> = group.footer.schema().fields().iter().map(Arc::clone).collect();
        for column in &read {
            let read_as = if column.is_nested { as_views(fields[column.root].data_type()) } else { column.read_as.clone() };
            fields[column.root] = Arc::new(fields[column.root].as_ref().clone().with_data_type(read_as));
        }
        let place = |column: &Column| roots.binary_search(&column.root).ok();
        let unchecked = read.iter().filter(|column| column.is_unchecked && !column.is_nested).filter_map(place).collect();
        let has_unchecked_leaves = read.iter().any(|column| column.is_unchecked && column.is_nested);
        let metadata = Arc::clone(group.footer.metadata());
        let places: Vec<usize> = read.iter().map(|column| column.leaf).collect();
        let chunks = read.into_iter().map(|column| (column.leaf, column.chunk)).collect();
        let reader = unharmed(|| {
            let descriptor = metadata.file_metadata().schema_descr();
            let mask = ProjectionMask::leaves(descriptor, places);
            let levels = parquet_to_arrow_field_levels(descriptor, mask, Some(&Fields::from(fields)))?;
            let chunks = Fetched { metadata: Arc::clone(&metadata), group: group.index, chunks };
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &chunks, batch_rows, None)
        });
        let reader = reader.map_err(|why| damaged(&group.file, why))?;
        Ok(Batches {
            reader,
            file: Arc::clone(&group.file),
            columns,
            unchecked,
            bytes,
            group,
            wanted,
            roots,
            has_unchecked_leaves,
            assembled: None,
            cut: None,
            of_cut: Rows { columns: Vec::new(), rows: 0, unread: Vec::new(), elements: None },
            given: (0, 0),
            before: (0, 0),
            empty: 0,
            batch_rows,
            nested_memory: memory.another(),
            _memory: memory,
        })
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
                self.given = (self.given.0 + self.given.1, part.1);
                return Ok(Some(part));
            }
            let (group, wanted, rows) = (&self.group, &self.wanted, self.batch_rows);
            if let Some(assembled) = &mut self.assembled
                && let Some(mut rows) = assembled.next(&group.nested, wanted, rows).map_err(damage)?
            {
                self.cut = Some(Cut::of(std::mem::take(&mut rows.columns), rows.rows));
                (self.of_cut, self.given) = (rows, (0, 0));
                continue;
            }
            let reader = &mut self.reader;
            let Some(batch) = unharmed(|| reader.next().transpose()).map_err(|why| damaged(&self.file, why))? else { return Ok(None) };
            self.check_texts(&batch)?;
            self.before = (self.before.0 + self.before.1, batch.num_rows() as u64);
            let columns = self.columns.iter().map(|at| at.map(|at| Arc::clone(batch.column(at)))).collect();
            let root = |root: usize| self.roots.binary_search(&root).ok().map(|at| Arc::clone(batch.column(at)));
            let assembled = Assembled::of(&group.nested, wanted, columns, root, &batch).map_err(damage)?;
            self.hold_nested(&batch)?;
            if let Some(row) = assembled.overflows() {
                return Err(self.too_many_copies(self.before.0 + u64::from(row)));
            }
            self.empty += assembled.empty();
            self.assembled = Some(assembled);
        }
    }

    /// The refusal of a file with lists that each element of another list would have a copy of.
    fn too_many_copies(&self, row: u64) -> Error {
        let place = format!("row {} of row group {}", row + 1, self.group.index + 1);
        let what =
            format!("{}: each element of a long list would have a copy of another long list of its row, up to {place}", self.file.shown);
        Error::Refused(
            Message::new(what).hint("leave list columns that are not of the elements out of this source; another source can read them"),
        )
    }

    /// Counts what the nested values of a batch take, of which nobody knows before how many a row has.
    fn hold_nested(&self, batch: &RecordBatch) -> Result<()> {
        let nested = batch.columns().iter().filter(|array| array.data_type().is_nested());
        let bytes: usize = nested.map(Array::get_array_memory_size).sum();
        let held = if bytes == 0 { Ok(()) } else { self.nested_memory.reach(bytes) };
        held.map_err(|error| failed(&format!("nested values of row group {} of {}", self.group.index + 1, self.file.shown), &error))
    }

    /// What could not be taken out of the rows that were given last, by row and column of the contract, and why.
    pub fn unread(&self) -> Unread {
        let (first, count) = self.given;
        let of_part = self.of_cut.unread.iter().filter(|(row, ..)| (first..first + count).contains(row));
        of_part.map(|(row, column, reason)| (row - first, *column, *reason)).collect()
    }

    /// Where a row of those stands that were given last.
    pub fn place(&self, row: usize) -> RowPlace {
        let row = self.given.0 + row;
        match self.of_cut.elements.as_ref().and_then(|elements| elements.get(row)) {
            Some((parent, element)) => RowPlace { row: self.before.0 + u64::from(*parent), element: Some(*element) },
            None => RowPlace { row: self.before.0 + row as u64, element: None },
        }
    }

    /// How many rows of the file had no element so far, where elements are rows.
    pub fn without_rows(&self) -> u64 {
        self.empty
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
        let nested = || batch.columns().iter().filter(|array| array.data_type().is_nested());
        let is_text = !self.has_unchecked_leaves || nested().all(|array| is_text_throughout(&array.to_data()));
        if is_text { Ok(()) } else { Err(damaged(&self.file, DAMAGED)) }
    }
}

/// Whether all nested texts are UTF-8.
fn is_text_throughout(data: &ArrayData) -> bool {
    if data.data_type() == &DataType::Utf8View {
        let views = StringViewArray::from(data.clone()).to_binary_view();
        return (0..views.len()).all(|row| views.is_null(row) || std::str::from_utf8(views.value(row)).is_ok());
    }
    data.child_data().iter().all(is_text_throughout)
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
            let rows = rows.saturating_mul(column.a_row);
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
