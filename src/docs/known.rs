//! What the parts of the page share: the plan, what is shown instead of values from the environment, and the links between the parts.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::Schema;
use datafusion::common::TableReference;

use super::nodes::{Kind, Nodes};
use super::view::{Column, Link};
use crate::config::Spanned;
use crate::engine::ColumnPrivacy;
use crate::graph::{PROFILE, REFERENCE, SOURCES};
use crate::lineage::TableColumn;
use crate::plan::{ColumnLineage, Plan};
use crate::publish;

/// What is known of a project.
pub struct Known<'a> {
    pub plan: &'a Plan,
    given: &'a BTreeMap<String, String>,
    pub nodes: Nodes,
    pub lineage: ColumnLineage,
}

impl<'a> Known<'a> {
    pub fn of(plan: &'a Plan, given: &'a BTreeMap<String, String>) -> Self {
        Known { plan, given, nodes: Nodes::of(plan), lineage: ColumnLineage::of(plan) }
    }

    /// A text of the pipeline file as it is written there.
    pub fn text(&self, text: &str) -> String {
        self.given.get(text).cloned().unwrap_or_else(|| text.to_owned())
    }

    /// The same of a number.
    pub fn number(&self, number: impl ToString) -> String {
        self.text(&number.to_string())
    }

    /// The same of a text that may be missing.
    pub fn maybe(&self, text: Option<&String>) -> Option<String> {
        text.map(|text| self.text(text))
    }

    /// A link to what makes a table.
    pub fn table_link(&self, table: &str) -> Option<Link> {
        let at = self.nodes.table(table)?;
        Some(Link { to: self.nodes.nodes[at].id.clone(), text: table.to_owned() })
    }

    /// Links to nodes.
    pub fn links(&self, nodes: &BTreeSet<usize>) -> Vec<Link> {
        let link = |at: &usize| {
            let node = &self.nodes.nodes[*at];
            let schema = match node.kind {
                Kind::Source => SOURCES,
                Kind::Reference => REFERENCE,
                Kind::Model if node.above != "model" => &node.above,
                _ => "",
            };
            let text = if schema.is_empty() { node.name.clone() } else { format!("{schema}.{}", node.name) };
            Link { to: node.id.clone(), text }
        };
        nodes.iter().map(link).collect()
    }

    /// What a node reads, and what reads it.
    pub fn ways(&self, at: Option<usize>) -> (Vec<Link>, Vec<Link>) {
        at.map(|at| (self.links(&self.nodes.nodes[at].reads), self.links(&self.nodes.nodes[at].read_by))).unwrap_or_default()
    }

    /// The part of the page of a node.
    pub fn id(&self, at: Option<usize>) -> String {
        at.map(|at| self.nodes.nodes[at].id.clone()).unwrap_or_default()
    }

    /// Links to the segments whose rules a column has a part in.
    pub fn segments_of(&self, of: &TableColumn) -> Vec<Link> {
        let link = |at: usize| {
            let segment = &self.plan.dictionary.segments[at];
            let to = Nodes::segment_id(&self.plan.project, &segment.segment_set, &segment.segment);
            Link { to, text: format!("{}.{}", segment.segment_set, segment.segment) }
        };
        self.lineage.used_by(of).map(link).collect()
    }

    /// The columns of a table.
    pub fn columns(&self, table: &str, schema: &Schema) -> Vec<Column> {
        publish::columns_of(schema).into_iter().map(|column| self.column(table, column.name, column.column_type)).collect()
    }

    fn column(&self, table: &str, name: String, column_type: String) -> Column {
        let key = (table.to_owned(), name.clone());
        let meaning = self.plan.dictionary.meaning(table, &name);
        let made_of = self.lineage.made_of(&key);
        let links = made_of.iter().flatten().filter_map(|(table, column)| {
            let link = self.table_link(table)?;
            Some(Link { text: format!("{table}.{column}"), ..link })
        });
        Column {
            column_type,
            unit: meaning.unit,
            description: meaning.description,
            values: self.values(table, &name),
            is_personal: self.plan.personal.column(&TableReference::parse_str(table), &name) != ColumnPrivacy::Open,
            made_of: links.collect(),
            is_followed: made_of.is_some(),
            used_by: self.segments_of(&key),
            name,
        }
    }

    /// The declared values of a column of the profile.
    fn values(&self, table: &str, column: &str) -> Option<String> {
        let declared = &self.plan.project.pipeline.profile.columns.get(column).filter(|_| table == PROFILE)?.value;
        let accepted: Vec<&str> = declared.accepted.iter().map(Spanned::shown).collect();
        let of_values = match (declared.min.as_ref().map(Spanned::shown), declared.max.as_ref().map(Spanned::shown)) {
            _ if !accepted.is_empty() => accepted.join(", "),
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, Some(max)) => format!("{max} or less"),
            (None, None) => String::new(),
        };
        let always = if declared.required { "of every customer" } else { "" };
        let said: Vec<&str> = [of_values.as_str(), always].into_iter().filter(|part| !part.is_empty()).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}
