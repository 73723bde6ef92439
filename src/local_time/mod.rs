//! Local time: the clocks of a time zone, and moments as ISO 8601 writes them.
//!
//! One rule says which moment a local time is, for every format and representation: a time that happens twice is the earlier of the
//! two, and a time that the clocks skip is read with the offset in force before they skipped it. So a day without a midnight begins
//! at its first moment, and no day and no time of day is ever refused.

mod iso;
mod time;
mod units;
mod zone;

pub use iso::{Written, read_iso};
pub use time::Time;
pub use units::{DAY_MICROS, SECOND_MICROS};
pub use zone::{Zone, instant_in};
