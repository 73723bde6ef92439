//! The clients of stores, made from the environment variables of their kind. Settings on which a client would panic, or which it would
//! repeat in its errors, are validated first.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, HeaderMap, HeaderValue, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::place::invalid;
use super::profile;
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};

/// How long a request is tried before the store counts as unavailable, unless the variable says otherwise.
const DEADLINE: Duration = Duration::from_mins(2);
const DEADLINE_VARIABLE: &str = "SEGMILL_STORE_DEADLINE_SECONDS";
/// How long one try may take, and the pause after it; under a short deadline a third and a sixth of that.
const MAX_TRY: Duration = Duration::from_secs(30);
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// More retries than fit into any deadline.
const MAX_RETRIES: usize = 1000;

/// A setting of a client, and where it comes from.
struct Setting {
    /// As the client calls it, such as `aws_region`.
    key: String,
    value: String,
    /// As people know it: the variable's name, or that of the profile's entry.
    given_by: String,
}

type Store = Arc<dyn ObjectStore>;

/// Builds the client of a store from the environment variables of its kind, such as `AWS_REGION`. Other variables are ignored: a `TOKEN` that
/// is set for something else is no credential.
///
/// # Errors
/// [`Error::Project`] naming the variable that cannot be used, never what it holds.
pub fn client(environment: &Environment, scheme: &ObjectStoreScheme, url: &Url, text: &str) -> Result<Store> {
    let (retry, options) = tries(environment)?;
    let shared: fn(object_store::Result<Store>) -> Option<Store> = Result::ok;
    match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let profile = profile::options(environment)?.into_iter().map(|(key, value)| {
                let given_by = format!("`{key}` of the AWS profile");
                Setting { key, value, given_by }
            });
            let settings =
                usable(profile.chain(variables(environment, "aws_")), |key| key.parse::<object_store::aws::AmazonS3ConfigKey>().is_ok())?;
            // An endpoint that is typed with `http://` is meant to be used without TLS.
            let plain = is_plain(&settings, "aws_endpoint");
            built(text, &settings, |settings| {
                let mut builder =
                    AmazonS3Builder::new().with_url(url.as_str()).with_retry(retry.clone()).with_client_options(options.clone());
                for setting in settings {
                    builder = builder.with_config(setting.key.parse().ok()?, &setting.value);
                }
                let builder = if plain { builder.with_allow_http(true) } else { builder };
                shared(builder.build().map(|store| Arc::new(store) as _))
            })
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let settings = variables(environment, "google_");
            let settings = usable(settings, |key| key.parse::<object_store::gcp::GoogleConfigKey>().is_ok())?;
            let options = options.with_allow_http(is_plain(&settings, "google_base_url"));
            built(text, &settings, |settings| {
                let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str()).with_retry(retry.clone());
                let mut builder = builder.with_client_options(options.clone());
                for setting in settings {
                    builder = builder.with_config(setting.key.parse().ok()?, &setting.value);
                }
                shared(builder.build().map(|store| Arc::new(store) as _))
            })
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let settings = variables(environment, "azure_");
            let settings = usable(settings, |key| key.parse::<object_store::azure::AzureConfigKey>().is_ok())?;
            let plain = is_plain(&settings, "azure_storage_endpoint");
            built(text, &settings, |settings| {
                let builder = MicrosoftAzureBuilder::new().with_url(url.as_str()).with_retry(retry.clone());
                let mut builder = builder.with_client_options(options.clone());
                for setting in settings {
                    builder = builder.with_config(setting.key.parse().ok()?, &setting.value);
                }
                let builder = if plain { builder.with_allow_http(true) } else { builder };
                shared(builder.build().map(|store| Arc::new(store) as _))
            })
        }
        ObjectStoreScheme::Http => {
            let options = with_user(options.with_allow_http(url.scheme() == "http"), url);
            let origin = format!("{}://{}", url.scheme(), &url[url::Position::BeforeHost..url::Position::BeforePath]);
            built(text, &[], |_| {
                let builder = HttpBuilder::new().with_url(&origin).with_retry(retry.clone()).with_client_options(options.clone());
                shared(builder.build().map(|store| Arc::new(store) as _))
            })
        }
        _ => built(text, &[], |_| object_store::parse_url(url).ok().map(|(store, _)| Arc::from(store))),
    }
}

