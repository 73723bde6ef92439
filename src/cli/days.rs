//! The days that a run is for: one, or several in order.

use chrono::{Days, Months, NaiveDate};
use clap::{Args, ValueEnum};

use crate::error::{Error, Result};

/// The most days that one command publishes: more than a hundred years.
const MAX_DAYS: usize = 40_000;

/// A day as it is typed.
pub fn day(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| "write a day that exists, such as 2011-12-10".to_owned())
}

/// The days to publish.
#[derive(Debug, Clone, Args)]
pub struct DaysArguments {
    /// The as-of day: nothing that happened on it or later counts
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day, required_unless_present_any = ["from", "chain"], conflicts_with_all = ["from", "chain"])]
    pub as_of: Option<NaiveDate>,
    /// Publish several days in order, from this one on. Days that are published and unchanged are skipped
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub from: Option<NaiveDate>,
    /// The last of these days; with `--every`, the last step that is not after it
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub to: Option<NaiveDate>,
    /// Publish again, in order, every published day that is built on a superseded predecessor, each with the parameters that it was
    /// published with; with `--from` and `--to`, only those of these days
    #[arg(long, conflicts_with = "every")]
    pub chain: bool,
    /// The step from one day to the next
    #[arg(long, value_enum, default_value_t = Every::Day, requires = "from")]
    pub every: Every,
}

/// The step from one day to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Every {
    /// Every day
    Day,
    /// The same day of every week
    Week,
    /// The same day of every month, or the month's last where it is shorter
    Month,
}

impl DaysArguments {
    /// Whether several days were asked for.
    pub fn is_backfill(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Whether a published day is one of those that `--chain` is for.
    pub fn is_in_chain(&self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// The days in order, at least one.
    ///
    /// # Errors
    /// [`Error::Project`] when the last comes before the first, or only one of them is there.
    pub fn days(&self) -> Result<Vec<NaiveDate>> {
        if self.from.is_some() != self.to.is_some() {
            return Err(Error::argument("no-days", "`--from` and `--to` are the first and the last day: name both"));
        }
        let (Some(from), Some(to)) = (self.from, self.to) else { return Ok(self.as_of.into_iter().collect()) };
        // Every day is counted from the first one, so that a short month does not shift the days after it.
        let nth = |n: u32| match self.every {
            Every::Day => from.checked_add_days(Days::new(u64::from(n))),
            Every::Week => from.checked_add_days(Days::new(u64::from(n) * 7)),
            Every::Month => from.checked_add_months(Months::new(n)),
        };
        let days: Vec<NaiveDate> = (0..).map_while(nth).take_while(|day| *day <= to).take(MAX_DAYS + 1).collect();
        if days.is_empty() {
            return Err(Error::argument("no-days", format!("there is no day from {from} to {to}")));
        }
        if days.len() > MAX_DAYS {
            return Err(Error::argument("too-many-days", format!("there are more than {MAX_DAYS} days from {from} to {to}")));
        }
        Ok(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: &str, to: &str, every: Every) -> Vec<String> {
        let day = |text: &str| Some(text.parse().unwrap());
        let arguments = DaysArguments { as_of: None, from: day(from), to: day(to), chain: false, every };
        arguments.days().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn months_keep_their_day_past_a_short_one() {
        assert_eq!(days("2026-01-31", "2026-04-30", Every::Month), ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]);
        assert_eq!(days("2026-02-27", "2026-03-01", Every::Day), ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!(days("2026-01-01", "2026-01-14", Every::Week), ["2026-01-01", "2026-01-08"]);
        assert!(days("2026-01-02", "2026-01-01", Every::Day).is_empty());
    }
}
