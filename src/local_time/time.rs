//! A moment or a day, before it is known which of them a column holds.

use super::units::DAY_MICROS;
use super::zone::Zone;

/// A time as a sender wrote it, before it is known which moment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// A moment, in microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// A local time, in microseconds since the local time 1970-01-01T00:00:00.
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

    /// The day on which the moment falls in a zone, counted from 1970-01-01; `None` outside the calendar.
    pub fn day(self, zone: &Zone) -> Option<i32> {
        match self {
            Time::Instant(micros) => zone.day_of(micros),
            Time::Local(micros) => i32::try_from(micros.div_euclid(DAY_MICROS)).ok(),
        }
    }
}
