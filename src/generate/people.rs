//! Everybody the extracts speak of: customers with orders, prospects without, and how active each is.

use std::collections::BTreeSet;

use super::calendar::Calendar;
use super::campaigns::{Campaign, campaigns};
use super::customers::RealCustomer;
use super::places::{Place, SHARES};
use super::random::{Seed, Stream};

/// Sizes that follow from the number of customers.
pub(super) struct Scale {
    pub(super) prospects: u64,
    /// Prospects who are customers under a second contact.
    pub(super) second_contacts: u64,
    /// People whom only the e-mail platform knows.
    pub(super) subscribers: u64,
    pub(super) web_events: u64,
    pub(super) anonymous_visitors: u64,
    pub(super) shared_devices: u64,
    pub(super) broken_contacts: u64,
    pub(super) broken_survey_rows: u64,
    /// Broken e-mail lines over the whole run, or `None` for one per 20,000 lines.
    pub(super) broken_mail_lines: Option<u64>,
}

impl Scale {
    /// Companions of real orders: shares for about 4,400 customers.
    fn companions(customers: u64) -> Self {
        Self {
            prospects: (customers * 137 / 1_000).max(12),
            second_contacts: (customers * 92 / 10_000).max(1),
            subscribers: (customers * 34 / 1_000).max(1),
            web_events: customers * 366 / 10,
            anonymous_visitors: customers * 9 / 10,
            shared_devices: (customers * 15 / 1_000).max(1),
            broken_contacts: 12,
            broken_survey_rows: 6,
            broken_mail_lines: Some(5),
        }
    }

