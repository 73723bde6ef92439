//! What is known of the customer profile before it is computed: what its columns mean and the values they may have, and what always holds
//! between them.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spanned::{Literal, Spanned};

/// What is known about the customer profile. Segment rules are proved with these declarations before data is read, and every run compares
/// the profile with them before it evaluates a rule.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What columns mean, and their domains: the values that they can have.
    #[serde(default)]
    pub columns: IndexMap<String, Spanned<ProfileColumn>>,
    /// Conditions that are true for every customer, such as `frequency = 0 or r_score >= 1`.
    #[serde(default)]
    pub always: Vec<Spanned<String>>,
    /// The column of the profile that says what a customer spent in the window, an integer or a decimal: what `run`, `plan` and `diff`
    /// tell of the revenue that moves with customers.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub revenue: Option<Spanned<String>>,
}

/// What is known of a column of the profile: what it means, and its domain, that is, the values that it can have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileColumn {
    /// What the column means. The table `published_columns` and `segmill docs` show it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub description: Option<Spanned<String>>,
    /// What the column is a base of: on which ground it tells customers apart.
    #[serde(default)]
    pub base: Option<Base>,
    /// In what the column counts or measures, such as `days` or `GBP`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub unit: Option<Spanned<String>>,
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

impl ProfileColumn {
    /// Whether it says anything of the values that the column can have.
    pub fn has_domain(&self) -> bool {
        self.required || !self.accepted.is_empty() || self.min.is_some() || self.max.is_some()
    }
}

/// The ground on which a column tells customers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// Which person it is, and since when the person is known.
    Identity,
    /// What people are: age, household, income, education.
    Demographic,
    /// Where they are.
    Geographic,
    /// With which devices and programs they come.
    Technographic,
    /// What they do and buy.
    Behavioural,
    /// How much they take part: visits, clicks, answers.
    Engagement,
    /// What they like and think.
    Psychographic,
    /// What they need.
    Needs,
    /// What they spend and are worth.
    Value,
    /// Where they stand between the first order and the last.
    Lifecycle,
    /// What may be said to them, and how.
    Consent,
}

impl Base {
    /// As the pipeline file says it.
    pub fn word(self) -> &'static str {
        match self {
            Base::Identity => "identity",
            Base::Demographic => "demographic",
            Base::Geographic => "geographic",
            Base::Technographic => "technographic",
            Base::Behavioural => "behavioural",
            Base::Engagement => "engagement",
            Base::Psychographic => "psychographic",
            Base::Needs => "needs",
            Base::Value => "value",
            Base::Lifecycle => "lifecycle",
            Base::Consent => "consent",
        }
    }
}
