//! A moment or a day, before it is known which of them a column holds.

use super::units::DAY_MICROS;
use super::zone::Zone;

/// A time as a sender wrote it, before it is known which moment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// A moment, in microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// What the clocks showed, in microseconds since 1970-01-01T00:00:00 as they showed it.
    Local(i64),
}

impl Time {
    /// The moment, in microseconds since 1970-01-01T00:00:00Z.
    pub fn instant(self, zone: &Zone) -> i64 {
        match self {
            Time::Instant(micros) => micros,
            Time::Local(micros) => zone.instant_of(micros),
        }
    }

    /// The day that it falls on in a zone, counted from 1970-01-01; none beyond the calendar.
    pub fn day(self, zone: &Zone) -> Option<i32> {
        match self {
            Time::Instant(micros) => zone.day_of(micros),
            Time::Local(micros) => i32::try_from(micros.div_euclid(DAY_MICROS)).ok(),
        }
    }
}
