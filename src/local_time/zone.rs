//! Local times of one time zone, without looking up every value in the time zone database.
//!
//! For a day that has only one offset, the offset is looked up once. For other days, and for days far from today, each value is looked up.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI32, Ordering};

use arrow::array::timezone::Tz;
use chrono::{DateTime, NaiveDate, Offset, TimeZone};

use super::units::{DAY_MICROS, SECOND_MICROS};

/// The distance between two looks at a day: within it, no zone changes its offset and changes it back.
const STEP: i64 = 15 * 60 * SECOND_MICROS;
/// The largest offset from UTC, and the longest time that clocks ever skip.
const FARTHEST: i64 = 26 * 60 * 60 * SECOND_MICROS;
/// The days whose offsets are kept, counted from 1970-01-01: those from 1930 until 2129.
const FIRST_DAY: i64 = -14_610;
const DAYS: usize = 73_000;
/// Not looked up yet.
const UNKNOWN: i32 = i32::MAX;
/// The offset changes in the course of the day.
const CHANGES: i32 = i32::MIN;

/// A time zone: by how much its clocks are ahead of UTC, and when.
pub struct Zone {
    name: String,
    clocks: Clocks,
    /// For every day, counted in UTC, its offset in seconds.
    offsets: Vec<AtomicI32>,
    /// The change of clocks that was last looked up, since skipped times usually come one after the other.
    last_skip: Mutex<Option<Skip>>,
}

/// The moment at which the clocks of a zone, by its IANA name, showed a local time, by the rule of [`Zone::instant_of`]; none when there
/// is no such zone. It is meant for single values, since it caches nothing.
pub fn instant_in(zone: &str, local: i64) -> Option<i64> {
    let clocks = Clocks(zone.parse().ok()?);
    let skipped = || clocks.skip_of(local).map_or(0, |skip| skip.offset_before);
    Some(local.saturating_sub(clocks.offset_of_local(local)?.unwrap_or_else(skipped)))
}

/// Looks up an offset in the time zone database.
struct Clocks(Tz);

