//! Values read as days and moments.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, PrimitiveArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal256Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

use super::meaning::{EpochUnit, Format, Kind, Meaning, defect, misfit};
use super::numbers::wide_decimals;
use super::outcome::{Bad, Values};
use super::strings;
use crate::config::ColumnType;
use crate::error::Result;
use crate::local_time::{DAY_MICROS, SECOND_MICROS, Time, read_iso};
use crate::number;

const DAY_MILLIS: i64 = DAY_MICROS / 1000;

/// Reads texts.
pub fn of_texts(texts: &StringArray, meaning: &Meaning) -> Values {
    match &meaning.format {
        Some(Format::Pattern(pattern)) => of_times(meaning, meaning.each_text(texts, |text| pattern.read(text, &meaning.zone))),
        // With a power of ten, as spreadsheets shorten long numbers, the digits that count are lost.
        Some(Format::Epoch(unit)) => {
            of_times(meaning, meaning.each_text(texts, |text| if text.contains(['e', 'E']) { None } else { since_epoch(text, *unit) }))
        }
        Some(Format::Serial(serial)) => of_times(meaning, meaning.each_text(texts, |text| serial.read(text))),
        // A day needs no clock.
        None if meaning.column_type == ColumnType::Date => {
            let (days, bad) = meaning.each_text(texts, |text| read_iso(text).and_then(|written| written.time().day(&meaning.zone)));
            Values { array: Arc::new(Date32Array::from(days)), bad }
        }
        _ => of_times(meaning, meaning.each_text(texts, |text| read_iso(text).map(crate::local_time::Written::time))),
    }
}

/// Reads an array of days, moments, or numbers that a format gives a meaning.
pub fn read(array: &ArrayRef, meaning: &Meaning) -> Result<Values> {
    if array.data_type() == &meaning.data_type {
        return Ok(Values::good(Arc::clone(array)));
    }
    let times: Vec<Option<Time>> = match (array.data_type(), Kind::of(array.data_type())) {
        (DataType::Date32, _) => {
            let local = |day: i32| Time::Local(i64::from(day).saturating_mul(DAY_MICROS));
            array.as_primitive::<Date32Type>().iter().map(|day| day.map(local)).collect()
        }
        (DataType::Date64, _) => {
            let local = |millis: i64| (millis % DAY_MILLIS == 0).then(|| Time::Local(millis.saturating_mul(1000)));
            array.as_primitive::<Date64Type>().iter().map(|millis| millis.and_then(local)).collect()
        }
        (DataType::Timestamp(unit, zone), _) => {
            let time = if zone.is_some() { Time::Instant } else { Time::Local };
            match unit {
                TimeUnit::Second => moments::<TimestampSecondType>(array, |value| time(value.saturating_mul(SECOND_MICROS))),
                TimeUnit::Millisecond => moments::<TimestampMillisecondType>(array, |value| time(value.saturating_mul(1000))),
                TimeUnit::Microsecond => moments::<TimestampMicrosecondType>(array, time),
                TimeUnit::Nanosecond => moments::<TimestampNanosecondType>(array, |value| time(value.div_euclid(1000))),
            }
        }
        // The digits of a whole number, such as 20251106, are read as a text of them would be.
        (_, Kind::Integer | Kind::Float | Kind::Decimal) if !meaning.format.as_ref().is_some_and(Format::counts) => {
            let digits = strings::read(array, meaning)?;
            let mut values = of_texts(digits.array.as_string(), meaning);
            values.bad.extend(digits.bad);
            values.bad.sort_unstable();
            return Ok(values);
        }
        (held, Kind::Integer | Kind::Float | Kind::Decimal) => {
            let texts = match held {
                DataType::Float32 => shown::<Float32Type>(array),
                DataType::Float16 | DataType::Float64 => shown::<Float64Type>(&cast(array, &DataType::Float64).map_err(defect)?),
                DataType::Int64 if !matches!(meaning.format, Some(Format::Serial(_))) => return Ok(counted(array, meaning)),
                _ => {
                    let (wide, _) = wide_decimals(array)?;
                    let texts = cast(wide.as_primitive::<Decimal256Type>(), &DataType::Utf8).map_err(defect)?;
                    texts.as_string::<i32>().clone()
                }
            };
            return Ok(of_texts(&texts, meaning));
        }
        (held, _) => return Err(misfit(held)),
    };
    let values = of_times(meaning, (times, Vec::new()));
    Ok(Values::lost(values.array, array, meaning.not_of_type()))
}

