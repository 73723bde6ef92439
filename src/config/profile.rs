//! What is known of the customer profile before it is computed: the values its columns may have, and what always holds between them.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::spanned::{Literal, Spanned};

/// What is known of the customer profile. Segment rules are proved with it before data is read, and every run holds the
/// profile to it before a rule is asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The values that columns may have.
    #[serde(default)]
    pub columns: IndexMap<String, Spanned<Domain>>,
    /// Conditions that are true for every customer, as `frequency = 0 or r_score >= 1`.
    #[serde(default)]
    pub always: Vec<Spanned<String>>,
}

/// The values that a column of the profile may have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// What the values mean.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether every customer has a value.
    #[serde(default)]
    pub required: bool,
    /// The only values there are.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub accepted: Vec<Spanned<String>>,
    /// The smallest value there is.
    #[serde(default)]
    #[schemars(with = "Option<Literal>")]
    pub min: Option<Spanned<String>>,
    /// The largest value there is.
    #[serde(default)]
    #[schemars(with = "Option<Literal>")]
    pub max: Option<Spanned<String>>,
}
