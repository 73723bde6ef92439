//! Moments whose date, time of day and zone are in columns of their own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;

use super::meaning::{Format, Kind, Meaning, defect, misfit};
use super::outcome::Values;
use super::pattern::{Pattern, named};
use super::strings;
use crate::error::Result;
use crate::local_time::{DAY_MICROS, SECOND_MICROS, Time, Written, read_iso, read_offset};

/// A part of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its date, or its date and time.
    Date,
    /// Its time of day.
    Time,
    /// Its zone.
    Zone,
}

/// How the parts of a moment are read together.
#[derive(Debug)]
pub struct Moment {
    /// The format of a date alone, and of a time of day after a date in ISO 8601; none where the contract has no format.
    formats: Option<(Pattern, Pattern)>,
    has_time: bool,
    has_zone: bool,
    /// Whether a moment without a zone is in the column's own.
    may_lack_zone: bool,
}

/// What stands in the place of a value that is no text.
const UNREADABLE: &str = "\u{fffd}";

impl Moment {
    /// How parts are read that a format writes with one space between date and time.
    ///
    /// # Errors
    /// What is wrong with the format.
    pub fn new(format: Option<(&str, &Format)>, has_time: bool, has_zone: bool, may_lack_zone: bool) -> Result<Self, &'static str> {
        let formats = match format {
            None => None,
            Some((_, Format::Pattern(whole))) if has_zone && whole.says_zone() => return Err("it has a zone, which is a part of its own"),
            Some((text, Format::Pattern(_))) if has_time => {
                Some(divided(text).ok_or("it is not that of a date, one space, and a time of day")?)
            }
            Some((_, Format::Pattern(_))) => None,
            Some(_) => return Err("it is that of one number"),
        };
        Ok(Moment { formats, has_time, has_zone, may_lack_zone })
    }

    /// Reads the parts of each row; a time of day or a zone that the file does not have is missing from each. Without date and time there is no
    /// value; with one of them alone, or without a zone, it is bad.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] when an array is of a type that is refused before.
    pub fn read(&self, meaning: &Meaning, date: &ArrayRef, time: Option<&ArrayRef>, zone: Option<&ArrayRef>) -> Result<Values> {
        let date = Held::of(date, Part::Date, meaning)?;
        let time = time.map(|time| Held::of(time, Part::Time, meaning)).transpose()?;
        let zone = zone.map(|zone| Held::of(zone, Part::Zone, meaning)).transpose()?;
        let (mut moments, mut bad) = (Vec::with_capacity(date.len()), Vec::new());
        for row in 0..date.len() {
            let (day, of_day) = (date.value(row, meaning), value_of(time.as_ref(), row, meaning));
            let moment = match (day, of_day) {
                (Value::Missing, Value::Missing) => None,
                parts => {
                    let time = self.time(parts, meaning);
                    let moment = time.and_then(|time| {
                        if self.has_zone {
                            self.instant(time, value_of(zone.as_ref(), row, meaning), meaning)
                        } else {
                            Some(time.instant(&meaning.zone))
                        }
                    });
                    if moment.is_none() {
                        bad.push((row, meaning.not_of_type()));
                    }
                    moment
                }
            };
            moments.push(moment);
        }
        let moments = PrimitiveArray::<TimestampMicrosecondType>::from(moments).with_data_type(meaning.data_type.clone());
        Ok(Values { array: Arc::new(moments), bad })
    }

    /// The time that a date and a time of day are together.
    fn time(&self, parts: (Value<'_>, Value<'_>), meaning: &Meaning) -> Option<Time> {
        let whole = match &meaning.format {
            Some(Format::Pattern(pattern)) => Some(pattern),
            _ => None,
        };
        let zone = &meaning.zone;
        let is_midnight = |day: i64| day.rem_euclid(DAY_MICROS) == 0;
        let of_one_day = |of_day: i64| (0..DAY_MICROS).contains(&of_day).then_some(of_day);
        match parts {
            (Value::Text(date), Value::Missing) if !self.has_time => match whole {
                Some(pattern) => pattern.read(date, zone),
                None => read_iso(date).map(Written::time),
            },
            (Value::Micros(local), Value::Missing) if !self.has_time => Some(Time::Local(local)),
            (Value::Text(date), Value::Text(of_day)) => time_of(&format!("{date} {of_day}"), whole, meaning),
            // A date that has a time of day is none.
            (Value::Micros(day), Value::Text(of_day)) if is_midnight(day) => {
                let date = DateTime::from_timestamp_micros(day)?.format("%Y-%m-%d");
                time_of(&format!("{date} {of_day}"), self.formats.as_ref().map(|(_, time)| time), meaning)
            }
            (Value::Text(date), Value::Micros(of_day)) => {
                let day = match &self.formats {
                    Some((pattern, _)) => pattern.read(date, zone)?,
                    None => read_iso(date).filter(|written| matches!(written, Written::Day(_)))?.time(),
                };
                let Time::Local(day) = day else { return None };
                Some(Time::Local(day.checked_add(of_one_day(of_day)?)?))
            }
            (Value::Micros(day), Value::Micros(of_day)) if is_midnight(day) => Some(Time::Local(day.checked_add(of_one_day(of_day)?)?)),
            _ => None,
        }
    }

    /// The moment of a local time in the zone that is a part.
    fn instant(&self, time: Time, zone: Value<'_>, meaning: &Meaning) -> Option<i64> {
        // A time that has an offset of its own has two zones.
        let Time::Local(local) = time else { return None };
        match zone {
            Value::Missing if self.may_lack_zone => Some(meaning.zone.instant_of(local)),
            Value::Text(name) => match read_offset(name) {
                Some(seconds) => local.checked_sub(i64::from(seconds) * SECOND_MICROS),
                None => match named(name, DateTime::from_timestamp_micros(local)?.naive_utc(), &meaning.zone)? {
                    Time::Instant(instant) => Some(instant),
                    Time::Local(_) => None,
                },
            },
            _ => None,
        }
    }
}

