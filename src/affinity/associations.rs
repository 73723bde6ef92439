//! How strongly items are associated: which are bought by the same customers.

use super::Settings;
use super::purchases::{Extent, History, Purchases};

/// How many items are kept beside each, the most strongly associated ones.
pub(super) const NEIGHBOURS: usize = 50;

/// An item that is associated with another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// The item.
    pub item: u32,
    /// How strongly, from 0 to 1.
    pub strength: f32,
}

/// By item, the items that are associated with it.
#[derive(Debug, Default, PartialEq)]
pub struct Associations {
    ends: Vec<usize>,
    neighbours: Vec<Neighbour>,
}

/// What the association of items is counted from: which items count of which customer. A customer counts for the less the more items
/// count of it, because who buys everything says little about what goes with what.
#[derive(Debug)]
pub struct Counts {
    /// How many customers have bought each item.
    pub buyers: Vec<u32>,
    by_customer: Lists,
    by_item: Lists,
    /// By item, the square root of what its customers count for together.
    roots: Vec<f64>,
    mean_weight: f64,
    settings: Settings,
}

/// A list of numbers for each of several things.
#[derive(Debug, Default)]
struct Lists {
    ends: Vec<usize>,
    numbers: Vec<u32>,
}

impl Lists {
    fn of(&self, at: usize) -> &[u32] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.numbers[start..self.ends[at]]
    }

    /// For each of `count` numbers, in which lists it is, in order.
    fn transposed(&self, count: usize) -> Lists {
        let mut starts = vec![0_usize; count + 1];
        for number in &self.numbers {
            starts[*number as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut numbers = vec![0; self.numbers.len()];
        for (list, at) in (0_u32..).zip(0..self.ends.len()) {
            for number in self.of(at) {
                let next = &mut starts[*number as usize];
                numbers[*next] = list;
                *next += 1;
            }
        }
        starts.truncate(count);
        Lists { ends: starts, numbers }
    }
}

impl Counts {
    /// What there is to count. There must not be more than [`u32::MAX`] customers.
    pub fn of(purchases: &Purchases, extent: Extent, settings: Settings) -> Self {
        let buyers = purchases.buyers(extent);
        let mut by_customer = Lists::default();
        let mut history = History::default();
        for customer in 0..purchases.customers() {
            purchases.history(customer, extent, &buyers, settings.minimum_support, &mut history);
            by_customer.numbers.extend(history.evidence.iter().map(|(item, _)| item));
            by_customer.ends.push(by_customer.numbers.len());
        }
        let by_item = by_customer.transposed(purchases.items());
        let weight_of = |customer: u32| weight(by_customer.of(customer as usize));
        let weight_of_all = |item: usize| by_item.of(item).iter().map(|customer| weight_of(*customer)).sum::<f64>();
        let roots = (0..purchases.items()).map(|item| weight_of_all(item).sqrt()).collect();
        let known = (0..purchases.customers()).map(|at| by_customer.of(at)).filter(|items| !items.is_empty());
        let (all, customers) = known.fold((0.0, 0.0), |(all, customers), items| (all + weight(items), customers + 1.0));
        let mean_weight = if customers > 0.0 { all / customers } else { 0.0 };
        Counts { buyers, by_customer, by_item, roots, mean_weight, settings }
    }

    /// The most memory that the counts of so many purchases take.
    pub fn most_bytes(purchases: &Purchases) -> usize {
        let (rows, customers, items) = (purchases.rows(), purchases.customers(), purchases.items());
        // Lists grow by doubling; then there is a second one.
        rows * 3 * size_of::<u32>() + customers * 4 * size_of::<usize>() + items * (2 * size_of::<usize>() + 2 * size_of::<u32>())
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.by_item.ends.len()
    }
}

/// What a customer counts for.
#[allow(clippy::cast_precision_loss, reason = "a customer has few items that count")]
fn weight(items: &[u32]) -> f64 {
    1.0 / items.len() as f64
}

/// Counts the customers of pairs of items. It has room for all items, so it is best used for many.
#[derive(Debug)]
pub struct Counter {
    slots: Vec<Slot>,
    touched: Vec<u32>,
}

/// The customers of a pair.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    weight: f64,
    customers: u32,
}

impl Counter {
    /// A counter for so many items.
    pub fn new(items: usize) -> Self {
        Counter { slots: vec![Slot::default(); items], touched: Vec::new() }
    }

    /// The memory that a counter takes.
    pub fn bytes(items: usize) -> usize {
        items * (size_of::<Slot>() + size_of::<u32>() + size_of::<Neighbour>())
    }

    /// The items that are associated with an item, in order.
    pub fn neighbours(&mut self, counts: &Counts, item: usize) -> Vec<Neighbour> {
        for customer in counts.by_item.of(item) {
            let items = counts.by_customer.of(*customer as usize);
            let weight = weight(items);
            for other in items {
                let slot = &mut self.slots[*other as usize];
                if slot.customers == 0 {
                    self.touched.push(*other);
                }
                slot.customers += 1;
                slot.weight += weight;
            }
        }
        let Settings { minimum_support, shrinkage, .. } = counts.settings;
        let mut found = Vec::new();
        for other in self.touched.drain(..) {
            let slot = std::mem::take(&mut self.slots[other as usize]);
            if slot.customers < minimum_support || other as usize == item {
                continue;
            }
            let alike = counts.roots[item] * counts.roots[other as usize];
            let strength = slot.weight / (alike + shrinkage * counts.mean_weight);
            #[allow(clippy::cast_possible_truncation, reason = "seven digits are enough, and half the memory")]
            let strength = strength.min(1.0) as f32;
            found.push(Neighbour { item: other, strength });
        }
        if found.len() > NEIGHBOURS {
            found.select_nth_unstable_by(NEIGHBOURS, |one, other| other.strength.total_cmp(&one.strength).then(one.item.cmp(&other.item)));
            found.truncate(NEIGHBOURS);
        }
        found.sort_unstable_by_key(|neighbour| neighbour.item);
        found
    }
}

impl Associations {
    /// Adds the items that are associated with the next item.
    pub fn add(&mut self, neighbours: &[Neighbour]) {
        self.neighbours.extend_from_slice(neighbours);
        self.ends.push(self.neighbours.len());
    }

    /// The items that are associated with an item.
    pub fn of(&self, item: usize) -> &[Neighbour] {
        let start = if item == 0 { 0 } else { self.ends[item - 1] };
        &self.neighbours[start..self.ends[item]]
    }

    /// How many associations there are.
    pub fn len(&self) -> usize {
        self.neighbours.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.neighbours.is_empty()
    }

    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        self.neighbours.capacity() * size_of::<Neighbour>() + self.ends.capacity() * size_of::<usize>()
    }
}