/// Sends the user and password of a URL with every request (RFC 7617), because the client would drop them.
fn with_user(options: ClientOptions, url: &Url) -> ClientOptions {
    if url.username().is_empty() && url.password().is_none() {
        return options;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let user = [decoded(url.username()), b":".to_vec(), decoded(url.password().unwrap_or_default())].concat();
    let encoded = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user));
    // Base64 has no character that a header cannot have.
    let Ok(mut value) = HeaderValue::from_str(&encoded) else { return options };
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value);
    options.with_default_headers(headers)
}

fn variables(environment: &Environment, prefix: &'static str) -> impl Iterator<Item = Setting> {
    let named = environment.iter().map(|(name, value)| Setting {
        key: name.to_lowercase(),
        value: value.clone(),
        given_by: format!("the variable `{name}`"),
    });
    named.filter(move |setting| setting.key.starts_with(prefix))
}

fn is_plain(settings: &[Setting], prefix: &str) -> bool {
    settings.iter().any(|setting| setting.key.starts_with(prefix) && setting.value.starts_with("http://"))
}

/// The settings that a client knows, each of which it can take.
fn usable(settings: impl Iterator<Item = Setting>, is_known: impl Fn(&str) -> bool) -> Result<Vec<Setting>> {
    let known: Vec<Setting> = settings.filter(|setting| is_known(&setting.key)).collect();
    let problem = |setting: &Setting| {
        let (why, hint) = unusable(&setting.key, &setting.value)?;
        let what = format!("{} cannot be used: {why}", setting.given_by);
        Some(Diagnostic::error("invalid-store-setting", what).hint(hint))
    };
    let problems: Vec<Diagnostic> = known.iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(known) } else { Err(Error::Project(problems)) }
}

/// Why a client cannot use a value, and what to do about it. The path and content of a file are not part of a request.
fn unusable(key: &str, value: &str) -> Option<(&'static str, &'static str)> {
    const CHARACTERS: &str = "it has a line end or another character that no request can carry";
    const SET_ANEW: &str = "set it anew, without the line end that `echo` or an editor adds";
    let is_file =
        ["_file", "_path", "application_credentials", "service_account", "service_account_key"].iter().any(|end| key.ends_with(end));
    if is_file {
        return None;
    }
    if !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Some((CHARACTERS, SET_ANEW));
    }
    let is_url = ["endpoint", "endpoint_url", "endpoint_url_s3", "base_url"].iter().any(|end| key.ends_with(end)) && !key.contains("_use_");
    if is_url {
        let url = Url::parse(value).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let hint = "write scheme, host and port, as in `https://s3.example.com` or `http://127.0.0.1:9000`";
        return url.is_none().then_some(("it is no URL of a server", hint));
    }
    let is_region = key.ends_with("region") && !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_region.then_some(("it is no region", "write it as `eu-west-1`"))
}

/// A client, or which of the settings it does not take: the one without which it is made.
fn built(text: &str, settings: &[Setting], build: impl Fn(&[&Setting]) -> Option<Store>) -> Result<Store> {
    let all: Vec<&Setting> = settings.iter().collect();
    if let Some(store) = build(&all) {
        return Ok(store);
    }
    let without = |at: usize| all.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, setting)| *setting).collect::<Vec<_>>();
    match (0..all.len()).find(|&at| build(&without(at)).is_some()) {
        Some(at) => {
            let problem = Diagnostic::error("invalid-store-setting", format!("{} cannot be used by this store", all[at].given_by));
            Err(problem.hint("correct it, or unset it if it is meant for something else").into())
        }
        None => Err(invalid(text, "no client can be made for it from these variables")),
    }
}

