//! Edges from Arrow batches: pairs of identifiers seen together, kept as numbers beside their source and dates.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};

use super::intern::{Found, Interner, Rows, Side, Starts};
use super::known;
use super::rules::{Rules, is_blank};
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
    Joins,
    /// An identifier of it stands for nobody.
    Blocked,
    /// It was last seen too long ago.
    Expired,
    /// It ended before its identifier had its next owner.
    Transferred,
    /// An identifier of it has too many customers.
    Shared,
    /// With it a customer would have too many of a type.
    Pruned,
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

/// What the rows of a batch are that are no edges.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Rows that begin on the as-of day or later, and so do not exist yet.
    pub(super) later: u64,
    /// Rows with a blank where an identifier should be, by its type, if that is a declared one, and the number of the source.
    pub(super) blank: BTreeMap<(Option<u8>, u8), Blank>,
}

/// Blanks in the place of identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blank {
    /// How many.
    pub(super) rows: u64,
    /// When their rows were first and last seen; [`UNKNOWN`] where none says.
    pub(super) seen: Seen,
}

/// The first and the last of several times, some of which may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) first: i64,
    pub(super) last: i64,
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

impl Seen {
    /// Nothing is known.
    pub(super) const NEVER: Seen = Seen { first: UNKNOWN, last: UNKNOWN };

    /// Takes another time in. What is not known of one row leaves what the others say.
    pub(super) fn and(&mut self, first: i64, last: i64) {
        self.first = self.first.min(first);
        self.last = match (self.last, last) {
            (known, UNKNOWN) => known,
            (UNKNOWN, known) => known,
            (one, other) => one.max(other),
        };
    }
}

