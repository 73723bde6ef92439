//! Leaves the wrong parts out of a file, so that the rest can be validated too. A part that needs something that is left out is left out
//! as well.

use std::collections::{HashMap, HashSet};

use granit_parser::ScalarStyle;

use super::tree::{Content, Entry, Node};

/// What is wrong with a file's shape, by the offsets of nodes in bytes.
#[derive(Debug, Default)]
pub struct Wrong {
    /// Values that are none.
    pub values: HashSet<usize>,
    /// Keys that are none.
    pub keys: HashSet<usize>,
    /// Mappings that lack a key.
    pub lacking: HashSet<usize>,
    /// The keys that each mapping must have.
    pub required: HashMap<usize, Vec<String>>,
    /// Mappings whose keys are names of the file's own.
    pub named: HashSet<usize>,
}

/// What is left of a file.
#[derive(Debug)]
pub struct Repaired {
    /// Its text, written anew.
    pub text: String,
    /// By where each value begins in it, where that stands in the file.
    pub places: HashMap<usize, usize>,
    /// The names of what is left out, each with the keys down to it, such as `sources`, `orders`.
    pub lost: Vec<Vec<String>>,
}

/// Writes a file without its wrong parts; none when nothing is left.
pub fn repaired(root: &Node, wrong: &Wrong) -> Option<Repaired> {
    let mut repair = Repair { wrong, lost: Vec::new() };
    let whole = repair.part(root, &mut Vec::new())?;
    let mut writer = Writer { text: String::new(), places: HashMap::new() };
    writer.write(&whole, 0);
    Some(Repaired { text: writer.text, places: writer.places, lost: repair.lost })
}

/// A part of the file that is left.
struct Part<'a> {
    start: usize,
    content: Left<'a>,
}

enum Left<'a> {
    Scalar(&'a str, ScalarStyle),
    Sequence(Vec<Part<'a>>),
    Mapping(Vec<(&'a str, Part<'a>)>),
}

struct Repair<'a> {
    wrong: &'a Wrong,
    lost: Vec<Vec<String>>,
}

impl Repair<'_> {
    fn part<'n>(&mut self, node: &'n Node, path: &mut Vec<String>) -> Option<Part<'n>> {
        let start = node.bytes.start;
        if self.wrong.values.contains(&start) {
            return None;
        }
        let content = match &node.content {
            Content::Scalar(text, style) => Left::Scalar(text, *style),
            Content::Sequence(items) => {
                let before = items.len();
                let left: Vec<Part<'n>> = items.iter().filter_map(|item| self.part(item, path)).collect();
                if left.len() < before {
                    self.lost.push(path.clone());
                }
                Left::Sequence(left)
            }
            Content::Mapping(entries) => Left::Mapping(self.entries(start, entries, path)?),
        };
        Some(Part { start, content })
    }

    fn entries<'n>(&mut self, start: usize, entries: &'n [Entry], path: &mut Vec<String>) -> Option<Vec<(&'n str, Part<'n>)>> {
        let mut left: Vec<(&str, Part<'_>)> = Vec::new();
        for entry in entries {
            let is_known = !self.wrong.keys.contains(&entry.key_bytes.start);
            if left.iter().any(|(key, _)| *key == entry.key) {
                continue;
            }
            path.push(entry.key.clone());
            match self.part(&entry.value, path).filter(|_| is_known) {
                Some(part) => left.push((&entry.key, part)),
                None if self.wrong.named.contains(&start) => self.lost.push(path.clone()),
                None => {}
            }
            path.pop();
        }
        let is_there = |key: &String| left.iter().any(|(there, _)| there == key);
        let is_whole = !self.wrong.lacking.contains(&start) && self.wrong.required.get(&start).is_none_or(|keys| keys.iter().all(is_there));
        is_whole.then_some(left)
    }
}

struct Writer {
    text: String,
    places: HashMap<usize, usize>,
}

impl Writer {
    /// Writes a value where its first character stands, lines after the first indented.
    fn write(&mut self, part: &Part<'_>, indent: usize) {
        self.places.insert(self.text.len(), part.start);
        match &part.content {
            // Plain scalars have the type that they look like, and may contain variables of the environment.
            Left::Scalar(text, ScalarStyle::Plain) if !text.is_empty() => self.text.push_str(text),
            Left::Scalar(text, ScalarStyle::Plain) => self.text.push_str(if text.is_empty() { "null" } else { text }),
            Left::Scalar(text, _) => self.text.push_str(&quoted(text)),
            Left::Sequence(items) if items.is_empty() => self.text.push_str("[]"),
            Left::Mapping(entries) if entries.is_empty() => self.text.push_str("{}"),
            Left::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.line(at, indent);
                    self.text.push('-');
                    self.below(item, indent);
                }
            }
            Left::Mapping(entries) => {
                for (at, (key, value)) in entries.iter().enumerate() {
                    self.line(at, indent);
                    self.text.push_str(&quoted(key));
                    self.text.push(':');
                    self.below(value, indent);
                }
            }
        }
    }

    fn line(&mut self, at: usize, indent: usize) {
        if at > 0 {
            self.text.push('\n');
            self.text.push_str(&" ".repeat(indent));
        }
    }

    /// A value behind a dash or a colon.
    fn below(&mut self, part: &Part<'_>, indent: usize) {
        let is_block = match &part.content {
            Left::Scalar(..) => false,
            Left::Sequence(items) => !items.is_empty(),
            Left::Mapping(entries) => !entries.is_empty(),
        };
        if is_block {
            self.text.push('\n');
            self.text.push_str(&" ".repeat(indent + 1));
        } else {
            self.text.push(' ');
        }
        self.write(part, indent + 1);
    }
}

/// A text in the double quotes of JSON, which YAML reads too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
