//! Assigns customers to segments: evaluates the rules over the profile beside what is remembered, a few batches at a time, so that neither is
//! ever in memory as a whole.

use std::collections::BTreeSet;

use arrow::array::{Array, RecordBatch, StringArray};

use super::assigned::{Assigned, Members};
use super::change_causes::{ChangeCauses, Changed, Grounds};
use super::conditions::{decide_all, matches};
use super::decide::Decided;
use super::domain::{Domains, Verification};
use super::earlier_definition::EarlierDefinition;
use super::funnel::{Look, Tally};
use super::memory::{Assignment, Before, Cause, Changes, NamedSet, Names, People, Settled, Time, Why, tell_gone};
use super::pair::Pair;
use super::rule_set::{CUSTOMER_ID, RuleSet};
use crate::config::SetKind;
use crate::engine::parallel;
use crate::error::{Error, Message, Result};
use crate::graph::PROFILE;

/// Assigns customers to segments batch by batch, and verifies the declared domains of the profile.
#[derive(Debug)]
pub struct Assigner<'a> {
    sets: &'a [RuleSet],
    names: &'a Names,
    single: Vec<bool>,
    day: i32,
    before: Option<Before>,
    /// What is asked of the earlier definition.
    other: EarlierDefinition,
    /// By what the causes of changes are found.
    grounds: Grounds,
    /// The counts for a closer look at the rules, if one is taken.
    tally: Option<Tally>,
    verification: Verification<'a>,
    threads: usize,
    found: Vec<InSet>,
    /// The last customer so far.
    last: Option<String>,
    /// Of the customers with whom others have become one, those that were there.
    heirs: BTreeSet<String>,
    /// The memory that the members take.
    bytes: usize,
    nameless: usize,
    customers: u64,
}

/// What is known after some customers were assigned, beside who is in which segment.
#[derive(Debug, Default)]
pub struct Told {
    /// Who has entered, left or moved.
    pub changes: Vec<RecordBatch>,
    /// What the next publication is told.
    pub state: Vec<RecordBatch>,
}

/// The members of the segments of one set, among some customers.
#[derive(Debug)]
struct InSet {
    /// The members of each segment, in order.
    members: Vec<Vec<Members>>,
    /// How many customers each segment withholds because its channel may not reach them.
    lost: Vec<u64>,
    left_out: usize,
    claimed: usize,
    avoided: u64,
}

/// What a batch has come to.
struct Done {
    sets: Vec<InSet>,
    settled: Settled,
    tally: Option<Tally>,
}

/// The names of the segments of some sets.
pub fn names(sets: &[RuleSet]) -> Names {
    let named = |set: &'_ RuleSet| -> Vec<(String, Vec<String>)> {
        set.rules.iter().zip(&set.stability).map(|((segment, _), of)| (segment.clone(), of.formerly.clone())).collect()
    };
    let segments: Vec<Vec<(String, Vec<String>)>> = sets.iter().map(named).collect();
    let declared: Vec<NamedSet<'_>> = sets
        .iter()
        .zip(&segments)
        .map(|(set, segments)| NamedSet {
            name: &set.name,
            formerly: &set.formerly,
            segments: segments.iter().map(|(name, formerly)| (name.as_str(), formerly.as_slice())).collect(),
        })
        .collect();
    Names::new(&declared)
}

impl<'a> Assigner<'a> {
    /// An assigner to which no customer has been added, for an as-of day.
    pub fn new(sets: &'a [RuleSet], names: &'a Names, domains: &'a Domains, threads: usize, day: i32, before: Option<Before>) -> Self {
        let found = sets.iter().map(|set| InSet::new(set.rules.len())).collect();
        Assigner {
            sets,
            names,
            single: sets.iter().map(RuleSet::is_single).collect(),
            day,
            before,
            other: EarlierDefinition::Same,
            grounds: Grounds::default(),
            tally: None,
            verification: domains.verification(),
            threads,
            found,
            last: None,
            heirs: BTreeSet::new(),
            bytes: 0,
            nameless: 0,
            customers: 0,
        }
    }

    /// Asks also what the earlier definition says.
    #[must_use]
    pub fn with_earlier_definition(self, other: EarlierDefinition) -> Self {
        Assigner { other, ..self }
    }

    /// Finds the causes of changes.
    #[must_use]
    pub fn with_grounds(self, grounds: Grounds) -> Self {
        Assigner { grounds, ..self }
    }