impl Aside {
    /// Takes in what another batch has.
    pub(super) fn and(&mut self, other: Aside) {
        self.later += other.later;
        for (key, more) in other.blank {
            let blank = self.blank.entry(key).or_insert(Blank { rows: 0, seen: Seen::NEVER });
            blank.rows += more.rows;
            blank.seen.and(more.seen.first, more.seen.last);
        }
    }
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

/// What was read of a batch: its edges, whose ends are not yet numbered, and the rows that are no edges.
pub(super) struct Read {
    pub(super) starts: Starts,
    pub(super) chunk: Chunk,
    pub(super) aside: Aside,
}

/// Reads a batch: collects its identifiers and gives the edges among them.
pub(super) fn read(rules: &Rules, interner: &Interner, sources: &Sources, batch: &RecordBatch) -> Result<Read> {
    let rows = batch.num_rows();
    let mut moments =
        Times { first: times(batch, "first_seen_at")?, last: times(batch, "last_seen_at")?, ended: times(batch, "ended_at")? };
    let exists = moments.as_of(rules.as_of_micros);
    let from = sources.numbers(&*texts(batch, "source")?, rows)?;
    let bits: Vec<u16> = from.iter().map(|source| known::bit(*source)).collect();
    let (one_type, one) = (texts(batch, "identifier_type")?, texts(batch, "identifier")?);
    let (other_type, other) = (texts(batch, "other_type")?, texts(batch, "other")?);
    let sides = [side(rules, "identifier_type", &one_type, &one, &exists)?, side(rules, "other_type", &other_type, &other, &exists)?];
    let mut aside = Aside { later: exists.iter().filter(|exists| !**exists).count() as u64, ..Aside::default() };
    for row in (0..rows).filter(|row| exists[*row]) {
        // Where a row has no other identifier and no type of one, it says that the first was seen, alone.
        let other_wanted = other_type.is_valid(row) || other.is_valid(row);
        for (names, side) in [(Some(&one_type), &sides[0]), (Some(&other_type).filter(|_| other_wanted), &sides[1])] {
            if let (Some(names), None) = (names, side.texts[row]) {
                let kind = names.is_valid(row).then(|| rules.type_of(names.value(row))).flatten();
                let blank = aside.blank.entry((kind, from[row])).or_insert(Blank { rows: 0, seen: Seen::NEVER });
                blank.rows += 1;
                blank.seen.and(moments.first[row], moments.last[row]);
            }
        }
    }
    let ties: Vec<bool> =
        (0..rows).map(|row| sides[0].texts[row].is_some() && sides[1].texts[row].is_some() && !same(&sides, row)).collect();
    let mut chunk = Chunk::with_capacity(rows);
    for row in (0..rows).filter(|row| ties[*row]) {
        let pair = [sides[0].kinds[row], sides[1].kinds[row]];
        let expired =
            |kind: u8| rules.rule(kind).valid_micros.is_some_and(|valid| moments.last[row] < rules.as_of_micros.saturating_sub(valid));
        if moments.ended[row] != UNKNOWN {
            chunk.ended.push((u32::try_from(chunk.kinds.len()).unwrap_or(u32::MAX), moments.ended[row]));
        }
        chunk.kinds.push(pair);
        chunk.sources.push(from[row]);
        chunk.first.push(moments.first[row]);
        chunk.last.push(moments.last[row]);
        chunk.verdicts.push(if pair.into_iter().any(expired) { Verdict::Expired } else { Verdict::Joins });
    }
    let (starts, ends) = interner.collect(rules, &Rows { sides, seen: &moments.first, sources: &bits, ties: &ties })?;
    Ok(Read { starts, chunk: Chunk { ends, ..chunk }, aside })
}

/// The times of the rows of a batch, each [`UNKNOWN`] where it is not said.
struct Times {
    first: Vec<i64>,
    last: Vec<i64>,
    ended: Vec<i64>,
}

impl Times {
    /// Makes them what they are as of a moment, and says which rows exist then: what begins then or later does not, what ends then or
    /// later has not ended, and what is seen until after it was last seen just before.
    fn as_of(&mut self, as_of: i64) -> Vec<bool> {
        let rows = self.first.iter().zip(&mut self.last).zip(&mut self.ended);
        rows.map(|((first, last), ended)| {
            if *ended >= as_of {
                *ended = UNKNOWN;
            }
            // What is not known of its end is that it has been seen at its beginning, and the other way round nothing is known.
            if *last == UNKNOWN {
                *last = *first;
            }
            let exists = *first == UNKNOWN || *first < as_of;
            if *last != UNKNOWN && *last >= as_of && exists {
                *last = as_of - 1;
            }
            exists
        })
        .collect()
    }
}

fn same(sides: &[Side<'_>; 2], row: usize) -> bool {
    sides[0].kinds[row] == sides[1].kinds[row] && sides[0].texts[row] == sides[1].texts[row]
}

/// The identifiers of one side, in the rows that exist.
fn side<'a>(rules: &Rules, column: &str, names: &StringArray, values: &'a StringArray, exists: &[bool]) -> Result<Side<'a>> {
    let texts: Vec<Option<&str>> =
        (0..values.len()).map(|row| text_at(values, row).filter(|_| exists[row] && names.is_valid(row))).collect();
    Ok(Side { kinds: kinds(rules, column, names, &texts)?, texts })
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
fn kinds(rules: &Rules, column: &str, names: &StringArray, values: &[Option<&str>]) -> Result<Vec<u8>> {
    let mut known: Option<(&str, u8)> = None;
    let mut kinds = vec![0; values.len()];
    for (row, kind) in kinds.iter_mut().enumerate().filter(|(row, _)| values[*row].is_some()) {
        let name = names.value(row);
        *kind = match known {
            Some((same, number)) if same == name => number,
            _ => rules.type_of(name).ok_or_else(|| undeclared(rules, column))?,
        };
        known = Some((name, *kind));
    }
    Ok(kinds)
}

/// The value is not told: a model that mixes up its columns gives one that may be a person's.
fn undeclared(rules: &Rules, column: &str) -> Error {
    let declared: Vec<&str> = rules.types.iter().map(|rule| rule.name.as_str()).collect();
    let message = Message::new(format!("the column `{column}` of `identity.edges` has a value that is no declared type"));
    Error::Refused(message.hint(format!("`identity.types` of the pipeline file declares {}", crate::diagnostic::list(&declared))))
}

fn text_at(texts: &StringArray, row: usize) -> Option<&str> {
    (texts.is_valid(row) && !is_blank(texts.value(row))).then(|| texts.value(row))
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
