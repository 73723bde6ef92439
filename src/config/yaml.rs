//! Reads a YAML text as a type, or reports everything that is wrong with it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::repair::Repaired;
use super::schema::schema_of;
use super::spanned::{Given, Spanned, with_given};
use super::variables::{Environment, interpolate, options, variables};
use super::{repair, shape, tree};
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::error::{Error, Result};
use crate::shown;

/// Reads a YAML file of the shape that a type says. `${NAME}` in its plain values is read from the environment after parsing,
/// so a variable cannot change the document's structure.
///
/// # Errors
/// [`Error::Project`] with everything that is wrong, at its place: the syntax, or else keys, types, values and variables.
pub fn parse<T: DeserializeOwned + JsonSchema>(file: &Arc<SourceFile>, environment: &Environment) -> Result<T> {
    match parse_what_is_right(file, environment) {
        Parsed { value: Some(value), problems, .. } if problems.is_empty() => Ok(value),
        Parsed { problems, .. } => Err(Error::Project(problems)),
    }
}

/// What could be read of a file.
#[derive(Debug)]
pub struct Parsed<T> {
    /// What it says, without what is wrong in it; none when nothing is left.
    pub value: Option<T>,
    /// Everything that is wrong.
    pub problems: Vec<Diagnostic>,
    /// The names of what is left out, each with the keys down to it.
    pub lost: Vec<Vec<String>>,
}

/// Reads what is right of a YAML file, as [`parse`] does.
pub fn parse_what_is_right<T: DeserializeOwned + JsonSchema>(file: &Arc<SourceFile>, environment: &Environment) -> Parsed<T> {
    let nothing = |problem: Diagnostic| Parsed { value: None, problems: vec![problem], lost: Vec::new() };
    let properties: HashMap<String, String> = environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let root = match tree::read(&file.text) {
        Ok(Some(root)) => root,
        Ok(None) => {
            let problem = Diagnostic::error("invalid-yaml", format!("{} is empty", file.path));
            return nothing(problem.hint("`segmill init DIR` makes a project to start from"));
        }
        Err(broken) => return nothing(syntax(file, &broken)),
    };
    let given = given(&root, &properties, environment);
    let (mut problems, wrong) = shape::check(file, &root, &schema_of::<T>(), &properties);
    if problems.is_empty() {
        let read = with_given(given, || serde_yaml::from_str_with_options(&file.text, options(properties)));
        problems.extend(read.as_ref().err().map(|error| refusal(file, error)));
        return Parsed { value: read.ok(), problems, lost: Vec::new() };
    }
    let Some(Repaired { text, places, lost }) = repair::repaired(&root, &wrong) else {
        return Parsed { value: None, problems, lost: Vec::new() };
    };
    // The wrong parts have been reported.
    let given = Given { places: Some(places), ..given };
    let value = with_given(given, || serde_yaml::from_str_with_options(&text, options(properties))).ok();
    Parsed { value, problems, lost }
}

/// What the environment gives a file.
fn given(root: &tree::Node, properties: &HashMap<String, String>, environment: &Environment) -> Given {
    let mut given = Given::default();
    root.each_given(None, &mut |node, key, text| {
        if let Ok(value) = interpolate(text, properties) {
            let typed: Arc<str> = text.into();
            given.by_offset.insert(node.bytes.start, Arc::clone(&typed));
            given.by_value.insert(value, typed);
        }
        // Locations may be shown in messages, without credentials.
        if !matches!(key, Some("location" | "destination")) {
            variables(text).filter_map(|name| Some((name, environment.get(name)?))).for_each(|(name, value)| shown::keep_back(name, value));
        }
    });
    given
}

/// By each value that the environment gives a file, or a part of, how the file writes it.
pub fn given_values(file: &Arc<SourceFile>, environment: &Environment) -> HashMap<String, String> {
    let Some(root) = tree::read(&file.text).ok().flatten() else { return HashMap::new() };
    let properties: HashMap<String, String> = environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let given = given(&root, &properties, environment);
    given.by_value.into_iter().filter(|(value, _)| !value.is_empty()).map(|(value, typed)| (value, typed.to_string())).collect()
}

