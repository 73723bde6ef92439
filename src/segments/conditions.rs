//! Evaluates the conditions of segments over customers.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and, prep_null_mask_filter};
use datafusion::physical_expr::PhysicalExpr;

use super::decide::{Conditions, Decided, decide};
use super::earlier_sets::with_column;
use super::memory::{People, Time};
use super::rule::of_columns;
use super::rule_set::RuleSet;
use crate::error::{Error, Message, Result};
use crate::sql;

/// Decides every set for the customers of a batch, with an evaluation of conditions.
pub(super) fn decide_all(
    sets: &[RuleSet],
    time: Time<'_>,
    profile: &RecordBatch,
    people: &People<'_>,
    mut evaluate: impl FnMut(&Condition<'_>, &RecordBatch) -> Result<BooleanArray>,
) -> Result<Vec<Decided>> {
    let mut decisions = Vec::with_capacity(sets.len());
    let mut rows = profile.clone();
    for (at, set) in sets.iter().enumerate() {
        let decided = decide(set, at, time, &conditions(set, &rows, &mut evaluate)?, people, rows.num_rows());
        if set.is_read_later {
            rows = with_segments(set, &rows, &decided)?;
        }
        decisions.push(decided);
    }
    Ok(decisions)
}

/// Rows with the segment of each in a set as a column, for the rules of later sets.
pub(super) fn with_segments(set: &RuleSet, rows: &RecordBatch, decided: &Decided) -> Result<RecordBatch> {
    let names: Vec<&str> = set.rules.iter().map(|(segment, _)| segment.as_str()).collect();
    let first = |range: &[usize]| decided.members[range[0]..range[1]].first().map(|(position, _)| *position);
    let segments: Vec<Option<usize>> = decided.starts.windows(2).map(first).collect();
    with_column(rows, &set.name, &names, &segments).map_err(defect)
}

/// A condition of a segment, and where it is for messages.
pub(super) struct Condition<'a> {
    pub(super) set: &'a str,
    pub(super) segment: &'a str,
    pub(super) place: &'a str,
    pub(super) rule: &'a Arc<dyn PhysicalExpr>,
}

/// What the conditions of a set say of the rows of a batch.
fn conditions(
    set: &RuleSet,
    batch: &RecordBatch,
    mut evaluate: impl FnMut(&Condition<'_>, &RecordBatch) -> Result<BooleanArray>,
) -> Result<Conditions> {
    let mut found = Conditions { matched: Vec::new(), permitted: Vec::new(), stays: Vec::new() };
    for (position, (segment, rule)) in set.rules.iter().enumerate() {
        let place = set.places.get(position).map_or("", String::as_str);
        let mut matches = |rule, place| evaluate(&Condition { set: &set.name, segment, place, rule }, batch);
        found.matched.push(matches(rule, place)?);
        let permission = set.permissions[position].as_ref();
        found.permitted.push(permission.map(|permission| matches(permission, place)).transpose()?);
        let stay = set.stability[position].stay.as_ref();
        found.stays.push(stay.map(|(stay, place)| matches(stay, place)).transpose()?);
    }
    Ok(found)
}

/// Which rows a condition matches. One that is null for a row does not match it.
pub(super) fn matches(condition: &Condition<'_>, batch: &RecordBatch) -> Result<BooleanArray> {
    let Condition { set, segment, place, rule } = condition;
    let evaluated = rule.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
    let evaluated = evaluated.map_err(|error| {
        let what = format!("the rule of the segment `{segment}` in the set `{set}` failed: {}", sql::discreet(&error));
        let message = Message::new(what).detail(format!("at {place}{}", of_columns(rule)));
        Error::Refused(message.hint("guard the rule against such values, for example with `nullif`"))
    })?;
    let mask = evaluated.as_boolean();
    if mask.null_count() > 0 { Ok(prep_null_mask_filter(mask)) } else { and(mask, mask).map_err(defect) }
}

pub(super) fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("segments were not assigned: {}", sql::discreet(&error.into())))
}
