//! Assigns customers to segments: evaluates the rules over the profile, a few batches at a time, so that it is never in memory as a whole.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{and, and_not, filter, or, prep_null_mask_filter};
use arrow::datatypes::DataType;
use datafusion::physical_expr::PhysicalExpr;

use super::domain::{Domains, Verification};
use super::rule::of_columns;
use super::rule_set::{CUSTOMER_ID, RuleSet, membership_schema};
use crate::config::SetKind;
use crate::engine::parallel;
use crate::error::{Error, Message, Result};
use crate::graph::PROFILE;
use crate::sql;

/// The members of all segments, and how many customers were withheld because a channel may not reach them.
#[derive(Debug)]
pub struct Assigned {
    /// The members of each segment, in order of set, segment (by priority) and customer.
    pub(super) members: Vec<Members>,
    /// How many customers each segment withholds because its channel may not reach them, by set and segment in order.
    pub(super) withheld: Vec<Vec<u64>>,
    /// How many customers there are.
    pub customers: u64,
}

/// The members of one segment.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) segment_set: String,
    pub(super) segment: String,
    /// In order.
    pub(super) customer_ids: Vec<ArrayRef>,
}

impl Assigned {
    /// The memberships, batch by batch, each of one segment. Memory is released as the batches are taken.
    pub fn into_memberships(self) -> impl Iterator<Item = Result<RecordBatch>> {
        self.members.into_iter().flat_map(|Members { segment_set, segment, customer_ids }| {
            let some = customer_ids.into_iter().filter(|ids| !ids.is_empty());
            some.map(move |ids| membership(&segment_set, &segment, &ids))
        })
    }
}

/// Assigns customers to segments batch by batch, and verifies the declared domains of the profile.
#[derive(Debug)]
pub struct Assigner<'a> {
    sets: &'a [RuleSet],
    verification: Verification<'a>,
    threads: usize,
    found: Vec<InSet>,
    /// The memory that the members take.
    bytes: usize,
    nameless: usize,
    customers: u64,
}

/// The members of the segments of one set, among some customers.
#[derive(Debug, Default)]
struct InSet {
    /// The members of each segment, in order.
    members: Vec<Vec<ArrayRef>>,
    /// How many customers each segment withholds because its channel may not reach them.
    lost: Vec<u64>,
    /// How many customers no rule matches.
    left_out: usize,
    /// How often a rule matches a customer whom an earlier one matches.
    claimed: usize,
}

impl<'a> Assigner<'a> {
    /// An assigner to which no customer has been added.
    pub fn new(sets: &'a [RuleSet], domains: &'a Domains, threads: usize) -> Self {
        let found = sets.iter().map(|set| InSet::new(set.rules.len())).collect();
        Assigner { sets, verification: domains.verification(), threads, found, bytes: 0, nameless: 0, customers: 0 }
    }

    /// Assigns the next customers. They must come in order of customer.
    ///
    /// # Errors
    /// [`Error::Refused`] when a rule fails on a row.
    pub fn add(&mut self, profile: &[RecordBatch]) -> Result<()> {
        for batch in profile {
            self.verification.add(batch)?;
            self.nameless += customer_ids(batch)?.null_count();
            self.customers += batch.num_rows() as u64;
        }
        let mut parts: Vec<(&RecordBatch, Result<Vec<InSet>>)> = profile.iter().map(|batch| (batch, Ok(Vec::new()))).collect();
        let sets = self.sets;
        parallel(&mut parts, self.threads, |(batch, found)| *found = sets.iter().map(|set| in_set(set, batch)).collect());
        for (_, found) in parts {
            // A rule may fail on values outside the declared domains. Then the values are reported, and not the rule.
            let found = found.or_else(|error| self.verification.finish().and(Err(error)))?;
            let members = found.iter().flat_map(|set| &set.members).flatten();
            self.bytes += members.map(Array::get_array_memory_size).sum::<usize>();
            self.found.iter_mut().zip(found).for_each(|(all, more)| all.add(more));
        }
        Ok(())
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
        let mut assigned = Vec::new();
        let mut withheld = Vec::new();
        for (set, InSet { members, lost, left_out, claimed }) in self.sets.iter().zip(self.found) {
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
            withheld.push(lost);
            for ((segment, _), customer_ids) in set.rules.iter().zip(members) {
                assigned.push(Members { segment_set: set.name.clone(), segment: segment.clone(), customer_ids });
            }
        }
        Ok(Assigned { members: assigned, withheld, customers: self.customers })
    }
}

