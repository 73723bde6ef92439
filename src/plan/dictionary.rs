//! What the columns of tables mean, and which segments read them: as the pipeline file describes them, as Segmill knows its own tables, or as
//! the columns that a model takes unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::physical_expr::utils::collect_columns;

use super::models::{Checked, CheckedModels};
use super::privacy::PersonalColumns;
use crate::config::{Base, Check, Project, Severity, Spanned};
use crate::engine::ColumnPrivacy;
use crate::graph::{PROFILE, PUBLISHED_COLUMNS, SEGMENTS};
use crate::lineage::{self, ModelPlans};
use crate::manifest::Column;
use crate::native::{Native, PublishedColumn, PublishedColumnsStep};
use crate::publish::{self, REJECTED, REJECTED_DESCRIPTIONS, rejected_schema};
use crate::segments::{RuleSet, SEGMENTS_DESCRIPTIONS};

/// What a column means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    /// In a sentence.
    pub description: Option<String>,
    /// The base of segmentation that it belongs to.
    pub base: Option<Base>,
    /// In what it counts or measures.
    pub unit: Option<String>,
}

/// The columns of the profile that the rules of a segment read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentColumns {
    /// Its set.
    pub segment_set: String,
    /// Its name.
    pub segment: String,
    /// The columns that its own conditions read: those to enter, to stay, and to be reached.
    pub columns: BTreeSet<String>,
}

/// What is known of the columns of a project before data is read.
#[derive(Debug, Default, Clone)]
pub struct Dictionary {
    /// By table and column, what it means, as far as that is known.
    pub meanings: BTreeMap<(String, String), Meaning>,
    /// The columns that each segment reads, in the order of the pipeline file.
    pub segments: Vec<SegmentColumns>,
    /// The columns of the published tables, in order.
    pub published: Vec<PublishedColumn>,
}

impl Dictionary {
    /// What is known of the columns of a project that has been checked.
    pub(super) fn of(project: &Project, checked: &CheckedModels, rules: &[RuleSet]) -> Self {
        let (meanings, segments) = (meanings(project, checked), columns_of_segments(rules));
        let mut found = Dictionary { meanings, segments, published: Vec::new() };
        let schemas = schemas(checked);
        for (table, output) in &project.pipeline.outputs.tables {
            let Some(schema) = schemas.get(&output.model.value) else { continue };
            let columns = publish::columns_of(schema).into_iter().enumerate();
            let columns = columns.map(|(at, column)| found.published_column(project, &checked.personal, table, at, column));
            found.published.extend(columns.collect::<Vec<_>>());
        }
        for (at, column) in publish::columns_of(&rejected_schema()).into_iter().enumerate() {
            let description = meaning_in(REJECTED_DESCRIPTIONS, &column.name);
            let is_required = !rejected_schema().field(at).is_nullable();
            let (table, column, column_type) = (REJECTED.to_owned(), column.name, column.column_type);
            found.published.push(PublishedColumn {
                table,
                position: at + 1,
                column,
                column_type,
                is_required,
                description,
                ..PublishedColumn::default()
            });
        }
        found.published.sort_by(|one, other| (&one.table, one.position).cmp(&(&other.table, other.position)));
        found
    }

    /// What a column means; nothing where that is not known.
    pub fn meaning(&self, table: &str, column: &str) -> Meaning {
        self.meanings.get(&(table.to_owned(), column.to_owned())).cloned().unwrap_or_default()
    }

    fn published_column(&self, project: &Project, personal: &PersonalColumns, table: &str, at: usize, column: Column) -> PublishedColumn {
        let Some(output) = project.pipeline.outputs.tables.get(table) else { return PublishedColumn::default() };
        let model = &output.model.value;
        let meaning = self.meaning(model, &column.name);
        let said = output.columns.get(&column.name).map(|said| said.shown().to_owned());
        let declared = project.pipeline.profile.columns.get(&column.name).filter(|_| model == PROFILE).map(|declared| &declared.value);
        let reads = self.segments.iter().filter(|of| model == PROFILE && of.columns.contains(&column.name));
        let mut used_by: Vec<String> = reads.map(|of| format!("{}.{}", of.segment_set, of.segment)).collect();
        used_by.sort();
        let is_open = personal.column(&TableReference::parse_str(model), &column.name) == ColumnPrivacy::Open;
        let is_checked = project.pipeline.checks.iter().any(|check| demands_value(check, table, &column.name));
        let shown = |value: &Spanned<String>| value.shown().to_owned();
        PublishedColumn {
            table: table.to_owned(),
            position: at + 1,
            is_required: declared.is_some_and(|declared| declared.required) || is_checked,
            is_personal: !is_open || personal.is_marked(&column.name),
            base: meaning.base.map(Base::word),
            unit: meaning.unit,
            description: said.or(meaning.description),
            accepted: declared.iter().flat_map(|declared| &declared.accepted).map(shown).collect(),
            min: declared.and_then(|declared| declared.min.as_ref()).map(shown),
            max: declared.and_then(|declared| declared.max.as_ref()).map(shown),
            used_by,
            column: column.name,
            column_type: column.column_type,
        }
    }
}