/// Clocks put forward: from `local_from` on they showed `local_to`, and what lies between was skipped.
#[derive(Debug, Clone, Copy)]
struct Skip {
    local_from: i64,
    local_to: i64,
    offset_before: i64,
}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Zone {
    /// The zone of an IANA name, or of an offset such as `+05:45`; none when there is no such zone.
    pub fn named(name: &str) -> Option<Self> {
        let offsets = (0..DAYS).map(|_| AtomicI32::new(UNKNOWN)).collect();
        Some(Zone { name: name.to_owned(), clocks: Clocks(name.parse().ok()?), offsets, last_skip: Mutex::default() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The local day of a moment in microseconds since 1970, counted from 1970-01-01; none beyond the calendar.
    #[inline]
    pub fn day_of(&self, instant: i64) -> Option<i32> {
        let local = instant.checked_add(self.offset_at(instant)?)?;
        i32::try_from(local.div_euclid(DAY_MICROS)).ok()
    }

    /// The moment at which the clocks showed a local time, both in microseconds since 1970. Of a time that happened twice it is the
    /// earlier moment; a time that was skipped is read with the offset from before.
    #[inline]
    pub fn instant_of(&self, local: i64) -> i64 {
        let day = local.div_euclid(DAY_MICROS);
        // Clocks are at most a day away from UTC: where three days have one offset, it is that of the middle one.
        let offset = self.offset_of_day(day);
        if offset != CHANGES && offset == self.offset_of_day(day - 1) && offset == self.offset_of_day(day + 1) {
            return local.saturating_sub(i64::from(offset) * SECOND_MICROS);
        }
        self.look_up(local)
    }

    /// The first moment of a day that is counted from 1970-01-01, in microseconds since 1970.
    pub fn first_moment(&self, day: i32) -> i64 {
        self.instant_of(i64::from(day) * DAY_MICROS)
    }

    /// The first moment of a date.
    pub fn first_moment_of(&self, date: NaiveDate) -> i64 {
        self.first_moment(arrow::datatypes::Date32Type::from_naive_date(date))
    }

    /// The offset from UTC at a moment, in microseconds; `None` outside the calendar.
    #[inline]
    fn offset_at(&self, instant: i64) -> Option<i64> {
        let seconds = match self.offset_of_day(instant.div_euclid(DAY_MICROS)) {
            CHANGES => self.clocks.at(instant)?,
            offset => offset,
        };
        Some(i64::from(seconds) * SECOND_MICROS)
    }

    /// The offset during a whole day of UTC, in seconds; [`CHANGES`] if it changes during the day.
    fn offset_of_day(&self, day: i64) -> i32 {
        let known = usize::try_from(day.saturating_sub(FIRST_DAY)).ok().and_then(|at| self.offsets.get(at));
        let Some(known) = known else { return CHANGES };
        let offset = known.load(Ordering::Relaxed);
        if offset != UNKNOWN {
            return offset;
        }
        let mut offsets = (0..=DAY_MICROS / STEP).map(|step| self.clocks.at(day * DAY_MICROS + step * STEP));
        let first = offsets.next().flatten().unwrap_or(CHANGES);
        let offset = if offsets.all(|offset| offset == Some(first)) { first } else { CHANGES };
        known.store(offset, Ordering::Relaxed);
        offset
    }

    #[cold]
    fn look_up(&self, local: i64) -> i64 {
        match self.clocks.offset_of_local(local) {
            None => local,
            Some(Some(offset)) => local.saturating_sub(offset),
            Some(None) => local.saturating_sub(self.offset_before_skip(local)),
        }
    }

    /// The offset, in microseconds, that was in force before a local time was skipped.
    fn offset_before_skip(&self, local: i64) -> i64 {
        let mut last = self.last_skip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(skip) = last.filter(|skip| (skip.local_from..skip.local_to).contains(&local)) {
            return skip.offset_before;
        }
        let found = self.clocks.skip_of(local);
        *last = found.or(*last);
        found.map_or(0, |skip| skip.offset_before)
    }
}

impl Clocks {
    /// The offset at a moment, in seconds; none beyond the calendar.
    fn at(&self, instant: i64) -> Option<i32> {
        let utc = DateTime::from_timestamp_micros(instant)?.naive_utc();
        Some(self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    }

    /// The offset of a local time, in microseconds; none inside where the clocks never showed it, and none at all beyond the calendar.
    #[allow(clippy::option_option, reason = "a time that was skipped is another matter than one that no calendar has")]
    fn offset_of_local(&self, local: i64) -> Option<Option<i64>> {
        let time = DateTime::from_timestamp_micros(local)?.naive_utc();
        // Of two moments the earlier is that of the clocks that are further ahead, whichever the database names first.
        let found = self.0.offset_from_local_datetime(&time);
        let ahead = [found.earliest(), found.latest()].into_iter().flatten().map(|offset| offset.fix().local_minus_utc()).max();
        Some(ahead.map(|seconds| i64::from(seconds) * SECOND_MICROS))
    }

    /// The change of clocks that skipped a local time.
    fn skip_of(&self, local: i64) -> Option<Skip> {
        let offset = |instant: i64| self.at(instant).map(|seconds| i64::from(seconds) * SECOND_MICROS);
        let (mut at, end) = (local.checked_sub(FARTHEST)?, local.checked_add(FARTHEST)?);
        let mut before = offset(at)?;
        while at < end {
            let next = at + STEP;
            let after = offset(next)?;
            if after != before {
                let (mut early, mut late) = (at, next);
                while late - early > 1 {
                    let middle = early + (late - early) / 2;
                    if offset(middle)? == before { early = middle } else { late = middle }
                }
                let skip = Skip { local_from: late + before, local_to: late + offset(late)?, offset_before: before };
                if (skip.local_from..skip.local_to).contains(&local) {
                    return Some(skip);
                }
            }
            (at, before) = (next, after);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Date32Array, PrimitiveArray};
    use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};

    use super::*;

    /// Zones that change their clocks at midnight, by half an hour, by a whole day, or never.
    const ZONES: [&str; 8] =
        ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata", "America/St_Johns", "+05:45"];

    fn dates_agree(zone: &str, moments: Vec<Option<i64>>) {
        let moments = PrimitiveArray::<TimestampMicrosecondType>::from(moments).with_timezone(zone);
        let zone = Zone::named(zone).unwrap();
        let dates: Date32Array = moments.iter().map(|moment| moment.map(|moment| zone.day_of(moment).unwrap())).collect();
        let cast = arrow::compute::cast(&moments, &DataType::Date32).unwrap();
        assert_eq!(&dates, cast.as_primitive::<Date32Type>(), "{zone:?}");
    }

    #[test]
    fn local_days_are_those_of_the_cast() {
        for zone in ZONES {
            // Every two hours or so of 1930 to 2037, every minute in turn; then the ends of what is kept, far off, and null.
            let dense = (-1_262_304_000..2_145_916_800).step_by(7_193).map(|second: i64| Some(second * SECOND_MICROS));
            let ends =
                (FIRST_DAY - 2..FIRST_DAY + 3).chain(70_000..70_003).flat_map(|day| [Some(day * DAY_MICROS - 1), Some(day * DAY_MICROS)]);
            let far = [None, Some(-DAY_MICROS * 800_000), Some(DAY_MICROS * 800_000), Some(-1), Some(0)];
            dates_agree(zone, dense.chain(ends).chain(far).collect());
        }
    }

    #[test]
    fn a_moment_beyond_the_calendar_has_no_day_and_a_local_time_no_offset() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(zone.day_of(i64::MAX), None);
        assert_eq!((zone.instant_of(i64::MAX), zone.instant_of(i64::MIN)), (i64::MAX, i64::MIN));
    }

    fn told(zone: &str, local: &str) -> String {
        let local = chrono::NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp_micros();
        DateTime::from_timestamp_micros(Zone::named(zone).unwrap().instant_of(local)).unwrap().format("%Y-%m-%d %H:%MZ").to_string()
    }

    #[test]
    fn a_skipped_time_is_read_as_if_the_clocks_had_not_changed_yet() {
        assert_eq!(told("America/New_York", "2025-03-09 02:30"), "2025-03-09 07:30Z");
        // Clocks went from 00:00 to 01:00: the day begins at 01:00.
        assert_eq!(told("America/Sao_Paulo", "2018-11-04 00:00"), "2018-11-04 03:00Z");
        assert_eq!(told("Africa/Cairo", "2026-04-24 00:00"), "2026-04-23 22:00Z");
        // A day that Samoa left out begins when the next one does.
        assert_eq!(told("Pacific/Apia", "2011-12-30 00:00"), "2011-12-30 10:00Z");
        assert_eq!(told("Pacific/Apia", "2011-12-31 00:00"), "2011-12-30 10:00Z");
    }

    #[test]
    fn of_a_time_that_happens_twice_the_earlier_counts() {
        assert_eq!(told("America/New_York", "2025-11-02 01:30"), "2025-11-02 05:30Z");
        assert_eq!(told("Australia/Lord_Howe", "2025-04-06 01:45"), "2025-04-05 14:45Z");
        assert_eq!(told("Europe/Dublin", "2025-10-26 01:30"), "2025-10-26 00:30Z");
    }
}
