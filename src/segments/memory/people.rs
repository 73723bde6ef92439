//! The customers of a batch of the profile with what is remembered of each, and what becomes of it today.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, RecordBatch, StringArray};

use super::before::{Before, Columns, Ended};
use super::cause::Why;
use super::changes::{Change, Changes};
use super::names::Names;
use super::one::as_one;
use super::stay::{Numbered, Stay};
use crate::error::Result;
use crate::segments::{EarlierOpinions, Opinion};

/// What became of an identity, as the changes tell it.
const NEW: &str = "new";
const SPLIT: &str = "split";
const MERGED: &str = "merged";
const GONE: &str = "gone";

/// What all batches of a run have in common.
#[derive(Debug, Clone, Copy)]
pub struct Time<'a> {
    /// The segments.
    pub names: &'a Names,
    /// By set: whether a customer is in one of its segments at most.
    pub single: &'a [bool],
    /// The as-of day, since 1970.
    pub day: i32,
    /// What is known of the time before; none for a first publication.
    pub before: Option<&'a Before>,
}

/// Asks why the customer of a row has gone from one segment to another, given the numbers of all segments of today.
pub type Ask<'a> = dyn Fn(&People<'_>, usize, Option<u32>, Option<u32>, &[u32]) -> Why + 'a;

/// Who is in which segment of a set, by row of the batch.
#[derive(Debug, Clone, Default)]
pub struct Assignment {
    /// Where the members of each row begin, and where the last ones end.
    pub starts: Vec<usize>,
    /// The numbers of the segments.
    pub members: Vec<u32>,
}

/// The customers of a batch.
#[derive(Debug)]
pub struct People<'a> {
    time: Time<'a>,
    ids: StringArray,
    people: Vec<Person>,
    /// What is remembered of each, one after the other.
    stays: Vec<Stay>,
    /// By row, of those with whom others have become one: what their own id had been in.
    merged: HashMap<usize, Vec<Stay>>,
    changes: Option<Changes>,
    /// What the definition of the predecessor publication says of them today.
    opinions: EarlierOpinions,
}

#[derive(Debug, Default)]
struct Person {
    stays: Range<usize>,
    is_known: bool,
    /// Whether it is told of: not where there is no id, or a second row of one.
    is_told: bool,
}

/// What becomes of the customers of a batch.
pub struct Settled {
    /// By set: what is remembered of each of the members.
    pub members: Vec<Vec<Stay>>,
    /// Who has entered, left or moved.
    pub changes: Option<RecordBatch>,
    /// What the next publication is told.
    pub state: RecordBatch,
    /// Customers with whom others have become one.
    pub heirs: Vec<String>,
}

impl<'a> People<'a> {
    /// The customers with some ids, in order, the last of those before them, and the rows of the state up to the last of them.
    ///
    /// # Errors
    /// [`crate::error::Error::Project`] for rows that are not those of a state.
    pub fn meet(time: Time<'a>, ids: StringArray, last: Option<&str>, state: &RecordBatch) -> Result<Self> {
        let changes = time.before.map(|before| Changes::since(before.as_of));
        let mut met = People {
            time,
            ids: ids.clone(),
            people: Vec::new(),
            stays: Vec::new(),
            merged: HashMap::new(),
            changes,
            opinions: EarlierOpinions::Same,
        };
        let known = Columns::of(state)?;
        let (mut at, mut last) = (0, last);
        for (row, id) in ids.iter().enumerate() {
            let Some(id) = id.filter(|id| last != Some(*id)) else {
                met.people.push(Person::default());
                continue;
            };
            last = Some(id);
            while at < known.ids.len() && known.ids.value(at) < id {
                at = met.see_off(&known, at)?;
            }
            let rows = at..at + (at..known.ids.len()).take_while(|at| known.ids.value(*at) == id).count();
            at = rows.end;
            met.meet_one(row, id, &known, rows)?;
        }
        while at < known.ids.len() {
            at = met.see_off(&known, at)?;
        }
        Ok(met)
    }

    /// Adds the customer of a row, of whom some rows of the state are.
    fn meet_one(&mut self, row: usize, id: &str, known: &Columns, rows: Range<usize>) -> Result<()> {
        let start = self.stays.len();
        let is_known = !rows.is_empty();
        let mut own = Vec::new();
        known.read(self.time.names, rows, &mut own)?;
        match self.ended(id) {
            [] => self.stays.append(&mut own),
            ended => {
                let Time { names, single, .. } = self.time;
                self.stays.extend(as_one(names, single, &own, ended));
                self.merged.insert(row, own);
            }
        }
        self.people.push(Person { stays: start..self.stays.len(), is_known, is_told: true });
        Ok(())
    }

