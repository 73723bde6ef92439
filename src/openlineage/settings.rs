//! Where events go, as the command line and the variables of OpenLineage's clients say it.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;
use url::Url;

use super::parent::parent;
use crate::config::Environment;

/// The variables of OpenLineage's clients.
const DISABLED: &str = "OPENLINEAGE_DISABLED";
const URL: &str = "OPENLINEAGE_URL";
const ENDPOINT: &str = "OPENLINEAGE_ENDPOINT";
const API_KEY: &str = "OPENLINEAGE_API_KEY";
const NAMESPACE: &str = "OPENLINEAGE_NAMESPACE";

/// Where a server takes events, unless the variable says otherwise.
const USUAL_ENDPOINT: &str = "api/v1/lineage";
/// The namespace of jobs, unless the variable says otherwise.
const USUAL_NAMESPACE: &str = "default";

/// Where events go, and whose they are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where they go.
    pub(super) target: Target,
    /// The namespace of the job.
    pub(super) namespace: String,
    /// The facet that names the run that has started this one.
    pub(super) parent: Option<Value>,
}

/// Where events go.
#[derive(Clone)]
pub(super) enum Target {
    /// A local file, to which each event is added as a line.
    File(PathBuf),
    /// A server.
    Http { url: Url, api_key: Option<String> },
}

/// The key is a secret, and a URL may have some in its query.
impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown())
    }
}

impl Target {
    /// As messages name it.
    pub(super) fn shown(&self) -> String {
        match self {
            Target::File(path) => crate::shown::name(&path.to_string_lossy()).into_owned(),
            Target::Http { url, .. } => format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()) + &port(url),
        }
    }
}

fn port(url: &Url) -> String {
    url.port().map_or_else(String::new, |port| format!(":{port}"))
}

/// Where the events of a command go; none where nothing asks for them. `typed` is what the command line says: a file, or the URL of a server,
/// in place of `OPENLINEAGE_URL`. Settings that cannot be used are warnings.
pub fn settings(typed: Option<&str>, environment: &Environment, warnings: &mut Vec<String>) -> Option<Settings> {
    let given = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    if given(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let typed = typed.map(str::trim).filter(|typed| !typed.is_empty());
    let (text, named) = match typed {
        Some(typed) => (typed, "`--lineage`"),
        None => (given(URL)?, "`OPENLINEAGE_URL`"),
    };
    let is_url = typed.is_none() || text.contains("://");
    let target = if is_url {
        let Some(url) = of_server(text, given(ENDPOINT).unwrap_or(USUAL_ENDPOINT)) else {
            let what = "the URL of a server: write it as http(s)://host:port, without credentials";
            warnings.push(format!("no lineage events are sent: {named} is not {what}"));
            return None;
        };
        Target::Http { url, api_key: given(API_KEY).map(str::to_owned) }
    } else {
        Target::File(PathBuf::from(text))
    };
    let namespace = given(NAMESPACE).unwrap_or(USUAL_NAMESPACE).to_owned();
    Some(Settings { target, namespace, parent: parent(environment, warnings) })
}

/// The URL to which events are posted.
fn of_server(server: &str, endpoint: &str) -> Option<Url> {
    let mut url = Url::parse(server).ok()?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() || has_credentials {
        return None;
    }
    url.path_segments_mut().ok()?.pop_if_empty().extend(endpoint.split('/').filter(|part| !part.is_empty()));
    Some(url)
}
