//! Local time: the clocks of a time zone, and moments as ISO 8601 writes them.
//!
//! One rule says which moment a local time is, for every format and representation. A time that happens twice is the earlier of the two
//! moments. A time that the clocks skip is read with the offset that was in force before. So a day without a midnight begins at its first
//! moment, and no day and no time of day is ever refused.

mod iso;
mod time;
mod units;
mod zone;

pub use iso::{Written, read_iso, read_offset};
pub use time::Time;
pub use units::{DAY_MICROS, SECOND_MICROS};
pub use zone::{Zone, instant_in};
