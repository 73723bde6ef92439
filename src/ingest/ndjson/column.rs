//! A column of a contract among the values of a JSON record.

use super::super::column::ContractColumn;
use super::super::nested::json::Found;
use super::super::nested_column::JsonValues;
use super::super::values::JsonNumbers;
use super::super::ways::Way;

/// A column of the contract as records may have it.
#[derive(Debug, Clone)]
pub struct JsonColumn {
    /// The places of its values: the first that is there counts.
    pub places: Vec<usize>,
    /// How numbers are read.
    pub numbers: JsonNumbers,
    /// Whether its values are lists.
    pub is_list: bool,
    /// Whether its values are needed.
    pub is_needed: bool,
    /// Whether each element of a list has a value of its own.
    pub is_of_element: bool,
}

impl JsonColumn {
    /// A column of a contract, whose values are at these places of a record.
    pub fn of(column: &ContractColumn, places: Vec<usize>, is_needed: bool) -> Self {
        let is_of_element = column.ways.iter().any(Way::is_of_element);
        // What lies in JSON texts is read out of them later.
        let (numbers, is_list) =
            if column.json.is_some() { (JsonNumbers::AsWritten, false) } else { (column.json_numbers(), column.is_list) };
        JsonColumn { places, numbers, is_list, is_needed, is_of_element }
    }

    /// The first value of a record that is there.
    #[inline]
    pub fn read<'v, 'a>(&self, values: &'v [Found<'a>]) -> &'v Found<'a> {
        self.places.iter().map(|place| &values[*place]).find(|value| **value != Found::Null).unwrap_or(&Found::Null)
    }

    /// Gathers the value of a record.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn put(&self, values: &[Found<'_>], builder: Option<&mut JsonValues>) -> Result<(), &'static str> {
        match builder {
            Some(builder) => builder.append(self.read(values)),
            None if self.is_list => Ok(()),
            None => self.read(values).text(self.numbers).map(drop),
        }
    }
}
