//! Who keeps which id: customers keep the ids under which their identifiers were published before.
//!
//! Every identifier that led to a customer in the predecessor is a vote for that customer's id. An id goes to one customer:
//!
//! - where identifiers of one id lead to several customers today (a split), the id stays with the part that has the identifier which says
//!   most of who somebody is: one that is not transferable before one that is, the one that gave the id before others, and then the most
//!   trusted, the oldest, the one of the type declared first. The others get ids of their own, and that is told;
//! - where several ids come to one customer (a merge), one that was published last time stays rather than one of somebody who was gone; of
//!   these the one with the most votes, and of equally many the one with the best identifier as above. The others become aliases. Ids that hold
//!   only until a customer is known give way to all others.
//!
//! The vote of an identifier that was transferred is that of its owner on the predecessor's day. Who had no id gets the one that its oldest
//! identifier gives; where that is or was somebody else's, `~2` follows it, or the next number that is free.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;

use super::guards::Ownerships;
use super::ids::{self, by_age, may_name};
use super::intern::NOBODY;
use super::joined::Joined;
use super::keys::{Hash, Keys};
use super::predecessor::{Alias, Predecessor};
use super::resolution::{Resolution, Split};
use super::rules::{Rules, Weight};
use crate::error::Result;

/// What has no id, or no customer, or several of them.
const SEVERAL: u32 = NOBODY - 1;

/// Customers that wait for the ids that they had.
pub struct Heirs {
    joined: Joined,
    names: Vec<u32>,
    keys: Keys,
    before: Predecessor,
}

/// What became of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is that of a customer, by root.
    Kept(u32),
    /// It has become an alias of that customer.
    Ended(u32),
    /// Nothing of its customer is left but what may be somebody else's by now, which leads to that one: an alias, until it comes back.
    Replaced(u32),
    /// Nothing of its customer is left.
    Gone,
}

/// How well an identifier says who somebody is; the least says it best.
type Rank<'a> = (Reverse<Weight>, bool, bool, usize, i64, u8, &'a str);

/// An id that stays with a customer: whether it gives way, whether it was gone last time, its votes, the best of them, and the id.
type Staying<'a> = (bool, bool, Reverse<usize>, Rank<'a>, u32);
/// An id that a customer had and that has gone elsewhere: its votes, the best of them, the id, and the identifier of that vote.
type Lost<'a> = (Reverse<usize>, Rank<'a>, u32, u32);

impl Joined {
    /// Prepares to give everybody the id that they had in a publication as of an earlier day, given by its first moment in microseconds since
    /// 1970.
    pub fn heirs(self, as_of_micros: i64) -> Heirs {
        let names = ids::names(&self.rules, &self.nodes, &self.roots, self.threads);
        let leads = |node: u32| leads(&self, &names, node).is_some();
        let keys = Keys::indexed(&self.rules, &self.nodes, leads, self.threads);
        let before = Predecessor::empty(as_of_micros, self.nodes.count());
        Heirs { joined: self, names, keys, before }
    }
}

/// The root of the customer that an identifier leads to.
fn leads(joined: &Joined, names: &[u32], node: u32) -> Option<u32> {
    let root = joined.roots[node as usize];
    (joined.nodes.links(node) && names[root as usize] != NOBODY).then_some(root)
}

impl Heirs {
    /// Takes rows of the predecessor's map, in their order.
    ///
    /// # Errors
    /// [`crate::error::Error::Project`] when they are not what a map has.
    pub fn take_map(&mut self, rows: &RecordBatch) -> Result<()> {
        self.before.take_map(&self.joined.rules, &self.keys, rows)
    }

    /// Takes rows of the predecessor's aliases, in their order.
    ///
    /// # Errors
    /// As [`Heirs::take_map`].
    pub fn take_aliases(&mut self, rows: &RecordBatch) -> Result<()> {
        self.before.take_aliases(rows)
    }

