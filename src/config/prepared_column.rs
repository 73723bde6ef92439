//! Columns of numbers, and how they are made comparable before customers are grouped or compared by them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spanned::Spanned;

/// How the values of a column are made comparable. They are transformed, and then get the mean 0 and the standard deviation 1.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreparedColumn {
    /// What is done to values before they are standardised. By default nothing.
    #[serde(default)]
    pub transform: Transform,
    /// The share of values at each end that count as the quantile there, so that a few that are far out do not decide. By default none.
    #[serde(default)]
    #[schemars(with = "Option<f64>", range(min = 0, max = 0.49))]
    pub winsorise: Option<Spanned<f64>>,
}

/// What is done to the values of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Nothing.
    #[default]
    None,
    /// The logarithm of the value plus 1, for amounts and counts, of which few are large. Values must be more than -1.
    Log1p,
}
