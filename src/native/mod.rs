//! Native steps: nodes of a plan that Segmill computes itself, because SQL is the wrong tool for them. They read tables, make tables, and are
//! planned, executed and reported like models.

mod beside;
mod identity;
mod rows;
mod segments;
mod step;

pub use identity::{IdentityStep, SIGNATURE as IDENTITY_SIGNATURE};
pub use rows::{ROWS_BY_CUSTOMER, RowsStep, SIGNATURE as ROWS_SIGNATURE, SourceRows, no_rows};
pub use segments::{SIGNATURE as SEGMENTS_SIGNATURE, SegmentsStep};
pub use step::{Context, Findings, Found, MakeState, Native, Predecessor, Rows};

use crate::graph::Signature;

/// The native steps that there are, in no order: a project has those whose inputs it has.
pub const SIGNATURES: [&Signature; 2] = [&identity::SIGNATURE, &segments::SIGNATURE];
