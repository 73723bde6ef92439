//! What keeps customers in segments, or out of them, beside the rules: the keys of the pipeline file, compiled and looked at.

use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;

use super::rule_set::Stability;
use crate::config::{Project, Segment, SegmentSet, SetKind, Spanned, placed, span_of};
use crate::diagnostic::{Diagnostic, Span};

/// Compiles the stability of a segment.
///
/// # Errors
/// What is wrong with it.
pub fn compile(
    project: &Project,
    set: &SegmentSet,
    segment: &Segment,
    rule: impl Fn(&str) -> Result<Arc<dyn PhysicalExpr>, Vec<Diagnostic>>,
) -> Result<Stability, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let stay_span = segment.stay.as_ref().map(|stay| span_of(&project.file, stay));
    let days_span = |days: &Option<Spanned<u32>>| days.as_ref().map(|days| span_of(&project.file, days));
    let keys = [
        ("stay", stay_span.clone()),
        ("minimum_stay_days", days_span(&segment.minimum_stay_days)),
        ("cooldown_days", days_span(&segment.cooldown_days)),
    ];
    if set.kind.value == SetKind::Partition {
        let there = keys.into_iter().filter_map(|(key, span)| Some((key, span?)));
        problems.extend(there.map(|(key, span)| in_a_partition(key, segment, span)));
    }
    let stay = match (&segment.stay, stay_span) {
        (Some(stay), Some(span)) => match rule(&stay.value) {
            Ok(compiled) => Some((compiled, span.to_string())),
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| placed(&project.file, stay, problem)));
                None
            }
        },
        _ => None,
    };
    let days = |days: &Option<Spanned<u32>>| days.as_ref().and_then(|days| i32::try_from(days.value).ok());
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Stability {
        stay,
        minimum_stay_days: days(&segment.minimum_stay_days),
        cooldown_days: days(&segment.cooldown_days),
        formerly: segment.formerly.iter().map(|name| name.value.clone()).collect(),
    })
}

fn in_a_partition(key: &str, segment: &Segment, span: Span) -> Diagnostic {
    let what = format!("`{key}` of the segment `{}` would keep customers from the one segment whose rule matches", segment.name.shown());
    Diagnostic::error("partition-stability", what)
        .at(span)
        .label("in a partition")
        .hint("make the set `kind: exclusive`, where a customer may stay in a segment while the rule of another one matches")
}

/// What is wrong with the names that a set and its segments had before: one that is still in use, or that two have had.
pub fn former_names(project: &Project, set: &str) -> Vec<Diagnostic> {
    let sets = &project.pipeline.segments;
    let Some(declared) = sets.get(set) else { return Vec::new() };
    let mut problems = Vec::new();
    let mut look = |former: &Spanned<String>, what: &str, in_use: bool, is_taken: bool| {
        let problem = |message: String, label: &str, hint: &str| {
            Diagnostic::error("former-name", message).at(span_of(&project.file, former)).label(label).hint(hint)
        };
        let name = former.shown();
        if in_use {
            let hint = "a former name is one that is not in use any more; leave it out, or rename the other one";
            problems.push(problem(format!("{what} that was formerly `{name}` cannot be told from the one that is"), "still in use", hint));
        } else if is_taken {
            let hint = "the members of the old name can be continued by one only";
            problems.push(problem(format!("`{name}` is the former name of two"), "the second time", hint));
        }
    };
    for (at, former) in declared.formerly.iter().enumerate() {
        let earlier_sets = sets.iter().take_while(|(name, _)| *name != set).flat_map(|(_, set)| &set.formerly);
        let is_taken = earlier_sets.chain(&declared.formerly[..at]).any(|other| other.value == former.value);
        look(former, "a set", sets.contains_key(&former.value), is_taken);
    }
    let mut earlier: Vec<&str> = Vec::new();
    for former in declared.segments.iter().flat_map(|segment| &segment.formerly) {
        let in_use = declared.segments.iter().any(|segment| segment.name.value == former.value);
        look(former, "a segment", in_use, earlier.contains(&former.value.as_str()));
        earlier.push(&former.value);
    }
    problems
}
