//! The years in which dates and moments may lie. Values outside are mostly numbers in a wrong unit or shortened years.

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, Date32Type, TimestampMicrosecondType};

use super::outcome::Bad;
use crate::local_time::{DAY_MICROS, Zone};

/// Days before the first of these, counted from 1970-01-01, are bad: 1900-01-01.
const FIRST_DAY: i32 = -25_567;
/// Days from this one on are bad: 2201-01-01.
const END_DAY: i32 = 84_371;
/// How systems write that something has no end: 9999-12-31.
const OPEN_END: i32 = 2_932_896;

/// The reason for a date or moment of a year that is not allowed.
pub const YEAR_OUT_OF_RANGE: &str = "year-out-of-range";

/// Which days are allowed, counted from 1970-01-01, and the same as moments in microseconds.
#[derive(Debug, Clone)]
pub struct Years {
    days: std::ops::Range<i32>,
    instants: std::ops::Range<i64>,
}

impl Years {
    /// Days of the years 1900 to 2200, or as far as a contract's bounds reach beyond them; a day is counted from 1970-01-01.
    pub fn within(zone: &Zone, min: Option<i32>, max: Option<i32>) -> Self {
        let start = min.map_or(FIRST_DAY, |min| min.min(FIRST_DAY));
        let end = max.map_or(END_DAY, |max| max.saturating_add(1).max(END_DAY));
        Years { days: start..end, instants: zone.first_moment(start)..zone.first_moment(end) }
    }

    /// Whether all that lies between two days is allowed.
    pub fn hold_days(&self, (min, max): (i64, i64)) -> bool {
        i64::from(self.days.start) <= min && max < i64::from(self.days.end)
    }

    /// Whether all that lies between two moments, give or take a day for the offset from UTC, is allowed.
    pub fn hold_instants(&self, (min, max): (i64, i64)) -> bool {
        self.instants.start.saturating_add(DAY_MICROS) <= min && max < self.instants.end.saturating_sub(DAY_MICROS)
    }

    /// Adds the rows whose days or moments are of other years; they are the only ones that are not null yet.
    pub fn check(&self, array: &ArrayRef, zone: &Zone, bad: &mut Bad) {
        let before = bad.len();
        if let Some(days) = array.as_primitive_opt::<Date32Type>() {
            // The day before is the last where clocks are behind UTC.
            outside(days, &self.days, |day| day == OPEN_END || day == OPEN_END - 1, bad);
        } else if let Some(instants) = array.as_primitive_opt::<TimestampMicrosecondType>() {
            let open_end = |instant: i64| {
                instant.div_euclid(DAY_MICROS) == i64::from(OPEN_END) || zone.day_of(instant).is_some_and(|day| day == OPEN_END)
            };
            outside(instants, &self.instants, open_end, bad);
        }
        if before > 0 && bad.len() > before {
            bad.sort_unstable();
        }
    }
}

fn outside<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    allowed: &std::ops::Range<T::Native>,
    but: impl Fn(T::Native) -> bool,
    bad: &mut Bad,
) where
    T::Native: PartialOrd,
{
    // The bytes under a null have no meaning and are mostly zero, so few columns must be compared row by row because of them.
    if array.values().iter().all(|value| allowed.contains(value)) {
        return;
    }
    let wrong = array.iter().enumerate().filter(|(_, value)| value.is_some_and(|value| !allowed.contains(&value) && !but(value)));
    bad.extend(wrong.map(|(row, _)| (row, YEAR_OUT_OF_RANGE)));
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn the_days_are_those_that_are_said() {
        let day = |year, month, day| Date32Type::from_naive_date(NaiveDate::from_ymd_opt(year, month, day).unwrap());
        assert_eq!([FIRST_DAY, END_DAY, OPEN_END], [day(1900, 1, 1), day(2201, 1, 1), day(9999, 12, 31)]);
    }
}
