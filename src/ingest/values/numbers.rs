//! Values read as numbers and truths.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, UInt64Type, i256};

use super::meaning::{Format, Kind, Meaning, defect, misfit};
use super::outcome::{Bad, Values};
use crate::config::ColumnType;
use crate::error::Result;
use crate::number;

/// Reads texts.
pub fn of_texts(texts: &StringArray, meaning: &Meaning) -> Values {
    match meaning.column_type {
        ColumnType::Integer => collected::<Int64Type>(meaning.each_text(texts, |text| plainly(meaning, text, number::whole))),
        ColumnType::Decimal { precision, scale } => {
            let read = |text: &str| plainly(meaning, text, |text| number::decimal(text, precision, scale));
            as_decimals(collected::<Decimal128Type>(meaning.each_text(texts, read)), precision, scale)
        }
        ColumnType::Double => collected::<Float64Type>(meaning.each_text(texts, |text| plainly(meaning, text, number::double))),
        _ => {
            let (values, bad) = meaning.each_text(texts, truth);
            Values { array: Arc::new(BooleanArray::from(values)), bad }
        }
    }
}

/// Reads a number as it would stand without its format.
#[inline]
fn plainly<T>(meaning: &Meaning, text: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let Some(Format::Number(format)) = &meaning.format else { return read(text) };
    let mut plain = String::with_capacity(text.len());
    if format.plain(text, &mut plain) { read(&plain) } else { None }
}

fn collected<T: ArrowPrimitiveType>((values, bad): (Vec<Option<T::Native>>, Bad)) -> Values {
    Values { array: Arc::new(values.into_iter().collect::<PrimitiveArray<T>>()), bad }
}

fn as_decimals(values: Values, precision: u8, scale: i8) -> Values {
    let array = values.array.as_primitive::<Decimal128Type>().clone();
    // Every value was read with this precision and scale.
    let typed = array.with_data_type(DataType::Decimal128(precision, scale));
    Values { array: Arc::new(typed), bad: values.bad }
}

/// Whether a text says yes or no.
fn truth(text: &str) -> Option<bool> {
    const YES: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
    const NO: [&str; 6] = ["false", "f", "no", "n", "off", "0"];
    let among = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if among(&YES) {
        return Some(true);
    }
    among(&NO).then_some(false)
}

/// Reads an array of numbers or truths.
pub fn read(array: &ArrayRef, meaning: &Meaning) -> Result<Values> {
    if array.data_type() == &meaning.data_type && meaning.column_type != ColumnType::Double {
        return Ok(Values::good(Arc::clone(array)));
    }
    let read = match meaning.column_type {
        ColumnType::Integer => integers(array)?,
        ColumnType::Decimal { precision, scale } => decimals(array, precision, scale)?,
        ColumnType::Double => doubles(array)?,
        _ => truths(array)?,
    };
    Ok(Values::lost(read, array, meaning.not_of_type()))
}

/// Whether values of a type may be none of the declared one's.
pub fn can_fail(meaning: &Meaning, held: &DataType) -> bool {
    let small = matches!(held, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32);
    match meaning.column_type {
        ColumnType::Integer => !small && held != &DataType::Int64,
        ColumnType::Boolean => held != &DataType::Boolean,
        ColumnType::Double => !small,
        ColumnType::Decimal { precision, scale } => match held {
            DataType::Decimal128(p, s) => !widens((*p, *s), (precision, scale)),
            DataType::Int64 | DataType::UInt32 => i16::from(precision) - i16::from(scale) < 19,
            _ if small => i16::from(precision) - i16::from(scale) < 10,
            _ => true,
        },
        _ => true,
    }
}

/// Whether every decimal of one precision and scale is one of another.
fn widens(from: (u8, i8), to: (u8, i8)) -> bool {
    let whole = |(precision, scale): (u8, i8)| i16::from(precision) - i16::from(scale);
    from.1 <= to.1 && whole(from) <= whole(to)
}

