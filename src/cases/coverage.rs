//! Which columns of which models no case expects anything of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::case::Case;
use super::filters::Filters;
use crate::plan::{Node, Plan};

/// The columns of a model that no case covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The model.
    pub model: String,
    /// How many cases ask it.
    pub cases: usize,
    /// Its columns that no expected row names, in order; all of them if no case asks it.
    pub columns: Vec<String>,
}

/// What the cases expect.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// By model, how many cases ask it, and which columns their expected rows name.
    models: BTreeMap<String, (usize, BTreeSet<String>)>,
}

impl Coverage {
    /// Adds a case. One whose expected rows name no column compares all of them, if it expects rows.
    pub(super) fn add(&mut self, plan: &Plan, case: &Case) {
        let (cases, columns) = self.models.entry(case.model.value.clone()).or_default();
        *cases += 1;
        let before = columns.len();
        columns.extend(case.expect.iter().flat_map(|row| row.value.keys().cloned()));
        if columns.len() == before && case.expect.iter().any(|row| row.value.is_empty()) {
            columns.extend(columns_of(plan, &case.model.value));
        }
    }

    /// What is not covered of the models of a plan, in their order.
    pub(super) fn uncovered(self, plan: Option<&Plan>, filters: &Filters) -> Vec<Uncovered> {
        let mut found = Vec::new();
        for node in plan.iter().flat_map(|plan| &plan.nodes) {
            // The columns of a native step are its own matter.
            let Some(model) = node.model().filter(|_| filters.name_model(&node.name) || self.models.contains_key(&node.name)) else {
                continue;
            };
            let (cases, covered) = self.models.get(&node.name).cloned().unwrap_or_default();
            let columns = model.schema.fields().iter().map(|field| field.name().clone());
            let columns: Vec<String> = columns.filter(|column| !covered.contains(column)).collect();
            if !columns.is_empty() {
                found.push(Uncovered { model: node.name.clone(), cases, columns });
            }
        }
        found
    }
}

fn columns_of(plan: &Plan, table: &str) -> Vec<String> {
    let tables = plan.nodes.iter().flat_map(Node::tables);
    let found = tables.filter(|(name, _)| name == table);
    found.flat_map(|(_, schema)| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()).collect()
}
