//! Follows columns back through the plans of models: to the columns of sources that they are made of.

mod columns;
mod deciding;
mod leads;
mod parts;
mod steps;
mod texts;
mod unchanged;

pub use columns::{FittedTo, Lineage, lineage, made_of};
pub use deciding::{Influence, deciding};
pub use leads::{Lead, leads};
pub use parts::{MadeOf, TableColumn, Transformation};
pub use steps::ModelPlans;
pub use texts::texts_of;
pub use unchanged::same_as;

#[cfg(test)]
mod tests;
