//! The customers that are put into groups, and what is known of them in some columns.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use crate::error::{Error, Message, Result};
use crate::groups::Preparation;

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    NoCustomer,
    Twice,
    /// Of a column, by its place.
    NoNumber(usize),
    TooSmall(usize),
}

/// The customers, in their order.
pub struct Customers {
    table: String,
    customer: String,
    names: Vec<(String, Preparation)>,
    /// The ids, in batches.
    pub ids: Vec<StringArray>,
    /// By customer, whether all columns have a value: only they are put into groups.
    pub is_complete: Vec<bool>,
    /// By column, the values of the customers who are put into groups.
    columns: Vec<Vec<f64>>,
    complete: usize,
    faults: BTreeMap<Fault, u64>,
    last: Option<String>,
}

impl Customers {
    /// Nobody has been read.
    pub fn new(table: &str, customer: &str, columns: &[(String, Preparation)]) -> Self {
        Customers {
            table: table.to_owned(),
            customer: customer.to_owned(),
            names: columns.to_vec(),
            ids: Vec::new(),
            is_complete: Vec::new(),
            columns: vec![Vec::new(); columns.len()],
            complete: 0,
            faults: BTreeMap::new(),
            last: None,
        }
    }

    /// The memory that they take, and what is computed of them if so many numbers of groups are tried.
    pub fn bytes(&self, most_tried: usize) -> usize {
        let ids: usize = self.ids.iter().map(Array::get_array_memory_size).sum();
        // Twice the columns while they are prepared, the bounds and the distances of each clustering, and the tables.
        let of_row = 16 * self.columns.len() + 28 + 12 * most_tried + 40;
        ids + self.is_complete.len() + self.complete * of_row
    }

    /// How many customers there are.
    pub fn count(&self) -> usize {
        self.is_complete.len()
    }

    /// How many of them are put into groups.
    pub fn complete(&self) -> usize {
        self.complete
    }

    /// All ids, in their order.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().flat_map(|ids| ids.iter().map(Option::unwrap_or_default))
    }

    /// The ids of those who are put into groups, in their order.
    pub fn each_complete(&self) -> impl Iterator<Item = &str> {
        self.each().zip(&self.is_complete).filter(|(_, is_complete)| **is_complete).map(|(id, _)| id)
    }

    /// The values of those who are put into groups, which are needed once.
    pub fn take_columns(&mut self) -> Vec<Vec<f64>> {
        std::mem::take(&mut self.columns)
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// [`Error::Defect`] for columns of other types than were planned.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let ids = column(batch, &self.customer, &DataType::Utf8)?.as_string::<i32>().clone();
        let read = self.names.iter().map(|(name, _)| {
            let values = column(batch, name, &DataType::Float64)?;
            Ok(values.as_primitive::<Float64Type>().clone())
        });
        let read: Vec<Float64Array> = read.collect::<Result<_>>()?;
        for row in 0..ids.len() {
            let before = if row == 0 { self.last.as_deref() } else { ids.is_valid(row - 1).then(|| ids.value(row - 1)) };
            if ids.is_null(row) {
                self.fault(Fault::NoCustomer);
            } else if before == Some(ids.value(row)) {
                self.fault(Fault::Twice);
            }
            self.add_row(&read, row);
        }
        self.last = ids.iter().last().flatten().map(str::to_owned);
        self.ids.push(ids);
        Ok(())
    }

    fn add_row(&mut self, read: &[Float64Array], row: usize) {
        let is_complete = read.iter().all(|values| values.is_valid(row));
        self.is_complete.push(is_complete);
        for (at, values) in read.iter().enumerate().filter(|(_, values)| values.is_valid(row)) {
            let (value, shape) = (values.value(row), self.names[at].1.shape);
            if !value.is_finite() {
                self.fault(Fault::NoNumber(at));
            } else if !shape.takes(value) {
                self.fault(Fault::TooSmall(at));
            }
            if is_complete {
                // A negative zero is a zero.
                self.columns[at].push(value + 0.0);
            }
        }
        self.complete += usize::from(is_complete);
    }

    fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Whether every row makes sense.
    ///
    /// # Errors
    /// [`Error::Refused`] with the number of rows of each kind that does not.
    pub fn verify(&self, clusters: &str) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let what = format!("`{}` has rows from which the clustering `{clusters}` cannot be made", self.table);
        let told = |fault: &Fault| match fault {
            Fault::NoCustomer => format!("without a customer in `{}`", self.customer),
            Fault::Twice => format!("of a customer who has a row already (`{}`)", self.customer),
            Fault::NoNumber(at) => format!("where `{}` is infinite or not a number", self.names[*at].0),
            Fault::TooSmall(at) => format!("where `{}` is -1 or less, of which `log1p` has no logarithm", self.names[*at].0),
        };
        let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        let details = self.faults.iter().map(|(fault, count)| format!("{} {}", rows(*count), told(fault)));
        let hint = format!("a row is one customer; `segmill query` finds the rows, with a condition on `{}`", self.table);
        Err(Error::Refused(Message::new(what).details(details).hint(hint)))
    }

    /// Some of those who are put into groups, by their places: all, or as many as are wanted by a hash of the id and a seed, in order.
    pub fn sample(&self, wanted: usize, seed: u64) -> Vec<usize> {
        if self.complete <= wanted {
            return (0..self.complete).collect();
        }
        let mut hashed: Vec<(u64, usize)> = self.each_complete().enumerate().map(|(at, id)| (hash(id, seed), at)).collect();
        hashed.select_nth_unstable(wanted);
        let mut chosen: Vec<usize> = hashed[..wanted].iter().map(|(_, at)| *at).collect();
        chosen.sort_unstable();
        chosen
    }
}

/// A hash that is the same everywhere: FNV-1a, mixed as in `SplitMix64`.
fn hash(id: &str, seed: u64) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(id.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A column of a batch as a type.
pub(super) fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    let column = batch.column_by_name(name).ok_or_else(|| Error::defect(format!("clusters have no column `{name}`")))?;
    cast(column, data_type).map_err(|error| Error::defect(format!("a column of clusters was not read: {error}")))
}
