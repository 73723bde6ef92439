//! Segment rules over the customer profile, and who is in which segment.

mod domain;
mod prove;
mod rule;

pub use domain::Domains;
pub use prove::{Proof, prove};

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{and, and_not, filter, or, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;

use crate::config::{Pipeline, Project, SetKind, Values, span_of, span_within};
use crate::diagnostic::{Diagnostic, Span};
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::graph::PROFILE;
use crate::sql;

/// The column that names a customer.
pub const CUSTOMER_ID: &str = "customer_id";

/// A set of segments with its rules compiled.
#[derive(Debug)]
pub struct RuleSet {
    /// The set's name.
    pub name: String,
    /// How its segments relate.
    pub kind: SetKind,
    /// Its segments with their rules, in order of priority.
    pub rules: Vec<(String, Arc<dyn PhysicalExpr>)>,
    /// On what condition a customer may be reached through each segment's channel, in the same order.
    pub permissions: Vec<Option<Arc<dyn PhysicalExpr>>>,
}

/// Who is in which segment, and how many would be if they might be reached.
#[derive(Debug)]
pub struct Assigned {
    /// The members, a batch of one segment each, in order of set, segment (by priority) and customer.
    pub memberships: Vec<RecordBatch>,
    /// How many each segment lost because its channel may not reach them, by set and segment in order.
    withheld: Vec<Vec<u64>>,
}

/// The size of a segment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SegmentSize {
    /// The set.
    pub segment_set: String,
    /// The segment.
    pub segment: String,
    /// Its members.
    pub customers: u64,
    /// Those whom its rule matches, and whom its channel may not reach.
    pub withheld: u64,
}

/// Who is in a segment: `customer_id`, `segment_set`, `segment`.
pub fn membership_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new("segment_set", DataType::Utf8, false),
        Field::new("segment", DataType::Utf8, false),
    ]))
}

/// The segments as the pipeline file describes them, a row each, in its order.
///
/// # Errors
/// [`Error::Defect`] when the rows do not fit their schema.
pub fn describe(pipeline: &Pipeline) -> Result<RecordBatch> {
    let rows: Vec<_> = pipeline
        .segments
        .iter()
        .flat_map(|(set, declared)| declared.segments.iter().enumerate().map(move |(at, segment)| (set, declared, at, segment)))
        .collect();
    let texts = |text: &dyn Fn(usize) -> String| Arc::new((0..rows.len()).map(|at| Some(text(at))).collect::<StringArray>()) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("segment_set", texts(&|at| rows[at].0.clone())),
        ("segment", texts(&|at| rows[at].3.name.value.clone())),
        ("set_kind", texts(&|at| rows[at].1.kind.value.to_string())),
        ("priority", Arc::new(rows.iter().map(|row| i64::try_from(row.2 + 1).ok()).collect::<Int64Array>())),
        ("description", texts(&|at| rows[at].3.description.clone())),
        ("action", texts(&|at| rows[at].3.action.clone())),
        ("channel", texts(&|at| rows[at].3.channel.to_string())),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), false)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|error| Error::defect(error.to_string()))
}

/// Compiles the rules of every set against the columns of the profile.
///
/// # Errors
/// [`Error::Project`] with every rule that does not parse, reads a column that is not there, or is no condition.
pub fn compile(project: &Project, values: &Values, engine: &Engine, profile: &SchemaRef) -> Result<Vec<RuleSet>> {
    let mut problems = Vec::new();
    let mut sets = Vec::new();
    if profile
        .column_with_name(CUSTOMER_ID)
        .is_none_or(|(_, field)| field.data_type() != &DataType::Utf8 && field.data_type() != &DataType::Utf8View)
    {
        problems.push(
            Diagnostic::error("no-customer-id", format!("the profile `{PROFILE}` has no text column `{CUSTOMER_ID}`"))
                .at(profile_model(project))
                .label("this model's columns")
                .hint("a row of the profile is a customer, named by `customer_id`"),
        );
    }
    let schema = DFSchema::try_from(profile.as_ref().clone()).map_err(|error| Error::defect(error.to_string()))?;
    for (set, declared) in &project.pipeline.segments {
        let mut rules = Vec::new();
        for segment in &declared.segments {
            let name = &segment.name.value;
            if rules.iter().any(|(known, _)| known == name) {
                let problem = Diagnostic::error("duplicate-segment", format!("the set `{set}` has two segments `{name}`"));
                problems.push(problem.at(span_of(&project.file, &segment.name)).label("the second one"));
            }
            match rule::compile(engine, &schema, &values.parameters, &segment.when.value) {
                Ok(compiled) => rules.push((name.clone(), compiled)),
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| problem.moved(|part| span_within(&project.file, &segment.when, part))));
                }
            }
        }
        let mut permissions = Vec::new();
        for segment in &declared.segments {
            let Some(permission) = declared.permissions.get(&segment.channel) else {
                permissions.push(None);
                continue;
            };
            match rule::compile(engine, &schema, &values.parameters, &permission.value) {
                Ok(compiled) => permissions.push(Some(compiled)),
                Err(found) => {
                    let found = found.into_iter().map(|problem| problem.moved(|part| span_within(&project.file, permission, part)));
                    let found: Vec<Diagnostic> = found.filter(|problem| !problems.contains(problem)).collect();
                    problems.extend(found);
                }
            }
        }
        sets.push(RuleSet { name: set.clone(), kind: declared.kind.value, rules, permissions });
    }
    if problems.is_empty() { Ok(sets) } else { Err(Error::Project(problems)) }
}

