//! Why an identifier leads where it does: what edges link it to, the nearest first, and the edges that were set aside.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;

use chrono::NaiveDate;

use super::edges::{UNKNOWN, Verdict};
use super::ids;
use super::intern::{BLOCKED, NOBODY, SHARED};
use super::resolution::Resolution;

/// What is known of what was asked for.
#[derive(Debug)]
pub struct Answer {
    /// The day that it is known as of.
    pub as_of: NaiveDate,
    /// The day of the publication that ids are kept from, if there is one.
    pub ids_from: Option<NaiveDate>,
    /// What somebody should know of these ids.
    pub warnings: Vec<String>,
    /// Where nobody has what was asked for: the last day that it was published as an id, if it ever was.
    pub last_published_on: Option<NaiveDate>,
    /// A customer for every type that has the identifier; none when nobody has it.
    pub found: Vec<Explained>,
}

/// A customer, or an identifier that leads to none.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explained {
    /// The customer's id; none when the identifier leads to nobody.
    pub customer_id: Option<String>,
    /// Whether the customer had this id in the publication that ids are kept from.
    pub id_is_kept: bool,
    /// The ids that were published before they became one with this customer.
    pub aliases: Vec<String>,
    /// How many more there are.
    pub aliases_left_out: usize,
    /// The identifier asked for, or that names the customer asked for, and what it is linked to: first the shortest way to the
    /// identifier that names the customer, then the nearest others, each after the one that it is linked to.
    pub identifiers: Vec<Linked>,
    /// How many more identifiers the customer has.
    pub identifiers_left_out: usize,
    /// The edges of the customer's identifiers that were set aside, those of the first identifier first.
    pub edges_set_aside: Vec<EdgeSetAside>,
    /// How many more there are.
    pub edges_set_aside_left_out: usize,
}

/// An identifier as it is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Told {
    /// Its type.
    pub identifier_type: String,
    /// Its value.
    pub identifier: String,
    /// Whether its value is personal data, to be masked unless asked for.
    pub personal: bool,
    /// What stands for a personal value in ids and in `identity_conflicts`.
    pub hash: String,
}

/// An identifier of a customer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Linked {
    /// The identifier.
    pub told: Told,
    /// Why it leads to nobody, if it does.
    pub set_aside: Option<&'static str>,
    /// The position, in the same list, of the identifier that it is linked to; none for the first.
    pub linked_to: Option<usize>,
    /// When and where it was seen with that one, in the order of time.
    pub seen: Vec<Sighting>,
}

/// When and where two identifiers were seen together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Sighting {
    /// When they first were, in microseconds since 1970; none when that is not known.
    pub first_seen: Option<i64>,
    /// When they last were.
    pub last_seen: Option<i64>,
    /// The source that told; none for one that the project does not name.
    pub source: Option<String>,
}

/// An edge that does not count, for whatever reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct EdgeSetAside {
    /// One identifier.
    pub one: Told,
    /// The other.
    pub other: Told,
    /// When and where they were seen together.
    pub seen: Sighting,
    /// The reason in a word, as `identity_conflicts` has it.
    pub reason: &'static str,
    /// The reason in a sentence.
    pub explanation: String,
}

/// The edges among a customer's identifiers, from each end: the other end, and where the edge is.
struct Edges {
    ends: Vec<(u32, u32, (usize, usize))>,
    of: HashMap<u32, Range<usize>>,
}

impl Edges {
    fn of(&self, node: u32) -> &[(u32, u32, (usize, usize))] {
        self.of.get(&node).map_or(&[], |range| &self.ends[range.clone()])
    }
}

impl Resolution {
    /// Explains an identifier, of a type or of any, with so many edges at most. One that is not there, or of no declared type, gives nothing.
    pub fn explain(&self, identifier_type: Option<&str>, identifier: &str, most: usize) -> Vec<Explained> {
        let kind = identifier_type.map(|name| self.rules.type_of(name));
        if kind == Some(None) {
            return Vec::new();
        }
        let mut asked = self.nodes.find(kind.flatten(), identifier);
        asked.sort_by_key(|node| self.nodes.kind(*node));
        let mut seen = BTreeSet::new();
        asked.into_iter().filter(|&node| seen.insert(self.root(node))).map(|node| self.explain_node(node, most)).collect()
    }

    /// Explains a customer, given its id or one that has become an alias of it.
    pub fn explain_customer(&self, id: &str, most: usize) -> Option<Explained> {
        let alias = self.aliases.iter().find(|alias| alias.alias == id && alias.is_living);
        let id = alias.map_or(id, |alias| alias.customer.as_str());
        let root = self.customers().find(|root| self.id(*root) == id)?;
        Some(self.explain_node(self.names[root as usize], most))
    }

    /// The last day that an id was published of which nothing is left.
    pub fn last_published_on(&self, id: &str) -> Option<NaiveDate> {
        let before = self.before.as_ref()?;
        let gone = |id: &str| before.find(id).filter(|at| self.led_to[*at as usize] == NOBODY).and_then(|at| before.last_published_on(at));
        gone(id).or_else(|| self.aliases.iter().find(|alias| alias.alias == id).and_then(|alias| gone(&alias.customer)))
    }