/// Whether values of a type may be at fault: by their years, unless the file says which are its smallest and largest.
pub fn can_fail(meaning: &Meaning, held: &DataType, range: Option<(i64, i64)>) -> bool {
    let scaled = |unit: i64| range.map(|(min, max)| (min.saturating_mul(unit), max.saturating_mul(unit)));
    let instants = match held {
        DataType::Date32 => return range.is_none_or(|range| !meaning.years.hold_days(range)),
        DataType::Timestamp(TimeUnit::Second, _) => scaled(SECOND_MICROS),
        DataType::Timestamp(TimeUnit::Millisecond, _) => scaled(1000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => range,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => range.map(|(min, max)| (min / 1000, max / 1000)),
        _ => None,
    };
    instants.is_none_or(|range| !meaning.years.hold_instants(range))
}

/// Times as the declared type.
fn of_times(meaning: &Meaning, (times, bad): (Vec<Option<Time>>, Bad)) -> Values {
    let zone = &meaning.zone;
    let array: ArrayRef = if meaning.column_type == ColumnType::Date {
        // A day that no calendar has stands at its end, where its year is not allowed.
        let day = |time: Time| time.day(zone).unwrap_or(if time.instant(zone) < 0 { i32::MIN } else { i32::MAX });
        Arc::new(times.into_iter().map(|time| time.map(day)).collect::<Date32Array>())
    } else {
        let instants = times.into_iter().map(|time| time.map(|time| time.instant(zone)));
        let instants: PrimitiveArray<TimestampMicrosecondType> = instants.collect();
        // The column's own zone may be another than the pipeline's.
        Arc::new(instants.with_data_type(meaning.data_type.clone()))
    };
    Values { array, bad }
}

fn moments<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, time: impl Fn(i64) -> Time) -> Vec<Option<Time>> {
    array.as_primitive::<T>().iter().map(|value| value.map(&time)).collect()
}

/// Whole numbers of a unit since 1970. What 64 bits cannot count in microseconds stands at their end, where its year is not allowed.
fn counted(array: &ArrayRef, meaning: &Meaning) -> Values {
    let time = |value: i64| match meaning.format {
        Some(Format::Epoch(EpochUnit::Seconds)) => Time::Instant(value.saturating_mul(SECOND_MICROS)),
        Some(Format::Epoch(EpochUnit::Milliseconds)) => Time::Instant(value.saturating_mul(1000)),
        Some(Format::Epoch(EpochUnit::Nanoseconds)) => Time::Instant(value.div_euclid(1000)),
        Some(Format::Epoch(EpochUnit::Days)) => Time::Local(value.saturating_mul(DAY_MICROS)),
        _ => Time::Instant(value),
    };
    of_times(meaning, (moments::<Int64Type>(array, time), Vec::new()))
}

/// A moment that is counted from 1970, to the microsecond; of days, which are local, only a whole number is one.
fn since_epoch(text: &str, unit: EpochUnit) -> Option<Time> {
    // How many digits of the unit a microsecond is.
    let digits = match unit {
        EpochUnit::Seconds => 6,
        EpochUnit::Milliseconds => 3,
        EpochUnit::Microseconds => 0,
        EpochUnit::Nanoseconds => -3,
        EpochUnit::Days => return number::whole(text).map(|days| Time::Local(days.saturating_mul(DAY_MICROS))),
    };
    let micros = number::floor(text, digits)?;
    let end = if micros < 0 { i64::MIN } else { i64::MAX };
    Some(Time::Instant(i64::try_from(micros).unwrap_or(end)))
}

/// Floats as they are written with the fewest digits that tell them from their neighbours; what is no number is no word for no value.
fn shown<T: ArrowPrimitiveType>(array: &ArrayRef) -> StringArray
where
    T::Native: std::fmt::Display + Into<f64>,
{
    let text = |value: T::Native| if value.into().is_finite() { value.to_string() } else { "not a number".to_owned() };
    array.as_primitive::<T>().iter().map(|value| value.map(text)).collect()
}
