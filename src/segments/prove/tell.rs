//! Reports the findings of a proof at the places of the rules.

use super::super::domain::ColumnDomain;
use super::cells::MOST_CELLS;
use super::findings::{Count, Findings, Gap, Overlap, Taken, Unproved};
use super::prover::Prover;
use crate::config::{Project, Segment, SegmentSet, SetKind, span_of};
use crate::diagnostic::{Diagnostic, list, suggestion};
use crate::sql;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

/// How many earlier rules one problem points at.
const RULES_SHOWN: usize = 4;
/// How many accepted values a hint lists.
const VALUES_SHOWN: usize = 12;

/// All findings about a set, as problems at their places.
pub fn problems(
    project: &Project,
    set: &SegmentSet,
    name: &str,
    prover: &Prover<'_>,
    findings: &Findings,
    unproved: Option<&Unproved>,
) -> Vec<Diagnostic> {
    let teller = Teller { project, set, name, findings };
    let mut problems: Vec<Diagnostic> = unproved.map(|why| self::unproved(project, set, name, why)).into_iter().collect();
    problems.extend(findings.never.iter().map(|&rule| teller.never(rule, prover)));
    problems.extend(findings.taken.iter().map(|taken| teller.taken(taken)));
    problems.extend(findings.overlaps.iter().map(|overlap| teller.overlap(overlap)));
    problems.extend(findings.gap.as_ref().map(|gap| teller.gap(gap)));
    problems
}

/// The warning that a set could not be proved as a whole.
pub fn unproved(project: &Project, set: &SegmentSet, name: &str, why: &Unproved) -> Diagnostic {
    let place = span_of(&project.file, &set.kind);
    match why {
        Unproved::TooLarge { cells } => {
            let what = format!("the set `{name}` is too large to be proved as a whole: its rules part customers into {cells} cells");
            Diagnostic::warning("unproved-set", what)
                .at(place)
                .label(format!("at most {MOST_CELLS} cells are looked at"))
                .hint("its rules were proved one by one and in pairs; compute a column in `sql/customers.sql` that sums several up, or part the set in two")
        }
        Unproved::Fails(error) => {
            let what = format!("the set `{name}` could not be proved: {}", sql::discreet(error));
            Diagnostic::warning("unproved-set", what).at(place).label("not proved")
        }
    }
}

/// The warning that a rule leaves out customers of whom something is not known, and does not say so.
pub fn drops_unknown(project: &Project, segment: &Segment, columns: &[String]) -> Diagnostic {
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let (column, is) = (columns.first().copied().unwrap_or_default(), if columns.len() == 1 { "is" } else { "are" });
    let what =
        format!("the rule of `{}` leaves out customers whose {} {is} not known, and does not say so", segment.name.shown(), list(&columns));
    Diagnostic::warning("unknown-left-out", what)
        .at(span_of(&project.file, &segment.when))
        .label("unknown for them, so it does not match")
        .hint(format!(
            "add `or {column} is null` if they belong to it, or `and {column} is not null` if they do not; \
             or say under `profile: columns:` that `{column}` is `required`"
        ))
}

struct Teller<'a> {
    project: &'a Project,
    set: &'a SegmentSet,
    name: &'a str,
    findings: &'a Findings,
}

