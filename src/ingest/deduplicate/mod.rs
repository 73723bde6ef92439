//! Of rows with an equal key the latest is kept; of equally late ones the one whose values sort last, whatever the files' order, but
//! with the answer of whoever said no to being written to.
//!
//! Rows are not held for that. A first scan gives a fingerprint of each key, with the row's time and place; only where several rows of a
//! key are equally late are their values looked at, by scans of their own.

mod deleted;
mod fingerprints;
mod keys;
mod measure;
mod places;

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher as _;
use tokio::task::JoinSet;

use super::changes::Operation;
use super::column::Answer;
use super::contract::Contract;
use crate::engine::Engine;
use fingerprints::{Entry, Fingerprints, Keep};
use keys::Keys;
use measure::Measure;
use places::{Answers, Places};

pub use places::{MAX_PIECES, Place, Superseded};

/// The column that tells where rows stand.
const PLACE: &str = "segmill place";
/// The column of the fingerprint of a key, in two halves.
const KEY: [&str; 2] = ["segmill key 1", "segmill key 2"];

/// The rows of a source that break no rule, which can be read several times.
pub trait PlacedRows: Sync {
    /// The rows, in several streams: some columns of the contract, with texts, and last where each row stands, [`PLACE`].
    ///
    /// # Errors
    /// As DataFusion fails.
    fn placed(&self, columns: &[usize]) -> Result<Vec<SendableRecordBatchStream>>;
}

/// The schema of [`PlacedRows::placed`].
pub fn placed_schema(contract: &Contract, columns: &[usize]) -> Result<SchemaRef> {
    let columns = contract.schema.project(columns)?;
    let place = Field::new(PLACE, DataType::UInt64, false);
    Ok(Arc::new(Schema::new(columns.fields().iter().cloned().chain([Arc::new(place)]).collect::<Vec<_>>())))
}

/// A batch of [`PlacedRows::placed`], of rows that stand one behind the other.
///
/// # Errors
/// When the batch has other columns.
pub fn placed_batch(schema: &SchemaRef, rows: &RecordBatch, first: Place) -> Result<RecordBatch> {
    let places = UInt64Array::from_iter_values(first.0..first.0 + rows.num_rows() as u64);
    let arrays = rows.columns().iter().cloned().chain([Arc::new(places) as ArrayRef]).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
}

/// Finds the rows that another row of the same key supersedes, by all columns of the contract, whichever are read. The secret of the
/// fingerprints is made from `seed`.
///
/// # Errors
/// As reading fails, and when the memory limit does not allow the fingerprints.
pub async fn superseded(engine: &Engine, contract: &Arc<Contract>, rows: &dyn PlacedRows, seed: [u8; 16]) -> Result<Superseded> {
    let mut found = Superseded { held: Some(engine.reservation()), ..Superseded::default() };
    if contract.key.is_empty() {
        return Ok(found);
    }
    let scan = Scans { engine, contract, rows, unique: contract.unique(), seed };
    let Latest { tied, deletes } = scan.latest(&mut found).await?;
    if tied.count() > 0 {
        // Rows that are equal are one, and it does not matter which.
        let differing = scan.unlike(Arc::new(tied), &mut found).await?;
        if differing.count() > 0 {
            scan.decide(Arc::new(differing), &mut found).await?;
        }
    }
    scan.delete(deletes, &mut found).await?;
    Ok(found)
}

/// Rows that are held, all of the columns of the contract.
struct Given<'a> {
    contract: &'a Contract,
    rows: RecordBatch,
}

impl PlacedRows for Given<'_> {
    fn placed(&self, columns: &[usize]) -> Result<Vec<SendableRecordBatchStream>> {
        let schema = placed_schema(self.contract, columns)?;
        let batch = placed_batch(&schema, &self.rows.project(columns)?, Place::of(0, 0))?;
        Ok(vec![Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)])))])
    }
}

/// Rows that are held, with all columns of the contract, without those that another row of the same key supersedes.
///
/// # Errors
/// When there is no room for what has to be remembered.
pub async fn latest_of(engine: &Engine, contract: &Arc<Contract>, rows: RecordBatch) -> Result<RecordBatch> {
    let all: Vec<usize> = (0..contract.width()).collect();
    let superseded = superseded(engine, contract, &Given { contract, rows: rows.clone() }, [0; 16]).await?;
    superseded.applied(engine.dictionary(), &all, Place::of(0, 0), rows)
}

/// What the first scans find.
struct Latest {
    /// The rows that are the latest of their key, where these are several.
    tied: Places,
    /// The rows that delete their key.
    deletes: Places,
}