/// The whole number from which on a value of a type of float stands for several.
pub fn exact_limit(held: &DataType) -> f64 {
    match held {
        DataType::Float16 => 2048.0,
        DataType::Float32 => 16_777_216.0,
        _ => 9_007_199_254_740_992.0,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a whole number within the limit is exact")]
fn integers(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match Kind::of(array.data_type()) {
        Kind::Integer => safe_cast(array, &DataType::Int64)?,
        Kind::Float => {
            let limit = exact_limit(array.data_type());
            let whole = |value: f64| (value.fract() == 0.0 && value.abs() < limit).then_some(value as i64);
            Arc::new(wide_floats(array)?.iter().map(|value| value.and_then(whole)).collect::<Int64Array>())
        }
        Kind::Decimal => {
            let (wide, scale) = wide_decimals(array)?;
            let whole = |value: i256| rescaled(value, scale, 0).and_then(i256::to_i128).and_then(|value| i64::try_from(value).ok());
            Arc::new(wide.as_primitive::<Decimal256Type>().iter().map(|value| value.and_then(whole)).collect::<Int64Array>())
        }
        _ => return Err(misfit(array.data_type())),
    })
}

fn decimals(array: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let limit = 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    let fits = |value: &i128| -limit < *value && *value < limit;
    let decimals: Decimal128Array = match array.data_type() {
        DataType::Decimal128(p, s) if widens((*p, *s), (precision, scale)) => {
            return cast(array, &DataType::Decimal128(precision, scale)).map_err(defect);
        }
        DataType::Float32 => {
            let floats = array.as_primitive::<Float32Type>().iter();
            floats.map(|value| value.and_then(|value| number::decimal(&value.to_string(), precision, scale))).collect()
        }
        held => match Kind::of(held) {
            Kind::Float => {
                let floats = wide_floats(array)?;
                let ten = power_of_ten(scale);
                let read = |value: f64| {
                    let few = ten.and_then(|ten| units_of_few_digits(value, ten)).filter(&fits);
                    few.or_else(|| number::decimal(&value.to_string(), precision, scale))
                };
                floats.iter().map(|value| value.and_then(read)).collect()
            }
            Kind::Decimal | Kind::Integer => {
                let (wide, from) = wide_decimals(array)?;
                let read = |value: i256| rescaled(value, from, scale).and_then(i256::to_i128).filter(fits);
                wide.as_primitive::<Decimal256Type>().iter().map(|value| value.and_then(read)).collect()
            }
            _ => return Err(misfit(held)),
        },
    };
    Ok(Arc::new(decimals.with_data_type(DataType::Decimal128(precision, scale))))
}

/// The powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

fn power_of_ten(exponent: i8) -> Option<f64> {
    POWERS_OF_TEN.get(usize::try_from(exponent).ok()?).copied()
}

/// The units of a double that is written with at most 15 digits, in tenths, hundredths and so on as `ten` says; none of any other.
///
/// A division of two whole numbers that doubles hold exactly gives the double that is nearest to the decimal. No other decimal of at most 15
/// digits has the same nearest double, so this is the decimal that the double is written as.
#[allow(clippy::cast_possible_truncation, reason = "a whole number within the limit is exact")]
fn units_of_few_digits(value: f64, ten: f64) -> Option<i128> {
    const FEW: f64 = 1e15;
    let units = (value * ten).round();
    #[allow(clippy::float_cmp, reason = "the very double is meant")]
    let is_exact = units.abs() < FEW && units / ten == value;
    is_exact.then_some(units as i128)
}

#[allow(clippy::cast_precision_loss, reason = "it is compared with what came of it")]
fn doubles(array: &ArrayRef) -> Result<ArrayRef> {
    let doubles: Float64Array = match Kind::of(array.data_type()) {
        // There is one zero.
        Kind::Float => wide_floats(array)?.iter().map(|value| value.filter(|value| value.is_finite()).map(|value| value + 0.0)).collect(),
        Kind::Integer if array.data_type() == &DataType::UInt64 => {
            let exact = |value: u64| is_exact(value).then_some(value as f64);
            array.as_primitive::<UInt64Type>().iter().map(|value| value.and_then(exact)).collect()
        }
        Kind::Integer => {
            let exact = |value: i64| is_exact(value.unsigned_abs()).then_some(value as f64);
            safe_cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().iter().map(|value| value.and_then(exact)).collect()
        }
        Kind::Decimal => {
            let (wide, _) = wide_decimals(array)?;
            let texts = cast(&wide, &DataType::Utf8).map_err(defect)?;
            // The nearest double, if that is what the decimal is when it is written again.
            let read = |text: &str| {
                let plain = |text: &str| number::decimal(text, 38, decimal_places(text));
                let value = number::double(text)?;
                let again = value.to_string();
                let places = decimal_places(text).max(decimal_places(&again));
                (plain(text).is_some() && number::decimal(&again, 38, places) == number::decimal(text, 38, places)).then_some(value)
            };
            texts.as_string::<i32>().iter().map(|text| text.and_then(read)).collect()
        }
        _ => return Err(misfit(array.data_type())),
    };
    Ok(Arc::new(doubles))
}

/// Whether a float of 64 bits holds a whole number exactly: from its first to its last digit that is one, there are at most 53.
fn is_exact(size: u64) -> bool {
    size.leading_zeros() + 53 + size.trailing_zeros() >= 64
}

fn decimal_places(text: &str) -> i8 {
    text.split_once('.').map_or(0, |(_, fraction)| i8::try_from(fraction.len().min(38)).unwrap_or(38))
}

fn truths(array: &ArrayRef) -> Result<ArrayRef> {
    let (zero, one) = (i256::from_i128(0), i256::from_i128(1));
    let truths: BooleanArray = match Kind::of(array.data_type()) {
        Kind::Float => {
            let truth = |value: f64| if value == 0.0 { Some(false) } else { (value.to_bits() == 1.0_f64.to_bits()).then_some(true) };
            wide_floats(array)?.iter().map(|value| value.and_then(truth)).collect()
        }
        Kind::Integer | Kind::Decimal => {
            let (wide, scale) = wide_decimals(array)?;
            let truth = |value: i256| match rescaled(value, scale, 0) {
                Some(value) if value == zero => Some(false),
                Some(value) if value == one => Some(true),
                _ => None,
            };
            wide.as_primitive::<Decimal256Type>().iter().map(|value| value.and_then(truth)).collect()
        }
        _ => return Err(misfit(array.data_type())),
    };
    Ok(Arc::new(truths))
}

/// Floats with 64 bits, which hold all that those of fewer do.
fn wide_floats(array: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(array, &DataType::Float64).map_err(defect)?.as_primitive::<Float64Type>().clone())
}

