//! Traits of segments: what the pipeline file says of how members are compared with everybody.

use schemars::JsonSchema;
use serde::Deserialize;

use super::spanned::Spanned;
use crate::traits::Discretion;

/// How the members of segments are compared with everybody. The traits are computed if a model or an output reads `segment_traits`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traits {
    /// The number of customers below which nothing is told: of a segment with fewer members, of a column that is known of fewer of them, of a
    /// value that fewer have. By default 10.
    #[serde(default = "minimum_members")]
    #[schemars(range(min = 2))]
    pub minimum_members: u64,
    /// Each segment is judged as if it had so many more members, who are like everybody, so that chance makes no traits of small segments. By
    /// default 10.
    #[serde(default = "prior_members")]
    #[schemars(range(max = 1_000_000))]
    pub prior_members: u32,
    /// The columns of the profile that are compared: numbers, yes or no, and texts, none of them personal. By default all such columns.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub columns: Vec<Spanned<String>>,
}

impl Default for Traits {
    fn default() -> Self {
        Traits { minimum_members: minimum_members(), prior_members: prior_members(), columns: Vec::new() }
    }
}

impl Traits {
    /// How little is told, and how little is believed, of few customers.
    pub fn discretion(&self) -> Discretion {
        Discretion { minimum_members: self.minimum_members, prior_members: f64::from(self.prior_members) }
    }
}

fn minimum_members() -> u64 {
    10
}

fn prior_members() -> u32 {
    10
}
