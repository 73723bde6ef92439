//! Writes the report of what a run will publish, from its tables as they were written and checked.

use super::checked::{Description, describe};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::figures::{self, Draft};
use crate::job::Request;
use crate::page;
use crate::project::Version;
use crate::publish::Checked;
use crate::record::Recorder;

/// Writes the report beside the tables. `segmill report` makes the same of the publication.
///
/// # Errors
/// As the tables, or those of earlier publications, cannot be read, or the report cannot be written.
pub async fn write(checked: &mut Checked, description: &Description, request: &Request, recorder: &Recorder) -> Result<()> {
    let commit = describe(description, request, recorder, checked.tables().clone());
    let engine = Engine::new(request.limits, "UTC")?;
    let draft = Draft { commit: &commit, kept: Version::of(&description.plan).kept, record: recorder.as_read() };
    let figures = figures::of(&engine, checked.destination(), checked.seen(), draft).await?;
    let text = page::report(&figures).map_err(|error| Error::defect(error.to_string()))?;
    checked.write_report(text).await
}
