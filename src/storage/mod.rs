//! Local paths and object stores behind one interface, with errors that say who must act.

mod address;
mod below;
mod client;
mod dataset;
mod failure;
mod glob;
mod local;
mod markers;
mod named_parts;
mod open;
mod pinned;
mod place;
mod plain;
mod post;
mod profile;
mod uploads;

pub use below::Below;
pub use dataset::{DatasetName, of_folder as dataset_of_folder, of_source as dataset_of_source};
pub use failure::{broken, failure, failure_within, of_system};
pub use glob::Glob;
pub use local::{Hidden, Walked, upload_of};
pub use markers::Found;
pub use named_parts::{NamedPart, Token, may_have_key, take_out as named_parts_of};
pub use open::{READ_ONLY, Stores};
pub use place::PLACES;
pub use plain::{NoFile, read as read_plain, refuse_odd, why as why_no_file};
pub use post::{Post, PostError, Poster, server};

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use url::Url;

use crate::error::Result;
use crate::shown;

/// The action that messages name when a folder is listed.
const LIST: &str = "list";

/// The content of an object that is expected to be small.
#[derive(Debug)]
pub enum Contents {
    /// Its bytes.
    Bytes(Bytes),
    /// It is larger than allowed.
    TooLarge,
}

/// A place in a store.
#[derive(Debug, Clone)]
pub struct Location {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The place in it.
    pub path: String,
    /// How people and tools write a path of the store.
    pub written: Written,
    /// Whether it is for reading alone.
    pub is_read_only: bool,
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
    /// What its path says, as far as a contract asks for it.
    pub parts: PathParts,
}

/// Parts of a path by name, each with its text; none where the path says that there is no value.
pub type PathParts = Arc<BTreeMap<String, Option<String>>>;

/// How a file of a store is replaced by another in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiesBy {
    /// The store copies files up to this size atomically.
    Store {
        /// The largest file.
        up_to_bytes: u64,
    },
    /// The store's copies may become visible before they are complete, while an upload becomes visible when it is complete.
    Upload,
}

impl Location {
    /// Writes an object, whatever was there.
    ///
    /// # Errors
    /// As the store fails.
    pub async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let put = self.store.put(path, PutPayload::from(bytes)).await;
        put.map(|_| ()).map_err(|error| failure("write", &self.shown(path), error))
    }

    /// Reads a small object; none when it is not there.
    ///
    /// # Errors
    /// As the store fails.
    pub async fn read(&self, path: &Path, max_bytes: u64) -> Result<Option<Contents>> {
        let failed = |error| failure("read", &self.shown(path), error);
        match self.store.get(path).await {
            Ok(found) if found.meta.size > max_bytes => Ok(Some(Contents::TooLarge)),
            Ok(found) => Ok(Some(Contents::Bytes(found.bytes().await.map_err(failed)?))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// All files in a folder below here, in the store's order; none when there is no such folder. Local files that the store does not
    /// show are listed separately.
    ///
    /// # Errors
    /// As [`failure`].
    pub async fn list_all(&self, folder: &str) -> Result<Walked> {
        let folder = self.join(folder);
        let shown = self.shown(&folder);
        if self.is_local() {
            return local::walk(folder.to_string(), None, &shown).await;
        }
        match self.store.list(Some(&folder)).try_collect().await {
            Ok(files) => Ok(Walked { files, hidden: Vec::new() }),
            Err(error) if failure::is_no_folder(&error) => Ok(Walked::default()),
            Err(error) => Err(failure(LIST, &shown, error)),
        }
    }

    /// As [`Location::list_all`], without what the store does not show.
    ///
    /// # Errors
    /// As [`failure`].
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        Ok(self.list_all(folder).await?.files)
    }

    /// Whether this is on a local disk.
    pub fn is_local(&self) -> bool {
        !matches!(self.written, Written::Url(_))
    }

    /// The place as a path of the store.
    pub fn folder(&self) -> Path {
        Path::parse(&self.path).unwrap_or_else(|_| Path::from(self.path.as_str()))
    }

    /// How this store replaces a file by another.
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

    /// The path of a local file, or the URL of another one.
    pub fn local_path_or_url(&self, path: &Path) -> String {
        match &self.written {
            Written::Absolute | Written::From(_) => format!("/{path}"),
            Written::Url(_) => self.url(path),
        }
    }

    /// A place below this one.
    pub fn join(&self, below: &str) -> Path {
        let path = format!("{}/{below}", self.path);
        let path = path.trim_matches('/');
        // What is no path of a store, as one with `..` in it, is a name that nothing has.
        Path::parse(path).unwrap_or_else(|_| Path::from(path))
    }

    /// A path of the store as people and tools would write it.
    pub fn shown(&self, path: &Path) -> String {
        self.shown_text(path.as_ref())
    }

    /// As [`Location::shown`], of a path with wildcards.
    fn shown_text(&self, path: &str) -> String {
        let written = match &self.written {
            Written::Absolute => format!("/{path}"),
            Written::From(here) => format!("/{path}").strip_prefix(here.as_str()).map_or_else(|| format!("/{path}"), str::to_owned),
            Written::Url(origin) => format!("{origin}/{path}"),
        };
        shown::name(&written).into_owned()
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
}
