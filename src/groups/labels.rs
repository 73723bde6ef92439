//! The numbers by which groups are called, which stay with the people: a group has the number of that group of the publication before with
//! which it shares its members.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::assign::greatest;
use super::lloyd::Clustering;

/// A group and a former one are the same if those whom they share are at least this share of all who are in one of them and were grouped
/// both times.
pub const LEAST_SHARED: f64 = 0.3;

/// What became of a group since the publication before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// There was none before.
    New,
    /// It is that of the same number.
    Kept,
    /// Most of its members come from one former group, whose number another group has, or none.
    Split,
    /// Its members come from several groups, or from none.
    Born,
    /// It is no more: no group shares enough of its members.
    Died,
}

/// A group of today or, if it died, of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Its number.
    pub label: u64,
    /// What became of it.
    pub change: Change,
    /// Which group of the clustering it is; none if it died.
    pub group: Option<usize>,
    /// How many members the former group of the number had.
    pub before: u64,
    /// How many members it shares with that group.
    pub shared: u64,
    /// From which former group most of its members come, if it is a split; in which group most of its members are now, if it died.
    pub other: Option<u64>,
}

/// The former groups, and who was in them.
#[derive(Debug, Default)]
pub struct Former {
    /// The numbers of the former groups, with how many members they had, in order of number.
    pub sizes: Vec<(u64, u64)>,
    /// By row of today, the place of its former group in `sizes`; none for who was in none.
    pub of: Vec<Option<u32>>,
    /// The highest number that a group has ever had.
    pub highest: u64,
}

/// The fates of the groups of a clustering, in order of number, and of those that died.
pub fn label(clustering: &Clustering, width: usize, former: Option<&Former>) -> Vec<Fate> {
    let by_size = by_size(clustering, width);
    let Some(former) = former else {
        let new = (1..).zip(by_size).map(|(label, group)| Fate::today(label, Change::New, group));
        return new.collect();
    };
    let shared = shared(clustering, former);
    let (groups, olds) = (clustering.sizes.len(), former.sizes.len());
    let of_group: Vec<i64> = shared.iter().map(|of_group| of_group.iter().sum()).collect();
    let of_old: Vec<i64> = (0..olds).map(|old| shared.iter().map(|of_group| of_group[old]).sum()).collect();
    let is_enough = |group: usize, old: usize| {
        let both = shared[group][old];
        both > 0 && float(both) >= LEAST_SHARED * float(of_group[group] + of_old[old] - both)
    };
    let weights: Vec<Vec<i64>> =
        (0..groups).map(|group| (0..olds).map(|old| if is_enough(group, old) { shared[group][old] } else { 0 }).collect()).collect();
    let given: Vec<Option<usize>> =
        greatest(&weights).into_iter().enumerate().map(|(group, old)| old.filter(|old| weights[group][*old] > 0)).collect();
    let mut highest = former.highest;
    let mut fates = Vec::new();
    for group in by_size {
        if let Some(old) = given[group] {
            let (label, before) = former.sizes[old];
            let shared = count(shared[group][old]);
            fates.push(Fate { before, shared, ..Fate::today(label, Change::Kept, group) });
            continue;
        }
        highest += 1;
        let from = most_of(&shared[group], of_group[group]);
        let change = if from.is_some() { Change::Split } else { Change::Born };
        fates.push(Fate { other: from.map(|old| former.sizes[old].0), ..Fate::today(highest, change, group) });
    }
    let label_of = |fates: &[Fate], group: usize| fates.iter().find(|fate| fate.group == Some(group)).map(|fate| fate.label);
    for (old, (label, before)) in former.sizes.iter().enumerate().filter(|(old, _)| !given.contains(&Some(*old))) {
        let into: Vec<i64> = shared.iter().map(|of_group| of_group[old]).collect();
        let other = most_of(&into, of_old[old]).and_then(|group| label_of(&fates, group));
        fates.push(Fate { label: *label, change: Change::Died, group: None, before: *before, shared: 0, other });
    }
    fates.sort_by_key(|fate| fate.label);
    fates
}

/// The fates of former groups if nobody is in a group any more.
pub fn all_died(former: &Former) -> Vec<Fate> {
    let died =
        |(label, before): &(u64, u64)| Fate { label: *label, change: Change::Died, group: None, before: *before, shared: 0, other: None };
    former.sizes.iter().map(died).collect()
}

impl Fate {
    fn today(label: u64, change: Change, group: usize) -> Self {
        Fate { label, change, group: Some(group), before: 0, shared: 0, other: None }
    }
}

/// How many members each group shares with each former one.
fn shared(clustering: &Clustering, former: &Former) -> Vec<Vec<i64>> {
    let mut shared = vec![vec![0; former.sizes.len()]; clustering.sizes.len()];
    for (group, old) in clustering.of.iter().zip(&former.of) {
        if let Some(old) = old {
            shared[*group as usize][*old as usize] += 1;
        }
    }
    shared
}

/// Which of several parts is more than half of the whole.
fn most_of(parts: &[i64], whole: i64) -> Option<usize> {
    parts.iter().position(|part| 2 * part > whole)
}

/// The groups, the largest first; of equal ones that whose centre comes first.
fn by_size(clustering: &Clustering, width: usize) -> Vec<usize> {
    let centre = |group: usize| &clustering.centres[group * width..(group + 1) * width];
    let compare = |one: &[f64], other: &[f64]| {
        one.iter().zip(other).map(|(one, other)| one.total_cmp(other)).find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
    };
    let mut groups: Vec<usize> = (0..clustering.sizes.len()).collect();
    groups.sort_by(|one, other| clustering.sizes[*other].cmp(&clustering.sizes[*one]).then_with(|| compare(centre(*one), centre(*other))));
    groups
}

#[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn float(count: i64) -> f64 {
    count as f64
}

fn count(count: i64) -> u64 {
    count.unsigned_abs()
}