    /// Takes a closer look at the rules, or does not.
    #[must_use]
    pub fn with_look(self, takes_look: bool) -> Self {
        Assigner { tally: takes_look.then(Tally::default), ..self }
    }

    /// What the closer look has found, if one was taken.
    pub fn look(&mut self) -> Option<Look> {
        self.tally.take().map(|tally| tally.finish(self.sets))
    }

    /// Assigns the next customers. They must come in order of customer.
    ///
    /// # Errors
    /// [`Error::Refused`] when a rule fails on a row.
    pub fn add(&mut self, pairs: Vec<Pair>) -> Result<Told> {
        let mut lasts = Vec::with_capacity(pairs.len());
        for Pair { profile, ids, .. } in &pairs {
            self.verification.add(profile)?;
            self.nameless += ids.null_count();
            self.customers += profile.num_rows() as u64;
            let last = ids.iter().flatten().next_back().map(str::to_owned);
            lasts.push(std::mem::replace(&mut self.last, last));
        }
        let (sets, time, asked) = (self.sets, self.time(), (&self.other, &self.grounds, self.tally.is_some()));
        let mut parts: Vec<_> = pairs.into_iter().zip(lasts).map(|pair| (pair, None)).collect();
        parallel(&mut parts, self.threads, |((pair, last), done)| *done = Some(assign(sets, time, asked, pair, last.as_deref())));
        let mut told = Told::default();
        for (_, done) in parts {
            let done = done.unwrap_or_else(|| Err(Error::defect("a batch of the profile was passed over")));
            // A rule may fail on values outside the declared domains. Then the values are reported, and not the rule.
            let Done { sets, settled, tally } = done.or_else(|error| self.verification.finish().and(Err(error)))?;
            self.bytes += sets.iter().flat_map(|set| set.members.iter().flatten()).map(Members::bytes).sum::<usize>();
            self.found.iter_mut().zip(sets).for_each(|(all, more)| all.add(more));
            self.heirs.extend(settled.heirs);
            if let (Some(all), Some(more)) = (&mut self.tally, tally) {
                all.add(more);
            }
            told.changes.extend(settled.changes);
            told.state.push(settled.state);
        }
        Ok(told)
    }

    /// Takes rows of the state that are left after the last customer.
    ///
    /// # Errors
    /// As [`Assigner::add`].
    pub fn add_rest(&mut self, state: &RecordBatch) -> Result<Option<RecordBatch>> {
        let people = People::meet(self.time(), StringArray::from(Vec::<&str>::new()), None, state)?;
        let nobody = Assignment { starts: vec![0], members: Vec::new() };
        let unasked = |_: &People<'_>, _: usize, _: Option<u32>, _: Option<u32>, _: &[u32]| Why::of(Cause::Undetermined);
        Ok(people.settle(&self.sets.iter().map(|_| nobody.clone()).collect::<Vec<_>>(), &unasked)?.changes)
    }

    /// Tells of those who have become one with somebody who is not there.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn add_lost(&mut self) -> Result<Option<RecordBatch>> {
        let Some(before) = &self.before else { return Ok(None) };
        let mut changes = Changes::since(before.as_of);
        let lost: std::collections::BTreeMap<_, _> = before.ended.iter().filter(|(heir, _)| !self.heirs.contains(*heir)).collect();
        for ended in lost.into_values().flatten() {
            tell_gone(&mut changes, self.names, &ended.id, &ended.stays);
        }
        changes.finish()
    }

    fn time(&self) -> Time<'_> {
        Time { names: self.names, single: &self.single, day: self.day, before: self.before.as_ref() }
    }

    /// The memory that the members take so far, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The members of every segment, after all customers have been added.
    ///
    /// # Errors
    /// [`Error::Refused`] when the profile breaks a declaration, a row has no customer id, an exclusive set or a partition
    /// leaves customers out, or two rules of a partition match one.
    pub fn finish(self) -> Result<Assigned> {
        self.verification.finish()?;
        if self.nameless > 0 {
            let what = format!("{} rows of the profile `{PROFILE}` have no `{CUSTOMER_ID}`", self.nameless);
            return Err(Error::Refused(Message::new(what).hint("leave customers without a number out of the profile, or give them one")));
        }
        for (set, InSet { left_out, claimed, .. }) in self.sets.iter().zip(&self.found) {
            let (left_out, claimed) = (*left_out, *claimed);
            if set.kind == SetKind::Partition && claimed > 0 {
                let what = format!("rules of the partition `{}` match customers that another one matches, {claimed} times", set.name);
                let hint = "narrow the rules, or make the set `kind: exclusive`, where the first rule that matches wins";
                return Err(Error::Refused(Message::new(what).hint(hint)));
            }
            if set.kind != SetKind::Overlapping && left_out > 0 {
                let what = format!("{left_out} customers match no segment of the {} set `{}`", set.kind, set.name);
                return Err(Error::Refused(
                    Message::new(what).hint("add a last segment with `when: \"true\"`, or rules for the missing cases"),
                ));
            }
        }
        self.found()
    }

    /// The members of every segment, whatever there is to refuse.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn found(self) -> Result<Assigned> {
        let mut assigned = Assigned { customers: self.customers, ..Assigned::default() };
        for (at, (set, found)) in self.sets.iter().zip(self.found).enumerate() {
            let InSet { members, lost, avoided, .. } = found;
            assigned.withheld.push(lost);
            assigned.avoided.push((set.name.clone(), avoided).into());
            let numbered = members.into_iter().enumerate().map(|(segment, members)| (self.names.of_position(at, segment), members));
            assigned.members.extend(numbered);
        }
        Ok(assigned)
    }
}

