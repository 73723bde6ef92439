//! A set of segments whose rules are compiled, and the table that its members come to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;

use crate::config::SetKind;

/// The column that names a customer.
pub const CUSTOMER_ID: &str = "customer_id";

/// A set of segments with its rules compiled.
#[derive(Debug)]
pub struct RuleSet {
    /// The set's name.
    pub name: String,
    /// How its segments relate.
    pub kind: SetKind,
    /// The names that the set had before.
    pub formerly: Vec<String>,
    /// Its segments with their rules, in order of priority.
    pub rules: Vec<(String, Arc<dyn PhysicalExpr>)>,
    /// The conditions of each rule that must all hold, in the same order.
    pub conditions: Vec<Vec<RuleCondition>>,
    /// The condition under which a customer may be reached through each segment's channel, in the same order.
    pub permissions: Vec<Option<Arc<dyn PhysicalExpr>>>,
    /// What keeps customers in each segment, or out of it, beside its rule, in the same order.
    pub stability: Vec<Stability>,
    /// The place of each rule, such as `pipelines/customer_segments.yaml:12:15`, in the same order.
    pub places: Vec<String>,
    /// Whether rules of later sets read which segment of this one a customer is in.
    pub is_read_later: bool,
}

/// A condition of a rule that must hold together with the others.
#[derive(Debug, Clone)]
pub struct RuleCondition {
    /// The condition as people write it.
    pub written: String,
    /// The condition.
    pub condition: Arc<dyn PhysicalExpr>,
}

/// What keeps customers in a segment, or out of it, beside its rule.
#[derive(Debug, Default)]
pub struct Stability {
    /// The condition while which a member remains one, and its place.
    pub stay: Option<(Arc<dyn PhysicalExpr>, String)>,
    /// For how many days who has entered remains a member.
    pub minimum_stay_days: Option<i32>,
    /// For how many days who has left cannot enter.
    pub cooldown_days: Option<i32>,
    /// The names that the segment had before.
    pub formerly: Vec<String>,
}

impl RuleSet {
    /// Whether anything but the rules keeps customers in its segments, or out of them.
    pub fn has_stability(&self) -> bool {
        self.stability.iter().any(|of| of.stay.is_some() || of.minimum_stay_days.is_some() || of.cooldown_days.is_some())
    }

    /// The columns that the rules of each segment read.
    pub fn columns_read(&self) -> impl Iterator<Item = (&str, BTreeSet<String>)> {
        self.rules.iter().zip(&self.stability).map(|((segment, when), stability)| {
            let conditions = std::iter::once(when).chain(stability.stay.iter().map(|(stay, _)| stay));
            let columns = conditions.flat_map(collect_columns).map(|column| column.name().to_owned()).collect();
            (segment.as_str(), columns)
        })
    }

    /// Whether a customer is in one of its segments at most.
    pub fn is_single(&self) -> bool {
        self.kind != SetKind::Overlapping
    }
}

/// The columns of the profile that decide who is in each segment, in the order of the sets and their priorities: those that its own
/// conditions read and, where a customer is in one segment at most, those of the rules that come first. What an earlier set decides that a
/// rule reads is decided by the columns of that set.
pub fn deciding_columns(sets: &[RuleSet]) -> Vec<BTreeSet<String>> {
    let names = |condition: &Arc<dyn PhysicalExpr>| collect_columns(condition).into_iter().map(|column| column.name().to_owned());
    let mut of_sets: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut found = Vec::new();
    for set in sets {
        let mut of_set = BTreeSet::new();
        let mut come_first = BTreeSet::new();
        for (((_, when), permission), stability) in set.rules.iter().zip(&set.permissions).zip(&set.stability) {
            let others = permission.iter().chain(stability.stay.iter().map(|(stay, _)| stay));
            let read: BTreeSet<String> = names(when).chain(others.flat_map(names)).chain(come_first.iter().cloned()).collect();
            let decided_by = |name: String| of_sets.get(name.as_str()).cloned().unwrap_or_else(|| BTreeSet::from([name]));
            let columns: BTreeSet<String> = read.into_iter().flat_map(decided_by).collect();
            if set.is_single() {
                come_first.extend(names(when));
            }
            of_set.extend(columns.iter().cloned());
            found.push(columns);
        }
        if set.is_read_later {
            of_sets.insert(&set.name, of_set);
        }
    }
    found
}

/// The columns of the memberships.
pub fn membership_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new("segment_set", DataType::Utf8, false),
        Field::new("segment", DataType::Utf8, false),
        Field::new("member_since", DataType::Date32, false),
        Field::new("previous_segment", DataType::Utf8, true),
        Field::new("times_entered", DataType::Int64, false),
        Field::new("held_by", DataType::Utf8, false),
    ]))
}

/// What the columns of [`membership_schema`] mean.
pub const MEMBERSHIP_DESCRIPTIONS: &[(&str, &str)] = &[
    ("customer_id", "The customer"),
    ("segment_set", "The set"),
    ("segment", "The segment that the customer is in"),
    ("member_since", "The as-of day on which this uninterrupted stay began"),
    ("previous_segment", "The segment of the set in which the customer was before this stay; null if in none, and in overlapping sets"),
    ("times_entered", "How often the customer has entered the segment"),
    ("held_by", "Why: `rule`, or `stay` or `minimum_stay` if only stability keeps the customer"),
];