impl Teller<'_> {
    fn segment(&self, rule: usize) -> &Segment {
        &self.set.segments[rule]
    }

    fn named(&self, rule: usize) -> &str {
        self.segment(rule).name.shown()
    }

    fn at_rule(&self, problem: Diagnostic, rule: usize) -> Diagnostic {
        problem.at(span_of(&self.project.file, &self.segment(rule).when))
    }

    /// Points at the earlier rules too.
    fn and_at(&self, problem: Diagnostic, rules: &[usize]) -> Diagnostic {
        let shown = rules.iter().take(RULES_SHOWN);
        shown.fold(problem, |problem, &rule| {
            problem.also(span_of(&self.project.file, &self.segment(rule).when), format!("`{}`", self.named(rule)))
        })
    }

    fn listed(&self, rules: &[usize]) -> String {
        list(&rules.iter().map(|&rule| self.named(rule)).collect::<Vec<_>>())
    }

    fn never(&self, rule: usize, prover: &Prover<'_>) -> Diagnostic {
        let what = format!("the rule of `{}` can never match: nobody would ever be in that segment", self.named(rule));
        let problem = self.at_rule(Diagnostic::error("rule-never-matches", what), rule).label("true for no customer");
        if let Some(hint) = misspelt(&prover.rules[rule], prover) {
            return problem.hint(hint);
        }
        let (columns, always) = prover.to_blame(rule);
        let domains = columns.into_iter().filter_map(|name| prover.domains.column(name)).map(domain);
        let shown: Vec<&str> = prover.domains.always_shown().collect();
        let always = always.into_iter().filter_map(|at| shown.get(at)).map(|condition| format!("`{condition}` is always true"));
        let declared: Vec<String> = domains.chain(always).collect();
        if declared.is_empty() {
            return problem.hint("its conditions rule each other out");
        }
        problem.hint(format!("by `profile`, {}", declared.join(", and ")))
    }

    fn taken(&self, taken: &Taken) -> Diagnostic {
        let (rule, by) = (self.named(taken.rule), self.listed(&taken.by));
        let what = format!("nobody is ever in `{rule}`: every customer that its rule matches is in {by} already");
        let problem = self.at_rule(Diagnostic::error("rule-taken", what), taken.rule);
        self.and_at(problem, &taken.by)
            .label("comes too late")
            .hint("the first rule that matches wins: move this one up, or narrow the earlier ones")
    }

    fn overlap(&self, overlap: &Overlap) -> Diagnostic {
        let (rule, with) = (self.named(overlap.rule), self.listed(&overlap.with));
        let matches = if overlap.certain { "matches" } else { "may match" };
        let what = format!("`{rule}` {matches} customers of {with} too, as with {}", overlap.example);
        let problem = self.at_rule(finding(overlap.certain, "overlapping-rules", what), overlap.rule);
        let problem = match overlap.count {
            Count(Some((some, all))) => problem.label(format!("{some} of {all} cells are taken already")),
            Count(None) => problem.label("matches them too"),
        };
        let advice =
            "in a partition every customer matches one rule: narrow one of them, or make the set `kind: exclusive`, where the first wins";
        let problem = self.and_at(problem, &overlap.with);
        match self.findings.several {
            Count(Some((some, all))) => problem.hint(format!("{advice} (in all, {some} of {all} cells match several rules)")),
            Count(None) => problem.hint(self.advice(overlap.certain, advice)),
        }
    }

    fn gap(&self, gap: &Gap) -> Diagnostic {
        let would = if gap.certain { "would" } else { "may" };
        let what = format!("a customer {would} be in no segment of the set `{}`, as with {}", self.name, gap.examples.join("; or "));
        let problem = finding(gap.certain, "uncovered-customers", what).at(span_of(&self.project.file, &self.set.kind));
        let problem = match gap.count {
            Count(Some((some, all))) => problem.label(format!("{some} of {all} cells match no rule")),
            Count(None) => problem.label("says that every customer is in one"),
        };
        let advice = match self.set.kind.value {
            SetKind::Partition => "add rules for them, or a segment for everybody else",
            _ => "add rules for them, or a last segment with `when: \"true\"`",
        };
        problem.hint(self.advice(gap.certain, advice))
    }

    /// What to do, and what to declare when that would help.
    fn advice(&self, certain: bool, advice: &str) -> String {
        let undeclared: Vec<&str> = self.findings.undeclared.iter().map(String::as_str).collect();
        if certain || undeclared.is_empty() {
            return advice.to_owned();
        }
        format!("{advice}; or say in `profile: columns:` which values {} may have, if there are no such customers", list(&undeclared))
    }
}

/// A finding: an error if it is certain, or a warning if such customers may not exist.
fn finding(certain: bool, code: &'static str, what: String) -> Diagnostic {
    if certain { Diagnostic::error(code, what) } else { Diagnostic::warning(code, what) }
}

/// A constant that is none of its column's accepted values, with the one that may have been meant.
fn misspelt(rule: &Expr, prover: &Prover<'_>) -> Option<String> {
    let mut hint = None;
    let mut compare = |column: &Expr, constant: &Expr| {
        let (Expr::Column(column), Expr::Literal(value, _)) = (column, constant) else { return };
        let (Some(domain), Some(Some(text))) = (prover.domains.column(column.name()), value.try_as_str()) else { return };
        let accepted: Vec<&str> = domain.accepted.iter().filter_map(|value| value.try_as_str().flatten()).collect();
        if !accepted.is_empty() && !accepted.contains(&text) && hint.is_none() {
            let meant = suggestion(text, accepted.iter().copied()).unwrap_or_default();
            hint = Some(format!("`{}` is never '{text}'; {meant}", column.name()));
        }
    };
    let walked = rule.apply(|part| {
        match part {
            Expr::BinaryExpr(binary) => {
                compare(&binary.left, &binary.right);
                compare(&binary.right, &binary.left);
            }
            Expr::InList(list) => list.list.iter().for_each(|item| compare(&list.expr, item)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok());
    hint
}

/// A declared domain in words.
fn domain(domain: &ColumnDomain) -> String {
    let name = &domain.name;
    let value = |value: &ScalarValue| match value.try_as_str().flatten() {
        Some(text) => format!("'{text}'"),
        None => value.to_string(),
    };
    if !domain.accepted.is_empty() {
        let values: Vec<String> = domain.accepted.iter().take(VALUES_SHOWN).map(value).collect();
        let more = if domain.accepted.len() > VALUES_SHOWN { ", …" } else { "" };
        return format!("`{name}` is one of {}{more}", values.join(", "));
    }
    match (&domain.min, &domain.max) {
        (Some(min), Some(max)) => format!("`{name}` is between {} and {}", value(min), value(max)),
        (Some(min), None) => format!("`{name}` is at least {}", value(min)),
        (None, Some(max)) => format!("`{name}` is at most {}", value(max)),
        (None, None) if domain.required => format!("`{name}` always has a value"),
        (None, None) => format!("`{name}` may have any value"),
    }
}
