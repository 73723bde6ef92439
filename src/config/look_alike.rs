//! Look-alikes: what the pipeline file says of the customers who are like the members of a segment.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::prepared_column::PreparedColumn;
use super::spanned::Spanned;

/// How like the members of a segment everybody else is, which SQL reads as `similar.name`, one row for each customer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookAlikes {
    /// What they are for.
    #[serde(default)]
    pub description: Option<String>,
    /// The model with what is known of customers: a row is a customer. It has the columns that are compared, and those that the rules of the
    /// segment read.
    pub model: Spanned<String>,
    /// Its column with the customer's id, a text that is unique.
    pub customer: Spanned<String>,
    /// The segment whose members others are compared with.
    pub similar_to: SimilarTo,
    /// The columns that are compared: numbers, or true and false. No rule that decides who is in the segment may read one of them.
    pub columns: IndexMap<String, PreparedColumn>,
    /// The number of members, and of other customers, below which nobody has a similarity. By default 50.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1))]
    pub minimum_members: u64,
}

/// A segment by its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimilarTo {
    /// The set that it is in.
    pub segment_set: Spanned<String>,
    /// Its name.
    pub segment: Spanned<String>,
}

fn fifty() -> u64 {
    50
}
