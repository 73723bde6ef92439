//! The look-alikes of a project, held against the models that they read and the segments that they look like.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};

use super::declared_input::model_read;
use super::models::CheckedModels;
use crate::cast::is_text;
use crate::config::{LookAlikes, Model, Project, Segment, Spanned, Values, key_at, placed, span_of};
use crate::diagnostic::{Diagnostic, Span};
use crate::engine::Engine;
use crate::error::Result;
use crate::graph::{DeclaredKind, PROFILE};
use crate::lineage::{self, ModelPlans};
use crate::native::{LookAlikesStep, Native};
use crate::segments::{Target, deciding, names_in};

/// The most columns that look-alikes compare.
const MAX_COMPARED_COLUMNS: usize = 64;

/// The steps of the look-alikes that are planned, and what is wrong with them.
///
/// # Errors
/// [`Error::Defect`](crate::error::Error::Defect) alone.
pub(super) fn steps(
    project: &Project,
    values: &Values,
    engine: &Engine,
    checked: &CheckedModels,
    problems: &mut Vec<Diagnostic>,
) -> Result<Vec<Arc<dyn Native>>> {
    let planned = project.pipeline.look_alikes.iter().filter(|(name, _)| checked.has_step(&DeclaredKind::LookAlikes.table(name)));
    let mut steps: Vec<Arc<dyn Native>> = Vec::new();
    for (name, look_alikes) in planned {
        let review = Review { project, values, engine, checked, name, look_alikes };
        let (mut found, mut target) = (Vec::new(), None);
        if let (Some(model), Some(rules)) = (review.model(&mut found), review.rules(&mut found)) {
            review.columns(model, rules, &mut found);
            target = review.target(model, rules, &mut found)?;
        }
        if let Some(target) = target.filter(|_| found.is_empty()) {
            steps.push(Arc::new(LookAlikesStep::new(project, name, look_alikes, target)));
        }
        problems.extend(found);
    }
    Ok(steps)
}

/// What is looked at, and with what.
struct Review<'a> {
    project: &'a Project,
    values: &'a Values,
    engine: &'a Engine,
    checked: &'a CheckedModels,
    name: &'a str,
    look_alikes: &'a LookAlikes,
}

impl<'a> Review<'a> {
    fn at<T>(&self, value: &Spanned<T>) -> Span {
        span_of(&self.project.file, value)
    }

