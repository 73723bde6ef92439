//! What the predecessor publication says of segments, read in order of customer beside the profile.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, SchemaRef};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::names::Names;
use super::stay::{Stay, days, state_schema};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::segments::CUSTOMER_ID;

/// A customer of the predecessor publication whose id has become an alias since.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The id that ended.
    pub id: String,
    /// What is remembered of its segments.
    pub stays: Vec<Stay>,
}

/// What is known of the time before, beside what is read in order.
#[derive(Debug, Default)]
pub struct Before {
    /// The day of the predecessor publication, since 1970.
    pub as_of: i32,
    /// By id of today: those that have become its aliases since, in order.
    pub ended: HashMap<String, Vec<Ended>>,
    /// The ids that have ended.
    pub ended_ids: BTreeSet<String>,
    /// Customers of today who were a part of another one.
    pub split: BTreeSet<String>,
}

impl Before {
    /// The time before, of which nothing is known but who has become whose alias.
    pub fn new(as_of: i32, merged: &[(String, String)], split: BTreeSet<String>) -> Self {
        let ended_ids = merged.iter().map(|(alias, _)| alias.clone()).collect();
        Before { as_of, ended: HashMap::new(), ended_ids, split }
    }

    /// Takes from the state what is remembered of ids that have ended.
    ///
    /// # Errors
    /// As [`Reader::up_to`].
    pub async fn take_ended(
        &mut self,
        names: &Names,
        merged: &[(String, String)],
        mut rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<()> {
        let into: HashMap<&str, &str> = merged.iter().map(|(alias, customer)| (alias.as_str(), customer.as_str())).collect();
        let mut found: HashMap<String, Vec<Stay>> = HashMap::new();
        while let Some(batch) = rows.try_next().await? {
            let columns = Columns::of(&batch)?;
            for row in (0..batch.num_rows()).filter(|row| into.contains_key(columns.ids.value(*row))) {
                let stays = found.entry(columns.ids.value(row).to_owned()).or_default();
                columns.read(names, row..row + 1, stays)?;
            }
        }
        for id in &self.ended_ids {
            if let (Some(stays), Some(customer)) = (found.remove(id), into.get(id.as_str())) {
                self.ended.entry((*customer).to_owned()).or_default().push(Ended { id: id.clone(), stays });
            }
        }
        Ok(())
    }
}

/// Reads the state in order of customer.
pub struct Reader {
    rows: BoxStream<'static, Result<RecordBatch>>,
    waiting: Option<RecordBatch>,
    last: String,
    /// The columns that it has; none before something was read whose columns nobody knows before.
    schema: Option<SchemaRef>,
}

impl Reader {
    /// A reader of which nothing has been read.
    pub fn new(rows: BoxStream<'static, Result<RecordBatch>>) -> Self {
        Reader { rows, waiting: None, last: String::new(), schema: Some(state_schema()) }
    }

    /// A reader of rows of any columns, one of which names the customer.
    pub fn of_any(rows: BoxStream<'static, Result<RecordBatch>>) -> Self {
        Reader { rows, waiting: None, last: String::new(), schema: None }
    }

    /// A reader of no rows.
    pub fn empty() -> Self {
        Reader::new(futures::stream::empty().boxed())
    }

    /// The rows that are left of customers up to one.
    ///
    /// # Errors
    /// As reading fails; [`Error::Project`] for rows that are not those of a state.
    pub async fn up_to(&mut self, id: &str) -> Result<RecordBatch> {
        let mut taken = Vec::new();
        while let Some(batch) = self.next().await? {
            let count = {
                let ids = texts(&batch, CUSTOMER_ID)?;
                (0..ids.len()).take_while(|row| ids.value(*row) <= id).count()
            };
            taken.push(batch.slice(0, count));
            if count < batch.num_rows() {
                self.waiting = Some(batch.slice(count, batch.num_rows() - count));
                break;
            }
        }
        match taken.as_slice() {
            [one] => Ok(one.clone()),
            several => {
                let schema = self.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()));
                concat_batches(&schema, several).map_err(|_| unfit())
            }
        }
    }

    /// The next rows that are left, if there are any.
    ///
    /// # Errors
    /// As [`Reader::up_to`].
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        let Some(batch) = self.rows.try_next().await? else { return Ok(None) };
        let schema = Arc::clone(self.schema.get_or_insert_with(|| as_texts(&batch.schema())));
        let batch = fitting(&batch, &schema)?;
        let ids = texts(&batch, CUSTOMER_ID)?;
        let mut last = self.last.as_str();
        for id in ids.iter().flatten() {
            if id < last {
                return Err(unfit());
            }
            last = id;
        }
        let last = last.to_owned();
        self.last = last;
        Ok(Some(batch))
    }
}

