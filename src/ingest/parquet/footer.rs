//! Verifies the footer of a Parquet file before it is decoded, so that what it declares is there and fits the memory limit.

use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};

use super::damage::{DAMAGED, damaged, unharmed};
use super::thrift::{Thrift, kind};
use crate::engine::{Reservation, failed};
use crate::error::{Error, Message, Result};
use crate::storage::File;

/// Bytes of a file's end that are fetched at once: most footers are shorter.
const END_BYTES: u64 = 64 * 1024;
/// The bytes behind a footer that say how long it is.
const TAIL_BYTES: usize = 8;
/// The longest footer.
const MAX_FOOTER_BYTES: usize = 256 * 1024 * 1024;
/// The most row groups of a file, which Parquet numbers with 16 bits.
const MAX_ROW_GROUPS: usize = 32_767;
/// How deep columns may be nested.
const MAX_NESTING: usize = 64;

/// What the decoded footer takes for every column, for every row group, for every chunk in one, and for every byte.
const COLUMN_BYTES: usize = 768;
const GROUP_BYTES: usize = 256;
const CHUNK_BYTES: usize = 640;
const TIMES_ITS_BYTES: usize = 3;

const TOO_SHORT: &str = "it ends too early";
const TOO_LONG: &str = "its footer is longer than 256 MiB";
const ENCRYPTED: &str = "it is encrypted";

/// Reads the footer of a file, and holds what it takes.
///
/// # Errors
/// [`crate::error::Error::Refused`] when it is damaged; also when what it takes does not fit.
pub async fn read(file: &File, memory: Option<&Reservation>) -> Result<Arc<ParquetMetaData>> {
    let size = file.meta.size;
    if size < TAIL_BYTES as u64 {
        return Err(damaged(file, TOO_SHORT));
    }
    let end = file.read(size.saturating_sub(END_BYTES)..size).await?;
    let Some((before, tail)) = end.split_last_chunk::<TAIL_BYTES>() else { return Err(damaged(file, TOO_SHORT)) };
    let tail = FooterTail::try_new(tail).map_err(|_| damaged(file, TOO_SHORT))?;
    if tail.is_encrypted_footer() {
        return Err(damaged(file, ENCRYPTED));
    }
    let length = tail.metadata_length();
    if length > MAX_FOOTER_BYTES {
        return Err(damaged(file, TOO_LONG));
    }
    let footer = if length <= before.len() {
        Bytes::copy_from_slice(&before[before.len() - length..])
    } else {
        let behind = size - TAIL_BYTES as u64;
        let begin = behind.checked_sub(length as u64).ok_or_else(|| damaged(file, TOO_SHORT))?;
        hold(file, memory, length)?;
        file.read(begin..behind).await?
    };
    let found = survey(&footer).ok_or_else(|| damaged(file, DAMAGED))?;
    if found.groups > MAX_ROW_GROUPS {
        let message = Message::new(format!("{} has {} row groups, and {MAX_ROW_GROUPS} at most are read", file.shown, found.groups));
        return Err(Error::Refused(message.hint("have it written with more rows to a row group")));
    }
    hold(file, memory, found.bytes.saturating_add(footer.len().saturating_mul(TIMES_ITS_BYTES)))?;
    let decoded = unharmed(|| ParquetMetaDataReader::decode_metadata(&footer)).map_err(|why| damaged(file, why))?;
    Ok(Arc::new(decoded))
}

fn hold(file: &File, memory: Option<&Reservation>, bytes: usize) -> Result<()> {
    memory.map_or(Ok(()), |memory| memory.grow(bytes)).map_err(|error| failed(&format!("the footer of {}", file.shown), &error))
}

