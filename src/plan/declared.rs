//! The native steps that the pipeline file declares, as far as they are planned.

use std::sync::Arc;

use super::models::CheckedModels;
use super::predictions;
use crate::config::Project;
use crate::diagnostic::Diagnostic;
use crate::native::Native;

/// The declared steps that are planned, and what is wrong with them.
pub(super) fn steps(project: &Project, checked: &CheckedModels, problems: &mut Vec<Diagnostic>) -> Vec<Arc<dyn Native>> {
    predictions::steps(project, checked, problems)
}