impl InSet {
    fn new(segments: usize) -> Self {
        InSet { members: vec![Vec::new(); segments], lost: vec![0; segments], left_out: 0, claimed: 0 }
    }

    fn add(&mut self, more: InSet) {
        self.members.iter_mut().zip(more.members).for_each(|(all, more)| all.extend(more));
        self.lost.iter_mut().zip(more.lost).for_each(|(all, more)| *all += more);
        self.left_out += more.left_out;
        self.claimed += more.claimed;
    }
}

fn in_set(set: &RuleSet, batch: &RecordBatch) -> Result<InSet> {
    let mut found = InSet::new(set.rules.len());
    let mut taken = BooleanArray::from(vec![false; batch.num_rows()]);
    for (position, (segment, rule)) in set.rules.iter().enumerate() {
        let place = set.places.get(position).map_or("", String::as_str);
        let matched = matches(set, (segment, place), rule, batch)?;
        let mine = match set.kind {
            SetKind::Exclusive => and_not(&matched, &taken).map_err(defect)?,
            SetKind::Partition | SetKind::Overlapping => matched.clone(),
        };
        found.claimed += and(&matched, &taken).map_err(defect)?.true_count();
        taken = or(&taken, &matched).map_err(defect)?;
        let mine = match &set.permissions[position] {
            Some(permission) => {
                let reached = and(&mine, &matches(set, (segment, place), permission, batch)?).map_err(defect)?;
                found.lost[position] += (mine.true_count() - reached.true_count()) as u64;
                reached
            }
            None => mine,
        };
        if mine.true_count() > 0 {
            found.members[position].push(filter(customer_ids(batch)?, &mine).map_err(defect)?);
        }
    }
    found.left_out += batch.num_rows() - taken.true_count();
    Ok(found)
}

/// Which rows a rule matches. A rule that is null for a row does not match it.
fn matches(set: &RuleSet, (segment, place): (&str, &str), rule: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let evaluated = rule.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
    let evaluated = evaluated.map_err(|error| {
        let what = format!("the rule of the segment `{}` in the set `{}` failed: {}", segment, set.name, sql::discreet(&error));
        let message = Message::new(what).detail(format!("at {place}{}", of_columns(rule)));
        Error::Refused(message.hint("guard the rule against such values, for example with `nullif`"))
    })?;
    let mask = evaluated.as_boolean();
    if mask.null_count() > 0 { Ok(prep_null_mask_filter(mask)) } else { and(mask, mask).map_err(defect) }
}

fn customer_ids(batch: &RecordBatch) -> Result<&ArrayRef> {
    batch.column_by_name(CUSTOMER_ID).ok_or_else(|| Error::defect("the profile lost its customer_id"))
}

fn membership(set: &str, segment: &str, ids: &ArrayRef) -> Result<RecordBatch> {
    let rows = ids.len();
    let ids = arrow::compute::cast(ids, &DataType::Utf8).map_err(defect)?;
    let constant = |text: &str| Arc::new(StringArray::from(vec![text; rows])) as ArrayRef;
    RecordBatch::try_new(membership_schema(), vec![ids, constant(set), constant(segment)]).map_err(defect)
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("segments were not assigned: {}", sql::discreet(&error.into())))
}
