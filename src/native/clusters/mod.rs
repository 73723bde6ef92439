//! The steps that the pipeline file declares under `clusters`: customers are put into groups by k-means, and each group keeps the number that
//! it had in the predecessor publication.

mod customers;
mod describe;
mod former;
mod settings;
mod state;
mod tables;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;

use self::customers::Customers;
use self::former::Remembered;
use self::settings::Settings;
use self::tables::Grouped;
use super::step::{Context, Findings, Found, Native, Predecessor, described, outward};
use crate::config::{Clusters, Project};
use crate::engine::{Engine, Reservation};
use crate::error::Result;
use crate::graph::{DeclaredKind, Input, LAYERS, Made, Step};
use crate::groups::{self, Choice, Limits, Preparation, Scaling, Wanted};
use crate::publish::{cluster_members, cluster_numbers};
use crate::segments::CUSTOMER_ID;

pub use self::settings::CLUSTER;

/// The column with how far a customer is from the centre of the cluster.
const DISTANCE: &str = "distance_to_centre";

/// After so many rounds k-means ends, whether customers still change groups or not.
const MOST_ROUNDS: u32 = 300;

/// A step that makes the tables of clusters.
#[derive(Debug)]
pub struct ClustersStep {
    step: Arc<Step>,
    settings: Settings,
}

/// The steps of the clusters that a pipeline file declares.
pub(super) fn steps(project: &Project) -> impl Iterator<Item = Arc<Step>> {
    project.pipeline.clusters.iter().map(|(name, clusters)| Arc::new(step_of(name, clusters)))
}

fn step_of(name: &str, clusters: &Clusters) -> Step {
    let table = clusters.model.value.clone();
    let of_customer = vec![(CUSTOMER_ID.to_owned(), table.clone(), clusters.customer.value.clone())];
    let from = |made: &'static str, columns: Vec<&String>| -> Vec<(String, String, String)> {
        columns.into_iter().map(|column| (made.to_owned(), table.clone(), column.clone())).collect()
    };
    // What is known of the columns is known of the group, and what a group is like is told of its columns.
    let grouped_by: Vec<&String> = clusters.columns.keys().collect();
    let described_by: Vec<&String> = grouped_by.iter().copied().chain(clusters.describe_by.iter().map(|column| &column.value)).collect();
    let of_members = [of_customer, from(CLUSTER, grouped_by.clone()), from(DISTANCE, grouped_by)].concat();
    let of_groups = from("description", described_by);
    let made = |name: String, schema: SchemaRef, taken, descriptions| {
        let (identifiers, bounds, descriptions) = (Vec::new(), bounds_of(&schema), described(descriptions));
        Made { name, schema, identifiers, taken, bounds, descriptions }
    };
    let [members, groups] = [DeclaredKind::Clusters.table(name), format!("{}_groups", DeclaredKind::Clusters.table(name))];
    let members = made(members, members_schema(), of_members, MEMBERS_DESCRIPTIONS);
    let groups = made(groups, groups_schema(), of_groups, GROUPS_DESCRIPTIONS);
    let input = Input { table: table.clone(), streamed: false, sorted_by: Some(clusters.customer.value.clone()) };
    let (declared, layer) = (Some(DeclaredKind::Clusters), LAYERS.last().copied());
    Step { name: members.name.clone(), layer, declared, reads: vec![input], makes: vec![members, groups] }
}

/// The columns of the table with the group of each customer.
fn members_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new(CLUSTER, DataType::Int64, true),
        Field::new(DISTANCE, DataType::Float64, true),
    ]))
}

/// The columns of the table of the groups.
fn groups_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CLUSTER, DataType::Int64, false),
        Field::new("change", DataType::Utf8, false),
        Field::new("customers", DataType::Int64, false),
        Field::new("share", DataType::Float64, true),
        Field::new("mean_distance", DataType::Float64, true),
        Field::new("customers_before", DataType::Int64, false),
        Field::new("customers_kept", DataType::Int64, false),
        Field::new("other_cluster", DataType::Int64, true),
        Field::new("description", DataType::Utf8, true),
    ]))
}

/// What the columns of [`members_schema`] mean.
const MEMBERS_DESCRIPTIONS: &[(&str, &str)] = &[
    ("customer_id", "The customer"),
    ("cluster_number", "The number of the group; null for who is in none"),
    ("distance_to_centre", "How far the customer is from the mean of the group, in standard deviations"),
];

/// What the columns of [`groups_schema`] mean.
const GROUPS_DESCRIPTIONS: &[(&str, &str)] = &[
    ("cluster_number", "Its number, unique"),
    ("change", "`new`, `kept`, `split`, `born` or `died`"),
    ("customers", "Its customers"),
    ("share", "Its share of all customers in groups; null if it died"),
    ("mean_distance", "The mean distance of its customers from their mean; null if it died"),
    ("customers_before", "The customers that the group of this number had in the predecessor publication"),
    ("customers_kept", "Those of them who are still in it"),
    ("other_cluster", "The group from which most of its members come, if it is a split; in which most of them are now, if it died"),
    ("description", "How it differs most from everybody; null for small groups, and for one that is like everybody"),
];

