//! What of a row is compared to find the newest of a key.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::error::Result;

use crate::config::ColumnType;
use crate::ingest::changes::Operation;
use crate::ingest::contract::Contract;

/// The most digits that 64 bits hold whatever they are.
const DIGITS_OF_64_BITS: u8 = 18;

/// A number of a row that is greater the newer the row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The same for all rows.
    None,
    /// Of a column.
    Of(usize),
    /// The upper half of a column of 128 bits.
    UpperOf(usize),
    /// The lower half of it.
    LowerOf(usize),
    /// Whether the row deletes its key. In doubt it does.
    Deletes(usize),
}

impl Measure {
    /// What tells the newest of the rows of a key, the first first.
    pub fn all(contract: &Contract) -> Vec<Self> {
        let mut measures = Vec::new();
        if let Some(changes) = &contract.changes {
            for &at in &changes.order {
                match contract.columns[at].column_type {
                    ColumnType::Decimal { precision, .. } if precision > DIGITS_OF_64_BITS => {
                        measures.extend([Measure::UpperOf(at), Measure::LowerOf(at)]);
                    }
                    _ => measures.push(Measure::Of(at)),
                }
            }
        }
        measures.extend(contract.event_time.map(Measure::Of));
        measures.extend(contract.changes.as_ref().map(|changes| Measure::Deletes(changes.operation)));
        if measures.is_empty() { vec![Measure::None] } else { measures }
    }

    /// The column that it reads.
    pub fn column(self) -> Option<usize> {
        match self {
            Measure::None => None,
            Measure::Of(at) | Measure::UpperOf(at) | Measure::LowerOf(at) | Measure::Deletes(at) => Some(at),
        }
    }

    /// The numbers of rows, from the values of its column.
    ///
    /// # Errors
    /// As Arrow fails.
    pub fn numbers(self, contract: &Contract, values: Option<&ArrayRef>, rows: usize) -> Result<Vec<u64>> {
        let (Some(values), false) = (values, self == Measure::None) else { return Ok(vec![0; rows]) };
        Ok(match self {
            Measure::Deletes(_) => {
                let operations = contract.changes.as_ref().map(|changes| changes.operations(values)).unwrap_or_default();
                operations.into_iter().map(|operation| u64::from(operation == Some(Operation::Delete))).collect()
            }
            Measure::UpperOf(_) => halves(values).map(|half| half.map_or(0, |(upper, _)| upper)).collect(),
            Measure::LowerOf(_) => halves(values).map(|half| half.map_or(0, |(_, lower)| lower)).collect(),
            _ => whole(values)?.iter().map(in_order).collect(),
        })
    }
}

/// Moments, days, whole numbers and decimals of 64 bits as numbers in their order.
fn whole(values: &ArrayRef) -> Result<Int64Array> {
    if let Some(decimals) = values.as_primitive_opt::<Decimal128Type>() {
        return Ok(decimals.iter().map(|value| value.and_then(|value| i64::try_from(value).ok())).collect());
    }
    let days = if values.data_type() == &DataType::Date32 { cast(values, &DataType::Int32)? } else { ArrayRef::clone(values) };
    Ok(cast(&days, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// The halves of decimals of 128 bits, as numbers without sign that keep their order.
fn halves(values: &ArrayRef) -> impl Iterator<Item = Option<(u64, u64)>> {
    let decimals = values.as_primitive::<Decimal128Type>();
    decimals.iter().map(|value| {
        let ordered = value?.cast_unsigned() ^ (1 << 127);
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        Some((half(ordered >> 64), half(ordered)))
    })
}

/// A number as one without sign that keeps its order; none comes first.
fn in_order(number: Option<i64>) -> u64 {
    number.map_or(0, |number| number.cast_unsigned() ^ (1 << 63))
}