/// A part of a file as it is written there, if the environment gives what it stands for.
pub fn typed(span: &Span) -> Option<&str> {
    span.file.text.get(span.bytes.clone()).filter(|written| written.contains("${"))
}

/// Moves a problem of a text to the place of the value in the file. A text from the environment is not repeated in the problem.
pub fn placed(file: &Arc<SourceFile>, value: &Spanned<String>, problem: Diagnostic) -> Diagnostic {
    if value.is_given() {
        let what = format!("the value from the environment for `{}` is wrong here", value.shown());
        let told = Diagnostic { level: problem.level, ..Diagnostic::error(problem.code, what) };
        return told.at(span_of(file, value)).hint("look at the variable's value; put the text into the file to see what is wrong with it");
    }
    problem.moved(|part| span_within(file, value, part))
}

/// A value of the whole file, as it is written, and where it stands; none when there is no such value or no file to speak of.
pub fn top_level(file: &Arc<SourceFile>, key: &str) -> Option<(String, Span)> {
    let root = tree::read(&file.text).ok()??;
    let value = &root.entries()?.iter().find(|entry| entry.key == key)?.value;
    Some((value.text()?.to_owned(), Span { file: Arc::clone(file), bytes: value.bytes.clone() }))
}

/// Where a value stands in its file.
pub fn span_of<T>(file: &Arc<SourceFile>, value: &Spanned<T>) -> Span {
    let bytes = with_node(file, value.offset, |node| Some(node.shown(&file.text)));
    Span { file: Arc::clone(file), bytes: bytes.unwrap_or(value.offset..value.offset) }
}

/// Where a part of a text, in bytes of it, stands in its file: the whole value where the part does not stand there as it is
/// read, as when the environment gave it.
pub fn span_within(file: &Arc<SourceFile>, value: &Spanned<String>, part: Range<usize>) -> Span {
    let as_read = |node: &tree::Node| node.text() == Some(value.value.as_str());
    let bytes = with_node(file, value.offset, |node| if as_read(node) { node.place_of(&file.text, part) } else { None });
    bytes.map_or_else(|| span_of(file, value), |bytes| Span { file: Arc::clone(file), bytes })
}

/// Where the key of a value stands in its file.
pub fn key_span<T>(file: &Arc<SourceFile>, key: &str, value: &Spanned<T>) -> Span {
    let root = tree::read(&file.text).ok().flatten();
    let place = root.and_then(|root| root.key_of(key, value.offset));
    place.map_or_else(|| span_of(file, value), |bytes| Span { file: Arc::clone(file), bytes })
}

/// Where a key stands in its file, by the keys down to it; the beginning of the file when it does not.
pub fn key_at(file: &Arc<SourceFile>, keys: &[&str]) -> Span {
    let root = tree::read(&file.text).ok().flatten();
    let mut found = 0..0;
    let mut node = root.as_deref();
    for key in keys {
        let entry = node.and_then(|node| node.entries()?.iter().find(|entry| entry.key == *key));
        node = entry.map(|entry| entry.value.as_ref());
        found = entry.map_or(found, |entry| entry.key_bytes.clone());
    }
    Span { file: Arc::clone(file), bytes: found }
}

/// Where a part of a text, in bytes of it, stands in its file, by the keys down to the text or to the list in which it is this item.
pub fn text_at(file: &Arc<SourceFile>, keys: &[&str], item: usize, part: Range<usize>) -> Span {
    let find = || {
        let root = tree::read(&file.text).ok()??;
        let mut node = root.as_ref();
        for key in keys {
            node = node.entries()?.iter().find(|entry| entry.key == *key)?.value.as_ref();
        }
        if let tree::Content::Sequence(items) = &node.content {
            node = items.get(item)?;
        }
        let whole = node.shown(&file.text);
        Some(node.place_of(&file.text, part).filter(|place| whole.contains(&place.start)).unwrap_or(whole))
    };
    find().map_or_else(|| key_at(file, keys), |bytes| Span { file: Arc::clone(file), bytes })
}

/// The keys of a mapping in a file, by the keys down to it.
pub fn keys_of(file: &Arc<SourceFile>, keys: &[&str]) -> Vec<String> {
    let root = tree::read(&file.text).ok().flatten();
    let mut node = root.as_deref();
    for key in keys {
        node = node.and_then(|node| node.entries()?.iter().find(|entry| entry.key == *key)).map(|entry| entry.value.as_ref());
    }
    let entries = node.and_then(tree::Node::entries).unwrap_or_default();
    entries.iter().map(|entry| entry.key.clone()).collect()
}

