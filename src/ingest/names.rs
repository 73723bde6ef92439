//! Finds the columns of a contract among the names that a file has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::column::ContractColumn;
use crate::diagnostic::list;
use crate::error::{Error, Message, Result};
use crate::shown as outside;

/// Where the columns of a contract stand in a file.
#[derive(Debug)]
pub struct Columns {
    /// For every column of the contract its place among the names of the file.
    pub places: Vec<Option<usize>>,
    /// The columns, by their places in the contract, that have their names in another case or between other spaces.
    pub alike: Vec<usize>,
}

/// Finds columns by their names. A name that the file does not have as it is written stands for one in another case, or with spaces around
/// it, if there is just one such name that no other column has. Columns that are not found by name are left out.
///
/// # Errors
/// [`Error::Refused`] when there are several.
pub fn find(columns: &[ContractColumn], names: &[&str], file: &str, is_named: impl Fn(&ContractColumn) -> bool) -> Result<Columns> {
    let mut exact: HashMap<&str, usize> = HashMap::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        exact.entry(name).or_insert(at);
    }
    let mut places: Vec<Option<usize>> =
        columns.iter().map(|column| column.find(|name| exact.get(name).copied()).filter(|_| is_named(column))).collect();
    if places.iter().all(Option::is_some) {
        return Ok(Columns { places, alike: Vec::new() });
    }
    let taken: BTreeSet<usize> = places.iter().copied().flatten().collect();
    let mut folded: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate().filter(|(at, name)| !taken.contains(at) && !name.is_empty()) {
        folded.entry(fold(name)).or_default().push(at);
    }
    let mut alike = Vec::new();
    let mut wanted: BTreeMap<usize, &str> = BTreeMap::new();
    for (at, column) in columns.iter().enumerate() {
        if places[at].is_some() || !is_named(column) {
            continue;
        }
        let Some((name, found)) = column.names.iter().find_map(|name| Some((name, folded.get(&fold(name))?))) else { continue };
        let names: Vec<&str> = found.iter().map(|at| names[*at]).collect();
        let [place] = found.as_slice() else {
            return Err(ambiguous(file, &format!("{} may all be `{}`", list(&outside::names(&names)), column.in_files())));
        };
        if let Some(other) = wanted.insert(*place, name).filter(|other| other != name) {
            let both = list(&[other, name.as_str()]);
            return Err(ambiguous(file, &format!("`{}` may be {both} of the contract", outside::column(names[0]))));
        }
        places[at] = Some(*place);
        alike.push(at);
    }
    Ok(Columns { places, alike })
}

fn ambiguous(file: &str, what: &str) -> Error {
    let message = Message::new(format!("{file}: names of columns differ in case alone: {what}"));
    Error::Refused(message.hint("name the columns in `from` as the file does"))
}

/// A name without what people and programs write differently: the case of letters, and spaces and marks around it.
pub fn fold(name: &str) -> String {
    let is_around = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}');
    let name = name.trim_matches(is_around).to_lowercase();
    if name.is_ascii() { name } else { name.replace(['\u{a0}', '\u{202f}'], " ") }
}
