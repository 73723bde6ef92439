//! Sends a message to a server by HTTP POST. Its errors say what happened and never where, with what, or what the server answered: URLs of
//! webhooks and headers of collectors are secrets.

use std::fmt;
use std::time::Duration;

use object_store::{HeaderMap, HeaderValue};
use url::Url;

/// How often a message is sent, where sending it again may help.
const TRIES: u32 = 3;

/// The pause before the second try; it is four times as long before the next.
const PAUSE: Duration = Duration::from_millis(200);

/// A client of any server.
#[derive(Debug, Clone)]
pub struct Poster {
    client: reqwest::Client,
}

/// Why a message was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostError {
    /// There is no client, for want of certificates for instance.
    NoClient,
    /// What should be a URL of a server is none.
    NotUrl,
    /// What should be a header is none.
    NotHeader,
    /// No connection could be made.
    NoConnection,
    /// The connection broke off, or the answer is none of HTTP.
    BrokenOff,
    /// The server has not answered in time.
    NoAnswer(Duration),
    /// The server has answered with this status.
    Status(u16),
}

/// A message.
#[derive(Debug)]
pub struct Post<'a> {
    /// Where it goes.
    pub url: &'a str,
    /// Its headers, beside those of its content.
    pub headers: &'a [(String, String)],
    /// What it is, such as `application/json`.
    pub content_type: &'static str,
    /// What it says.
    pub body: Vec<u8>,
    /// How long it may take, with all tries.
    pub within: Duration,
}

impl Poster {
    /// A client that follows no redirect: what a message says is for the server that was named.
    ///
    /// # Errors
    /// [`PostError::NoClient`].
    pub fn new() -> Result<Self, PostError> {
        let agent = concat!("segmill/", env!("CARGO_PKG_VERSION"));
        let built = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).user_agent(agent).build();
        Ok(Poster { client: built.map_err(|_| PostError::NoClient)? })
    }

    /// Sends a message, again where that may help, until the server has taken it or the time is up.
    ///
    /// # Errors
    /// As the last try failed.
    pub async fn post(&self, post: Post<'_>) -> Result<(), PostError> {
        let within = post.within;
        tokio::time::timeout(within, self.tries(post)).await.unwrap_or(Err(PostError::NoAnswer(within)))
    }

    async fn tries(&self, post: Post<'_>) -> Result<(), PostError> {
        let (url, headers) = (server(post.url)?, headers_of(&post)?);
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.once(&url, &headers, &post.body).await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                ended => return ended,
            }
            pause *= 4;
        }
        self.once(&url, &headers, &post.body).await
    }

    async fn once(&self, url: &Url, headers: &HeaderMap, body: &[u8]) -> Result<(), PostError> {
        let sent = self.client.post(url.clone()).headers(headers.clone()).body(body.to_vec()).send().await;
        match sent {
            // What the answer says beside its status is not read.
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(PostError::Status(answer.status().as_u16())),
            Err(error) if error.is_connect() => Err(PostError::NoConnection),
            Err(_) => Err(PostError::BrokenOff),
        }
    }
}

/// The URL of a server.
///
/// # Errors
/// [`PostError::NotUrl`].
pub fn server(text: &str) -> Result<Url, PostError> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    url.ok_or(PostError::NotUrl)
}

fn headers_of(post: &Post<'_>) -> Result<HeaderMap, PostError> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(post.content_type));
    for (name, value) in post.headers {
        let name: reqwest::header::HeaderName = name.parse().map_err(|_| PostError::NotHeader)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| PostError::NotHeader)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

impl PostError {
    /// Whether sending again may help.
    fn may_pass(self) -> bool {
        match self {
            PostError::NoConnection | PostError::BrokenOff => true,
            PostError::Status(status) => status == 429 || status >= 500,
            PostError::NoClient | PostError::NotUrl | PostError::NotHeader | PostError::NoAnswer(_) => false,
        }
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostError::NoClient => f.write_str("no client of HTTP can be made here"),
            PostError::NotUrl => f.write_str("it is no URL of a server"),
            PostError::NotHeader => f.write_str("one of the headers cannot be sent"),
            PostError::NoConnection => f.write_str("no connection could be made"),
            PostError::BrokenOff => f.write_str("the connection broke off"),
            PostError::NoAnswer(within) => write!(f, "the server did not answer within {} ms", within.as_millis()),
            PostError::Status(status) => write!(f, "the server answered with status {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_are_posted_to() {
        for (text, is_server) in [
            ("http://127.0.0.1:4318/v1/traces", true),
            ("https://hooks.example/a?b=c", true),
            ("file:///etc/passwd", false),
            ("hooks.example", false),
            ("http://", false),
            ("", false),
        ] {
            assert_eq!(server(text).is_ok(), is_server, "{text}");
        }
    }
}