/// A part of a list or mapping.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// A key of a mapping.
    Key(&'a str),
    /// The value of a key.
    Value(&'a str),
    /// An item of a list, from 0.
    Item(usize),
}

/// Where a part of a list or mapping stands in its file: the whole where there is no such part.
pub fn span_of_part<T>(file: &Arc<SourceFile>, whole: &Spanned<T>, part: Part<'_>) -> Span {
    let find = |node: &tree::Node| match (part, &node.content) {
        (Part::Key(key), tree::Content::Mapping(entries)) => {
            entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_bytes.clone())
        }
        (Part::Value(key), tree::Content::Mapping(entries)) => {
            entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.shown(&file.text))
        }
        (Part::Item(at), tree::Content::Sequence(items)) => items.get(at).map(|item| item.shown(&file.text)),
        _ => None,
    };
    let bytes = with_node(file, whole.offset, find);
    bytes.map_or_else(|| span_of(file, whole), |bytes| Span { file: Arc::clone(file), bytes })
}

/// Places are needed only for messages, so the tree is parsed again instead of being kept.
fn with_node<R>(file: &Arc<SourceFile>, offset: usize, ask: impl FnOnce(&tree::Node) -> Option<R>) -> Option<R> {
    let root = tree::read(&file.text).ok()??;
    root.beginning_at(offset).and_then(ask)
}

/// A mistake in the syntax, with what usually lies behind it.
fn syntax(file: &Arc<SourceFile>, broken: &tree::Broken) -> Diagnostic {
    let text = &file.text;
    let span = |start: usize, length: usize| {
        let end = text.ceil_char_boundary((start + length.max(1)).min(text.len()));
        Span { file: Arc::clone(file), bytes: start..end }
    };
    // At the end of the file there is nothing to underline but its last line's end.
    let mut start = text.floor_char_boundary(broken.offset.min(text.trim_end().len()));
    let tab = broken.why.contains("tab").then(|| text[start..].find('\t')).flatten();
    start += tab.unwrap_or_default();
    let token = text[start..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
    let mut problem = Diagnostic::error("invalid-yaml", format!("YAML syntax: {}", broken.why)).at(span(start, token));
    if let Some(bracket) = broken.bracket {
        problem = problem.also(span(bracket, 1), "this is still open");
    }
    let quoted = broken.why.contains("quoted scalar");
    match () {
        () if broken.is_too_large => problem.hint("write what is repeated once, or keep long lists of values in an extract"),
        () if tab.is_some() => problem.hint("indent with blanks, never with tabs"),
        () if quoted => problem.hint("a quote before this is not closed, or stands within a text that is in such quotes"),
        () if text[..start].ends_with('$') && text[start..].starts_with('{') => {
            problem.hint("`${NAME}` cannot stand in brackets or braces: write the list or mapping over several lines")
        }
        () if broken.bracket.is_some() => problem,
        () => problem.hint(
            "the keys of one mapping begin in one column, deeper than the key they belong to; a value with `: ` or ` #` in it needs quotes",
        ),
    }
}

/// The reader's error for a file whose shape is right, such as too many aliases.
fn refusal(file: &Arc<SourceFile>, error: &serde_yaml::Error) -> Diagnostic {
    let said = error.to_string();
    // The frame shows the position that the message ends in.
    let what = said.split(" at line ").next().unwrap_or(&said).trim_end_matches(':').to_owned();
    let problem = Diagnostic::error("invalid-yaml", what);
    let place = error.location().and_then(|place| usize::try_from(place.span().byte_offset()?).ok());
    let Some(offset) = place else { return problem };
    let span = Span { file: Arc::clone(file), bytes: offset..offset };
    if file.text[file.text.floor_char_boundary(offset)..].lines().next().is_some_and(|line| line.contains("${")) {
        // The reader's message may repeat a value from the environment.
        return Diagnostic::error("invalid-yaml", "what the environment gives does not fit here").at(span);
    }
    problem.at(span)
}
