//! Checks held against the outputs before data is read: what they name is there, and their bounds make sense.

use std::collections::BTreeMap;

use arrow::array::{Array, StringArray};
use arrow::datatypes::SchemaRef;

use crate::cast;
use crate::config::{AcceptedValues, Change, Check, CheckKind, KINDS, Project, RowBounds, SegmentBounds, Spanned, span_of};
use crate::diagnostic::{Diagnostic, list};
use crate::graph::{MEMBERSHIP, PROFILE};

/// An output that is there.
#[derive(Debug)]
pub struct Output {
    /// Its columns.
    pub schema: SchemaRef,
}

/// Everything that is wrong with the checks of a project, queries aside.
pub fn problems(project: &Project, outputs: &BTreeMap<String, Output>) -> Vec<Diagnostic> {
    let mut critic = Critic { project, outputs, problems: Vec::new() };
    let checks = &project.pipeline.checks;
    for (at, check) in checks.iter().enumerate() {
        if checks[..at].iter().any(|other| other.name.value == check.name.value) {
            let problem = Diagnostic::error("duplicate-check", format!("there are two checks `{}`", check.name.shown()));
            critic.object(problem.label("the second one"), &check.name);
        }
        match check.question() {
            Some(question) => critic.check(check, question),
            None => {
                let problem = Diagnostic::error("check-kind", format!("the check `{}` must have exactly one kind", check.name.shown()));
                critic.object(problem.hint(format!("a check has one of {}", list(&KINDS))), &check.name);
            }
        }
    }
    for (name, output) in &project.pipeline.outputs.tables {
        if let Some(known) = outputs.get(name) {
            output.personal.iter().for_each(|column| critic.column(name, known, column));
        }
    }
    critic.problems
}

struct Critic<'a> {
    project: &'a Project,
    outputs: &'a BTreeMap<String, Output>,
    problems: Vec<Diagnostic>,
}