/// How requests are retried: with growing pauses, and so that the last try ends before the deadline even if the store never answers.
fn tries(environment: &Environment) -> Result<(RetryConfig, ClientOptions)> {
    let deadline = match environment.get(DEADLINE_VARIABLE).map(|text| text.parse::<u32>()) {
        None => DEADLINE,
        Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds.into()),
        Some(_) => {
            let what = format!("the variable `{DEADLINE_VARIABLE}` is no number of seconds");
            return Err(Diagnostic::error("invalid-deadline", what).hint("write it as 120").into());
        }
    };
    let one_try = MAX_TRY.min(deadline / 3);
    let backoff = BackoffConfig { max_backoff: MAX_PAUSE.min(deadline / 6), ..BackoffConfig::default() };
    let retry_timeout = deadline.saturating_sub(one_try).saturating_sub(backoff.max_backoff);
    Ok((RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout }, ClientOptions::new().with_timeout(one_try)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client is told of variables that would make it panic, or that it would repeat.
    #[test]
    fn what_cannot_be_used_is_named_and_not_shown() {
        let variable = |kind: &str, name: &str, value: &str| {
            let mut environment = Environment::from([
                ("AWS_REGION".to_owned(), "eu-west-1".to_owned()),
                ("AZURE_STORAGE_ACCOUNT_NAME".to_owned(), "a".to_owned()),
            ]);
            environment.insert(name.to_owned(), value.to_owned());
            let url = Url::parse(&format!("{kind}://shop/a.csv")).unwrap();
            let (scheme, _) = ObjectStoreScheme::parse(&url).unwrap();
            client(&environment, &scheme, &url, url.as_str()).map(drop)
        };
        for (kind, name) in [
            ("s3", "AWS_ACCESS_KEY_ID"),
            ("s3", "AWS_SECRET_ACCESS_KEY"),
            ("s3", "AWS_SESSION_TOKEN"),
            ("s3", "AWS_REGION"),
            ("s3", "AWS_DEFAULT_REGION"),
            ("s3", "AWS_ENDPOINT_URL"),
            ("s3", "AWS_ENDPOINT_URL_S3"),
            ("gs", "GOOGLE_BASE_URL"),
            ("az", "AZURE_STORAGE_ACCOUNT_KEY"),
            ("az", "AZURE_STORAGE_SAS_TOKEN"),
            ("az", "AZURE_STORAGE_TOKEN"),
            ("az", "AZURE_STORAGE_ENDPOINT"),
        ] {
            for value in ["PLANTED\n", "PLANTED\r\n", "PLA\0NTED", "PLANTED\u{7f}", "PLANTÉD"] {
                let told = variable(kind, name, value).unwrap_err().to_string();
                assert!(told.contains(name) && !told.contains("PLA"), "{name}: {told}");
            }
        }
        for endpoint in
            ["127.0.0.1:9000", "PLANTED", "http://host:PLANTED", "http://host:99999", "ftp://PLANTED", "http://", "https://ho st"]
        {
            for (kind, name) in [("s3", "AWS_ENDPOINT_URL"), ("gs", "GOOGLE_BASE_URL"), ("az", "AZURE_STORAGE_ENDPOINT")] {
                let told = variable(kind, name, endpoint).unwrap_err().to_string();
                assert!(told.contains(name) && !told.contains("PLANTED"), "{name}: {told}");
            }
        }
        for (kind, name, value) in [
            ("s3", "AWS_SKIP_SIGNATURE", "PLANTED"),
            ("s3", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "PLANTED"),
            ("s3", "AWS_TIMEOUT", "PLANTED"),
            ("s3", "AWS_REGION", "PLANTED/../x"),
            ("gs", "GOOGLE_APPLICATION_CREDENTIALS", "/PLANTED/none.json"),
            ("gs", "GOOGLE_SERVICE_ACCOUNT_KEY", "{\"PLANTED\": 1}"),
            ("az", "AZURE_STORAGE_USE_EMULATOR", "PLANTED"),
            ("az", "AZURE_STORAGE_ACCOUNT_KEY", "PLANTED!"),
        ] {
            let told = variable(kind, name, value).unwrap_err().to_string();
            assert!(told.contains(name) && !told.contains("PLANTED"), "{name}: {told}");
        }
        assert!(variable("s3", "AWS_UNKNOWN_THING", "a\nb").is_ok(), "what the client does not know is left alone");
        assert!(variable("s3", "AWS_ENDPOINT_URL", "http://127.0.0.1:9000").is_ok());
    }
}
