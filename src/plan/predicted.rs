//! What is known of columns that are made of predictions: their bounds, with which segment rules are proved, and which of them need the
//! chance that a customer has not left.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::TableReference;
use datafusion::logical_expr::LogicalPlan;

use crate::engine::{self, Facts};
use crate::graph::{DeclaredKind, PROFILE, Step};
use crate::native::{P_ALIVE, SIMILARITY};
use crate::segments::RuleSet;

/// By prediction, segments such as `value.at_risk`.
pub type SegmentsOfChurn = BTreeMap<String, Vec<String>>;

/// Columns of the profile with their least and greatest values.
pub type Bounds = Vec<(String, f64, f64)>;

/// By table and column, what is known.
#[derive(Debug, Default)]
pub(super) struct PredictedColumns {
    tables: BTreeMap<String, BTreeMap<String, Facts>>,
}

impl PredictedColumns {
    /// Adds the tables of a native step.
    pub(super) fn add_native(&mut self, step: &Step) {
        let Some(kind) = step.declared else { return };
        for table in &step.makes {
            let prediction = (kind == DeclaredKind::Prediction).then(|| table.name.split_once('.')).flatten().map(|(_, name)| name);
            let similar = (kind == DeclaredKind::LookAlikes).then_some(table.name.as_str());
            let columns = table.bounds.iter().map(|(column, least, most)| {
                let made_of = prediction.filter(|_| column == P_ALIVE).or(similar.filter(|_| column == SIMILARITY));
                let made_of = made_of.map(str::to_owned).into_iter().collect();
                (column.clone(), Facts { bounds: Some((*least, *most)), made_of })
            });
            self.tables.insert(table.name.clone(), columns.collect());
        }
    }

    /// Adds the table that a query makes of tables that are known.
    pub(super) fn add(&mut self, name: &str, plan: &LogicalPlan) {
        if self.tables.is_empty() {
            return;
        }
        let known = |table: &TableReference, column: &str| {
            self.tables.get(&table.to_string()).and_then(|columns| columns.get(column)).cloned().unwrap_or_default()
        };
        let found = engine::facts(plan, &known);
        let columns = plan.schema().fields().iter().map(|field| field.name().clone()).zip(found);
        // What the models' own numbers are between is for the pipeline file to say.
        let of_predictions = columns.filter(|(_, facts)| facts.bounds.is_some() || !facts.made_of.is_empty());
        let columns: BTreeMap<String, Facts> = of_predictions.collect();
        if !columns.is_empty() {
            self.tables.insert(name.to_owned(), columns);
        }
    }

    /// Whether the values of a column of the profile are made of the similarities of a table.
    pub(super) fn is_made_of(&self, column: &str, similar: &str) -> bool {
        self.tables.get(PROFILE).and_then(|columns| columns.get(column)).is_some_and(|facts| facts.made_of.contains(similar))
    }

    /// The columns of the profile whose least and greatest values are known.
    pub(super) fn bounds(&self) -> Bounds {
        let columns = self.tables.get(PROFILE).into_iter().flatten();
        columns.filter_map(|(column, facts)| facts.bounds.map(|(least, most)| (column.clone(), least, most))).collect()
    }

    /// By prediction, the segments whose rules need the chance that a customer has not left.
    pub(super) fn segments_of_churn(&self, sets: &[RuleSet]) -> SegmentsOfChurn {
        let mut found = SegmentsOfChurn::new();
        let Some(profile) = self.tables.get(PROFILE) else { return found };
        for set in sets {
            for (segment, read) in set.columns_read() {
                let predictions: BTreeSet<&String> =
                    read.iter().filter_map(|column| profile.get(column)).flat_map(|facts| &facts.made_of).collect();
                for prediction in predictions {
                    found.entry(prediction.clone()).or_default().push(format!("{}.{segment}", set.name));
                }
            }
        }
        found
    }
}
