//! What the path of a file says: values of columns that are the same for all of its rows, and the day of the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, NullArray, StringArray};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use percent_encoding::percent_decode_str;

use super::column::ContractColumn;
use super::path_match::{self, Mismatch};
use super::values::Pattern;
use crate::config::{ColumnType, Source, Spanned, span_of};
use crate::diagnostic::{Diagnostic, SourceFile, list};
use crate::error::{Error, Message, Result};
use crate::local_time::{Time, Zone, read_iso};
use crate::shown;
use crate::storage::{File, Glob, NamedPart, PathParts, may_have_key, named_parts_of};

/// What Hive, Spark and others write where a column that names folders has no value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// What a contract takes from the paths of files.
#[derive(Debug, Default)]
pub struct InPath {
    /// The named parts of the location, with how a day is written there.
    named: Vec<(String, Option<Pattern>)>,
    /// The columns whose values are parts of the path, each with the part's name.
    columns: Vec<(usize, String)>,
    /// The part that says the day of a file.
    day: Option<String>,
}

/// A file's day, and the moment that its path says, in microseconds since 1970: with a time of day there may be several of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileDay {
    /// The moment at which it begins.
    pub micros: i64,
    /// The day, counted from 1970-01-01.
    pub day: i32,
}

impl InPath {
    /// Compiles what a source says of paths.
    pub fn new(file: &Arc<SourceFile>, source: &Source, columns: &mut [ContractColumn], problems: &mut Vec<Diagnostic>) -> Self {
        let mut named = Vec::new();
        // What is wrong with the location itself is told elsewhere.
        for NamedPart { name, pattern } in named_parts_of(&source.location.value).map(|(_, named)| named).unwrap_or_default() {
            let compiled = pattern.as_deref().map(Pattern::new).transpose();
            let compiled = compiled.unwrap_or_else(|why| {
                let what = format!("the part `{}` of the location is written in no form of a day", shown::name(&name));
                let problem = Diagnostic::error("invalid-format", what).at(span_of(file, &source.location)).label(why);
                problems.push(problem.hint("write the parts of a day as in `{day:%Y%m%d}`, or leave the form out: `{day}`"));
                None
            });
            named.push((name, compiled));
        }
        let known: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let mut unknown = |part: &Spanned<String>| {
            if !known.contains(&part.value.as_str()) && !may_have_key(&source.location.value, &part.value) {
                let what = format!("no part of the location is called `{}`", part.shown());
                let problem = Diagnostic::error("path-part", what).at(span_of(file, part)).label("stands in no path");
                problems.push(if known.is_empty() {
                    problem.hint(format!("name the part in the location: `{{{0}}}`, or `{{{0}:%Y%m%d}}` for a day", part.shown()))
                } else {
                    problem.did_you_mean(&part.value, known.iter().copied())
                });
            }
        };
        let mut taken = Vec::new();
        for (at, column) in source.columns.values().enumerate() {
            let Some(part) = &column.path else { continue };
            unknown(part);
            let pattern = source_pattern(source, &part.value);
            columns[at].is_in_path(pattern);
            taken.push((at, part.value.clone()));
        }
        if let Some(day) = &source.day_in_path {
            unknown(day);
        }
        let contradictions = source.columns.iter().filter_map(|(name, column)| contradiction(file, name, column));
        problems.extend(contradictions);
        InPath { named, columns: taken, day: source.day_in_path.as_ref().map(|day| day.value.clone()) }
    }

