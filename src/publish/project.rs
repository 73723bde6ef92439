//! The project that a publication was made with, kept beside its tables.

use sha2::{Digest, Sha256};

use super::damage;
use super::layout::project_path;
use super::objects::to_json;
use super::publications::{Publications, newer};
use super::staging::Staging;
use crate::error::Result;
use crate::manifest::{Commit, KeptFile, KeptProject, PROJECT_FORMAT};
use crate::storage::Contents;

/// The largest kept project that is read. A text takes up to six times its size in JSON.
const MAX_KEPT_PROJECT_BYTES: u64 = 512 * 1024 * 1024;

impl Staging {
    /// Writes down the project that the publication is made with.
    ///
    /// # Errors
    /// As writing to the store fails.
    pub async fn write_project(&mut self, project: &KeptProject) -> Result<()> {
        let path = project_path(&self.run_id);
        let text = to_json(project)?;
        let kept = KeptFile { bytes: text.len() as u64, sha256: format!("{:x}", Sha256::digest(&text)), path };
        self.destination.put(&self.destination.join(&kept.path), text).await?;
        self.project = Some(kept);
        Ok(())
    }
}

impl Publications {
    /// The project that a publication was made with; none where it keeps none, because an older Segmill made it.
    ///
    /// # Errors
    /// As the store fails; [`crate::error::Error::Project`] when the file is not what the commit says, or a newer Segmill wrote it.
    pub async fn project(&self, commit: &Commit) -> Result<Option<KeptProject>> {
        let Some(file) = &commit.project else { return Ok(None) };
        let path = self.destination.join(&file.path);
        let shown = self.destination.shown(&path);
        let found = self.destination.read(&path, MAX_KEPT_PROJECT_BYTES).await?;
        if let Some(Contents::Bytes(bytes)) = found
            && bytes.len() as u64 == file.bytes
            && format!("{:x}", Sha256::digest(&bytes)) == file.sha256
        {
            if let Some(error) = newer(&bytes, &shown, PROJECT_FORMAT) {
                return Err(error);
            }
            if let Ok(project) = serde_json::from_slice(&bytes) {
                return Ok(Some(project));
            }
        }
        Err(damage::told(&self.destination, damage::of_file(commit, &shown)).await?)
    }
}
