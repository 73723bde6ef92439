//! Writes the project that a publication was made with to a folder.

use std::path::{Component, Path};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::manifest::{Commit, KeptProject};
use crate::storage;

/// Writes every file as it was.
///
/// # Errors
/// [`Error::Project`] when the folder is there already or cannot be written, or the file names no files of a project.
pub fn write(commit: &Commit, project: &KeptProject, folder: &Path, terminal: &Terminal) -> Result<()> {
    let shown = folder.display();
    if folder.exists() {
        return Err(Error::argument("folder-in-use", format!("{shown} is there already; name a new folder")));
    }
    for file in &project.files {
        let is_sound = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_sound || file.path.is_empty() || format!("{:x}", Sha256::digest(&file.text)) != file.sha256 {
            let what = format!("the project of {} names a file that is none of a project", commit.as_of);
            return Err(Error::argument("not-a-file", what));
        }
    }
    for file in &project.files {
        let target = folder.join(&file.path);
        let written = target.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&target, &file.text));
        written.map_err(|error| {
            Error::argument("unwritable-folder", format!("cannot write {}: {}", target.display(), storage::of_system(&error)))
        })?;
    }
    let files = project.files.len();
    terminal.tell(
        || {
            format!(
                "The project of {}, number {}: {files} files in {shown}, the pipeline file is {}",
                commit.as_of, commit.number, project.pipeline
            )
        },
        || {
            json!({
                "status": "written",
                "exit_code": 0,
                "as_of": commit.as_of,
                "number": commit.number,
                "run_id": commit.run_id,
                "project_digest": project.project_digest,
                "folder": shown.to_string(),
                "pipeline": project.pipeline,
                "files": project.files.iter().map(|file| json!({ "path": file.path, "sha256": file.sha256 })).collect::<Vec<_>>(),
            })
        },
    )
}
