//! Edges from Arrow batches: pairs of identifiers seen together, kept as numbers beside their source and dates.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt32Type};
use datafusion::error::DataFusionError;

use super::intern::{Found, Interner, Rows, Side, Starts};
use super::rules::Rules;
use crate::engine::{CODE, CodeSet, Dictionary, failed};
use crate::error::{Error, Message, Result};

/// The bit of a source, given its number.
pub(super) fn bit(source: u8) -> u16 {
    1 << usize::from(source).min(BITS - 1)
}

/// Bits that tell sources apart beside an identifier. With more sources the last bit stands for several.
pub(super) const BITS: usize = 16;

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
    /// It ended before its identifier passed to another owner.
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
    fn numbers(&self, dictionary: &Dictionary, named: &Texts) -> Result<Vec<u8>> {
        let mut numbers: Memo<u8> = Memo::default();
        let number = |code: Option<u32>| match code {
            Some(code) => numbers.of(code, |code| self.number(&text(dictionary, code)?)),
            None => self.number("unknown"),
        };
        named.visible().map(number).collect()
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
    let mut moments =
        Times { first: times(batch, "first_seen_at")?, last: times(batch, "last_seen_at")?, ended: times(batch, "ended_at")? };
    let exists = moments.as_of(rules.as_of_micros);
    let dictionary = interner.dictionary();
    let columns = |name| codes(dictionary, batch, name);
    let [source, one_type, one] = [columns("source")?, columns("identifier_type")?, columns("identifier")?];
    let [other_type, other] = [columns("other_type")?, columns("other")?];
    let blanks = dictionary.blanks();
    let texts = |codes| Texts { codes, blanks: &blanks };
    let from = sources.numbers(dictionary, &texts(source))?;
    let bits: Vec<u16> = from.iter().map(|source| bit(*source)).collect();
    let mut types = Types { rules, dictionary, known: Memo::default() };
    let (one, other) = (texts(one), texts(other));
    let sides = [types.side("identifier_type", &one_type, &one, &exists)?, types.side("other_type", &other_type, &other, &exists)?];
    let mut aside = Aside { later: exists.iter().filter(|exists| !**exists).count() as u64, ..Aside::default() };
    for row in (0..batch.num_rows()).filter(|row| exists[*row]) {
        // Where a row has no other identifier and no type of one, it says that the first was seen, alone.
        let other_wanted = other_type.is_valid(row) || other.codes.is_valid(row);
        for (names, side) in [(Some(&one_type), &sides[0]), (Some(&other_type).filter(|_| other_wanted), &sides[1])] {
            if let (Some(names), None) = (names, side.codes[row]) {
                let kind = if names.is_valid(row) { types.of(names.value(row))? } else { None };
                let blank = aside.blank.entry((kind, from[row])).or_insert(Blank { rows: 0, seen: Seen::NEVER });
                blank.rows += 1;
                blank.seen.and(moments.first[row], moments.last[row]);
            }
        }
    }
    let is_edge = |row: usize| sides.iter().all(|side| side.codes[row].is_some()) && !same(&sides, row);
    let are_edges: Vec<bool> = (0..batch.num_rows()).map(is_edge).collect();
    let chunk = Chunk::of(rules, &sides, &are_edges, &from, &moments);
    let (starts, ends) = interner.collect(rules, &Rows { sides, seen: &moments.first, sources: &bits, are_edges: &are_edges })?;
    Ok(Read { starts, chunk: Chunk { ends, ..chunk }, aside })
}

/// A column of codes, and the codes of blank texts.
struct Texts<'a> {
    codes: UInt32Array,
    blanks: &'a CodeSet,
}

impl Texts<'_> {
    /// The code of the text of each row; none if it is null or blank.
    fn visible(&self) -> impl Iterator<Item = Option<u32>> {
        self.codes.iter().map(|code| code.filter(|code| !self.blanks.contains(code)))
    }
}