/// Reads a date and a time of day that a space divides; a date alone is none.
fn time_of(text: &str, pattern: Option<&Pattern>, meaning: &Meaning) -> Option<Time> {
    match pattern {
        Some(pattern) => pattern.read(text, &meaning.zone),
        None => match read_iso(text)? {
            Written::Day(_) => None,
            Written::Time(time) => Some(time),
        },
    }
}

/// The formats of a date, and of a time of day after a date in ISO 8601, of a format that has a space between them.
fn divided(text: &str) -> Option<(Pattern, Pattern)> {
    text.match_indices(' ').find_map(|(at, _)| {
        let date = Pattern::new(&text[..at]).ok().filter(|date| !date.has_time())?;
        let time = Pattern::new(&format!("%Y-%m-%d {}", &text[at + 1..])).ok().filter(Pattern::has_time)?;
        Some((date, time))
    })
}

/// Whether a file's values of a type can be a part; if not, what to do. `is_alone` is for a date beside which there is no time of day.
///
/// # Errors
/// What to write instead.
pub fn fits(part: Part, is_alone: bool, meaning: &Meaning, held: &DataType) -> Result<(), &'static str> {
    let is_written = meaning.format.is_some();
    match (part, Kind::of(held)) {
        (_, Kind::Text | Kind::Nothing) => Ok(()),
        (Part::Date | Part::Time, Kind::Integer | Kind::Float | Kind::Decimal) if is_written => Ok(()),
        (Part::Date, Kind::Moment) if matches!(held, DataType::Timestamp(_, Some(_))) => Err("it has a zone already: read it with `from`"),
        (Part::Date, Kind::Moment) => Ok(()),
        (Part::Time, Kind::TimeOfDay) => Ok(()),
        (Part::Date, _) if is_alone => Err("a date with its time is text or a timestamp"),
        (Part::Date, _) => Err("the date of a moment is text, a date, or a number with a `format` such as `%Y%m%d %H%M%S`"),
        (Part::Time, _) => Err("the time of day is text, a time, or a number with a `format` such as `%Y%m%d %H%M%S`"),
        (Part::Zone, _) => Err("the zone of a moment is text"),
    }
}

