//! Decides who is in which segment of a set: by the rules of today, and by what is remembered.

use arrow::array::BooleanArray;

use super::memory::{Names, People, Stay, Time};
use super::rule_set::RuleSet;
use crate::config::SetKind;

/// Why a customer is in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// Its rule, and the place of the rule among the others.
    Rule,
    /// The condition `stay` of a segment that the customer was in.
    Stay,
    /// The shortest stay in a segment, which is not over.
    MinimumStay,
}

impl HeldBy {
    /// As the memberships say it.
    pub fn word(self) -> &'static str {
        match self {
            HeldBy::Rule => "rule",
            HeldBy::Stay => "stay",
            HeldBy::MinimumStay => "minimum_stay",
        }
    }
}

/// The conditions of a set over the customers of a batch, by segment. None of them is null.
#[derive(Debug)]
pub struct Conditions {
    /// Whom the rules match.
    pub matched: Vec<BooleanArray>,
    /// Who may be reached through the channels; none where that is not asked.
    pub permitted: Vec<Option<BooleanArray>>,
    /// For whom the conditions `stay` hold; none where there are none.
    pub stays: Vec<Option<BooleanArray>>,
}

/// What was decided of a set.
#[derive(Debug, Default)]
pub struct Decided {
    /// By row, where its members begin; and where the last ones end.
    pub starts: Vec<usize>,
    /// The positions of segments, each with why its member is in it.
    pub members: Vec<(usize, HeldBy)>,
    /// How many customers each segment withholds because its channel may not reach them.
    pub withheld: Vec<u64>,
    /// How many of these are held in the segment by memory alone, because its rule does not match them.
    pub withheld_by_memory: Vec<u64>,
    /// How many customers no rule matches.
    pub left_out: usize,
    /// How often a rule of a partition matches a customer whom an earlier one matches.
    pub claimed: usize,
    /// How many changes the rules alone would have made, which the memory has avoided.
    pub avoided: u64,
}

/// Decides a set for the customers of a batch.
pub fn decide(set: &RuleSet, at: usize, time: Time<'_>, conditions: &Conditions, people: &People<'_>, rows: usize) -> Decided {
    let mut decided = Decided { withheld: vec![0; set.rules.len()], withheld_by_memory: vec![0; set.rules.len()], ..Decided::default() };
    let of_set = Decider { set, at, names: time.names, day: time.day, conditions };
    for row in 0..rows {
        decided.starts.push(decided.members.len());
        let stays = people.stays(row);
        let is_known = people.is_known(row);
        match set.kind {
            SetKind::Exclusive | SetKind::Partition => of_set.single(row, stays, is_known, &mut decided),
            SetKind::Overlapping => of_set.each(row, stays, is_known, &mut decided),
        }
    }
    decided.starts.push(decided.members.len());
    decided
}

struct Decider<'a> {
    set: &'a RuleSet,
    at: usize,
    names: &'a Names,
    day: i32,
    conditions: &'a Conditions,
}

