//! Drafts contracts from files: looks at some of each file, and writes what the pipeline file could say of it, with what is not sure.
//!
//! A file becomes a table of sampled values (`delimited`, `json`, `columnar`), the tables of a source are joined (`findings`), and key,
//! event time and kind are chosen (`choices`). The draft (`draft`) is then tried on the sampled values as a contract (`trial`). Few bytes
//! are read, at the same places each time, so the same files give the same draft. Values of personal columns are never shown.

mod choices;
mod columnar;
mod dates;
mod delimited;
mod dialect;
mod draft;
#[cfg(test)]
mod drafts;
mod encoding;
mod findings;
#[cfg(test)]
mod hard_cases;
mod joined;
mod json;
mod layout;
mod look;
mod look_at;
mod names;
mod numbers;
mod path_days;
mod paths;
mod personal;
mod records;
mod repeats;
mod sample;
mod share;
mod table;
mod tell;
mod trial;
mod types;
mod words;

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result};
use crate::local_time::Zone;
use crate::shown;
use crate::storage::{File, Glob, Stores};
use draft::Draft;
use table::Table;

/// How many columns are drafted: a mapping of a pipeline file has at most 2,000 keys.
const DRAFTED_COLUMNS: usize = 1_990;

/// The most files of a source that are looked at.
const MAX_FILES: usize = 12;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Question {
    /// Paths, URLs and globs.
    pub locations: Vec<String>,
    /// What the source is to be called.
    pub name: Option<String>,
    /// The zone in which times without an offset are.
    pub time_zone: String,
}

/// The sources that were drafted.
#[derive(Debug)]
pub struct Inspected {
    drafts: Vec<Draft>,
    /// Files of which nothing could be told, and why.
    left_out: Vec<String>,
}

impl Inspected {
    /// The YAML to paste into a pipeline file.
    pub fn yaml(&self) -> String {
        let sources: Vec<String> = self.drafts.iter().map(Draft::yaml).collect();
        format!("sources:\n{}", sources.join("\n"))
    }

    /// What was found, in lines for people.
    pub fn human(&self) -> String {
        let mut parts: Vec<String> = self.drafts.iter().map(tell::human).collect();
        if !self.left_out.is_empty() {
            parts.push(format!("left out:\n  {}", self.left_out.join("\n  ")));
        }
        parts.join("\n\n")
    }

    /// What was found, for programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "status": "drafted", "exit_code": 0, "sources": self.drafts.iter().map(tell::json).collect::<Vec<_>>(), "left_out": self.left_out,
        })
    }
}

/// Looks at files, and drafts a source for those that are alike.
///
/// # Errors
/// [`Error::Project`] when a location has no meaning or no files; [`Error::Refused`] when nothing could be told of any file; otherwise as
/// reading the store fails.
pub async fn inspect(question: &Question, stores: &Stores) -> Result<Inspected> {
    let Some(zone) = Zone::named(&question.time_zone).map(Arc::new) else {
        let problem = Diagnostic::error("unknown-time-zone", format!("`{}` is not a time zone", shown::name(&question.time_zone)));
        return Err(problem.hint("use an IANA name, such as `Europe/Berlin` or `UTC`").into());
    };
    let null_words = trial::null_words();
    let (mut groups, mut left_out) = (Vec::new(), Vec::new());
    for location in &question.locations {
        // A shell hands over names as they are, also those with brackets.
        let is_name = location.contains(['[', '?', '*', '{']) && Path::new(location).is_file();
        let typed = if is_name { paths::escaped(location) } else { location.clone() };
        let (typed, glob, files) = files_of(stores, typed).await?;
        if files.is_empty() {
            let problem = Diagnostic::error("no-such-extract", format!("no file matches {}", glob.shown()));
            let hint = if glob.is_folder() {
                format!("this is a folder: name its files, as in '{}'", below(stores, location).await)
            } else {
                "correct the path; `[`, `?` and `*` are wildcards".to_owned()
            };
            return Err(problem.hint(hint).into());
        }
        groups.push(look(&files, &mut left_out).await?.map(|tables| Group {
            typed: vec![typed],
            files: files.iter().map(|file| file.shown.clone()).collect(),
            tables,
        }));
    }
    let (groups, without): (Vec<Group>, Vec<Group>) =
        alike(groups.into_iter().flatten().collect()).into_iter().partition(Group::has_columns);
    left_out.extend(without.iter().flat_map(|group| &group.tables).map(|(_, table)| match table.rows {
        0 => format!("{}: it is {} without a row, so no column can be told", table.file, table.format.key()),
        rows if rows > table.ragged => format!("{}: its objects have no members whose names may be shown", table.file),
        _ => format!("{}: its rows are no objects, and have no columns", table.file),
    }));
    if groups.is_empty() {
        let message = Message::new("nothing could be told of what was looked at").details(left_out);
        let is_empty = message.details.iter().all(|why| why.ends_with("it is empty") || why.contains("without a row"));
        let hint = if is_empty {
            "name a file with rows"
        } else {
            "export it as CSV, NDJSON, JSON or Parquet, packed by gzip or zstd or not at all"
        };
        return Err(Error::Refused(message.hint(hint)));
    }
    let mut names = names::Names::default();
    let mut drafts = Vec::new();
    for group in groups {
        let wanted = question.name.as_deref().map_or_else(|| paths::name_of(&group.files), names::snake);
        let name = names.give(wanted.or_else(|| Some("source".to_owned())), 0);
        drafts.push(drafted(name, group, &null_words, &zone));
    }
    Ok(Inspected { drafts, left_out })
}

