//! Values as text: exact, moments as ISO 8601 with their offset.

use arrow::array::Array;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::json;
use crate::error::{Error, Result};

/// The values of a column as text.
pub struct Cells<'a> {
    array: &'a dyn Array,
    formatter: ArrayFormatter<'a>,
    is_nested: bool,
}

impl<'a> Cells<'a> {
    /// Of a column.
    ///
    /// # Errors
    /// [`Error::Defect`] for a type that has no text.
    pub fn of(array: &'a dyn Array) -> Result<Self> {
        let formatter = ArrayFormatter::try_new(array, &OPTIONS).map_err(|error| Error::defect(error.to_string()))?;
        Ok(Cells { array, formatter, is_nested: array.data_type().is_nested() })
    }

    /// The value of a row; none if it is null.
    ///
    /// # Errors
    /// [`Error::Defect`] for a value that has no text.
    pub fn text(&self, row: usize) -> Result<Option<String>> {
        if json::is_null(self.array, row) {
            return Ok(None);
        }
        if self.is_nested {
            let mut text = String::new();
            json::add(&mut text, self.array, row)?;
            return Ok(Some(text));
        }
        self.formatter.value(row).try_to_string().map(Some).map_err(|error| Error::defect(error.to_string()))
    }
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new();

/// Whether values of a type are aligned by their last digit.
pub fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || matches!(data_type, DataType::Duration(TimeUnit::Microsecond))
}