/// Between which numbers the columns of a table are.
fn bounds_of(schema: &Schema) -> Vec<(String, f64, f64)> {
    let numbers = schema.fields().iter().filter(|field| field.data_type().is_numeric()).map(|field| field.name().clone());
    let between = |name: String| match name.as_str() {
        CLUSTER => (name, 1.0, f64::INFINITY),
        "share" => (name, 0.0, 1.0),
        _ => (name, 0.0, f64::INFINITY),
    };
    numbers.map(between).collect()
}

impl ClustersStep {
    /// The step of clusters that have been checked.
    pub fn new(name: &str, clusters: &Clusters) -> Self {
        ClustersStep { step: Arc::new(step_of(name, clusters)), settings: Settings::of(name, clusters) }
    }

    /// Reads the customers in their order.
    async fn read(&self, engine: &Engine, memory: &Reservation) -> Result<Customers, DataFusionError> {
        let mut rows = engine.stream_sorted(&self.settings.table, std::slice::from_ref(&self.settings.customer)).await?;
        let mut customers = Customers::new(&self.settings.table, &self.settings.customer, &self.settings.columns);
        while let Some(batch) = rows.try_next().await? {
            customers.add(&batch).map_err(outward)?;
            memory.reach(customers.bytes(self.settings.most_tried()))?;
        }
        customers.verify(&self.settings.name).map_err(outward)?;
        Ok(customers)
    }

    /// What the predecessor publication says of the customers.
    async fn remembered(
        &self,
        predecessor: Option<&mut Predecessor>,
        merged: &[(String, String)],
        customers: &Customers,
    ) -> Result<Option<Remembered>> {
        let (members, numbers) = (cluster_members(&self.settings.name), cluster_numbers(&self.settings.name));
        match predecessor {
            Some(predecessor) if predecessor.has(&members) && predecessor.has(&numbers) => {
                Remembered::read(
                    predecessor.take(&members),
                    predecessor.take(&numbers),
                    merged,
                    customers,
                    &self.settings.definition_digest,
                )
                .await
            }
            _ => Ok(None),
        }
    }

    /// The groups of customers who can be put into one; none if there are no such.
    fn find(&self, customers: &mut Customers, before: Option<&Remembered>, threads: usize) -> (Option<Choice>, Vec<Scaling>, usize) {
        let preparations: Vec<Preparation> = self.settings.columns.iter().map(|(_, preparation)| *preparation).collect();
        let (points, scalings) = groups::prepare(&customers.take_columns(), &preparations);
        if points.rows() == 0 {
            return (None, scalings, 0);
        }
        let sample = customers.sample(groups::ROWS_FOR_SILHOUETTE, self.settings.seed);
        let wanted = Wanted {
            least: self.settings.asked.0 as usize,
            most: self.settings.asked.1 as usize,
            starts: self.settings.starts,
            seed: self.settings.seed,
        };
        let limits = Limits { tolerance: 0.0, most_rounds: MOST_ROUNDS, threads };
        (groups::find(&points, &wanted, before.map(|before| &before.former), &sample, &limits), scalings, sample.len())
    }
}

#[async_trait]
impl Native for ClustersStep {
    fn step(&self) -> Arc<Step> {
        Arc::clone(&self.step)
    }

    async fn run(&self, engine: &Engine, context: &mut Context) -> Result<Found, DataFusionError> {
        let memory = engine.reservation();
        let mut customers = self.read(engine, &memory).await?;
        let before = self.remembered(context.predecessor.as_mut(), &context.merged, &customers).await.map_err(outward)?;
        let (choice, scalings, sampled) = self.find(&mut customers, before.as_ref(), engine.threads());
        let mut grouped = Grouped::of(&self.settings, choice, &scalings, sampled, before, &customers);
        let descriptions = describe::describe(&self.settings, engine, &grouped, &customers).await?;
        grouped.describe(descriptions);
        let [members, groups] = &self.step.makes[..] else {
            return Err(DataFusionError::Internal("clusters make two tables".to_owned()));
        };
        let batches = grouped.members(&members.schema, &customers).map_err(outward)?;
        let rows = engine.register_each(&members.name, Arc::clone(&members.schema), batches.into_iter().map(Ok)).map_err(outward)?;
        engine.declare_key(&members.name, vec![CUSTOMER_ID.to_owned()]);
        let of_groups = grouped.groups(&groups.schema).map_err(outward)?;
        let of_groups = engine.register_each(&groups.name, Arc::clone(&groups.schema), [Ok(of_groups)].into_iter()).map_err(outward)?;
        engine.declare_key(&groups.name, vec![CLUSTER.to_owned()]);
        let report = grouped.report.clone();
        let state = state::state_of(&self.settings, grouped, customers, memory);
        Ok(Found { rows: rows + of_groups, findings: Findings::Clusters(Box::new(report)), state: Some(state) })
    }
}
