//! What a pipeline file says, however it is written: comments, layout, quotes and the order of names do not count.

use std::fmt::Write;
use std::rc::Rc;

use granit_parser::ScalarStyle;

use super::tree::{self, Content, Node};
use crate::sql;

/// The keys whose texts are SQL.
const SQL_KEYS: [&str; 2] = ["when", "stay"];

/// The key under which every text is SQL.
const PERMISSIONS: &str = "permissions";

/// What a pipeline file says, part by part.
#[derive(Debug)]
pub struct Said(Rc<Node>);

impl Said {
    /// What a text says; none for one that is no YAML.
    pub fn of(text: &str) -> Option<Self> {
        tree::read(text).ok().flatten().map(Said)
    }

    /// The names under some keys, in their order.
    pub fn names(&self, keys: &[&str]) -> Vec<String> {
        let entries = self.at(keys).and_then(Node::entries).unwrap_or_default();
        entries.iter().map(|entry| entry.key.clone()).collect()
    }

    /// What is said under some keys, without entries that are left out by the keys down to them, counted from there. Variables of the
    /// environment stand in it by their names.
    pub fn part(&self, keys: &[&str], is_left_out: &dyn Fn(&[&str]) -> bool) -> Option<String> {
        let mut text = String::new();
        tell(self.at(keys)?, &mut Vec::new(), keys.last() == Some(&PERMISSIONS), is_left_out, &mut text);
        Some(text)
    }

    fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter()
            .try_fold(self.0.as_ref(), |node, key| node.entries()?.iter().find(|entry| entry.key == *key).map(|entry| entry.value.as_ref()))
    }
}

/// Writes what a node says. Each text comes with its length, so that none can be taken for the end of another.
fn tell<'n>(node: &'n Node, keys: &mut Vec<&'n str>, is_sql: bool, is_left_out: &dyn Fn(&[&str]) -> bool, into: &mut String) {
    match &node.content {
        Content::Scalar(text, style) => {
            let is_none = *style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
            // What a variable stands for may be more than one part of a query.
            let text = if is_sql && !text.contains("${") { sql::canonical(text) } else { text.clone() };
            let _ = if is_none { write!(into, "none ") } else { write!(into, "{}:{text} ", text.len()) };
        }
        Content::Sequence(items) => {
            into.push('[');
            for item in items {
                tell(item, keys, is_sql, is_left_out, into);
            }
            into.push(']');
        }
        Content::Mapping(entries) => {
            into.push('{');
            for entry in entries {
                keys.push(&entry.key);
                if !is_left_out(keys) {
                    let _ = write!(into, "{}:{}=", entry.key.len(), entry.key);
                    let is_sql = is_sql || entry.key == PERMISSIONS || SQL_KEYS.contains(&entry.key.as_str());
                    tell(&entry.value, keys, is_sql, is_left_out, into);
                }
                keys.pop();
            }
            into.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<String> {
        Said::of(text)?.part(&["set"], &|keys| keys.last() == Some(&"description"))
    }

    #[test]
    fn how_a_file_is_written_does_not_count() {
        let one = said("set:\n  kind: exclusive\n  segments:\n    - {name: a, when: \"x > 1\"}\n").unwrap();
        for same in [
            "set: {kind: 'exclusive', segments: [{name: \"a\", when: x   >  1}]}",
            "# a comment\nset:\n  description: other words\n  kind: exclusive # why\n  segments:\n  - name: a\n    when: >-\n      x >\n      1\n",
            "other: 1\nset:\n  kind: &k exclusive\n  segments:\n    - name: a\n      when: X > 1 -- a comment\n",
        ] {
            assert_eq!(said(same).unwrap(), one, "{same}");
        }
        for other in [
            "set: {kind: partition, segments: [{name: a, when: x > 1}]}",
            "set: {kind: exclusive, segments: [{name: a, when: x > 2}]}",
            "set: {kind: exclusive, segments: [{name: a, when: 'x > ''1'''}]}",
            "set: {kind: exclusive, segments: [{name: A, when: x > 1}]}",
            "set: {kind: exclusive, segments: [{name: a, when: x > 1}, {name: b, when: x > 1}]}",
            "set: {kind: exclusive, segments: [{name: a, when: '\"X\" > 1'}]}",
        ] {
            assert_ne!(said(other).unwrap(), one, "{other}");
        }
        assert_ne!(said("set: [null]"), said("set: ['null']"));
        assert_ne!(said("set: [a, b]"), said("set: ['a b']"));
        assert_eq!(said("set: ${NAME:-x}").unwrap(), "10:${NAME:-x} ");
        assert!(said("set: {when: \"x > ${NAME:-1}\"}").unwrap().contains("${NAME:-1}"));
    }
}
