//! The id that an identifier gives to the customer it names, when no earlier publication has named that customer.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::intern::{BLOCKED, NOBODY, Nodes, SHARED};
use super::rules::Rules;
use crate::config::Standalone;
use crate::functions;

/// What stands between a type and a value.
const COLON: char = ':';
/// What stands before the number of an id that somebody else had before.
const TURN: char = '~';

/// What decides between identifiers which one names the customer: one that is standalone only until the customer is known comes
/// last; of the others the one seen first, then the type declared first, then the text.
pub(super) fn by_age(rules: &Rules, nodes: &Nodes, one: u32, other: u32) -> Ordering {
    let age = |node: u32| (rules.gives_way(nodes.kind(node)), nodes.first_seen(node), nodes.kind(node));
    // Texts lie apart from the rest, and seldom matter.
    age(one).cmp(&age(other)).then_with(|| nodes.text(one).cmp(nodes.text(other)))
}

/// Whether an identifier may name a customer.
pub(super) fn may_name(rules: &Rules, nodes: &Nodes, node: u32) -> bool {
    rules.rule(nodes.kind(node)).standalone != Standalone::No && !nodes.is(node, BLOCKED | SHARED)
}

/// The identifier that names each set, by root; [`NOBODY`] for a set that is no customer.
pub(super) fn names(rules: &Rules, nodes: &Nodes, roots: &[u32], threads: usize) -> Vec<u32> {
    let names: Vec<AtomicU32> = (0..nodes.count()).map(|_| AtomicU32::new(NOBODY)).collect();
    nodes.parts(threads, |part| {
        for node in part.filter(|&node| may_name(rules, nodes, node)) {
            let older = |name: u32| (name == NOBODY || by_age(rules, nodes, node, name).is_lt()).then_some(node);
            // Fails when the set has an older name already.
            let _ = names[roots[node as usize] as usize].fetch_update(Relaxed, Relaxed, older);
        }
    });
    names.into_iter().map(AtomicU32::into_inner).collect()
}

/// The id that an identifier gives: its own text when it is of the first type and not personal, else its type and the text or, of a
/// personal one, a hash.
///
/// No two identifiers give the same one, since names of types have no colon: a text of the first type that looks like another type's id gets
/// its own type before it, and one that ends like an id of [`turn_of`] gets `~1` behind it.
pub(super) fn id_of<'a>(rules: &Rules, kind: u8, text: &'a str) -> Cow<'a, str> {
    let rule = rules.rule(kind);
    if rule.personal {
        return functions::hashed_identifier(&rule.name, &rules.salt, text).into();
    }
    if kind == 0 && memchr::memchr2(b':', b'~', text.as_bytes()).is_none() {
        return text.into();
    }
    let begins_as_an_id = || text.split_once(COLON).is_some_and(|(prefix, _)| rules.type_of(prefix).is_some());
    let turn = if ends_in_a_turn(text) { "~1" } else { "" };
    if kind != 0 || begins_as_an_id() {
        format!("{}{COLON}{text}{turn}", rule.name).into()
    } else if turn.is_empty() {
        text.into()
    } else {
        format!("{text}{turn}").into()
    }
}

/// What stands for a personal value in ids.
pub(super) fn hidden(rules: &Rules, text: &str) -> String {
    functions::identifier_hash(&rules.salt, text)
}

/// The id of the second, third, … customer whom one identifier names, since the first keeps the id that it gave.
pub(super) fn turn_of(id: &str, turn: usize) -> String {
    format!("{id}{TURN}{turn}")
}

fn ends_in_a_turn(text: &str) -> bool {
    let turn = text.rsplit_once(TURN).map(|(_, turn)| turn);
    turn.is_some_and(|turn| !turn.is_empty() && turn.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether an id of a type shows a personal value, because the type was not personal when it was made.
pub(super) fn exposes(rules: &Rules, kind: u8, id: &str) -> bool {
    let hash = id.strip_prefix(rules.rule(kind).name.as_str()).and_then(|rest| rest.strip_prefix(COLON));
    let hash = hash.map(|hash| hash.split_once(TURN).map_or(hash, |(hash, _)| hash));
    let is_hash = hash.is_some_and(|hash| hash.len() == functions::HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    rules.rule(kind).personal && !is_hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::rules::TypeRule;
    use super::*;

    #[test]
    fn no_two_identifiers_give_one_id() {
        let rule = |name: &str, personal| TypeRule { name: name.to_owned(), personal, ..TypeRule::default() };
        for first_is_personal in [false, true] {
            let types = vec![rule("record", first_is_personal), rule("email", true), rule("visitor", false)];
            let rules = Rules { types, ..Rules::default() };
            let parts = ["", "a", "record", "email", "visitor", ":", "~", "~1", "~2", "~2~1", "1", &hidden(&rules, "a")];
            let mut texts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            for _ in 0..2 {
                texts = texts.iter().flat_map(|text| parts.iter().map(move |part| format!("{text}{part}"))).collect();
                texts.sort();
                texts.dedup();
            }
            let mut given: BTreeMap<String, (u8, &str)> = BTreeMap::new();
            for (kind, text) in (0..3).flat_map(|kind| texts.iter().map(move |text| (kind, text))) {
                let id = id_of(&rules, kind, text).into_owned();
                assert!(!exposes(&rules, kind, &id), "{id}");
                // Nor is it one that somebody gets after another.
                for id in [id.clone(), turn_of(&id, 2), turn_of(&id, 12)] {
                    let before = given.insert(id.clone(), (kind, text));
                    assert_eq!(before, None, "{id} is given by {kind} {text} too");
                }
            }
        }
        let rules = Rules { types: vec![rule("record", false), rule("email", true)], ..Rules::default() };
        assert_eq!(id_of(&rules, 0, "17451"), "17451");
        assert_eq!(id_of(&rules, 0, "crm:17451"), "crm:17451");
        assert_eq!(id_of(&rules, 0, "email:17451"), "record:email:17451");
        assert_eq!(id_of(&rules, 1, "ann"), "email:49915e0d7d4b402e3017");
        assert!(exposes(&rules, 1, "email:ann@mail.example") && exposes(&rules, 1, "17451") && !exposes(&rules, 0, "17451"));
    }
}