    fn explain_node(&self, asked: u32, most: usize) -> Explained {
        let root = self.root(asked);
        let (edges, aside) = self.edges_of(root);
        let customer = self.customer_of(asked);
        let (identifiers, all) = self.nearest(asked, customer.map(|root| self.names[root as usize]), &edges, most);
        let mut edges_set_aside: Vec<(bool, EdgeSetAside)> =
            aside.iter().map(|place| (!self.chunks[place.0].ends[place.1].contains(&asked), self.set_aside(*place))).collect();
        edges_set_aside.sort();
        edges_set_aside.dedup();
        let edges_set_aside_left_out = edges_set_aside.len().saturating_sub(most);
        edges_set_aside.truncate(most);
        let id = customer.map(|root| self.id(root).into_owned());
        let aliases = self.aliases.iter().filter(|alias| alias.is_living && Some(&alias.customer) == id.as_ref());
        let mut aliases: Vec<String> = aliases.map(|alias| alias.alias.clone()).collect();
        let aliases_left_out = aliases.len().saturating_sub(most);
        aliases.truncate(most);
        Explained {
            id_is_kept: customer.is_some_and(|root| {
                let own = self.own.get(root as usize).filter(|own| **own != NOBODY);
                own.zip(self.before.as_ref()).is_some_and(|(own, before)| before.was_published(*own))
            }),
            aliases,
            aliases_left_out,
            customer_id: id,
            identifiers_left_out: all - identifiers.len(),
            identifiers,
            edges_set_aside: edges_set_aside.into_iter().map(|(_, edge)| edge).collect(),
            edges_set_aside_left_out,
        }
    }

    /// The edges among the identifiers of a set, and the places of those set aside with one of them.
    fn edges_of(&self, root: u32) -> (Edges, Vec<(usize, usize)>) {
        let (mut ends, mut aside) = (Vec::new(), Vec::new());
        for (number, chunk) in self.chunks.iter().enumerate() {
            for (at, &[one, other]) in chunk.ends.iter().enumerate() {
                let inside = [one, other].map(|node| self.root(node) == root);
                if chunk.verdicts[at] != Verdict::Joins {
                    if inside[0] || inside[1] {
                        aside.push((number, at));
                    }
                } else if inside[0] {
                    ends.extend([(one, other, (number, at)), (other, one, (number, at))]);
                }
            }
        }
        ends.sort_by(|one, other| {
            let key = |edge: &(u32, u32, (usize, usize))| (edge.0, self.nodes.kind(edge.1), self.nodes.text(edge.1));
            key(one).cmp(&key(other))
        });
        let mut of = HashMap::new();
        let mut start = 0;
        for edges in ends.chunk_by(|one, other| one.0 == other.0) {
            of.insert(edges[0].0, start..start + edges.len());
            start += edges.len();
        }
        (Edges { ends, of }, aside)
    }

    /// An identifier and the nearest ones to it, those on the shortest way to another first, and how many there are in all.
    fn nearest(&self, top: u32, towards: Option<u32>, edges: &Edges, most: usize) -> (Vec<Linked>, usize) {
        let mut before: HashMap<u32, u32> = HashMap::from([(top, top)]);
        let (mut order, mut waiting) = (vec![top], VecDeque::from([top]));
        while let Some(from) = waiting.pop_front() {
            for &(_, to, _) in edges.of(from) {
                if let std::collections::hash_map::Entry::Vacant(entry) = before.entry(to) {
                    entry.insert(from);
                    order.push(to);
                    waiting.push_back(to);
                }
            }
        }
        let mut way: Vec<u32> = Vec::new();
        let mut at = towards.filter(|node| before.contains_key(node)).unwrap_or(top);
        while at != top {
            way.push(at);
            at = before[&at];
        }
        way.push(top);
        way.reverse();
        way.truncate(most.max(1));
        let mut wanted: BTreeSet<u32> = way.iter().copied().collect();
        let mut listed = way;
        for &node in &order {
            if listed.len() < most.max(1) && wanted.insert(node) {
                listed.push(node);
            }
        }
        let positions: HashMap<u32, usize> = listed.iter().copied().zip(0..).collect();
        let linked = |&node: &u32| {
            let from = before[&node];
            let seen: BTreeSet<Sighting> = if node == top {
                BTreeSet::new()
            } else {
                edges.of(from).iter().filter(|(_, to, _)| *to == node).map(|(.., place)| self.sighting(*place)).collect()
            };
            let flags = [(BLOCKED, "stands for nobody: it is on the block list"), (SHARED, "is shared by too many customers")];
            let set_aside = flags.into_iter().find(|(flag, _)| self.nodes.is(node, *flag)).map(|(_, why)| why);
            let linked_to = (node != top).then(|| positions.get(&from).copied()).flatten();
            Linked { told: self.told_as(node), set_aside, linked_to, seen: seen.into_iter().collect() }
        };
        (listed.iter().map(linked).collect(), order.len())
    }

    fn sighting(&self, (chunk, at): (usize, usize)) -> Sighting {
        let chunk = &self.chunks[chunk];
        let known = |time: i64| (time != UNKNOWN).then_some(time);
        let source = &self.sources[usize::from(chunk.sources[at])];
        Sighting {
            first_seen: known(chunk.first[at]),
            last_seen: known(chunk.last[at]),
            source: self.rules.names_source(source).then(|| source.clone()),
        }
    }

    fn set_aside(&self, place: (usize, usize)) -> EdgeSetAside {
        let chunk = &self.chunks[place.0];
        let [one, other] = self.in_order(chunk.ends[place.1]).map(|node| self.told_as(node));
        let reason = chunk.verdicts[place.1].reason();
        EdgeSetAside { one, other, seen: self.sighting(place), reason, explanation: self.why(place.0, place.1) }
    }

    fn told_as(&self, node: u32) -> Told {
        let (rule, text) = (self.rules.rule(self.nodes.kind(node)), self.nodes.text(node));
        Told {
            identifier_type: rule.name.clone(),
            identifier: text.to_owned(),
            personal: rule.personal,
            hash: ids::hidden(&self.rules, text),
        }
    }
}
