//! Domains of so few values that each can be listed.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use super::super::domain::ColumnDomain;

/// A declared range of whole numbers or days of at most this many values is taken value by value.
pub const FINITE_VALUES: i64 = 1000;

/// The values of a declared domain; none when they are not listed or too many.
pub fn listed(domain: &ColumnDomain) -> Option<Vec<ScalarValue>> {
    if !domain.accepted.is_empty() {
        return Some(domain.accepted.clone());
    }
    match (&domain.data_type, &domain.min, &domain.max) {
        (DataType::Boolean, ..) => Some(vec![ScalarValue::from(true), ScalarValue::from(false)]),
        (data_type, Some(min), Some(max)) if data_type.is_integer() || data_type == &DataType::Date32 => {
            let (first, last) = (whole(min)?, whole(max)?);
            let count = last.checked_sub(first)?;
            (count < FINITE_VALUES).then(|| (first..=last).filter_map(|number| from_whole(number, data_type)).collect())
        }
        _ => None,
    }
}

pub fn whole(value: &ScalarValue) -> Option<i64> {
    match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}

pub fn from_whole(number: i64, data_type: &DataType) -> Option<ScalarValue> {
    // Arrow has no way from 64 bits to a day but through 32.
    let value = match data_type {
        DataType::Date32 => ScalarValue::Int32(Some(i32::try_from(number).ok()?)),
        _ => ScalarValue::Int64(Some(number)),
    };
    value.cast_to(data_type).ok().filter(|value| !value.is_null())
}