/// Rows of the state by column.
pub(super) struct Columns {
    pub(super) ids: StringArray,
    sets: StringArray,
    segments: StringArray,
    since: ArrayRef,
    left_on: ArrayRef,
    entered: ArrayRef,
    previous: StringArray,
}

impl Columns {
    pub(super) fn of(rows: &RecordBatch) -> Result<Self> {
        let column = |name: &str| rows.column_by_name(name).cloned().ok_or_else(unfit);
        let text = |name: &str| -> Result<StringArray> {
            let cast = cast(&column(name)?, &DataType::Utf8).map_err(|_| unfit())?;
            Ok(cast.as_string::<i32>().clone())
        };
        let typed = |name: &str, data_type: DataType| Ok::<_, Error>(column(name)?).map(|found| (found.data_type() == &data_type, found));
        let (days_fit, since) = typed("member_since", DataType::Date32)?;
        let (left_fits, left_on) = typed("left_on", DataType::Date32)?;
        let (entered_fits, entered) = typed("times_entered", DataType::Int64)?;
        let ids = text(CUSTOMER_ID)?;
        if !(days_fit && left_fits && entered_fits) || ids.null_count() > 0 || entered.null_count() > 0 {
            return Err(unfit());
        }
        Ok(Columns {
            ids,
            sets: text("segment_set")?,
            segments: text("segment")?,
            since,
            left_on,
            entered,
            previous: text("previous_segment")?,
        })
    }

    /// Adds what some rows of one customer remember to `stays`.
    pub(super) fn read(&self, names: &Names, rows: Range<usize>, stays: &mut Vec<Stay>) -> Result<()> {
        let day = |days: &ArrayRef, row: usize| days.is_valid(row).then(|| days.as_primitive::<Date32Type>().value(row));
        for row in rows.filter(|row| self.sets.is_valid(*row) && self.segments.is_valid(*row)) {
            let set = self.sets.value(row);
            let previous = self.previous.is_valid(row).then(|| names.number(set, self.previous.value(row))).transpose()?;
            let stay = Stay {
                segment: names.number(set, self.segments.value(row))?,
                since: day(&self.since, row),
                left_on: day(&self.left_on, row),
                entered: u32::try_from(self.entered.as_primitive::<Int64Type>().value(row)).map_err(|_| unfit())?,
                previous,
            };
            match stays.iter_mut().find(|known| known.segment == stay.segment) {
                Some(known) => *known = known.and(stay),
                None => stays.push(stay),
            }
        }
        Ok(())
    }
}

/// A row of the state.
#[derive(Debug, Clone)]
pub struct Remains {
    /// The customer.
    pub customer_id: String,
    /// The set and the segment; none for a customer who has been in none.
    pub segment: Option<(String, String)>,
    /// Since when the customer is a member.
    pub since: Option<i32>,
    /// When the stay before that ended.
    pub left_on: Option<i32>,
    /// How often the customer has entered.
    pub entered: i64,
    /// The segment in which the customer was before.
    pub previous: Option<String>,
}

/// A state with some rows.
///
/// # Errors
/// [`Error::Defect`] alone.
pub fn state_batch(rows: &[Remains]) -> Result<RecordBatch> {
    let texts = |text: &dyn Fn(usize) -> Option<String>| Arc::new((0..rows.len()).map(text).collect::<StringArray>()) as ArrayRef;
    let columns = vec![
        texts(&|at| Some(rows[at].customer_id.clone())),
        texts(&|at| rows[at].segment.as_ref().map(|(set, _)| set.clone())),
        texts(&|at| rows[at].segment.as_ref().map(|(_, segment)| segment.clone())),
        days(rows.iter().map(|row| row.since)),
        days(rows.iter().map(|row| row.left_on)),
        Arc::new(rows.iter().map(|row| Some(row.entered)).collect::<Int64Array>()),
        texts(&|at| rows[at].previous.clone()),
    ];
    RecordBatch::try_new(state_schema(), columns).map_err(|error| super::stay::defect(&error))
}

/// Rows in the columns of a schema.
fn fitting(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| {
        let found = rows.column_by_name(field.name()).ok_or_else(unfit)?;
        cast(found, field.data_type()).map_err(|_| unfit())
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|_| unfit())
}

/// A schema in which customers are named by plain texts.
fn as_texts(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.name().as_str() {
        CUSTOMER_ID => Field::new(CUSTOMER_ID, DataType::Utf8, true),
        _ => field.as_ref().clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(unfit)
}

pub(super) fn unfit() -> Error {
    Diagnostic::error("unfit-memory", "the memory of segments of the publication before this one is none that this Segmill can read")
        .hint("publish that day again with `--force`: its memory is made anew")
        .into()
}
