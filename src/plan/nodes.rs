//! The plan of a run: its nodes, how each is computed, and which tables are released after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::dictionary::Dictionary;
use super::planned_model::PlannedModel;
use super::predicted::{Bounds, SegmentsOfChurn};
use super::privacy::PersonalColumns;
use crate::config::{Project, Values};
use crate::diagnostic::Diagnostic;
use crate::graph::{DeclaredKind, MEMBERSHIP};
use crate::ingest::{Contract, RequiredColumns};
use crate::native::{IDENTITY_SIGNATURE, Native};
use crate::segments::Proof;

/// Everything that a run needs to know before it reads data.
pub struct Plan {
    /// The project.
    pub project: Arc<Project>,
    /// SHA-256 of the pipeline file and the models that it needs, in hexadecimal.
    pub digest: String,
    /// Its values for this run.
    pub values: Values,
    /// The contracts of the sources that models read, in the order of the pipeline file.
    pub contracts: Vec<Arc<Contract>>,
    /// By source: how often it is scanned, and the columns that models read of it.
    pub required_columns: BTreeMap<String, RequiredColumns>,
    /// The models and native steps, each after what it reads.
    pub nodes: Vec<Node>,
    /// Which columns of tables have personal values.
    pub personal: PersonalColumns,
    /// The columns of the profile that are made of predictions, with their least and greatest values.
    pub bounds: Bounds,
    /// By prediction, the segments whose rules need the chance that a customer has not left.
    pub segments_of_churn: SegmentsOfChurn,
    /// What was proved of every set of segments.
    pub proofs: Vec<Proof>,
    /// What columns mean, and which segments read them.
    pub dictionary: Dictionary,
    /// What somebody should look at beside the proofs.
    pub warnings: Vec<Diagnostic>,
}

impl Plan {
    /// The models, each after what it reads.
    pub fn models(&self) -> impl Iterator<Item = &PlannedModel> {
        self.nodes.iter().filter_map(Node::model)
    }

    /// The node that makes a table.
    pub fn maker(&self, table: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.makes.iter().any(|made| made == table))
    }

    /// The tables that a table is made from, itself among them. Nothing is needed for those that are given.
    pub fn needed(&self, table: &str, is_given: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let mut needed = BTreeSet::new();
        let mut waiting = vec![table.to_owned()];
        while let Some(table) = waiting.pop() {
            if !is_given(&table) && !needed.contains(&table) {
                waiting.extend(self.maker(&table).into_iter().flat_map(|node| node.reads.clone()));
            }
            needed.insert(table);
        }
        needed
    }

    /// The tables that are released after each node, once some nodes that might have been streamed are materialised.
    pub fn releases(&self, materialised: &BTreeSet<String>) -> Vec<Vec<String>> {
        let unpublished: BTreeSet<&String> = self.nodes.iter().flat_map(|node| &node.releases).collect();
        let mut releases = vec![Vec::new(); self.nodes.len()];
        for (table, position) in last_readers(&self.nodes, |node| node.is_streamed() && !materialised.contains(&node.name)) {
            if unpublished.contains(&table) {
                releases[position].push(table);
            }
        }
        releases
    }

    /// Whether it has what makes a table.
    pub fn makes(&self, table: &str) -> bool {
        self.maker(table).is_some()
    }

    /// Whether it has an identity step.
    pub fn has_identity_step(&self) -> bool {
        IDENTITY_SIGNATURE.makes.iter().any(|table| self.maker(table.name).is_some())
    }

    /// Whether it puts customers into segments, of which it remembers who was in which.
    pub fn has_memory(&self) -> bool {
        !self.project.pipeline.segments.is_empty() && self.makes(MEMBERSHIP)
    }

    /// The clusters that it has, by name.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.project.pipeline.clusters.keys().map(String::as_str).filter(|name| self.makes(&DeclaredKind::Clusters.table(name)))
    }

    /// Whether anything is taken from the predecessor publication: the ids of customers, who was in which segment, or in which cluster.
    pub fn builds_on_predecessor(&self) -> bool {
        self.has_identity_step() || self.has_memory() || self.clusters().next().is_some()
    }

    /// What somebody should look at although the project runs.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.proofs.iter().flat_map(|proof| &proof.problems).chain(&self.warnings)
    }
}

