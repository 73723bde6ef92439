//! Native steps: nodes of a plan that Segmill computes itself, because SQL is the wrong tool for them. They read tables, make tables, and are
//! planned, executed and reported like models.

mod beside;
mod identity;
mod prediction;
mod rows;
mod segments;
mod step;

pub use identity::{IdentityStep, SIGNATURE as IDENTITY_SIGNATURE};
pub use prediction::{P_ALIVE, PredictionStep};
pub use rows::{ROWS_BY_CUSTOMER, RowsStep, SIGNATURE as ROWS_SIGNATURE, SourceRows, no_rows};
pub use segments::{SIGNATURE as SEGMENTS_SIGNATURE, SegmentsStep};
pub use step::{Context, Findings, Found, MakeState, Native, Predecessor, Rows};

use std::sync::Arc;

use crate::config::Project;
use crate::graph::Step;

/// The native steps that a project may have: those of every project that has their inputs, and those that the pipeline file declares.
pub fn steps(project: &Project) -> Vec<Arc<Step>> {
    [&identity::SIGNATURE, &segments::SIGNATURE].into_iter().map(Step::of).chain(prediction::steps(project)).collect()
}
