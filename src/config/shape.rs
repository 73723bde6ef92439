//! Checks whether a YAML file has the shape of its types. The types' JSON Schema is walked beside the file's tree, so that all mistakes
//! are reported at once and at their places, and so that editors and Segmill accept the same files.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::ScalarStyle;
use serde_json::Value;

use super::column::{COLUMN_TYPE, ColumnType, DECLARED_TYPE, DeclaredType};
use super::repair::Wrong;
use super::schema::names_a_table;
use super::tree::Content::{Mapping, Scalar, Sequence};
use super::tree::{Entry, Node};
use super::variables::{interpolate, names_variable};
use crate::diagnostic::{Diagnostic, SourceFile, Span, list, nearest};

/// Everything in a file that does not have the shape of a schema, and where that is.
pub fn check(file: &Arc<SourceFile>, root: &Node, schema: &Value, environment: &HashMap<String, String>) -> (Vec<Diagnostic>, Wrong) {
    let definitions = &schema["$defs"];
    let mut checker = Checker { file, definitions, environment, problems: Vec::new(), wrong: Wrong::default() };
    checker.check(root, schema, &Place { path: String::new(), key: None });
    (checker.problems, checker.wrong)
}

struct Checker<'a> {
    file: &'a Arc<SourceFile>,
    definitions: &'a Value,
    environment: &'a HashMap<String, String>,
    problems: Vec<Diagnostic>,
    wrong: Wrong,
}

/// Where a value stands among the keys.
struct Place {
    /// The keys down to it, such as `sources.orders.key`; empty for the whole file.
    path: String,
    /// Its key; none for the item of a list.
    key: Option<Range<usize>>,
}

/// What kind of value stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Truth,
    Integer,
    Number,
    Text,
    List,
    Mapping,
}

impl Place {
    fn under(&self, entry: &Entry) -> Place {
        let path = if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, entry.key) };
        Place { path, key: Some(entry.key_bytes.clone()) }
    }

    fn item(&self) -> Place {
        Place { path: self.path.clone(), key: None }
    }

    /// As a message begins.
    fn subject(&self) -> String {
        match (&self.key, self.path.as_str()) {
            (None, "") => "the file".to_owned(),
            (None, path) => format!("an item of `{path}`"),
            (Some(_), path) => format!("`{path}`"),
        }
    }
}

impl<'a> Checker<'a> {
    fn check(&mut self, node: &Node, schema: &'a Value, place: &Place) {
        let about = schema["description"].as_str();
        let branches = branches(self.definitions, schema);
        match &node.content {
            Scalar(text, style) => {
                let before = self.problems.len();
                self.scalar(node, text, *style, &branches, place, about);
                if self.problems.len() > before {
                    self.wrong.values.insert(node.bytes.start);
                }
            }
            Sequence(items) => match branches.iter().find(|branch| allows(branch, Kind::List)) {
                Some(branch) => {
                    self.length(node, items.len(), branch, place, about);
                    for item in items {
                        self.check(item, &branch["items"], &place.item());
                    }
                }
                None => {
                    self.wrong.values.insert(node.bytes.start);
                    self.wrong_kind(node, Kind::List, &branches, place, about);
                }
            },
            Mapping(entries) => match branches.iter().find(|branch| allows(branch, Kind::Mapping)) {
                Some(branch) => self.mapping(node, entries, branch, place),
                None => {
                    self.wrong.values.insert(node.bytes.start);
                    self.wrong_kind(node, Kind::Mapping, &branches, place, about);
                }
            },
        }
    }

    fn length(&mut self, node: &Node, length: usize, schema: &Value, place: &Place, about: Option<&str>) {
        let Some(least) = schema["minItems"].as_u64().filter(|least| (length as u64) < *least) else { return };
        let what = format!("{} must have at least {least} item{}", place.subject(), if least == 1 { "" } else { "s" });
        let problem = Diagnostic::error("out-of-range", what).at(self.span(node.bytes.clone())).label("too short");
        self.problems.push(if let Some(about) = about { problem.hint(one_line(about)) } else { problem });
        self.wrong.values.insert(node.bytes.start);
    }

