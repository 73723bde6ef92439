//! Turns the failures of stores into errors that say who must act.

use object_store::client::{HttpError, HttpErrorKind};
use regex::Regex;

use super::plain::{self, NoFile};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message};

/// The error for a failure of a store. It never repeats a URL's query, a credential or a server's page.
pub fn failure(action: &str, shown: &str, error: object_store::Error) -> Error {
    told(action, shown, &error)
}

/// The error for a failure that a store may have caused; none when no store did.
pub fn failure_within(action: &str, shown: &str, error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let store = causes(error).find_map(|error| {
        error.downcast_ref::<object_store::Error>().or_else(|| error.downcast_ref::<Box<object_store::Error>>().map(|boxed| &**boxed))
    });
    store.map(|error| told(action, shown, error))
}

/// The error for a failure of a store, or of what reads or writes through it.
pub fn broken(action: &str, shown: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    failure_within(action, shown, error).unwrap_or_else(|| below(action, shown, error))
}

/// An error and what caused it. An I/O error may carry another one, which is none of its own causes.
fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    })
}

fn told(action: &str, shown: &str, error: &object_store::Error) -> Error {
    use object_store::Error as Store;

    let what = format!("cannot {action} {shown}");
    if let Some(odd) = within::<NoFile>(error) {
        return Diagnostic::error("not-a-file", format!("{what}: {odd}")).hint(NAME_A_FILE).into();
    }
    let answer = Answer::in_words(error);
    // The store's own code is surer than the kind that the client made of it.
    if let Some(error) = answer.code.as_deref().and_then(|code| by_code(&what, code)) {
        return error;
    }
    match error {
        Store::NotFound { .. } => {
            let message = Message::new(format!("{what}: it is not there any more"));
            Error::Unavailable(message.hint("somebody removed it meanwhile; run again"))
        }
        Store::InvalidPath { source } => Diagnostic::error("unreadable-name", format!("{what}: {}", unreadable(source)))
            .hint("rename or remove it, or name a place without it")
            .into(),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => denied(&what),
        Store::AlreadyExists { .. } | Store::Precondition { .. } => Error::Conflict(Message::new(format!("{what}: it exists already"))),
        Store::NotImplemented { .. } | Store::NotSupported { .. } => {
            Diagnostic::error("unsupported-by-store", format!("{what}: this kind of store cannot do that"))
                .hint("publish to a local disk, S3, Azure or GCS; HTTP is for reading")
                .into()
        }
        other => match answer.status {
            // Listing reports every refusal as one kind; only the status tells which it was.
            Some(401 | 403) => denied(&what),
            Some(404) => no_bucket(&what),
            // The answer to a HEAD request has no body, and so no code.
            Some(400) if answer.code.is_none() => {
                let message = Message::new(what).detail("the store answered 400 Bad Request and gave no reason");
                Error::Unavailable(message.hint("credentials that have expired are answered so: fetch new ones, then run again"))
            }
            _ => unavailable(action, shown, other, answer.attempts),
        },
    }
}

/// The hint for a path that is not an ordinary file.
pub const NAME_A_FILE: &str = "put an ordinary file in its place, or name another";

/// An error of a type among an error and its causes.
fn within<T: std::error::Error + Copy + 'static>(error: &(dyn std::error::Error + 'static)) -> Option<T> {
    causes(error).find_map(|error| error.downcast_ref::<T>()).copied()
}

/// Whether a listing failed because there is no such folder, which counts as an empty one. A missing bucket does not.
pub fn is_no_folder(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && Answer::in_words(error).code.is_none_or(|code| by_code("", &code).is_none())
}

/// Whether a read went past the end of an object.
pub fn is_out_of_range(error: &object_store::Error) -> bool {
    let answer = Answer::in_words(error);
    answer.status == Some(416) || answer.is_past_the_end
}

/// The error for a code that stores put into their answers.
fn by_code(what: &str, code: &str) -> Option<Error> {
    Some(match code {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            Error::Unavailable(Message::new(format!("{what}: the credentials have expired")).hint("fetch new ones, then run again"))
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthenticationFailed" | "InvalidToken" | "InvalidAuthenticationInfo" => {
            Diagnostic::error("wrong-credentials", format!("{what}: the store does not know these credentials ({code})"))
                .hint("correct the access key and secret in the environment or profile; the machine's clock must be right too")
                .into()
        }
        "RequestTimeTooSkewed" => Diagnostic::error("wrong-clock", format!("{what}: the store's clock and this machine's differ too much"))
            .hint("set the machine's clock")
            .into(),
        "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName" => no_bucket(what),
        "AccessDenied" | "AuthorizationFailure" | "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions" => denied(what),
        _ => return None,
    })
}

/// Why an object's name is no path.
fn unreadable(error: &object_store::path::Error) -> String {
    use object_store::path::Error as Path;

    let named = |path: &str| format!("the name of `{}`", path.escape_debug());
    match error {
        Path::EmptySegment { path } => format!("{} has nothing between two slashes", named(path)),
        Path::BadSegment { path, .. } => format!("{} has a control character or a part of dots alone", named(path)),
        _ => "a name there is no path".to_owned(),
    }
}

