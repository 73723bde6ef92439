//! `segmill.json`: the marker that makes a destination a pipeline's own. Without it, no file there is treated as Segmill's.
//!
//! The first publication creates it only if it is not there, so that of two pipelines that publish at the same time one gets the
//! destination. A destination without a marker that an older version published to is adopted with `segmill clean --adopt`.

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::layout::{MARKER, commit_path};
use super::objects::{put_new, to_json};
use super::publications::{Publications, another, newer};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::storage::{self, Contents, Location};

/// The version of the marker's format and of the destination's layout.
const FORMAT: u32 = 1;

/// The largest marker that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Which pipeline a destination belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The version of this format and of the layout beside it.
    pub format: u32,
    /// The pipeline that publishes here.
    pub pipeline: String,
    /// An id that differs from those of the pipeline's other destinations: a digest of the names of the pipeline and the first run.
    pub id: String,
    /// The run that made it, or for an adopted destination the run of its newest publication.
    pub run_id: String,
    /// The version of Segmill that made it.
    pub segmill_version: String,
}

impl Marker {
    /// The marker of a destination, if it has one.
    ///
    /// # Errors
    /// As reading from the store fails; [`Error::Project`] when what is there is no marker, or a newer Segmill's.
    pub async fn read(destination: &Location) -> Result<Option<Self>> {
        let path = path(destination);
        let shown = destination.shown(&path);
        let bytes = match destination.read(&path, MAX_BYTES).await? {
            Some(Contents::Bytes(bytes)) => bytes,
            Some(Contents::TooLarge) => return Err(foreign(&shown)),
            None => return Ok(None),
        };
        if let Some(error) = newer(&bytes, &shown, FORMAT) {
            return Err(error);
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|_| foreign(&shown))
    }

    /// Makes a new destination a pipeline's own, or verifies that it is already.
    ///
    /// # Errors
    /// [`Error::Project`] when it is another's, or was published to by an older Segmill; otherwise as the store fails.
    pub async fn claim(destination: &Location, pipeline: &str, run_id: &str) -> Result<Self> {
        if let Some(marker) = Self::read(destination).await? {
            return marker.belongs_to(destination, pipeline).map(|()| marker);
        }
        let known = Publications::read(destination).await?;
        admit(destination, &known, None, pipeline)?;
        Self::create(destination, pipeline, run_id).await
    }

    /// Makes a destination that an older Segmill published to a pipeline's own: the one named, or else the one that published there.
    ///
    /// # Errors
    /// [`Error::Project`] when nothing is published there, or it is another's; otherwise as the store fails.
    pub async fn adopt(destination: &Location, pipeline: Option<&str>) -> Result<Self> {
        if let Some(marker) = Self::read(destination).await? {
            return pipeline.map_or(Ok(()), |pipeline| marker.belongs_to(destination, pipeline)).map(|()| marker);
        }
        let known = Publications::read(destination).await?;
        let Some(newest) = known.newest() else {
            let what = format!("nothing is published in {}, so that there is nothing to adopt", destination.shown(&destination.folder()));
            return Err(Diagnostic::error("nothing-to-adopt", what).hint("the first publication marks its destination by itself").into());
        };
        let published_by = Some(newest.pipeline.as_str()).filter(|name| !name.is_empty());
        let Some(pipeline) = pipeline.or(published_by) else {
            let what = "the publications there do not say which pipeline made them";
            return Err(Diagnostic::error("nothing-to-adopt", what).hint("name the pipeline file whose destination it is").into());
        };
        known.belong_to(pipeline)?;
        Self::create(destination, pipeline, &newest.run_id).await
    }

    async fn create(destination: &Location, pipeline: &str, run_id: &str) -> Result<Self> {
        let marker = Marker {
            format: FORMAT,
            pipeline: pipeline.to_owned(),
            id: id(pipeline, run_id),
            run_id: run_id.to_owned(),
            segmill_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let path = path(destination);
        let created = put_new(destination, &path, to_json(&marker)?).await;
        // The answer may have been lost, so the content of the file decides.
        match (Self::read(destination).await?, created) {
            (Some(there), _) => there.belongs_to(destination, pipeline).map(|()| there),
            (None, Err(error)) => Err(storage::failure("create", &destination.shown(&path), error)),
            (None, Ok(())) => Err(Error::defect(format!("{} was created and is not there", destination.shown(&path)))),
        }
    }

    /// Verifies that the destination belongs to a pipeline.
    ///
    /// # Errors
    /// [`Error::Project`] with the names of both.
    pub fn belongs_to(&self, destination: &Location, pipeline: &str) -> Result<()> {
        if self.pipeline == pipeline {
            return Ok(());
        }
        Err(another(&self.pipeline, &format!("as {} says", destination.shown(&path(destination))), pipeline))
    }
}

/// Verifies that a pipeline may publish to a destination: the destination is marked as its own, or nothing is published there yet.
///
/// # Errors
/// [`Error::Project`] when it may not.
pub fn admit(destination: &Location, known: &Publications, marker: Option<&Marker>, pipeline: &str) -> Result<()> {
    if let Some(marker) = marker {
        return marker.belongs_to(destination, pipeline);
    }
    known.belong_to(pipeline)?;
    match known.newest() {
        None => Ok(()),
        Some(newest) => Err(unmarked(destination, newest.number)),
    }
}

/// The marker of a destination that is to be changed.
///
/// # Errors
/// [`Error::Project`] when it has none, or belongs to another pipeline than the one named.
pub async fn owned(destination: &Location, pipeline: Option<&str>) -> Result<Marker> {
    if let Some(marker) = Marker::read(destination).await? {
        return pipeline.map_or(Ok(()), |pipeline| marker.belongs_to(destination, pipeline)).map(|()| marker);
    }
    let known = Publications::read(destination).await?;
    if let Some(newest) = known.newest() {
        return Err(unmarked(destination, newest.number));
    }
    let what = format!("{} is no destination of Segmill: it has no {MARKER}", destination.shown(&destination.folder()));
    Err(Diagnostic::error("unmarked-destination", what)
        .hint("nothing was touched; the first publication marks its destination, so name one that has been published to")
        .into())
}

/// Where the marker is.
pub fn path(destination: &Location) -> Path {
    destination.join(MARKER)
}

fn unmarked(destination: &Location, number: u64) -> Error {
    let shown = destination.shown(&commit_path(destination, number));
    let what = format!("{shown} is a publication, and no {MARKER} says whose the destination is");
    Diagnostic::error("unmarked-destination", what)
        .hint("an older Segmill published there, or the marker was removed: `segmill clean --adopt` makes the destination this pipeline's own")
        .into()
}

fn foreign(shown: &str) -> Error {
    Diagnostic::error("not-a-marker", format!("{shown} does not say whose the destination is, as Segmill writes it"))
        .hint("name another destination; or, if it is Segmill's, remove that file and run `segmill clean --adopt`")
        .into()
}

fn id(pipeline: &str, run_id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((pipeline.len() as u64).to_le_bytes());
    hash.update(pipeline.as_bytes());
    hash.update(run_id.as_bytes());
    let digest = format!("{:x}", hash.finalize());
    digest[..32].to_owned()
}