    fn mapping(&mut self, node: &Node, entries: &[Entry], schema: &'a Value, place: &Place) {
        let properties = schema["properties"].as_object();
        let others = schema.get("additionalProperties").filter(|others| **others != Value::Bool(false));
        let mut misspelt = Vec::new();
        if properties.is_none() {
            self.wrong.named.insert(node.bytes.start);
        }
        for (at, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..at].iter().find(|first| first.key == entry.key) {
                let problem = Diagnostic::error("duplicate-key", format!("`{}` stands twice in one mapping", entry.key));
                let problem = problem.at(self.span(entry.key_bytes.clone())).label("the second one");
                self.problems.push(problem.also(self.span(first.key_bytes.clone()), "the first"));
            }
            let declared = properties.and_then(|properties| properties.get(&entry.key));
            let names = accepted(&schema["propertyNames"]);
            if !names.is_empty() && !names.contains(&entry.key.as_str()) {
                let problem = Diagnostic::error("unknown-key", format!("`{}` is not a key of `{}`", entry.key, place.path));
                let problem = problem.at(self.span(entry.key_bytes.clone())).label("not known");
                self.problems.push(problem.did_you_mean(&entry.key, names));
                self.wrong.keys.insert(entry.key_bytes.start);
                continue;
            }
            if schema["propertyNames"].get("pattern").is_some() && !names_a_table(&entry.key) {
                let problem = Diagnostic::error("table-name", format!("`{}` does not name a table", entry.key));
                let problem = problem.at(self.span(entry.key_bytes.clone())).label("SQL reads it by this name");
                self.wrong.keys.insert(entry.key_bytes.start);
                self.problems.push(problem.hint("use lower-case letters, digits and underscores, so that SQL needs no quotes"));
            }
            match declared.or(others) {
                Some(schema) => self.check(&entry.value, schema, &place.under(entry)),
                None => {
                    // A key that is there cannot have been meant.
                    let free = properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
                    let free: Vec<&str> = free.filter(|name| entries.iter().all(|entry| entry.key != *name)).collect();
                    misspelt.extend(nearest(&entry.key, free.iter().copied()));
                    let of = if place.path.is_empty() { "here".to_owned() } else { format!("of `{}`", place.path) };
                    let problem = Diagnostic::error("unknown-key", format!("`{}` is not a key {of}", entry.key));
                    let problem = problem.at(self.span(entry.key_bytes.clone())).label("not known");
                    self.problems.push(problem.did_you_mean(&entry.key, free));
                    self.wrong.keys.insert(entry.key_bytes.start);
                }
            }
        }
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.wrong.required.insert(node.bytes.start, required.iter().map(|name| (*name).to_owned()).collect());
        for name in required.into_iter().filter(|name| entries.iter().all(|entry| entry.key != *name)) {
            // A misspelt key has been told, and is not missing too.
            if misspelt.contains(&name) {
                continue;
            }
            self.wrong.lacking.insert(node.bytes.start);
            let problem = Diagnostic::error("missing-key", format!("{} has no `{name}`", place.subject()));
            let mut problem = problem.at(self.span(place.key.clone().unwrap_or_else(|| node.shown(&self.file.text)))).label("lacks a key");
            if let Some(about) = properties.and_then(|properties| properties[name]["description"].as_str()) {
                problem = problem.hint(format!("`{name}`: {}", one_line(about)));
            }
            self.problems.push(problem);
        }
    }

    fn scalar(&mut self, node: &Node, text: &str, style: ScalarStyle, branches: &[&Value], place: &Place, about: Option<&str>) {
        if style == ScalarStyle::DoubleQuoted && names_variable(text) {
            let problem = Diagnostic::error("quoted-variable", format!("`\"{text}\"` is in quotes, where a variable is not replaced"));
            let problem = problem.at(self.span(node.bytes.clone())).label("text, as it stands here");
            self.problems.push(problem.hint("write it without quotes, or in single quotes to mean the text as it is"));
            return;
        }
        let interpolated = style == ScalarStyle::Plain && text.contains("${");
        let resolved = if interpolated {
            match interpolate(text, self.environment) {
                Ok(resolved) => resolved,
                Err(problem) => {
                    self.problems.push(problem.at(self.span(node.bytes.clone())));
                    return;
                }
            }
        } else {
            text.to_owned()
        };
        let kind = if style == ScalarStyle::Plain { Kind::of(&resolved) } else { Kind::Text };
        // A value from the environment is text, whatever it looks like.
        let fits = |branch: &&&Value| allows(branch, kind) || interpolated && allows(branch, Kind::Text);
        let fitting: Vec<&Value> = branches.iter().filter(fits).copied().collect();
        let Some(first) = fitting.first() else { return self.wrong_kind(node, kind, branches, place, about) };
        // Values from the environment may be secrets, so messages show the text of the file instead.
        let told = format!("`{text}`");
        if is_type(first) {
            let is_wrong = if first["format"] == DECLARED_TYPE {
                resolved.parse::<DeclaredType>().is_err()
            } else {
                resolved.parse::<ColumnType>().is_err()
            };
            if is_wrong {
                let problem = Diagnostic::error("unknown-type", format!("{told} is not a type"));
                let problem = problem.at(self.span(node.bytes.clone())).label("not known");
                self.problems.push(problem.hint(ColumnType::hint(text)));
            }
            return;
        }
        let accepted: Vec<&str> = fitting.iter().flat_map(|branch| accepted(branch)).collect();
        let free = fitting.iter().any(|branch| branch.get("const").is_none() && branch.get("enum").is_none());
        if kind == Kind::Text && !free && !accepted.contains(&resolved.as_str()) {
            let problem = Diagnostic::error("unknown-value", format!("{} cannot be {told}", place.subject()));
            let problem = problem.at(self.span(node.bytes.clone())).label("not known");
            let hint = nearest(&resolved, accepted.iter().copied()).filter(|_| !interpolated).map(|near| format!("did you mean `{near}`?"));
            self.problems.push(problem.hint(hint.unwrap_or_else(|| format!("it can be {}", wanted(branches)))));
        }
        if let (Kind::Integer | Kind::Number, Some(range)) = (kind, range(first, &resolved)) {
            let problem = Diagnostic::error("out-of-range", format!("{} must be {range}", place.subject()));
            let mut problem = problem.at(self.span(node.bytes.clone())).label("out of range");
            if let Some(about) = about {
                problem = problem.hint(one_line(about));
            }
            self.problems.push(problem);
        }
    }

    fn wrong_kind(&mut self, node: &Node, kind: Kind, branches: &[&Value], place: &Place, about: Option<&str>) {
        let wanted = wanted(branches);
        let (what, label) = match kind {
            Kind::Nothing => (format!("{} has no value", place.subject()), format!("should be {wanted}")),
            _ => (format!("{} must be {wanted}", place.subject()), format!("this is {}", kind.noun())),
        };
        let at = match (kind, &place.key) {
            (Kind::Nothing, Some(key)) => key.clone(),
            _ => node.shown(&self.file.text),
        };
        let written = &self.file.text[at.clone()];
        let may_be = |kind| branches.iter().any(|branch| allows(branch, kind));
        let free_text = branches.iter().any(|branch| allows(branch, Kind::Text) && accepted(branch).is_empty());
        let hint = match kind {
            // Of a list: `NULL` without quotes is nothing to YAML.
            Kind::Nothing if place.key.is_none() && free_text && !written.is_empty() => Some(format!("put it in quotes: '{written}'")),
            Kind::Truth | Kind::Integer | Kind::Number if free_text => Some(format!("put it in quotes: '{written}'")),
            Kind::Text if may_be(Kind::List) && !written.contains(['\n', ',']) => Some(format!("write it as a list: [{written}]")),
            Kind::Text if may_be(Kind::Truth) => Some("write `true` or `false`".to_owned()),
            _ => about.map(one_line),
        };
        let mut problem = Diagnostic::error("wrong-type", what).at(self.span(at)).label(label);
        if let Some(hint) = hint {
            problem = problem.hint(hint);
        }
        self.problems.push(problem);
    }

    fn span(&self, bytes: Range<usize>) -> Span {
        Span { file: Arc::clone(self.file), bytes }
    }
}

