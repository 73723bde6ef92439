//! What groups are found to be like, as far as it may be told.

use std::cmp::Ordering;

use super::tally::{Categories, ColumnTally, Count, Flags, Numbers, Tally};

/// How little is told, and how little is believed, of few customers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discretion {
    /// Nothing is told that is of fewer customers, unless it is of none.
    pub minimum_members: u64,
    /// Each group is judged as if it had so many more members, who are like everybody.
    pub prior_members: f64,
}

impl Default for Discretion {
    fn default() -> Self {
        Discretion { minimum_members: 10, prior_members: 10.0 }
    }
}

impl Discretion {
    /// Whether something of so many customers tells too much of them.
    fn is_few(&self, customers: u64) -> bool {
        customers > 0 && customers < self.minimum_members
    }

    /// Whether something is known of enough customers of a group to be told. From what is told of everybody and of the group, the rest
    /// follows, which therefore must not be few either.
    fn is_enough(&self, of_group: u64, of_everybody: u64) -> bool {
        of_group >= self.minimum_members.max(1) && !self.is_few(of_everybody - of_group)
    }

    /// How much of the difference of a group is believed.
    fn believed(&self, members: u64) -> f64 {
        let members = to_f64(members);
        members / (members + self.prior_members)
    }
}

/// How a group differs from everybody in one column, or in one value of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trait {
    /// The group's number.
    pub group: u16,
    /// The column's position.
    pub column: usize,
    /// The members of the group.
    pub members: u64,
    /// Those of whom it is known.
    pub members_known: u64,
    /// The difference.
    pub difference: Difference,
    /// The difference of the means in standard deviations of everybody, shrunk for small groups. A value is 1 for who has it and 0 for the
    /// others.
    pub standardised_difference: f64,
    /// From 1 on within the group, the largest standardised difference first, whatever its sign.
    pub rank: u32,
}

/// What differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// The mean of a number.
    Mean {
        /// That of the group.
        of_group: f64,
        /// That of everybody.
        of_everybody: f64,
    },
    /// The share of those with a value among those of whom it is known.
    Share {
        /// The text; none where the column says yes or no, and yes is meant.
        value: Option<Box<str>>,
        /// That of the group, 0 to 1.
        of_group: f64,
        /// That of everybody, more than 0 and less than 1.
        of_everybody: f64,
        /// How many times as often members have the value as everybody, shrunk for small groups.
        lift: f64,
    },
}

impl Tally {
    /// How many customers there are.
    pub fn everybody(&self) -> u64 {
        self.everybody
    }

    /// How many of them are in each group.
    pub fn members(&self) -> &[u64] {
        &self.members
    }

    /// Whether anything may be told of a group.
    pub fn is_told(&self, group: u16, discretion: &Discretion) -> bool {
        discretion.is_enough(self.members[usize::from(group)], self.everybody)
    }

    /// The columns of texts with more than [`MOST_VALUES`](super::MOST_VALUES) values, of which nothing is told.
    pub fn columns_with_too_many_values(&self) -> impl Iterator<Item = usize> {
        let has = |column: &ColumnTally| matches!(column, ColumnTally::Category(categories) if categories.has_too_many_values);
        self.columns.iter().enumerate().filter(move |(_, column)| has(column)).map(|(at, _)| at)
    }