fn denied(what: &str) -> Error {
    Diagnostic::error("access-denied", format!("{what}: access was denied"))
        .hint("check the credentials in the environment, whether they have expired, and what they allow")
        .into()
}

fn no_bucket(what: &str) -> Error {
    Diagnostic::error("no-such-bucket", format!("{what}: there is no such bucket or container"))
        .hint("create it, or correct the location")
        .into()
}

fn unavailable(action: &str, shown: &str, error: &(dyn std::error::Error + 'static), attempts: Option<String>) -> Error {
    match (below(action, shown, error), attempts) {
        (Error::Unavailable(message), Some(attempts)) => Error::Unavailable(message.detail(attempts)),
        (error, _) => error,
    }
}

/// What a store answered to a request that failed.
///
/// The client keeps the type of such a failure to itself (`object_store::client::retry` is private), so that all of this can only be read
/// from the sentences in which it writes it. They are read here and nowhere else.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    /// The HTTP status.
    status: Option<u16>,
    /// The code in the body, which S3, GCS and Azure write as XML.
    code: Option<String>,
    /// How often and how long the request was tried, for people.
    attempts: Option<String>,
    /// Whether the store sent the client elsewhere without saying where.
    is_redirect: bool,
    /// Whether it did not answer in time.
    is_timeout: bool,
    /// Whether the request was for bytes past the end of an object.
    is_past_the_end: bool,
}

impl Answer {
    /// Reads the words of an error and of those within it. The words themselves are not kept: they repeat URLs, which may carry signatures.
    fn in_words(error: &(dyn std::error::Error + 'static)) -> Self {
        let errors = std::iter::successors(Some(error), |error| error.source());
        let said = errors.map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Answer {
            status: first("status code: ([0-9]{3})", &said).and_then(|found| found[1].parse().ok()),
            code: first("<Code>([A-Za-z]+)</Code>", &said).map(|found| found[1].to_owned()),
            attempts: attempts(&said),
            is_redirect: said.contains("redirect without LOCATION"),
            is_timeout: said.contains("timed out"),
            is_past_the_end: said.contains("Wanted range"),
        }
    }
}

fn first<'a>(pattern: &str, text: &'a str) -> Option<regex::Captures<'a>> {
    Regex::new(pattern).ok()?.captures(text)
}

/// How often and how long a request was tried, which the client says only in its text.
fn attempts(said: &str) -> Option<String> {
    let tried = first(r"in ([0-9.]+)(ms|s)\S*, after ([0-9]+) retries", said)?;
    let amount: f64 = tried[1].parse().ok()?;
    let seconds = if &tried[2] == "ms" { amount / 1000.0 } else { amount };
    let retries: u64 = tried[3].parse().ok()?;
    Some(format!("tried {} times in {seconds:.1} s", retries + 1))
}

/// The error for a failure below a store: a place that can never be used is an error of the project, any other failure may pass.
fn below(action: &str, shown: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};

    let what = format!("cannot {action} {shown}");
    let cause = cause(error);
    match io_error(error).map(std::io::Error::kind) {
        Some(PermissionDenied | NotADirectory | ReadOnlyFilesystem | NotFound) => {
            Diagnostic::error("unusable-place", format!("{what}: {cause}"))
                .hint("name a folder that can be written to, or correct its permissions")
                .into()
        }
        _ if io_error(error).is_some_and(plain::is_loop) => {
            Diagnostic::error("unusable-place", format!("{what}: {cause}")).hint("correct the links, which lead to each other").into()
        }
        _ => Error::Unavailable(Message::new(what).detail(cause).hint("retry later")),
    }
}

/// The operating system's error among the causes of an error: the innermost one, because the others only carry it.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.filter_map(|error| error.downcast_ref::<std::io::Error>()).last()
}

/// The cause of a failure, told by its kind. The text of a server or gateway is never repeated, because it may contain the request with
/// its tokens and signatures.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let system = io_error(error).map(of_system);
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    let request = chain.find_map(|error| error.downcast_ref::<HttpError>()).map(|error| of_request(error.kind()));
    if let Some(request) = request {
        return system.map_or_else(|| request.to_owned(), |system| format!("{request}: {system}"));
    }
    let answer = Answer::in_words(error);
    match (answer.status, system) {
        (Some(status), _) => format!("the store answered with status code {status}{}", meaning(status)),
        (None, Some(system)) => system,
        (None, None) if answer.is_redirect => "the store is elsewhere, for example in another region".to_owned(),
        (None, None) if answer.is_timeout => "it did not answer in time".to_owned(),
        (None, None) => "the store does not say why in a way that is known".to_owned(),
    }
}