impl Kind {
    /// What a plain scalar is, by YAML 1.2's core schema.
    fn of(text: &str) -> Self {
        let number = || text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && text.parse::<f64>().is_ok();
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Kind::Nothing,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Truth,
            _ if text.parse::<i128>().is_ok() => Kind::Integer,
            ".inf" | "-.inf" | ".nan" => Kind::Number,
            _ if number() => Kind::Number,
            _ => Kind::Text,
        }
    }

    /// The word of JSON Schema.
    fn word(self) -> &'static str {
        match self {
            Kind::Nothing => "null",
            Kind::Truth => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Text => "string",
            Kind::List => "array",
            Kind::Mapping => "object",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Kind::Nothing => "nothing",
            Kind::Truth => "true or false",
            Kind::Integer => "a whole number",
            Kind::Number => "a number",
            Kind::Text => "text",
            Kind::List => "a list",
            Kind::Mapping => "a mapping",
        }
    }
}

/// Whether a schema is that of types, whose alternatives are one kind of word.
fn is_type(schema: &Value) -> bool {
    schema["format"] == COLUMN_TYPE || schema["format"] == DECLARED_TYPE
}

/// The alternatives of a schema, itself when it has none.
fn branches<'s>(definitions: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut schema = schema;
    while let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        schema = &definitions[name];
    }
    let alternatives = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    match alternatives {
        Some(alternatives) if !is_type(schema) => alternatives.iter().flat_map(|branch| branches(definitions, branch)).collect(),
        _ => vec![schema],
    }
}

