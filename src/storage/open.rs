//! Opens the stores that paths and URLs name, each once, with credentials and endpoints from the environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

use super::address::{Address, Remote};
use super::client::client;
use super::named_parts;
use super::place::{Part, invalid, local_parts};
use super::uploads::{Uploads, Watched};
use super::{Glob, Location, Written};
use crate::config::Environment;
use crate::error::Result;
use crate::shown;

/// The name of the local disk among stores.
const LOCAL: &str = "file:///";
/// The scheme of a store that an embedding program provides.
const MEMORY: &str = "memory";
/// Whether this is the command line, where no embedding program can provide a store.
static IS_COMMAND_LINE: AtomicBool = AtomicBool::new(false);
const UNKNOWN: &str = "no such store is known";
/// Why nothing is published over HTTP.
pub const READ_ONLY: &str = "HTTP is for reading; publish to a local disk, S3, Azure or GCS";

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

    /// Opens the place that a path or URL names. Wildcards have no meaning in it; a relative path starts at `root`.
    ///
    /// # Errors
    /// [`crate::error::Error::Project`] when it has no meaning or the store's configuration is incomplete.
    pub fn open(&self, text: &str, root: &Path) -> Result<Location> {
        Ok(self.opened(text, root)?.0)
    }

    /// Opens a source's location: a file, or all files that match its wildcards. Wildcards in `root` have no meaning.
    ///
    /// # Errors
    /// As [`Stores::open`]; and when its wildcards make no sense.
    pub fn glob(&self, text: &str, root: &Path) -> Result<Glob> {
        let (stood_in, named) = named_parts::take_out(text).map_err(|why| invalid(text, &why))?;
        let (mut place, parts) = self.opened(&stood_in, root)?;
        place.path = named_parts::with_wildcards(&place.path, &named);
        Glob::new(text, place, &parts, named)
    }

    /// Says that no program provides stores in this process, so that locations of such stores are refused.
    pub fn of_command_line() {
        IS_COMMAND_LINE.store(true, Ordering::Relaxed);
    }

    /// Why a text names no place, as far as that can be told without opening it.
    pub fn unfit(text: &str) -> Option<String> {
        match Address::parse(text) {
            Ok(Address::Remote(remote)) if remote.scheme == MEMORY && IS_COMMAND_LINE.load(Ordering::Relaxed) => Some(UNKNOWN.to_owned()),
            other => other.err(),
        }
    }

    /// As [`Stores::unfit`], of a place to read from, whose parts may have names.
    pub fn unfit_to_read(text: &str) -> Option<String> {
        named_parts::take_out(text).map_or_else(Some, |(text, _)| Self::unfit(&text))
    }

    /// As [`Stores::unfit`], of a place to write to.
    pub fn unfit_to_write(text: &str) -> Option<String> {
        let read_only = || matches!(Address::parse(text), Ok(Address::Remote(remote)) if kind_of(&remote).is_ok_and(|(kind, ..)| kind == ObjectStoreScheme::Http));
        Self::unfit(text).or_else(|| read_only().then(|| READ_ONLY.to_owned()))
    }

    /// A place, and the parts of its path.
    fn opened(&self, text: &str, root: &Path) -> Result<(Location, Vec<Part>)> {
        match Address::parse(text).map_err(|why| invalid(text, &why))? {
            Address::Local(path) => self.local(text, &path, root),
            Address::Remote(remote) => self.remote(text, &remote),
        }
    }

    fn local(&self, text: &str, path: &str, root: &Path) -> Result<(Location, Vec<Part>)> {
        let parts = local_parts(path, root).map_err(|why| invalid(text, &why))?;
        let path = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("/");
        let typed_absolute = Path::new(text).is_absolute() || text.to_ascii_lowercase().starts_with("file:");
        let here = std::env::current_dir().ok().and_then(|here| here.to_str().map(|here| here.trim_end_matches('/').to_owned()));
        let written = match here {
            Some(here) if !typed_absolute && format!("/{path}/").starts_with(&format!("{here}/")) => Written::From(format!("{here}/")),
            _ => Written::Absolute,
        };
        let store = self.cached(LOCAL, || Ok(Arc::new(LocalFileSystem::new().with_automatic_cleanup(true))))?;
        Ok((Location { store, path, written, is_read_only: false }, parts))
    }

    fn remote(&self, text: &str, remote: &Remote) -> Result<(Location, Vec<Part>)> {
        let failed = |why: String| invalid(text, &why);
        if remote.scheme == MEMORY {
            // Only an embedding program provides such a store.
            let given = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get("memory:").cloned();
            let store = given.ok_or_else(|| failed(UNKNOWN.to_owned()))?;
            let written = Written::Url("memory:".to_owned());
            let parts: Vec<Part> = remote.parts.iter().map(|part| Part::typed(part)).collect();
            return Ok((Location { store, path: remote.parts.join("/"), written, is_read_only: false }, parts));
        }
        let (kind, url, outer) = kind_of(remote).map_err(failed)?;
        let (outer, inner) = remote.parts.split_at(outer);
        let below: String = outer.iter().map(|part| format!("/{part}")).collect();
        let store = self.cached(&format!("{}://{}{below}", remote.canonical_scheme(), remote.authority), || {
            client(&self.environment, &kind, &url, text)
        })?;
        let written = Written::Url(format!("{}://{}{below}", remote.scheme, remote.shown_authority()));
        let parts = inner.iter().map(|part| Part::typed(part)).collect();
        Ok((Location { store, path: inner.join("/"), written, is_read_only: kind == ObjectStoreScheme::Http }, parts))
    }

    /// Provides the store for all URLs that begin with an origin (`memory:`), for tests and programs that embed Segmill.
    pub fn provide(&self, origin: &str, store: Arc<dyn ObjectStore>) {
        let watched = Watched::new(store, Arc::clone(&self.uploads));
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(origin.to_owned(), Arc::new(watched));
    }

    /// Aborts the uploads that were begun and not completed, as a failed run leaves them. `for_good` says that no more will begin.
    pub async fn end_uploads(&self, for_good: bool) {
        self.uploads.end(for_good).await;
    }

    fn cached(&self, key: &str, open: impl FnOnce() -> Result<Arc<dyn ObjectStore>>) -> Result<Arc<dyn ObjectStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(key) {
            return Ok(Arc::clone(store));
        }
        tracing::debug!("opens {}", shown::place(key));
        let store: Arc<dyn ObjectStore> = Arc::new(Watched::new(open()?, Arc::clone(&self.uploads)).of_local_disk(key == LOCAL));
        opened.insert(key.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

/// The kind of a store, the URL that its client is built from, and how many parts of the path belong to the store's own name.
fn kind_of(remote: &Remote) -> Result<(ObjectStoreScheme, Url, usize), String> {
    let mut url = Url::parse(&format!("{}://{}/", remote.scheme, remote.authority)).map_err(|error| error.to_string())?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(&remote.parts);
    }
    let (kind, inner) = ObjectStoreScheme::parse(&url).map_err(|_| UNKNOWN.to_owned())?;
    Ok((kind, url, remote.parts.len().saturating_sub(inner.parts_count())))
}
