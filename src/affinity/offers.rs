//! What to offer a customer: the items that are associated most strongly with those that the customer has bought.

use super::Settings;
use super::associations::Associations;
use super::purchases::History;

/// An item that a customer is offered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// The item.
    pub item: u32,
    /// How strongly it is associated with what the customer has bought, from 0 to 1: the mean over the customer's items, each weighed by
    /// how long ago it was bought.
    pub score: f64,
    /// The customer's item that speaks most for it.
    pub bought_with: u32,
}

/// Makes offers. It has room for all items, so it is best used for many customers.
#[derive(Debug)]
pub struct Scorer {
    slots: Vec<Slot>,
    touched: Vec<u32>,
    offers: Vec<Offer>,
}

/// What speaks for an item.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    sum: f64,
    /// The most that one of the customer's items says for it, or [`KNOWN`].
    most: f64,
    most_with: u32,
}

/// Stands in the place of what speaks for an item that the customer has bought or returned.
const KNOWN: f64 = f64::INFINITY;
/// Less than one by more than what rounding may do to a product and a quotient.
const ALMOST_ONE: f64 = 1.0 - 1e-12;

impl Scorer {
    /// A scorer for so many items.
    pub fn new(items: usize) -> Self {
        Scorer { slots: vec![Slot::default(); items], touched: Vec::new(), offers: Vec::new() }
    }

    /// The memory that a scorer takes.
    pub fn bytes(items: usize) -> usize {
        items * size_of::<Slot>()
    }

    /// The best offers for a customer, the best first; of equal ones the item with the lower number.
    pub fn offers(&mut self, history: &History, associations: &Associations, settings: &Settings, most: usize) -> &[Offer] {
        for item in &history.known {
            self.slots[*item as usize].most = KNOWN;
        }
        let last = history.evidence.iter().map(|(_, day)| *day).max().unwrap_or_default();
        let mut weights = 0.0;
        for (item, day) in &history.evidence {
            let days = f64::from(last) - f64::from(*day);
            let weight = libm::exp2(-days / settings.half_life_days);
            weights += weight;
            for neighbour in associations.of(*item as usize) {
                let slot = &mut self.slots[neighbour.item as usize];
                let part = weight * f64::from(neighbour.strength);
                // What was bought ages ago says nothing.
                if slot.most == KNOWN || part <= 0.0 {
                    continue;
                }
                if slot.sum <= 0.0 {
                    self.touched.push(neighbour.item);
                }
                slot.sum += part;
                if part > slot.most {
                    (slot.most, slot.most_with) = (part, *item);
                }
            }
        }
        for item in &history.known {
            self.slots[*item as usize] = Slot::default();
        }
        self.best(weights, most);
        &self.offers
    }

    /// Keeps the best of the items that something speaks for.
    fn best(&mut self, weights: f64, most: usize) {
        let is_better = |one: &Offer, other: &Offer| other.score.total_cmp(&one.score).then(one.item.cmp(&other.item)).is_lt();
        self.offers.clear();
        // What certainly scores less than the last of enough offers need not be scored.
        let mut enough = 0.0;
        for item in self.touched.drain(..) {
            let slot = std::mem::take(&mut self.slots[item as usize]);
            if slot.sum < enough {
                continue;
            }
            let offer = Offer { item, score: (slot.sum / weights).min(1.0), bought_with: slot.most_with };
            let place = self.offers.partition_point(|better| is_better(better, &offer));
            if place < most {
                self.offers.truncate(most - 1);
                self.offers.insert(place, offer);
            }
            if self.offers.len() == most {
                enough = self.offers.last().map_or(0.0, |last| last.score * weights * ALMOST_ONE);
            }
        }
    }
}
