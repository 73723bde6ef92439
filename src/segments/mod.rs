//! Segments: rules over the customer profile are compiled, proved, and evaluated to find the members of each segment.

mod assign;
mod assigned;
mod change_causes;
mod conditions;
mod decide;
mod domain;
mod earlier_definition;
mod earlier_memberships;
mod earlier_opinions;
mod earlier_sets;
mod funnel;
pub mod memory;
pub mod movement;
mod origins;
mod pair;
mod prove;
mod rule;
mod rule_set;
mod stability;
mod target;
pub mod why;

pub use assign::{Assigner, Told, names};
pub use assigned::{Assigned, Avoided};
pub use change_causes::{Grounds, SourceChange};
pub use domain::Domains;
pub use earlier_definition::{EarlierDefinition, EarlierOutcome, EarlierRules, EarlierWay, OldDefinition};
pub use earlier_memberships::{EarlierMemberships, earlier_memberships_schema};
pub use earlier_opinions::{EarlierMembers, EarlierOpinions, Opinion};
pub use earlier_sets::{gives_column, readable, with_column};
pub use funnel::{Funnel, FunnelStep, Look, Overlap};
pub use origins::Origins;
pub use pair::{Kept, Pair};
pub use prove::{Proof, prove};
pub use rule::mismatches;
pub use rule_set::{CUSTOMER_ID, MEMBERSHIP_DESCRIPTIONS, RuleSet, Stability, deciding_columns, membership_schema};
pub use target::{Target, deciding, names_in};

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;

use crate::config::{Pipeline, Project, Segment, SegmentSet, Spanned, Values, placed, span_of};
use crate::diagnostic::{Diagnostic, Span};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::PROFILE;
use crate::manifest::{PublishedSegment, PublishedSet};
use crate::sql;

/// The most segments that a project may have, in all its sets.
const MAX_SEGMENTS: usize = 300;

/// The size of a segment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SegmentSize {
    /// The set.
    pub segment_set: String,
    /// The segment.
    pub segment: String,
    /// Its members.
    pub customers: u64,
    /// The number of customers withheld: the rule matches them, but its channel may not reach them.
    pub withheld: u64,
}

/// The segments as the pipeline file describes them, one row for each, in its order.
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

/// What the columns of the table of segments mean, which [`describe`] makes.
pub const SEGMENTS_DESCRIPTIONS: &[(&str, &str)] = &[
    ("segment_set", "The set"),
    ("segment", "The segment"),
    ("set_kind", "`exclusive`, `partition` or `overlapping`"),
    ("priority", "The segment's place in the set, from 1"),
    ("description", "What these customers are like"),
    ("action", "What to do with them"),
    ("channel", "The channel to use"),
];

/// The sets of a project, as a commit tells them.
pub fn published_sets(pipeline: &Pipeline, sizes: &[SegmentSize]) -> Vec<PublishedSet> {
    let names = |names: &[Spanned<String>]| names.iter().map(|name| name.value.clone()).collect();
    let size = |set: &str, segment: &str| sizes.iter().find(|size| size.segment_set == set && size.segment == segment);
    let segment = |set: &str, of: &Segment| PublishedSegment {
        name: of.name.value.clone(),
        formerly: names(&of.formerly),
        customers: size(set, &of.name.value).map(|size| size.customers),
    };
    let set = |(name, of): (&String, &SegmentSet)| PublishedSet {
        name: name.clone(),
        kind: of.kind.value.to_string(),
        formerly: names(&of.formerly),
        segments: of.segments.iter().map(|of| segment(name, of)).collect(),
    };
    pipeline.segments.iter().map(set).collect()
}

