//! The project that a publication was made with, as it keeps it.

use serde::{Deserialize, Serialize};

/// The version of the form in which projects are kept.
pub const PROJECT_FORMAT: u32 = 1;

/// A project as a publication keeps it: its files, in which variables of the environment stand by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptProject {
    /// The version of this form.
    pub format: u32,
    /// The path of the pipeline file in the project.
    pub pipeline: String,
    /// SHA-256 of the pipeline file and the models, as in the commit.
    pub project_digest: String,
    /// The pipeline file and the models that it needs, in order of path.
    pub files: Vec<KeptText>,
}

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptText {
    /// Its path in the project, with `/` between the names.
    pub path: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its text.
    pub text: String,
}
