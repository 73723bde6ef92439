//! Opens the stores that paths and URLs name, each once, with credentials and endpoints from the environment.

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::uploads::{Uploads, Watched};
use super::{Location, Written, profile};
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};

/// How long a request is tried before the store counts as unavailable, unless the variable says otherwise.
const DEADLINE: Duration = Duration::from_mins(2);
const DEADLINE_VARIABLE: &str = "SEGMILL_STORE_DEADLINE_SECONDS";
/// What may be written where a place is meant.
pub const PLACES: &str = "use a path, or file://, s3://, gs://, az:// or http(s)://";
/// How long one try may take, and the pause after it; under a short deadline a third and a sixth of that.
const MAX_TRY: Duration = Duration::from_secs(30);
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// More than fit in any deadline.
const MAX_RETRIES: usize = 1000;

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
            Ok(url) if url.scheme().len() > 1 => self.remote(text, &url),
            _ => Ok(self.local(text, root.join(text))),
        }
    }

    /// Why a text names no place, as far as that can be told without opening it.
    pub fn unfit(text: &str) -> Option<&'static str> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => url.to_file_path().is_err().then_some("it is no absolute path"),
            Ok(url) if url.scheme().len() > 1 => ObjectStoreScheme::parse(&url).is_err().then_some("no such store is known"),
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
        let store = self.cached(&origin, || {
            let built = self.build(&scheme, url)?;
            built.map_err(|error| invalid(text, &error.to_string()))
        })?;
        // Wildcards come percent-encoded out of a URL; the text has them as typed.
        let typed = text[origin.len()..].trim_matches('/').to_owned();
        Ok(Location { store, path: typed, written: Written::Url(origin) })
    }

    /// Builds the client of a store from the variables that belong to its kind, as `AWS_REGION`. Others are left alone: a
    /// `TOKEN` that is set for something else is no credential.
    fn build(&self, scheme: &ObjectStoreScheme, url: &Url) -> Result<object_store::Result<Arc<dyn ObjectStore>>> {
        let variables = |prefix: &'static str| {
            let named = self.environment.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
            named.filter(move |(name, _)| name.starts_with(prefix))
        };
        let (retry, options) = self.tries()?;
        Ok(match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let mut builder = AmazonS3Builder::new().with_url(url.as_str()).with_retry(retry).with_client_options(options);
                for (name, value) in profile::options(&self.environment)?.into_iter().chain(variables("aws_")) {
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                // An endpoint that is typed without TLS is meant so.
                let plain = variables("aws_endpoint").any(|(_, value)| value.starts_with("http://"));
                if plain { builder.with_allow_http(true) } else { builder }.build().map(|store| Arc::new(store) as _)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let plain = variables("google_base_url").any(|(_, value)| value.starts_with("http://"));
                let options = options.with_allow_http(plain);
                let mut builder = GoogleCloudStorageBuilder::new().with_url(url.as_str()).with_retry(retry).with_client_options(options);
                for (name, value) in variables("google_") {
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                builder.build().map(|store| Arc::new(store) as _)
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let mut builder = MicrosoftAzureBuilder::new().with_url(url.as_str()).with_retry(retry).with_client_options(options);
                for (name, value) in variables("azure_") {
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                let plain = variables("azure_storage_endpoint").any(|(_, value)| value.starts_with("http://"));
                if plain { builder.with_allow_http(true) } else { builder }.build().map(|store| Arc::new(store) as _)
            }
            ObjectStoreScheme::Http => {
                let options = options.with_allow_http(url.scheme() == "http");
                let origin = &url[..url::Position::BeforePath];
                let builder = HttpBuilder::new().with_url(origin).with_retry(retry).with_client_options(options);
                builder.build().map(|store| Arc::new(store) as _)
            }
            _ => object_store::parse_url(url).map(|(store, _)| Arc::from(store)),
        })
    }

    /// How requests are tried: again with growing pauses, and so that the last try ends before the deadline even if the
    /// store never answers.
    fn tries(&self) -> Result<(RetryConfig, ClientOptions)> {
        let deadline = match self.environment.get(DEADLINE_VARIABLE) {
            None => DEADLINE,
            Some(text) => match text.parse::<u64>() {
                Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
                _ => {
                    let what = format!("{DEADLINE_VARIABLE} is `{text}`, which is no number of seconds");
                    return Err(Diagnostic::error("invalid-deadline", what).hint("write it as 120").into());
                }
            },
        };
        let one_try = MAX_TRY.min(deadline / 3);
        let backoff = BackoffConfig { max_backoff: MAX_PAUSE.min(deadline / 6), ..BackoffConfig::default() };
        let retry_timeout = deadline.saturating_sub(one_try).saturating_sub(backoff.max_backoff);
        Ok((RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout }, ClientOptions::new().with_timeout(one_try)))
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
        let store: Arc<dyn ObjectStore> = Arc::new(Watched::new(open()?, Arc::clone(&self.uploads)));
        opened.insert(key.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

pub(super) fn invalid(text: &str, why: &str) -> Error {
    let text = text.split('?').next().unwrap_or_default();
    Diagnostic::error("invalid-location", format!("`{text}` is not a location: {why}")).hint(PLACES).into()
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
