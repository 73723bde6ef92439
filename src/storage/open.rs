//! Opens the stores that paths and URLs name, each once, with credentials and endpoints from the environment.

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

use super::client::client;
use super::uploads::{Uploads, Watched};
use super::{Location, Written};
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::shown;

/// What may be written where a place is meant.
pub const PLACES: &str = "use a path, or file://, s3://, gs://, az:// or http(s)://";
const NO_URL: &str = "it is no URL";

/// Opens stores, each once.
#[derive(Debug)]
pub struct Stores {
    environment: Environment,
    opened: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
    uploads: Arc<Uploads>,
}

impl Stores {
    /// Stores that take their credentials and endpoints from these variables.
    pub fn new(environment: Environment) -> Self {
        Stores { environment, opened: Mutex::default(), uploads: Arc::default() }
    }

    /// Opens the place that a path or URL names; a relative path starts at `root`.
    ///
    /// # Errors
    /// [`Error::Project`] when the URL has no meaning or the store's configuration is incomplete.
    pub fn open(&self, text: &str, root: &std::path::Path) -> Result<Location> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path().map_err(|()| invalid(text, "it is no absolute path"))?;
                Ok(self.local(text, path))
            }
            // A single letter is a drive, not a scheme.
            Ok(url) if url.scheme().len() > 1 => match Stores::unfit(text) {
                Some(why) => Err(invalid(text, why)),
                None => self.remote(text, &url),
            },
            Err(_) if Stores::unfit(text).is_some() => Err(invalid(text, NO_URL)),
            _ => Ok(self.local(text, root.join(text))),
        }
    }

    /// Why a text names no place, as far as that can be told without opening it.
    pub fn unfit(text: &str) -> Option<&'static str> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => url.to_file_path().is_err().then_some("it is no absolute path"),
            Ok(url) if url.scheme().len() > 1 => match ObjectStoreScheme::parse(&url) {
                Err(_) => Some("no such store is known"),
                Ok(_) if shown::has_query(text) => Some("a query or fragment is no part of a location"),
                Ok(_) => None,
            },
            // A path has no scheme: this is a URL with a mistake in it.
            Err(_) => {
                let scheme = text.split_once("://").map(|(scheme, _)| scheme)?;
                let is_scheme = scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
                is_scheme.then_some(NO_URL)
            }
            _ => None,
        }
    }

    fn local(&self, text: &str, path: PathBuf) -> Location {
        let absolute = clean(&std::path::absolute(&path).unwrap_or(path));
        let typed_absolute = std::path::Path::new(text).is_absolute() || text.starts_with("file:");
        let written = match std::env::current_dir() {
            Ok(here) if !typed_absolute && absolute.starts_with(&here) => Written::From(format!("{}/", here.display())),
            _ => Written::Absolute,
        };
        let store = self.cached("file:///", || Ok(Arc::new(LocalFileSystem::new().with_automatic_cleanup(true))));
        let store = store.unwrap_or_else(|_| Arc::new(LocalFileSystem::new().with_automatic_cleanup(true)));
        let path = absolute.to_string_lossy().trim_start_matches('/').to_owned();
        Location { store, path, written }
    }

    fn remote(&self, text: &str, url: &Url) -> Result<Location> {
        let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|_| invalid(text, "no such store is known"))?;
        let origin = text[..text.len() - trailing(text, path.as_ref())].trim_end_matches('/').to_owned();
        let store = self.cached(&origin, || client(&self.environment, &scheme, url, text))?;
        // Wildcards come percent-encoded out of a URL; the text has them as typed.
        let typed = text[origin.len()..].trim_matches('/').to_owned();
        // What is shown has no password.
        Ok(Location { store, path: typed, written: Written::Url(shown::place(&origin)) })
    }

    /// Puts a store in the place of all that URLs with a beginning name (`memory:`), for tests and programs that embed Segmill.
    pub fn provide(&self, origin: &str, store: Arc<dyn ObjectStore>) {
        let watched = Watched::new(store, Arc::clone(&self.uploads));
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(origin.to_owned(), Arc::new(watched));
    }

    /// Ends the uploads that were begun and not completed, as a run leaves them that fails or, for good, is stopped.
    pub async fn end_uploads(&self, for_good: bool) {
        self.uploads.end(for_good).await;
    }

    fn cached(&self, key: &str, open: impl FnOnce() -> Result<Arc<dyn ObjectStore>>) -> Result<Arc<dyn ObjectStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(key) {
            return Ok(Arc::clone(store));
        }
        tracing::debug!("opens {}", shown::place(key));
        let store: Arc<dyn ObjectStore> = Arc::new(Watched::new(open()?, Arc::clone(&self.uploads)));
        opened.insert(key.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

pub(super) fn invalid(text: &str, why: &str) -> Error {
    Diagnostic::error("invalid-location", format!("`{}` is not a location: {why}", shown::place(text))).hint(PLACES).into()
}

/// How many bytes of the text's end the store's path takes, as typed.
fn trailing(text: &str, path: &str) -> usize {
    let segments = path.split('/').filter(|segment| !segment.is_empty()).count();
    let trimmed = text.trim_end_matches('/');
    let mut start = trimmed.len();
    for _ in 0..segments {
        start = trimmed[..start].rfind('/').unwrap_or(0);
    }
    text.len() - start
}

/// A path without `.` and `..`, as object stores know none.
fn clean(path: &std::path::Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}