    fn made_up(customers: u64) -> Self {
        Self {
            prospects: (customers * 12 / 100).max(2),
            second_contacts: (customers / 1_000).max(1),
            subscribers: (customers * 3 / 100).max(1),
            web_events: customers * 40,
            anonymous_visitors: customers * 9 / 10,
            shared_devices: (customers * 15 / 1_000).max(1),
            broken_contacts: (customers * 3 / 10_000).max(1),
            broken_survey_rows: (customers / 6_000).max(1),
            broken_mail_lines: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Person {
    /// The CRM's contact number; for a customer also the `CustomerID` of the orders.
    pub(super) id: u64,
    /// Index into [`Population::places`].
    pub(super) place: u16,
    /// How much this person does, 0 to 999. Orders, visits, opens and survey scores all follow it.
    pub(super) activity: u16,
    /// Number of orders placed in the period; 0 for a prospect.
    pub(super) orders: u16,
    /// First and last day on which the person does anything; the first may be before the run.
    pub(super) active_from: i32,
    pub(super) active_to: i32,
}

impl Person {
    pub(super) fn active(&self, day: i32) -> bool {
        (self.active_from..=self.active_to).contains(&day)
    }
}

pub(super) struct Population {
    pub(super) seed: Seed,
    pub(super) calendar: Calendar,
    pub(super) campaigns: Vec<Campaign>,
    pub(super) scale: Scale,
    pub(super) places: Vec<Place>,
    /// Customers first, then prospects. Who comes after the end is a subscriber without a contact.
    pub(super) people: Vec<Person>,
    pub(super) customers: usize,
    /// Customers who own the second contacts: entry `j` is the owner of prospect `customers + j`.
    owners: Vec<usize>,
}

impl Population {
    /// The customers of real orders, and prospects beside them.
    pub(super) fn of_real(seed: Seed, calendar: Calendar, customers: &[RealCustomer]) -> Self {
        let mut places: Vec<Place> = Vec::new();
        let people = customers
            .iter()
            .zip(0..)
            .map(|(customer, index)| {
                let position = places.iter().position(|p| p.name == customer.country);
                let place = position.unwrap_or_else(|| {
                    places.push(Place::named(&customer.country));
                    places.len() - 1
                });
                real_person(seed, &calendar, customer, place, index)
            })
            .collect();
        let scale = Scale::companions(customers.len() as u64);
        Self::with_prospects(seed, calendar, scale, places, people)
    }

    /// `customers` made-up customers, and prospects beside them.
    pub(super) fn made_up(seed: Seed, calendar: Calendar, customers: u64) -> Self {
        let places = SHARES.iter().map(|(_, name)| Place::named(name)).collect();
        let people = (0..customers).map(|index| made_up_person(seed, &calendar, index)).collect();
        let scale = Scale::made_up(customers);
        Self::with_prospects(seed, calendar, scale, places, people)
    }

    fn with_prospects(seed: Seed, calendar: Calendar, scale: Scale, mut places: Vec<Place>, mut people: Vec<Person>) -> Self {
        let customers = people.len();
        if places.is_empty() {
            places.push(Place::named(SHARES[0].1));
        }
        let highest = people.iter().map(|person| person.id).max().unwrap_or(0);
        let first_id = 20_001.max(highest + 1);
        for prospect in 0..scale.prospects {
            let id = first_id + prospect;
            let mut dice = seed.dice(Stream::Person, id, 1);
            let neighbour = dice.index(customers);
            let place = people.get(neighbour).map_or(0, |person| person.place);
            let active_from = dice.between(0, (calendar.last_day - 10).max(0));
            people.push(Person {
                id,
                place,
                activity: low_activity(dice.below(1_000)),
                orders: 0,
                active_from,
                active_to: (active_from + dice.between(10, 250)).min(calendar.last_day),
            });
        }
        let mut population = Self { campaigns: campaigns(&calendar), seed, calendar, scale, places, people, customers, owners: Vec::new() };
        population.owners = population.choose_owners();
        population
    }

    /// Customers with an address of their own, each at most once.
    fn choose_owners(&self) -> Vec<usize> {
        let mut chosen = BTreeSet::new();
        let mut owners = Vec::new();
        let mut dice = self.seed.dice(Stream::SecondContact, 0, 0);
        let wanted = usize::try_from(self.scale.second_contacts).unwrap_or(0);
        for _ in 0..self.customers * 10 {
            if owners.len() == wanted {
                break;
            }
            let candidate = dice.index(self.customers);
            if self.contact(candidate).owns_address() && chosen.insert(candidate) {
                owners.push(candidate);
            }
        }
        owners
    }

    /// The customer whose second contact this person is.
    pub(super) fn owner_of(&self, index: usize) -> Option<usize> {
        self.owners.get(index.checked_sub(self.customers)?).copied()
    }

    pub(super) fn is_customer(&self, index: usize) -> bool {
        index < self.customers
    }

    /// People and, after them, subscribers without a contact.
    pub(super) fn readers(&self) -> usize {
        self.people.len() + usize::try_from(self.scale.subscribers).unwrap_or(0)
    }
}

/// Skewed towards 0: most people do little.
fn low_activity(uniform: u64) -> u16 {
    u16::try_from(uniform * uniform / 1_800).unwrap_or(0)
}

/// Who orders more does more of everything.
fn activity_with_orders(uniform: u64, orders: u16) -> u16 {
    let bonus = match orders {
        0 | 1 => 0,
        2 => 70,
        3 | 4 => 130,
        5..=9 => 230,
        10..=19 => 330,
        _ => 440,
    };
    (low_activity(uniform) + bonus).min(999)
}

fn real_person(seed: Seed, calendar: &Calendar, customer: &RealCustomer, place: usize, index: u64) -> Person {
    let mut dice = seed.dice(Stream::Person, index, 0);
    let first = calendar.day_of(customer.first_date);
    let last = calendar.day_of(customer.last_date);
    let gone = calendar.last_day - last > 100 && dice.chance(750);
    Person {
        id: customer.id,
        place: u16::try_from(place).unwrap_or(0),
        activity: activity_with_orders(dice.below(1_000), customer.orders),
        orders: customer.orders,
        active_from: first - dice.between(0, 90),
        active_to: if gone { last + dice.between(5, 60) } else { calendar.last_day },
    }
}

fn made_up_person(seed: Seed, calendar: &Calendar, index: u64) -> Person {
    const FIRST_ID: u64 = 12_346;
    let mut dice = seed.dice(Stream::Person, index, 0);
    let places: Vec<(u32, u16)> = SHARES.iter().map(|(share, _)| *share).zip(0..).collect();
    let place = dice.weighted(&places);
    let (low, high) = dice.weighted(&[(8_650, (1, 1)), (900, (2, 2)), (260, (3, 3)), (110, (4, 6)), (60, (7, 15)), (20, (16, 50))]);
    let orders = u16::try_from(dice.between(low, high)).unwrap_or(1);
    let last = calendar.last_day;
    let joined = dice.chance(420);
    let active_from = if joined { dice.between(0, last) } else { -40 };
    let left = dice.chance(350);
    let active_to = if left { dice.between(active_from.max(0), last) } else { last };
    Person { id: FIRST_ID + index, place, activity: activity_with_orders(dice.below(1_000), orders), orders, active_from, active_to }
}
