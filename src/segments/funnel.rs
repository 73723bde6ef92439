//! A closer look at the rules over today's customers: how many each condition leaves and removes, and how segments overlap. Only a plan takes
//! it, since a run does not need it.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;

use super::conditions::with_segments;
use super::decide::Decided;
use super::rule_set::{RuleCondition, RuleSet};
use super::why::{operands, written};
use crate::config::{SegmentSet, SetKind};
use crate::engine::Engine;
use crate::error::Result;

/// The conditions of a valid rule that must all hold, in order; the rule itself, if it is no chain of `and`.
fn conditions(
    engine: &Engine,
    schema: &DFSchema,
    parameters: &BTreeMap<String, ScalarValue>,
    text: &str,
) -> Result<Vec<RuleCondition>, DataFusionError> {
    let parsed = engine.parse_rule(text)?;
    let parts = operands(&parsed, &datafusion::sql::sqlparser::ast::BinaryOperator::And);
    let compiled = parts.into_iter().map(|part| {
        let condition = engine.physical(engine.rule(part.clone(), parameters, schema)?, schema)?;
        Ok(RuleCondition { written: written(part), condition })
    });
    compiled.collect()
}

/// The conditions of the rules of a set, in order; none of a rule that is not valid.
pub fn conditions_of(
    engine: &Engine,
    schema: &DFSchema,
    parameters: &BTreeMap<String, ScalarValue>,
    set: &SegmentSet,
) -> Vec<Vec<RuleCondition>> {
    set.segments.iter().map(|segment| conditions(engine, schema, parameters, &segment.when.value).unwrap_or_default()).collect()
}

/// What a condition does to the customers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct FunnelStep {
    /// The condition.
    pub condition: String,
    /// How many customers are left after it and those before it.
    pub left: u64,
    /// How many it removes of those that the conditions before it leave.
    pub removed: u64,
    /// How many it would remove alone, of all customers; none where it can only be evaluated after those before it.
    pub removed_alone: Option<u64>,
    /// How many it alone keeps out: all other conditions hold for them; none as above.
    pub removed_by_it_only: Option<u64>,
    /// For how many of all customers it is unknown, because a value is not known; none as above.
    pub unknown: Option<u64>,
}

/// What a rule makes of the customers: `customers - removed in order = matched`, and
/// `matched - elsewhere + held - withheld = members`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Funnel {
    /// The set.
    pub segment_set: String,
    /// The segment.
    pub segment: String,
    /// How many customers there are.
    pub customers: u64,
    /// Its conditions in order.
    pub steps: Vec<FunnelStep>,
    /// How many customers the rule matches.
    pub matched: u64,
    /// How many of these are in another segment of the set, or kept out by memory.
    pub elsewhere: u64,
    /// How many are in the segment although the rule does not match them.
    pub held: u64,
    /// How many are withheld, because the channel may not reach them.
    pub withheld: u64,
    /// How many members the segment has.
    pub members: u64,
}

/// Two segments of overlapping sets, and how many customers are in both.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Overlap {
    /// The set and the segment.
    pub one: (String, String),
    /// The set and the other segment.
    pub other: (String, String),
    /// How many customers are in the first.
    pub of_one: u64,
    /// How many customers are in the second.
    pub of_other: u64,
    /// How many are in both.
    pub both: u64,
}

/// A closer look at the segments.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The funnel of every segment, by set and priority.
    pub funnels: Vec<Funnel>,
    /// Every pair of segments of overlapping sets, in order.
    pub overlaps: Vec<Overlap>,
}

/// Counts for a look, of some customers.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    funnels: Vec<Funnel>,
    /// By two segments of overlapping sets, counted over these sets: how many are in both.
    pairs: Vec<u64>,
}

impl Tally {
    /// Counts the customers of a batch, of whom it was decided in which segments they are.
    ///
    /// # Errors
    /// [`crate::error::Error::Defect`] alone: a condition that fails is left out of the counts.
    pub fn of(sets: &[RuleSet], profile: &RecordBatch, decisions: &[Decided]) -> Result<Self> {
        let mut tally = Tally { funnels: Vec::new(), pairs: overlaps_of(sets, profile.num_rows(), decisions) };
        let mut rows = profile.clone();
        for (set, decided) in sets.iter().zip(decisions) {
            for position in 0..set.rules.len() {
                tally.funnels.push(funnel(set, position, &rows, decided));
            }
            if set.is_read_later {
                rows = with_segments(set, &rows, decided)?;
            }
        }
        Ok(tally)
    }

    /// Adds the counts of other customers.
    pub fn add(&mut self, other: Tally) {
        if self.funnels.is_empty() {
            *self = other;
            return;
        }
        self.pairs.iter_mut().zip(other.pairs).for_each(|(all, more)| *all += more);
        for (all, more) in self.funnels.iter_mut().zip(other.funnels) {
            all.customers += more.customers;
            all.matched += more.matched;
            all.elsewhere += more.elsewhere;
            all.held += more.held;
            all.withheld += more.withheld;
            all.members += more.members;
            for (all, more) in all.steps.iter_mut().zip(more.steps) {
                all.left += more.left;
                all.removed += more.removed;
                let both = |one: Option<u64>, other: Option<u64>| one.zip(other).map(|(one, other)| one + other);
                all.removed_alone = both(all.removed_alone, more.removed_alone);
                all.removed_by_it_only = both(all.removed_by_it_only, more.removed_by_it_only);
                all.unknown = both(all.unknown, more.unknown);
            }
        }
    }

