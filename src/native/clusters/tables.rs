//! The groups with their numbers, as tables and as what is reported.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use super::customers::Customers;
use super::former::Remembered;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::groups::{self, Began, Change, Choice, Fate, GroupReport, Report, Scaling, State};

/// Customers in groups that have numbers.
pub struct Grouped {
    choice: Option<Choice>,
    /// By group of the clustering, its number.
    labels: Vec<i64>,
    fates: Vec<Fate>,
    highest: u64,
    /// What is reported.
    pub report: Report,
}

impl Grouped {
    /// Gives groups their numbers.
    pub fn of(
        settings: &Settings,
        choice: Option<Choice>,
        scalings: &[Scaling],
        sampled: usize,
        before: Option<Remembered>,
        customers: &Customers,
    ) -> Self {
        let former = before.as_ref().map(|before| &before.former);
        let fates = match (&choice, former) {
            (Some(choice), former) => groups::label(&choice.clustering, settings.columns.len(), former),
            (None, Some(former)) => groups::all_died(former),
            (None, None) => Vec::new(),
        };
        let count = choice.as_ref().map_or(0, |choice| choice.clustering.sizes.len());
        let mut labels = vec![0; count];
        for (fate, group) in fates.iter().filter_map(|fate| Some((fate, fate.group?))) {
            labels[group] = signed(fate.label);
        }
        let highest = fates.iter().map(|fate| fate.label).max().unwrap_or(0).max(former.map_or(0, |former| former.highest));
        let report = report(settings, choice.as_ref(), scalings, before.as_ref(), customers);
        let mut grouped = Grouped { choice, labels, fates, highest, report };
        grouped.report.silhouette_customers = sampled as u64;
        grouped.report.groups = grouped.fates.iter().map(|fate| grouped.group(fate, customers)).collect();
        grouped.report.customers_kept = grouped.report.groups.iter().map(|group| group.customers_kept).sum();
        grouped
    }

    fn size(&self, fate: &Fate) -> u64 {
        fate.group.zip(self.choice.as_ref()).map_or(0, |(group, choice)| choice.clustering.sizes[group])
    }

    fn group(&self, fate: &Fate, customers: &Customers) -> GroupReport {
        let size = self.size(fate);
        GroupReport {
            cluster: fate.label,
            change: fate.change,
            customers: size,
            share: float(size) / float(customers.complete().max(1) as u64),
            customers_before: fate.before,
            customers_kept: fate.shared,
            other_cluster: fate.other,
            description: None,
        }
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The group of the clustering in which somebody is who is in one.
    pub fn group_of(&self, row: usize) -> Option<u32> {
        self.choice.as_ref().map(|choice| choice.clustering.of[row])
    }

    /// The number of the group in which somebody is who is in one.
    pub fn label(&self, row: usize) -> i64 {
        self.group_of(row).map_or(0, |group| self.labels[group as usize])
    }

    /// Says how the groups of the clustering differ from everybody.
    pub fn describe(&mut self, mut descriptions: Vec<Option<String>>) {
        for (fate, group) in self.fates.iter().zip(&mut self.report.groups) {
            group.description = fate.group.and_then(|group| descriptions.get_mut(group)?.take());
        }
    }

    /// All numbers that groups have had, each with the customers that its group has now.
    pub fn numbers(&self) -> impl Iterator<Item = (i64, i64)> {
        let size = |number: u64| self.fates.iter().find(|fate| fate.label == number).map_or(0, |fate| self.size(fate));
        (1..=self.highest).map(move |number| (signed(number), signed(size(number))))
    }

    /// The table with the group of each customer.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn members(&self, schema: &SchemaRef, customers: &Customers) -> Result<Vec<RecordBatch>> {
        let (mut customer, mut row) = (0, 0);
        let batch = |ids: &StringArray| {
            let (mut clusters, mut distances) = (Int64Array::builder(ids.len()), Float64Array::builder(ids.len()));
            for _ in 0..ids.len() {
                if customers.is_complete[customer] {
                    clusters.append_value(self.label(row));
                    distances.append_option(self.choice.as_ref().map(|choice| choice.clustering.distances[row]));
                    row += 1;
                } else {
                    clusters.append_null();
                    distances.append_null();
                }
                customer += 1;
            }
            let columns: Vec<ArrayRef> = vec![Arc::new(ids.clone()), Arc::new(clusters.finish()), Arc::new(distances.finish())];
            RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::defect(error.to_string()))
        };
        customers.ids.iter().map(batch).collect()
    }

    /// The table of the groups.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn groups(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        let groups = &self.report.groups;
        let count = |of: fn(&GroupReport) -> u64| -> ArrayRef {
            Arc::new(groups.iter().map(|group| Some(signed(of(group)))).collect::<Int64Array>())
        };
        let is_there = |group: &&GroupReport| group.change != Change::Died;
        let share = groups.iter().map(|group| Some(group).filter(is_there).map(|group| group.share));
        let columns: Vec<ArrayRef> = vec![
            count(|group| group.cluster),
            Arc::new(groups.iter().map(|group| Some(group.change.name())).collect::<StringArray>()),
            count(|group| group.customers),
            Arc::new(share.collect::<Float64Array>()),
            Arc::new(self.mean_distances()),
            count(|group| group.customers_before),
            count(|group| group.customers_kept),
            Arc::new(groups.iter().map(|group| group.other_cluster.map(signed)).collect::<Int64Array>()),
            Arc::new(groups.iter().map(|group| group.description.as_deref()).collect::<StringArray>()),
        ];
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::defect(error.to_string()))
    }

    fn mean_distances(&self) -> Float64Array {
        let mut sums = vec![0.0; self.count()];
        if let Some(choice) = &self.choice {
            for (of, distance) in choice.clustering.of.iter().zip(&choice.clustering.distances) {
                sums[*of as usize] += distance;
            }
        }
        self.fates.iter().map(|fate| fate.group.map(|group| sums[group] / float(self.size(fate)))).collect()
    }
}

/// What is reported of groups, but for the groups themselves.
fn report(
    settings: &Settings,
    choice: Option<&Choice>,
    scalings: &[Scaling],
    before: Option<&Remembered>,
    customers: &Customers,
) -> Report {
    let constant = settings.columns.iter().zip(scalings).filter(|(_, scaling)| scaling.is_constant());
    let state = match choice.map(|choice| &choice.clustering) {
        None => State::NoCustomers,
        Some(clustering) if clustering.sizes.len() < settings.asked.0 as usize => State::TooFewDifferent,
        Some(clustering) if !clustering.has_converged => State::NoConvergence,
        Some(_) => State::Found,
    };
    Report {
        clusters: settings.name.clone(),
        state,
        customers: customers.count() as u64,
        customers_without_group: (customers.count() - customers.complete()) as u64,
        constant_columns: constant.map(|((name, _), _)| name.clone()).collect(),
        asked: (u64::from(settings.asked.0), u64::from(settings.asked.1)),
        inertia: choice.map(|choice| choice.clustering.inertia),
        silhouette: choice.and_then(|choice| choice.silhouette),
        silhouette_customers: 0,
        tried: choice.map(|choice| choice.tried.clone()).unwrap_or_default(),
        began: if choice.is_some_and(|choice| choice.is_continued) { Began::WithFormerGroups } else { Began::Anew },
        rounds: choice.map_or(0, |choice| choice.clustering.rounds),
        is_redefined: before.is_some_and(|before| before.is_redefined),
        customers_in_both: before.map_or(0, |before| before.former.of.iter().flatten().count() as u64),
        customers_kept: 0,
        groups: Vec::new(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