    /// Whether anything is taken from paths.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.columns.is_empty() && self.day.is_none()
    }

    /// The columns that are in paths.
    pub fn columns(&self) -> impl Iterator<Item = (usize, &str)> {
        self.columns.iter().map(|(at, name)| (*at, name.as_str()))
    }

    /// What the path of a file says of the parts that are asked for.
    ///
    /// # Errors
    /// [`Error::Refused`] for a path that lacks one, or says it twice, or in doubt.
    pub fn parts_of(&self, glob: &Glob, file: &File, zone: &Zone) -> Result<PathParts> {
        let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
        let wanted = |name: &str| self.day.as_deref() == Some(name) || self.columns.iter().any(|(_, wanted)| wanted == name);
        for (name, text) in self.named_parts_of(glob, file, zone)? {
            found.insert(name, text);
        }
        for folder in glob.folders(file) {
            let Some((key, value)) = folder.split_once('=') else { continue };
            let key = decoded(key).unwrap_or_else(|| key.to_owned());
            if !wanted(&key) {
                continue;
            }
            let Some(value) = decoded(value) else {
                let message = Message::new(format!("{}: `{key}` in its path is no text in UTF-8", file.shown));
                return Err(Error::Refused(message.hint("rename the folder")));
            };
            let value = (!value.is_empty() && value != NO_VALUE).then_some(value);
            if found.get(&key).is_some_and(|before| *before != value) {
                let message = Message::new(format!("{}: `{key}` stands in its path twice, with different values", file.shown));
                return Err(Error::Refused(message.hint("move the file, or narrow the location")));
            }
            found.insert(key, value);
        }
        let names = self.columns.iter().map(|(_, name)| name).chain(&self.day);
        let missing: Vec<&str> = names.filter(|name| !found.contains_key(name.as_str())).map(String::as_str).collect();
        if let Some(first) = missing.first() {
            let message = Message::new(format!("{}: its path does not say {}", file.shown, list(&missing)));
            return Err(Error::Refused(message.hint(format!(
                "narrow the location so that only files in a folder `{first}=…` match, or name the part in it as `{{{first}}}`"
            ))));
        }
        found.retain(|name, _| wanted(name));
        Ok(Arc::new(found))
    }

    fn named_parts_of(&self, glob: &Glob, file: &File, zone: &Zone) -> Result<Vec<(String, Option<String>)>> {
        if self.named.is_empty() {
            return Ok(Vec::new());
        }
        let patterns: Vec<Option<&Pattern>> = self.named.iter().map(|(_, pattern)| pattern.as_ref()).collect();
        let texts = path_match::parts(glob.below(file), glob.tokens(), &patterns, zone).map_err(|mismatch| {
            let part = |part: usize| self.named.get(part).map_or("", |(name, _)| name);
            let (why, hint) = match mismatch {
                Mismatch::NoDay(at, text) => (
                    format!("`{}` in its path is no `{}` as the location writes it", shown::name(&text), part(at)),
                    "narrow the location so that it matches no such file, or correct how it writes the day",
                ),
                Mismatch::NoDayAnywhere(at) => (
                    format!("nothing in its path is a `{}` as the location writes it", part(at)),
                    "narrow the location so that it matches no such file, or correct how it writes the day",
                ),
                Mismatch::Doubtful(at) => (
                    format!("it is not certain what `{}` is in its path", part(at)),
                    "write more of the path in the location, so that each part has one place",
                ),
                Mismatch::NoMatch => ("its path has not the parts of the location".to_owned(), "narrow the location"),
            };
            Error::Refused(Message::new(format!("{}: {why}", file.shown)).hint(hint))
        })?;
        let is_hive = |text: &str| glob.folders(file).any(|folder| folder.split_once('=').is_some_and(|(_, value)| value == text));
        // In a folder of the form `key={name}` the value is written as Hive writes it.
        let value = |text: &str| {
            let text = if is_hive(text) { decoded(text).unwrap_or_else(|| text.to_owned()) } else { text.to_owned() };
            (!text.is_empty() && text != NO_VALUE).then_some(text)
        };
        Ok(self.named.iter().map(|(name, _)| name.clone()).zip(texts.into_iter().map(value)).collect())
    }

    /// The day that a path says.
    ///
    /// # Errors
    /// [`Error::Refused`] when it says none.
    pub fn day_of(&self, columns: &[ContractColumn], file: &File, zone: &Zone) -> Result<Option<FileDay>> {
        let Some(name) = &self.day else { return Ok(None) };
        let text = file.parts.get(name).cloned().flatten();
        let refused = |why: String| {
            let hint =
                "name the part of the location with the form of its day, such as `{day:%Y%m%d}`; without one, days are like 2026-11-01";
            Err(Error::Refused(Message::new(format!("{}: {why}", file.shown)).hint(hint)))
        };
        let Some(text) = text else { return refused(format!("`{name}` in its path says no day")) };
        let time = self.time_of(name, columns, &text, zone);
        match time.and_then(|time| Some(FileDay { micros: time.instant(zone), day: time.day(zone)? })) {
            Some(day) => Ok(Some(day)),
            None => refused(format!("`{}` in its path is no day", shown::name(&text))),
        }
    }

    /// A day or moment by the pattern of its part, or the format of the column that has it, or as ISO 8601 writes it.
    fn time_of(&self, name: &str, columns: &[ContractColumn], text: &str, zone: &Zone) -> Option<Time> {
        if let Some(pattern) = self.named.iter().find(|(named, _)| named == name).and_then(|(_, pattern)| pattern.as_ref()) {
            return pattern.read(text, zone);
        }
        let is_time = |column: &ContractColumn| matches!(column.column_type, ColumnType::Date | ColumnType::Timestamp);
        let mut of_columns = self.columns.iter().filter(|(_, part)| part == name).map(|(at, _)| &columns[*at]);
        let Some(column) = of_columns.find(|column| is_time(column)) else { return read_iso(text).map(crate::local_time::Written::time) };
        let (typed, bad) = column.read_value(Some(text)).ok()?;
        if !bad.is_empty() || typed.is_null(0) {
            return None;
        }
        match typed.data_type() {
            DataType::Date32 => Some(Time::Instant(zone.first_moment(typed.as_primitive::<Date32Type>().value(0)))),
            _ => Some(Time::Instant(typed.as_primitive_opt::<TimestampMicrosecondType>()?.value(0))),
        }
    }

    /// Refuses a file of which a part of the path is no value of its column.
    ///
    /// # Errors
    /// [`Error::Refused`] naming the column.
    pub fn refuse_misfits(&self, columns: &[ContractColumn], file: &File) -> Result<()> {
        for (at, name) in &self.columns {
            let column = &columns[*at];
            let text = file.parts.get(name).and_then(Option::as_deref);
            let (_, bad) = column.read_value(text)?;
            if !bad.is_empty() {
                let text = shown::name(text.unwrap_or_default());
                let what = format!("{}: `{text}` in its path is no {}, as the column `{}` is", file.shown, column.column_type, column.name);
                return Err(Error::Refused(Message::new(what).hint("correct the column's `type` or `format`, or narrow the location")));
            }
        }
        Ok(())
    }

    /// Adds to the columns of a batch those that are in the path of its file.
    pub fn fill(&self, parts: &PathParts, raw: &mut [Option<ArrayRef>], rows: usize) {
        for (at, name) in &self.columns {
            raw[*at] = Some(repeated(parts.get(name).and_then(Option::as_deref), rows));
        }
    }
}