impl Decider<'_> {
    fn matches(&self, position: usize, row: usize) -> bool {
        self.conditions.matched[position].value(row)
    }

    fn is_permitted(&self, position: usize, row: usize) -> bool {
        self.conditions.permitted[position].as_ref().is_none_or(|permitted| permitted.value(row))
    }

    fn stays(&self, position: usize, row: usize) -> bool {
        self.conditions.stays[position].as_ref().is_some_and(|stays| stays.value(row))
    }

    fn remembered<'s>(&self, position: usize, stays: &'s [Stay]) -> Option<&'s Stay> {
        let number = self.names.of_position(self.at, position);
        stays.iter().find(|stay| stay.segment == number)
    }

    /// Whether a stay since a day is shorter than the segment demands.
    fn is_too_short(&self, position: usize, since: i32) -> bool {
        self.set.stability[position].minimum_stay_days.is_some_and(|days| self.day.saturating_sub(since) < days)
    }

    /// Whether a customer has left a segment too recently to enter it again.
    fn is_cooling_down(&self, position: usize, stays: &[Stay]) -> bool {
        let Some(days) = self.set.stability[position].cooldown_days else { return false };
        let left_on = self.remembered(position, stays).filter(|stay| stay.since.is_none()).and_then(|stay| stay.left_on);
        left_on.is_some_and(|left_on| self.day.saturating_sub(left_on) < days)
    }

    /// A set of which a customer is in one segment.
    fn single(&self, row: usize, stays: &[Stay], is_known: bool, decided: &mut Decided) {
        let segments = self.set.rules.len();
        let first = (0..segments).find(|position| self.matches(*position, row));
        if self.set.kind == SetKind::Partition && first.is_some() {
            decided.claimed += (0..segments).filter(|position| self.matches(*position, row)).count() - 1;
        }
        let current = || stays.iter().filter(|stay| stay.since.is_some() && self.names.is_of(stay.segment, self.at));
        let held = current().filter_map(|stay| Some((self.names.position(stay.segment)?, stay.since?))).min();
        let chosen = match held {
            _ if stays.is_empty() || !self.set.has_stability() => first.map(|position| (position, HeldBy::Rule)),
            Some((held, since)) if self.is_too_short(held, since) => {
                Some((held, if first == Some(held) { HeldBy::Rule } else { HeldBy::MinimumStay }))
            }
            _ => (0..segments).find_map(|position| {
                let matches = self.matches(position, row);
                match held.filter(|(held, _)| *held == position) {
                    Some(_) if matches => Some((position, HeldBy::Rule)),
                    Some(_) => self.stays(position, row).then_some((position, HeldBy::Stay)),
                    None => (matches && !self.is_cooling_down(position, stays)).then_some((position, HeldBy::Rule)),
                }
            }),
        };
        let Some((position, held_by)) = chosen else {
            decided.left_out += 1;
            return;
        };
        let is_permitted = self.is_permitted(position, row);
        if is_permitted {
            decided.members.push((position, held_by));
        } else {
            decided.withheld[position] += 1;
            decided.withheld_by_memory[position] += u64::from(!self.matches(position, row));
        }
        if is_known && self.set.has_stability() {
            let was: Option<u32> = current().map(|stay| stay.segment).min();
            let number = |position: usize| self.names.of_position(self.at, position);
            let by_rules = first.filter(|first| self.is_permitted(*first, row)).map(number);
            let is = is_permitted.then(|| number(position));
            decided.avoided += u64::from(by_rules != was && is == was);
        }
    }

    /// A set of which a customer may be in every segment.
    fn each(&self, row: usize, stays: &[Stay], is_known: bool, decided: &mut Decided) {
        let mut is_left_out = true;
        for position in 0..self.set.rules.len() {
            let matches = self.matches(position, row);
            is_left_out &= !matches;
            let since = if stays.is_empty() { None } else { self.remembered(position, stays).and_then(|stay| stay.since) };
            let held_by = match since {
                _ if matches && (since.is_some() || !self.is_cooling_down(position, stays)) => Some(HeldBy::Rule),
                Some(since) if self.is_too_short(position, since) => Some(HeldBy::MinimumStay),
                Some(_) if self.stays(position, row) => Some(HeldBy::Stay),
                _ => None,
            };
            let is_permitted = self.is_permitted(position, row);
            match held_by {
                Some(held_by) if is_permitted => decided.members.push((position, held_by)),
                Some(_) => {
                    decided.withheld[position] += 1;
                    decided.withheld_by_memory[position] += u64::from(!matches);
                }
                None => {}
            }
            if is_known && self.set.has_stability() {
                let (by_rules, is, was) = (matches && is_permitted, held_by.is_some() && is_permitted, since.is_some());
                decided.avoided += u64::from(by_rules != was && is == was);
            }
        }
        decided.left_out += usize::from(is_left_out);
    }
}
