//! Parquet extracts: columns are found by name, row groups are read one by one, and only needed columns are decoded.

mod batches;
mod damage;
mod delta;
mod footer;
mod header;
mod inflate;
mod leaf;
mod nested;
mod pages;
mod peek;
mod texts;
mod thrift;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::LogicalType;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

use super::column::ContractColumn;
use super::contract::Contract;
use super::extract::of_file;
use super::format;
use super::names;
use super::nested::NESTED;
use super::nested::leaves::Misfit;
use super::text::Blocks;
use super::ways::Way;
use damage::{DAMAGED, damaged, unharmed};

use crate::config::{ColumnType, SourceFormat};
use crate::diagnostic::list;
use crate::engine::Reservation;
use crate::error::{Error, Message, Result};
use crate::shown;
use crate::storage::File;

use nested::{EachList, Nested, Where};

pub use batches::{Batches, RowPlace};
pub use damage::is_decoding;
pub use peek::{Peeked, peek};
pub use texts::PART_BYTES;

/// Footers fetched at once.
const FOOTERS_AT_ONCE: usize = 16;

/// A row group of a Parquet file.
#[derive(Debug, Clone)]
pub struct RowGroup {
    /// The file.
    pub file: Arc<File>,
    /// The file's footer.
    pub footer: Arc<Footer>,
    /// Its place in the file.
    pub index: usize,
    /// The number of its first row in the file, from 1.
    pub first_row: u64,
    /// For every column of the contract its place in the file.
    pub positions: Arc<Vec<Option<usize>>>,
    /// Where the columns of the contract are that are nested in it.
    nested: Arc<Nested>,
}

/// What the end of a file says of it.
#[derive(Debug)]
pub struct Footer {
    arrow: ArrowReaderMetadata,
    /// For every column of the file the place of its values, if it is not nested.
    leaves: Vec<Option<usize>>,
}

impl Footer {
    fn new(arrow: ArrowReaderMetadata) -> Self {
        let descriptor = arrow.metadata().file_metadata().schema_descr();
        let mut leaves = vec![None; arrow.schema().fields().len()];
        for leaf in 0..descriptor.num_columns() {
            let root = descriptor.get_column_root_idx(leaf);
            let is_flat = descriptor.column(leaf).max_rep_level() == 0 && !arrow.schema().field(root).data_type().is_nested();
            leaves[root] = is_flat.then_some(leaf);
        }
        Footer { arrow, leaves }
    }

    /// The columns, by the types that they are read as.
    pub fn schema(&self) -> &SchemaRef {
        self.arrow.schema()
    }

    /// The footer as it stands in the file.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.arrow.metadata()
    }

    /// The place of a column's values; none when it is nested.
    pub fn leaf_of(&self, column: usize) -> Option<usize> {
        self.leaves.get(column).copied().flatten()
    }
}

