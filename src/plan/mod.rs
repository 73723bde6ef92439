//! What a run will execute: nodes in order, each with its names and types checked before any data is read.

mod decide;
mod edge_texts;
mod empty;
mod models;
mod nodes;
mod outputs;
mod planned_model;
mod reference;
mod review;
mod unused;

pub use nodes::{Node, Plan, Work};
pub use planned_model::PlannedModel;
pub use reference::{ReferenceTables, reference_tables};
pub use review::{Reviewed, plan, review};
pub use unused::unused;