/// What one scan finds of all rows, or of some, beside the rows that are left out.
#[derive(Default)]
struct Seen {
    deletes: Places,
    befores: Places,
    /// What these take more.
    bytes: usize,
    /// Whether a row has no key.
    has_nameless: bool,
}

impl Seen {
    fn note(&mut self, keys: &[Option<u128>], places: &UInt64Array, operation: impl Fn(usize) -> Option<Operation>) {
        for (row, key) in keys.iter().enumerate() {
            let place = Place(places.value(row));
            self.has_nameless |= key.is_none();
            self.bytes += match operation(row) {
                Some(Operation::Delete) => self.deletes.insert(place),
                Some(Operation::Before) => self.befores.insert(place),
                Some(Operation::Set) | None => 0,
            };
        }
    }
}

/// Scans of a source that find out which rows stay.
struct Scans<'a> {
    engine: &'a Engine,
    contract: &'a Arc<Contract>,
    rows: &'a dyn PlacedRows,
    /// The columns that no two rows shall have alike.
    unique: Vec<usize>,
    seed: [u8; 16],
}

impl Scans<'_> {
    /// Goes over all rows, on all threads.
    async fn each(&self, columns: &[usize], each: impl Fn(&RecordBatch, &UInt64Array) -> Result<()> + Send + Sync + 'static) -> Result<()> {
        let each = Arc::new(each);
        let mut tasks = JoinSet::new();
        for mut rows in self.rows.placed(columns)? {
            let each = Arc::clone(&each);
            tasks.spawn(async move {
                while let Some(batch) = rows.try_next().await? {
                    let places = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>().clone();
                    each(&batch, &places)?;
                }
                Ok::<_, DataFusionError>(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| DataFusionError::External(Box::new(error)))??;
        }
        Ok(())
    }

    /// Drops the rows of a key that are not its latest, by one measure after the other as long as several rows are equal in those before.
    async fn latest(&self, found: &mut Superseded) -> Result<Latest> {
        let (mut tied, mut deletes) = (None, Places::default());
        for (number, measure) in Measure::all(self.contract).into_iter().enumerate() {
            let (still_tied, seen) = self.greatest(measure, tied.map(Arc::new), found).await?;
            if number == 0 {
                found.is_key = !seen.has_nameless;
                deletes = seen.deletes;
            }
            let is_decided = still_tied.count() == 0;
            tied = Some(still_tied);
            if is_decided {
                break;
            }
        }
        Ok(Latest { tied: tied.unwrap_or_default(), deletes })
    }

    /// Of the rows of a key, all or some, drops those that are less than the greatest by a measure; the others of which there are several.
    async fn greatest(&self, measure: Measure, among: Option<Arc<Places>>, found: &mut Superseded) -> Result<(Places, Seen)> {
        let is_first = among.is_none();
        let changes = self.contract.changes.as_ref().filter(|_| is_first);
        let of_measure = measure.column().map(|_| self.unique.len());
        let of_operation = changes.map(|_| self.unique.len() + of_measure.iter().count());
        let columns: Vec<usize> =
            self.unique.iter().copied().chain(measure.column()).chain(changes.map(|changes| changes.operation)).collect();
        let fingerprints = Arc::new(Fingerprints::new(self.engine, Keep::Greatest));
        let keys = Keys::of(self.contract, self.unique.clone(), self.seed)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (adding, seeing, contract) = (Arc::clone(&fingerprints), Arc::clone(&seen), Arc::clone(self.contract));
        self.each(&columns, move |batch, places| {
            let some = among.as_ref().map(|among| at_places(batch, places, among)).transpose()?;
            let (batch, places) = match &some {
                Some(Some((batch, places))) => (batch, places),
                Some(None) => return Ok(()),
                None => (batch, places),
            };
            let of_rows = keys.of_batch(batch)?;
            let numbers = measure.numbers(&contract, of_measure.map(|at| batch.column(at)), batch.num_rows())?;
            let operations = of_operation.zip(contract.changes.as_ref()).map(|(at, changes)| changes.operations(batch.column(at)));
            let operation = |row: usize| operations.as_ref().and_then(|operations| operations.get(row).copied().flatten());
            let entry = |(row, key): (usize, &Option<u128>)| {
                let is_change = operation(row) != Some(Operation::Before);
                key.filter(|_| is_change).map(|key| Entry { key, detail: numbers[row], place: Place(places.value(row)) })
            };
            let entries: Vec<Entry> = of_rows.iter().enumerate().filter_map(entry).collect();
            if entries.len() < batch.num_rows() || operations.is_some() {
                seeing.lock().unwrap_or_else(PoisonError::into_inner).note(&of_rows, places, operation);
            }
            adding.add(&entries)
        })
        .await?;
        // Only the latest of a key are left, so several are equally late.
        let mut tied = Places::default();
        let held = found.held.get_or_insert_with(|| self.engine.reservation());
        let earlier =
            only(fingerprints)?.repeated(|of_key| held.grow(of_key.iter().map(|entry| tied.insert(entry.place)).sum::<usize>()))?;
        held.grow(found.dropped.join(earlier))?;
        let mut seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        held.grow(seen.bytes + found.dropped.join(std::mem::take(&mut seen.befores)))?;
        Ok((tied, seen))
    }

    /// Of rows that are equally late, drops all but one of those that are equal; the rows that are left of keys of which there are several.
    async fn unlike(&self, tied: Arc<Places>, found: &mut Superseded) -> Result<Places> {
        let fingerprints = Arc::new(Fingerprints::new(self.engine, Keep::OneOfEach));
        let keys = Keys::of(self.contract, self.unique.clone(), self.seed)?;
        let columns: Vec<usize> = (0..self.contract.width()).collect();
        let (count, unique) = (columns.len(), self.unique.clone());
        let values = converter(&placed_schema(self.contract, &columns)?, count)?;
        let (adding, seed) = (Arc::clone(&fingerprints), self.seed);
        self.each(&columns, move |batch, places| {
            let Some((batch, places)) = at_places(batch, places, &tied)? else { return Ok(()) };
            let of_rows = keys.of_batch(&batch.project(&unique)?)?;
            let rows = values.convert_columns(&batch.columns()[..count])?;
            let detail = |row: usize| {
                let mut hasher = SipHasher13::new_with_key(&seed);
                hasher.write(rows.row(row).as_ref());
                hasher.finish128().h1
            };
            let entry = |(row, key): (usize, Option<u128>)| Some(Entry { key: key?, detail: detail(row), place: Place(places.value(row)) });
            adding.add(&of_rows.into_iter().enumerate().filter_map(entry).collect::<Vec<_>>())
        })
        .await?;
        // Of equal rows one is left, so several differ.
        let mut differing = Places::default();
        let held = found.held.get_or_insert_with(|| self.engine.reservation());
        let equal =
            only(fingerprints)?.repeated(|of_key| held.grow(of_key.iter().map(|entry| differing.insert(entry.place)).sum::<usize>()))?;
        held.grow(found.dropped.join(equal))?;
        Ok(differing)
    }

    /// Of rows that are equally late and differ, drops all but the one that sorts last, and gives that the weightiest answers: of each
    /// column the no wins, and what cannot be read, which may be one, wins over a yes.
    async fn decide(&self, differing: Arc<Places>, found: &mut Superseded) -> Result<()> {
        const ROWS: &str = "segmill equally late rows";
        let columns: Vec<usize> = (0..self.contract.width()).collect();
        let keys = Keys::of(self.contract, self.unique.clone(), self.seed)?;
        let placed = placed_schema(self.contract, &columns)?;
        let with_keys = KEY.map(|name| Arc::new(Field::new(name, DataType::UInt64, false)));
        let schema = Arc::new(Schema::new(placed.fields().iter().cloned().chain(with_keys).collect::<Vec<_>>()));
        let table = self.engine.empty_table(Arc::clone(&schema));
        let (filling, unique) = (Arc::clone(&table), self.unique.clone());
        self.each(&columns, move |batch, places| {
            let Some((batch, _)) = at_places(batch, places, &differing)? else { return Ok(()) };
            let of_rows = keys.of_batch(&batch.project(&unique)?)?;
            let half = |high: bool| {
                let of = |key: &Option<u128>| key.map_or(0, |key| if high { upper(key) } else { lower(key) });
                Arc::new(of_rows.iter().map(of).collect::<UInt64Array>()) as ArrayRef
            };
            let arrays = batch.columns().iter().cloned().chain([half(true), half(false)]).collect();
            filling.push(RecordBatch::try_new(Arc::clone(&schema), arrays)?)
        })
        .await?;
        self.engine.register_materialised(&format!("\"{ROWS}\""), table).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let by_values = columns.iter().map(|&at| self.contract.columns[at].name.as_str());
        let order = KEY.into_iter().chain(by_values).map(|name| ident(name).sort(true, true)).collect();
        let frame = self.engine.context().table(datafusion::common::TableReference::bare(ROWS)).await?.sort(order)?;
        let mut sorted = self.engine.stream(frame).await?;
        let mut deciding = Deciding::new(self.contract, &columns);
        while let Some(batch) = sorted.try_next().await? {
            deciding.add(&batch, found)?;
        }
        deciding.end(found)?;
        self.engine.forget(&format!("\"{ROWS}\""));
        found.answers = deciding.answers.arrays()?;
        Ok(())
    }
}

/// Decides between the rows of one key after the other, which come in order of their values.
struct Deciding<'a> {
    contract: &'a Contract,
    /// The columns that give answers, by their place in the batches and in the contract.
    consents: Vec<(usize, usize)>,
    columns: usize,
    key: Option<[u64; 2]>,
    /// The last row of the key, and for every such column its answer, and the weightiest with its value.
    last: Option<Place>,
    given: Vec<Option<Answer>>,
    weightiest: Vec<Option<(Option<Answer>, ScalarValue)>>,
    answers: Answers,
}