impl RowGroup {
    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.footer.metadata().row_group(self.index).num_rows()).unwrap_or_default()
    }

    /// Columns of the contract that the file names in another case, each with the file's name.
    pub fn read_as<'a>(&'a self, contract: &'a Contract) -> impl Iterator<Item = (&'a str, &'a str)> {
        let fields = self.footer.schema().fields();
        let named = contract.columns.iter().zip(self.positions.iter()).filter_map(|(column, at)| Some((column, fields[(*at)?].name())));
        named.filter(|(column, name)| !column.names.contains(name)).map(|(column, name)| (column.name.as_str(), name.as_str()))
    }

    /// The bytes of the file that columns of the contract take, as it says.
    pub fn bytes_of(&self, columns: &[usize]) -> u64 {
        let mut leaves: Vec<usize> = columns.iter().filter_map(|&column| self.footer.leaf_of(self.positions[column]?)).collect();
        let nested = columns.iter().filter_map(|&column| self.nested.columns[column].as_ref());
        leaves.extend(nested.flat_map(|column| &column.places).flat_map(|place| self.leaves_of(place)));
        leaves.extend(self.nested.each.as_ref().map(|each| each.leaf));
        leaves.sort_unstable();
        leaves.dedup();
        let group = self.footer.metadata().row_group(self.index);
        leaves.into_iter().map(|leaf| group.column(leaf).compressed_size().unsigned_abs()).fold(0, u64::saturating_add)
    }

    /// More rows than it has for certain: elements, where these are rows.
    pub fn most_rows(&self) -> u64 {
        let chunk = |each: &nested::EachList| self.footer.metadata().row_group(self.index).column(each.leaf).num_values();
        self.nested.each.as_ref().map_or_else(|| self.rows(), |each| u64::try_from(chunk(each)).unwrap_or_default())
    }

    /// The leaves of a place: its own, or that of a column that is not nested.
    fn leaves_of(&self, place: &nested::NestedPlace) -> Vec<usize> {
        let flat = if place.leaves.is_empty() { place.root.and_then(|root| self.footer.leaf_of(root)) } else { None };
        place.leaves.iter().copied().chain(flat).collect()
    }

    fn chunk_of(&self, column: usize) -> Option<&ColumnChunkMetaData> {
        Some(self.footer.metadata().row_group(self.index).column(self.footer.leaf_of(column)?))
    }

    /// Whether a column of the contract is text that the file stores for every row, and not as keys.
    pub fn is_plain_text(&self, column: usize, schema: &Schema) -> bool {
        let Some(at) = self.positions[column] else { return false };
        let is_text = schema.field(column).data_type() == &DataType::Utf8 && self.footer.schema().field(at).data_type() == &DataType::Utf8;
        is_text && !self.chunk_of(at).is_some_and(is_keyed)
    }

    /// Whether values of a column may be missing; its statistics may know that none are.
    fn may_have_nulls(&self, column: usize) -> bool {
        let known = self.chunk_of(column).and_then(ColumnChunkMetaData::statistics);
        known.and_then(Statistics::null_count_opt) != Some(0)
    }

    /// The smallest and largest of a column's whole numbers as they are stored, if its statistics say so.
    fn range_of(&self, column: usize) -> Option<(i64, i64)> {
        match self.chunk_of(column)?.statistics()? {
            Statistics::Int32(known) => Some((i64::from(*known.min_opt()?), i64::from(*known.max_opt()?))),
            Statistics::Int64(known) => Some((*known.min_opt()?, *known.max_opt()?)),
            _ => None,
        }
    }
}

/// The row groups of some files, in order. What their footers take is held.
///
/// # Errors
/// [`Error::Refused`] when a file is no Parquet, is damaged, or lacks a column; also when a footer does not fit.
pub async fn row_groups(files: &[File], contract: &Contract, memory: Option<&Reservation>) -> Result<Vec<RowGroup>> {
    let footers = futures::stream::iter(files).map(|file| async move {
        let read = async {
            let footer = footer::read(file, memory).await?;
            unharmed(|| types::arrow_of(&footer).map(Footer::new)).map_err(|why| damaged(file, why))
        };
        let groups = match read.await {
            Ok(footer) => split(file, footer, contract),
            Err(Error::Refused(message)) => Err(instead(file).await.unwrap_or(Error::Refused(message))),
            Err(error) => Err(error),
        };
        groups.map_err(of_file(file))
    });
    Ok(footers.buffered(FOOTERS_AT_ONCE).try_collect::<Vec<_>>().await?.concat())
}

/// What a file is that is no Parquet, told from its first bytes.
async fn instead(file: &File) -> Option<Error> {
    let looked = Blocks::first_bytes(file, None).await.ok();
    let (head, foreign) = looked.filter(|(head, _)| !head.is_empty() && format::of_head(head) != SourceFormat::Parquet)?;
    let what = match (foreign, format::of_head(&head)) {
        (Some((what, _)), _) => what,
        (None, SourceFormat::Ndjson) => "text that looks like NDJSON",
        (None, _) => "text, perhaps CSV",
    };
    let message = Message::new(format!("{} is not readable as Parquet: it is {what}", file.shown));
    Some(Error::Refused(message.hint("correct the source's `location` or `format`, or have the file exported as Parquet")))
}

