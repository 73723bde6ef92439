//! Predictions: what the pipeline file says of a model of purchases that is fitted to the customers' own histories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spanned::Spanned;

/// A prediction of what customers will buy and are worth, which SQL reads as `predicted.name`, one row for each customer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// The model with the purchases: a row is a customer who has bought.
    pub model: Spanned<String>,
    /// Which columns of the model say what.
    pub columns: PurchaseColumns,
    /// How customers are taken to leave. By default `bg_nbd`.
    #[serde(default)]
    pub purchase_model: PurchaseModel,
    /// For how many days after the end of observation purchases are predicted: each gives a column, such as `expected_orders_90d`.
    #[schemars(length(min = 1), inner(range(min = 1, max = 36525)))]
    pub horizons_days: Vec<Spanned<u32>>,
    /// What counts for the lifetime value. It needs `average_order_value`.
    #[serde(default)]
    pub lifetime: Option<Lifetime>,
    /// How many of the last days are predicted from those before, to show how good predictions are. It needs `purchase_dates`. By
    /// default none are.
    #[serde(default)]
    #[schemars(with = "Option<u32>", range(min = 1, max = 36525))]
    pub holdout_days: Option<Spanned<u32>>,
    /// The number of customers who have bought again below which nothing is fitted. By default 50.
    #[serde(default = "fifty")]
    #[schemars(range(min = 2))]
    pub minimum_repeat_buyers: u64,
}

/// Which columns of a model say what customers have bought. Days are whole or parts of days, counted from the first purchase.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseColumns {
    /// The customer's id, a text that is unique.
    pub customer: Spanned<String>,
    /// The purchases after the first one, a whole number. Purchases of one day are best counted as one.
    pub repeat_purchases: Spanned<String>,
    /// The days from the first purchase to the last one; 0 without a repeat purchase.
    pub days_to_last_purchase: Spanned<String>,
    /// The days from the first purchase to the end of observation.
    pub days_observed: Spanned<String>,
    /// The mean value of the repeat purchases, more than 0; null without a repeat purchase.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub average_order_value: Option<Spanned<String>>,
    /// The days of all purchases, the first one included, as a list of dates without repetition.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub purchase_dates: Option<Spanned<String>>,
}

/// How customers are taken to leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseModel {
    /// A customer may leave after every purchase but the first (Fader, Hardie & Lee 2005).
    #[default]
    BgNbd,
    /// A customer may leave after every purchase (Batislam, Denizel & Filiztekin 2007).
    MbgNbd,
}

/// What counts for a lifetime value.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifetime {
    /// The days after the end of observation in which orders count.
    #[schemars(range(min = 1, max = 36525))]
    pub days: u32,
    /// By how much an order counts for less for each year that it comes later: with 0.1, an order in a year is worth 1/1.1 of one now.
    #[schemars(range(min = 0, max = 10))]
    pub yearly_discount: f64,
}

fn fifty() -> u64 {
    50
}

impl Prediction {
    /// The horizons without repetition, in order.
    pub fn horizons(&self) -> Vec<u32> {
        let mut horizons: Vec<u32> = self.horizons_days.iter().map(|days| days.value).collect();
        horizons.sort_unstable();
        horizons.dedup();
        horizons
    }
}

impl PurchaseColumns {
    /// The columns that are named, each with its role.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Spanned<String>)> {
        let always = [
            ("customer", &self.customer),
            ("repeat_purchases", &self.repeat_purchases),
            ("days_to_last_purchase", &self.days_to_last_purchase),
            ("days_observed", &self.days_observed),
        ];
        let sometimes = [("average_order_value", &self.average_order_value), ("purchase_dates", &self.purchase_dates)];
        always.into_iter().chain(sometimes.into_iter().filter_map(|(role, column)| Some((role, column.as_ref()?))))
    }
}