    /// What all takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.joined.bytes() + self.joined.nodes.count() * (size_of::<u32>() + Keys::BYTES_OF_ONE) + self.before.bytes()
    }

    /// Gives everybody their id.
    ///
    /// # Errors
    /// As [`Heirs::take_map`].
    pub fn name(self) -> Result<Resolution> {
        let Heirs { joined, names, keys, mut before } = self;
        let mut assigned = Assignment {
            joined: &joined,
            names: &names,
            own: vec![NOBODY; joined.nodes.count()],
            fates: vec![Fate::Gone; before.count()],
            splits: Vec::new(),
        };
        assigned.vote(&mut before)?;
        let (others, revived) = assigned.give_new_ids(&before);
        let Assignment { own, fates, mut splits, .. } = assigned;
        splits.sort_unstable_by_key(|split| (joined.nodes.kind(split.node), joined.nodes.text(split.node).to_owned()));
        let led_to = fates.iter().map(|fate| match fate {
            Fate::Kept(root) | Fate::Ended(root) => *root,
            Fate::Replaced(_) | Fate::Gone => NOBODY,
        });
        let led_to = led_to.collect();
        let mut resolution = joined.named(names);
        resolution.keys = Some(keys.of_each());
        resolution.own = own;
        resolution.others = others;
        resolution.led_to = led_to;
        resolution.splits = splits;
        resolution.withdrawn = (0..)
            .zip(&fates)
            .filter(|(id, fate)| matches!(fate, Fate::Ended(_) | Fate::Replaced(_)) && before.exposes(&resolution.rules, *id))
            .count() as u64;
        resolution.before = Some(before);
        resolution.aliases = aliases(&resolution, &fates, &revived);
        Ok(resolution)
    }
}

/// Ids as they are given out.
struct Assignment<'a> {
    joined: &'a Joined,
    names: &'a [u32],
    /// By root of a customer: the id that it keeps.
    own: Vec<u32>,
    /// By id.
    fates: Vec<Fate>,
    splits: Vec<Split>,
}

/// A vote that others speak against.
#[derive(Clone, Copy)]
struct Vote {
    id: u32,
    root: u32,
    node: u32,
}

