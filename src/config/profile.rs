//! What is known of the customer profile before it is computed: the values its columns may have, and what always holds between them.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::spanned::{Literal, Spanned};

/// What is known about the customer profile. Segment rules are proved with these declarations before data is read, and every run compares
/// the profile with them before it evaluates a rule.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The domains of columns: the values that they can have.
    #[serde(default)]
    pub columns: IndexMap<String, Spanned<Domain>>,
    /// Conditions that are true for every customer, such as `frequency = 0 or r_score >= 1`.
    #[serde(default)]
    pub always: Vec<Spanned<String>>,
    /// The column of the profile that says what a customer spent in the window, an integer or a decimal: what `run`, `plan` and `diff`
    /// tell of the revenue that moves with customers.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub revenue: Option<Spanned<String>>,
}

/// The domain of a column of the profile: the values that it can have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// What the values mean.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether every customer has a value.
    #[serde(default)]
    pub required: bool,
    /// The only values that the column has.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub accepted: Vec<Spanned<String>>,
    /// The smallest value that the column has.
    #[serde(default)]
    #[schemars(with = "Option<Literal>")]
    pub min: Option<Spanned<String>>,
    /// The largest value that the column has.
    #[serde(default)]
    #[schemars(with = "Option<Literal>")]
    pub max: Option<Spanned<String>>,
}
