//! The purchase histories that a prediction reads, of which every row must make sense.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type};

use crate::config::Prediction;
use crate::engine::Reservation;
use crate::error::{Error, Message, Result};
use crate::predict::{History, Spender, Watched};

/// The columns that a prediction reads, and their table.
#[derive(Debug, Clone)]
pub struct Columns {
    pub table: String,
    pub customer: String,
    repeats: String,
    last: String,
    observed: String,
    pub average: Option<String>,
    dates: Option<String>,
}

impl Columns {
    /// The columns that a prediction names.
    pub fn of(prediction: &Prediction) -> Self {
        let columns = &prediction.columns;
        Columns {
            table: prediction.model.value.clone(),
            customer: columns.customer.value.clone(),
            repeats: columns.repeat_purchases.value.clone(),
            last: columns.days_to_last_purchase.value.clone(),
            observed: columns.days_observed.value.clone(),
            average: columns.average_order_value.as_ref().map(|column| column.value.clone()),
            dates: columns.purchase_dates.as_ref().map(|column| column.value.clone()),
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    NoCustomer,
    Twice,
    Repeats,
    Last,
    Observed,
    AfterEnd,
    SameDay,
    LastWithoutRepeat,
    Average,
    Dates,
}

impl Fault {
    /// As the end of a sentence that begins with the number of rows.
    fn told(self, columns: &Columns) -> String {
        let Columns { customer, repeats, last, observed, average, dates, .. } = columns;
        let (average, dates) = (average.as_deref().unwrap_or_default(), dates.as_deref().unwrap_or_default());
        match self {
            Fault::NoCustomer => format!("without a customer in `{customer}`"),
            Fault::Twice => format!("of a customer who has a row already (`{customer}`)"),
            Fault::Repeats => format!("where `{repeats}` is null, negative or too large"),
            Fault::Last => format!("where `{last}` is null, negative or not a number"),
            Fault::Observed => format!("where `{observed}` is null, negative or not a number"),
            Fault::AfterEnd => format!("with a last purchase after the end of observation (`{last}` is more than `{observed}`)"),
            Fault::SameDay => format!("with repeat purchases on the day of the first one (`{repeats}` is more than 0, `{last}` is 0)"),
            Fault::LastWithoutRepeat => {
                format!("with a later last purchase but no repeat purchase (`{repeats}` is 0, `{last}` is more than 0)")
            }
            Fault::Average => format!("with repeat purchases where `{average}` is null, not a number or not more than 0"),
            Fault::Dates => format!("where the dates of `{dates}` are not those that the other columns count"),
        }
    }
}

/// The histories, in order of customer.
pub struct Histories {
    columns: Columns,
    holdout_days: Option<u32>,
    has_partial_rows: bool,
    /// The ids, in batches.
    pub customers: Vec<StringArray>,
    /// By customer.
    pub purchases: Vec<History>,
    /// By customer, if the value of purchases is read: who has bought again.
    pub spenders: Vec<Option<Spender>>,
    /// The customers of the first part of the time, if the rest is held out.
    pub watched: Option<Vec<Watched>>,
    faults: BTreeMap<Fault, u64>,
    last_customer: Option<String>,
    memory: Option<Reservation>,
}

/// The numbers of a batch.
struct Batch {
    repeats: Int64Array,
    last: Float64Array,
    observed: Float64Array,
    average: Option<Float64Array>,
    dates: Option<ListArray>,
}

impl Histories {
    /// No histories. Of rows that are partial the value and the dates of purchases may be null, and nothing is held out.
    pub fn new(columns: &Columns, holdout_days: Option<u32>, has_partial_rows: bool) -> Self {
        let holdout_days = holdout_days.filter(|_| !has_partial_rows);
        Histories {
            columns: columns.clone(),
            holdout_days,
            has_partial_rows,
            customers: Vec::new(),
            purchases: Vec::new(),
            spenders: Vec::new(),
            watched: holdout_days.map(|_| Vec::new()),
            faults: BTreeMap::new(),
            last_customer: None,
            memory: None,
        }
    }

    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        let ids: usize = self.customers.iter().map(Array::get_array_memory_size).sum();
        let watched = self.watched.as_ref().map_or(0, |watched| watched.capacity() * (size_of::<Watched>() + size_of::<u64>()));
        ids + watched
            + self.purchases.capacity() * size_of::<History>()
            + self.spenders.capacity() * size_of::<Option<Spender>>()
            // Groups and what is expected of them.
            + self.purchases.len() * 160
    }

    /// Holds the memory that was reserved for them.
    pub fn keep(&mut self, memory: Reservation) {
        self.memory = Some(memory);
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// [`Error::Defect`] for columns of other types than were planned.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let ids = of_type(batch, &self.columns.customer, &DataType::Utf8)?;
        let ids = ids.as_string::<i32>().clone();
        let dates = DataType::List(Field::new("item", DataType::Date32, true).into());
        let number = |name: &String| Ok::<_, Error>(of_type(batch, name, &DataType::Float64)?.as_primitive::<Float64Type>().clone());
        let read = Batch {
            repeats: of_type(batch, &self.columns.repeats, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
            last: number(&self.columns.last)?,
            observed: number(&self.columns.observed)?,
            average: self.columns.average.as_ref().map(number).transpose()?,
            dates: match self.columns.dates.as_ref().filter(|_| self.holdout_days.is_some()) {
                Some(name) => Some(of_type(batch, name, &dates)?.as_list::<i32>().clone()),
                None => None,
            },
        };
        for row in 0..ids.len() {
            let fault = self.customer(&ids, row).err().or_else(|| self.history(&read, row).err());
            if let Some(fault) = fault {
                *self.faults.entry(fault).or_default() += 1;
            }
        }
        self.last_customer = ids.iter().last().flatten().map(str::to_owned);
        self.customers.push(ids);
        Ok(())
    }

    /// A customer has one row. Rows come in order of customer.
    fn customer(&self, ids: &StringArray, row: usize) -> Result<(), Fault> {
        if ids.is_null(row) {
            return Err(Fault::NoCustomer);
        }
        let before = match row {
            0 => self.last_customer.as_deref(),
            _ => ids.is_valid(row - 1).then(|| ids.value(row - 1)),
        };
        if before == Some(ids.value(row)) { Err(Fault::Twice) } else { Ok(()) }
    }

    fn history(&mut self, batch: &Batch, row: usize) -> Result<(), Fault> {
        let repeats = batch.repeats.is_valid(row).then(|| batch.repeats.value(row)).and_then(|repeats| u32::try_from(repeats).ok());
        let repeats = repeats.ok_or(Fault::Repeats)?;
        // A negative zero is a zero.
        let days = |of: &Float64Array| of.is_valid(row).then(|| of.value(row) + 0.0).filter(|days| days.is_finite() && *days >= 0.0);
        let last = days(&batch.last).ok_or(Fault::Last)?;
        let observed = days(&batch.observed).ok_or(Fault::Observed)?;
        match repeats {
            _ if last > observed => return Err(Fault::AfterEnd),
            0 if last > 0.0 => return Err(Fault::LastWithoutRepeat),
            1.. if last <= 0.0 => return Err(Fault::SameDay),
            _ => {}
        }
        if let Some(averages) = &batch.average {
            let average = averages.is_valid(row).then(|| averages.value(row)).filter(|average| average.is_finite() && *average > 0.0);
            let may_lack = repeats == 0 || (self.has_partial_rows && averages.is_null(row));
            if average.is_none() && !may_lack {
                return Err(Fault::Average);
            }
            self.spenders.push(average.filter(|_| repeats > 0).map(|average| Spender { repeats, average }));
        }
        let history = History { repeats, last, observed };
        if let (Some(dates), Some(days), Some(watched)) = (&batch.dates, self.holdout_days, &mut self.watched) {
            watched.extend(first_part(&history, dates, row, days)?);
        }
        self.purchases.push(history);
        Ok(())
    }

    /// Whether every row makes sense.
    ///
    /// # Errors
    /// [`Error::Refused`] with the number of rows of each kind that does not.
    pub fn verify(&self, prediction: &str) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let what = format!("`{}` has rows from which the prediction `{prediction}` cannot be made", self.columns.table);
        let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        let details = self.faults.iter().map(|(fault, count)| format!("{} {}", rows(*count), fault.told(&self.columns)));
        let hint =
            format!("a row is one customer who has bought; `segmill query` finds the rows, with a condition on `{}`", self.columns.table);
        Err(Error::Refused(Message::new(what).details(details).hint(hint)))
    }
}

/// A column of a batch as a type.
fn of_type(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<arrow::array::ArrayRef> {
    let column = batch.column_by_name(name).ok_or_else(|| Error::defect(format!("a prediction has no column `{name}`")))?;
    cast(column, data_type).map_err(|error| Error::defect(format!("a column of a prediction was not read: {error}")))
}

/// The part of a history before the last days, and what came in those; none of a customer who came later.
fn first_part(history: &History, dates: &ListArray, row: usize, days: u32) -> Result<Option<Watched>, Fault> {
    if dates.is_null(row) {
        return Err(Fault::Dates);
    }
    let dates = dates.value(row);
    let dates = dates.as_primitive::<Date32Type>();
    if dates.null_count() > 0 || dates.len() as u64 != u64::from(history.repeats) + 1 {
        return Err(Fault::Dates);
    }
    let mut dates = dates.values().to_vec();
    dates.sort_unstable();
    let since_first = |date: i32| f64::from(date) - f64::from(dates[0]);
    let last = dates.last().map_or(0.0, |date| since_first(*date));
    // Parts of days are of the time of day, which dates do not have.
    if dates.windows(2).any(|pair| pair[0] == pair[1]) || (last - history.last).abs() > 1.0 {
        return Err(Fault::Dates);
    }
    let observed = history.observed - f64::from(days);
    if observed < 0.0 {
        return Ok(None);
    }
    let (before, after): (Vec<f64>, Vec<f64>) = dates.iter().map(|date| since_first(*date)).partition(|day| *day <= observed);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the held-out days")]
    let later = after.iter().map(|day| (day - observed).ceil().clamp(0.0, f64::from(days)) as u32).collect();
    let repeats = u32::try_from(before.len().saturating_sub(1)).map_err(|_| Fault::Dates)?;
    Ok(Some(Watched { history: History { repeats, last: before.last().copied().unwrap_or(0.0), observed }, later }))
}