impl Critic<'_> {
    fn check(&mut self, check: &Check, question: CheckKind<'_>) {
        match question {
            CheckKind::Unique(of) | CheckKind::NotNull(of) => {
                of.columns.iter().for_each(|column| self.column_of(&of.table, column));
                if of.columns.is_empty() {
                    self.bounds(check, "names no column");
                }
            }
            CheckKind::Accepted(of) => self.accepted(of),
            CheckKind::Rows(RowBounds { table, min, max }) => {
                self.output(table);
                self.between(check, min.as_ref(), max.as_ref());
            }
            // Queries are planned where the engine is.
            CheckKind::Sql(_) => {}
            CheckKind::SegmentSize(of) => self.segment_size(check, of),
            CheckKind::Change(of) => self.change(check, of),
        }
    }

    fn object<T>(&mut self, problem: Diagnostic, value: &Spanned<T>) {
        self.problems.push(problem.at(span_of(&self.project.file, value)));
    }

    fn bounds(&mut self, check: &Check, what: &str) {
        let problem = Diagnostic::error("check-bounds", format!("the check `{}` {what}", check.name.shown()));
        self.object(problem, &check.name);
    }

    fn output(&mut self, name: &Spanned<String>) -> Option<&Output> {
        if !self.outputs.contains_key(&name.value) {
            // An output whose model is wrong has been told already.
            let lost = self.project.lost.names(&["outputs", "tables"]);
            if !self.project.pipeline.outputs.tables.contains_key(&name.value) && !lost.contains(&name.value.as_str()) {
                let problem = Diagnostic::error("unknown-output", format!("there is no output `{}`", name.shown()));
                let names = self.project.pipeline.outputs.tables.keys().map(String::as_str);
                let problem = problem.label("checks are asked of outputs").did_you_mean(&name.value, names);
                self.object(problem, name);
            }
            return None;
        }
        self.outputs.get(&name.value)
    }

    fn column_of(&mut self, table: &Spanned<String>, column: &Spanned<String>) {
        if self.output(table).is_some() {
            let outputs = self.outputs;
            self.column(&table.value, &outputs[&table.value], column);
        }
    }

    fn column(&mut self, table: &str, output: &Output, column: &Spanned<String>) {
        if output.schema.column_with_name(&column.value).is_none() {
            let names = output.schema.fields().iter().map(|field| field.name().as_str());
            let problem = Diagnostic::error("unknown-column", format!("the output `{table}` has no column `{}`", column.shown()));
            self.object(problem.did_you_mean(&column.value, names), column);
        }
    }

    fn accepted(&mut self, of: &AcceptedValues) {
        self.column_of(&of.table, &of.column);
        let field = self.outputs.get(&of.table.value).and_then(|output| output.schema.field_with_name(&of.column.value).ok().cloned());
        let Some(field) = field else { return };
        for value in &of.values {
            let typed = cast::safely(&StringArray::from(vec![value.value.as_str()]), field.data_type());
            if typed.is_ok_and(|typed| typed.is_null(0)) {
                let what = format!("`{}` is no value of `{}.{}`", value.shown(), of.table.shown(), of.column.shown());
                self.object(Diagnostic::error("check-value", what).label("of another type"), value);
            }
        }
    }

    fn between<T: PartialOrd>(&mut self, check: &Check, min: Option<&T>, max: Option<&T>) {
        match (min, max) {
            (None, None) => self.bounds(check, "has no bound"),
            (Some(min), Some(max)) if min > max => self.bounds(check, "has a largest value below its smallest"),
            _ => {}
        }
    }

    fn segment_size(&mut self, check: &Check, of: &SegmentBounds) {
        self.segments(&of.segment_set, of.segment.as_ref());
        self.memberships(check);
        if of.min_share.is_none() && of.max_share.is_none() {
            self.between(check, of.min_customers.as_ref(), of.max_customers.as_ref());
        } else {
            self.between(check, of.min_share.as_ref(), of.max_share.as_ref());
        }
        if of.min_share.iter().chain(&of.max_share).any(|share| !(0.0..=1.0).contains(share)) {
            self.bounds(check, "has a share that is not between 0 and 1");
        }
    }

    fn change(&mut self, check: &Check, of: &Change) {
        let asks = [of.max_fall.is_some() || of.max_rise.is_some(), of.max_psi.is_some(), of.max_points.is_some()];
        match (&of.table, &of.column, &of.segment_set, asks) {
            (Some(table), None, None, [true, false, false]) => {
                self.output(table);
            }
            (Some(table), Some(column), None, [false, true, false]) => self.column_of(table, column),
            (None, None, Some(set), [false, false, true]) => {
                self.segments(set, of.segment.as_ref());
                self.memberships(check);
            }
            _ => {
                let problem =
                    Diagnostic::error("check-bounds", format!("the check `{}` must name a change and its limit", check.name.shown()));
                let hint = "`table` with `max_fall` or `max_rise`; `table` and `column` with `max_psi`; or `segment_set` with `max_points`";
                self.object(problem.hint(hint), &check.name);
            }
        }
        if [of.max_fall, of.max_rise, of.max_points, of.max_psi].into_iter().flatten().any(|most| !most.is_finite() || most < 0.0) {
            self.bounds(check, "has a bound below zero");
        }
    }

    fn segments(&mut self, set: &Spanned<String>, segment: Option<&Spanned<String>>) {
        let sets = &self.project.pipeline.segments;
        if self.project.lost.touches(&["segments"]) {
            return;
        }
        let Some(declared) = sets.get(&set.value) else {
            let problem = Diagnostic::error("unknown-segment", format!("there is no segment set `{}`", set.shown()));
            return self.object(problem.did_you_mean(&set.value, sets.keys().map(String::as_str)), set);
        };
        let names: Vec<&str> = declared.segments.iter().map(|segment| segment.name.value.as_str()).collect();
        if let Some(segment) = segment.filter(|segment| !names.contains(&segment.value.as_str())) {
            let problem = Diagnostic::error("unknown-segment", format!("the set `{}` has no segment `{}`", set.shown(), segment.shown()));
            self.object(problem.did_you_mean(&segment.value, names), segment);
        }
    }

    /// Shares are counted in the outputs, so both must be there.
    fn memberships(&mut self, check: &Check) {
        let held = |model: &str| self.project.pipeline.outputs.tables.values().any(|output| output.model.value == model);
        if let Some(model) = [MEMBERSHIP, PROFILE].into_iter().find(|model| !held(model) && !self.project.lost.touches(&["outputs"])) {
            let what = format!("the check `{}` counts segments in the outputs, and `{model}` is none of them", check.name.shown());
            let problem =
                Diagnostic::error("unpublished-segments", what).hint(format!("publish it: `{model}: {{model: {model}, sort: […]}}`"));
            self.object(problem, &check.name);
        }
    }
}
