//! `segmill query`: the answer to a query over models, sources and publications.

use std::io::Read;
use std::path::Path;

use super::look;
use super::looks::QueryArguments;
use super::terminal::Terminal;
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::show::Question;
use crate::storage;

/// The longest query.
const MAX_QUERY_BYTES: u64 = 4 * 1024 * 1024;

/// Runs the command.
pub fn command(arguments: QueryArguments, environment: Environment, terminal: &Terminal) -> Result<()> {
    let setting = look::setting(arguments.project, &arguments.look, environment)?;
    let (path, text) = query(&arguments.sql)?;
    look::look(setting, Question::Sql { path, text }, arguments.look, terminal)
}

/// The text of the query, and what messages call it.
fn query(sql: &str) -> Result<(String, String)> {
    let too_long = |name: &str| Error::argument("file-too-large", format!("{name} is larger than {} MiB", MAX_QUERY_BYTES / 1024 / 1024));
    if sql == "-" {
        let name = "standard input";
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(MAX_QUERY_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(name, &storage::of_system(&error)))?;
        if bytes.len() as u64 > MAX_QUERY_BYTES {
            return Err(too_long(name));
        }
        let text = String::from_utf8(bytes).map_err(|_| unreadable(name, "it is not UTF-8 text"))?;
        return Ok((name.to_owned(), text));
    }
    if sql.ends_with(".sql") && !sql.contains(char::is_whitespace) {
        let path = Path::new(sql);
        let read = storage::read_plain(path, MAX_QUERY_BYTES).map_err(|error| {
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            unreadable(sql, &if is_missing { "there is no such file".to_owned() } else { storage::of_system(&error) })
        })?;
        let bytes = read.ok_or_else(|| too_long(sql))?;
        let text = String::from_utf8(bytes).map_err(|_| unreadable(sql, "it is not UTF-8 text"))?;
        return Ok((sql.to_owned(), text));
    }
    Ok(("query".to_owned(), sql.to_owned()))
}

fn unreadable(name: &str, why: &str) -> Error {
    Diagnostic::error("unreadable-file", format!("cannot read {name}: {why}")).into()
}