impl Assignment<'_> {
    fn vote(&mut self, before: &mut Predecessor) -> Result<()> {
        let Joined { rules, nodes, ownerships, .. } = self.joined;
        let moved = moved(ownerships, before);
        let voter = |node: u32| leads(self.joined, self.names, moved.get(&node).copied().unwrap_or(node));
        let evidence = Evidence::of(self.joined, self.names, before, voter);
        let heard = |node: u32| {
            let id = before.of_node[node as usize];
            let root = if id == NOBODY { None } else { voter(node) }?;
            evidence.admits(rules, rules.weight(nodes.kind(node)), id, root).then_some(Vote { id, root, node })
        };
        let mut id_of_root = vec![NOBODY; nodes.count()];
        let mut root_of_id = vec![NOBODY; before.count()];
        let note = |place: &mut u32, found: u32| *place = if *place == NOBODY || *place == found { found } else { SEVERAL };
        for Vote { id, root, .. } in nodes.all().filter_map(heard).filter(|vote| before.led_to_the_last(vote.node)) {
            note(&mut id_of_root[root as usize], id);
            note(&mut root_of_id[id as usize], root);
        }
        // Who was with a customer before its last day speaks only where nobody else does: what has stayed keeps the id.
        let unclaimed: Vec<bool> = root_of_id.iter().map(|root| *root == NOBODY).collect();
        let vote = |node: u32| heard(node).filter(|vote| unclaimed[vote.id as usize] || before.led_to_the_last(node));
        for Vote { id, root, .. } in nodes.all().filter_map(vote).filter(|vote| unclaimed[vote.id as usize]) {
            note(&mut id_of_root[root as usize], id);
            note(&mut root_of_id[id as usize], root);
        }
        let (mut agreed, mut contested, mut silent) = (Vec::new(), Vec::new(), Vec::new());
        for node in nodes.all() {
            match vote(node) {
                Some(vote) if root_of_id[vote.id as usize] == SEVERAL || id_of_root[vote.root as usize] == SEVERAL => contested.push(vote),
                // Once is enough.
                Some(Vote { id, root, .. }) if std::mem::replace(&mut id_of_root[root as usize], NOBODY) != NOBODY => {
                    agreed.push((root, id));
                }
                Some(_) => {}
                None if before.of_node[node as usize] != NOBODY => silent.push((node, voter(node))),
                None => {}
            }
        }
        for (root, id) in agreed {
            self.keep(root, id, before);
        }
        self.settle(contested, before);
        self.end_unheard(&silent, before);
        // What speaks for nobody stays with the id, in case that nothing else is left of it.
        let hash = Hash::of(rules);
        for (node, _) in silent {
            let type_name = &rules.rule(nodes.kind(node)).name;
            before.silence(node, hash.key(type_name, nodes.text(node)), type_name)?;
        }
        Ok(())
    }

    /// What becomes of ids for which nobody speaks who may keep them, though their identifiers lead to somebody: of one that was published
    /// last time, an alias of the customer whom the best of them leads to. So a contact who was made anew under another number, with the
    /// same address, is found under the old one. And whoever has been apart from the customer for longer is told as such.
    fn end_unheard(&mut self, silent: &[(u32, Option<u32>)], before: &Predecessor) {
        let Joined { rules, nodes, .. } = self.joined;
        let mut unheard: Vec<Vote> = silent
            .iter()
            .filter_map(|(node, root)| Some(Vote { id: before.of_node[*node as usize], root: (*root)?, node: *node }))
            .filter(|vote| rules.weight(nodes.kind(vote.node)) > Weight::Device)
            .collect();
        unheard.sort_by_cached_key(|vote| (vote.id, Assignment::rank_of(self.joined, vote, before)));
        for of_id in unheard.chunk_by(|one, other| one.id == other.id) {
            let Vote { id, root, node } = of_id[0];
            match self.fates[id as usize] {
                Fate::Gone if before.was_published(id) => self.fates[id as usize] = Fate::Replaced(root),
                Fate::Kept(kept) if kept != root && rules.weight(nodes.kind(node)) > Weight::Passing => {
                    self.splits.push(Split { node, root, from: id });
                }
                _ => {}
            }
        }
    }

    /// How well the identifier of a vote says whose an id is.
    fn rank_of<'j>(joined: &'j Joined, vote: &Vote, before: &Predecessor) -> Rank<'j> {
        let Joined { rules, nodes, .. } = joined;
        let (kind, text) = (nodes.kind(vote.node), nodes.text(vote.node));
        let gave_it = ids::id_of(rules, kind, text) == before.id(vote.id);
        let trust = (nodes.sources(vote.node).trailing_zeros() as usize).min(rules.trust.len());
        (Reverse(rules.weight(kind)), !gave_it, rules.gives_way(kind), trust, nodes.first_seen(vote.node), kind, text)
    }

    /// Gives a customer an id, unless it is one that gives way to what names the customer today.
    fn keep(&mut self, root: u32, id: u32, before: &Predecessor) {
        let Joined { rules, nodes, .. } = self.joined;
        let named_better = !rules.gives_way(nodes.kind(self.names[root as usize]));
        if named_better && before.gives_way(rules, id) || before.exposes(rules, id) {
            self.fates[id as usize] = Fate::Ended(root);
        } else {
            self.fates[id as usize] = Fate::Kept(root);
            self.own[root as usize] = id;
        }
    }

    /// Settles who of several keeps an id, and which of several ids stays.
    fn settle(&mut self, mut votes: Vec<Vote>, before: &Predecessor) {
        let joined = self.joined;
        let Joined { rules, nodes, .. } = joined;
        let rank = |vote: &Vote| Assignment::rank_of(joined, vote, before);
        votes.sort_by_cached_key(|vote| (vote.id, rank(vote)));
        // By customer: the ids that stay with it, with what decides between them; and those that have gone elsewhere, with their votes.
        let mut staying: HashMap<u32, Vec<Staying<'_>>> = HashMap::new();
        let mut lost: HashMap<u32, Vec<Lost<'_>>> = HashMap::new();
        for of_id in votes.chunk_by(|one, other| one.id == other.id) {
            let (id, heir) = (of_id[0].id, of_id[0].root);
            // By customer: how many votes there are, and the first of them, which is the best.
            let mut counts: HashMap<u32, (usize, &Vote)> = HashMap::new();
            for vote in of_id {
                counts.entry(vote.root).or_insert((0, vote)).0 += 1;
            }
            for (root, (count, best)) in counts {
                if root == heir {
                    let key = (before.gives_way(rules, id), !before.was_published(id), Reverse(count), rank(best), id);
                    staying.entry(root).or_default().push(key);
                } else {
                    lost.entry(root).or_default().push((Reverse(count), rank(best), id, best.node));
                }
            }
        }
        for (root, mut ids) in staying {
            ids.sort_unstable();
            self.keep(root, ids[0].4, before);
            for (.., id) in &ids[1..] {
                self.fates[*id as usize] = Fate::Ended(root);
            }
            // An address that has come to a customer is told as transferred.
            if let Some(lost) = lost.get_mut(&root) {
                lost.retain(|(.., node)| rules.weight(nodes.kind(*node)) > Weight::Passing);
            }
        }
        for (root, mut ids) in lost {
            ids.sort_unstable();
            self.splits.extend(ids.first().map(|(.., from, node)| Split { node: *node, root, from: *from }));
        }
    }

    /// Gives everybody else an id that is nobody's: those that are not simply their oldest identifier's, by root, and the aliases that
    /// are ids again.
    fn give_new_ids(&self, before: &Predecessor) -> (HashMap<u32, (String, u8)>, HashSet<String>) {
        let Joined { rules, nodes, roots, .. } = self.joined;
        let (mut others, mut revived) = (HashMap::new(), HashSet::new());
        let known = |id: &str| before.find(id).is_some() || before.alias(id).is_some();
        // Whether an id is free for an identifier that gives it. A number that is a person's own may be so again.
        let free = |node: u32, id: &str| {
            let held = before.find(id).map(|at| self.fates[at as usize]);
            let transferable = rules.rule(nodes.kind(node)).transferable;
            match held {
                Some(Fate::Kept(_)) => false,
                Some(Fate::Gone | Fate::Ended(_) | Fate::Replaced(_)) => !transferable,
                None => !transferable || before.alias(id).is_none(),
            }
        };
        let mut contested: HashMap<u32, Vec<u32>> = HashMap::new();
        for root in nodes.all().filter(|root| self.names[*root as usize] != NOBODY && self.own[*root as usize] == NOBODY) {
            let name = self.names[root as usize];
            let id = ids::id_of(rules, nodes.kind(name), nodes.text(name));
            if free(name, &id) {
                if known(&id) {
                    revived.insert(id.into_owned());
                }
            } else {
                contested.insert(root, Vec::new());
            }
        }
        if contested.is_empty() {
            return (others, revived);
        }
        for node in nodes.all().filter(|node| may_name(rules, nodes, *node)) {
            if let Some(naming) = contested.get_mut(&roots[node as usize]) {
                naming.push(node);
            }
        }
        for (root, mut naming) in contested {
            naming.sort_by(|one, other| by_age(rules, nodes, *one, *other));
            let id = |node: u32| ids::id_of(rules, nodes.kind(node), nodes.text(node));
            let found = naming.iter().map(|node| (*node, id(*node))).find(|(node, id)| free(*node, id));
            let another = || {
                let first = id(self.names[root as usize]);
                let turns = (2..=before.turns()).map(|turn| ids::turn_of(&first, turn));
                (self.names[root as usize], turns.into_iter().find(|id| !known(id)).unwrap_or_default())
            };
            let (node, given) = found.map_or_else(another, |(node, id)| (node, id.into_owned()));
            if known(&given) {
                revived.insert(given.clone());
            }
            others.insert(root, (given, nodes.kind(node)));
        }
        (others, revived)
    }
}

