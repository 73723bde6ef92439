//! What to offer next: which items the same customers buy, and which of those a customer has not bought. Nothing here reads a table; items
//! and customers are numbers, and every sum has a fixed order.

mod associations;
mod measure;
mod offers;
mod purchases;
mod report;
#[cfg(test)]
mod tests;

pub use associations::{Associations, Counter, Counts, Neighbour};
pub use measure::{Hits, MEASURED_OFFERS, Measurer, popular};
pub use offers::{Offer, Scorer};
pub use purchases::{Extent, History, MOST_ITEMS_OF_A_CUSTOMER, Purchases, Row};
pub use report::{Measured, Report, State};

/// How items are associated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How many customers must have bought two items for them to be associated.
    pub minimum_support: u32,
    /// For how many average customers who bought neither item with the other an association is taken to have been seen.
    pub shrinkage: f64,
    /// After how many days a purchase says half as much of what its customer buys next.
    pub half_life_days: f64,
}
