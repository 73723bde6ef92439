//! The days a run covers, counted from its first day, and the months its files are cut into.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, TimeDelta};

pub(super) const DAY_SECONDS: i64 = 86_400;

/// Days of one month, as offsets from the first day of the run.
#[derive(Clone, Debug)]
pub(super) struct Month {
    /// `YYYY-MM`, the name of the month's file.
    pub(super) label: String,
    /// `YYYYMM` as a number: identifiers of a month start with it and so never meet another month's.
    pub(super) number: i64,
    pub(super) first_day: i32,
    pub(super) last_day: i32,
}

impl Month {
    pub(super) fn contains(&self, day: i32) -> bool {
        (self.first_day..=self.last_day).contains(&day)
    }
}

#[derive(Debug)]
pub(super) struct Calendar {
    from: NaiveDate,
    /// The last day, counted from the first, which is day 0.
    pub(super) last_day: i32,
    pub(super) months: Vec<Month>,
}

impl Calendar {
    /// The days `from..=to`; empty months when `to` is before `from`.
    pub(super) fn new(from: NaiveDate, to: NaiveDate) -> Self {
        let last_day = days_between(from, to);
        let mut months: Vec<Month> = Vec::new();
        for (day, date) in (0..=last_day).zip(from.iter_days()) {
            let number = i64::from(date.year()) * 100 + i64::from(date.month());
            match months.last_mut() {
                Some(month) if month.number == number => month.last_day = day,
                _ => months.push(Month { label: format!("{:04}-{:02}", date.year(), date.month()), number, first_day: day, last_day: day }),
            }
        }
        Self { from, last_day, months }
    }

    pub(super) fn date(&self, day: i32) -> NaiveDate {
        self.from.checked_add_signed(TimeDelta::days(i64::from(day))).unwrap_or(self.from)
    }

    /// The day offset of `date`.
    pub(super) fn day_of(&self, date: NaiveDate) -> i32 {
        days_between(self.from, date)
    }

    /// Microseconds since 1970-01-01T00:00:00Z of a second counted from the start of the run.
    pub(super) fn micros(&self, second: i64) -> i64 {
        let epoch_days = i64::from(days_between(NaiveDate::default(), self.from));
        (epoch_days * DAY_SECONDS + second) * 1_000_000
    }

    /// Appends `YYYY-MM-DDTHH:MM:SSZ` for a second counted from the start of the run.
    pub(super) fn push_rfc3339(&self, text: &mut String, second: i64) {
        let day = i32::try_from(second.div_euclid(DAY_SECONDS)).unwrap_or(0);
        let date = self.date(day);
        let clock = second.rem_euclid(DAY_SECONDS);
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            date.year(),
            date.month(),
            date.day(),
            clock / 3_600,
            clock / 60 % 60,
            clock % 60
        );
    }

    /// How busy a day is, in thousandths of an ordinary one: gifts sell before Christmas.
    pub(super) fn season(&self, day: i32) -> u64 {
        match self.date(day).month() {
            9 => 1_100,
            10 => 1_250,
            11 => 1_550,
            12 => 1_100,
            1 | 2 => 800,
            _ => 900,
        }
    }
}

fn days_between(from: NaiveDate, to: NaiveDate) -> i32 {
    i32::try_from(to.signed_duration_since(from).num_days()).unwrap_or(i32::MAX)
}
