//! A YAML file as a tree whose parts know their places: what its shape is checked on, and where problems are shown.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

/// The most values of a file with its aliases expanded, and the most keys of one mapping.
pub const MAX_PARTS: usize = 250_000;
pub const MAX_KEYS: usize = 2_000;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

/// A value of any kind.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Where it stands, in bytes of the file.
    pub bytes: Range<usize>,
    /// How many values it has, with aliases expanded.
    parts: usize,
}

/// What a node is.
#[derive(Debug)]
pub enum Content {
    /// A single value, with its text after unquoting, unfolding and unescaping.
    Scalar(String, ScalarStyle),
    /// A list.
    Sequence(Vec<Rc<Node>>),
    /// A mapping.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_bytes: Range<usize>,
    /// The value.
    pub value: Rc<Node>,
}

/// Why a text has no tree.
#[derive(Debug)]
pub struct Broken {
    /// What is wrong.
    pub why: String,
    /// Whether it has more values or keys than are read.
    pub is_too_large: bool,
    /// Where, in bytes.
    pub offset: usize,
    /// Where the innermost bracket that is not closed stands.
    pub bracket: Option<usize>,
}

/// A list or mapping that is not at its end.
struct Open {
    start: usize,
    anchor: usize,
    items: Vec<Rc<Node>>,
    /// For a mapping.
    pairs: Option<Pairs>,
}

/// The entries of a mapping that is not at its end, and the key that waits for its value.
#[derive(Default)]
struct Pairs {
    entries: Vec<Entry>,
    key: Option<(String, Range<usize>)>,
}

/// Reads the first document of a text; none when there is nothing in it.
///
/// # Errors
/// The first mistake in the syntax.
pub fn read(text: &str) -> Result<Option<Rc<Node>>, Broken> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Rc<Node>> = HashMap::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| broken(text, &error, &open))?;
        let bytes = span.byte_range().unwrap_or_default();
        let (node, anchor) = match event {
            Event::Scalar(value, style, anchor, _) => {
                (Rc::new(Node { content: Content::Scalar(value.into_owned(), style), bytes: trimmed(text, bytes), parts: 1 }), anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                open.push(Open::new(bytes.start, anchor, false));
                continue;
            }
            Event::MappingStart(_, anchor, _) => {
                open.push(Open::new(bytes.start, anchor, true));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(done) => {
                    let anchor = done.anchor;
                    done.is_too_much().map_or(Ok(()), |why| Err(Broken { why, is_too_large: true, offset: done.start, bracket: None }))?;
                    (Rc::new(done.close(trimmed_end(text, bytes.end))), anchor)
                }
                None => continue,
            },
            Event::Alias(anchor) => match anchors.get(&anchor) {
                Some(node) => (Rc::clone(node), 0),
                None => {
                    let why = "an alias stands within the value that it repeats".to_owned();
                    return Err(Broken { why, is_too_large: false, offset: bytes.start, bracket: None });
                }
            },
            Event::DocumentEnd => break,
            _ => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, Rc::clone(&node));
        }
        match open.last_mut() {
            Some(parent) => parent.take(node),
            None => root = Some(node),
        }
    }
    Ok(root)
}

impl Open {
    fn new(start: usize, anchor: usize, mapping: bool) -> Self {
        Open { start, anchor, items: Vec::new(), pairs: mapping.then(Pairs::default) }
    }

    fn take(&mut self, node: Rc<Node>) {
        match &mut self.pairs {
            None => self.items.push(node),
            Some(pairs) => match pairs.key.take() {
                Some((key, key_bytes)) => pairs.entries.push(Entry { key, key_bytes, value: node }),
                // A key that is a list or mapping is no key of ours; as one without a name it is told as unknown.
                None => pairs.key = Some((node.text().unwrap_or_default().to_owned(), node.bytes.clone())),
            },
        }
    }

    /// How many values it comes to.
    fn parts(&self) -> usize {
        let entries = self.pairs.iter().flat_map(|pairs| &pairs.entries).map(|entry| &entry.value);
        self.items.iter().chain(entries).fold(1, |parts: usize, node| parts.saturating_add(node.parts))
    }

    /// What there is too much of.
    fn is_too_much(&self) -> Option<String> {
        if self.parts() > MAX_PARTS {
            return Some(format!("this comes to more than {MAX_PARTS} values, those that aliases repeat among them"));
        }
        let brought = |entry: &Entry| if entry.key == "<<" { entry.value.entries().map_or(0, <[Entry]>::len) } else { 1 };
        let keys: usize = self.pairs.iter().flat_map(|pairs| &pairs.entries).map(brought).sum();
        (keys > MAX_KEYS).then(|| format!("this mapping has more than {MAX_KEYS} keys"))
    }