impl InSet {
    fn new(segments: usize) -> Self {
        InSet { members: (0..segments).map(|_| Vec::new()).collect(), lost: vec![0; segments], left_out: 0, claimed: 0, avoided: 0 }
    }

    /// The members that were decided, each with what is remembered of it.
    fn of(segments: usize, ids: &StringArray, decided: Decided, stays: &[super::memory::Stay]) -> Self {
        let mut members: Vec<Members> = (0..segments).map(|_| Members::default()).collect();
        for (row, range) in decided.starts.windows(2).enumerate() {
            let own = range[0]..range[1];
            for ((position, held_by), stay) in decided.members[own.clone()].iter().zip(&stays[own]) {
                // A row without a customer is refused in the end.
                let id = if ids.is_valid(row) { ids.value(row) } else { "" };
                members[*position].add(id, stay, *held_by);
            }
        }
        let members = members.into_iter().map(|members| if members.is_empty() { Vec::new() } else { vec![members] }).collect();
        let Decided { withheld: lost, left_out, claimed, avoided, .. } = decided;
        InSet { members, lost, left_out, claimed, avoided }
    }

    fn add(&mut self, more: InSet) {
        self.members.iter_mut().zip(more.members).for_each(|(all, more)| all.extend(more));
        self.lost.iter_mut().zip(more.lost).for_each(|(all, more)| *all += more);
        self.left_out += more.left_out;
        self.claimed += more.claimed;
        self.avoided += more.avoided;
    }
}

/// Assigns the customers of a batch.
fn assign(
    sets: &[RuleSet],
    time: Time<'_>,
    (other, grounds, takes_look): (&EarlierDefinition, &Grounds, bool),
    pair: &Pair,
    last: Option<&str>,
) -> Result<Done> {
    let people = People::meet(time, pair.ids.clone(), last, &pair.state)?;
    let decisions = decide_all(sets, time, &pair.profile, &people, matches)?;
    let people = people.compared_with(other.of(time, pair, last)?);
    let assigned: Vec<Assignment> = decisions
        .iter()
        .enumerate()
        .map(|(at, decided)| Assignment {
            starts: decided.starts.clone(),
            members: decided.members.iter().map(|(position, _)| time.names.of_position(at, *position)).collect(),
        })
        .collect();
    let causes = ChangeCauses::of(grounds, sets, time, pair, &people, &assigned)?;
    let ask = |people: &People<'_>, row: usize, from: Option<u32>, to: Option<u32>, today: &[u32]| {
        causes.cause(time.names, time.single, &Changed { row, from, to, today }, people.opinion(row))
    };
    let settled = people.settle(&assigned, &ask)?;
    let tally = takes_look.then(|| Tally::of(sets, &pair.profile, &decisions)).transpose()?;
    let decided = sets.iter().zip(decisions).zip(&settled.members);
    let sets = decided.map(|((set, decided), stays)| InSet::of(set.rules.len(), &pair.ids, decided, stays)).collect();
    Ok(Done { sets, settled, tally })
}