/// Whether a schema without alternatives is one of a kind.
fn allows(schema: &Value, kind: Kind) -> bool {
    let is = |word: &Value| word == kind.word() || kind == Kind::Integer && word == "number";
    match &schema["type"] {
        Value::Array(words) => words.iter().any(is),
        Value::Null => kind == Kind::Text || schema.get("const").is_none(),
        word => is(word),
    }
}

/// The values that a schema names.
fn accepted(schema: &Value) -> Vec<&str> {
    let one = schema["const"].as_str();
    let several = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(several).collect()
}

/// What a value may be, in words.
fn wanted(branches: &[&Value]) -> String {
    let values: Vec<&str> = branches.iter().flat_map(|branch| accepted(branch)).collect();
    if !values.is_empty() {
        let truth = if branches.iter().any(|branch| allows(branch, Kind::Truth)) { "true, false or " } else { "" };
        return format!("{truth}{}", alternatives(&values));
    }
    let kinds = [Kind::Text, Kind::Integer, Kind::Number, Kind::Truth, Kind::List, Kind::Mapping];
    let named = |kind: &Kind| branches.iter().any(|branch| allows(branch, *kind));
    let mut nouns: Vec<&str> = kinds.into_iter().filter(named).map(Kind::noun).collect();
    if nouns.contains(&Kind::Number.noun()) {
        nouns.retain(|noun| *noun != Kind::Integer.noun());
    }
    if [Kind::Text, Kind::Number, Kind::Truth].iter().all(|kind| nouns.contains(&kind.noun())) && nouns.len() == 3 {
        return "a single value".to_owned();
    }
    nouns.join(" or ")
}

/// What a number must be when it is not.
fn range(schema: &Value, text: &str) -> Option<String> {
    let number: f64 = text.parse().ok()?;
    let most = match schema["format"].as_str() {
        Some("uint32") => Some(f64::from(u32::MAX)),
        _ => None,
    };
    let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64().or(most));
    let fits = least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most);
    // A double cannot tell all whole numbers of 64 bits apart.
    let held = match schema["format"].as_str() {
        Some("uint64") => text.parse::<u64>().is_ok(),
        Some("int64") => text.parse::<i64>().is_ok(),
        _ => number.is_finite(),
    };
    match (least, most) {
        _ if fits && held => None,
        (Some(least), Some(most)) => Some(format!("between {least} and {most}")),
        (Some(least), None) if !fits => Some(format!("at least {least}")),
        _ => Some("a number that fits 64 bits".to_owned()),
    }
}

/// Names as alternatives: `a`, `b` or `c`.
fn alternatives(names: &[&str]) -> String {
    let all = list(names);
    match all.rsplit_once("` and `") {
        Some((before, last)) => format!("{before}` or `{last}"),
        None => all,
    }
}

/// The first paragraph of a description on one line.
fn one_line(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pipeline, schema_of};

    /// What the walk looks at, what it need not because another word says it, and what is for editors.
    const KNOWN: [&str; 22] = [
        "$ref",
        "$defs",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "oneOf",
        "const",
        "enum",
        "format",
        "minimum",
        "maximum",
        "minItems",
        "pattern",
        "description",
        "default",
        "title",
        "propertyNames",
        "if",
        "else",
    ];

    fn words(schema: &Value, found: &mut Vec<String>) {
        let Some(object) = schema.as_object() else { return };
        for (word, value) in object {
            found.push(word.clone());
            match (word.as_str(), value) {
                ("properties" | "$defs", Value::Object(inner)) => inner.values().for_each(|inner| words(inner, found)),
                ("anyOf" | "oneOf", Value::Array(inner)) => inner.iter().for_each(|inner| words(inner, found)),
                ("items" | "additionalProperties", inner) => words(inner, found),
                _ => {}
            }
        }
    }

    #[test]
    fn the_walk_knows_every_word_of_the_schema() {
        let mut found = Vec::new();
        words(&schema_of::<Pipeline>(), &mut found);
        found.retain(|word| word != "$schema" && !KNOWN.contains(&word.as_str()));
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn plain_scalars_are_of_the_kinds_of_the_core_schema() {
        for (text, kind) in [
            ("", Kind::Nothing),
            ("true", Kind::Truth),
            ("yes", Kind::Text),
            ("-7", Kind::Integer),
            ("0.5", Kind::Number),
            ("1e3", Kind::Number),
            ("2011-12-10", Kind::Text),
            ("infinity", Kind::Text),
            ("1.2.3", Kind::Text),
        ] {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
    }
}