/// Refuses a file whose columns hold what can be none of their declared types.
fn refuse_misfits(file: &File, footer: &Footer, contract: &Contract, positions: &[Option<usize>], nested: &Nested) -> Result<()> {
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let is_uuid = |at: usize| footer.leaf_of(at).is_some_and(|leaf| descriptor.column(leaf).logical_type_ref() == Some(&LogicalType::Uuid));
    let mut message = Message::new(format!("{} does not fit its contract", file.shown));
    let mut hints = Vec::new();
    for (column, at) in contract.columns.iter().zip(positions).filter_map(|(column, at)| Some((column, (*at)?))) {
        let held = footer.schema().field(at).data_type();
        if column.column_type == ColumnType::String && is_uuid(at) {
            continue;
        }
        if let Err(hint) = column.fits(held) {
            let name = shown::column(footer.schema().field(at).name());
            message = message.detail(format!("the column `{name}` holds {}, which is no {}", in_words(held), column.type_in_words()));
            hints.push(hint);
        }
    }
    for (column, nested) in contract.columns.iter().zip(&nested.columns).filter_map(|(column, nested)| Some((column, nested.as_ref()?))) {
        for place in &nested.places {
            let is_uuid = column.column_type == ColumnType::String && is_uuid_leaf(footer, &place.leaves) && !place.held.is_nested();
            if let Err(hint) = if is_uuid { Ok(()) } else { column.fits(&place.held) } {
                let (name, held) = (shown::column(&place.name), in_words(&place.held));
                message = message.detail(format!("`{name}` holds {held}, which is no {}", column.type_in_words()));
                hints.push(hint);
            }
        }
    }
    hints.dedup();
    if hints.is_empty() { Ok(()) } else { Err(Error::Refused(message.hint(hints.join("; ")))) }
}

fn is_uuid_leaf(footer: &Footer, leaves: &std::collections::BTreeSet<usize>) -> bool {
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let is_uuid = |leaf: &usize| descriptor.column(*leaf).logical_type_ref() == Some(&LogicalType::Uuid);
    // The last leaf is the value: those before it tell entries apart.
    leaves.last().is_some_and(is_uuid)
}

/// Refuses a file in which the list is not whose elements are rows.
fn no_list(file: &File, contract: &Contract, misfit: Misfit) -> Error {
    let each = contract.each.as_ref().map_or("", |each| &each.shown);
    let what = match misfit {
        Misfit::Missing => format!("{} has no `{each}`", file.shown),
        Misfit::Shape(_) => format!("{}: `{each}` is no list of records or values", file.shown),
    };
    Error::Refused(Message::new(what).hint("`each` is the path of the list whose elements are rows: correct it, or leave it out"))
}

