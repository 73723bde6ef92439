//! A segment as its rules describe it, over the columns of another table than the profile.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{and, and_not};
use arrow::datatypes::Schema;
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::{Expr, Visit, Visitor};

use super::conditions::{Condition, defect, matches};
use super::rule;
use crate::config::{Segment, SegmentSet, SetKind, Spanned, Values};
use crate::diagnostic::Diagnostic;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// The rules that decide whom a segment describes: its own, and those before it where the first rule that matches wins. What keeps members in
/// it beside its rule is not among them, and neither is whether its channel may reach them.
#[derive(Debug)]
pub struct Target {
    set: String,
    /// The rules, each with its segment and its place. The last one is the segment's own.
    rules: Vec<(String, String, Arc<dyn PhysicalExpr>)>,
}

/// What is wrong with rules, with places in the text of each.
pub type RuleProblems<'a> = Vec<(&'a Spanned<String>, Diagnostic)>;

/// The rules that decide whom a segment of a set describes, in order, its own last; none if the set has no such segment.
pub fn deciding<'a>(set: &'a SegmentSet, segment: &str) -> Option<&'a [Segment]> {
    let own = set.segments.iter().position(|declared| declared.name.value == segment)?;
    Some(if set.kind.value == SetKind::Exclusive { &set.segments[..=own] } else { &set.segments[own..=own] })
}

/// The names of columns that a rule reads, in the form in which tables have them; none if it does not parse.
pub fn names_in(engine: &Engine, rule: &str) -> BTreeSet<String> {
    let mut named = Names(BTreeSet::new());
    if let Ok(parsed) = engine.parse_rule(rule) {
        let _ = parsed.visit(&mut named);
    }
    named.0
}

impl Target {
    /// Compiles the rules that decide whom a segment describes, as [`deciding`] gives them, over the columns of a table.
    ///
    /// # Errors
    /// What is wrong with each rule, with places in its own text.
    pub fn compile<'a>(
        engine: &Engine,
        values: &Values,
        schema: &Schema,
        set: &str,
        rules: impl IntoIterator<Item = (&'a Segment, String)>,
    ) -> Result<Result<Self, RuleProblems<'a>>> {
        let schema = DFSchema::try_from(schema.clone()).map_err(|error| Error::defect(error.to_string()))?;
        let (mut compiled, mut problems) = (Vec::new(), Vec::new());
        for (segment, place) in rules {
            match rule::compile(engine, &schema, &values.parameters, &segment.when.value) {
                Ok(condition) => compiled.push((segment.name.value.clone(), place, condition)),
                Err(found) => problems.extend(found.into_iter().map(|problem| (&segment.when, problem))),
            }
        }
        let target = Target { set: set.to_owned(), rules: compiled };
        Ok(if problems.is_empty() { Ok(target) } else { Err(problems) })
    }

    /// Whom of the rows of the table the segment describes.
    ///
    /// # Errors
    /// [`Error::Refused`] when a rule fails on a row.
    pub fn describes(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let mut found = BooleanArray::from(vec![true; rows.num_rows()]);
        for (at, (segment, place, rule)) in self.rules.iter().enumerate() {
            let is_own = at + 1 == self.rules.len();
            let matched = matches(&Condition { set: &self.set, segment, place, rule }, rows)?;
            found = if is_own { and(&found, &matched) } else { and_not(&found, &matched) }.map_err(defect)?;
        }
        Ok(found)
    }
}

/// Collects the names that a condition reads.
struct Names(BTreeSet<String>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(names) => names.last(),
            _ => None,
        };
        let written = name.map(|name| if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() });
        self.0.extend(written);
        ControlFlow::Continue(())
    }
}
