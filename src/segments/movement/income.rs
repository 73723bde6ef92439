//! What customers spent, as the column of the profile says that `profile.revenue` names.

use arrow::array::{Array, AsArray, Decimal128Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::{Error, Result};
use crate::segments::CUSTOMER_ID;

/// The most digits of a decimal.
const DIGITS: u8 = 38;

/// Whether a column of a type can say what customers spent, and the digits that it has after the point.
pub fn is_revenue(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal128(_, scale) if *scale >= 0 => Some(*scale),
        other if other.is_integer() => Some(0),
        _ => None,
    }
}

/// What some customers spent, in order of customer.
#[derive(Debug, Clone)]
pub struct Income {
    ids: StringArray,
    spent: Decimal128Array,
}

/// What customers spent, batch by batch in order of customer.
#[derive(Debug, Clone, Default)]
pub struct Incomes(Vec<Income>);

impl Income {
    /// What the customers of some rows spent; none where there is no such column, or it is no number that can be summed exactly.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn of(rows: &RecordBatch, column: &str) -> Result<Option<Self>> {
        let (Some(ids), Some(spent)) = (rows.column_by_name(CUSTOMER_ID), rows.column_by_name(column)) else { return Ok(None) };
        let Some(scale) = is_revenue(spent.data_type()) else { return Ok(None) };
        let failed = |error: arrow::error::ArrowError| Error::defect(format!("the revenue was not read: {error}"));
        let ids = cast(ids, &DataType::Utf8).map_err(failed)?.as_string::<i32>().clone();
        let spent = cast(spent, &DataType::Decimal128(DIGITS, scale)).map_err(failed)?;
        Ok(spent.as_primitive_opt().cloned().map(|spent| Income { ids, spent }))
    }

    /// How many digits the amounts have after the point.
    pub fn scale(&self) -> i8 {
        self.spent.scale()
    }

    /// The last customer.
    pub fn last(&self) -> Option<&str> {
        // Rows without a customer come last.
        let count = self.ids.len() - self.ids.null_count();
        count.checked_sub(1).map(|last| self.ids.value(last))
    }

    /// The customers from a position on.
    #[must_use]
    pub fn after(&self, start: usize) -> Self {
        let rows = self.ids.len().saturating_sub(start);
        Income { ids: self.ids.slice(start, rows), spent: self.spent.slice(start, rows) }
    }

    /// How many customers there are up to one.
    pub fn count_up_to(&self, id: &str) -> usize {
        self.position(|other| other <= id)
    }

    /// The first customers.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        Income { ids: self.ids.slice(0, rows), spent: self.spent.slice(0, rows) }
    }

    /// Whether the customers come in order.
    pub fn is_ordered(&self) -> bool {
        self.ids.null_count() == 0 && (1..self.ids.len()).all(|row| self.ids.value(row - 1) <= self.ids.value(row))
    }

    fn position(&self, is_before: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.ids.len() - self.ids.null_count());
        while low < high {
            let middle = low.midpoint(high);
            if is_before(self.ids.value(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn get(&self, id: &str) -> Option<i128> {
        let at = self.position(|other| other < id);
        let is_there = at < self.ids.len() && self.ids.is_valid(at) && self.ids.value(at) == id && self.spent.is_valid(at);
        is_there.then(|| self.spent.value(at))
    }
}

impl Incomes {
    /// What the customers of some rows of the profile spent.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn of(rows: &[RecordBatch], column: Option<&str>) -> Result<Self> {
        let Some(column) = column else { return Ok(Incomes::default()) };
        let found = rows.iter().map(|rows| Income::of(rows, column)).collect::<Result<Vec<_>>>()?;
        Ok(Incomes(found.into_iter().flatten().collect()))
    }

    /// Adds the next customers.
    pub fn push(&mut self, income: Income) {
        self.0.push(income);
    }

    /// Adds what the next customers spent as the predecessor publication kept it, by the column that says it today, if its values had as many
    /// digits after the point then.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn push_former(&mut self, rows: Option<&RecordBatch>, revenue: Option<&(String, i8)>) -> Result<()> {
        let (Some(rows), Some((column, scale))) = (rows.filter(|rows| rows.num_rows() > 0), revenue) else { return Ok(()) };
        self.0.extend(Income::of(rows, column)?.filter(|income| income.scale() == *scale));
        Ok(())
    }

    /// What a customer spent; none where that is not known.
    pub fn get(&self, id: &str) -> Option<i128> {
        let at = self.0.partition_point(|income| income.last().is_none_or(|last| last < id));
        self.0.get(at)?.get(id)
    }
}