/// One step of the plan: it makes the table of a model, or the tables of a native step.
#[derive(Debug, Clone)]
pub struct Node {
    /// The model's or the native step's name.
    pub name: String,
    /// How it is computed.
    pub work: Work,
    /// The tables that it reads.
    pub reads: BTreeSet<String>,
    /// The tables that it makes.
    pub makes: Vec<String>,
    /// The tables released after it: no later node reads them, and they are not published.
    pub releases: Vec<String>,
}

/// How a node is computed.
#[derive(Debug, Clone)]
pub enum Work {
    /// A query that is computed as a part of the node that reads it.
    Streamed(PlannedModel),
    /// A query that takes each of its rows from one row of a source, and that several nodes read. If it takes few of the rows they are
    /// materialised, otherwise it is computed as a part of each of these nodes: to hold most of a source costs more than to read it again.
    RowByRow {
        /// The query.
        model: PlannedModel,
        /// How many queries read it.
        readers: usize,
    },
    /// A query whose rows are materialised as a table.
    Materialised {
        /// The query.
        model: PlannedModel,
        /// The columns by which its rows are sorted, because a native step reads them so.
        sorted_by: Vec<String>,
    },
    /// A native step.
    Native(Arc<dyn Native>),
}

impl Node {
    /// The model, of a node that has one.
    pub fn model(&self) -> Option<&PlannedModel> {
        match &self.work {
            Work::Streamed(model) | Work::RowByRow { model, .. } | Work::Materialised { model, .. } => Some(model),
            Work::Native(_) => None,
        }
    }

    /// The tables that it makes, with their columns.
    pub fn tables(&self) -> Vec<(String, SchemaRef)> {
        let schemas = match &self.work {
            Work::Streamed(model) | Work::RowByRow { model, .. } | Work::Materialised { model, .. } => vec![Arc::clone(&model.schema)],
            Work::Native(native) => native.step().makes.iter().map(|table| Arc::clone(&table.schema)).collect(),
        };
        self.makes.iter().cloned().zip(schemas).collect()
    }

    /// The table that a failure of the node is told of: the model's own, or what a native step reads, since only models have SQL.
    pub fn told_as(&self) -> &str {
        match &self.work {
            Work::Native(_) => self.reads.first().unwrap_or(&self.name),
            Work::Streamed(_) | Work::RowByRow { .. } | Work::Materialised { .. } => &self.name,
        }
    }

    /// The kind, of a native step that the pipeline file declares.
    pub fn declared(&self) -> Option<DeclaredKind> {
        match &self.work {
            Work::Native(native) => native.step().declared,
            Work::Streamed(_) | Work::RowByRow { .. } | Work::Materialised { .. } => None,
        }
    }

    /// Whether it is computed, or may be, as a part of the nodes that read it.
    pub fn is_streamed(&self) -> bool {
        matches!(self.work, Work::Streamed(_) | Work::RowByRow { .. })
    }
}

/// By table, the position of the last node that reads it. A node that reads a streamed one reads what that one reads.
pub(super) fn last_readers(nodes: &[Node], is_streamed: impl Fn(&Node) -> bool) -> BTreeMap<String, usize> {
    let mut last_reader: BTreeMap<String, usize> = BTreeMap::new();
    let mut behind: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (position, node) in nodes.iter().enumerate() {
        let mut all = node.reads.clone();
        for read in &node.reads {
            all.extend(behind.get(read).into_iter().flatten().cloned());
        }
        if is_streamed(node) {
            behind.insert(node.name.clone(), all);
        } else {
            last_reader.extend(all.into_iter().map(|read| (read, position)));
        }
    }
    last_reader
}
