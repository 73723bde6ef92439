//! Clusters: what the pipeline file says of groups of customers that nobody writes a rule for.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::prepared_column::{PreparedColumn, Transform};
use super::spanned::Spanned;

/// The most clusters that customers are put into.
pub const MOST_CLUSTERS: u32 = 100;

/// Groups of customers who are alike in some columns, found by k-means. SQL reads `clustered.name`, one row for each customer, and
/// `clustered.name_groups`, one row for each group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clusters {
    /// What they are for.
    #[serde(default)]
    pub description: Option<String>,
    /// The model with what is known of customers: a row is a customer.
    pub model: Spanned<String>,
    /// Its column with the customer's id, a text that is unique.
    pub customer: Spanned<String>,
    /// The columns by which customers are grouped: numbers, or true and false.
    pub columns: IndexMap<String, PreparedColumn>,
    /// How many groups there are: a number, or the least and the greatest number of which the best is chosen by the mean silhouette.
    pub k: GroupCount,
    /// What the starts of k-means are drawn with. By default 1.
    #[serde(default = "one")]
    pub seed: u64,
    /// How many starts are tried. By default 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub starts: u32,
    /// Other columns of the model that descriptions of groups may be made of: numbers, true and false, or texts with few values.
    #[serde(default)]
    pub describe_by: Vec<Spanned<String>>,
    /// The number of customers, in a group and outside it, below which a group is not described. By default 10.
    #[serde(default = "ten_members")]
    #[schemars(range(min = 1))]
    pub minimum_members: u64,
}

/// How many groups there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum GroupCount {
    /// So many.
    Fixed(#[schemars(range(min = 1, max = MOST_CLUSTERS))] u32),
    /// As many as are best.
    Between(CountRange),
}

/// The least and the greatest number of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountRange {
    /// The least number.
    #[schemars(range(min = 2, max = MOST_CLUSTERS))]
    pub min: u32,
    /// The greatest number.
    #[schemars(range(min = 2, max = MOST_CLUSTERS))]
    pub max: u32,
}

impl GroupCount {
    /// The least and the greatest number of groups.
    pub fn bounds(self) -> (u32, u32) {
        match self {
            GroupCount::Fixed(count) => (count, count),
            GroupCount::Between(CountRange { min, max }) => (min, max),
        }
    }
}

impl Clusters {
    /// What decides which groups there are, as a text: with another one, they are groups by another definition.
    pub fn definition(&self) -> String {
        let columns = self.columns.iter().map(|(name, column)| {
            let winsorise = column.winsorise.as_ref().map_or(0.0, |share| share.value);
            let transform = if column.transform == Transform::Log1p { "log1p" } else { "none" };
            format!("{name} {transform} {winsorise}")
        });
        let columns: Vec<String> = columns.collect();
        let (min, max) = self.k.bounds();
        let columns = columns.join("\n");
        [&self.model.value, &columns, &format!("{min} {max} {} {}", self.seed, self.starts)].map(String::as_str).join("\n")
    }
}

fn one() -> u64 {
    1
}

fn ten() -> u32 {
    10
}

fn ten_members() -> u64 {
    10
}
