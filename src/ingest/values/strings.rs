//! Values read as text: ids above all, so a number that is whole is its digits, however the file holds it.

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, Float64Type, Int64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::meaning::{Kind, Meaning, defect, misfit};
use super::numbers::{exact_limit, safe_cast, wide_decimals};
use super::outcome::Values;
use crate::error::Result;
use crate::local_time::DAY_MICROS;

/// Reads any array that is not text as text.
pub fn read(array: &ArrayRef, meaning: &Meaning) -> Result<Values> {
    let texts: ArrayRef = match Kind::of(array.data_type()) {
        Kind::Float => whole_floats(array)?,
        Kind::Decimal => decimals(array)?,
        Kind::Moment if array.data_type() == &DataType::Date64 => dates(array)?,
        Kind::Boolean | Kind::Integer | Kind::Moment | Kind::TimeOfDay => safely_as_text(array)?,
        _ => match array.as_fixed_size_binary_opt() {
            Some(ids) if ids.value_length() == 16 => Arc::new(uuids(ids)),
            _ => return Err(misfit(array.data_type())),
        },
    };
    Ok(Values::lost(texts, array, meaning.not_of_type()))
}

/// Whether values of a type may be none of text's.
pub fn can_fail(held: &DataType) -> bool {
    match held {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => false,
        DataType::Dictionary(_, value) => can_fail(value),
        _ => !matches!(Kind::of(held), Kind::Boolean | Kind::Integer | Kind::Decimal | Kind::Nothing),
    }
}

/// Bytes as text; null where they are not UTF-8.
pub fn of_bytes(array: &ArrayRef) -> Result<ArrayRef> {
    safely_as_text(array)
}

/// Values as text; null where there is none for them, as for a day that no calendar has.
fn safely_as_text(array: &ArrayRef) -> Result<ArrayRef> {
    if !matches!(Kind::of(array.data_type()), Kind::Moment | Kind::TimeOfDay) {
        return safe_cast(array, &DataType::Utf8);
    }
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(array, &options).map_err(defect)?;
    let units = seconds_in(array.data_type());
    let numbers = units.map(|_| cast(array, &DataType::Int64)).transpose().map_err(defect)?;
    let is_in_calendar = |row: usize| match (units, &numbers) {
        (Some((seconds, units)), Some(numbers)) => {
            let number = i128::from(numbers.as_primitive::<Int64Type>().value(row));
            number.saturating_mul(seconds).unsigned_abs() < CALENDAR_SECONDS.saturating_mul(units)
        }
        _ => true,
    };
    let text = |row| if array.is_valid(row) && is_in_calendar(row) { shown.value(row).try_to_string().ok() } else { None };
    Ok(Arc::new((0..array.len()).map(text).collect::<StringArray>()))
}

/// How far from 1970 days have names, in seconds; beyond it a formatter may fail in ways that nobody can catch.
const CALENDAR_SECONDS: u128 = 8_000_000_000_000;

/// How many seconds are in how many units of a type of days or moments; none where no number is beyond the calendar.
fn seconds_in(held: &DataType) -> Option<(i128, u128)> {
    match held {
        DataType::Date32 => Some((24 * 60 * 60, 1)),
        DataType::Timestamp(TimeUnit::Second, _) => Some((1, 1)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some((1, 1_000)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some((1, 1_000_000)),
        _ => None,
    }
}

/// The digits of whole numbers that a float holds exactly; null for others.
fn whole_floats(array: &ArrayRef) -> Result<ArrayRef> {
    let limit = exact_limit(array.data_type());
    let wide = cast(array, &DataType::Float64).map_err(defect)?;
    let digits = |value: f64| (value.fract() == 0.0 && value.abs() < limit).then(|| shown(value + 0.0));
    Ok(Arc::new(wide.as_primitive::<Float64Type>().iter().map(|value| value.and_then(digits)).collect::<StringArray>()))
}

/// Decimals: the digits of one that is whole, and any other as it stands.
fn decimals(array: &ArrayRef) -> Result<ArrayRef> {
    let (wide, scale) = wide_decimals(array)?;
    let wide = wide.as_primitive::<Decimal256Type>();
    let texts = cast(wide, &DataType::Utf8).map_err(defect)?;
    let places = usize::try_from(scale).unwrap_or(0);
    let text = |text: &str| -> String {
        match text.split_once('.') {
            Some((whole, fraction)) if fraction.len() == places && fraction.bytes().all(|byte| byte == b'0') => {
                if whole == "-0" {
                    "0".to_owned()
                } else {
                    whole.to_owned()
                }
            }
            _ => text.to_owned(),
        }
    };
    Ok(Arc::new(texts.as_string::<i32>().iter().map(|value| value.map(text)).collect::<StringArray>()))
}

/// Days that are held in milliseconds; null where there is a time of day.
fn dates(array: &ArrayRef) -> Result<ArrayRef> {
    let days = array.as_primitive::<arrow::datatypes::Date64Type>();
    let whole = |millis: i64| (millis % (DAY_MICROS / 1000) == 0).then(|| i32::try_from(millis / (DAY_MICROS / 1000)).ok()).flatten();
    let days: arrow::array::Date32Array = days.iter().map(|millis| millis.and_then(whole)).collect();
    safely_as_text(&(Arc::new(days) as ArrayRef))
}

fn uuids(ids: &FixedSizeBinaryArray) -> StringArray {
    let text = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    };
    ids.iter().map(|bytes| bytes.map(text)).collect()
}

fn shown(value: impl Display) -> String {
    value.to_string()
}
