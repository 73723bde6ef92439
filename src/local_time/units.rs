//! Units of time in microseconds.

/// Microseconds in a second.
pub const SECOND_MICROS: i64 = 1_000_000;

/// Microseconds in a day of UTC.
pub const DAY_MICROS: i64 = 24 * 60 * 60 * SECOND_MICROS;
