//! Figures of the project: its parameters, and what was edited since the publication before.

use super::types::ProjectFigures;
use crate::config::Environment;
use crate::manifest::Commit;
use crate::project::{self, Changes, Edit, Version};

/// What the project says, and what was edited in it since another version.
pub fn figures(commit: &Commit, version: &Version, before: Option<&Version>) -> ProjectFigures {
    let declared = &version.project.pipeline.parameters;
    let meaning = |name: &str| declared.get(name).and_then(|parameter| parameter.description.clone());
    let parameters = commit.parameters.iter().filter(|(name, _)| declared.contains_key(name.as_str()));
    ProjectFigures {
        segmill_version: commit.segmill_version.clone(),
        digest: commit.project_digest.clone(),
        parameters: parameters.map(|(name, value)| (name.clone(), value.clone(), meaning(name))).collect(),
        // Variables are left as the files have them: the report of a publication is the same wherever it is made.
        edits: before.map(|before| edits(&project::changes(before, version, &Environment::new()))),
    }
}

/// A sentence for each edit that can change what is published.
fn edits(changes: &Changes) -> Vec<String> {
    let mut told = Vec::new();
    let verb = |edit: Edit| match edit {
        Edit::Added => Some("was added"),
        Edit::Removed => Some("was removed"),
        Edit::Edited => Some("was edited"),
        Edit::Rewritten => None,
    };
    for change in &changes.rules {
        let Some(verb) = verb(change.edit) else { continue };
        told.push(match &change.segment {
            Some(segment) => format!("`{}` of the segment `{segment}` in the set `{}` {verb}.", change.key, change.segment_set),
            None => format!("`{}` of the set `{}` {verb}.", change.key, change.segment_set),
        });
    }
    for change in &changes.files {
        if let (Some(model), Some(verb)) = (&change.model, verb(change.edit)) {
            told.push(format!("The model `{model}` {verb}."));
        }
    }
    for change in &changes.parameters {
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        told.push(match (old, new) {
            (Some(old), Some(new)) => format!("The parameter `{}` went from {old} to {new}.", change.name),
            (None, Some(new)) => format!("The parameter `{}` was added, with the value {new}.", change.name),
            _ => format!("The parameter `{}` was removed.", change.name),
        });
    }
    for change in &changes.parts {
        if let Some(verb) = verb(change.edit) {
            told.push(format!("`{}` {verb}.", change.part));
        }
    }
    told
}
