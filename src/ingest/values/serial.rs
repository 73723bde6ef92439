//! Days as spreadsheets count them.

use crate::local_time::{DAY_MICROS, Time};
use crate::number;

/// A system by which spreadsheets count days. The fraction of a number is the time of day, and all of it is local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serial {
    /// 1 is 1900-01-01, and 60 is 1900-02-29, a day that never was: Excel on Windows, and from March 1900 on most others.
    Since1900,
    /// 0 is 1904-01-01: Excel on old Macs.
    Since1904,
}

/// The day before 1900-01-01, counted from 1970-01-01.
const BEFORE_1900: i64 = -25_568;
/// 1904-01-01, counted from 1970-01-01.
const FIRST_OF_1904: i64 = -24_107;
/// The number of the day that never was.
const NO_DAY: i64 = 60;
/// Digits of a fraction of a day that are looked at; what is beyond is less than a spreadsheet can hold.
const PLACES: i32 = 15;
const DAY_MILLIS: i128 = 24 * 60 * 60 * 1000;
/// Days whose numbers no calendar has.
const BEYOND_CALENDAR: i128 = 100_000_000;

impl Serial {
    /// The system that a format names.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "serial_1900" => Some(Serial::Since1900),
            "serial_1904" => Some(Serial::Since1904),
            _ => None,
        }
    }

    /// Reads a number, to the nearest millisecond, which is as exact as spreadsheets are: a binary fraction of a day is seldom a whole second.
    /// None for what is before the first day, and for the day that never was.
    pub fn read(self, text: &str) -> Option<Time> {
        // With a power of ten, as spreadsheets shorten long numbers, the digits that count are lost.
        if text.contains(['e', 'E']) {
            return None;
        }
        let unit = 10_i128.pow(PLACES.unsigned_abs());
        let number = number::floor(text, PLACES)?.clamp(-BEYOND_CALENDAR * unit, BEYOND_CALENDAR * unit);
        let millis = (number * DAY_MILLIS + unit / 2).div_euclid(unit);
        let (day, of_day) = (i64::try_from(millis.div_euclid(DAY_MILLIS)).ok()?, i64::try_from(millis.rem_euclid(DAY_MILLIS)).ok()?);
        Some(Time::Local(self.day(day)?.saturating_mul(DAY_MICROS).saturating_add(of_day * 1000)))
    }

    /// The day of a whole number, counted from 1970-01-01.
    fn day(self, number: i64) -> Option<i64> {
        match self {
            Serial::Since1900 if number < 1 || number == NO_DAY => None,
            Serial::Since1900 if number < NO_DAY => Some(BEFORE_1900 + number),
            Serial::Since1900 => Some(BEFORE_1900 + number - 1),
            Serial::Since1904 if number < 0 => None,
            Serial::Since1904 => Some(FIRST_OF_1904 + number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(serial: Serial, text: &str) -> Option<String> {
        let Time::Local(micros) = serial.read(text)? else { panic!("{text} is a moment") };
        Some(chrono::DateTime::from_timestamp_micros(micros)?.format("%Y-%m-%d %H:%M:%S%.3f").to_string())
    }

    /// As openpyxl 3.1 reads them, but for the days 0 and 60, of which it makes a time of day and 1900-02-28.
    #[test]
    fn days_are_those_of_spreadsheets() {
        for (text, since_1900, since_1904) in [
            ("1", Some("1900-01-01 00:00:00.000"), Some("1904-01-02 00:00:00.000")),
            ("59", Some("1900-02-28 00:00:00.000"), Some("1904-02-29 00:00:00.000")),
            ("60", None, Some("1904-03-01 00:00:00.000")),
            ("60.5", None, Some("1904-03-01 12:00:00.000")),
            ("61", Some("1900-03-01 00:00:00.000"), Some("1904-03-02 00:00:00.000")),
            ("45967.1460069444", Some("2025-11-06 03:30:15.000"), Some("2029-11-07 03:30:15.000")),
            ("45967.146012731487", Some("2025-11-06 03:30:15.500"), Some("2029-11-07 03:30:15.500")),
            ("45967.99999999999", Some("2025-11-07 00:00:00.000"), Some("2029-11-08 00:00:00.000")),
            ("59.99999999999", None, Some("1904-03-01 00:00:00.000")),
            ("+2958465.0", Some("9999-12-31 00:00:00.000"), None),
            ("0", None, Some("1904-01-01 00:00:00.000")),
            ("0.5", None, Some("1904-01-01 12:00:00.000")),
            ("-1", None, None),
            ("4.5967e4", None, None),
            ("45967,5", None, None),
            ("", None, None),
        ] {
            assert_eq!(told(Serial::Since1900, text).as_deref(), since_1900, "{text}");
            if since_1904.is_some() || since_1900.is_none() {
                assert_eq!(told(Serial::Since1904, text).as_deref(), since_1904, "{text}");
            }
        }
    }

    proptest! {
        /// A time of day of whole milliseconds comes back from the binary fraction that a spreadsheet makes of it.
        #[test]
        fn milliseconds_survive_as_fractions_of_a_day(day in 61..2_958_466_i32, millis in 0..86_400_000_i32) {
            let number = f64::from(day) + f64::from(millis) / 86_400_000.0;
            let known = (BEFORE_1900 + i64::from(day) - 1) * DAY_MICROS + i64::from(millis) * 1000;
            prop_assert_eq!(Serial::Since1900.read(&number.to_string()), Some(Time::Local(known)));
        }
    }
}
