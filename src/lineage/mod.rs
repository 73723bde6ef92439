//! Follows columns back through the plans of models: to the columns of sources that they are made of.

mod columns;
mod leads;
mod steps;
mod texts;

pub use columns::{Lineage, lineage};
pub use leads::{Lead, leads};
pub use steps::ModelPlans;
pub use texts::texts_of;

#[cfg(test)]
mod tests;
