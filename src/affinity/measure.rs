//! How good offers are: whether customers bought on their last day what they would have been offered before it.

use super::Settings;
use super::associations::Associations;
use super::offers::Scorer;
use super::purchases::{Extent, History, Purchases};

/// How many offers are compared with what a customer bought.
pub const MEASURED_OFFERS: usize = 10;

/// How many customers bought one of the items that they would have been offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    /// The customers who bought on two days at least, and on the last one something that they had not bought before.
    pub customers: u64,
    /// Those who bought one of the offers.
    pub with_offers: u64,
    /// Those who bought one of the items that most customers had bought.
    pub with_popular: u64,
}

/// The items by how many customers have bought them, the most popular first.
pub fn popular(buyers: &[u32]) -> Vec<u32> {
    let mut items: Vec<u32> = (0_u32..).zip(buyers).filter(|(_, buyers)| **buyers > 0).map(|(item, _)| item).collect();
    items.sort_unstable_by_key(|item| (std::cmp::Reverse(buyers[*item as usize]), *item));
    items
}

/// Compares the offers that are made from all purchases before the last days with what was bought on those.
#[derive(Debug)]
pub struct Measurer<'a> {
    /// The purchases.
    pub purchases: &'a Purchases,
    /// How many customers have bought each item before the last days.
    pub buyers: &'a [u32],
    /// The items by how many customers have bought them before the last days.
    pub popular: &'a [u32],
    /// What is associated, before the last days.
    pub associations: &'a Associations,
    /// How items are associated.
    pub settings: Settings,
}

impl Measurer<'_> {
    /// The hits among some customers.
    pub fn hits(&self, customers: std::ops::Range<usize>, scorer: &mut Scorer) -> Hits {
        let mut hits = Hits::default();
        let mut history = History::default();
        for customer in customers {
            let Some(last_day) = self.purchases.last_of_several_days(customer) else { continue };
            self.purchases.history(customer, Extent::BeforeLastDay, self.buyers, self.settings.minimum_support, &mut history);
            let bought = self.purchases.new_on(customer, last_day, &history.known);
            if bought.is_empty() {
                continue;
            }
            let was_bought = |item: &u32| bought.binary_search(item).is_ok();
            let offers = scorer.offers(&history, self.associations, &self.settings, MEASURED_OFFERS);
            let is_new = |item: &&u32| history.known.binary_search(item).is_err();
            hits.customers += 1;
            hits.with_offers += u64::from(offers.iter().any(|offer| was_bought(&offer.item)));
            hits.with_popular += u64::from(self.popular.iter().filter(is_new).take(MEASURED_OFFERS).any(was_bought));
        }
        hits
    }
}

impl std::iter::Sum for Hits {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Hits::default(), |sum, part| Hits {
            customers: sum.customers + part.customers,
            with_offers: sum.with_offers + part.with_offers,
            with_popular: sum.with_popular + part.with_popular,
        })
    }
}