/// Where the profile is made; the pipeline file, should it have no model.
fn profile_model(project: &Project) -> Span {
    let model = project.models.iter().find(|model| model.name() == PROFILE);
    sql::whole(model.map_or(&project.file, |model| &model.file))
}

/// Puts every customer into segments. The profile's batches must be in order of customer; the result is in order of set,
/// segment (by priority) and customer.
///
/// # Errors
/// [`Error::Refused`] when an exclusive set or a partition leaves customers out, two rules of a partition match one, or a rule fails
/// on a row.
pub fn assign(sets: &[RuleSet], profile: &[RecordBatch]) -> Result<Assigned> {
    let nameless: usize = profile.iter().map(|batch| customer_ids(batch).map(Array::null_count)).sum::<Result<_>>()?;
    if nameless > 0 {
        let what = format!("{nameless} rows of the profile `{PROFILE}` have no `{CUSTOMER_ID}`");
        return Err(Error::Refused(Message::new(what).hint("leave out of the profile whoever has no number, or give them one")));
    }
    let mut memberships = Vec::new();
    let mut withheld = Vec::new();
    for set in sets {
        let mut members: Vec<Vec<ArrayRef>> = vec![Vec::new(); set.rules.len()];
        let (mut left_out, mut claimed) = (0, 0);
        let mut lost = vec![0; set.rules.len()];
        for batch in profile {
            let mut taken = BooleanArray::from(vec![false; batch.num_rows()]);
            for (position, (segment, rule)) in set.rules.iter().enumerate() {
                let matched = matches(set, segment, rule, batch)?;
                let mine = match set.kind {
                    SetKind::Exclusive => and_not(&matched, &taken).map_err(defect)?,
                    SetKind::Partition | SetKind::Overlapping => matched.clone(),
                };
                claimed += and(&matched, &taken).map_err(defect)?.true_count();
                taken = or(&taken, &matched).map_err(defect)?;
                let mine = match &set.permissions[position] {
                    Some(permission) => {
                        let reached = and(&mine, &matches(set, segment, permission, batch)?).map_err(defect)?;
                        lost[position] += (mine.true_count() - reached.true_count()) as u64;
                        reached
                    }
                    None => mine,
                };
                members[position].push(filter(customer_ids(batch)?, &mine).map_err(defect)?);
            }
            left_out += batch.num_rows() - taken.true_count();
        }
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
        for ((segment, _), ids) in set.rules.iter().zip(members) {
            for ids in ids.into_iter().filter(|ids| !ids.is_empty()) {
                memberships.push(membership(&set.name, segment, ids)?);
            }
        }
    }
    Ok(Assigned { memberships, withheld })
}

/// The size of every segment, in the order of the sets and their priorities.
pub fn sizes(sets: &[RuleSet], assigned: &Assigned) -> Vec<SegmentSize> {
    let mut sizes: Vec<SegmentSize> = Vec::new();
    for (set, withheld) in sets.iter().zip(&assigned.withheld) {
        let counted = set.rules.iter().map(|(segment, _)| segment.clone()).zip(withheld);
        sizes.extend(counted.map(|(segment, &withheld)| SegmentSize { segment_set: set.name.clone(), segment, customers: 0, withheld }));
    }
    // A batch of memberships is of one segment.
    for batch in assigned.memberships.iter().filter(|batch| batch.num_rows() > 0) {
        let (set, segment) = (batch.column(1).as_string::<i32>().value(0), batch.column(2).as_string::<i32>().value(0));
        if let Some(size) = sizes.iter_mut().find(|size| size.segment_set == set && size.segment == segment) {
            size.customers += batch.num_rows() as u64;
        }
    }
    sizes
}

/// Which rows a rule matches; a rule that is neither true nor false does not.
fn matches(set: &RuleSet, segment: &str, rule: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let evaluated = rule.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
    let evaluated = evaluated.map_err(|error| {
        let what = format!("the rule of the segment `{}` in the set `{}` failed: {}", segment, set.name, sql::discreet(&error));
        Error::Refused(Message::new(what).hint("guard the rule against such values, as with `nullif`"))
    })?;
    let mask = evaluated.as_boolean();
    if mask.null_count() > 0 { Ok(prep_null_mask_filter(mask)) } else { and(mask, mask).map_err(defect) }
}

fn customer_ids(batch: &RecordBatch) -> Result<&ArrayRef> {
    batch.column_by_name(CUSTOMER_ID).ok_or_else(|| Error::defect("the profile lost its customer_id"))
}

fn membership(set: &str, segment: &str, ids: ArrayRef) -> Result<RecordBatch> {
    let rows = ids.len();
    let ids = arrow::compute::cast(&ids, &DataType::Utf8).map_err(defect)?;
    let constant = |text: &str| Arc::new(StringArray::from(vec![text; rows])) as ArrayRef;
    RecordBatch::try_new(membership_schema(), vec![ids, constant(set), constant(segment)]).map_err(defect)
}

fn defect(error: arrow::error::ArrowError) -> Error {
    Error::defect(format!("segments were not assigned: {error}"))
}
