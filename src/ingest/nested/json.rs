//! Finds what stands at several paths of a JSON text, in one pass. The text has been found to be JSON before.

use std::borrow::Cow;

use super::{INVALID, NESTED, NOT_A_LIST, NOT_NESTED, REPEATED};
use crate::config::Step;

/// A value of a JSON text.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// There is none, or null.
    Null,
    /// A text, or a truth as it is written.
    Text(Cow<'a, str>),
    /// A number as it is written.
    Number(&'a str),
    /// An array or an object, as it is written.
    Nested(&'a str),
    /// What stands there cannot be read, for this reason.
    Bad(&'static str),
}

impl<'a> Found<'a> {
    /// A whole value of a JSON text.
    pub fn of(text: &'a str) -> Self {
        match text.as_bytes().first() {
            Some(b'"') => match memchr::memchr(b'\\', text.as_bytes()) {
                None => Found::Text(Cow::Borrowed(&text[1..text.len() - 1])),
                Some(_) => serde_json::from_str(text).map_or(Found::Bad(INVALID), |text| Found::Text(Cow::Owned(text))),
            },
            Some(b'{' | b'[') => Found::Nested(text),
            Some(b'n') | None => Found::Null,
            Some(b't' | b'f') => Found::Text(Cow::Borrowed(text)),
            _ => Found::Number(text),
        }
    }
}

/// Paths with what they have in common, each with the place of what is found there.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    places: Vec<usize>,
    members: Vec<(String, Paths)>,
    elements: Vec<(usize, Paths)>,
    entries: Vec<(String, String, Paths)>,
}

impl Paths {
    /// Adds a path and the place of what is found there. A path through `[#]` finds nothing.
    pub fn add(&mut self, steps: &[Step], place: usize) {
        let Some((first, rest)) = steps.split_first() else {
            self.places.push(place);
            return;
        };
        let next = match first {
            Step::Member(name) => {
                child(&mut self.members, |(known, _)| known == name, || (name.clone(), Paths::default()), |(_, next)| next)
            }
            Step::Place(at) => child(&mut self.elements, |(known, _)| known == at, || (*at, Paths::default()), |(_, next)| next),
            Step::Entry { key, text } => child(
                &mut self.entries,
                |(of, known, _)| of == key && known == text,
                || (key.clone(), text.clone(), Paths::default()),
                |(.., next)| next,
            ),
            Step::Number => return,
        };
        next.add(rest, place);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.is_leaf()
    }

    fn is_leaf(&self) -> bool {
        self.members.is_empty() && self.elements.is_empty() && self.entries.is_empty()
    }

    /// Puts what stands at the paths of a value at their places. It must be JSON, with no space before it.
    pub fn find<'a>(&self, text: &'a str, found: &mut [Found<'a>]) {
        Walker { text, at: 0 }.walk(self, found);
    }

    /// Puts a value at the places of paths that end where they begin.
    pub fn here<'a>(&self, value: &Found<'a>, found: &mut [Found<'a>]) {
        self.places.iter().for_each(|place| found[*place] = value.clone());
    }

    /// Puts a value at the places of paths that end where they begin, and at those of all others that it is nothing that paths lead into.
    pub fn only_here<'a>(&self, value: &Found<'a>, found: &mut [Found<'a>]) {
        self.set(&Found::Bad(NOT_NESTED), found);
        self.here(value, found);
    }

    pub fn set<'a>(&self, value: &Found<'a>, found: &mut [Found<'a>]) {
        self.places.iter().for_each(|place| found[*place] = value.clone());
        self.members.iter().for_each(|(_, next)| next.set(value, found));
        self.elements.iter().for_each(|(_, next)| next.set(value, found));
        self.entries.iter().for_each(|(.., next)| next.set(value, found));
    }
}

fn child<'a, T>(
    children: &'a mut Vec<T>,
    is_it: impl Fn(&T) -> bool,
    new: impl Fn() -> T,
    next: impl Fn(&'a mut T) -> &'a mut Paths,
) -> &'a mut Paths {
    let at = children.iter().position(is_it).unwrap_or_else(|| {
        children.push(new());
        children.len() - 1
    });
    next(&mut children[at])
}

/// Goes over a text that is JSON.
struct Walker<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walker<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn over_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// Goes over a value, and gives it.
    fn value(&mut self) -> &'a str {
        let start = self.at;
        self.at = end_of(self.text.as_bytes(), start);
        &self.text[start..self.at]
    }

    /// The next member's key in its quotes, up to its value; none behind the last.
    fn key(&mut self) -> Option<&'a str> {
        self.over_space();
        match self.byte()? {
            b',' | b'{' => self.at += 1,
            _ => {
                self.at += 1;
                return None;
            }
        }
        self.over_space();
        if self.byte() != Some(b'"') {
            // An object without members.
            self.at += 1;
            return None;
        }
        let key = self.value();
        self.over_space();
        self.at += 1;
        self.over_space();
        Some(key)
    }

    /// Goes to the next element; false behind the last.
    fn element(&mut self) -> bool {
        self.over_space();
        let is_first = self.byte() == Some(b'[');
        let ends = !matches!(self.byte(), Some(b',' | b'['));
        self.at += 1;
        if ends {
            return false;
        }
        self.over_space();
        if is_first && self.byte() == Some(b']') {
            self.at += 1;
            return false;
        }
        self.at < self.text.len()
    }

    fn walk(&mut self, paths: &Paths, found: &mut [Found<'a>]) {
        if !paths.places.is_empty() || paths.is_leaf() {
            let value = self.value();
            if let Some((last, others)) = paths.places.split_last() {
                let read = Found::of(value);
                for place in others {
                    found[*place] = read.clone();
                }
                found[*last] = read;
            }
            if !paths.is_leaf() {
                let inner = Paths { places: Vec::new(), ..paths.clone() };
                Walker { text: value, at: 0 }.walk(&inner, found);
            }
            return;
        }
        match self.byte() {
            Some(b'{') => self.object(paths, found),
            Some(b'[') => self.list(paths, found),
            Some(b'n') | None => {
                self.value();
            }
            Some(_) => {
                self.value();
                paths.set(&Found::Bad(NOT_NESTED), found);
            }
        }
    }

    fn object(&mut self, paths: &Paths, found: &mut [Found<'a>]) {
        let nested = Found::Bad(NOT_A_LIST);
        paths.elements.iter().for_each(|(_, next)| next.set(&nested, found));
        paths.entries.iter().for_each(|(.., next)| next.set(&nested, found));
        while let Some(key) = self.key() {
            match paths.members.iter().find(|(name, _)| is_text(key, name)) {
                Some((_, next)) => {
                    // Of equal keys the last counts.
                    next.set(&Found::Null, found);
                    self.walk(next, found);
                }
                None => {
                    self.value();
                }
            }
        }
    }

    fn list(&mut self, paths: &Paths, found: &mut [Found<'a>]) {
        let mut seen = vec![false; paths.entries.len()];
        let mut at = 0;
        while self.element() {
            let element = self.value();
            for (_, next) in paths.elements.iter().filter(|(place, _)| *place == at) {
                Walker { text: element, at: 0 }.walk(next, found);
            }
            for ((key, text, next), seen) in paths.entries.iter().zip(&mut seen) {
                if !has_entry(element, key, text) {
                    continue;
                }
                if std::mem::replace(seen, true) {
                    next.set(&Found::Bad(REPEATED), found);
                } else {
                    Walker { text: element, at: 0 }.walk(next, found);
                }
            }
            at += 1;
        }
        // Some programs write an object without members as an empty list.
        if at > 0 {
            paths.members.iter().for_each(|(_, next)| next.set(&Found::Bad(NESTED), found));
        }
    }
}

/// Whether an element is an object in which the last member of this name has this text.
fn has_entry(element: &str, key: &str, text: &str) -> bool {
    if !element.starts_with('{') {
        return false;
    }
    let mut walker = Walker { text: element, at: 0 };
    let mut has = false;
    while let Some(name) = walker.key() {
        let is_key = is_text(name, key);
        let value = walker.value();
        if is_key {
            has = match Found::of(value) {
                Found::Text(held) => held == text,
                Found::Number(held) => held == text,
                _ => false,
            };
        }
    }
    has
}

/// Whether a text in quotes is this one.
fn is_text(quoted: &str, text: &str) -> bool {
    let inner = &quoted[1..quoted.len() - 1];
    inner == text || (inner.contains('\\') && serde_json::from_str::<String>(quoted).is_ok_and(|held| held == text))
}

/// The end of the value that begins at a place.
fn end_of(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    match bytes.get(start) {
        Some(b'"') => end_of_string(bytes, start),
        Some(b'{' | b'[') => {
            let mut depth = 0_usize;
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at = end_of_string(bytes, at);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            at
        }
        _ => {
            let is_over = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            bytes[start..].iter().position(is_over).map_or(bytes.len(), |length| start + length)
        }
    }
}

/// The end of a text in quotes.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(length) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += length;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// The elements of a list as they are written, with where each begins in the text; none when it is no list.
pub fn elements(text: &str) -> Option<impl Iterator<Item = (usize, &str)>> {
    text.starts_with('[').then(|| {
        let mut walker = Walker { text, at: 0 };
        std::iter::from_fn(move || {
            walker.element().then(|| {
                let start = walker.at;
                (start, walker.value())
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::config::MemberPath;

    /// What stands at a path, told from the parsed value.
    fn expected(value: Option<&Value>, steps: &[Step]) -> Result<Option<Value>, &'static str> {
        let value = match value {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        let Some((first, rest)) = steps.split_first() else { return Ok(Some(value.clone())) };
        match (first, value) {
            (Step::Member(name), Value::Object(object)) => expected(object.get(name), rest),
            (Step::Member(_), Value::Array(list)) => {
                if list.is_empty() {
                    Ok(None)
                } else {
                    Err(NESTED)
                }
            }
            (Step::Place(at), Value::Array(list)) => expected(list.get(*at), rest),
            (Step::Entry { key, text }, Value::Array(list)) => {
                let has = |element: &&Value| match element.get(key) {
                    Some(Value::String(held)) => held == text,
                    Some(Value::Number(held)) => &held.to_string() == text,
                    _ => false,
                };
                let mut entries = list.iter().filter(has);
                match (entries.next(), entries.next()) {
                    (_, Some(_)) => Err(REPEATED),
                    (entry, None) => expected(entry, rest),
                }
            }
            (_, Value::Object(_)) => Err(NOT_A_LIST),
            (_, _) => Err(NOT_NESTED),
        }
    }

    fn shown(found: &Found<'_>) -> Result<Option<Value>, &'static str> {
        match found {
            Found::Null => Ok(None),
            Found::Text(text) if text == "true" || text == "false" => Ok(Some(Value::from(text == "true"))),
            Found::Text(text) => Ok(Some(Value::from(text.as_ref()))),
            Found::Number(text) | Found::Nested(text) => Ok(Some(serde_json::from_str(text).unwrap())),
            Found::Bad(reason) => Err(reason),
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "key", "a.b", "\"", "\\", "é\n"]).prop_map(str::to_owned)
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..3_i64).prop_map(Value::from),
            key().prop_map(Value::from),
            "[\\[\\]{}:,\"\\\\ x\u{1F600}]{0,5}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key(), inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => key().prop_map(Step::Member),
            1 => (0..3_usize).prop_map(Step::Place),
            1 => (key(), prop_oneof![key(), "[0-2]"]).prop_map(|(key, text)| Step::Entry { key, text }),
        ]
    }

    proptest! {
        #[test]
        fn paths_find_what_a_parsed_value_has(
            value in value(),
            paths in prop::collection::vec(prop::collection::vec(step(), 0..4), 1..6),
            is_pretty in any::<bool>(),
        ) {
            let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut tree = Paths::default();
            paths.iter().enumerate().for_each(|(place, steps)| tree.add(steps, place));
            let mut found = vec![Found::Null; paths.len()];
            tree.find(&text, &mut found);
            for (steps, found) in paths.iter().zip(&found) {
                prop_assert_eq!(shown(found), expected(Some(&value), steps), "{:?} of {}", steps, text);
            }
        }

        #[test]
        fn elements_are_those_of_the_list(value in prop::collection::vec(value(), 0..5)) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let found: Vec<Value> = elements(&text).unwrap().map(|(at, element)| {
                assert!(text[at..].starts_with(element));
                serde_json::from_str(element).unwrap()
            }).collect();
            prop_assert_eq!(found, value);
        }
    }

    #[test]
    fn an_entry_of_events_is_found_and_the_last_of_equal_keys_counts() {
        let text =
            r#"{"params": [{"key": "page", "value": {"s": "/garden"}}, {"value": {"s": 5}, "key": "n"}], "d": {"c": 1}, "d": {"e": 2}}"#;
        let mut tree = Paths::default();
        for (place, path) in ["params[key=page].value.s", "params[key=n].value.s", "d.c", "d.e", "params[key=x].value.s"].iter().enumerate()
        {
            tree.add(&path.parse::<MemberPath>().unwrap().steps, place);
        }
        let mut found = vec![Found::Null; 5];
        tree.find(text, &mut found);
        assert_eq!(found, [Found::Text("/garden".into()), Found::Number("5"), Found::Null, Found::Number("2"), Found::Null]);
    }

    #[test]
    fn deep_values_take_no_stack() {
        let deep = format!("{{\"a\": {}{}, \"b\": 1}}", "[".repeat(400_000), "]".repeat(400_000));
        let mut tree = Paths::default();
        tree.add(&[Step::Member("b".to_owned())], 0);
        let mut found = vec![Found::Null];
        tree.find(&deep, &mut found);
        assert_eq!(found, [Found::Number("1")]);
    }
}