    fn close(self, end: usize) -> Node {
        let bytes = self.start..end.max(self.start);
        let parts = self.parts();
        match self.pairs {
            None => Node { content: Content::Sequence(self.items), bytes, parts },
            Some(pairs) => Node { content: Content::Mapping(merged(pairs.entries)), bytes, parts },
        }
    }
}

/// Puts what `<<` names in its place; the mapping's own keys come first.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.key == "<<");
    for merge in merges {
        let sources = match &merge.value.content {
            Content::Sequence(items) => items.clone(),
            _ => vec![merge.value],
        };
        let mut known: HashSet<String> = own.iter().map(|mine| mine.key.clone()).collect();
        for entry in sources.iter().filter_map(|node| node.entries()).flatten() {
            if known.insert(entry.key.clone()) {
                own.push(entry.clone());
            }
        }
    }
    own
}

impl Node {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// Calls a function for each plain value that names a variable of the environment, with its key, if it has one, and its text.
    pub fn each_given(&self, key: Option<&str>, found: &mut impl FnMut(&Node, Option<&str>, &str)) {
        match &self.content {
            Content::Scalar(text, ScalarStyle::Plain) if text.contains("${") => found(self, key, text),
            Content::Scalar(..) => {}
            Content::Sequence(items) => items.iter().for_each(|item| item.each_given(None, found)),
            Content::Mapping(entries) => entries.iter().for_each(|entry| entry.value.each_given(Some(&entry.key), found)),
        }
    }

    /// What to underline for it: of a list or mapping over several lines, only the first.
    pub fn shown(&self, text: &str) -> Range<usize> {
        let block = !matches!(self.content, Content::Scalar(..));
        let first = text.get(self.bytes.clone()).unwrap_or_default().lines().next().map_or(0, |line| line.trim_end().len());
        if block { self.bytes.start..self.bytes.start + first } else { self.bytes.clone() }
    }

    /// The smallest part that begins at an offset.
    pub fn beginning_at(&self, offset: usize) -> Option<&Node> {
        let inner = match &self.content {
            Content::Scalar(..) => None,
            Content::Sequence(items) => items.iter().find_map(|item| item.beginning_at(offset)),
            Content::Mapping(entries) => entries.iter().find_map(|entry| entry.value.beginning_at(offset)),
        };
        inner.or_else(|| (self.bytes.start == offset).then_some(self))
    }

    /// Where a key stands whose value begins at an offset.
    pub fn key_of(&self, key: &str, offset: usize) -> Option<Range<usize>> {
        match &self.content {
            Content::Scalar(..) => None,
            Content::Sequence(items) => items.iter().find_map(|item| item.key_of(key, offset)),
            Content::Mapping(entries) => {
                let own = entries.iter().find(|entry| entry.key == key && entry.value.bytes.start == offset);
                own.map(|entry| entry.key_bytes.clone()).or_else(|| entries.iter().find_map(|entry| entry.value.key_of(key, offset)))
            }
        }
    }

    /// Where the bytes of a scalar's text stand in the file; none when they do not stand there as they are read.
    ///
    /// Whatever its style, the letters of a value stand in the file in their order, with only white space, indentation and
    /// escapes between them.
    pub fn place_of(&self, text: &str, inner: Range<usize>) -> Option<Range<usize>> {
        let Content::Scalar(value, style) = &self.content else { return None };
        let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        let mut at = self.bytes.start + usize::from(quoted);
        let end = self.bytes.end - usize::from(quoted);
        let mut place: Option<Range<usize>> = None;
        for (position, c) in value.char_indices() {
            if position >= inner.end.max(inner.start + 1) {
                break;
            }
            if c.is_whitespace() && !text.get(at..end)?.starts_with('\\') {
                continue;
            }
            let rest = text.get(at..end)?;
            at += rest.len() - rest.trim_start().len();
            let (written, length) = written(text.get(at..end)?, *style)?;
            if written != c {
                return None;
            }
            if position >= inner.start {
                let start = place.map_or(at, |place| place.start);
                place = Some(start..at + length);
            }
            at += length;
        }
        // Past the end of the value is past its last letter.
        place.or_else(|| (inner.start >= value.trim_end().len()).then_some(at..at))
    }
}

