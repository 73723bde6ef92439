//! How groups of customers differ from everybody: means of numbers, and shares of values. Nothing here reads a table. Rows are added one by
//! one in an order that the caller keeps to, so that sums are the same however rows are batched, and columns can be added on several threads.

mod describe;
mod finish;
mod report;
mod tally;
#[cfg(test)]
mod tests;

pub use describe::group_description;
pub use finish::{Difference, Discretion, Trait};
pub use report::Report;
pub use tally::{ColumnKind, ColumnTally, MOST_VALUES, RowGroups, Tally};
