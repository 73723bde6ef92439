//! Native steps: nodes of a plan that Segmill computes itself, because SQL is the wrong tool for them. They read tables, make tables, and are
//! planned, executed and reported like models.

mod affinity;
mod beside;
mod clusters;
mod identity;
mod look_alikes;
mod prediction;
mod published_columns;
mod rows;
mod segments;
mod step;
mod traits;

pub use affinity::AffinityStep;
pub use clusters::{CLUSTER, ClustersStep};
pub use identity::{IdentityStep, SIGNATURE as IDENTITY_SIGNATURE};
pub use look_alikes::{LookAlikesStep, SIMILARITY};
pub use prediction::{P_ALIVE, PredictionStep};
pub use published_columns::{PublishedColumn, PublishedColumnsStep, schema as published_columns_schema};
pub use rows::{ROWS_BY_CUSTOMER, RowsStep, SIGNATURE as ROWS_SIGNATURE, SourceRows, no_rows};
pub use segments::{SIGNATURE as SEGMENTS_SIGNATURE, SegmentsStep};
pub use step::{Context, Findings, Found, MakeState, Native, Predecessor, Rows};
pub use traits::{DescribedSegment, TraitsStep, schema as traits_schema};

use std::sync::Arc;

use crate::config::Project;
use crate::graph::Step;

/// The native steps that a project may have: those of every project that has their inputs, and those that the pipeline file declares.
pub fn steps(project: &Project) -> Vec<Arc<Step>> {
    let always = [&identity::SIGNATURE, &segments::SIGNATURE, &traits::SIGNATURE, &published_columns::SIGNATURE].into_iter().map(Step::of);
    let declared = prediction::steps(project).chain(clusters::steps(project));
    always.chain(declared).chain(look_alikes::steps(project)).chain(affinity::steps(project)).collect()
}