/// The character that a text begins with as it is read, and the bytes that it takes up as it is written.
fn written(text: &str, style: ScalarStyle) -> Option<(char, usize)> {
    let first = text.chars().next()?;
    match style {
        ScalarStyle::SingleQuoted if text.starts_with("''") => Some((first, 2)),
        ScalarStyle::DoubleQuoted if first == '\\' => {
            let kind = text.chars().nth(1)?;
            let digits = match kind {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                // A line that goes on without a blank.
                '\n' => {
                    let rest = text[2..].trim_start();
                    let skipped = text.len() - rest.len();
                    return written(rest, style).map(|(c, length)| (c, length + skipped));
                }
                other => {
                    let meant = match other {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        '0' => '\0',
                        '"' | '\\' | '/' | ' ' => other,
                        _ => return None,
                    };
                    return Some((meant, 1 + other.len_utf8()));
                }
            };
            let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
            Some((char::from_u32(code)?, 2 + digits))
        }
        _ => Some((first, first.len_utf8())),
    }
}

fn broken(text: &str, error: &ScanError, open: &[Open]) -> Broken {
    let offset = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let bracket = open.last().map(|open| open.start).filter(|start| text.get(*start..).is_some_and(|rest| rest.starts_with(['[', '{'])));
    Broken { why: error.info(), is_too_large: false, offset, bracket }
}

fn trimmed(text: &str, bytes: Range<usize>) -> Range<usize> {
    let end = bytes.start + text.get(bytes.clone()).unwrap_or_default().trim_end().len();
    bytes.start..end
}

fn trimmed_end(text: &str, end: usize) -> usize {
    text.get(..end).unwrap_or_default().trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text in the file that a part of the first value's text comes from.
    fn place(file: &str, part: &str) -> String {
        let root = read(file).unwrap().unwrap();
        let node = &root.entries().unwrap()[0].value;
        let at = node.text().unwrap().find(part).unwrap();
        node.place_of(file, at..at + part.len()).map_or_else(|| "nowhere".to_owned(), |place| file[place].to_owned())
    }

    #[test]
    fn parts_of_values_are_found_in_every_style() {
        for file in [
            "when: r_score > 3 and city = 'x'\n",
            "when: r_score > 3\n  and city = 'x'\nnext: 1\n",
            "when: 'r_score > 3 and city = ''x'''\n",
            "when: \"r_score > 3 \\x61nd \\\n   ci\\\n   ty = 'x'\"\n",
            "when: >-\n  r_score > 3\n\n    and\n  city = 'x'\n\nnext: 1\n",
            "when: |\n    r_score > 3\n    and city\n      = 'x'\n",
        ] {
            assert_eq!(place(file, "r_score"), "r_score", "{file}");
            let city = place(file, "city");
            assert_eq!(city.replace("\\\n   ", ""), "city", "{file}");
            assert!(place(file, "'x'").contains('x'), "{file}");
        }
        assert_eq!(place("when: 'it''s é and ü'\n", "ü"), "ü");
    }

    #[test]
    fn what_a_merge_brings_stands_behind_what_a_mapping_says_itself() {
        let root = read("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n").unwrap().unwrap();
        let keys: Vec<_> =
            root.entries().unwrap()[1].value.entries().unwrap().iter().map(|entry| (entry.key.as_str(), entry.value.text())).collect();
        assert_eq!(keys, [("y", Some("3")), ("x", Some("1"))]);
    }

    proptest::proptest! {
        /// Whatever a file holds, it has a tree or is broken somewhere, and no place lies outside it or within a character.
        #[test]
        fn every_text_has_a_tree_or_a_mistake(text in "([a-zé:,\\[\\]{}'\"|>#&*!<~$\\\\ \t\n-]|\n  |: |- ){0,60}") {
            fn places(text: &str, node: &Node) {
                assert!(text.get(node.shown(text)).is_some() && text.get(node.bytes.clone()).is_some());
                match &node.content {
                    Content::Scalar(value, _) => {
                        for (at, c) in value.char_indices() {
                            let place = node.place_of(text, at..at + c.len_utf8());
                            assert!(place.is_none_or(|place| text.get(place).is_some()));
                        }
                    }
                    Content::Sequence(items) => items.iter().for_each(|item| places(text, item)),
                    Content::Mapping(entries) => entries.iter().for_each(|entry| places(text, &entry.value)),
                }
            }
            match read(&text) {
                Ok(Some(root)) => places(&text, &root),
                Ok(None) => {}
                Err(broken) => assert!(text.get(broken.offset..).is_some()),
            }
        }
    }
}