/// The files of a location. Where no file matches it, its wildcards may be parts of a name, in any store.
async fn files_of(stores: &Stores, typed: String) -> Result<(String, Glob, Vec<File>)> {
    let glob = stores.glob(&typed, Path::new(""));
    let files = match &glob {
        Ok(glob) => glob.files().await?.files,
        Err(_) => Vec::new(),
    };
    if files.is_empty() && typed.contains(['[', '?', '*', '{']) {
        let named = paths::escaped(&typed);
        if let Ok(glob) = stores.glob(&named, Path::new(""))
            && let Ok(found) = glob.files().await
            && !found.files.is_empty()
        {
            return Ok((named, glob, found.files));
        }
    }
    Ok((typed, glob?, files))
}

/// A glob for the files in a folder.
async fn below(stores: &Stores, folder: &str) -> String {
    let folder = paths::escaped(folder.trim_end_matches('/'));
    for names in ["*.parquet", "*.csv", "*.csv.gz", "*.ndjson", "*.ndjson.gz", "*.json", "*.txt"] {
        for place in ["", "**/"] {
            let typed = format!("{folder}/{place}{names}");
            let Ok(glob) = stores.glob(&typed, Path::new("")) else { continue };
            if glob.files().await.is_ok_and(|found| !found.files.is_empty()) {
                return typed;
            }
        }
    }
    format!("{folder}/*.csv")
}

/// Files that are one source.
struct Group {
    typed: Vec<String>,
    files: Vec<String>,
    tables: Vec<(usize, Table)>,
}

impl Group {
    fn has_columns(&self) -> bool {
        self.tables.iter().any(|(_, table)| !table.columns.is_empty())
    }
}

/// Looks at some of the files of a location; none where nothing could be told of any.
async fn look(files: &[File], left_out: &mut Vec<String>) -> Result<Option<Vec<(usize, Table)>>> {
    let count = files.len().min(MAX_FILES);
    let places = (0..count).map(|at| if count < 2 { 0 } else { at * (files.len() - 1) / (count - 1) });
    let mut tables = Vec::new();
    for place in places {
        match look_at::file(&files[place], count).await? {
            Ok(table) => tables.push((place, table)),
            Err(why) => left_out.push(format!("{}: {why}", files[place].shown)),
        }
    }
    Ok((!tables.is_empty()).then_some(tables))
}

/// Joins groups whose files have mostly the same columns, as a shell makes many arguments of one glob.
fn alike(groups: Vec<Group>) -> Vec<Group> {
    let mut joined: Vec<Group> = Vec::new();
    for group in groups {
        match joined.iter_mut().find(|known| is_alike(known, &group)) {
            Some(known) => {
                let before = known.files.len();
                known.typed.extend(group.typed);
                known.files.extend(group.files);
                known.tables.extend(group.tables.into_iter().map(|(place, table)| (place + before, table)));
            }
            None => joined.push(group),
        }
    }
    joined
}

fn is_alike(a: &Group, b: &Group) -> bool {
    let names = |group: &Group| {
        let columns = group.tables.iter().flat_map(|(_, table)| &table.columns);
        columns.map(|column| column.origin.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    let (left, right) = (names(a), names(b));
    let formats = |group: &Group| group.tables.first().map(|(_, table)| table.format);
    let both = left.intersection(&right).count();
    formats(a) == formats(b) && both * 2 >= left.len().max(right.len()) && both > 0
}

fn drafted(name: String, group: Group, null_words: &[String], zone: &Arc<Zone>) -> Draft {
    let typed = if let [one] = group.typed.as_slice() { Some(one.as_str()) } else { None };
    let paths = paths::read(&group.files, typed);
    let (places, mut tables): (Vec<usize>, Vec<Table>) = group.tables.into_iter().unzip();
    table::empty_pages(&mut tables);
    let repeats = repeats::fill(&mut tables);
    let mut findings = findings::join(&tables, paths, group.files.len(), places, null_words);
    findings.blank_repeats = repeats;
    if let Some(more) = findings.columns.len().checked_sub(DRAFTED_COLUMNS).filter(|more| *more > 0) {
        findings.columns.truncate(DRAFTED_COLUMNS);
        findings.notes.push(format!("UNSURE: {more} further columns are left out: name those that you need in the place of others"));
    }
    if findings.rows.0 == 0 {
        findings.notes.push("UNSURE: there are no rows, so no type could be told".to_owned());
    }
    let choices = choices::choose(&findings);
    if let Some(changes) = &choices.changes {
        // An operation is a word, also where its words are those of truths.
        for column in findings.columns.iter_mut().filter(|column| column.name == changes.operation) {
            column.guess.kind = types::Kind::Text;
            column.guess.values.clear();
            column.guess.notes.clear();
            column.personal = None;
        }
    }
    let mut draft = Draft { name, findings, choices, day_in_path: None, rejected: None };
    trial::run(&mut draft, zone);
    draft
}