    /// The groups, by their numbers.
    pub fn groups(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).take(self.members.len())
    }

    /// Everything that may be told of all groups, by group and rank.
    pub fn traits(&self, discretion: &Discretion) -> Vec<Trait> {
        self.groups().flat_map(|group| self.traits_of(group, discretion)).collect()
    }

    /// Everything that may be told of one group, by rank.
    pub fn traits_of(&self, group: u16, discretion: &Discretion) -> Vec<Trait> {
        let at = usize::from(group);
        let mut found = Vec::new();
        if !self.is_told(group, discretion) {
            return found;
        }
        for (column, tally) in self.columns.iter().enumerate() {
            let told = match tally {
                ColumnTally::Number(numbers) => numbers.told(at, discretion).into_iter().collect(),
                ColumnTally::Flag(flags) => flags.told(at, discretion).into_iter().collect(),
                ColumnTally::Category(categories) => categories.told(at, discretion),
            };
            found.extend(told.into_iter().map(|Told { members_known, difference, standardised_difference }| Trait {
                group,
                column,
                members: self.members[at],
                members_known,
                difference,
                standardised_difference,
                rank: 0,
            }));
        }
        // What is equally strong stays in order of column and value.
        found.sort_by(by_strength);
        for (rank, found) in (1..).zip(&mut found) {
            found.rank = rank;
        }
        found
    }
}

fn by_strength(one: &Trait, other: &Trait) -> Ordering {
    other.standardised_difference.abs().total_cmp(&one.standardised_difference.abs())
}

/// What is told of a group in one column.
struct Told {
    members_known: u64,
    difference: Difference,
    standardised_difference: f64,
}

impl Numbers {
    /// Nothing is told of numbers that are all the same, or so large that their squares have no finite sum.
    fn told(&self, group: usize, discretion: &Discretion) -> Option<Told> {
        let (first, group, everybody) = (self.first?, self.groups[group], self.everybody);
        if !discretion.is_enough(group.known, everybody.known) {
            return None;
        }
        let (of_group, of_everybody) = (group.sum / to_f64(group.known), everybody.sum / to_f64(everybody.known));
        let deviation = (self.squares / to_f64(everybody.known) - of_everybody * of_everybody).max(0.0).sqrt();
        let standardised_difference = (of_group - of_everybody) / deviation * discretion.believed(group.known);
        let difference = Difference::Mean { of_group: first + of_group, of_everybody: first + of_everybody };
        let is_sound = deviation > 0.0 && deviation.is_finite() && standardised_difference.is_finite();
        is_sound.then_some(Told { members_known: group.known, difference, standardised_difference })
    }
}

impl Flags {
    fn told(&self, group: usize, discretion: &Discretion) -> Option<Told> {
        share(self.groups[group], self.everybody, None, discretion)
    }
}

impl Categories {
    fn told(&self, group: usize, discretion: &Discretion) -> Vec<Told> {
        let (known, everybody) = (self.known_of_groups[group], self.known);
        let told = |(text, of_everybody, of_groups): (&str, u64, &[u64])| {
            let (of_group, of_everybody) = (Count { known, with: of_groups[group] }, Count { known: everybody, with: of_everybody });
            share(of_group, of_everybody, Some(text.into()), discretion)
        };
        self.values().into_iter().filter_map(told).collect()
    }
}

/// The share of those with a value. Nothing is told of a value that all have or nobody has, or that few have, in the group or outside.
fn share(group: Count, everybody: Count, value: Option<Box<str>>, discretion: &Discretion) -> Option<Told> {
    let is_enough = discretion.is_enough(group.known, everybody.known);
    let few = [group.with, everybody.with - group.with].into_iter().any(|with| discretion.is_few(with));
    if !is_enough || few || everybody.with == 0 || everybody.with == everybody.known {
        return None;
    }
    let (known, with) = (to_f64(group.known), to_f64(group.with));
    let (of_group, of_everybody) = (with / known, to_f64(everybody.with) / to_f64(everybody.known));
    let lift = (with + discretion.prior_members * of_everybody) / (known + discretion.prior_members) / of_everybody;
    let deviation = (of_everybody * (1.0 - of_everybody)).sqrt();
    let standardised_difference = (of_group - of_everybody) / deviation * discretion.believed(group.known);
    let difference = Difference::Share { value, of_group, of_everybody, lift };
    Some(Told { members_known: group.known, difference, standardised_difference })
}

#[allow(clippy::cast_precision_loss, reason = "counts of customers are far below 2^53")]
fn to_f64(count: u64) -> f64 {
    count as f64
}
