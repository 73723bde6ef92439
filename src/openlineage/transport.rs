//! Sends an event: adds a line to a file, or posts it to a server. Every try has a time limit, and there are few of them.

use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, redirect};

use super::settings::Target;
use crate::storage;

/// How often an event is posted, how long a try may take, and the pause after the first that failed, which doubles.
const TRIES: u32 = 3;
const TRY_WITHIN: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// When an event of the command was lost before: one try, and a short one.
const TRY_WITHIN_AFTER_LOSS: Duration = Duration::from_secs(1);

/// The way to where events go.
#[derive(Debug)]
pub(super) struct Transport {
    target: Target,
    client: OnceLock<Option<Client>>,
    /// Whether an event was lost.
    has_lost: AtomicBool,
}

/// Why a try failed.
struct Failure {
    why: String,
    /// Whether another try may go better.
    may_pass: bool,
}

impl Transport {
    pub(super) fn to(target: Target) -> Self {
        Transport { target, client: OnceLock::new(), has_lost: AtomicBool::new(false) }
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
            Target::Http { .. } => self.post(event).await,
        };
        if sent.is_err() {
            self.lost();
        }
        sent
    }

    async fn post(&self, event: String) -> Result<(), String> {
        let (most, within) = if self.has_lost.load(Ordering::Relaxed) { (1, TRY_WITHIN_AFTER_LOSS) } else { (TRIES, TRY_WITHIN) };
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let failure = match self.try_post(event.clone(), within).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if attempt == most || !failure.may_pass {
                let times = if attempt > 1 { format!(" ({attempt} tries)") } else { String::new() };
                return Err(failure.why + &times);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn try_post(&self, event: String, within: Duration) -> Result<(), Failure> {
        let Target::Http { url, api_key } = &self.target else { return Ok(()) };
        let hopeless = |why: &str| Failure { why: why.to_owned(), may_pass: false };
        let client = self.client.get_or_init(client).as_ref().ok_or_else(|| hopeless("the HTTP client did not start"))?;
        let mut request = client.post(url.clone()).timeout(within).header(CONTENT_TYPE, "application/json").body(event);
        if let Some(key) = api_key {
            let value = HeaderValue::try_from(format!("Bearer {key}"));
            let mut value = value.map_err(|_| hopeless("`OPENLINEAGE_API_KEY` holds what no header may"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let may_pass = status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
                Err(Failure { why: format!("the server answered {}", status.as_u16()), may_pass })
            }
            // What the library says repeats the URL.
            Err(error) if error.is_timeout() => {
                Err(Failure { why: format!("the server did not answer within {} s", within.as_secs()), may_pass: true })
            }
            Err(error) if error.is_connect() => Err(Failure { why: "the server was not reached".to_owned(), may_pass: true }),
            Err(_) => Err(Failure { why: "the connection broke off".to_owned(), may_pass: true }),
        }
    }
}

/// A client that follows no redirects, since what it sends may carry a key.
fn client() -> Option<Client> {
    let agent = concat!("segmill/", env!("CARGO_PKG_VERSION"));
    Client::builder().redirect(redirect::Policy::none()).user_agent(agent).build().ok()
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
