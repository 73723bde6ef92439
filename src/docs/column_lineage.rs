//! What each column of each table is made of, one step back, and which segments it has a part in, all steps forward.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::PROFILE;
use crate::lineage::{self, TableColumn};
use crate::plan::{Node, Plan, Work};

/// The lineage of all columns of a plan.
#[derive(Debug, Default)]
pub struct ColumnLineage {
    /// By column, the columns that give its value; none where they cannot be followed.
    made_of: BTreeMap<TableColumn, Option<BTreeSet<TableColumn>>>,
    /// By column, the segments whose rules it has a part in, by their place in the plan's dictionary.
    used_by: BTreeMap<TableColumn, BTreeSet<usize>>,
}

impl ColumnLineage {
    pub fn of(plan: &Plan) -> Self {
        let mut found = ColumnLineage::default();
        for node in &plan.nodes {
            found.add(node);
        }
        for (at, segment) in plan.dictionary.segments.iter().enumerate() {
            let mut waiting: Vec<TableColumn> = segment.columns.iter().map(|column| (PROFILE.to_owned(), column.clone())).collect();
            while let Some(column) = waiting.pop() {
                let parts = found.made_of.get(&column).and_then(Option::as_ref);
                let parts: Vec<TableColumn> = parts.into_iter().flatten().cloned().collect();
                if found.used_by.entry(column).or_default().insert(at) {
                    waiting.extend(parts);
                }
            }
        }
        found
    }

    fn add(&mut self, node: &Node) {
        match &node.work {
            Work::Streamed(model) | Work::Materialised { model, .. } => {
                let fields = model.schema.fields().iter().map(|field| (node.name.clone(), field.name().clone()));
                self.made_of.extend(fields.zip(lineage::made_of(&model.query)));
            }
            Work::Native(native) => {
                for made in &native.step().makes {
                    for field in made.schema.fields() {
                        let taken = made.taken.iter().filter(|(column, ..)| column == field.name());
                        let parts = taken.map(|(_, table, of)| (table.clone(), of.clone())).collect();
                        self.made_of.insert((made.name.clone(), field.name().clone()), Some(parts));
                    }
                }
            }
        }
    }

    /// The columns that give the value of one; none where they cannot be followed.
    pub fn made_of(&self, of: &TableColumn) -> Option<BTreeSet<TableColumn>> {
        self.made_of.get(of).cloned().unwrap_or_else(|| Some(BTreeSet::new()))
    }

    /// The segments whose rules a column has a part in.
    pub fn used_by(&self, of: &TableColumn) -> impl Iterator<Item = usize> {
        self.used_by.get(of).into_iter().flatten().copied()
    }
}
