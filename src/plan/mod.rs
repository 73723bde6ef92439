//! What a run will execute: nodes in order, each with its names and types checked before any data is read.

mod affinities;
mod clusters;
mod column_lineage;
mod decide;
mod declared;
mod declared_input;
mod dictionary;
mod edge_texts;
mod empty;
mod look;
mod look_alikes;
mod models;
mod needs;
mod nodes;
mod origins;
mod outputs;
mod personal_outputs;
mod planned_model;
mod predicted;
mod predictions;
mod privacy;
mod reference;
mod report;
mod review;
mod traits;
mod unused;

pub use column_lineage::{ColumnLineage, Deciding};
pub use dictionary::{Dictionary, Meaning, SegmentColumns};
pub use look::{Query, look};
pub use nodes::{Node, Plan, Work};
pub use planned_model::{OfQuery, PlannedModel, QUERY};
pub use privacy::PersonalColumns;
pub use reference::{ReferenceTables, reference_tables};
pub use review::{Reviewed, plan, review};
pub use unused::unused;
