//! Edges from Arrow batches: pairs of identifiers seen together, kept as numbers beside their source and dates.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};

use super::intern::{Found, Interner, Rows, Side, Starts};
use super::known;
use super::rules::Rules;
use crate::error::{Error, Message, Result};

/// When nothing is known of a time: later than all others, so that what is known counts.
pub(super) const UNKNOWN: i64 = i64::MAX;
/// How many sources edges may come from: a source is kept in one byte.
const MAX_SOURCES: usize = 255;

/// What became of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Verdict {
    /// It makes its two identifiers one customer's.
    Ties,
    /// An identifier of it stands for nobody.
    Blocked,
    /// It was last seen too long ago.
    Expired,
    /// It ended before its identifier passed to another holder.
    PassedOn,
    /// An identifier of it has too many holders.
    Shared,
    /// With it a customer would have too many of a type.
    Cut,
}

/// The edges of a batch, column by column.
pub(super) struct Chunk {
    /// The shards of the identifiers until all are numbered.
    pub(super) ends: Vec<[u32; 2]>,
    pub(super) kinds: Vec<[u8; 2]>,
    pub(super) sources: Vec<u8>,
    pub(super) first: Vec<i64>,
    pub(super) last: Vec<i64>,
    /// Edges that have ended, by position, and when. Few have.
    pub(super) ended: Vec<(u32, i64)>,
    pub(super) verdicts: Vec<Verdict>,
}

/// The names of the sources that edges come from; those of the trust order first.
#[derive(Debug)]
pub(super) struct Sources {
    names: Mutex<Vec<String>>,
}

/// The columns of `identity.edges`. Where `other` is null, the row says that the identifier was seen, alone.
pub fn edges_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Arc::new(Schema::new(vec![
        text("identifier_type", false),
        text("identifier", false),
        text("other_type", true),
        text("other", true),
        text("source", false),
        time("first_seen_at"),
        time("last_seen_at"),
        time("ended_at"),
    ]))
}

impl Sources {
    pub(super) fn new(rules: &Rules) -> Self {
        Sources { names: Mutex::new(rules.trust.clone()) }
    }

