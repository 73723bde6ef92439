//! What is known of the days of the trends.

use std::collections::BTreeMap;

use super::types::Amount;

/// What is known of a day of the trends.
pub struct Past {
    /// Of all customers.
    pub totals: Totals,
    /// Of the segments; none if that is not known.
    pub sizes: Option<Sizes>,
}

/// The number of members of every segment, by set and segment.
pub type Sizes = BTreeMap<(String, String), u64>;

/// What is known of all customers on a day.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub customers: Option<u64>,
    pub revenue: Option<Amount>,
    pub buyers: Option<u64>,
    /// By channel, in order of the pipeline file.
    pub reachable: Vec<Option<u64>>,
    pub consented: Vec<Option<u64>>,
    pub sent: Vec<Option<u64>>,
    pub responses: Vec<Option<u64>>,
}