/// The step that makes the table of published columns, if something reads it.
pub(super) fn step(columns: Vec<PublishedColumn>, checked: &CheckedModels, published: &BTreeSet<String>) -> Option<Arc<dyn Native>> {
    let is_read = published.contains(PUBLISHED_COLUMNS) || checked.models().any(|model| model.parsed.reads.contains(PUBLISHED_COLUMNS));
    (is_read && checked.has_step(PUBLISHED_COLUMNS)).then(|| Arc::new(PublishedColumnsStep::new(columns)) as Arc<dyn Native>)
}

/// Whether a check refuses a publication in which a column has no value.
fn demands_value(check: &Check, table: &str, column: &str) -> bool {
    let Some(not_null) = check.not_null.as_ref().filter(|_| check.severity == Severity::Fail) else { return false };
    not_null.table.value == table && not_null.columns.iter().any(|checked| checked.value == column)
}

/// The columns of the tables that outputs may name.
fn schemas(checked: &CheckedModels) -> BTreeMap<String, SchemaRef> {
    let of_checked = checked.checked.iter().flat_map(|checked| match checked {
        Checked::Model(model) => vec![(model.parsed.model.name(), Arc::clone(&model.schema))],
        Checked::Native(step) => step.makes.iter().map(|table| (table.name.clone(), Arc::clone(&table.schema))).collect(),
    });
    of_checked.collect()
}

fn meaning_in(descriptions: &[(&str, &str)], column: &str) -> Option<String> {
    descriptions.iter().find(|(name, _)| *name == column).map(|(_, description)| (*description).to_owned())
}

/// What the columns of all tables mean. A model that takes a column unchanged takes what it means, too.
fn meanings(project: &Project, checked: &CheckedModels) -> BTreeMap<(String, String), Meaning> {
    let plain = |description: &str| Meaning { description: Some(description.to_owned()), ..Meaning::default() };
    let mut found = BTreeMap::new();
    for (column, description) in SEGMENTS_DESCRIPTIONS {
        found.insert((SEGMENTS.to_owned(), (*column).to_owned()), plain(description));
    }
    for checked in &checked.checked {
        let Checked::Native(step) = checked else { continue };
        for made in &step.makes {
            let described = made.descriptions.iter().filter(|(column, _)| made.schema.column_with_name(column).is_some());
            found.extend(described.map(|(column, description)| ((made.name.clone(), column.clone()), plain(description))));
        }
    }
    for (column, declared) in &project.pipeline.profile.columns {
        let shown = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.shown().to_owned());
        let declared = &declared.value;
        let meaning = Meaning { description: shown(&declared.description), base: declared.base, unit: shown(&declared.unit) };
        found.insert((PROFILE.to_owned(), column.clone()), meaning);
    }
    let plans: ModelPlans = checked.models().map(|model| (model.parsed.model.name(), Arc::clone(&model.query))).collect();
    for model in checked.models() {
        let name = model.parsed.model.name();
        for field in model.schema.fields() {
            let key = (name.clone(), field.name().clone());
            if found.get(&key).is_some_and(|meaning| meaning.description.is_some()) {
                continue;
            }
            let same = lineage::same_as(&plans, &name, field.name());
            if let Some(taken) = same.iter().filter(|same| **same != key).find_map(|same| found.get(same)).cloned() {
                let own = found.remove(&key).unwrap_or_default();
                let meaning = Meaning { base: own.base.or(taken.base), unit: own.unit.or(taken.unit), description: taken.description };
                found.insert(key, meaning);
            }
        }
    }
    found
}

/// The columns that each segment reads itself.
fn columns_of_segments(rules: &[RuleSet]) -> Vec<SegmentColumns> {
    let of_set = |set: &RuleSet| {
        let segments = set.rules.iter().zip(&set.permissions).zip(&set.stability);
        let of_segment = segments.map(|(((segment, when), permission), stability)| {
            let conditions = std::iter::once(when).chain(permission).chain(stability.stay.iter().map(|(stay, _)| stay));
            let columns = conditions.flat_map(collect_columns).map(|column| column.name().to_owned()).collect();
            SegmentColumns { segment_set: set.name.clone(), segment: segment.clone(), columns }
        });
        of_segment.collect::<Vec<_>>()
    };
    rules.iter().flat_map(of_set).collect()
}