/// Results by code. Often a code is that of the row before.
struct Memo<T> {
    last: Option<(u32, T)>,
    known: HashMap<u32, T>,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Memo { last: None, known: HashMap::new() }
    }
}

impl<T: Copy> Memo<T> {
    fn of(&mut self, code: u32, find: impl FnOnce(u32) -> Result<T>) -> Result<T> {
        if let Some((_, found)) = self.last.filter(|(last, _)| *last == code) {
            return Ok(found);
        }
        let found = match self.known.get(&code) {
            Some(found) => *found,
            None => find(code)?,
        };
        self.known.insert(code, found);
        self.last = Some((code, found));
        Ok(found)
    }
}

/// The declared types of identifiers by the codes of their names.
struct Types<'a> {
    rules: &'a Rules,
    dictionary: &'a Dictionary,
    known: Memo<Option<u8>>,
}

impl Types<'_> {
    fn of(&mut self, code: u32) -> Result<Option<u8>> {
        let (rules, dictionary) = (self.rules, self.dictionary);
        self.known.of(code, |code| Ok(rules.type_of(&text(dictionary, code)?)))
    }

    /// The identifiers of one side of the edges, in the rows that exist.
    fn side(&mut self, column: &str, names: &UInt32Array, texts: &Texts<'_>, exists: &[bool]) -> Result<Side> {
        let (mut kinds, mut codes) = (vec![0; exists.len()], vec![None; exists.len()]);
        for (row, code) in texts.visible().enumerate() {
            if let (Some(code), true, true) = (code, exists[row], names.is_valid(row)) {
                kinds[row] = self.of(names.value(row))?.ok_or_else(|| undeclared(self.rules, column))?;
                codes[row] = Some(code);
            }
        }
        Ok(Side { kinds, codes })
    }
}

fn text(dictionary: &Dictionary, code: u32) -> Result<String> {
    dictionary.look_at(code, str::to_owned).map_err(|error| failed("the identity step", &error))
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

fn same(sides: &[Side; 2], row: usize) -> bool {
    sides[0].kinds[row] == sides[1].kinds[row] && sides[0].codes[row] == sides[1].codes[row]
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

    /// The edges of the rows that are edges. Their ends are not looked up yet.
    fn of(rules: &Rules, sides: &[Side; 2], are_edges: &[bool], from: &[u8], moments: &Times) -> Self {
        let mut chunk = Chunk {
            ends: Vec::new(),
            kinds: Vec::with_capacity(are_edges.len()),
            sources: Vec::with_capacity(are_edges.len()),
            first: Vec::with_capacity(are_edges.len()),
            last: Vec::with_capacity(are_edges.len()),
            ended: Vec::new(),
            verdicts: Vec::with_capacity(are_edges.len()),
        };
        for row in (0..are_edges.len()).filter(|row| are_edges[*row]) {
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
        chunk
    }
}

/// The value is not told: a model that mixes up its columns gives one that may be a person's.
fn undeclared(rules: &Rules, column: &str) -> Error {
    let declared: Vec<&str> = rules.types.iter().map(|rule| rule.name.as_str()).collect();
    let message = Message::new(format!("the column `{column}` of `identity.edges` has a value that is no declared type"));
    Error::Refused(message.hint(format!("`identity.types` of the pipeline file declares {}", crate::diagnostic::list(&declared))))
}

/// A column of texts as codes. It may have codes already.
fn codes(dictionary: &Dictionary, batch: &RecordBatch, name: &str) -> Result<UInt32Array> {
    let column = column(batch, name)?;
    let failed = |error: DataFusionError| failed("the identity step", &error);
    let codes = match column.data_type() {
        &CODE => Arc::clone(column),
        DataType::Null => Arc::new(UInt32Array::new_null(column.len())),
        _ => dictionary.encode(column).map_err(failed)?,
    };
    Ok(codes.as_primitive::<UInt32Type>().clone())
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