/// Refuses a file whose types a path does not fit.
fn wrong_path(file: &File, name: &str, reason: &str) -> Error {
    let (what, hint) = if reason == NESTED {
        (
            "leads into a list, and not to one of its elements",
            "name the element, as in `items[0].sku` or `items[key=text].value`, or say `each: items`",
        )
    } else {
        ("leads to an element of what is no list", "write a member with a full stop, as in `device.category`")
    };
    Error::Refused(Message::new(format!("{}: `{}` {what}", file.shown, shown::column(name))).hint(hint))
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

/// Whether a chunk seems to be stored as keys of a dictionary. Where a writer gave that up, because nearly every value differs, keys of at
/// most four bytes cannot be all that a value takes.
fn is_keyed(chunk: &ColumnChunkMetaData) -> bool {
    const KEY_BYTES: i64 = 4;
    chunk.dictionary_page_offset().is_some() && chunk.uncompressed_size() < chunk.num_values().saturating_mul(2 * KEY_BYTES)
}

fn split(file: &File, footer: Footer, contract: &Contract) -> Result<Vec<RowGroup>> {
    let schema = Arc::clone(footer.schema());
    let fields = schema.fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let mut places: HashMap<&str, (usize, bool)> = HashMap::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        places.entry(name).and_modify(|(_, is_twice)| *is_twice = true).or_insert((at, false));
    }
    let each = EachList::find(contract, footer.schema()).map_err(|misfit| no_list(file, contract, misfit))?;
    let (mut positions, mut nested) = (Vec::with_capacity(contract.columns.len()), Vec::with_capacity(contract.columns.len()));
    let of_file = |column: &ContractColumn| !column.ways.iter().any(Way::is_of_element);
    let names::Columns { places: found, alike } = names::find(&contract.columns, &names, &file.shown, of_file)?;
    for (at, column) in contract.columns.iter().enumerate() {
        let in_another_case = found[at].filter(|_| alike.contains(&at));
        let is_alike = |name: &str, place: &usize| names::fold(name) == names::fold(names[*place]);
        let position = |name: &str| places.get(name).map(|(at, _)| *at).or(in_another_case.filter(|place| is_alike(name, place)));
        let (position, places) = match nested::find(column, position, each.as_ref(), footer.schema()) {
            Where::Flat(at) => (Some(at), None),
            Where::Nested(places) => (None, Some(places)),
            Where::Nowhere => (None, None),
            Where::Misfit(name, reason) => return Err(wrong_path(file, &name, reason)),
        };
        positions.push(position);
        nested.push(places);
    }
    let nested = Nested { columns: nested, each };
    let is_there: Vec<bool> = positions.iter().zip(&nested.columns).map(|(flat, nested)| flat.is_some() || nested.is_some()).collect();
    refuse_missing(file, contract, &is_there, &names)?;
    let is_twice = |name: &&str| places.get(name).is_some_and(|(_, is_twice)| *is_twice);
    let roots = contract.columns.iter().flat_map(|column| &column.ways).filter_map(Way::root);
    let plain = contract.columns.iter().flat_map(|column| &column.names).map(String::as_str);
    if let Some(twice) = plain.chain(roots).find(is_twice) {
        let message = Message::new(format!("{} has two columns called `{twice}`", file.shown));
        return Err(Error::Refused(message.hint("have the file exported with one of them, or with names of their own")));
    }
    let read_as: Vec<usize> = alike.iter().filter_map(|column| positions[*column]).collect();
    let others: Vec<&str> = names.iter().enumerate().filter(|(at, _)| !read_as.contains(at)).map(|(_, name)| *name).collect();
    contract.refuse_unknown(&file.shown, &others)?;
    refuse_misfits(file, &footer, contract, &positions, &nested)?;
    let (file, footer, positions, nested) = (Arc::new(file.clone()), Arc::new(footer), Arc::new(positions), Arc::new(nested));
    let mut first_row = 1_u64;
    let mut groups = Vec::with_capacity(footer.metadata().num_row_groups());
    for (index, group) in footer.metadata().row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).ok().and_then(|rows| first_row.checked_add(rows));
        let Some(next_row) = rows.filter(|next| i64::try_from(*next).is_ok()) else { return Err(damaged(&file, DAMAGED)) };
        let (file, footer, positions, nested) = (Arc::clone(&file), Arc::clone(&footer), Arc::clone(&positions), Arc::clone(&nested));
        groups.push(RowGroup { file, footer, index, first_row, positions, nested });
        first_row = next_row;
    }
    Ok(groups)
}

/// Refuses a file that lacks columns.
fn refuse_missing(file: &File, contract: &Contract, is_there: &[bool], names: &[&str]) -> Result<()> {
    let missing = |(column, is_there): (&ContractColumn, &bool)| (!is_there && !column.optional).then(|| column.in_files().to_owned());
    let missing: Vec<String> = contract.columns.iter().zip(is_there).filter_map(missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    let mut message =
        Message::new(format!("{} lacks {}", file.shown, list(&missing))).detail(format!("it has {}", list(&shown::names(names))));
    message.details.extend(format::key_in_path(&file.shown, &missing));
    Err(Error::Refused(message.hint("correct `from` in the contract, or say `optional: true` where a file may lack the column")))
}