/// What a field of a structure holds.
#[derive(Clone, Copy)]
enum Shape {
    /// A value of this type.
    Is(u8),
    /// A truth.
    Truth,
    /// A list of values of this type.
    ListOf(u8),
    /// A structure whose fields are known.
    Struct(&'static [(i16, Shape)]),
    /// A list of such structures, and what each takes.
    Structs(&'static [(i16, Shape)], usize),
    /// The row groups.
    Groups,
    /// The columns, nested ones before those in them.
    Columns,
}

use Shape::{Columns, Groups, Is, ListOf, Struct, Structs, Truth};

/// The structures of `parquet.thrift` as far as decoders look into them. A field of another type than it is declared with is damage.
const FILE: &[(i16, Shape)] = &[
    (1, Is(kind::I32)),
    (2, Columns),
    (3, Is(kind::I64)),
    (4, Groups),
    (5, Structs(KEY_VALUE, 0)),
    (6, Is(kind::BINARY)),
    (7, ListOf(kind::STRUCT)),
    (8, Is(kind::STRUCT)),
    (9, Is(kind::BINARY)),
];
const COLUMN: &[(i16, Shape)] = &[
    (1, Is(kind::I32)),
    (2, Is(kind::I32)),
    (3, Is(kind::I32)),
    (4, Is(kind::BINARY)),
    (5, Is(kind::I32)),
    (6, Is(kind::I32)),
    (7, Is(kind::I32)),
    (8, Is(kind::I32)),
    (9, Is(kind::I32)),
    (10, Struct(MEANING)),
];
const MEANING: &[(i16, Shape)] = &[
    (5, Struct(&[(1, Is(kind::I32)), (2, Is(kind::I32))])),
    (7, Struct(TIME)),
    (8, Struct(TIME)),
    (10, Struct(&[(1, Is(kind::BYTE)), (2, Truth)])),
    (16, Struct(&[(1, Is(kind::BYTE))])),
    (17, Struct(&[(1, Is(kind::BINARY))])),
    (18, Struct(&[(1, Is(kind::BINARY)), (2, Is(kind::I32))])),
];
const TIME: &[(i16, Shape)] = &[(1, Truth), (2, Is(kind::STRUCT))];
const KEY_VALUE: &[(i16, Shape)] = &[(1, Is(kind::BINARY)), (2, Is(kind::BINARY))];
const ROW_GROUP: &[(i16, Shape)] = &[
    (1, Structs(CHUNK, CHUNK_BYTES)),
    (2, Is(kind::I64)),
    (3, Is(kind::I64)),
    (4, Structs(&[(1, Is(kind::I32)), (2, Truth), (3, Truth)], 0)),
    (5, Is(kind::I64)),
    (6, Is(kind::I64)),
    (7, Is(kind::I16)),
];
const CHUNK: &[(i16, Shape)] = &[
    (1, Is(kind::BINARY)),
    (2, Is(kind::I64)),
    (3, Struct(CHUNK_META)),
    (4, Is(kind::I64)),
    (5, Is(kind::I32)),
    (6, Is(kind::I64)),
    (7, Is(kind::I32)),
    (8, Is(kind::STRUCT)),
    (9, Is(kind::BINARY)),
];
const CHUNK_META: &[(i16, Shape)] = &[
    (1, Is(kind::I32)),
    (2, ListOf(kind::I32)),
    (3, ListOf(kind::BINARY)),
    (4, Is(kind::I32)),
    (5, Is(kind::I64)),
    (6, Is(kind::I64)),
    (7, Is(kind::I64)),
    (8, Structs(KEY_VALUE, 0)),
    (9, Is(kind::I64)),
    (10, Is(kind::I64)),
    (11, Is(kind::I64)),
    (12, Struct(STATISTICS)),
    (13, Structs(ENCODING_STATS, 0)),
    (14, Is(kind::I64)),
    (15, Is(kind::I32)),
    (16, Struct(SIZES)),
    (17, Is(kind::STRUCT)),
];
const STATISTICS: &[(i16, Shape)] = &[
    (1, Is(kind::BINARY)),
    (2, Is(kind::BINARY)),
    (3, Is(kind::I64)),
    (4, Is(kind::I64)),
    (5, Is(kind::BINARY)),
    (6, Is(kind::BINARY)),
    (7, Truth),
    (8, Truth),
];
const ENCODING_STATS: &[(i16, Shape)] = &[(1, Is(kind::I32)), (2, Is(kind::I32)), (3, Is(kind::I32))];
const SIZES: &[(i16, Shape)] = &[(1, Is(kind::I64)), (2, ListOf(kind::I64)), (3, ListOf(kind::I64))];

/// What a footer comes to.
#[derive(Default)]
struct Extent {
    /// The row groups.
    groups: usize,
    /// What its columns, row groups and chunks take.
    bytes: usize,
}

/// Verifies a footer; none when something in it is not as declared.
fn survey(footer: &[u8]) -> Option<Extent> {
    let mut found = Extent::default();
    over(&mut Thrift::new(footer), FILE, &mut found)?;
    Some(found)
}

fn over(thrift: &mut Thrift<'_>, shape: &[(i16, Shape)], found: &mut Extent) -> Option<()> {
    let mut before = 0;
    while let Some((id, held)) = thrift.field(before)? {
        before = id;
        match shape.iter().find(|(known, _)| *known == id).map(|(_, shape)| *shape) {
            None => thrift.skip(held)?,
            Some(Truth) => matches!(held, kind::TRUE | kind::FALSE).then_some(())?,
            Some(Is(wanted)) => (wanted == held).then(|| thrift.skip(held))??,
            Some(Struct(fields)) => (held == kind::STRUCT).then(|| over(thrift, fields, found))??,
            Some(ListOf(wanted)) => {
                for _ in 0..list_of(thrift, held, wanted)? {
                    thrift.skip(wanted)?;
                }
            }
            Some(Structs(fields, each)) => {
                for _ in 0..list_of(thrift, held, kind::STRUCT)? {
                    found.bytes = found.bytes.saturating_add(each);
                    over(thrift, fields, found)?;
                }
            }
            Some(Groups) => {
                found.groups = list_of(thrift, held, kind::STRUCT)?;
                for _ in 0..found.groups {
                    found.bytes = found.bytes.saturating_add(GROUP_BYTES);
                    over(thrift, ROW_GROUP, found)?;
                }
            }
            Some(Columns) => columns(thrift, held, found)?,
        }
    }
    Some(())
}

/// The size of a list, if it is one of this type. Some writers give an empty list no type.
fn list_of(thrift: &mut Thrift<'_>, held: u8, wanted: u8) -> Option<usize> {
    let (of, size) = (held == kind::LIST).then(|| thrift.list())??;
    (of == wanted || (of == 0 && size == 0)).then_some(size)
}

/// Goes over the columns, of which those that are nested say how many follow that lie in them.
fn columns(thrift: &mut Thrift<'_>, held: u8, found: &mut Extent) -> Option<()> {
    let size = list_of(thrift, held, kind::STRUCT)?;
    let mut open: Vec<usize> = Vec::new();
    for _ in 0..size {
        let children = column(thrift, found)?;
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        if open.len() > MAX_NESTING || children > size {
            return None;
        }
    }
    open.is_empty().then_some(())
}

/// Goes over a column: how many lie in it.
fn column(thrift: &mut Thrift<'_>, found: &mut Extent) -> Option<usize> {
    const NUM_CHILDREN: i16 = 5;
    found.bytes = found.bytes.saturating_add(COLUMN_BYTES);
    let (mut before, mut children) = (0, 0);
    while let Some((id, held)) = thrift.field(before)? {
        before = id;
        match COLUMN.iter().find(|(known, _)| *known == id) {
            Some((NUM_CHILDREN, _)) if held == kind::I32 => children = usize::try_from(thrift.signed_32()?).ok()?,
            Some((_, Is(wanted))) if *wanted != held => return None,
            Some((_, Struct(fields))) => (held == kind::STRUCT).then(|| over(thrift, fields, found))??,
            _ => thrift.skip(held)?,
        }
    }
    Some(children)
}
