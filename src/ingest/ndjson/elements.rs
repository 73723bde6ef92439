//! What is read of each element of a list, and where the elements are.

use std::ops::Range;

use super::super::nested::json::{Found, Paths};
use crate::config::MemberPath;

/// What of each element is read.
#[derive(Debug, Clone, Default)]
pub struct EachLines {
    /// The place of the list among the values of a record.
    pub list: usize,
    /// The place of an element's number, if a column has it.
    number: Option<usize>,
    /// The places of what elements have.
    places: Vec<usize>,
    paths: Paths,
}

impl EachLines {
    /// Adds what stands at a path of each element.
    pub fn add(&mut self, path: &MemberPath, place: usize) {
        self.places.push(place);
        self.paths.add(&path.steps, place);
    }

    /// The place of an element's number.
    pub fn number(&mut self, next: impl FnOnce() -> usize) -> usize {
        *self.number.get_or_insert_with(next)
    }

    /// Puts what an element has at its places.
    pub fn put<'a>(&self, element: &'a str, number: u64, values: &mut [Found<'a>]) {
        self.places.iter().for_each(|place| values[*place] = Found::Null);
        if !self.paths.is_empty() {
            self.paths.find(element, values);
        }
        if let Some(place) = self.number {
            values[place] = Found::Text(number.to_string().into());
        }
    }
}

/// Where the elements are that are rows.
#[derive(Debug, Default)]
pub struct Elements {
    /// For every row its element in the record, and the element's place in its list.
    pub rows: Vec<(Range<usize>, u64)>,
    /// Records that have no element, and so are no rows.
    pub empty: u64,
}
