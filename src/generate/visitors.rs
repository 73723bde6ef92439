//! Who visits the shop's site: visitor ids, the devices behind them, and who logs in on them.

use super::calendar::Month;
use super::names::CATEGORIES;
use super::people::Population;
use super::random::{Dice, Stream};

/// Whose visit it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Who {
    /// A person by index, on one of their own devices.
    Person(u32),
    /// A visitor who never says who they are.
    Anonymous(u32),
    /// A device in a hall or a shop on which several customers log in.
    Shared(u32),
}

/// One visit, at most one a day for each [`Who`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Visit {
    /// Seconds from the start of the run.
    pub(super) start: u32,
    pub(super) who: Who,
}

/// What a visitor id always says of its device.
#[derive(Clone, Copy)]
pub(super) struct Device {
    pub(super) kind: &'static str,
    pub(super) os: &'static str,
    pub(super) browser: &'static str,
    pub(super) platform: &'static str,
}

/// A visit with everything that its events share.
pub(super) struct Visitor {
    pub(super) id: String,
    pub(super) device: Device,
    /// The person who logs in, and the event of the visit from which the log-in holds.
    pub(super) login: Option<(usize, u64)>,
    pub(super) category: &'static str,
}

const MEAN_PERSON_EVENTS: u64 = 5;
const MEAN_ANONYMOUS_EVENTS: u64 = 4;

/// How likely a visit is, for people to be drawn day by day.
pub(super) struct Rates {
    /// Chance of a visit on a day, in 2^32nds, for each point of activity.
    per_point: u64,
}

/// Even the least active person has this many points.
const BASE_POINTS: u64 = 40;

impl Rates {
    /// Rates that add up to the events the scale asks for, whatever the activity of the people.
    pub(super) fn of(population: &Population) -> Self {
        let calendar = &population.calendar;
        let points: u128 = population
            .people
            .iter()
            .map(|person| {
                let from = person.active_from.max(0);
                let days = (person.active_to.min(calendar.last_day) - from + 1).max(0);
                u128::from(u64::from(person.activity) + BASE_POINTS) * u128::from(days.unsigned_abs())
            })
            .sum();
        let days = u64::from(calendar.last_day.unsigned_abs()) + 1;
        let scale = &population.scale;
        let anonymous = scale.anonymous_visitors * MEAN_ANONYMOUS_EVENTS;
        let yearly = scale.web_events.saturating_sub(anonymous) / MEAN_PERSON_EVENTS;
        let visits = u128::from(yearly * days / 377);
        let per_point = (visits << 32) / points.max(1);
        Self { per_point: u64::try_from(per_point).unwrap_or(0) }
    }
}

/// All visits of a month, in the order of their start.
pub(super) fn visits(population: &Population, rates: &Rates, month: &Month) -> Vec<Visit> {
    let calendar = &population.calendar;
    let seed = population.seed;
    let mut visits = Vec::new();
    let mut add = |day: i32, who: Who, hash: u64| {
        // Between 06:00 and 22:59, so that no visit runs into the next day or month.
        let second = 21_600 + (hash & 0xFFFF_FFFF) % 61_000;
        let start = u64::from(day.unsigned_abs()) * 86_400 + second;
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        visits.push(Visit { start, who });
    };
    let season = calendar.season(month.first_day);
    for (person, index) in population.people.iter().zip(0_u32..) {
        let points = u64::from(person.activity) + BASE_POINTS;
        let threshold = points * rates.per_point * season / 1_000;
        let first = month.first_day.max(person.active_from);
        for day in first..=month.last_day.min(person.active_to) {
            let hash = seed.hash(Stream::VisitDay, u64::from(index), u64::from(day.unsigned_abs()));
            if hash >> 32 < threshold {
                add(day, Who::Person(index), hash);
            }
        }
    }
    for visitor in 0..population.scale.anonymous_visitors {
        let mut dice = seed.dice(Stream::Anonymous, visitor, 0);
        let first = dice.between(0, calendar.last_day);
        let again = first + dice.between(1, 60);
        let who = Who::Anonymous(u32::try_from(visitor).unwrap_or(0));
        if month.contains(first) {
            add(first, who, dice.below(u64::MAX));
        }
        if dice.chance(200) && month.contains(again) {
            add(again, who, dice.below(u64::MAX));
        }
    }
    for device in 0..population.scale.shared_devices {
        for day in month.first_day..=month.last_day {
            let hash = seed.hash(Stream::SharedDevice, device, u64::from(day.unsigned_abs()) + 1);
            if (hash >> 32) % 1_000 < 35 {
                add(day, Who::Shared(u32::try_from(device).unwrap_or(0)), hash);
            }
        }
    }
    visits.sort_unstable();
    visits
}

impl Population {
    /// Whether a person ever logs in.
    pub(super) fn logs_in(&self, index: usize) -> bool {
        let never = if self.is_customer(index) { 150 } else { 600 };
        !self.seed.dice(Stream::Visitor, index as u64, 9).chance(never)
    }

