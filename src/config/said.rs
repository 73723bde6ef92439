//! What a pipeline file says, however it is written: comments, layout, quotes and the order of names do not count.

use std::fmt::Write;
use std::rc::Rc;

use granit_parser::ScalarStyle;

use super::tree::{self, Content, Node};
use crate::sql;

/// Whether the text under some keys of the whole file, without numbers of items, is SQL: a rule, or a permission of a channel.
fn is_sql(keys: &[&str]) -> bool {
    matches!(keys, ["segments", _, "segments", "when" | "stay"] | ["segments", _, "permissions", _])
}

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
        tell(self.at(keys)?, &mut keys.to_vec(), &|below| is_left_out(&below[keys.len()..]), &mut text);
        Some(text)
    }

    fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter()
            .try_fold(self.0.as_ref(), |node, key| node.entries()?.iter().find(|entry| entry.key == *key).map(|entry| entry.value.as_ref()))
    }
}

/// Writes what a node under some keys of the whole file says. Each text comes with its length, so that none can be taken for the end of another.
fn tell<'n>(node: &'n Node, keys: &mut Vec<&'n str>, is_left_out: &dyn Fn(&[&str]) -> bool, into: &mut String) {
    match &node.content {
        Content::Scalar(text, style) => {
            let is_none = *style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
            let names_variable = text.contains("${");
            // What a variable stands for may be more than one part of a query.
            let text = if is_sql(keys) && !names_variable { sql::canonical(text) } else { text.clone() };
            // In quotes it stands for itself.
            let quoted = if names_variable && *style != ScalarStyle::Plain { "quoted " } else { "" };
            let _ = if is_none { write!(into, "none ") } else { write!(into, "{quoted}{}:{text} ", text.len()) };
        }
        Content::Sequence(items) => {
            into.push('[');
            for item in items {
                tell(item, keys, is_left_out, into);
            }
            into.push(']');
        }
        Content::Mapping(entries) => {
            into.push('{');
            for entry in entries {
                keys.push(&entry.key);
                if !is_left_out(keys) {
                    let _ = write!(into, "{}:{}=", entry.key.len(), entry.key);
                    tell(&entry.value, keys, is_left_out, into);
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
        Said::of(text)?.part(&["segments"], &|keys| keys.last() == Some(&"description"))
    }

    #[test]
    fn how_a_file_is_written_does_not_count() {
        let one = said("segments:\n  set:\n    kind: exclusive\n    segments:\n      - {name: a, when: \"x > 1\"}\n").unwrap();
        for same in [
            "segments: {set: {kind: 'exclusive', segments: [{name: \"a\", when: x   >  1}]}}",
            "# a comment\nsegments:\n  set:\n    description: other words\n    kind: exclusive # why\n    segments:\n    - name: a\n      when: >-\n        x >\n        1\n",
            "other: 1\nsegments:\n  set:\n    kind: &k exclusive\n    segments:\n      - name: a\n        when: X > 1 -- a comment\n",
        ] {
            assert_eq!(said(same).unwrap(), one, "{same}");
        }
        for other in [
            "segments: {set: {kind: partition, segments: [{name: a, when: x > 1}]}}",
            "segments: {set: {kind: exclusive, segments: [{name: a, when: x > 2}]}}",
            "segments: {set: {kind: exclusive, segments: [{name: a, when: 'x > ''1'''}]}}",
            "segments: {set: {kind: exclusive, segments: [{name: A, when: x > 1}]}}",
            "segments: {set: {kind: exclusive, segments: [{name: a, when: x > 1}, {name: b, when: x > 1}]}}",
            "segments: {set: {kind: exclusive, segments: [{name: a, when: '\"X\" > 1'}]}}",
        ] {
            assert_ne!(said(other).unwrap(), one, "{other}");
        }
        assert_ne!(said("segments: [null]"), said("segments: ['null']"));
        assert_ne!(said("segments: [a, b]"), said("segments: ['a b']"));
        assert_eq!(said("segments: ${NAME:-x}").unwrap(), "10:${NAME:-x} ");
        assert_ne!(said("segments: ${NAME}"), said("segments: '${NAME}'"), "in quotes it stands for itself");
        let rule = said("segments: {set: {segments: [{when: \"x > ${NAME:-1}\"}]}}").unwrap();
        assert!(rule.contains("x > ${NAME:-1}"), "{rule}");
    }

    #[test]
    fn only_rules_and_permissions_are_sql() {
        for (text, is_sql) in [
            ("segments: {set: {segments: [{stay: A -- b}]}}", true),
            ("segments: {set: {permissions: {email: A -- b}}}", true),
            ("segments: {stay: {description: A -- b}}", false),
            ("segments: {when: {segments: [{description: A -- b}]}}", false),
            ("sources: {when: {columns: {stay: {from: A -- b}, permissions: {pattern: A -- b}}}}", false),
        ] {
            let said = Said::of(text).unwrap().part(&[], &|_| false).unwrap();
            assert_eq!(said.contains("A -- b"), !is_sql, "{text}: {said}");
        }
    }
}
