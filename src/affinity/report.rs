//! What is told of offers, in a run's record and summary.

use serde::{Deserialize, Serialize};

use super::measure::Hits;

/// What came of the offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Some customers are offered something.
    Offered,
    /// Nobody is offered anything: everybody has what is associated with what they bought.
    NothingLeft,
    /// No two items were bought by enough customers.
    NoAssociations,
    /// There is one item.
    OneItem,
    /// Nothing was bought.
    NoPurchases,
}

/// Offers: what they are made from, and how good they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of the affinity.
    pub affinity: String,
    /// What came of it.
    pub state: State,
    /// The customers.
    pub customers: u64,
    /// Those who are offered something.
    pub customers_with_offers: u64,
    /// The offers.
    pub offers: u64,
    /// The items that were bought or returned and may be offered.
    pub items: u64,
    /// The associations of an item with another one.
    pub associations: u64,
    /// How many customers must have bought two items for them to be associated.
    pub minimum_support: u32,
    /// Whether customers bought on their last day what they would have been offered before it; none if nobody bought something new on a
    /// second day.
    #[serde(default)]
    pub measured: Option<Measured>,
}

/// How many customers bought on their last day one of the items that they would have been offered before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How many offers are compared.
    pub offers: u64,
    /// The customers who bought on two days at least, and on the last one something that they had not bought before.
    pub customers: u64,
    /// Those who bought one of the offers.
    pub hits: u64,
    /// Their share.
    pub hit_rate: f64,
    /// Those who bought one of as many items that most customers had bought.
    pub popular_hits: u64,
    /// Their share.
    pub popular_hit_rate: f64,
}

impl Measured {
    /// What hits tell; none if there are no customers.
    #[allow(clippy::cast_precision_loss, reason = "counts of customers are far below 2^53")]
    pub fn of(hits: Hits) -> Option<Self> {
        let rate = |part: u64| part as f64 / hits.customers as f64;
        (hits.customers > 0).then(|| Measured {
            offers: super::MEASURED_OFFERS as u64,
            customers: hits.customers,
            hits: hits.with_offers,
            hit_rate: rate(hits.with_offers),
            popular_hits: hits.with_popular,
            popular_hit_rate: rate(hits.with_popular),
        })
    }
}

impl Report {
    /// What somebody should look at: why nothing is offered, or that what is popular would be bought more.
    pub fn warnings(&self) -> Vec<String> {
        let why = match self.state {
            State::Offered => None,
            State::NothingLeft => Some("all customers have bought what is associated with what they bought".to_owned()),
            State::NoAssociations => Some(format!("no two items were bought by {} customers (`minimum_support`)", self.minimum_support)),
            State::OneItem => Some("there is one item".to_owned()),
            State::NoPurchases => Some("there are no purchases".to_owned()),
        };
        let why = why.map(|why| format!("offered.{}: nothing is offered, because {why}", self.affinity));
        let loss = self.measured.as_ref().filter(|measured| measured.hits < measured.popular_hits).map(|measured| {
            format!(
                "offered.{}: on their last day, fewer customers bought an offer ({}) than one of the most popular items ({}), of {}",
                self.affinity, measured.hits, measured.popular_hits, measured.customers
            )
        });
        why.into_iter().chain(loss).collect()
    }
}