/// What is known of people beside what may be anybody's by now.
///
/// Where an id had an identifier of more weight, those of less speak for it only together with one of that weight, or for a customer who has
/// none: whoever has an address today, and a number that is not of the one who had it, is somebody else.
struct Evidence<'a> {
    before: &'a Predecessor,
    /// By id: the customer that its identifiers of most weight speak for.
    root_of_id: Vec<u32>,
    /// Where they speak for several: each.
    several: HashSet<(u32, u32)>,
    /// By root: the most weight of a customer's identifiers.
    weights: Vec<Weight>,
}

impl<'a> Evidence<'a> {
    fn of(joined: &Joined, names: &[u32], before: &'a Predecessor, voter: impl Fn(u32) -> Option<u32>) -> Self {
        let Joined { rules, nodes, .. } = joined;
        let weights = vec![Weight::Device; nodes.count()];
        let mut found = Evidence { before, root_of_id: vec![NOBODY; before.count()], several: HashSet::new(), weights };
        for node in nodes.all() {
            let weight = rules.weight(nodes.kind(node));
            if let (true, Some(root)) = (weight > Weight::Device, leads(joined, names, node)) {
                found.weights[root as usize] = found.weights[root as usize].max(weight);
            }
            let id = before.of_node[node as usize];
            if id == NOBODY || weight < before.weights[id as usize] {
                continue;
            }
            if let Some(root) = voter(node) {
                let first = &mut found.root_of_id[id as usize];
                if *first == NOBODY {
                    *first = root;
                } else if *first != root {
                    found.several.insert((id, root));
                }
            }
        }
        found
    }

