//! The variable that turns the encoding of texts off, for tests and measurements: no output depends on it.

use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::engine::TextEncoding;
use crate::error::Result;

const VARIABLE: &str = "SEGMILL_TEXT_ENCODING";

/// How the engine is to hold texts.
///
/// # Errors
/// [`crate::error::Error::Project`] when the variable names no encoding.
pub fn of(environment: &Environment) -> Result<TextEncoding> {
    match environment.get(VARIABLE).map_or("", String::as_str) {
        "" => Ok(TextEncoding::default()),
        "dictionary" => Ok(TextEncoding::Dictionary),
        "plain" => Ok(TextEncoding::Plain),
        _ => {
            let what = format!("the variable `{VARIABLE}` names no encoding of texts");
            Err(Diagnostic::error("unknown-text-encoding", what).hint("it may be `dictionary` or `plain`").into())
        }
    }
}
