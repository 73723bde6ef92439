//! Local time: the clocks of a time zone, and moments as ISO 8601 writes them.
//!
//! One rule says which moment a local time is, for every format and representation: a time that happens twice is the earlier of the
//! two, and a time that the clocks skip is read with the offset in force before they skipped it. So a day without a midnight begins
//! at its first moment, and no day and no time of day is ever refused.

mod iso;
mod zone;

pub use iso::{Written, read_iso};
pub use zone::{Zone, instant_in};

/// Microseconds in a second.
pub const SECOND_MICROS: i64 = 1_000_000;
/// Microseconds in a day of UTC.
pub const DAY_MICROS: i64 = 24 * 60 * 60 * SECOND_MICROS;

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