    /// The look that the counts of all customers come to.
    pub fn finish(self, sets: &[RuleSet]) -> Look {
        let names: Vec<(String, String)> =
            overlapping(sets).flat_map(|(_, set)| set.rules.iter().map(|(segment, _)| (set.name.clone(), segment.clone()))).collect();
        let size = |at: usize| self.pairs.get(at * names.len() + at).copied().unwrap_or_default();
        let mut overlaps = Vec::new();
        for one in 0..names.len() {
            for other in one + 1..names.len() {
                let both = self.pairs.get(one * names.len() + other).copied().unwrap_or_default();
                let (of_one, of_other) = (size(one), size(other));
                overlaps.push(Overlap { one: names[one].clone(), other: names[other].clone(), of_one, of_other, both });
            }
        }
        Look { funnels: self.funnels, overlaps }
    }
}

fn overlapping(sets: &[RuleSet]) -> impl Iterator<Item = (usize, &RuleSet)> {
    sets.iter().enumerate().filter(|(_, set)| set.kind == SetKind::Overlapping)
}

/// How many of some customers are in both of two segments, for every pair of segments of overlapping sets.
fn overlaps_of(sets: &[RuleSet], rows: usize, decisions: &[Decided]) -> Vec<u64> {
    let count: usize = overlapping(sets).map(|(_, set)| set.rules.len()).sum();
    let mut pairs = vec![0; count * count];
    let mut own: Vec<usize> = Vec::new();
    for row in 0..rows {
        own.clear();
        let mut first = 0;
        for (at, set) in overlapping(sets) {
            let Decided { starts, members, .. } = &decisions[at];
            own.extend(members[starts[row]..starts[row + 1]].iter().map(|(position, _)| first + position));
            first += set.rules.len();
        }
        own.sort_unstable();
        for (at, one) in own.iter().enumerate() {
            for other in &own[at..] {
                pairs[one * count + other] += 1;
            }
        }
    }
    pairs
}

/// For whom a condition holds; null where it is unknown. None where it fails for one of them.
fn holds(condition: &RuleCondition, rows: &RecordBatch) -> Option<BooleanArray> {
    let evaluated = condition.condition.evaluate(rows).and_then(|value| value.into_array(rows.num_rows())).ok()?;
    evaluated.as_boolean_opt().cloned()
}

/// The funnel of a segment for the customers of a batch.
fn funnel(set: &RuleSet, position: usize, rows: &RecordBatch, decided: &Decided) -> Funnel {
    let (segment, _) = &set.rules[position];
    let conditions = &set.conditions[position];
    let customers = rows.num_rows();
    let alone: Vec<Option<BooleanArray>> = conditions.iter().map(|condition| holds(condition, rows)).collect();
    let is_true = |holds: &BooleanArray, row: usize| holds.is_valid(row) && holds.value(row);
    let mut left = vec![true; customers];
    let mut steps = Vec::new();
    for (at, condition) in conditions.iter().enumerate() {
        let before = left.iter().filter(|is_left| **is_left).count();
        match &alone[at] {
            Some(holds) => left.iter_mut().enumerate().for_each(|(row, is_left)| *is_left &= is_true(holds, row)),
            // Guarded by the conditions before it, it may hold for those that are left.
            None => keep_those_left(condition, rows, &mut left),
        }
        let after = left.iter().filter(|is_left| **is_left).count();
        let count = |is: &dyn Fn(usize) -> bool| (0..customers).filter(|row| is(*row)).count() as u64;
        let only = alone.iter().all(Option::is_some).then(|| {
            let others = || alone.iter().enumerate().filter(|(other, _)| *other != at).filter_map(|(_, holds)| holds.as_ref());
            let own = |row| alone[at].as_ref().is_some_and(|own| !is_true(own, row));
            count(&|row| own(row) && others().all(|holds| is_true(holds, row)))
        });
        steps.push(FunnelStep {
            condition: condition.written.clone(),
            left: after as u64,
            removed: (before - after) as u64,
            removed_alone: alone[at].as_ref().map(|holds| count(&|row| !is_true(holds, row))),
            removed_by_it_only: only,
            unknown: alone[at].as_ref().map(|holds| holds.null_count() as u64),
        });
    }
    let matched = left.iter().filter(|is_left| **is_left).count() as u64;
    let (mut members, mut held) = (0, decided.withheld_by_memory[position]);
    for (row, is_matched) in left.iter().enumerate() {
        let is_member = decided.members[decided.starts[row]..decided.starts[row + 1]].iter().any(|(of, _)| *of == position);
        members += u64::from(is_member);
        held += u64::from(is_member && !is_matched);
    }
    let withheld = decided.withheld[position];
    Funnel {
        segment_set: set.name.clone(),
        segment: segment.clone(),
        customers: customers as u64,
        steps,
        matched,
        elsewhere: (matched + held).saturating_sub(members + withheld),
        held,
        withheld,
        members,
    }
}

/// Evaluates a condition for those that are left. Where it fails for one of them, nobody is left.
fn keep_those_left(condition: &RuleCondition, rows: &RecordBatch, left: &mut [bool]) {
    let mask = BooleanArray::from(left.to_vec());
    let found = filter_record_batch(rows, &mask).ok().and_then(|rows| holds(condition, &rows));
    for (position, is_left) in left.iter_mut().filter(|is_left| **is_left).enumerate() {
        *is_left = found.as_ref().is_some_and(|found| found.is_valid(position) && found.value(position));
    }
}