/// A text for every row, held once.
fn repeated(text: Option<&str>, rows: usize) -> ArrayRef {
    let Some(text) = text else { return Arc::new(NullArray::new(rows)) };
    let keys = Int32Array::from(vec![0; rows]);
    match DictionaryArray::try_new(keys, Arc::new(StringArray::from(vec![text]))) {
        Ok(texts) => Arc::new(texts),
        Err(_) => Arc::new(StringArray::from(vec![text; rows])),
    }
}

/// How the location writes the day of a part.
fn source_pattern(source: &Source, part: &str) -> Option<Pattern> {
    let (_, named) = named_parts_of(&source.location.value).ok()?;
    let pattern = named.into_iter().find(|named| named.name == part)?.pattern?;
    Pattern::new(&pattern).ok()
}

/// A text with what Hive writes as `%` and two digits.
fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The problem of a column in a path that is said to be in the files too, or to be what a path cannot keep.
fn contradiction(file: &Arc<SourceFile>, name: &str, column: &crate::config::Column) -> Option<Diagnostic> {
    let part = column.path.as_ref()?;
    let problem = |what: String| Diagnostic::error("path-column", what).at(span_of(file, part)).label("is read from the path");
    if column.personal {
        let problem = problem(format!("the column `{name}` is `personal`, and the paths of files are shown in messages and records"));
        return Some(problem.hint("have the value written into the file, or into no name of a file or folder"));
    }
    let others = [
        ("from", !column.from.is_empty()),
        ("parts", column.parts.is_some()),
        ("position", column.position.is_some()),
        ("json", column.json.is_some()),
    ];
    if let Some((other, _)) = others.into_iter().find(|(_, is_there)| *is_there) {
        return Some(problem(format!("the column `{name}` has both `path` and `{other}`")).hint("leave one of them out"));
    }
    if column.column_type.is_list {
        return Some(problem(format!("the column `{name}` is a list, and a path has single values")).hint("take the type of one value"));
    }
    column.optional.then(|| problem(format!("the column `{name}` is `optional`, and every path must say it")).hint("leave `optional` out"))
}
