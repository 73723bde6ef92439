//! What a step of clusters knows of the pipeline file.

use sha2::{Digest, Sha256};

use crate::config::{Clusters, PreparedColumn, Transform};
use crate::groups::{Preparation, Shape};

/// The column with the number of a cluster. The word `cluster` alone is a keyword of SQL.
pub const CLUSTER: &str = "cluster_number";

/// What a step of clusters knows of the pipeline file.
#[derive(Debug)]
pub struct Settings {
    /// The name of the clusters.
    pub name: String,
    /// The model that they are made of.
    pub table: String,
    /// Its column with the customer.
    pub customer: String,
    /// The columns by which customers are grouped.
    pub columns: Vec<(String, Preparation)>,
    /// Those by which groups are described besides.
    pub describe_by: Vec<String>,
    /// A group is not described if fewer are in it or outside it.
    pub minimum_members: u64,
    /// The least and the greatest number of groups.
    pub asked: (u32, u32),
    /// What starts are drawn with.
    pub seed: u64,
    /// How many starts are tried.
    pub starts: u32,
    /// SHA-256 of what decides which groups there are.
    pub definition_digest: String,
}

impl Settings {
    /// Those of clusters that have been checked.
    pub fn of(name: &str, clusters: &Clusters) -> Self {
        let preparation = |column: &PreparedColumn| Preparation {
            shape: if column.transform == Transform::Log1p { Shape::Log1p } else { Shape::Plain },
            winsorise: column.winsorise.as_ref().map_or(0.0, |share| share.value),
        };
        Settings {
            name: name.to_owned(),
            table: clusters.model.value.clone(),
            customer: clusters.customer.value.clone(),
            columns: clusters.columns.iter().map(|(name, column)| (name.clone(), preparation(column))).collect(),
            describe_by: clusters.describe_by.iter().map(|column| column.value.clone()).collect(),
            minimum_members: clusters.minimum_members,
            asked: clusters.k.bounds(),
            seed: clusters.seed,
            starts: clusters.starts,
            definition_digest: format!("{:x}", Sha256::digest(clusters.definition())),
        }
    }

    /// How many numbers of groups are tried, and one more for the groups of before.
    pub fn most_tried(&self) -> usize {
        (self.asked.1 - self.asked.0.min(self.asked.1)) as usize + 2
    }
}
