//! The rows that an affinity reads, of which every one must make sense.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};

use crate::affinity::{Purchases, Row};
use crate::config::Affinity;
use crate::error::{Error, Message, Result};

/// What an item takes in memory beside its name.
const ITEM_BYTES: usize = 120;

/// The columns that an affinity reads, and their table.
#[derive(Debug, Clone)]
pub struct Columns {
    pub table: String,
    pub customer: String,
    item: String,
    day: String,
    is_returned: Option<String>,
}

impl Columns {
    /// The columns that an affinity names.
    pub fn of(affinity: &Affinity) -> Self {
        let columns = &affinity.columns;
        Columns {
            table: affinity.model.value.clone(),
            customer: columns.customer.value.clone(),
            item: columns.item.value.clone(),
            day: columns.day.value.clone(),
            is_returned: columns.is_returned.as_ref().map(|column| column.value.clone()),
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Customer,
    Item,
    Day,
    Return,
}

/// Texts one after another.
#[derive(Debug, Default)]
pub struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// The text at a place.
    pub fn of(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

/// Who has bought what, with names for the numbers of customers and items.
#[derive(Debug, Default)]
pub struct Bought {
    /// The purchases.
    pub purchases: Purchases,
    /// The customers, in order.
    pub customers: Texts,
    /// The items, in order.
    pub items: Vec<String>,
}

/// Reads rows in order of customer.
pub struct Reader {
    columns: Columns,
    has_partial_rows: bool,
    bought: Bought,
    /// The items in the order in which they came.
    numbers: HashMap<String, u32>,
    name_bytes: usize,
    faults: BTreeMap<Fault, u64>,
}

/// The columns of a batch.
struct Batch {
    customers: StringArray,
    items: StringArray,
    days: Date32Array,
    is_returned: Option<BooleanArray>,
}

impl Reader {
    /// No rows yet. Of rows that are partial the day and whether it is a return may be null.
    pub fn new(columns: &Columns, has_partial_rows: bool) -> Self {
        Reader {
            columns: columns.clone(),
            has_partial_rows,
            bought: Bought::default(),
            numbers: HashMap::new(),
            name_bytes: 0,
            faults: BTreeMap::new(),
        }
    }

    /// The memory that the rows take.
    pub fn bytes(&self) -> usize {
        self.bought.purchases.bytes() + self.bought.customers.bytes() + self.name_bytes
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// [`Error::Defect`] for columns of other types than were planned.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let text = |name: &str| Ok::<_, Error>(of_type(batch, name, &DataType::Utf8)?.as_string::<i32>().clone());
        let is_returned = self.columns.is_returned.as_ref().map(|name| of_type(batch, name, &DataType::Boolean)).transpose()?;
        let read = Batch {
            customers: text(&self.columns.customer)?,
            items: text(&self.columns.item)?,
            days: of_type(batch, &self.columns.day, &DataType::Date32)?.as_primitive::<Date32Type>().clone(),
            is_returned: is_returned.map(|column| column.as_boolean().clone()),
        };
        for row in 0..batch.num_rows() {
            if let Err(fault) = self.row(&read, row)? {
                *self.faults.entry(fault).or_default() += 1;
            }
        }
        Ok(())
    }

    fn row(&mut self, batch: &Batch, row: usize) -> Result<Result<(), Fault>> {
        if batch.customers.is_null(row) {
            return Ok(Err(Fault::Customer));
        }
        if batch.items.is_null(row) {
            return Ok(Err(Fault::Item));
        }
        let is_null = |column: &dyn Array| column.is_null(row) && !self.has_partial_rows;
        if is_null(&batch.days) {
            return Ok(Err(Fault::Day));
        }
        if batch.is_returned.as_ref().is_some_and(|column| is_null(column)) {
            return Ok(Err(Fault::Return));
        }
        let day = if batch.days.is_valid(row) { batch.days.value(row) } else { 0 };
        let is_returned = batch.is_returned.as_ref().is_some_and(|column| column.is_valid(row) && column.value(row));
        self.begin(batch.customers.value(row));
        let item = self.number(batch.items.value(row))?;
        self.bought.purchases.add(Row { item, day, is_returned });
        Ok(Ok(()))
    }

    /// Begins the rows of a customer, unless they have begun.
    fn begin(&mut self, customer: &str) {
        let customers = &mut self.bought.customers;
        match customers.ends.len() {
            0 => {}
            known if customers.of(known - 1) == customer => return,
            _ => self.bought.purchases.end_customer(),
        }
        customers.push(customer);
    }

    fn number(&mut self, item: &str) -> Result<u32> {
        if let Some(number) = self.numbers.get(item) {
            return Ok(*number);
        }
        let number = u32::try_from(self.numbers.len()).map_err(|_| self.too_many("items"))?;
        self.numbers.insert(item.to_owned(), number);
        self.name_bytes += item.len() + ITEM_BYTES;
        Ok(number)
    }

    fn too_many(&self, what: &str) -> Error {
        Error::Refused(Message::new(format!("`{}` has more than {} {what}", self.columns.table, u32::MAX)))
    }

    /// The purchases, without items that are never offered. Items are numbered in order.
    ///
    /// # Errors
    /// [`Error::Refused`] with the number of rows of each kind that makes no sense.
    pub fn finish(mut self, affinity: &str, never: &BTreeSet<String>) -> Result<Bought> {
        self.verify(affinity)?;
        if !self.bought.customers.ends.is_empty() {
            self.bought.purchases.end_customer();
        }
        if u32::try_from(self.bought.purchases.customers()).is_err() {
            return Err(self.too_many("customers"));
        }
        let count = self.numbers.len();
        let mut items: Vec<(String, u32)> = self.numbers.drain().filter(|(item, _)| !never.contains(item)).collect();
        items.sort_unstable();
        let mut numbers = vec![None; count];
        for (number, (_, came)) in (0_u32..).zip(&items) {
            numbers[*came as usize] = Some(number);
        }
        self.bought.purchases.renumber(items.len(), &numbers);
        self.bought.items = items.into_iter().map(|(item, _)| item).collect();
        Ok(self.bought)
    }

    fn verify(&self, affinity: &str) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let Columns { table, customer, item, day, is_returned } = &self.columns;
        let what = format!("`{table}` has rows from which the affinity `{affinity}` cannot be made");
        let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        let told = |fault: &Fault| match fault {
            Fault::Customer => format!("without a customer in `{customer}`"),
            Fault::Item => format!("without an item in `{item}`"),
            Fault::Day => format!("without a day in `{day}`"),
            Fault::Return => format!("where `{}` is null", is_returned.as_deref().unwrap_or_default()),
        };
        let details = self.faults.iter().map(|(fault, count)| format!("{} {}", rows(*count), told(fault)));
        let hint = format!(
            "a row is an item that a customer bought or returned on a day: leave others out of `{table}`; `segmill query` finds them"
        );
        Err(Error::Refused(Message::new(what).details(details).hint(hint)))
    }
}

/// A column of a batch as a type.
pub fn of_type(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    let column = batch.column_by_name(name).ok_or_else(|| Error::defect(format!("an affinity has no column `{name}`")))?;
    cast(column, data_type).map_err(|error| Error::defect(format!("a column of an affinity was not read: {error}")))
}
