//! Where files are: local paths and object stores behind one interface, and what their failures mean.

mod client;
mod failure;
mod markers;
mod open;
mod pinned;
mod profile;
mod uploads;

pub use failure::{broken, failure, failure_within, of_system};
pub use markers::Found;
pub use open::{PLACES, Stores};

use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::{Error, Message, Result};
use crate::shown;
use open::invalid;

/// The most files that one source may have.
const MAX_FILES: usize = 100_000;

/// A star matches within a folder; two match over folders.
const MATCHING: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A place in a store.
#[derive(Debug, Clone)]
pub struct Location {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The place in it; with wildcards when the location has some.
    pub path: String,
    /// How people and tools write a path of the store.
    pub written: Written,
}

/// How people and tools write a path of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A local path from the root.
    Absolute,
    /// A local path from this folder, where it is below it.
    From(String),
    /// A URL that begins so, without a slash at the end.
    Url(String),
}

/// A file of a store.
#[derive(Debug, Clone)]
pub struct File {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Its path, size and version there.
    pub meta: ObjectMeta,
    /// Its path or URL, as people would type it.
    pub shown: String,
    /// Whether it is on a local disk, where a file may be written to while somebody reads it.
    pub is_local: bool,
}

/// How a file of a store becomes another at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiesBy {
    /// The store copies files up to this size in one step that either has happened or has not.
    Store {
        /// The largest file.
        up_to_bytes: u64,
    },
    /// Its copies may be seen before they are whole: what is uploaded shows when it is complete.
    Upload,
}

