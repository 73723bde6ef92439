//! Repairs damaged publications, or takes their days out of what is published.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::super::publications::Publications;
use super::super::{commit, folders, load_manifests};
use super::kind::Damage;
use super::look::is_there;
use crate::error::Result;
use crate::manifest::WrittenFile;
use crate::storage::Location;

/// What became of a damaged publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// It is whole again: missing files were restored from their copies in the folders by day.
    Restored,
    /// Its day was withdrawn, and can be run again.
    Withdrawn,
}

/// Repairs damaged publications: missing files are restored from the copies in the folders by day where those are whole. Days that cannot
/// be restored are withdrawn.
///
/// # Errors
/// As the store fails.
pub async fn repair(destination: &Location, run_id: &str, pipeline: &str, damaged: &[Damage]) -> Result<BTreeMap<NaiveDate, Repair>> {
    let mut done = BTreeMap::new();
    let mut lost = Vec::new();
    for damage in damaged {
        if restore(destination, damage).await? {
            done.insert(damage.as_of, Repair::Restored);
        } else {
            lost.push((damage.as_of, damage.number));
        }
    }
    for day in commit::withdraw(destination, run_id, pipeline, &lost).await? {
        done.insert(day, Repair::Withdrawn);
    }
    Ok(done)
}

/// Restores the missing files of a publication; whether it is whole now.
async fn restore(destination: &Location, damage: &Damage) -> Result<bool> {
    let Some(commit) = Publications::commit_at(destination, damage.number).await? else { return Ok(false) };
    for table in commit.tables.values() {
        let [file] = table.files.as_slice() else { continue };
        if !is_there(destination, file.into()).await? && !folders::put_back(destination, file, &table.folder_path).await? {
            return Ok(false);
        }
        load_manifests::write(destination, table).await?;
    }
    // There is no copy of state tables, nor of the project, so the day must be published again.
    for file in commit.state.values().map(WrittenFile::from).chain(commit.project.iter().map(WrittenFile::from)) {
        if !is_there(destination, file).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
