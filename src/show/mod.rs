//! A look at the rows of one table, or of a query over the project's tables: what it needs is computed and nothing else, and nothing is
//! published by it.

mod columns;
mod condition;
mod mask;
mod names;
mod narrow;
mod notes;
mod prepare;
mod published;
mod question;
mod rows;
mod sorted;
mod units;

pub use columns::{ColumnDescription, columns};
pub use names::OUTPUTS;
pub use narrow::LARGE_BYTES;
pub use published::PUBLISHED;
pub use question::{Question, Setting, Wanted};
pub use rows::{Seen, Take, rows};
