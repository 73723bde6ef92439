//! Who would be in which segment today if the project still said what it said when the predecessor publication was made.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};

use super::conditions::{Condition, decide_all, matches};
use super::earlier_memberships::{EarlierMemberships, of_rows};
use super::earlier_opinions::{EarlierMembers, EarlierOpinions};
use super::memory::{Before, Names, People, Time};
use super::pair::Pair;
use super::rule_set::RuleSet;
use crate::error::Result;

/// How the definition of the predecessor publication compares with today's.
#[derive(Debug, Default)]
pub enum OldDefinition {
    /// It is the same, or there is no predecessor publication: no movement comes of it.
    #[default]
    Same,
    /// It is another one, which was evaluated on today's data.
    Other(EarlierOutcome),
    /// It is another one, or is not known, and could not be evaluated on today's data.
    Unknown,
}

/// Who would be in which segment today under the earlier definition.
pub struct EarlierOutcome {
    /// What differs between the definitions, as `cause_detail` says it: `rule`, `model`, `parameter` and so on, joined by `, `.
    pub detail: String,
    /// How it is found out.
    pub way: EarlierWay,
}

/// How it is found out who would be in which segment.
pub enum EarlierWay {
    /// By other rules over the same profile.
    Rules(Vec<RuleSet>),
    /// By a table with the columns of [`super::earlier_memberships_schema`], in order of customer.
    Rows(EarlierMemberships),
}

impl fmt::Debug for EarlierOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            EarlierWay::Rules(_) => "rules",
            EarlierWay::Rows(_) => "rows",
        };
        formatter.debug_struct("EarlierOutcome").field("detail", &self.detail).field("way", &way).finish()
    }
}

/// Another definition while customers are assigned.
#[derive(Debug, Default)]
pub enum EarlierDefinition {
    /// There is none.
    #[default]
    Same,
    /// It is not known what it says.
    Unknown,
    /// Its rules, with a memory of their own.
    Rules(Box<EarlierRules>),
    /// What it says comes with the batches.
    Rows(Arc<str>),
}

/// The rules of the earlier definition, and what is remembered in its own words.
#[derive(Debug)]
pub struct EarlierRules {
    /// What differs between the definitions.
    pub detail: Arc<str>,
    /// The rules.
    pub sets: Vec<RuleSet>,
    /// The names of their segments.
    pub names: Names,
    /// By set: whether a customer is in one of its segments at most.
    pub single: Vec<bool>,
    /// What is known of the time before.
    pub before: Option<Before>,
}

impl EarlierDefinition {
    /// What it says of the customers of a batch, given the last of those before them. Segments are numbered as for today's definition.
    ///
    /// # Errors
    /// As reading the memory fails.
    pub(super) fn of(&self, time: Time<'_>, pair: &Pair, last: Option<&str>) -> Result<EarlierOpinions> {
        match (self, &pair.other) {
            (EarlierDefinition::Same, _) => Ok(EarlierOpinions::Same),
            (EarlierDefinition::Rules(rules), _) => Ok(EarlierOpinions::Known(rules.of(time, pair, last)?)),
            (EarlierDefinition::Rows(detail), Some(rows)) => Ok(EarlierOpinions::Known(of_rows(time.names, detail, &pair.ids, rows)?)),
            (EarlierDefinition::Rows(_), None) | (EarlierDefinition::Unknown, _) => Ok(EarlierOpinions::Unknown),
        }
    }
}

impl EarlierRules {
    /// Other rules, with what is remembered in their words.
    pub fn new(detail: &str, sets: Vec<RuleSet>, names: Names, before: Option<Before>) -> Self {
        let single = sets.iter().map(RuleSet::is_single).collect();
        EarlierRules { detail: detail.into(), sets, names, single, before }
    }

    /// What they say of the customers of a batch.
    fn of(&self, time: Time<'_>, pair: &Pair, last: Option<&str>) -> Result<EarlierMembers> {
        let own = Time { names: &self.names, single: &self.single, before: self.before.as_ref(), ..time };
        let people = People::meet(own, pair.ids.clone(), last, &pair.state)?;
        let mut failed = BTreeSet::new();
        let evaluate = |condition: &Condition<'_>, rows: &RecordBatch| Ok(each(condition, rows, &mut failed));
        let decisions = decide_all(&self.sets, own, &pair.profile, &people, evaluate)?;
        let number = |set: &RuleSet| set.rules.iter().map(|(segment, _)| time.names.number(&set.name, segment)).collect();
        let numbers = self.sets.iter().map(number).collect::<Result<Vec<Vec<u32>>>>()?;
        let detail = Arc::clone(&self.detail);
        let mut found = EarlierMembers { detail, starts: vec![0], members: Vec::new(), failed: failed.into_iter().collect() };
        for row in 0..pair.profile.num_rows() {
            for (numbers, decided) in numbers.iter().zip(&decisions) {
                let members = &decided.members[decided.starts[row]..decided.starts[row + 1]];
                found.members.extend(members.iter().map(|(position, _)| numbers[*position]));
            }
            found.end_row();
        }
        Ok(found)
    }
}

/// Which rows a condition matches. Where it fails on one, it is asked of each alone, so that it does not matter with whom a customer is in
/// a batch; the rows on which it fails are added.
pub(super) fn each(condition: &Condition<'_>, rows: &RecordBatch, failed: &mut BTreeSet<usize>) -> BooleanArray {
    if let Ok(matched) = matches(condition, rows) {
        return matched;
    }
    let of_row = |row: usize| match matches(condition, &rows.slice(row, 1)) {
        Ok(matched) => matched.value(0),
        Err(_) => {
            failed.insert(row);
            false
        }
    };
    (0..rows.num_rows()).map(of_row).map(Some).collect()
}