    /// The number of each row's source.
    fn numbers(&self, named: &StringArray, rows: usize) -> Result<Vec<u8>> {
        let mut known: Option<(&str, u8)> = None;
        let mut numbers = Vec::with_capacity(rows);
        for row in 0..rows {
            let name = text_at(named, row).unwrap_or("unknown");
            let number = match known {
                Some((same, number)) if same == name => number,
                _ => self.number(name)?,
            };
            known = Some((name, number));
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn number(&self, name: &str) -> Result<u8> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        let number = u8::try_from(at).ok().filter(|at| usize::from(*at) < MAX_SOURCES);
        number.ok_or_else(|| Error::Refused(Message::new(format!("`identity.edges` names more than {MAX_SOURCES} sources"))))
    }

    pub(super) fn finish(self) -> Vec<String> {
        self.names.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a batch: collects its identifiers and gives the edges among them, whose ends are not yet numbered.
pub(super) fn read(rules: &Rules, interner: &Interner, sources: &Sources, batch: &RecordBatch) -> Result<(Starts, Chunk)> {
    let rows = batch.num_rows();
    let first = times(batch, "first_seen_at")?;
    let last = times(batch, "last_seen_at")?;
    let ended = times(batch, "ended_at")?;
    let from = sources.numbers(&*texts(batch, "source")?, rows)?;
    let bits: Vec<u16> = from.iter().map(|source| known::bit(*source)).collect();
    let (one_type, one) = (texts(batch, "identifier_type")?, texts(batch, "identifier")?);
    let (other_type, other) = (texts(batch, "other_type")?, texts(batch, "other")?);
    let sides = [side(rules, &one_type, &one)?, side(rules, &other_type, &other)?];
    let ties: Vec<bool> =
        (0..rows).map(|row| sides[0].texts[row].is_some() && sides[1].texts[row].is_some() && !same(&sides, row)).collect();
    let mut chunk = Chunk::with_capacity(rows);
    for row in (0..rows).filter(|row| ties[*row]) {
        let pair = [sides[0].kinds[row], sides[1].kinds[row]];
        // What is not known of its end is that it has been seen at its beginning.
        let seen_last = if last[row] == UNKNOWN { first[row] } else { last[row] };
        let expired = |kind: u8| rules.rule(kind).valid_micros.is_some_and(|valid| seen_last < rules.as_of_micros.saturating_sub(valid));
        if ended[row] != UNKNOWN {
            chunk.ended.push((u32::try_from(chunk.kinds.len()).unwrap_or(u32::MAX), ended[row]));
        }
        chunk.kinds.push(pair);
        chunk.sources.push(from[row]);
        chunk.first.push(first[row]);
        chunk.last.push(seen_last);
        chunk.verdicts.push(if pair.into_iter().any(expired) { Verdict::Expired } else { Verdict::Ties });
    }
    let (starts, ends) = interner.collect(rules, &Rows { sides, seen: &first, sources: &bits, ties: &ties })?;
    Ok((starts, Chunk { ends, ..chunk }))
}

fn same(sides: &[Side<'_>; 2], row: usize) -> bool {
    sides[0].kinds[row] == sides[1].kinds[row] && sides[0].texts[row] == sides[1].texts[row]
}

/// The identifiers of one side.
fn side<'a>(rules: &Rules, names: &StringArray, values: &'a StringArray) -> Result<Side<'a>> {
    let texts: Vec<Option<&str>> = (0..values.len()).map(|row| text_at(values, row).filter(|_| names.is_valid(row))).collect();
    Ok(Side { kinds: kinds(rules, names, &texts)?, texts })
}

impl Chunk {
    /// What an edge takes.
    pub(super) const BYTES_OF_ONE: usize =
        size_of::<[u32; 2]>() + size_of::<[u8; 2]>() + size_of::<u8>() + 2 * size_of::<i64>() + size_of::<Verdict>();

    /// Numbers its ends.
    pub(super) fn number(&mut self, starts: &Starts, found: &Found) {
        for blocked in found.number(starts, &mut self.ends) {
            self.verdicts[blocked] = Verdict::Blocked;
        }
    }

    fn with_capacity(rows: usize) -> Self {
        Chunk {
            ends: Vec::new(),
            kinds: Vec::with_capacity(rows),
            sources: Vec::with_capacity(rows),
            first: Vec::with_capacity(rows),
            last: Vec::with_capacity(rows),
            ended: Vec::new(),
            verdicts: Vec::with_capacity(rows),
        }
    }
}

/// The type of each row's identifier.
fn kinds(rules: &Rules, names: &StringArray, values: &[Option<&str>]) -> Result<Vec<u8>> {
    let mut known: Option<(&str, u8)> = None;
    let mut kinds = vec![0; values.len()];
    for (row, kind) in kinds.iter_mut().enumerate().filter(|(row, _)| values[*row].is_some()) {
        let name = names.value(row);
        *kind = match known {
            Some((same, number)) if same == name => number,
            _ => rules.type_of(name).ok_or_else(|| undeclared(rules, name))?,
        };
        known = Some((name, *kind));
    }
    Ok(kinds)
}

/// The longest name of a type that is repeated, in bytes.
const LONGEST_WORD: usize = 32;

/// A type is named if it is a word as types are; what else stands in its place may come from the data, and is not repeated.
fn undeclared(rules: &Rules, name: &str) -> Error {
    let declared: Vec<&str> = rules.types.iter().map(|rule| rule.name.as_str()).collect();
    let is_word = name.len() <= LONGEST_WORD && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let message = Message::new(if is_word {
        format!("`identity.edges` gives identifiers of the type `{name}`, which is not declared")
    } else {
        "`identity.edges` gives identifiers of a type that is not declared".to_owned()
    });
    Error::Refused(message.hint(format!("`identity.types` of the pipeline file declares {}", crate::diagnostic::list(&declared))))
}

fn text_at(texts: &StringArray, row: usize) -> Option<&str> {
    (texts.is_valid(row) && !texts.value(row).is_empty()).then(|| texts.value(row))
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<Cow<'a, StringArray>> {
    let column = column(batch, name)?;
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Ok(Cow::Borrowed(texts));
    }
    let texts = cast(column, &DataType::Utf8)
        .map_err(|error| Error::defect(format!("`identity.edges`: {}", crate::sql::discreet(&error.into()))))?;
    Ok(Cow::Owned(texts.as_string::<i32>().clone()))
}

/// Microseconds since 1970; the largest number where there is none.
fn times(batch: &RecordBatch, name: &str) -> Result<Vec<i64>> {
    let wanted = DataType::Timestamp(TimeUnit::Microsecond, None);
    let moments = cast(column(batch, name)?, &wanted)
        .map_err(|error| Error::defect(format!("`identity.edges`: {}", crate::sql::discreet(&error.into()))))?;
    let moments = moments.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>();
    Ok((0..moments.len()).map(|row| if moments.is_valid(row) { moments.value(row) } else { UNKNOWN }).collect())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::defect(format!("`identity.edges` lost its column `{name}`")))
}
