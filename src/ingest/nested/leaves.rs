//! Which leaves of a nested column a path needs, told from the column's type.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, Fields};

use super::{NESTED, NOT_A_LIST, NOT_NESTED};
use crate::config::Step;

/// How many values of a type lie beside each other in a file.
pub fn count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| count(field.data_type())).sum(),
        _ => inner(data_type).map_or(1, |field| count(field.data_type())),
    }
}

/// The elements of a list's type, or the entries of a map's.
pub fn inner(data_type: &DataType) -> Option<&Field> {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::Map(field, _) => Some(field),
        _ => None,
    }
}

/// Why a path does not fit a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// There is no member of that name.
    Missing,
    /// The type is another than the path needs.
    Shape(&'static str),
}

/// The type of what stands at the end of some steps from a value of a type whose first leaf has this place, and the first leaf of that. The
/// leaves that must be read are added.
///
/// # Errors
/// Why there is nothing.
pub fn at<'t>(
    data_type: &'t DataType,
    first: usize,
    steps: &[Step],
    leaves: &mut BTreeSet<usize>,
) -> Result<(&'t DataType, usize), Misfit> {
    let Some((step, rest)) = steps.split_first() else {
        leaves.extend(first..first + count(data_type));
        return Ok((data_type, first));
    };
    match (step, data_type) {
        (Step::Member(name), DataType::Struct(fields)) => {
            let (at, field) = member(fields, name).ok_or(Misfit::Missing)?;
            self::at(field.data_type(), first + before(fields, at), rest, leaves)
        }
        (Step::Member(_), DataType::Map(entries, _)) => {
            let DataType::Struct(fields) = entries.data_type() else { return Err(Misfit::Shape(NESTED)) };
            // The key of each entry tells which it is.
            leaves.insert(first);
            let value = fields.get(1).ok_or(Misfit::Missing)?;
            self::at(value.data_type(), first + before(fields, 1), rest, leaves)
        }
        (Step::Member(_), held) if inner(held).is_some() => Err(Misfit::Shape(NESTED)),
        (Step::Member(_), _) => Err(Misfit::Shape(NOT_NESTED)),
        (Step::Place(_), held) => {
            let element = inner(held).ok_or(Misfit::Shape(NOT_A_LIST))?;
            self::at(element.data_type(), first, rest, leaves)
        }
        (Step::Entry { key, .. }, held) => {
            let element = inner(held).ok_or(Misfit::Shape(NOT_A_LIST))?;
            let DataType::Struct(fields) = element.data_type() else { return Err(Misfit::Shape(NOT_NESTED)) };
            let (place, field) = member(fields, key).ok_or(Misfit::Missing)?;
            if field.data_type().is_nested() {
                return Err(Misfit::Shape(NESTED));
            }
            leaves.insert(first + before(fields, place));
            self::at(element.data_type(), first, rest, leaves)
        }
        (Step::Number, _) => Err(Misfit::Shape(NOT_A_LIST)),
    }
}

fn member<'f>(fields: &'f Fields, name: &str) -> Option<(usize, &'f Field)> {
    fields.iter().position(|field| field.name() == name).map(|at| (at, fields[at].as_ref()))
}

fn before(fields: &Fields, at: usize) -> usize {
    fields[..at].iter().map(|field| count(field.data_type())).sum()
}
