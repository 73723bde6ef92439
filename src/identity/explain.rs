//! Why an identifier leads where it does: the customer as a tree of identifiers, and the ties that were not made.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::Resolution;
use chrono::NaiveDate;

use super::edges::{UNKNOWN, Verdict};
use super::intern::{BLOCKED, SHARED};

/// What is known of an identifier.
#[derive(Debug)]
pub struct Answer {
    /// The day that it is known as of.
    pub as_of: NaiveDate,
    /// A customer for every type that has the identifier; none when nobody has it.
    pub found: Vec<Explained>,
}

/// A customer, or an identifier that leads to none.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explained {
    /// The customer's id; none when the identifier leads to nobody.
    pub customer_id: Option<String>,
    /// The ids that it had before it became one with an older customer.
    pub aliases: Vec<String>,
    /// The identifier that names the customer, or the one asked for, with all that is tied to it.
    pub tree: Leaf,
    /// The ties of these identifiers that were not made.
    pub dropped: Vec<DroppedTie>,
}

/// An identifier in a tree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Leaf {
    /// Its type.
    pub identifier_type: String,
    /// Its value.
    pub identifier: String,
    /// Whether its value is personal data, to be masked unless asked for.
    pub personal: bool,
    /// Why it leads to nobody, if it does.
    pub set_aside: Option<&'static str>,
    /// What is tied to it.
    pub ties: Vec<Tie>,
}

/// A tie from an identifier to the next.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tie {
    /// Where it was seen.
    pub source: String,
    /// When it was first seen, in microseconds since 1970; none when that is not known.
    pub first_seen: Option<i64>,
    /// When it was last seen.
    pub last_seen: Option<i64>,
    /// The other identifier.
    pub to: Leaf,
}

/// A tie that was not made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct DroppedTie {
    /// One identifier: type, value, whether it is personal.
    pub one: (String, String, bool),
    /// The other.
    pub other: (String, String, bool),
    /// Where it was seen.
    pub source: String,
    /// When it was first seen, in microseconds since 1970.
    pub first_seen: Option<i64>,
    /// When it was last seen.
    pub last_seen: Option<i64>,
    /// The reason in a word, as `identity_conflicts` has it.
    pub reason: &'static str,
    /// The reason in a sentence.
    pub explanation: String,
}

/// The ties between two identifiers, by source: when they were first and last seen.
type Between = BTreeMap<String, (i64, i64)>;

impl Resolution {
    /// Explains an identifier, of a type or of any. An identifier that is not there gives nothing.
    pub fn explain(&self, identifier_type: Option<&str>, identifier: &str) -> Vec<Explained> {
        let kind = identifier_type.map(|name| self.rules.type_of(name));
        if kind == Some(None) {
            return Vec::new();
        }
        let mut asked = self.nodes.find(kind.flatten(), identifier);
        asked.sort_by_key(|node| self.nodes.kind(*node));
        let mut seen = BTreeSet::new();
        asked.into_iter().filter(|&node| seen.insert(self.root(node))).map(|node| self.explain_node(node)).collect()
    }

    fn explain_node(&self, asked: u32) -> Explained {
        let root = self.root(asked);
        let mut between: HashMap<u32, BTreeMap<(u8, &str, u32), Between>> = HashMap::new();
        let mut dropped = BTreeSet::new();
        for (number, chunk) in self.chunks.iter().enumerate() {
            for (at, &ends) in chunk.ends.iter().enumerate() {
                let inside = ends.map(|node| self.root(node) == root);
                let source = &self.sources[usize::from(chunk.sources[at])];
                if chunk.verdicts[at] != Verdict::Ties {
                    if inside[0] || inside[1] {
                        let [one, other] = self.in_order(ends).map(|node| self.told_as(node));
                        let [first_seen, last_seen] = [chunk.first[at], chunk.last[at]].map(known);
                        let reason = chunk.verdicts[at].reason();
                        let explanation = self.why(number, at);
                        dropped.insert(DroppedTie { one, other, source: source.clone(), first_seen, last_seen, reason, explanation });
                    }
                } else if inside[0] {
                    for (from, to) in [(ends[0], ends[1]), (ends[1], ends[0])] {
                        let key = (self.nodes.kind(to), self.nodes.text(to), to);
                        let seen = between.entry(from).or_default().entry(key).or_default();
                        let dates = seen.entry(source.clone()).or_insert((chunk.first[at], chunk.last[at]));
                        *dates = (dates.0.min(chunk.first[at]), dates.1.max(chunk.last[at]));
                    }
                }
            }
        }
        let name = self.name_of(asked);
        let mut aliases: Vec<String> =
            self.aliases.iter().filter(|alias| self.root(alias.node) == root).map(|alias| self.id(alias.node)).collect();
        aliases.sort();
        Explained {
            customer_id: name.map(|name| self.id(name)),
            aliases,
            tree: self.tree(name.unwrap_or(asked), &between),
            dropped: dropped.into_iter().collect(),
        }
    }

    /// The tree of shortest ways from an identifier, the ties of each in order of type and value.
    fn tree(&self, top: u32, between: &HashMap<u32, BTreeMap<(u8, &str, u32), Between>>) -> Leaf {
        let mut below: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut order = vec![top];
        let mut waiting = VecDeque::from([top]);
        let mut seen = BTreeSet::from([top]);
        while let Some(from) = waiting.pop_front() {
            for (_, _, to) in between.get(&from).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(*to) {
                    below.entry(from).or_default().push(*to);
                    order.push(*to);
                    waiting.push_back(*to);
                }
            }
        }
        // From the ends inwards, so that a long chain is no deep recursion.
        let mut leaves: HashMap<u32, Leaf> = HashMap::new();
        for node in order.into_iter().rev() {
            let mut leaf = self.leaf(node);
            for to in below.remove(&node).unwrap_or_default() {
                let Some(child) = leaves.remove(&to) else { continue };
                let key = (self.nodes.kind(to), self.nodes.text(to), to);
                let dates = between.get(&node).and_then(|ties| ties.get(&key)).and_then(BTreeMap::first_key_value);
                if let Some((source, (first, last))) = dates {
                    leaf.ties.push(Tie { source: source.clone(), first_seen: known(*first), last_seen: known(*last), to: child });
                }
            }
            leaves.insert(node, leaf);
        }
        leaves.remove(&top).unwrap_or_else(|| self.leaf(top))
    }

    fn leaf(&self, node: u32) -> Leaf {
        let (identifier_type, identifier, personal) = self.told_as(node);
        let flags = [(BLOCKED, "stands for nobody: it is on the block list"), (SHARED, "is shared by too many customers")];
        let set_aside = flags.into_iter().find(|(flag, _)| self.nodes.is(node, *flag)).map(|(_, why)| why);
        Leaf { identifier_type, identifier, personal, set_aside, ties: Vec::new() }
    }

    fn told_as(&self, node: u32) -> (String, String, bool) {
        let rule = self.rules.rule(self.nodes.kind(node));
        (rule.name.clone(), self.nodes.text(node).to_owned(), rule.personal)
    }
}

fn known(time: i64) -> Option<i64> {
    (time != UNKNOWN).then_some(time)
}