impl<'a> Deciding<'a> {
    fn new(contract: &'a Contract, columns: &[usize]) -> Self {
        let consents = columns.iter().enumerate().filter(|(_, column)| contract.columns[**column].is_consent());
        let consents: Vec<_> = consents.map(|(at, column)| (at, *column)).collect();
        let (given, weightiest) = (vec![None; consents.len()], vec![None; consents.len()]);
        Deciding { contract, consents, columns: columns.len(), key: None, last: None, given, weightiest, answers: Answers::default() }
    }

    fn add(&mut self, batch: &RecordBatch, found: &mut Superseded) -> Result<()> {
        let halves = [1, 2].map(|at| batch.column(self.columns + at).as_primitive::<UInt64Type>());
        let places = batch.column(self.columns).as_primitive::<UInt64Type>();
        for row in 0..batch.num_rows() {
            let key = halves.map(|half| half.value(row));
            if self.key != Some(key) {
                self.end(found)?;
                self.key = Some(key);
            }
            let more = self.last.map_or(0, |before| found.dropped.insert(before));
            if let Some(held) = &found.held {
                held.grow(more)?;
            }
            self.last = Some(Place(places.value(row)));
            for (number, &(at, column)) in self.consents.iter().enumerate() {
                let answer = self.contract.columns[column].answer(batch.column(at), row);
                self.given[number] = answer;
                if self.weightiest[number].as_ref().is_none_or(|(before, _)| answer >= *before) {
                    self.weightiest[number] = Some((answer, ScalarValue::try_from_array(batch.column(at), row)?));
                }
            }
        }
        Ok(())
    }