    fn schema(&self) -> Option<&'a Schema> {
        self.checked.model(&self.look_alikes.model.value).map(|planned| planned.schema.as_ref())
    }

    /// The segment, as people write it.
    fn segment(&self) -> String {
        let target = &self.look_alikes.similar_to;
        format!("{}.{}", target.segment_set.shown(), target.segment.shown())
    }

    /// The model, which is there and comes before.
    fn model(&self, problems: &mut Vec<Diagnostic>) -> Option<&'a Model> {
        let known = model_read(self.project, DeclaredKind::LookAlikes, self.name, &self.look_alikes.model);
        known.map_err(|problem| problems.push(problem)).ok()
    }

    /// The rules that decide who is in the segment.
    fn rules(&self, problems: &mut Vec<Diagnostic>) -> Option<&'a [Segment]> {
        let (sets, target) = (&self.project.pipeline.segments, &self.look_alikes.similar_to);
        if self.project.lost.touches(&["segments"]) {
            return None;
        }
        let Some(set) = sets.get(&target.segment_set.value) else {
            let problem = Diagnostic::error("unknown-segment", format!("there is no segment set `{}`", target.segment_set.shown()));
            let problem =
                problem.at(self.at(&target.segment_set)).label(format!("whose members the look-alike search `{}` looks for", self.name));
            problems.push(problem.did_you_mean(&target.segment_set.value, sets.keys().map(String::as_str)));
            return None;
        };
        let rules = deciding(set, &target.segment.value);
        if rules.is_none() {
            let (shown, segment) = (target.segment_set.shown(), target.segment.shown());
            let problem = Diagnostic::error("unknown-segment", format!("the set `{shown}` has no segment `{segment}`"));
            let problem =
                problem.at(self.at(&target.segment)).label(format!("whose members the look-alike search `{}` looks for", self.name));
            problems.push(problem.did_you_mean(&target.segment.value, set.segments.iter().map(|segment| segment.name.value.as_str())));
        }
        rules
    }

    fn read(&self, rules: &[Segment]) -> BTreeSet<String> {
        rules.iter().flat_map(|segment| names_in(self.engine, &segment.when.value)).collect()
    }

    /// What is wrong with the columns that are compared.
    fn columns(&self, model: &Model, rules: &[Segment], problems: &mut Vec<Diagnostic>) {
        let (look_alikes, file) = (self.look_alikes, &self.project.file);
        let place = |column: &str| key_at(file, &["look_alikes", self.name, "columns", column]);
        let many = look_alikes.columns.len();
        if !(1..=MAX_COMPARED_COLUMNS).contains(&many) {
            let what = format!("the look-alike search `{}` compares {many} columns, and not 1 to {MAX_COMPARED_COLUMNS}", self.name);
            let at = key_at(file, &["look_alikes", self.name, "columns"]);
            problems.push(Diagnostic::error("look-alike-column", what).at(at).hint("compare the few that tell customers apart"));
        }
        // A model that could not be checked has been told.
        let Some(schema) = self.schema() else { return };
        let unknown = |column: &str, at: Span| {
            let problem = Diagnostic::error("unknown-column", format!("`{}` has no column `{column}`", look_alikes.model.shown()));
            let names = schema.fields().iter().map(|field| field.name().as_str());
            problem.at(at).label("not there").did_you_mean(column, names)
        };
        let unfit = |column: &str, what: &str, at: Span| {
            let what = format!("the column `{column}` of `{}` must be {what}", look_alikes.model.shown());
            Diagnostic::error("look-alike-column", what).at(at).label("of another type").hint(format!("cast it in `{}`", model.file.path))
        };
        match schema.column_with_name(&look_alikes.customer.value) {
            None => problems.push(unknown(&look_alikes.customer.value, self.at(&look_alikes.customer))),
            Some((_, field)) if !is_text(field.data_type()) => {
                problems.push(unfit(&look_alikes.customer.value, "a text", self.at(&look_alikes.customer)));
            }
            Some(_) => {}
        }
        let read = self.read(rules);
        for column in look_alikes.columns.keys() {
            match schema.column_with_name(column) {
                None => problems.push(unknown(column, place(column))),
                Some((_, field)) if !field.data_type().is_numeric() && field.data_type() != &DataType::Boolean => {
                    problems.push(unfit(column, "a number, or true and false", place(column)));
                }
                Some(_) => problems.extend(self.defines(column, &read, place(column))),
            }
        }
    }

    /// Tells of a column by which the rules decide, directly or under another name: the members would be found by what makes them members.
    fn defines(&self, column: &str, read: &BTreeSet<String>, at: Span) -> Option<Diagnostic> {
        let segment = self.segment();
        let hint = "leave it out: look-alikes are found by what else members have in common";
        if read.contains(column) {
            let what = format!("the look-alike search `{}` compares `{column}`, by which the rules of `{segment}` decide", self.name);
            return Some(Diagnostic::error("look-alike-column", what).at(at).label("defines the segment").hint(hint));
        }
        let plans: ModelPlans = self.checked.models().map(|model| (model.parsed.model.name(), Arc::clone(&model.query))).collect();
        let model = &self.look_alikes.model.value;
        let own = lineage::same_as(&plans, model, column);
        let other = read.iter().find(|other| !lineage::same_as(&plans, model, other).is_disjoint(&own))?;
        let what = format!(
            "the look-alike search `{}` compares `{column}`, which is `{other}`, by which the rules of `{segment}` decide",
            self.name
        );
        Some(Diagnostic::error("look-alike-column", what).at(at).label("the same column under another name").hint(hint))
    }

    /// The rules over the columns of the model.
    fn target(&self, model: &Model, rules: &'a [Segment], problems: &mut Vec<Diagnostic>) -> Result<Option<Target>> {
        let Some(schema) = self.schema() else { return Ok(None) };
        let missing: Vec<String> = self.read(rules).into_iter().filter(|name| schema.column_with_name(name).is_none()).collect();
        if !missing.is_empty() {
            problems.extend(missing.iter().filter_map(|name| self.missing(model, name)));
            return Ok(None);
        }
        let set = &self.look_alikes.similar_to.segment_set.value;
        let with_places = rules.iter().map(|segment| (segment, self.at(&segment.when).to_string()));
        let found = match Target::compile(self.engine, self.values, schema, set, with_places)? {
            Ok(target) => return Ok(Some(target)),
            Err(found) => found,
        };
        // What is wrong with a rule anyway is told of the rule.
        let profile = self.checked.model(PROFILE).map(|profile| profile.schema.as_ref());
        let is_right_there = match profile {
            Some(profile) => {
                let with_places = rules.iter().map(|segment| (segment, String::new()));
                Target::compile(self.engine, self.values, profile, set, with_places)?.is_ok()
            }
            None => true,
        };
        if is_right_there {
            for (rule, problem) in found {
                let message = placed(&self.project.file, rule, problem).message;
                let what = format!("a rule of `{}` does not fit the columns of `{}`: {message}", self.segment(), model.name());
                let problem = Diagnostic::error("look-alike-target", what).at(self.at(&self.look_alikes.similar_to.segment));
                problems.push(problem.label("of another type there").hint("give the column the type that it has in `customers`"));
            }
        }
        Ok(None)
    }

    /// Tells of a column that the rules read and that the model does not have.
    fn missing(&self, model: &Model, name: &str) -> Option<Diagnostic> {
        let at = self.at(&self.look_alikes.similar_to.segment);
        let segment = self.segment();
        if self.checked.predicted.is_made_of(name, &DeclaredKind::LookAlikes.table(self.name)) {
            let what = format!("the look-alike search `{}` is for `{segment}`, whose rules read `{name}`, which is made of it", self.name);
            let problem = Diagnostic::error("look-alike-cycle", what).at(at).label("who is in it would depend on who is like it");
            return Some(problem.hint("move the condition to a segment of another set"));
        }
        if self.project.pipeline.segments.contains_key(name) {
            let what = format!("the look-alike search `{}` is for `{segment}`, whose rules read the set `{name}`", self.name);
            let problem = Diagnostic::error("look-alike-target", what).at(at).label("decided before segments are assigned");
            return Some(problem.hint("look like a segment whose rules read columns alone"));
        }
        // A name that means nothing is told of the rule.
        if self.checked.model(PROFILE).is_some_and(|profile| profile.schema.column_with_name(name).is_none()) {
            return None;
        }
        let what = format!("`{}` has no column `{name}`, which the rules of `{segment}` read", model.name());
        let problem = Diagnostic::error("look-alike-target", what).at(at).label("decided by a column that is not there");
        Some(problem.hint(format!("add `{name}` to `{}`", model.file.path)))
    }
}