impl Location {
    /// All that is in a folder below here, in whatever order the store has; nothing when there is no such folder.
    ///
    /// # Errors
    /// As [`failure`].
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        let folder = self.join(folder);
        match self.store.list(Some(&folder)).try_collect().await {
            Ok(files) => Ok(files),
            Err(error) if failure::is_no_folder(&error) => Ok(Vec::new()),
            Err(error) => Err(failure("list", &self.shown(&folder), error)),
        }
    }

    /// How this store makes a file another.
    pub fn copies_by(&self) -> CopiesBy {
        match &self.written {
            // A hard link that is renamed.
            Written::Absolute | Written::From(_) => CopiesBy::Store { up_to_bytes: u64::MAX },
            // S3's CopyObject takes up to 5 GiB. Azure's Copy Blob may go on after it has answered.
            Written::Url(origin) if ["s3://", "s3a://", "gs://", "memory:"].iter().any(|scheme| origin.starts_with(scheme)) => {
                CopiesBy::Store { up_to_bytes: 5 << 30 }
            }
            Written::Url(_) => CopiesBy::Upload,
        }
    }

    /// Parts of files below here that a process left on a local disk as it died, last written before a moment, with their
    /// sizes. They are named as a file with `#` and a number after it, and no listing shows them. Other stores keep
    /// unfinished uploads out of sight, and end them by a rule of their own.
    pub fn unfinished_files(&self, before: chrono::DateTime<chrono::Utc>) -> Vec<(PathBuf, u64)> {
        if matches!(self.written, Written::Url(_)) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from(format!("/{}", self.path))];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let (path, Ok(meta)) = (entry.path(), entry.metadata()) else { continue };
                if meta.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = entry.file_name().to_string_lossy().into_owned();
                let unfinished = name.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u32>().is_ok());
                let written = meta.modified().map(chrono::DateTime::<chrono::Utc>::from);
                if unfinished && written.is_ok_and(|written| written <= before) {
                    found.push((path, meta.len()));
                }
            }
        }
        found.sort();
        found
    }

    /// The URL of a path, as tools take it.
    pub fn url(&self, path: &Path) -> String {
        match &self.written {
            Written::Absolute | Written::From(_) => {
                Url::from_file_path(format!("/{path}")).map_or_else(|()| format!("file:///{path}"), String::from)
            }
            // Hadoop's other name for the same.
            Written::Url(origin) => format!("{}/{path}", origin.replacen("s3a://", "s3://", 1)),
        }
    }

    /// A place below this one.
    pub fn join(&self, below: &str) -> Path {
        Path::from(format!("{}/{below}", self.path.trim_end_matches('/')))
    }

    /// A path of the store as people and tools would write it.
    pub fn shown(&self, path: &Path) -> String {
        let written = match &self.written {
            Written::Absolute => format!("/{path}"),
            Written::From(here) => format!("/{path}").strip_prefix(here.as_str()).map_or_else(|| format!("/{path}"), str::to_owned),
            Written::Url(origin) => format!("{origin}/{path}"),
        };
        shown::name(&written).into_owned()
    }

    /// The files here: those that match the wildcards, or the one file, in order of path. Markers that other programs leave
    /// beside their files match no wildcard; they are counted.
    ///
    /// # Errors
    /// As [`failure`]; [`Error::Refused`] when there are too many files.
    pub async fn files(&self) -> Result<Found> {
        let wildcard = self.path.find(['*', '?', '[']);
        let Some(wildcard) = wildcard else {
            let path = Path::from(self.path.as_str());
            return match self.store.head(&path).await {
                Ok(meta) => Ok(Found { files: vec![self.file(meta)], markers: 0 }),
                Err(object_store::Error::NotFound { .. }) => Ok(Found::default()),
                Err(error) => Err(failure("read", &self.shown(&path), error)),
            };
        };
        let pattern = self.pattern()?;
        let folder = self.path[..wildcard].rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::from(folder);
        let markers = markers::Markers::beside(&self.path, wildcard);
        let mut found = Found::default();
        let mut listing = self.store.list(Some(&folder));
        loop {
            match listing.try_next().await {
                Ok(Some(meta)) if !pattern.matches_with(meta.location.as_ref(), MATCHING) => {}
                Ok(Some(meta)) if markers.include(&meta.location) => found.markers += 1,
                Ok(Some(meta)) => found.files.push(self.file(meta)),
                Ok(None) => break,
                Err(error) if failure::is_no_folder(&error) => break,
                Err(error) => return Err(failure("list", &self.shown(&folder), error)),
            }
            if found.files.len() > MAX_FILES {
                return Err(Error::Refused(
                    Message::new(format!("more than {MAX_FILES} files match {}", shown::name(&self.path))).hint("narrow the location"),
                ));
            }
        }
        found.files.sort_by(|a, b| a.meta.location.cmp(&b.meta.location));
        Ok(found)
    }

    /// Whether a path of another place would be found here.
    pub fn matches(&self, other: &Location, path: &Path) -> bool {
        let is_same_store = Arc::ptr_eq(&self.store, &other.store);
        is_same_store && self.pattern().is_ok_and(|pattern| pattern.matches_with(path.as_ref(), MATCHING))
    }

    fn pattern(&self) -> Result<glob::Pattern> {
        glob::Pattern::new(&self.path).map_err(|error| invalid(&self.path, error.msg))
    }

    fn file(&self, meta: ObjectMeta) -> File {
        let is_local = !matches!(self.written, Written::Url(_));
        File { store: Arc::clone(&self.store), shown: self.shown(&meta.location), meta, is_local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn opened(text: &str) -> Location {
        let environment = Environment::from([("AWS_REGION".into(), "eu-west-1".into())]);
        Stores::new(environment).open(text, std::path::Path::new("/data")).unwrap()
    }

    #[test]
    fn paths_and_urls_open_with_their_wildcards() {
        assert_eq!(opened("crm/*.csv").path, "data/crm/*.csv");
        assert_eq!(opened("../x/./a.csv").path, "x/a.csv");
        assert_eq!(opened("file:///srv/a/*.csv").path, "srv/a/*.csv");
        let s3 = opened("s3://bucket/web/2011-*.parquet");
        assert_eq!((s3.path.as_str(), s3.written.clone()), ("web/2011-*.parquet", Written::Url("s3://bucket".into())));
        assert_eq!(s3.shown(&Path::from("web/a.parquet")), "s3://bucket/web/a.parquet");
        assert_eq!(opened("/srv/a.csv").shown(&Path::from("srv/a.csv")), "/srv/a.csv");
        assert_eq!(opened("https://example.com/a/b.csv").written, Written::Url("https://example.com".into()));
    }

    #[tokio::test]
    async fn a_star_does_not_cross_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.csv", "b.csv", "c.txt", "deep/d.csv"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let files = |pattern: &str| {
            let location = opened(&format!("{}/{pattern}", folder.path().display()));
            async move {
                location.files().await.unwrap().files.iter().map(|f| f.meta.location.filename().unwrap().to_owned()).collect::<Vec<_>>()
            }
        };
        assert_eq!(files("*.csv").await, ["a.csv", "b.csv"]);
        assert_eq!(files("**/*.csv").await, ["a.csv", "b.csv", "d.csv"]);
        assert_eq!(files("c.txt").await, ["c.txt"]);
        assert!(files("none/*.csv").await.is_empty());
    }
}