/// Compiles the rules of every set against the columns of the profile.
///
/// # Errors
/// [`Error::Project`] with every rule that does not parse, reads a column that is not there, or is not a condition.
pub fn compile(project: &Project, values: &Values, engine: &Engine, profile: &SchemaRef) -> Result<Vec<RuleSet>> {
    let mut problems = Vec::new();
    let mut sets = Vec::new();
    if let Some(problem) = too_many(project) {
        return Err(problem.into());
    }
    problems.extend(without_customer_id(project, profile));
    for (set, declared) in &project.pipeline.segments {
        let readable = readable(profile, &project.pipeline.segments, set);
        let schema = DFSchema::try_from(readable.as_ref().clone()).map_err(|error| Error::defect(error.to_string()))?;
        let compile = |rule: &Spanned<String>| match earlier_sets::problem(engine, project, profile, set, rule) {
            Some(problem) => Err(vec![problem]),
            None => rule::compile(engine, &schema, &values.parameters, &rule.value)
                .map_err(|found| found.into_iter().map(|problem| placed(&project.file, rule, problem)).collect()),
        };
        let mut rules = Vec::new();
        for segment in &declared.segments {
            match compile(&segment.when) {
                Ok(compiled) => rules.push((segment.name.value.clone(), compiled)),
                Err(found) => problems.extend(found),
            }
        }
        let mut permissions = Vec::new();
        for segment in &declared.segments {
            let Some(permission) = declared.permissions.get(&segment.channel) else {
                permissions.push(None);
                continue;
            };
            match compile(permission) {
                Ok(compiled) => permissions.push(Some(compiled)),
                Err(found) => {
                    let found: Vec<Diagnostic> = found.into_iter().filter(|problem| !problems.contains(problem)).collect();
                    problems.extend(found);
                }
            }
        }
        let places = declared.segments.iter().map(|segment| span_of(&project.file, &segment.when).to_string()).collect();
        let mut stability = Vec::new();
        for segment in &declared.segments {
            let misread = segment.stay.as_ref().and_then(|stay| earlier_sets::problem(engine, project, profile, set, stay));
            let compiled = stability::compile(project, declared, segment, |text| rule::compile(engine, &schema, &values.parameters, text));
            match misread.map_or(compiled, |problem| Err(vec![problem])) {
                Ok(compiled) => stability.push(compiled),
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(duplicates(project, set, declared));
        problems.extend(stability::former_names(project, set));
        // A rule that is wrong may be too deep to be taken apart.
        let conditions =
            if problems.is_empty() { funnel::conditions_of(engine, &schema, &values.parameters, declared) } else { Vec::new() };
        sets.push(RuleSet {
            name: set.clone(),
            kind: declared.kind.value,
            formerly: declared.formerly.iter().map(|name| name.value.clone()).collect(),
            rules,
            conditions,
            permissions,
            stability,
            places,
            is_read_later: earlier_sets::gives_column(profile, &project.pipeline.segments, set),
        });
    }
    if problems.is_empty() { Ok(sets) } else { Err(Error::Project(problems)) }
}

/// Tells that there are more segments than can be told apart.
fn too_many(project: &Project) -> Option<Diagnostic> {
    let mut segments = 0;
    let set = project.pipeline.segments.values().find(|set| {
        segments += set.segments.len();
        segments > MAX_SEGMENTS
    })?;
    let problem = Diagnostic::error("too-many-segments", format!("there are more than {MAX_SEGMENTS} segments"));
    let problem = problem.at(span_of(&project.file, &set.kind)).label("too many in this set, or by then");
    Some(problem.hint("make many alike a column of `sql/customers.sql`"))
}

/// The problems of segments that have the name of an earlier one of their set.
fn duplicates(project: &Project, set: &str, declared: &SegmentSet) -> Vec<Diagnostic> {
    let earlier = |at: usize| declared.segments[..at].iter();
    let is_known = |(at, segment): &(usize, &Segment)| earlier(*at).any(|known| known.name.value == segment.name.value);
    let problem = |(_, segment): (usize, &Segment)| {
        let problem = Diagnostic::error("duplicate-segment", format!("the set `{set}` has two segments `{}`", segment.name.shown()));
        problem.at(span_of(&project.file, &segment.name)).label("the second one")
    };
    declared.segments.iter().enumerate().filter(is_known).map(problem).collect()
}

/// The problem of a profile whose rows name no customer.
fn without_customer_id(project: &Project, profile: &SchemaRef) -> Option<Diagnostic> {
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::Utf8View);
    if profile.column_with_name(CUSTOMER_ID).is_some_and(|(_, field)| is_text(field.data_type())) {
        return None;
    }
    let problem = Diagnostic::error("no-customer-id", format!("the profile `{PROFILE}` has no text column `{CUSTOMER_ID}`"));
    let problem = problem.at(profile_model(project)).label("this model's columns");
    Some(problem.hint("a row of the profile is a customer, named by `customer_id`"))
}

/// The place of the profile's model, or of the pipeline file if there is no such model.
fn profile_model(project: &Project) -> Span {
    let model = project.models.iter().find(|model| model.name() == PROFILE);
    sql::whole(model.map_or(&project.file, |model| &model.file))
}

/// The size of every segment, in the order of the sets and their priorities.
pub fn sizes(sets: &[RuleSet], assigned: &Assigned) -> Vec<SegmentSize> {
    let mut sizes: Vec<SegmentSize> = Vec::new();
    for (set, withheld) in sets.iter().zip(&assigned.withheld) {
        let counted = set.rules.iter().map(|(segment, _)| segment.clone()).zip(withheld);
        sizes.extend(counted.map(|(segment, &withheld)| SegmentSize { segment_set: set.name.clone(), segment, customers: 0, withheld }));
    }
    for (size, members) in sizes.iter_mut().zip(&assigned.members) {
        size.customers = members.1.iter().map(|members| members.len() as u64).sum();
    }
    sizes
}
