//! The customers that look-alikes compare, of whom every row must make sense.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use crate::config::{LookAlikes, Transform};
use crate::engine::Reservation;
use crate::error::{Error, Message, Result};
use crate::groups::{Preparation, Scaling, Shape};
use crate::likeness::{self, Reason};

/// The columns that look-alikes read, and their table.
#[derive(Debug, Clone)]
pub struct Columns {
    pub table: String,
    pub customer: String,
    pub compared: Vec<Column>,
}

/// A column that is compared.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    preparation: Preparation,
}

impl Columns {
    /// The columns that look-alikes name.
    pub fn of(look_alikes: &LookAlikes) -> Self {
        let columns = look_alikes.columns.iter().map(|(name, column)| {
            let shape = match column.transform {
                Transform::None => Shape::Plain,
                Transform::Log1p => Shape::Log1p,
            };
            let winsorise = column.winsorise.as_ref().map_or(0.0, |share| share.value);
            Column { name: name.clone(), preparation: Preparation { shape, winsorise } }
        });
        let (table, customer) = (look_alikes.model.value.clone(), look_alikes.customer.value.clone());
        Columns { table, customer, compared: columns.collect() }
    }

    /// Reasons as people read them, such as `spent high, days_since_last_order low`; none if there are none.
    pub fn written(&self, reasons: &[Reason]) -> Option<String> {
        let one = |reason: &Reason| format!("{} {}", self.compared[reason.column].name, if reason.is_high { "high" } else { "low" });
        (!reasons.is_empty()).then(|| reasons.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    NoCustomer,
    Twice,
    /// The value of a column is no number, or cannot be transformed.
    Value(usize),
}

impl Fault {
    /// As the end of a sentence that begins with the number of rows.
    fn told(self, columns: &Columns) -> String {
        match self {
            Fault::NoCustomer => format!("without a customer in `{}`", columns.customer),
            Fault::Twice => format!("of a customer who has a row already (`{}`)", columns.customer),
            Fault::Value(at) => {
                let Column { name, preparation } = &columns.compared[at];
                let why = if preparation.shape == Shape::Log1p {
                    "is infinite, no number, or not more than -1, as `log1p` needs it"
                } else {
                    "is infinite or no number"
                };
                format!("where `{name}` {why}")
            }
        }
    }
}

/// The customers, in order.
pub struct Compared {
    columns: Columns,
    /// The ids, in batches.
    pub customers: Vec<StringArray>,
    /// By customer, whether all columns are known.
    pub is_known: Vec<bool>,
    /// By customer, whether the segment describes it.
    pub is_member: Vec<bool>,
    /// By column, the values of the customers of whom all columns are known.
    pub values: Vec<Vec<f64>>,
    /// The folds of these customers.
    pub folds: Vec<u8>,
    faults: BTreeMap<Fault, u64>,
    last_customer: Option<String>,
    memory: Option<Reservation>,
}

impl Compared {
    /// Nobody.
    pub fn new(columns: &Columns) -> Self {
        Compared {
            columns: columns.clone(),
            customers: Vec::new(),
            is_known: Vec::new(),
            is_member: Vec::new(),
            values: vec![Vec::new(); columns.compared.len()],
            folds: Vec::new(),
            faults: BTreeMap::new(),
            last_customer: None,
            memory: None,
        }
    }

    /// The memory that they take, and what is computed of them.
    pub fn bytes(&self) -> usize {
        let ids: usize = self.customers.iter().map(Array::get_array_memory_size).sum();
        let values: usize = self.values.iter().map(|column| column.capacity() * size_of::<f64>()).sum();
        // Scores, their order, a sorted column, similarities and reasons.
        ids + values + self.folds.capacity() + self.is_known.len() * 80
    }

    /// Holds the memory that was reserved for them.
    pub fn keep(&mut self, memory: Reservation) {
        self.memory = Some(memory);
    }

    /// Adds the next rows, with whether each is a member.
    ///
    /// # Errors
    /// [`Error::Defect`] for columns of other types than were planned.
    pub fn add(&mut self, batch: &RecordBatch, is_member: &BooleanArray) -> Result<()> {
        let ids = of_type(batch, &self.columns.customer, &DataType::Utf8)?.as_string::<i32>().clone();
        let numbers =
            |column: &Column| Ok::<_, Error>(of_type(batch, &column.name, &DataType::Float64)?.as_primitive::<Float64Type>().clone());
        let numbers: Vec<Float64Array> = self.columns.compared.iter().map(numbers).collect::<Result<_>>()?;
        for row in 0..ids.len() {
            self.customer(&ids, row);
            let is_known = self.row(&numbers, row);
            if is_known {
                self.folds.push(if ids.is_valid(row) { likeness::fold(ids.value(row)) } else { 0 });
            }
            self.is_known.push(is_known);
            self.is_member.push(is_member.value(row));
        }
        self.last_customer = ids.iter().last().flatten().map(str::to_owned);
        self.customers.push(ids);
        Ok(())
    }

    /// A customer has one row. Rows come in order of customer.
    fn customer(&mut self, ids: &StringArray, row: usize) {
        let before = match row {
            0 => self.last_customer.as_deref(),
            _ => ids.is_valid(row - 1).then(|| ids.value(row - 1)),
        };
        let fault = match ids.is_valid(row).then(|| ids.value(row)) {
            None => Some(Fault::NoCustomer),
            Some(id) => (before == Some(id)).then_some(Fault::Twice),
        };
        if let Some(fault) = fault {
            *self.faults.entry(fault).or_default() += 1;
        }
    }

    /// Adds the values of a row, if all of them are known, and says whether they are.
    fn row(&mut self, numbers: &[Float64Array], row: usize) -> bool {
        for (at, (column, of)) in numbers.iter().zip(&self.columns.compared).enumerate() {
            if column.is_valid(row) && !of.preparation.shape.takes(column.value(row)) {
                *self.faults.entry(Fault::Value(at)).or_default() += 1;
                return false;
            }
        }
        let is_known = numbers.iter().all(|column| column.is_valid(row));
        if is_known {
            self.values.iter_mut().zip(numbers).for_each(|(values, column)| values.push(column.value(row)));
        }
        is_known
    }

    /// Whether every row makes sense.
    ///
    /// # Errors
    /// [`Error::Refused`] with the number of rows of each kind that does not.
    pub fn verify(&self, look_alikes: &str) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let what = format!("`{}` has rows that the look-alike search `{look_alikes}` cannot compare", self.columns.table);
        let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        let details = self.faults.iter().map(|(fault, count)| format!("{} {}", rows(*count), fault.told(&self.columns)));
        let hint = format!("a row is one customer; `segmill query` finds the rows, with a condition on `{}`", self.columns.table);
        Err(Error::Refused(Message::new(what).details(details).hint(hint)))
    }

    /// Makes the columns comparable, and says how each was scaled.
    pub fn standardise(&mut self) -> Vec<Scaling> {
        let columns = self.values.iter_mut().zip(&self.columns.compared);
        let scaled = columns.map(|(values, column)| {
            let scaling = Scaling::of(values, column.preparation);
            for value in values.iter_mut() {
                *value = scaling.apply(*value);
            }
            scaling
        });
        scaled.collect()
    }

    /// By customer of whom all columns are known, whether the segment describes it.
    pub fn known_members(&self) -> Vec<bool> {
        let both = self.is_known.iter().zip(&self.is_member);
        both.filter(|(is_known, _)| **is_known).map(|(_, is_member)| *is_member).collect()
    }
}

/// A column of a batch, cast to a type.
fn of_type(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<arrow::array::ArrayRef> {
    let column = batch.column_by_name(name).ok_or_else(|| Error::defect(format!("there is no column `{name}`")))?;
    cast(column, data_type).map_err(|error| Error::defect(format!("`{name}` cannot be read: {error}")))
}
