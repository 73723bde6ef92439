//! A set of segments whose rules are compiled, and the table that its members come to.

use std::collections::BTreeSet;
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
