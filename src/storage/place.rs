//! The place that a location names, as the parts of its path, and what to say of a text that names none.

use std::path::Path;

use super::named_parts::{self, NamedPart};
use crate::diagnostic::Diagnostic;
use crate::error::Error;

/// The forms of locations, for hints.
pub const PLACES: &str = "use a path, or file://, s3://, gs://, az:// or http(s)://; a path whose name has a colon is written as ./a:b";

pub(super) fn invalid(text: &str, why: &str) -> Error {
    Diagnostic::error("invalid-location", format!("`{}` is not a location: {why}", crate::shown::place(text))).hint(PLACES).into()
}

/// A part of a path between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub text: String,
    /// Whether it stands in the location itself, where wildcards mean something.
    pub is_typed: bool,
}

impl Part {
    pub(super) fn typed(text: &str) -> Self {
        Part { text: text.to_owned(), is_typed: true }
    }

    /// The part with wildcards in the place of stand-ins for named parts.
    pub(super) fn with_wildcards(&self, named: &[NamedPart]) -> Self {
        let text = if self.is_typed { named_parts::with_wildcards(&self.text, named) } else { self.text.clone() };
        Part { text, is_typed: self.is_typed }
    }

    /// The parts that it is made of, where a named part is over several folders.
    pub(super) fn split(self) -> Vec<Self> {
        let part = |text: &str| Part { text: text.to_owned(), is_typed: self.is_typed };
        self.text.split('/').map(part).collect()
    }
}

/// The parts of a local path from the root of the file system, without `.` and `..`, as object stores know none.
pub(super) fn local_parts(path: &str, root: &Path) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    if !path.starts_with('/') {
        let root =
            std::path::absolute(if root.as_os_str().is_empty() { Path::new(".") } else { root }).map_err(|error| error.to_string())?;
        let shown = root.to_string_lossy().escape_debug().to_string();
        let root = root.to_str().ok_or_else(|| format!("the name of the folder {shown} is not UTF-8"))?;
        if let Some(control) = root.chars().find(char::is_ascii_control) {
            return Err(format!("the folder {shown} has the control character U+{:04X} in its name", u32::from(control)));
        }
        add(&mut parts, root, false);
    }
    add(&mut parts, path, true);
    Ok(parts)
}

fn add(parts: &mut Vec<Part>, path: &str, is_typed: bool) {
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(Part { text: part.to_owned(), is_typed }),
        }
    }
}
