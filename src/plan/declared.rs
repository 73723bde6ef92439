//! The native steps that the pipeline file declares, as far as they are planned.

use std::sync::Arc;

use super::models::CheckedModels;
use super::{affinities, clusters, look_alikes, predictions};
use crate::config::{Project, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::error::Result;
use crate::native::Native;

/// The declared steps that are planned, and what is wrong with them.
///
/// # Errors
/// [`Error::Defect`](crate::error::Error::Defect) alone.
pub(super) fn steps(
    project: &Project,
    values: &Values,
    engine: &Engine,
    checked: &CheckedModels,
    problems: &mut Vec<Diagnostic>,
) -> Result<Vec<Arc<dyn Native>>> {
    let mut steps = predictions::steps(project, checked, problems);
    steps.extend(clusters::steps(project, checked, problems));
    steps.extend(look_alikes::steps(project, values, engine, checked, problems)?);
    steps.extend(affinities::steps(project, checked, problems));
    Ok(steps)
}
