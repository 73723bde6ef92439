//! The leaves of a row group that are read: where their bytes are, and what they are read as.

use std::ops::Range;

use arrow::datatypes::DataType;
use parquet::basic::{ConvertedType, Type};
use parquet::file::metadata::ColumnChunkMetaData;

use super::damage::{DAMAGED, damaged};
use super::nested::with_leaves;
use super::pages::Chunk;
use super::{RowGroup, inflate};
use crate::error::Result;
use crate::ingest::nested::leaves::count;
use crate::shown;

const OUTSIDE: &str = "its footer names places that are not in it";
const ELSEWHERE: &str = "its columns are in other files";
const UNKNOWN_CODEC: &str = "it is packed in a way that is not read";
/// The message for a leaf with other rows than its row group.
pub const OTHER_ROWS: &str = "its pages do not have the rows that its footer declares";

/// A column of a row group that is read.
pub struct Column {
    /// Its column of the file.
    pub root: usize,
    /// Its place among all leaves.
    pub leaf: usize,
    /// Its name, for people.
    pub name: String,
    /// Where its bytes are.
    pub place: Range<u64>,
    /// Its values.
    pub chunk: Chunk,
    /// The type that it is stored as.
    pub physical_type: Type,
    /// The type that it is read as.
    pub read_as: DataType,
    /// Whether its texts may be read as numbers of the dictionary's.
    pub may_be_keyed: bool,
    /// Whether it is read as text without being declared as UTF-8.
    pub is_unchecked: bool,
    /// Whether it is a part of a nested column.
    pub is_nested: bool,
    /// How many values a row has on average, at least 1.
    pub a_row: usize,
    /// The bytes of each value of a fixed length.
    pub width: usize,
}

impl Column {
    /// A column that is not nested.
    pub fn new(group: &RowGroup, root: usize, takes_texts: bool) -> Result<Self> {
        let leaf = group.footer.leaf_of(root).ok_or_else(|| damaged(&group.file, DAMAGED))?;
        let held = group.footer.schema().field(root).data_type();
        Column::of(group, (root, leaf), held, takes_texts, false)
    }

    /// A leaf of a nested column.
    pub fn nested(group: &RowGroup, leaf: usize) -> Result<Self> {
        let root = group.footer.metadata().file_metadata().schema_descr().get_column_root_idx(leaf);
        let fields = group.footer.schema().fields();
        let mut next = fields[..root].iter().map(|field| count(field.data_type())).sum();
        let held = std::cell::RefCell::new(DataType::Null);
        with_leaves(fields[root].data_type(), &mut next, &|at, leaf_type| {
            if at == leaf {
                held.replace(leaf_type.clone());
            }
            DataType::Null
        });
        Column::of(group, (root, leaf), &held.into_inner(), false, true)
    }

    fn of(group: &RowGroup, (root, leaf): (usize, usize), held: &DataType, takes_texts: bool, is_nested: bool) -> Result<Self> {
        let metadata = group.footer.metadata();
        let field = group.footer.schema().field(root);
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
        let repeats = described.max_rep_level() > 0;
        let is_so_many = |values: &usize| if repeats { *values as u64 >= group.rows() } else { *values as u64 == group.rows() };
        let Some(values) = usize::try_from(chunk.num_values()).ok().filter(is_so_many) else {
            return refused(OTHER_ROWS);
        };
        let width = usize::try_from(described.type_length()).unwrap_or(0);
        let physical_type = described.physical_type();
        let is_text = physical_type == Type::BYTE_ARRAY;
        let read_as = match held {
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
            is_nested,
            a_row: values.div_ceil(usize::try_from(group.rows()).unwrap_or(usize::MAX).max(1)).max(1),
            is_unchecked: read_as == DataType::Utf8View && !is_utf8,
            chunk: Chunk { bytes: bytes::Bytes::new(), codec: chunk.compression(), may_miss, repeats, values, least_value_bytes },
            physical_type,
            read_as,
            width,
        })
    }

    /// Whether its values lie elsewhere.
    pub fn is_view(&self) -> bool {
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