    fn ended(&self, id: &str) -> &'a [Ended] {
        self.time.before.and_then(|before| before.ended.get(id)).map_or(&[], Vec::as_slice)
    }

    /// Tells of a customer of the state who is not in the profile any more; where the rows of the next one begin.
    fn see_off(&mut self, known: &Columns, at: usize) -> Result<usize> {
        let id = known.ids.value(at);
        let end = at + (at..known.ids.len()).take_while(|at| known.ids.value(*at) == id).count();
        // Who has become one with somebody is told of with them.
        if self.time.before.is_some_and(|before| !before.ended_ids.contains(id)) {
            let mut stays = Vec::new();
            known.read(self.time.names, at..end, &mut stays)?;
            if let Some(changes) = &mut self.changes {
                tell_gone(changes, self.time.names, id, &stays);
            }
        }
        Ok(end)
    }

    /// Compares what becomes of them with what the earlier definition says.
    #[must_use]
    pub fn compared_with(self, opinions: EarlierOpinions) -> Self {
        People { opinions, ..self }
    }

    /// What the definition of the predecessor publication says of the customer of a row today.
    pub fn opinion(&self, row: usize) -> Opinion<'_> {
        self.opinions.of(row)
    }

    /// Some of them, by row, without what is told of them.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        let (mut people, mut stays, mut merged) = (Vec::with_capacity(rows.len()), Vec::new(), HashMap::new());
        for (at, &row) in rows.iter().enumerate() {
            let start = stays.len();
            stays.extend_from_slice(self.stays(row));
            merged.extend(self.merged.get(&row).map(|own| (at, own.clone())));
            let Person { is_known, is_told, .. } = self.people[row];
            people.push(Person { stays: start..stays.len(), is_known, is_told });
        }
        let ids = rows.iter().map(|row| self.ids.is_valid(*row).then(|| self.ids.value(*row))).collect();
        People { time: self.time, ids, people, stays, merged, changes: None, opinions: EarlierOpinions::Same }
    }

    /// Whether the customer of a row, whose identity is as it was, is in other segments than before.
    pub fn has_changed(&self, row: usize, assigned: &[Assignment]) -> bool {
        let Person { is_known, is_told, .. } = self.people[row];
        if !is_known || !is_told || self.merged.contains_key(&row) {
            return false;
        }
        let today = || assigned.iter().flat_map(|set| &set.members[set.starts[row]..set.starts[row + 1]]);
        let before = || current(self.stays(row)).map(|stay| &stay.segment);
        today().count() != before().count() || today().any(|number| before().all(|other| other != number))
    }

    /// What is remembered of the customer of a row.
    pub fn stays(&self, row: usize) -> &[Stay] {
        &self.stays[self.people[row].stays.clone()]
    }

    /// Whether the customer of a row was there in the predecessor publication, or has become one with somebody who was.
    pub fn is_known(&self, row: usize) -> bool {
        self.people[row].is_known || self.merged.contains_key(&row)
    }

    /// What becomes of the customers when each is in some segments today.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] alone.
    pub fn settle(mut self, assigned: &[Assignment], why: &Ask<'_>) -> Result<Settled> {
        let mut members: Vec<Vec<Stay>> = assigned.iter().map(|set| Vec::with_capacity(set.members.len())).collect();
        let (mut state, mut heirs) = (Numbered::default(), Vec::new());
        let mut changes = self.changes.take();
        let ids = self.ids.clone();
        let mut today = Vec::new();
        for row in 0..ids.len() {
            today.clear();
            today.extend(assigned.iter().map(|set| &set.members[set.starts[row]..set.starts[row + 1]]));
            let renewed = self.renewed(row, &today);
            for (set, numbers) in today.iter().enumerate() {
                let stay_of = |number: &u32| renewed.iter().find(|stay| stay.segment == *number).copied();
                members[set].extend(numbers.iter().filter_map(stay_of));
            }
            if !self.people[row].is_told {
                continue;
            }
            let id = ids.value(row);
            state.add(id, &renewed);
            if let Some(changes) = &mut changes {
                self.tell(row, id, &today, why, changes);
            }
            if self.merged.contains_key(&row) {
                heirs.push(id.to_owned());
            }
        }
        Ok(Settled { members, changes: changes.map_or(Ok(None), Changes::finish)?, state: state.finish()?, heirs })
    }

    /// What is remembered of a customer from today on, in order of set and segment.
    fn renewed(&self, row: usize, today: &[&[u32]]) -> Vec<Stay> {
        let Time { names, single, day, .. } = self.time;
        let before = self.stays(row);
        let mut stays = before.to_vec();
        for stay in &mut stays {
            let is_member = today.iter().any(|numbers| numbers.contains(&stay.segment));
            if !is_member && stay.since.is_some() {
                (stay.since, stay.left_on) = (None, Some(day));
            }
        }
        for (set, numbers) in today.iter().enumerate() {
            for &number in *numbers {
                let previous = || if single[set] { last_of(names, before, set) } else { None };
                match stays.iter_mut().find(|stay| stay.segment == number) {
                    Some(stay) if stay.since.is_some() => {}
                    Some(stay) => *stay = Stay { since: Some(day), entered: stay.entered + 1, previous: previous(), ..*stay },
                    None => stays.push(Stay { segment: number, since: Some(day), left_on: None, entered: 1, previous: previous() }),
                }
            }
        }
        // A stay of an id that has ended, which nobody continues.
        for stay in stays.iter_mut().filter(|stay| stay.since.is_none() && stay.left_on.is_none()) {
            stay.left_on = Some(day);
        }
        stays.sort_by(|one, other| names.named(one.segment).cmp(names.named(other.segment)));
        stays
    }

    /// Tells what has changed for a customer, and for those who have become one with it.
    fn tell(&self, row: usize, id: &str, today: &[&[u32]], ask: &Ask<'_>, changes: &mut Changes) {
        let names = self.time.names;
        let ended = self.ended(id);
        let own = self.merged.get(&row).map_or_else(|| self.stays(row), Vec::as_slice);
        let is_split = || self.time.before.is_some_and(|before| before.split.contains(id));
        let event = match (self.people[row].is_known, ended.is_empty()) {
            (_, false) => Some(MERGED),
            (true, true) => None,
            (false, true) => Some(if is_split() { SPLIT } else { NEW }),
        };
        let all: Vec<u32> = today.iter().flat_map(|numbers| numbers.iter().copied()).collect();
        let why = |from: Option<u32>, to: Option<u32>| ask(self, row, from, to, &all);
        let teller = Teller { names, id, event, ended, why: &why };
        for (set, numbers) in today.iter().enumerate() {
            let was = current(own).filter(|stay| names.is_of(stay.segment, set));
            if self.time.single[set] {
                teller.tell_single(set, was.collect(), numbers.first().copied(), changes);
            } else {
                let is_of = |number: u32| names.is_of(number, set);
                teller.tell_each(&is_of, &was.collect::<Vec<_>>(), numbers, changes);
            }
        }
        let is_of_none = |number: u32| names.named(number).set_at.is_none();
        let was: Vec<&Stay> = current(own).filter(|stay| is_of_none(stay.segment)).collect();
        teller.tell_each(&is_of_none, &was, &[], changes);
    }
}

