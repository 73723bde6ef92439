//! Paths into nested values, such as `device.category` and `event_params[key=page_location].value.string_value`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The most steps of a path, so that what follows one needs little of the stack.
pub const MAX_STEPS: usize = 32;

/// A way from a value to one that lies in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberPath {
    /// Its steps, the outermost first.
    pub steps: Vec<Step>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of this name: `.category`.
    Member(String),
    /// The element at this place of a list, from 0: `[0]`.
    Place(usize),
    /// The element of a list of records whose member has this text: `[key=page_location]`.
    Entry {
        /// The member that tells elements apart.
        key: String,
        /// What it has.
        text: String,
    },
    /// The place of an element in its list, from 0: `[#]`.
    Number,
}

/// What is wrong with a text that is no path, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPath {
    /// What should be there.
    pub why: &'static str,
    /// The part at fault, in bytes.
    pub part: Range<usize>,
}

impl MemberPath {
    /// Reads the path of a JSON text within a value: as any other, and `$` for the whole, which may stand before it (`$.a`, `$[0]`).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_json(text: &str) -> Result<Self, NoPath> {
        match text.strip_prefix('$') {
            Some("") => Ok(MemberPath::default()),
            Some(rest) if rest.starts_with(['.', '[']) => Reader { text, at: 1, steps: Vec::new() }.steps(),
            _ => text.parse(),
        }
    }

    /// What is left of a path behind another that it begins with.
    pub fn behind(&self, other: &MemberPath) -> Option<MemberPath> {
        let rest = self.steps.strip_prefix(other.steps.as_slice())?;
        // A step to a certain element begins at the list, not at each element of it.
        let begins_at_element = matches!(rest.first(), None | Some(Step::Member(_) | Step::Number));
        begins_at_element.then(|| MemberPath { steps: rest.to_vec() })
    }

    /// The name of the column that it begins in.
    pub fn root(&self) -> Option<&str> {
        match self.steps.first()? {
            Step::Member(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it is more than a name.
    pub fn is_deep(&self) -> bool {
        self.steps.len() > 1
    }

    /// Whether a text that is no path was meant as one, and not as a name that has a bracket or a full stop, as `Amount [EUR]` and `No.`
    /// have.
    pub fn is_meant(text: &str) -> bool {
        let glued = |(at, _): (usize, &str)| text[..at].ends_with(|before: char| !before.is_whitespace() && before != '.');
        let opens = text.match_indices('[').any(|found| glued(found) && is_selector(&text[found.0 + 1..]));
        let has_gap = !text.contains(char::is_whitespace) && text.trim_end_matches('.').contains("..");
        opens || has_gap
    }
}

/// Whether what follows a bracket can be nothing but a step: it never closes, has `=`, is a number, or goes on behind the closing one.
fn is_selector(rest: &str) -> bool {
    match rest.split_once(']') {
        None => true,
        Some((inner, after)) => {
            let is_number = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit());
            inner.contains('=') || is_number || inner == "#" || after.starts_with(['.', '['])
        }
    }
}

impl FromStr for MemberPath {
    type Err = NoPath;

    fn from_str(text: &str) -> Result<Self, NoPath> {
        let mut reader = Reader { text, at: 0, steps: Vec::new() };
        let name = reader.name(&['.', '[', ']'])?;
        reader.steps.push(Step::Member(name));
        reader.steps()
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    steps: Vec<Step>,
}

impl Reader<'_> {
    fn steps(mut self) -> Result<MemberPath, NoPath> {
        while let Some(next) = self.text[self.at..].chars().next() {
            if self.steps.len() == MAX_STEPS {
                return Err(self.wrong("has more steps than a path may have", self.at..self.text.len()));
            }
            if let Some(Step::Number) = self.steps.last() {
                return Err(self.wrong("`[#]` is a number, in which nothing lies", self.at..self.text.len()));
            }
            self.at += next.len_utf8();
            let step = match next {
                '.' => Step::Member(self.name(&['.', '[', ']'])?),
                '[' => self.selector()?,
                _ => return Err(self.wrong("should be `.` or `[`", self.at - next.len_utf8()..self.at)),
            };
            self.steps.push(step);
        }
        Ok(MemberPath { steps: self.steps })
    }

    /// What stands between brackets, of which the first has been read.
    fn selector(&mut self) -> Result<Step, NoPath> {
        let open = self.at - 1;
        let rest = &self.text[self.at..];
        let Some(close) = rest.find(']').map(|end| self.at + end).filter(|_| !rest.starts_with(']')) else {
            return Err(self.wrong(if rest.starts_with(']') { EMPTY } else { UNCLOSED }, open..self.text.len().min(open + 1)));
        };
        let inner = &self.text[self.at..close];
        if inner == "#" {
            self.at = close + 1;
            return Ok(Step::Number);
        }
        if inner.bytes().all(|byte| byte.is_ascii_digit()) {
            let place = inner.parse().ok().filter(|place| u32::try_from(*place).is_ok());
            let place = place.ok_or_else(|| self.wrong("is more than any list has", open..close + 1))?;
            self.at = close + 1;
            return Ok(Step::Place(place));
        }
        if !inner.contains('=') && !inner.starts_with('"') {
            return Err(self.wrong("should be a place such as `[0]`, an entry such as `[key=page_location]`, or `[#]`", open..close + 1));
        }
        let key = self.name(&['=', ']'])?;
        self.expect('=')?;
        let text = self.name(&[']'])?;
        self.expect(']')?;
        Ok(Step::Entry { key, text })
    }

    fn expect(&mut self, wanted: char) -> Result<(), NoPath> {
        if self.text[self.at..].starts_with(wanted) {
            self.at += wanted.len_utf8();
            return Ok(());
        }
        let why = if wanted == '=' { "should be `=` and a text" } else { UNCLOSED };
        Err(self.wrong(why, self.at..self.text.len()))
    }

    /// A name up to one of some characters; or any text, in the quotes of JSON.
    fn name(&mut self, ends: &[char]) -> Result<String, NoPath> {
        let rest = &self.text[self.at..];
        let begin = self.at;
        if rest.starts_with('"') {
            let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let Some(Ok(name)) = texts.next() else { return Err(self.wrong("is no text in quotes", begin..self.text.len())) };
            self.at += texts.byte_offset();
            return Ok(name);
        }
        let length = rest.find(ends).unwrap_or(rest.len());
        if length == 0 {
            let end = (begin + 1).min(self.text.len());
            return Err(self.wrong("should be a name", begin.saturating_sub(1)..end));
        }
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    fn wrong(&self, why: &'static str, part: Range<usize>) -> NoPath {
        // Characters are not cut.
        let start = (0..=part.start).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0);
        let end = (part.end..=self.text.len()).find(|&at| self.text.is_char_boundary(at)).unwrap_or(self.text.len());
        NoPath { why, part: start..end }
    }
}

const UNCLOSED: &str = "has no `]`";
const EMPTY: &str = "is empty";

/// As it would be written.
impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Member(name) => {
                    f.write_str(if at == 0 { "" } else { "." })?;
                    f.write_str(&quoted(name, &['.', '[', ']']))?;
                }
                Step::Place(place) => write!(f, "[{place}]")?,
                Step::Entry { key, text } => write!(f, "[{}={}]", quoted(key, &['=', ']', '#']), quoted(text, &[']']))?,
                Step::Number => f.write_str("[#]")?,
            }
        }
        Ok(())
    }
}