/// The message of an error of the operating system. Of an error that a program made, only the kind is told.
pub fn of_system(error: &std::io::Error) -> String {
    let told = error.raw_os_error().map_or_else(|| error.kind().to_string(), |code| std::io::Error::from_raw_os_error(code).to_string());
    if error.kind() == std::io::ErrorKind::FileTooLarge { format!("{told}; `ulimit -f` says how large files may be") } else { told }
}

fn of_request(kind: HttpErrorKind) -> &'static str {
    match kind {
        HttpErrorKind::Connect => "no connection could be made",
        HttpErrorKind::Request => "the request could not be sent",
        HttpErrorKind::Timeout => "it did not answer in time",
        HttpErrorKind::Interrupted => "the connection broke off",
        HttpErrorKind::Decode => "its answer could not be read",
        _ => "the request failed",
    }
}

/// The names of the most common statuses.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => " (bad request)",
        405 => " (method not allowed)",
        429 => " (too many requests)",
        500 => " (internal error)",
        501 => " (not implemented)",
        502 => " (bad gateway)",
        503 => " (unavailable)",
        504 => " (gateway timed out)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A failure as the client nests it: a line with the URL around what the server said.
    #[derive(Debug, thiserror::Error)]
    #[error("Error performing GET http://x/?X-Amz-Signature=AKSECRET in 12.34567s, after 7 retries, max_retries: 9, retry_timeout: 12s ")]
    struct Requested(#[source] Answered);

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Answered(String);

    fn answered(answer: String) -> Error {
        failure("read", "s3://shop/a.csv", object_store::Error::Generic { store: "S3", source: Requested(Answered(answer)).into() })
    }

    #[test]
    fn a_store_s_answer_tells_who_must_act() {
        let answer = |status: &str, code: &str| {
            let body = format!("<Error><Code>{code}</Code><AWSAccessKeyId>AKSECRET</AWSAccessKeyId></Error>");
            answered(format!("Server returned non-2xx status code: {status}: {body}"))
        };
        for (status, code, exit, part) in [
            ("403 Forbidden", "SignatureDoesNotMatch", 2, "does not know these credentials"),
            ("400 Bad Request", "ExpiredToken", 75, "have expired"),
            ("404 Not Found", "NoSuchBucket", 2, "no such bucket"),
            ("403 Forbidden", "AccessDenied", 2, "access was denied"),
            ("403 Forbidden", "Unheard", 2, "access was denied"),
            ("503 Slow Down", "SlowDown", 75, "status code 503"),
        ] {
            let error = answer(status, code);
            assert_eq!(error.exit_status() as u8, exit, "{code}");
            assert!(error.to_string().contains(part), "{error}");
            assert!(!error.to_string().contains("AKSECRET"), "{error}");
        }
    }

    /// A gateway may send the request back, headers and all.
    #[test]
    fn what_a_server_says_is_not_repeated() {
        let echo = "bad gateway: authorization: AWS4 Credential=AKSECRET; x-amz-security-token: AKSECRET <Code>AKSECRET</Code>";
        for status in ["500 Internal Server Error", "502 Bad Gateway", "418 I'm a teapot", "403 Forbidden", "301 Moved"] {
            let error = answered(format!("Server returned non-2xx status code: {status}: {echo}"));
            assert!(!error.to_string().contains("AKSECRET") && !error.to_string().contains("gateway:"), "{error}");
        }
        let error = answered(format!("Server returned error response: {echo}"));
        assert!(error.to_string().contains("does not say why"), "{error}");
    }

    #[test]
    fn an_object_whose_name_is_no_path_is_told_by_it() {
        for (name, why) in [("in/a//b.csv", "nothing between two slashes"), ("in/../b.csv", "dots alone"), ("in/a\nb.csv", "a\\nb.csv")] {
            let source = object_store::path::Path::parse(name).unwrap_err();
            let error = failure("list", "s3://shop/in", object_store::Error::InvalidPath { source });
            assert_eq!(error.exit_status() as u8, 2);
            assert!(error.to_string().contains(why) && error.to_string().contains("[unreadable-name]"), "{error}");
        }
    }

    /// As writers nest it: an I/O error carries the store's.
    #[test]
    fn what_a_writer_carries_is_told_as_the_store_said_it() {
        for (status, code, exit, part) in
            [("400 Bad Request", "ExpiredToken", 75, "have expired"), ("403 Forbidden", "AccessDenied", 2, "access was denied")]
        {
            let body = format!("Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>");
            let store = object_store::Error::Generic { store: "S3", source: Requested(Answered(body)).into() };
            let error = broken("write", "s3://shop/a.parquet", &std::io::Error::other(store));
            assert_eq!(error.exit_status() as u8, exit, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_bare_400_may_be_an_expired_token() {
        let error = answered("Server returned non-2xx status code: 400 Bad Request: ".to_owned());
        assert_eq!(error.exit_status() as u8, 75);
        assert!(error.to_string().contains("have expired"), "{error}");
    }

    #[test]
    fn attempts_and_elapsed_time_are_told() {
        let error = answered("operation timed out".to_owned());
        assert!(error.to_string().contains("tried 8 times in 12.3 s"), "{error}");
    }
}