/// The segments that a customer was in.
fn current(stays: &[Stay]) -> impl Iterator<Item = &Stay> {
    stays.iter().filter(|stay| stay.since.is_some())
}

/// The segment of a set that a customer was in last.
fn last_of(names: &Names, stays: &[Stay], set: usize) -> Option<u32> {
    let of_set = stays.iter().filter(|stay| names.is_of(stay.segment, set) && (stay.since.is_some() || stay.left_on.is_some()));
    let key = |stay: &&Stay| (stay.since.is_some(), stay.left_on, std::cmp::Reverse(names.named(stay.segment)));
    of_set.max_by_key(key).map(|stay| stay.segment)
}

/// Tells that a customer is gone.
pub fn tell_gone(changes: &mut Changes, names: &Names, id: &str, stays: &[Stay]) {
    let mut stays: Vec<&Stay> = current(stays).collect();
    stays.sort_by_key(|stay| names.named(stay.segment));
    for stay in stays {
        let segment = names.named(stay.segment);
        changes.add(&Change {
            customer_id: id,
            segment_set: &segment.set,
            from: Some(&segment.segment),
            from_since: stay.since,
            identity_event: Some(GONE),
            ..Change::default()
        });
    }
}

/// Tells the changes of one customer. What became of a person is told once: by the customer's own row if it has changed itself, or else by
/// a row of an id that has ended.
struct Teller<'a> {
    names: &'a Names,
    id: &'a str,
    event: Option<&'static str>,
    ended: &'a [Ended],
    /// Why the customer has gone from one segment to another, if it is not what happened to the identity.
    why: &'a dyn Fn(Option<u32>, Option<u32>) -> Why,
}

