//! Sends an event: adds a line to a file, or posts it to a server, within a time limit.

use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::settings::Target;
use crate::storage::{self, Post, PostError, Poster};

/// How long sending an event may take, with all tries; and if an event of the command was lost before.
const WITHIN: Duration = Duration::from_secs(3);
const WITHIN_AFTER_LOSS: Duration = Duration::from_secs(1);

/// The way to where events go.
#[derive(Debug)]
pub(super) struct Transport {
    target: Target,
    poster: OnceLock<Result<Poster, PostError>>,
    /// Whether an event was lost.
    has_lost: AtomicBool,
}

impl Transport {
    pub(super) fn to(target: Target) -> Self {
        Transport { target, poster: OnceLock::new(), has_lost: AtomicBool::new(false) }
    }

    /// Where events go, as messages name it.
    pub(super) fn shown(&self) -> String {
        self.target.shown()
    }

    /// Notes that an event was lost.
    pub(super) fn lost(&self) {
        self.has_lost.store(true, Ordering::Relaxed);
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Why it was not sent, without anything that a server has said.
    pub(super) async fn send(&self, event: String) -> Result<(), String> {
        let sent = match &self.target {
            Target::File(path) => {
                let path = path.clone();
                let written = tokio::task::spawn_blocking(move || append(&path, event)).await;
                written.unwrap_or_else(|_| Err("writing broke off".to_owned()))
            }
            Target::Http { url, api_key } => self.post(url.as_str(), api_key.as_deref(), event).await.map_err(|error| error.to_string()),
        };
        if sent.is_err() {
            self.lost();
        }
        sent
    }

    async fn post(&self, url: &str, api_key: Option<&str>, event: String) -> Result<(), PostError> {
        let within = if self.has_lost.load(Ordering::Relaxed) { WITHIN_AFTER_LOSS } else { WITHIN };
        let headers: Vec<(String, String)> = api_key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))).into_iter().collect();
        let poster = self.poster.get_or_init(Poster::new).as_ref().map_err(|error| *error)?;
        let post = Post { url, headers: &headers, content_type: "application/json", body: event.into_bytes(), within };
        poster.post(post).await
    }
}

/// Adds a line to a file, in one write, so that lines of runs at the same time do not mix.
fn append(path: &Path, mut event: String) -> Result<(), String> {
    if let Err(error) = storage::refuse_odd(path)
        && storage::why_no_file(&error).is_some_and(|odd| !odd.is_device())
    {
        // Writing into a pipe that nobody reads would never end.
        return Err("it is not a file".to_owned());
    }
    event.push('\n');
    let open = std::fs::OpenOptions::new().append(true).create(true).open(path);
    open.and_then(|mut file| file.write_all(event.as_bytes())).map_err(|error| storage::of_system(&error))
}
