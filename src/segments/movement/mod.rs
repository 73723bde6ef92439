//! How many customers have entered, left or moved between segments, because of what, and the revenue that went with them.

mod comparison;
mod income;
mod money;
mod tally;

pub use comparison::{ComparedSegment, ComparedSet, Comparison, Edition};
pub use income::{Income, Incomes, is_revenue};
pub use money::Money;
pub use tally::{Flow, Kind, Movement, OfSet, Rows, causes, revenue};
