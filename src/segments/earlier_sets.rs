//! What rules of a set may read beside the profile: the segment of every earlier set in which a customer has one.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, Visit, Visitor};
use indexmap::IndexMap;

use super::domain::{ColumnDomain, Domains};
use crate::config::{Project, SegmentSet, SetKind, Spanned, placed};
use crate::diagnostic::{Diagnostic, SourceFile, Span};
use crate::engine::Engine;

/// The columns that rules of a set read: those of the profile, and one for every earlier set in which a customer has one segment. It has the
/// segment's name, or null for a customer who is withheld.
pub fn readable(profile: &Schema, sets: &IndexMap<String, SegmentSet>, set: &str) -> SchemaRef {
    let earlier = earlier(profile, sets, set).map(|(name, _)| Arc::new(column(name)));
    Arc::new(Schema::new(profile.fields().iter().cloned().chain(earlier).collect::<Vec<_>>()))
}

/// The column of a set that later sets read.
fn column(set: &str) -> Field {
    Field::new(set, DataType::Utf8, true)
}

impl Domains {
    /// What is declared of the profile, and what is known of the sets before one, which its rules may read.
    #[must_use]
    pub fn with_sets_before(&self, profile: &Schema, sets: &IndexMap<String, SegmentSet>, set: &str) -> Self {
        self.and(domains(profile, sets, set))
    }
}

/// What is known of the columns that earlier sets give to the rules of a set.
fn domains(profile: &Schema, sets: &IndexMap<String, SegmentSet>, set: &str) -> Vec<ColumnDomain> {
    let domain = |(name, set): (&String, &SegmentSet)| ColumnDomain {
        name: name.clone(),
        data_type: DataType::Utf8,
        required: set.permissions.is_empty(),
        accepted: set.segments.iter().map(|segment| ScalarValue::from(segment.name.value.as_str())).collect(),
        min: None,
        max: None,
    };
    earlier(profile, sets, set).map(domain).collect()
}

fn earlier<'a>(
    profile: &'a Schema,
    sets: &'a IndexMap<String, SegmentSet>,
    set: &'a str,
) -> impl Iterator<Item = (&'a String, &'a SegmentSet)> {
    let before = sets.iter().take_while(move |(name, _)| *name != set);
    before.filter(|(name, _)| gives_column(profile, sets, name))
}

/// Whether later sets read a set as a column: a customer has one segment of it, and a later rule may name it.
pub fn gives_column(profile: &Schema, sets: &IndexMap<String, SegmentSet>, set: &str) -> bool {
    let is_single = sets.get(set).is_some_and(|set| set.kind.value != SetKind::Overlapping);
    let is_named = |rule: &Spanned<String>| rule.value.to_ascii_lowercase().contains(&set.to_ascii_lowercase());
    let mut later = sets.iter().skip_while(|(name, _)| *name != set).skip(1).flat_map(|(_, later)| rules_of(later));
    is_single && profile.column_with_name(set).is_none() && later.any(is_named)
}

/// All conditions of a set.
fn rules_of(set: &SegmentSet) -> impl Iterator<Item = &Spanned<String>> {
    let of_segments = set.segments.iter().flat_map(|segment| std::iter::once(&segment.when).chain(&segment.stay));
    of_segments.chain(set.permissions.values())
}

/// Rows with the column of a set, given the segment of each row: its position in the set, or none for a customer who is withheld.
///
/// # Errors
/// Arrow's own.
pub fn with_column(rows: &RecordBatch, set: &str, names: &[&str], segments: &[Option<usize>]) -> Result<RecordBatch, ArrowError> {
    let fields = rows.schema().fields().iter().cloned().chain([Arc::new(column(set))]).collect::<Vec<_>>();
    let texts: StringArray = segments.iter().map(|at| at.and_then(|at| names.get(at).copied())).collect();
    let columns = rows.columns().iter().cloned().chain([Arc::new(texts) as ArrayRef]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// What is wrong with the way in which a rule of a set reads other sets.
pub(super) fn problem(engine: &Engine, project: &Project, profile: &Schema, set: &str, rule: &Spanned<String>) -> Option<Diagnostic> {
    let sets = &project.pipeline.segments;
    let mut named = Named(Vec::new());
    // A rule that does not parse has a problem of its own.
    let _ = engine.parse_rule(&rule.value).ok()?.visit(&mut named);
    let own = sets.get_index_of(set)?;
    let found = named.0.iter().find_map(|name| {
        let at = sets.get_index_of(name)?;
        let kind = sets[at].kind.value;
        let is_column = profile.column_with_name(name).is_some();
        let (code, what, label, hint) = if is_column {
            let what = format!("`{name}` is both a column of the profile and a set that comes before");
            let hint = "give the column or the set another name, so that it is plain which of them is meant";
            (at < own && kind != SetKind::Overlapping).then_some(("column-and-set", what, "one or the other", hint))?
        } else if at == own {
            let hint = "a rule may read the sets before its own; who was a member the day before is what `stay` is for";
            ("unreadable-set", format!("this rule of `{set}` reads the set `{name}` itself"), "its own set", hint)
        } else if at > own {
            let hint = "a rule may read the sets before its own: move that set up, if none of its rules reads this one";
            ("unreadable-set", format!("this rule of `{set}` reads the set `{name}`, which comes later"), "not assigned yet", hint)
        } else {
            let what = format!("this rule of `{set}` reads the set `{name}`, which is overlapping");
            let hint = "a rule may read earlier sets that are `exclusive` or a `partition`; repeat the condition of the segment here";
            (kind == SetKind::Overlapping).then_some(("unreadable-set", what, "a customer may be in several of its segments", hint))?
        };
        Some((name, Diagnostic::error(code, what).label(label).hint(hint)))
    });
    let (name, problem) = found?;
    let file = Arc::new(SourceFile { path: "rule".to_owned(), text: rule.value.clone() });
    let at = rule.value.to_ascii_lowercase().find(&name.to_ascii_lowercase()).unwrap_or_default();
    let problem = problem.at(Span { file, bytes: at..(at + name.len()).min(rule.value.len()) });
    Some(placed(&project.file, rule, problem))
}

/// Collects the names that a rule reads, in the form in which columns have them.
struct Named(Vec<String>);

impl Visitor for Named {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr {
            self.0.push(if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() });
        }
        ControlFlow::Continue(())
    }
}
