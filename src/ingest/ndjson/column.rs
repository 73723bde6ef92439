//! A column of a contract among the values of a JSON record.

use std::sync::Arc;

use super::super::column::ContractColumn;
use super::super::nested::json::Found;
use super::super::nested_column::JsonValues;
use super::super::values::{JsonNumbers, Meaning};
use super::super::ways::Way;

/// A column of the contract as records may have it.
#[derive(Debug, Clone)]
pub struct JsonColumn {
    /// The places of its values: the first counts at which there is one.
    pub places: Vec<usize>,
    /// How values are read, if it has several places: what stands for none is passed over.
    pub meaning: Option<Arc<Meaning>>,
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
        let has_choice = places.len() > 1 && column.json.is_none() && !is_list;
        let meaning = has_choice.then(|| Arc::clone(column.meaning()));
        JsonColumn { places, meaning, numbers, is_list, is_needed, is_of_element }
    }

    /// The first value of a record.
    #[inline]
    pub fn read<'v, 'a>(&self, values: &'v [Found<'a>]) -> &'v Found<'a> {
        let mut there = self.places.iter().map(|place| &values[*place]).filter(|value| **value != Found::Null);
        let first = there.next().unwrap_or(&Found::Null);
        match &self.meaning {
            Some(meaning) if is_none(first, meaning) => there.find(|value| !is_none(value, meaning)).unwrap_or(first),
            _ => first,
        }
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

/// Whether a value stands for none.
fn is_none(value: &Found<'_>, meaning: &Meaning) -> bool {
    match value {
        Found::Null => true,
        Found::Text(text) => meaning.is_none(text),
        Found::Number(number) => meaning.markers.may_take() && meaning.is_none(number),
        Found::Nested(_) | Found::Bad(_) => false,
    }
}
