//! How like the members of a segment everybody else is: a logistic regression on standardised columns, told with how well it finds members
//! whom it has not seen. Nothing here reads a table; every sum has a fixed order, and exponentials come from `libm`, which gives the same
//! bits on every machine.

mod evaluate;
mod fit;
mod reasons;
mod regression;
mod report;
mod sample;
mod sums;
#[cfg(test)]
mod tests;

pub use evaluate::{Evaluation, fold};
pub use fit::{Likeness, LikenessState, fit};
pub use reasons::Reason;
pub use regression::Regression;
pub use report::{ColumnWeight, Report};
pub use sample::Sample;