/// The values of a part.
enum Held {
    Texts(StringArray),
    /// Microseconds: local ones since 1970, or of a day.
    Micros(PrimitiveArray<Int64Type>),
}

/// A part of one row.
#[derive(Clone, Copy)]
enum Value<'a> {
    Missing,
    Text(&'a str),
    Micros(i64),
}

fn value_of<'a>(held: Option<&'a Held>, row: usize, meaning: &Meaning) -> Value<'a> {
    held.map_or(Value::Missing, |held| held.value(row, meaning))
}

impl Held {
    fn of(array: &ArrayRef, part: Part, meaning: &Meaning) -> Result<Self> {
        let texts = |texts: ArrayRef| {
            let text = |row: usize| {
                if array.is_null(row) {
                    None
                } else if texts.is_null(row) {
                    Some(UNREADABLE)
                } else {
                    Some(texts.as_string::<i32>().value(row))
                }
            };
            Held::Texts((0..array.len()).map(text).collect())
        };
        let as_numbers = || -> Result<PrimitiveArray<Int64Type>> {
            Ok(cast(array, &DataType::Int64).map_err(defect)?.as_primitive::<Int64Type>().clone())
        };
        let of_unit = |numbers: &PrimitiveArray<Int64Type>, unit: &TimeUnit| {
            Held::Micros(match unit {
                TimeUnit::Second => numbers.unary(|value| value.saturating_mul(SECOND_MICROS)),
                TimeUnit::Millisecond => numbers.unary(|value| value.saturating_mul(1000)),
                TimeUnit::Microsecond => numbers.clone(),
                TimeUnit::Nanosecond => numbers.unary(|value| value.div_euclid(1000)),
            })
        };
        Ok(match (array.data_type(), Kind::of(array.data_type()), part) {
            (DataType::Null, ..) => Held::Texts(StringArray::new_null(array.len())),
            (DataType::Utf8, ..) => Held::Texts(array.as_string().clone()),
            (DataType::Dictionary(_, value), Kind::Text, _) => return Held::of(&cast(array, value).map_err(defect)?, part, meaning),
            (DataType::LargeUtf8 | DataType::Utf8View, ..) => texts(cast(array, &DataType::Utf8).map_err(defect)?),
            (_, Kind::Text, _) => texts(strings::of_bytes(array)?),
            (DataType::Date32, _, Part::Date) => Held::Micros(as_numbers()?.unary(|day| day.saturating_mul(DAY_MICROS))),
            (DataType::Date64, _, Part::Date) => of_unit(&as_numbers()?, &TimeUnit::Millisecond),
            (DataType::Timestamp(unit, None), _, Part::Date) => of_unit(&as_numbers()?, unit),
            (DataType::Time32(unit) | DataType::Time64(unit), _, Part::Time) => of_unit(&as_numbers()?, unit),
            (_, Kind::Integer | Kind::Float | Kind::Decimal, Part::Date | Part::Time) => texts(strings::read(array, meaning)?.array),
            (held, ..) => return Err(misfit(held)),
        })
    }

    fn len(&self) -> usize {
        match self {
            Held::Texts(texts) => texts.len(),
            Held::Micros(micros) => micros.len(),
        }
    }

    /// The value of a row; a text without the space around it, and none where it stands for no value.
    fn value(&self, row: usize, meaning: &Meaning) -> Value<'_> {
        match self {
            Held::Texts(texts) if texts.is_valid(row) => {
                let text = texts.value(row).trim();
                if meaning.is_null_word(text) { Value::Missing } else { Value::Text(text) }
            }
            Held::Micros(micros) if micros.is_valid(row) => Value::Micros(micros.value(row)),
            _ => Value::Missing,
        }
    }
}
