//! Proofs of what keeps customers in a segment, or out of it: a `stay` holds wherever its rule matches, and who may not enter again for a while
//! has another segment to be in.

use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

use super::findings::{Count, Gap};
use super::prover::Prover;
use crate::config::{Project, SegmentSet, SetKind, span_of};
use crate::diagnostic::Diagnostic;

/// What is wrong with the stability of the segments of a set. Conditions that do not compile have a problem of their own.
pub fn problems(
    project: &Project,
    set: &SegmentSet,
    prover: &Prover<'_>,
    open: &impl Fn(&str) -> Result<Expr, DataFusionError>,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for (at, segment) in set.segments.iter().enumerate() {
        if let Some(stay) = &segment.stay
            && let Ok(condition) = open(&stay.value)
            && let Some(gap) = never_without(prover, &prover.rules[at], &condition)
        {
            let what = format!(
                "`stay` of the segment `{}` {} false for a customer whom its rule matches, as with {}",
                segment.name.shown(),
                if gap.certain { "is" } else { "may be" },
                gap.examples.join("; or "),
            );
            let problem = finding(gap.certain, "narrow-stay", what).at(span_of(&project.file, stay)).label("narrower than the rule");
            let problem = problem.also(span_of(&project.file, &segment.when), "the rule");
            problems.push(problem.hint("a member remains one while the rule or `stay` holds: make `stay` the wider condition of the two"));
        }
        if let Some(days) = segment.cooldown_days.as_ref().filter(|_| set.kind.value == SetKind::Exclusive)
            && let Some(gap) = without_another(prover, set, at)
        {
            let example = if gap.examples.is_empty() { String::new() } else { format!(", as with {}", gap.examples.join("; or ")) };
            let what =
                format!("a customer who may not enter `{}` again yet would be in no segment of the set{example}", segment.name.shown());
            let problem = Diagnostic::error("cooldown-without-another", what).at(span_of(&project.file, days));
            let problem =
                problem.label("keeps customers out whom its rule matches").also(span_of(&project.file, &segment.when), "the rule");
            problems.push(problem.hint("add a last segment with `when: \"true\"` and without `cooldown_days`, for everybody else"));
        }
    }
    problems
}

/// Customers for whom one condition holds and another does not.
fn never_without(prover: &Prover<'_>, one: &Expr, other: &Expr) -> Option<Gap> {
    let (one, other) = (Box::new(one.clone()), Box::new(other.clone()));
    match gap_of(prover, Expr::IsNotTrue(one).or(Expr::IsTrue(other))) {
        Looked::Gap(gap) => Some(gap),
        Looked::Covered | Looked::Unproved => None,
    }
}

/// Customers who are in a segment by its rule, and whom no later rule without a cooldown matches. Where that cannot be proved, a later rule
/// must be plainly true.
fn without_another(prover: &Prover<'_>, set: &SegmentSet, at: usize) -> Option<Gap> {
    let later: Vec<usize> = (at + 1..set.segments.len()).filter(|later| set.segments[*later].cooldown_days.is_none()).collect();
    if later.iter().any(|later| prover.rules[*later] == datafusion::logical_expr::lit(true)) {
        return None;
    }
    let rule = |at: usize| Box::new(prover.rules[at].clone());
    let elsewhere = (0..at).map(|earlier| Expr::IsTrue(rule(earlier))).chain(later.iter().map(|later| Expr::IsTrue(rule(*later))));
    let covered = elsewhere.fold(Expr::IsNotTrue(rule(at)), Expr::or);
    match gap_of(prover, covered) {
        Looked::Gap(gap) => Some(gap),
        Looked::Covered => None,
        Looked::Unproved => Some(Gap { certain: false, examples: Vec::new(), count: Count::default() }),
    }
}

/// What was found of a condition that ought to hold for everybody.
enum Looked {
    /// There are customers for whom it does not hold.
    Gap(Gap),
    /// It holds for everybody.
    Covered,
    /// That cannot be proved.
    Unproved,
}

fn gap_of(prover: &Prover<'_>, condition: Expr) -> Looked {
    let Prover { engine, schema, domains, always, .. } = prover;
    let asked = Prover { engine, schema, domains, rules: vec![condition], always: always.clone() };
    match asked.examine(SetKind::Exclusive) {
        (findings, None) => findings.gap.map_or(Looked::Covered, Looked::Gap),
        (_, Some(_)) => Looked::Unproved,
    }
}

fn finding(certain: bool, code: &'static str, what: String) -> Diagnostic {
    if certain { Diagnostic::error(code, what) } else { Diagnostic::warning(code, what) }
}
