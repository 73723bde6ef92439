//! The nodes of the picture: sources, reference tables, models, native steps, sets of segments and outputs, and what each reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Project;
use crate::graph::{MEMBERSHIP, PROFILE, REFERENCE, SOURCES};
use crate::native::ROWS_SIGNATURE;
use crate::plan::Plan;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Source,
    Reference,
    Model,
    Step,
    Set,
    Output,
}

impl Kind {
    /// Its word, which is a class of the style, too.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Reference => "reference",
            Kind::Model => "model",
            Kind::Step => "step",
            Kind::Set => "set",
            Kind::Output => "output",
        }
    }
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its part of the page.
    pub id: String,
    pub kind: Kind,
    /// The small line above its name.
    pub above: String,
    /// Its name as people write it.
    pub name: String,
    /// What it reads, and what reads it, by their places among the nodes.
    pub reads: BTreeSet<usize>,
    pub read_by: BTreeSet<usize>,
}

/// All nodes.
#[derive(Debug, Default)]
pub struct Nodes {
    pub nodes: Vec<Node>,
    /// By table, the node that makes it.
    tables: BTreeMap<String, usize>,
    sets: BTreeMap<String, usize>,
    outputs: BTreeMap<String, usize>,
    ids: BTreeSet<String>,
}

impl Nodes {
    pub fn of(plan: &Plan) -> Self {
        let pipeline = &plan.project.pipeline;
        let mut found = Nodes::default();
        for name in pipeline.sources.keys() {
            let at = found.add(Kind::Source, "source", name);
            found.tables.insert(format!("{SOURCES}.{name}"), at);
        }
        for name in pipeline.reference.keys() {
            let at = found.add(Kind::Reference, "reference", name);
            found.tables.insert(format!("{REFERENCE}.{name}"), at);
        }
        for (name, set) in &pipeline.segments {
            let kind = set.kind.value;
            let at = found.add(Kind::Set, &format!("{kind} set"), name);
            found.sets.insert(name.clone(), at);
        }
        let shown = || plan.nodes.iter().filter(|node| node.name != ROWS_SIGNATURE.name);
        for node in shown() {
            let (schema, name) = node.name.split_once('.').unwrap_or(("", &node.name));
            let at = match (node.model(), node.declared()) {
                (Some(_), _) => found.add(Kind::Model, if schema.is_empty() { "model" } else { schema }, name),
                (None, Some(kind)) => found.add(Kind::Step, kind.word(), name),
                (None, None) => found.add(Kind::Step, "native step", &node.name),
            };
            found.tables.extend(node.makes.iter().map(|table| (table.clone(), at)));
        }
        for node in shown() {
            let Some(at) = node.makes.first().and_then(|table| found.table(table)) else { continue };
            let is_of_sets = node.name == MEMBERSHIP && !found.sets.is_empty();
            for read in &node.reads {
                // The sets stand between the profile and the memberships.
                if let Some(from) = found.table(read).filter(|_| !(is_of_sets && read == PROFILE)) {
                    found.connect(from, at);
                }
            }
            if is_of_sets {
                found.connect_sets(plan, at);
            }
        }
        for (name, output) in &pipeline.outputs.tables {
            let at = found.add(Kind::Output, "published", name);
            found.outputs.insert(name.clone(), at);
            if let Some(from) = found.table(&output.model.value) {
                found.connect(from, at);
            }
        }
        found
    }

    /// What makes a table.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.tables.get(name).copied()
    }

    pub fn set(&self, name: &str) -> Option<usize> {
        self.sets.get(name).copied()
    }

    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.get(name).copied()
    }

    /// The part of the page of a segment.
    pub fn segment_id(project: &Project, set: &str, segment: &str) -> String {
        let sets = &project.pipeline.segments;
        let at = sets.get_index_of(set).unwrap_or_default();
        let within = sets.get(set).and_then(|of| of.segments.iter().position(|of| of.name.value == segment)).unwrap_or_default();
        format!("segment-{}-{}", at + 1, within + 1)
    }

    fn connect_sets(&mut self, plan: &Plan, step: usize) {
        let sets: Vec<(String, usize)> = self.sets.iter().map(|(name, at)| (name.clone(), *at)).collect();
        let profile = self.table(PROFILE);
        for (name, at) in &sets {
            self.connect(*at, step);
            if let Some(profile) = profile {
                self.connect(profile, *at);
            }
            let read = plan.dictionary.segments.iter().filter(|of| of.segment_set == *name).flat_map(|of| &of.columns);
            // A rule reads the sets before its own by their names, unless the profile has a column of that name, which is refused.
            let earlier: Vec<usize> = read.filter_map(|column| self.set(column)).filter(|earlier| earlier < at).collect();
            for earlier in earlier {
                self.connect(earlier, *at);
            }
        }
    }

    fn connect(&mut self, from: usize, to: usize) {
        self.nodes[from].read_by.insert(to);
        self.nodes[to].reads.insert(from);
    }

    fn add(&mut self, kind: Kind, above: &str, name: &str) -> usize {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let schema = if kind == Kind::Model || kind == Kind::Step { format!("{above}-") } else { String::new() };
        let stem: String = format!("{}-{schema}{name}", kind.word()).chars().map(plain).take(80).collect();
        let mut id = stem.clone();
        let mut turn = 2;
        while !self.ids.insert(id.clone()) {
            id = format!("{stem}-{turn}");
            turn += 1;
        }
        let (above, name) = (above.to_owned(), name.to_owned());
        self.nodes.push(Node { id, kind, above, name, reads: BTreeSet::new(), read_by: BTreeSet::new() });
        self.nodes.len() - 1
    }
}
