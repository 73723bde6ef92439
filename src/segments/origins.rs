//! What the rules of a project read, and what that is made of: from this the causes of changes are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;

use super::rule_set::{CUSTOMER_ID, RuleSet};
use crate::lineage::Lineage;

/// What the rules of all sets read.
#[derive(Debug, Default, Clone)]
pub struct Origins {
    /// The columns of the profile that are kept for the next publication, beside the customer: those that rules read, and those that the
    /// customer brings to them.
    pub inputs: BTreeSet<String>,
    /// The columns of the profile that say consent.
    pub consent: BTreeSet<String>,
    /// What each set reads, in order.
    pub(super) sets: Vec<OfSet>,
    /// What each column of the profile is made of.
    pub(super) columns: BTreeMap<String, Lineage>,
}

/// What the conditions of a set read.
#[derive(Debug, Default, Clone)]
pub(super) struct OfSet {
    /// All of them.
    pub(super) all: Reads,
    /// Those of each segment, in order, where a customer may be in several.
    pub(super) segments: Vec<Reads>,
}

/// What some conditions read.
#[derive(Debug, Default, Clone)]
pub(super) struct Reads {
    /// The columns of the profile.
    pub(super) columns: BTreeSet<String>,
    /// The sources of these.
    pub(super) sources: BTreeSet<String>,
}

impl Origins {
    /// What some rules read, given what the columns of the profile are made of.
    pub fn of(rules: &[RuleSet], columns: BTreeMap<String, Lineage>) -> Self {
        let mut found = Origins { columns, ..Origins::default() };
        let mut earlier: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut permitting = BTreeSet::new();
        for set in rules {
            let mut of_set = OfSet::default();
            for position in 0..set.rules.len() {
                let permission = set.permissions[position].as_ref();
                let conditions = [Some(&set.rules[position].1), permission, set.stability[position].stay.as_ref().map(|(stay, _)| stay)];
                let names: BTreeSet<String> = conditions.into_iter().flatten().flat_map(names_in).collect();
                permitting.extend(permission.into_iter().flat_map(names_in));
                let read = names.iter().flat_map(|name| match earlier.get(name) {
                    Some(of_earlier) if !found.columns.contains_key(name) => of_earlier.clone(),
                    _ => [name.clone()].into(),
                });
                let reads = found.reads(read.collect());
                of_set.all.columns.extend(reads.columns.iter().cloned());
                of_set.all.sources.extend(reads.sources.iter().cloned());
                of_set.segments.push(reads);
            }
            earlier.insert(set.name.clone(), of_set.all.columns.clone());
            found.sets.push(of_set);
        }
        let read: BTreeSet<String> = found.sets.iter().flat_map(|set| set.all.columns.iter().cloned()).collect();
        let own = read.iter().filter_map(|column| found.columns.get(column)?.own.clone()).flatten();
        found.inputs = own.chain(read.iter().cloned()).filter(|column| column != CUSTOMER_ID).collect();
        let is_consent = |column: &&String| permitting.contains(*column) || found.columns.get(*column).is_some_and(|of| of.is_consent);
        found.consent = found.inputs.iter().filter(is_consent).cloned().collect();
        found
    }

    /// Keeps one more column of the profile, which no rule reads.
    #[must_use]
    pub fn and_input(mut self, column: &str) -> Self {
        self.inputs.insert(column.to_owned());
        self
    }

    fn reads(&self, columns: BTreeSet<String>) -> Reads {
        let sources = columns.iter().filter_map(|column| self.columns.get(column)).flat_map(|of| of.sources.iter().cloned()).collect();
        Reads { columns, sources }
    }
}

fn names_in(condition: &Arc<dyn PhysicalExpr>) -> BTreeSet<String> {
    collect_columns(condition).iter().map(|column| column.name().to_owned()).collect()
}
