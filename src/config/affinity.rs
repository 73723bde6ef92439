//! Affinities: what the pipeline file says of items that customers buy, of which each customer is offered what others have bought too.

use schemars::JsonSchema;
use serde::Deserialize;

use super::spanned::Spanned;

/// What to offer customers next, from what they and others have bought; SQL reads it as `offered.name`, a row for each offer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Affinity {
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// The model with the purchases: a row is an item that a customer bought or returned on a day.
    pub model: Spanned<String>,
    /// Which columns of the model say what.
    pub columns: ItemColumns,
    /// Items that are never offered and do not count, such as postage.
    #[serde(default)]
    pub never_offer: Option<NeverOffer>,
    /// How many items a customer is offered at most. By default 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 50))]
    pub offers: u32,
    /// How many customers must have bought two items for one to be offered to who bought the other. By default 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1))]
    pub minimum_support: u32,
    /// How much the strength of an association counts for less if few customers have bought the items: as if so many average customers had
    /// bought each without the other. By default 10.
    #[serde(default = "shrinkage")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub shrinkage: f64,
    /// After how many days a purchase says half as much of what its customer buys next. By default 60.
    #[serde(default = "half_life")]
    #[schemars(range(min = 1, max = 36525))]
    pub half_life_days: f64,
}

/// Which columns of a model say who has bought what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemColumns {
    /// The customer's id, a text.
    pub customer: Spanned<String>,
    /// The item, a text, such as a product code or a category.
    pub item: Spanned<String>,
    /// The day on which it was bought or returned, a date.
    pub day: Spanned<String>,
    /// Whether the row is a return. Without it all rows are purchases.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub is_returned: Option<Spanned<String>>,
}

/// Items that are never offered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeverOffer {
    /// The table that has them: a reference table or a model.
    pub table: Spanned<String>,
    /// Its column with the items.
    pub column: Spanned<String>,
}

fn ten() -> u32 {
    10
}

fn five() -> u32 {
    5
}

fn shrinkage() -> f64 {
    10.0
}

fn half_life() -> f64 {
    60.0
}

impl ItemColumns {
    /// The columns that are named, each with its role.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Spanned<String>)> {
        let always = [("customer", &self.customer), ("item", &self.item), ("day", &self.day)];
        always.into_iter().chain(self.is_returned.as_ref().map(|column| ("is_returned", column)))
    }
}
