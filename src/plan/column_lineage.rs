//! What each column of each table is made of, one step back and back to the sources, and which segments it has a part in, all steps forward.

use std::collections::{BTreeMap, BTreeSet};

use super::nodes::{Node, Plan, Work};
use crate::graph::{CHANGES, EDGES, MEMBERSHIP, PROFILE, SOURCES};
use crate::lineage::{self, Influence, MadeOf, TableColumn, Transformation};
use crate::native::IDENTITY_SIGNATURE;
use crate::segments::CUSTOMER_ID;

/// Columns that decide which rows there are, each with how it does.
pub type Deciding = BTreeMap<TableColumn, BTreeSet<Influence>>;

/// The lineage of all columns of a plan.
#[derive(Debug, Default)]
pub struct ColumnLineage {
    /// By column, the columns that give its value; none where they cannot be followed.
    made_of: BTreeMap<TableColumn, Option<MadeOf>>,
    /// By column, the segments whose rules it has a part in, by their place in the plan's dictionary.
    used_by: BTreeMap<TableColumn, BTreeSet<usize>>,
    /// The columns of the profile that decide who is in which segment.
    ruling: BTreeSet<TableColumn>,
}

impl ColumnLineage {
    /// The lineage of all columns of the nodes of a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut found = ColumnLineage::default();
        for node in &plan.nodes {
            found.add(node);
        }
        for (at, segment) in plan.dictionary.segments.iter().enumerate() {
            let mut waiting: Vec<TableColumn> = segment.columns.iter().map(|column| (PROFILE.to_owned(), column.clone())).collect();
            found.ruling.extend(waiting.iter().cloned());
            while let Some(column) = waiting.pop() {
                let parts = found.made_of.get(&column).and_then(Option::as_ref);
                let parts: Vec<TableColumn> = parts.into_iter().flat_map(values).cloned().collect();
                if found.used_by.entry(column).or_default().insert(at) {
                    waiting.extend(parts);
                }
            }
        }
        found
    }

    fn add(&mut self, node: &Node) {
        match &node.work {
            Work::Streamed(model) | Work::RowByRow { model, .. } | Work::Materialised { model, .. } => {
                let fields = model.schema.fields().iter().map(|field| (node.name.clone(), field.name().clone()));
                self.made_of.extend(fields.zip(lineage::made_of(&model.query)));
            }
            Work::Native(native) => {
                for made in &native.step().makes {
                    for field in made.schema.fields() {
                        let taken = made.taken.iter().filter(|(column, ..)| column == field.name());
                        let parts = taken.map(|(_, table, of)| {
                            // Of a customer a step says whose the row is; what else it says is computed.
                            let is_same = of == CUSTOMER_ID || field.name() == CUSTOMER_ID;
                            let transformation = if is_same { Transformation::Identity } else { Transformation::Computed };
                            ((table.clone(), of.clone()), transformation)
                        });
                        self.made_of.insert((made.name.clone(), field.name().clone()), Some(parts.collect()));
                    }
                }
            }
        }
    }

    /// The columns that give the value of one; none where they cannot be followed.
    pub fn made_of(&self, of: &TableColumn) -> Option<BTreeSet<TableColumn>> {
        self.made_of.get(of).map_or_else(|| Some(BTreeSet::new()), |parts| parts.as_ref().map(|parts| values(parts).cloned().collect()))
    }

    /// The segments whose rules a column has a part in.
    pub fn used_by(&self, of: &TableColumn) -> impl Iterator<Item = usize> {
        self.used_by.get(of).into_iter().flatten().copied()
    }

    /// The columns of sources that a column is made of, each with the most that happens to its values on the way, and with whether it decides
    /// on others; without those that cannot be followed. Through the identity step the identifiers of the edges are followed, and through the
    /// segments step the columns of the profile that decide.
    pub fn made_of_sources(&self, of: &TableColumn) -> BTreeMap<TableColumn, BTreeSet<Transformation>> {
        let is_deciding = |transformation: Transformation| transformation == Transformation::Conditional;
        let mut known = BTreeMap::from([((of.clone(), false), Transformation::Identity)]);
        let mut waiting = vec![(of.clone(), Transformation::Identity)];
        while let Some((column, before)) = waiting.pop() {
            for (part, transformation) in self.parts(&column) {
                let after = before.max(transformation);
                let key = (part.clone(), is_deciding(after));
                if known.get(&key).is_none_or(|known| *known < after) {
                    known.insert(key, after);
                    waiting.push((part, after));
                }
            }
        }
        let mut found: BTreeMap<TableColumn, BTreeSet<Transformation>> = BTreeMap::new();
        for ((column, _), transformation) in known {
            if column.0.strip_prefix(SOURCES).is_some_and(|rest| rest.starts_with('.')) {
                found.entry(column).or_default().insert(transformation);
            }
        }
        found
    }

    /// By model, the columns of sources that decide which rows it gives: in filters, joins, groups and windows.
    pub fn deciding_sources(&self, plan: &Plan) -> BTreeMap<String, Deciding> {
        let of_model = |node: &Node| {
            let mut found = Deciding::new();
            for (column, influence) in lineage::deciding(&node.model()?.query) {
                for source in self.made_of_sources(&column).into_keys() {
                    found.entry(source).or_default().insert(influence);
                }
            }
            Some((node.name.clone(), found))
        };
        plan.nodes.iter().filter_map(of_model).collect()
    }

    /// One step back.
    fn parts(&self, of: &TableColumn) -> MadeOf {
        let (table, column) = of;
        let known = self.made_of.get(of).cloned().flatten().unwrap_or_default();
        if !known.is_empty() {
            return known;
        }
        if table == MEMBERSHIP || table == CHANGES {
            let decided = DECIDED.contains(&column.as_str());
            return self.ruling.iter().filter(|_| decided).map(|part| (part.clone(), Transformation::Conditional)).collect();
        }
        if IDENTITY_SIGNATURE.makes.iter().any(|made| made.name == table) {
            let parts: &[&str] = match column.as_str() {
                "identifier" | "other" | "customer_id" | "other_customer_id" | "alias_id" => &["identifier", "other"],
                "source" => &["source"],
                "first_seen_at" => &["first_seen_at"],
                "last_seen_at" => &["last_seen_at"],
                _ => &[],
            };
            let of_edges = |part: &&str| ((EDGES.to_owned(), (*part).to_owned()), Transformation::Computed);
            return parts.iter().map(of_edges).filter(|(part, _)| self.made_of.contains_key(part)).collect();
        }
        MadeOf::new()
    }
}

/// The columns that give a value, without those that only decide.
fn values(parts: &MadeOf) -> impl Iterator<Item = &TableColumn> {
    parts.iter().filter(|(_, transformation)| **transformation != Transformation::Conditional).map(|(column, _)| column)
}

/// The columns of the segments step that follow from who is in which segment.
const DECIDED: &[&str] = &[
    "segment",
    "member_since",
    "previous_segment",
    "times_entered",
    "held_by",
    "change",
    "from_segment",
    "to_segment",
    "from_since",
    "cause",
];
