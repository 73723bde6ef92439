//! Reads dates and moments in ISO 8601 and in common variants of it.

use super::time::Time;
use super::units::{DAY_MICROS, SECOND_MICROS};

/// The meaning of a text: a day alone, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A day, counted from 1970-01-01.
    Day(i32),
    /// A time with its day.
    Time(Time),
}

impl Written {
    /// The time that is meant: for a day alone, the local time at which it begins.
    pub fn time(self) -> Time {
        match self {
            Written::Day(day) => Time::Local(i64::from(day) * DAY_MICROS),
            Written::Time(time) => time,
        }
    }
}

/// Reads `YYYY-MM-DD`, alone or with a time of day after `T` or a space: `HH:MM`, `HH:MM:SS` or `HH:MM:SS.` and digits, of which those
/// below the microsecond are dropped; then perhaps `Z`, `UTC`, `±HH`, `±HHMM` or `±HH:MM`. None for anything else.
pub fn read_iso(text: &str) -> Option<Written> {
    let mut rest = Rest(text.trim_ascii().as_bytes());
    let year = rest.digits(4, 4)?;
    rest.takes(b'-')?;
    let month = rest.digits(2, 2)?;
    rest.takes(b'-')?;
    let day = rest.digits(2, 2)?;
    let day = days_from_civil(year, month, day)?;
    if rest.0.is_empty() {
        return Some(Written::Day(day));
    }
    let (b'T' | b't' | b' ') = rest.next()? else { return None };
    let hour = rest.digits(2, 2).filter(|hour| *hour < 24)?;
    rest.takes(b':')?;
    let minute = rest.digits(2, 2).filter(|minute| *minute < 60)?;
    let mut micros = i64::from(hour * 3600 + minute * 60) * SECOND_MICROS;
    if rest.0.first() == Some(&b':') {
        rest.takes(b':')?;
        micros += i64::from(rest.digits(2, 2).filter(|second| *second < 60)?) * SECOND_MICROS;
        if rest.0.first() == Some(&b'.') {
            rest.takes(b'.')?;
            micros += rest.fraction()?;
        }
    }
    let local = i64::from(day) * DAY_MICROS + micros;
    if rest.0.is_empty() {
        return Some(Written::Time(Time::Local(local)));
    }
    let offset = i64::from(read_offset(std::str::from_utf8(rest.0).ok()?.trim_start())?);
    Some(Written::Time(Time::Instant(local - offset * SECOND_MICROS)))
}

/// Reads an offset from UTC, in seconds: `Z`, `UTC`, `±HH`, `±HHMM` or `±HH:MM`. `GMT` is none: in summer some mean the clocks of London.
pub fn read_offset(text: &str) -> Option<i32> {
    if ["Z", "z", "UTC"].contains(&text) {
        return Some(0);
    }
    let mut rest = Rest(text.as_bytes());
    let sign = match rest.next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = rest.digits(2, 2).filter(|hours| *hours < 24)?;
    if rest.0.first() == Some(&b':') {
        rest.takes(b':')?;
    }
    let minutes = if rest.0.is_empty() && !text.ends_with(':') { 0 } else { rest.digits(2, 2).filter(|minutes| *minutes < 60)? };
    rest.0.is_empty().then_some(sign * (hours * 3600 + minutes * 60))
}

/// The day of a date of the Gregorian calendar, counted from 1970-01-01; none where there is no such date.
fn days_from_civil(year: i32, month: i32, day: i32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March end with the leap day; 400 of them are always as long.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// What is left of a text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    #[inline]
    fn takes(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// So many digits at least and at most, as a number.
    #[inline]
    fn digits(&mut self, fewest: usize, most: usize) -> Option<i32> {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if count < fewest {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i32::from(digit - b'0')))
    }

    /// Digits after a point, in microseconds.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(6);
        (count > 0).then(|| padded.fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate, NaiveDateTime};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_are_counted_as_chrono_counts_them(year in 0..10_000_i32, month in 0..14_u32, day in 0..33_u32) {
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            let known = NaiveDate::from_ymd_opt(year, month, day).map(|date| (date - epoch).num_days());
            let ours = days_from_civil(year, i32::try_from(month).unwrap(), i32::try_from(day).unwrap());
            prop_assert_eq!(ours.map(i64::from), known);
        }

        #[test]
        fn moments_are_read_as_chrono_reads_them(micros in -62_135_596_800_000_000..253_402_300_799_999_999_i64, hours in -23..24_i32, minutes in 0..60_i32) {
            let moment = DateTime::from_timestamp_micros(micros).unwrap();
            let local = moment.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
            prop_assert_eq!(read_iso(&local), Some(Written::Time(Time::Local(micros))));
            prop_assert_eq!(read_iso(&format!("{local}Z")), Some(Written::Time(Time::Instant(micros))));
            let offset = format!("{}{:02}:{minutes:02}", if hours < 0 { '-' } else { '+' }, hours.abs());
            let text = format!("{local}{offset}");
            let known = DateTime::parse_from_rfc3339(&text).unwrap().timestamp_micros();
            prop_assert_eq!(read_iso(&text), Some(Written::Time(Time::Instant(known))));
        }

        #[test]
        fn nothing_is_read_that_chrono_would_not(text in "[0-9]{3,5}-[0-9]{1,3}-[0-9]{1,3}([T ][0-9]{1,3}:[0-9]{1,3}(:[0-9]{1,3})?)?") {
            let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
            let time = |text: &str, format| NaiveDateTime::parse_from_str(&text.replace('T', " "), format).is_ok();
            let known = date(&text) || time(&text, "%Y-%m-%d %H:%M") || time(&text, "%Y-%m-%d %H:%M:%S");
            prop_assert!(read_iso(&text).is_none() || known, "{}", text);
        }
    }

    #[test]
    fn everyday_spellings_are_read_and_others_are_not() {
        let noon = Written::Time(Time::Instant(1_762_430_400_000_000));
        for text in [
            "2025-11-06T12:00Z",
            "2025-11-06 12:00:00 UTC",
            "2025-11-06 14:00:00+02",
            "2025-11-06t07:00:00.0000000-0500",
            " 2025-11-06 12:00z ",
        ] {
            assert_eq!(read_iso(text), Some(noon), "{text}");
        }
        assert_eq!(read_iso("2025-11-06"), Some(Written::Day(20_398)));
        assert_eq!(read_iso("2025-11-06 00:00:00.9999999"), Some(Written::Time(Time::Local(1_762_387_200_999_999))));
        let others = [
            "",
            "2025",
            "25-11-06",
            "2025-02-29",
            "06/11/2025",
            "20251106",
            "2025-11-06T",
            "2025-11-06T12",
            "2025-11-06T24:00",
            "2025-11-06T12:60",
            "2025-11-06T12:00:60",
            "2025-11-06T12:00:00.",
            "2025-11-06T12:00:00+1",
            "2025-11-06T12:00:00+02:",
            "2025-11-06T12:00 EST",
            "2025-11-06T12:00 GMT",
            "2025-1-6",
            "0000-00-00",
            "+2025-11-06",
            "2025-11-06T12:00:00+24:00",
        ];
        for text in others {
            assert_eq!(read_iso(text), None, "{text}");
        }
    }
}
