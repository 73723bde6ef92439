//! A version of a project: that of today, or the one that a publication was made with.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::{self, Environment, Project};
use crate::diagnostic::SourceFile;
use crate::error::{Error, Result};
use crate::manifest::{Commit, KeptProject, KeptText, PROJECT_FORMAT};
use crate::plan::Plan;
use crate::publish::Publications;

/// A version of a project, with the values that its parameters had.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its files as a publication keeps them.
    pub kept: KeptProject,
    /// What they say.
    pub project: Arc<Project>,
    /// The values of the parameters, as the commit has them.
    pub parameters: BTreeMap<String, String>,
}

impl Version {
    /// The version that is planned.
    pub fn of(plan: &Plan) -> Self {
        let project = &plan.project;
        let text = |file: &Arc<SourceFile>| {
            let is_pipeline = Arc::ptr_eq(file, &project.file);
            let text = if is_pipeline { config::without_secrets(&file.text) } else { file.text.clone() };
            KeptText { path: project.path_of(file), sha256: format!("{:x}", Sha256::digest(&text)), text }
        };
        let mut files: Vec<KeptText> = plan.models().map(|model| &model.parsed.model.file).chain([&project.file]).map(text).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let pipeline = project.path_of(&project.file);
        let kept = KeptProject { format: PROJECT_FORMAT, pipeline, project_digest: plan.digest.clone(), files };
        Version { kept, project: Arc::clone(project), parameters: plan.values.shown.clone() }
    }

    /// The version that a publication was made with; none where it keeps none. Variables have the values that the environment gives now, and
    /// secrets those that they have in today's project.
    ///
    /// # Errors
    /// As reading from the store fails; [`Error::Project`] when the file is damaged, or this Segmill cannot read the project.
    pub async fn published(published: &Publications, commit: &Commit, today: &Project, environment: &Environment) -> Result<Option<Self>> {
        let Some(kept) = published.project(commit).await? else { return Ok(None) };
        Self::restored(kept, today, commit.parameters.clone(), environment).map(Some)
    }

    /// The version of files that were kept, with variables as the files have them: what it says is the same wherever it is read. It has no
    /// secrets, and its locations name no place.
    ///
    /// # Errors
    /// [`Error::Project`] when this Segmill cannot read the project.
    pub fn as_kept(kept: KeptProject, parameters: BTreeMap<String, String>) -> Result<Self> {
        let project = Arc::new(config::of_texts_as_written(&texts_of(&kept)?)?);
        Ok(Version { kept, project, parameters })
    }

    /// The version of files that were kept, which have no secrets: those are taken from today's project.
    ///
    /// # Errors
    /// [`Error::Project`] when this Segmill cannot read the project.
    pub fn restored(kept: KeptProject, today: &Project, parameters: BTreeMap<String, String>, environment: &Environment) -> Result<Self> {
        let mut project = config::of_texts(&today.root, &texts_of(&kept)?, environment)?;
        config::with_secrets_of(&mut project.pipeline, &today.pipeline);
        Ok(Version { kept, project: Arc::new(project), parameters })
    }
}

/// The paths and texts of files that were kept, the pipeline file first.
fn texts_of(kept: &KeptProject) -> Result<Vec<(&str, &str)>> {
    let pipeline = kept.files.iter().find(|file| file.path == kept.pipeline);
    let pipeline = pipeline.ok_or_else(|| Error::argument("not-a-file", "the project that was kept has no pipeline file"))?;
    let models = kept.files.iter().filter(|file| file.path != kept.pipeline);
    Ok([pipeline].into_iter().chain(models).map(|file| (file.path.as_str(), file.text.as_str())).collect())
}