impl<'a> Teller<'a> {
    /// The change of the customer itself from one segment to another.
    fn own(&self, from: Option<&Stay>, to: Option<u32>) -> Change<'a> {
        let either = from.map(|stay| stay.segment).or(to).map(|number| self.names.named(number));
        Change {
            customer_id: self.id,
            segment_set: either.map_or("", |named| &named.set),
            from: from.map(|stay| self.names.named(stay.segment).segment.as_str()),
            to: to.map(|number| self.names.named(number).segment.as_str()),
            from_since: from.and_then(|stay| stay.since),
            identity_event: self.event,
            cause: self.event.is_none().then(|| (self.why)(from.map(|stay| stay.segment), to)),
            ..Change::default()
        }
    }

    /// The change of an id that has ended.
    fn other(&self, (id, stay): (&'a str, &Stay), to: Option<u32>) -> Change<'a> {
        Change { customer_id: id, merged_into: Some(self.id), ..self.own(Some(stay), to) }
    }

    /// The ids that have ended, and in which segments each was.
    fn ended_in(&self, is_of: &dyn Fn(u32) -> bool) -> Vec<(&'a str, &'a Stay)> {
        let ended: &'a [Ended] = self.ended;
        let each = ended.iter().flat_map(|ended| current(&ended.stays).map(move |stay| (ended.id.as_str(), stay)));
        each.filter(|(_, stay)| is_of(stay.segment)).collect()
    }

    /// A set of which a customer can be in one segment. Where it once was of another kind, a customer may have been in several.
    fn tell_single(&self, set: usize, mut was: Vec<&Stay>, is: Option<u32>, changes: &mut Changes) {
        was.sort_by_key(|stay| (Some(stay.segment) != is, self.names.named(stay.segment)));
        for stay in was.iter().skip(1) {
            changes.add(&self.own(Some(stay), None));
        }
        let own = was.first().copied();
        let has_moved = own.map(|stay| stay.segment) != is;
        let ended = self.ended_in(&|number| self.names.is_of(number, set));
        if has_moved && (own.is_some() || ended.is_empty()) {
            changes.add(&self.own(own, is));
        }
        // Who was in the set under no id but those that have ended is brought into a segment by one of their rows.
        let is_alike = |at: &usize| Some(ended[*at].1.segment) == is;
        let bringing = if own.is_none() { (0..ended.len()).find(is_alike).or(Some(0)) } else { None };
        for (at, one) in ended.iter().enumerate() {
            let differs = Some(one.1.segment) != is;
            let is_told_elsewhere = if own.is_some() { has_moved } else { is.is_none() && bringing != Some(at) };
            let change = self.other(*one, is);
            let is_there = bringing != Some(at);
            changes.add(&Change { is_merge_alone: !differs || is_told_elsewhere, is_there, ..change });
        }
    }

    /// Segments in each of which a customer is or is not, whatever the others.
    fn tell_each(&self, is_of: &dyn Fn(u32) -> bool, was: &[&Stay], is: &[u32], changes: &mut Changes) {
        let ended = self.ended_in(is_of);
        let had = |number: u32| was.iter().any(|stay| stay.segment == number);
        let mut was = was.to_vec();
        was.sort_by_key(|stay| self.names.named(stay.segment));
        for stay in was.iter().filter(|stay| !is.contains(&stay.segment)) {
            changes.add(&self.own(Some(stay), None));
        }
        for &number in is.iter().filter(|number| !had(**number)) {
            if ended.iter().all(|(_, stay)| stay.segment != number) {
                changes.add(&self.own(None, Some(number)));
            }
        }
        for (at, one) in ended.iter().enumerate() {
            let number = one.1.segment;
            let is_first = !had(number) && ended[..at].iter().all(|(_, stay)| stay.segment != number);
            let to = is.contains(&number).then_some(number);
            let is_merge_alone = to.is_some() || !is_first;
            changes.add(&Change { is_merge_alone, is_there: !is_first, ..self.other(*one, to) });
        }
    }
}