/// Decimals or whole numbers with 76 digits, and their scale.
pub fn wide_decimals(array: &ArrayRef) -> Result<(ArrayRef, i8)> {
    let scale = match array.data_type() {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
            *scale
        }
        _ => 0,
    };
    Ok((cast(array, &DataType::Decimal256(76, scale)).map_err(defect)?, scale))
}

/// A decimal at another scale; none if digits would be lost or there are too many.
fn rescaled(value: i256, from: i8, to: i8) -> Option<i256> {
    let ten = i256::from_i128(10);
    let mut value = value;
    for _ in 0..(to - from).max(0) {
        value = value.checked_mul(ten)?;
    }
    for _ in 0..(from - to).max(0) {
        if value.checked_rem(ten)? != i256::from_i128(0) {
            return None;
        }
        value = value.checked_div(ten)?;
    }
    Some(value)
}

pub(super) fn safe_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    crate::cast::safely(array, to).map_err(defect)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a double is, the fast way knows it as what it is written as, or not at all.
        #[test]
        fn units_of_few_digits_are_those_of_the_written_number(bits: u64, whole in -(10_i64.pow(16))..10_i64.pow(16), off in -2..3_i64, scale in 0..23_i8) {
            let ten = power_of_ten(scale).unwrap();
            let near = |value: f64| f64::from_bits(value.to_bits().wrapping_add_signed(off));
            #[allow(clippy::cast_precision_loss, reason = "any double will do")]
            let nearest = whole as f64;
            let quotient = nearest / ten;
            for value in [f64::from_bits(bits), quotient, near(quotient), nearest, near(nearest)] {
                if let Some(units) = units_of_few_digits(value, ten) {
                    prop_assert_eq!(number::decimal(&value.to_string(), 38, scale), Some(units), "{} of scale {}", value, scale);
                }
            }
        }

        #[test]
        fn decimals_of_few_digits_are_known(units in -(10_i64.pow(15) - 1)..10_i64.pow(15), scale in 0..16_i8) {
            #[allow(clippy::cast_precision_loss, reason = "it has at most 15 digits")]
            let value = units as f64 / power_of_ten(scale).unwrap();
            prop_assert_eq!(units_of_few_digits(value, power_of_ten(scale).unwrap()), Some(i128::from(units)));
        }
    }
}