fn quoted(name: &str, special: &[char]) -> String {
    if name.is_empty() || name.starts_with('"') || name.contains(special) {
        serde_json::Value::from(name).to_string()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(name: &str) -> Step {
        Step::Member(name.to_owned())
    }

    #[test]
    fn paths_are_read() {
        let entry = Step::Entry { key: "key".to_owned(), text: "page_location".to_owned() };
        for (text, steps) in [
            ("device.category", vec![member("device"), member("category")]),
            (
                "event_params[key=page_location].value.string_value",
                vec![member("event_params"), entry, member("value"), member("string_value")],
            ),
            ("items[0].sku", vec![member("items"), Step::Place(0), member("sku")]),
            ("items[#]", vec![member("items"), Step::Number]),
            (r#""a.b"."c[0]""#, vec![member("a.b"), member("c[0]")]),
            (r#"a[k="x]"]"#, vec![member("a"), Step::Entry { key: "k".to_owned(), text: "x]".to_owned() }]),
        ] {
            assert_eq!(text.parse::<MemberPath>().unwrap().steps, steps, "{text}");
        }
        assert_eq!(MemberPath::of_json("$").unwrap().steps, []);
        assert_eq!(MemberPath::of_json("$[1].a").unwrap().steps, [Step::Place(1), member("a")]);
        assert_eq!(MemberPath::of_json("$.a.b"), MemberPath::of_json("a.b"));
    }

    #[test]
    fn what_is_no_path_is_told_with_its_place() {
        for (text, part) in [
            ("a..b", 1..3),
            ("a[key=x", 1..2),
            ("a[]", 1..2),
            ("a[x].b", 1..4),
            ("items[#].x", 8..10),
            ("a[0]b", 4..5),
            ("a[99999999999]", 1..14),
        ] {
            assert_eq!(text.parse::<MemberPath>().unwrap_err().part, part, "{text}");
        }
        let deep = vec!["a"; MAX_STEPS + 1].join(".");
        assert!(deep.parse::<MemberPath>().is_err());
    }

    #[test]
    fn names_with_brackets_and_full_stops_are_names() {
        for name in ["Amount [EUR]", "No.", "St. Name", "x]", "Preis[EUR]", "a.", "Ref. [1=a]", ".."] {
            assert!(!MemberPath::is_meant(name), "{name}");
        }
        for path in ["a..b", "a[key=x", "items[x].sku", "a[0]b", "a[k=v]b"] {
            assert!(MemberPath::is_meant(path), "{path}");
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = "[a-zß.=\\[\\]#\" \\\\]{0,5}";
        prop_oneof![
            name.prop_map(Step::Member),
            (0..100_usize).prop_map(Step::Place),
            ("[a-z.\\[ ]{1,4}", "[a-zß=.# ]{1,6}").prop_map(|(key, text)| Step::Entry { key, text }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(root in "[a-z.\"\\[]{1,4}", steps in prop::collection::vec(step(), 0..6)) {
            let path = MemberPath { steps: std::iter::once(Step::Member(root)).chain(steps).collect() };
            prop_assert_eq!(path.to_string().parse::<MemberPath>(), Ok(path));
        }

        #[test]
        fn any_text_is_a_path_or_none(text in "[a.\\[\\]=#0\"é\\\\]{0,12}") {
            if let Err(wrong) = text.parse::<MemberPath>() {
                prop_assert!(text.get(wrong.part).is_some());
            }
            let _ = MemberPath::of_json(&text);
            let _ = MemberPath::is_meant(&text);
        }
    }
}