    /// The customers, two to four, who log in on a shared device.
    fn sharers(&self, device: u32) -> Vec<usize> {
        let mut dice = self.seed.dice(Stream::SharedDevice, u64::from(device), 0);
        let wanted = dice.weighted(&[(70, 2), (20, 3), (10, 4)]);
        let mut sharers = Vec::new();
        for _ in 0..20 {
            let candidate = dice.index(self.customers);
            if sharers.len() < wanted && self.logs_in(candidate) && !sharers.contains(&candidate) {
                sharers.push(candidate);
            }
        }
        sharers
    }

    /// The visitor behind a visit.
    pub(super) fn visitor(&self, visit: Visit, dice: &mut Dice) -> Visitor {
        let day = i32::try_from(visit.start / 86_400).unwrap_or(0);
        let starts_at = if dice.chance(300) { 1 + dice.below(2) } else { 0 };
        match visit.who {
            Who::Person(index) => {
                let index = index as usize;
                let mut own = self.seed.dice(Stream::Visitor, index as u64, 8);
                let which = match own.weighted(&[(55, 1), (30, 2), (15, 3)]) {
                    1 => 0,
                    2 => dice.weighted(&[(65, 0), (35, 1)]),
                    _ => dice.weighted(&[(50, 0), (30, 1), (20, 2)]),
                };
                let number = index as u64 * 4 + which;
                let (device, mut rest) = self.device(number, false);
                let from = self.people[index].active_from;
                let login_day = if rest.chance(250) { from.max(0) + rest.between(20, 200) } else { from + rest.between(0, 20) };
                let logged_in = day >= login_day && self.logs_in(index) && dice.chance(700);
                Visitor {
                    id: self.visitor_id(number),
                    device,
                    login: logged_in.then_some((index, starts_at)),
                    category: self.category(number / 4, dice),
                }
            }
            Who::Anonymous(visitor) => {
                let number = (1 << 40) + u64::from(visitor);
                Visitor {
                    id: self.visitor_id(number),
                    device: self.device(number, false).0,
                    login: None,
                    category: self.category(number, dice),
                }
            }
            Who::Shared(device) => {
                let number = (1 << 41) + u64::from(device);
                let mut sharers = self.sharers(device);
                sharers.retain(|sharer| self.people[*sharer].active(day));
                let sharer = sharers.get(dice.index(sharers.len())).copied();
                let sharer = sharer.filter(|_| dice.chance(700));
                Visitor {
                    id: self.visitor_id(number),
                    device: self.device(number, true).0,
                    login: sharer.map(|sharer| (sharer, starts_at)),
                    category: self.category(sharer.map_or(number, |s| s as u64), dice),
                }
            }
        }
    }

    /// What a person likes most, more often than not; otherwise anything.
    fn category(&self, taste_of: u64, dice: &mut Dice) -> &'static str {
        let mut taste = self.seed.dice(Stream::Taste, taste_of, 0);
        let favourite = taste.pick(CATEGORIES);
        if dice.chance(550) { favourite } else { dice.pick(CATEGORIES) }
    }

    /// `v` and twelve hexadecimal digits: each step is a bijection of 48 bits, so no id comes twice.
    fn visitor_id(&self, number: u64) -> String {
        const MASK: u64 = (1 << 48) - 1;
        let mut id = (number ^ self.seed.hash(Stream::Visitor, 0, 7)) & MASK;
        for odd in [0x5851_F42D_4C95_7F2D, 0x1405_7B7E_F767_814F] {
            id = id.wrapping_mul(odd) & MASK;
            id ^= id >> 23;
        }
        format!("v{id:012x}")
    }

    /// The device of a visitor id, and draws left over for what else is fixed for the id.
    fn device(&self, number: u64, shared: bool) -> (Device, Dice) {
        let mut dice = self.seed.dice(Stream::Visitor, number, 0);
        let kind = if shared {
            dice.weighted(&[(50, "desktop"), (50, "tablet")])
        } else {
            dice.weighted(&[(50, "desktop"), (38, "mobile"), (12, "tablet")])
        };
        let os = match kind {
            "desktop" => dice.weighted(&[(74, "Windows"), (21, "macOS"), (5, "Linux")]),
            _ => dice.weighted(&[(55, "iOS"), (45, "Android")]),
        };
        let browser = match os {
            "iOS" => dice.weighted(&[(85, "Safari"), (15, "Chrome")]),
            "macOS" => dice.weighted(&[(55, "Safari"), (35, "Chrome"), (10, "Firefox")]),
            "Windows" => dice.weighted(&[(52, "Chrome"), (26, "Edge"), (22, "Firefox")]),
            _ => dice.weighted(&[(80, "Chrome"), (20, "Firefox")]),
        };
        let app = kind != "desktop" && !shared && dice.chance(300);
        let device = Device { kind, os, browser, platform: if app { "app" } else { "web" } };
        (device, dice)
    }
}