    /// Ends the rows of a key.
    fn end(&mut self, found: &mut Superseded) -> Result<()> {
        let Some(place) = self.last.take() else { return Ok(()) };
        for (number, &(_, column)) in self.consents.iter().enumerate() {
            let given = self.given[number].take();
            if let Some((answer, value)) = self.weightiest[number].take().filter(|(answer, _)| *answer > given) {
                if let Some(held) = &found.held {
                    held.grow(size_of::<(Place, ScalarValue)>() + value.size())?;
                }
                debug_assert!(answer.is_some());
                self.answers.add(column, place, value);
            }
        }
        Ok(())
    }
}

/// The rows of a batch that are at some places, with these; none when there are none.
fn at_places(batch: &RecordBatch, places: &UInt64Array, wanted: &Places) -> Result<Option<(RecordBatch, UInt64Array)>> {
    let keep: arrow::array::BooleanArray = places.values().iter().map(|place| Some(wanted.has(Place(*place)))).collect();
    if keep.true_count() == 0 {
        return Ok(None);
    }
    let batch = filter_record_batch(batch, &keep)?;
    let places = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>().clone();
    Ok(Some((batch, places)))
}

/// Encodes the first columns of a schema as bytes that are equal where the values are.
fn converter(schema: &SchemaRef, columns: usize) -> Result<RowConverter> {
    let fields = schema.fields().iter().take(columns).map(|field| SortField::new(field.data_type().clone()));
    Ok(RowConverter::new(fields.collect())?)
}

fn upper(key: u128) -> u64 {
    u64::try_from(key >> 64).unwrap_or_default()
}

fn lower(key: u128) -> u64 {
    u64::try_from(key & u128::from(u64::MAX)).unwrap_or_default()
}

/// What all threads have let go of.
fn only(fingerprints: Arc<Fingerprints>) -> Result<Fingerprints> {
    Arc::into_inner(fingerprints).ok_or_else(|| DataFusionError::Internal("fingerprints are still added".to_owned()))
}
