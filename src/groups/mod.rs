//! Groups of customers by numbers that are known of them. Nothing here reads a table; every sum has a fixed order, and logarithms come from
//! `libm`, which gives the same bits on every machine.

mod assign;
mod distance;
mod find;
mod labels;
mod lloyd;
mod report;
mod seeding;
mod silhouette;
mod start;
#[cfg(test)]
mod tests;
mod transform;

pub use find::{BETTER_INERTIA, BETTER_SILHOUETTE, Choice, ROWS_FOR_SILHOUETTE, Tried, Wanted, find};
pub use labels::{Change, Fate, Former, LEAST_SHARED, all_died, label};
pub use lloyd::{Clustering, Limits, from_centres};
pub use report::{Began, GroupReport, Report, State};
pub use silhouette::silhouette;
pub use start::{Starts, best_of};
pub use transform::{Points, Preparation, Scaling, Shape, prepare};