    fn admits(&self, rules: &Rules, weight: Weight, id: u32, root: u32) -> bool {
        let of_id = self.before.weights[id as usize];
        let together = || self.root_of_id[id as usize] == root || self.several.contains(&(id, root));
        // What gives way alone never carries an id that something better made.
        let may_carry = weight > Weight::Device || self.before.kinds[id as usize].is_some_and(|kind| rules.gives_way(kind));
        weight >= of_id && may_carry || together() || may_carry && self.weights[root as usize] < of_id
    }
}

/// Identifiers that were transferred, each with its owner on the predecessor's day: whose latest ownership had begun then, or who had it first
/// of all that are known.
fn moved(ownerships: &Ownerships, before: &Predecessor) -> HashMap<u32, u32> {
    let mut moved = HashMap::new();
    for of_one in ownerships.chunk_by(|one, other| one.identifier == other.identifier) {
        let begun = of_one.iter().rev().find(|owned| owned.began() < before.as_of_micros);
        if let Some(owned) = begun.or(of_one.first())
            && owned.is_past
        {
            moved.insert(owned.identifier, owned.owner);
        }
    }
    moved
}

/// The ids that merges have ended: those that the predecessor kept, each leading to whoever its customer is now, and those of today.
fn aliases(resolution: &Resolution, fates: &[Fate], revived: &HashSet<String>) -> Vec<Alias> {
    let Some(before) = &resolution.before else { return Vec::new() };
    // What has become of an id today counts, and not what it was an alias of while it was gone.
    let is_gone = |id: &str| before.find(id).is_none_or(|at| fates[at as usize] == Fate::Gone);
    let kept = before.aliases.iter().filter(|alias| is_gone(&alias.alias)).map(|alias| {
        let again = revived.contains(&alias.customer);
        let (customer, is_living) = match before.find(&alias.customer).map(|at| fates[at as usize]) {
            Some(Fate::Ended(root) | Fate::Replaced(root)) if !again => (resolution.id(root).into_owned(), true),
            fate => (alias.customer.clone(), again || matches!(fate, Some(Fate::Kept(_)))),
        };
        Alias { alias: alias.alias.clone(), customer, is_living, ..*alias }
    });
    let merged_at = resolution.rules.as_of_micros;
    let ended = (0_u32..).zip(fates).filter_map(|(id, fate)| match fate {
        Fate::Ended(root) | Fate::Replaced(root) => {
            Some(Alias { alias: before.id(id).to_owned(), customer: resolution.id(*root).into_owned(), merged_at, is_living: true })
        }
        Fate::Kept(_) | Fate::Gone => None,
    });
    // An id that is a customer's again is no alias, and one that shows what is personal now is told no more.
    let rules = &resolution.rules;
    let of_type = |id: &str| id.split_once(':').and_then(|(prefix, _)| rules.type_of(prefix)).unwrap_or(0);
    let exposes = |id: &str| !rules.types.is_empty() && ids::exposes(rules, of_type(id), id);
    let may_be_told = |alias: &Alias| !revived.contains(&alias.alias) && !exposes(&alias.alias) && !exposes(&alias.customer);
    let mut aliases: Vec<Alias> = kept.chain(ended).filter(may_be_told).collect();
    aliases.sort();
    aliases
}
