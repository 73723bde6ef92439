//! What people and programs are told: progress while a run works, its summary in lines or as JSON, its errors; and rows of tables.

mod affinity;
mod clusters;
mod diff;
mod human;
mod identity;
mod json;
mod look_alikes;
mod movement;
mod plan;
mod prediction;
mod progress;
mod rows;
mod segments;
mod traits;

pub use diff::{human as human_diff, json as json_diff};
pub use human::{error as human_error, outcome as human_outcome, unchanged as human_unchanged, warnings as human_warnings};
pub use identity::{human as human_identity, json as json_identity};
pub use json::{error as json_error, outcome as json_outcome, problem as json_problem, unchanged as json_unchanged};
pub use plan::{human as human_plan, json as json_plan};
pub use progress::Progress;
pub use rows::{RowFormat, RowWriter};
pub use segments::{human as human_segments, json as json_segments};
