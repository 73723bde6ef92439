//! Changes counted by what is alike: the set, the segments, the cause.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use chrono::NaiveDate;

use super::money::Money;
use crate::error::{Error, Result};
use crate::segments::memory::Cause;

/// The most customers that are named for a flow.
const EXAMPLES: usize = 3;

/// What a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The customer is in a segment, and was in none of the set, or not in this one of an overlapping set.
    Entered,
    /// The customer is in no segment of the set any more, or not in this one of an overlapping set.
    Left,
    /// The customer is in another segment of the set.
    Moved,
    /// The customer's id has ended, and another change tells what became of the person, if anything.
    Merged,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Kind; 4] = [Kind::Entered, Kind::Left, Kind::Moved, Kind::Merged];

    /// As the changes say it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Entered => "entered",
            Kind::Left => "left",
            Kind::Moved => "moved",
            Kind::Merged => "merged",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Changes that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The set.
    pub segment_set: String,
    /// What they are.
    pub kind: Kind,
    /// The segment that the customers were in.
    pub from: Option<String>,
    /// The segment that they are in.
    pub to: Option<String>,
    /// Their cause.
    pub cause: Cause,
    /// What is told of the cause.
    pub detail: Option<String>,
    /// What happened to the identity of the customers.
    pub identity_event: Option<String>,
    /// How many there are.
    pub customers: u64,
    /// How many of them add a member to `to`.
    pub adds: u64,
    /// What those customers spent of whom that is known.
    pub revenue: i128,
    /// Of how many it is not known.
    pub revenue_unknown: u64,
    /// The ids of some of them: the first in order.
    pub examples: Vec<String>,
}

impl Flow {
    fn order(&self) -> impl Ord + '_ {
        (&self.segment_set, self.kind, &self.from, &self.to, self.cause, &self.detail, &self.identity_event)
    }
}

/// The changes between two publications, or since the predecessor publication.
#[derive(Debug, Clone, Default)]
pub struct Movement {
    /// The day since which they are; none where there was nothing before.
    pub since: Option<NaiveDate>,
    /// The column that says what customers spent, and how many digits its values have after the point.
    pub revenue: Option<(String, i8)>,
    flows: HashMap<String, Flow>,
}

/// The flows of one set, and what they come to.
#[derive(Debug)]
pub struct OfSet<'a> {
    /// The set.
    pub segment_set: &'a str,
    /// Its flows, in order of change, segments and cause.
    pub flows: Vec<&'a Flow>,
}

impl OfSet<'_> {
    /// How many changes there are of a kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.flows.iter().filter(|flow| flow.kind == kind).map(|flow| flow.customers).sum()
    }

    /// How many entered, left or moved for each cause, in the order of causes, without those that are none.
    pub fn causes(&self) -> BTreeMap<Cause, u64> {
        causes(self.flows.iter().copied().filter(|flow| flow.kind != Kind::Merged))
    }

    /// What those who entered, left or moved spent, and of how many that is not known.
    pub fn revenue(&self) -> (i128, u64) {
        revenue(self.flows.iter().copied().filter(|flow| flow.kind != Kind::Merged))
    }
}

/// How many customers some flows have for each cause.
pub fn causes<'a>(flows: impl Iterator<Item = &'a Flow>) -> BTreeMap<Cause, u64> {
    flows.fold(BTreeMap::new(), |mut causes, flow| {
        *causes.entry(flow.cause).or_default() += flow.customers;
        causes
    })
}

/// What the customers of some flows spent, and of how many that is not known.
pub fn revenue<'a>(flows: impl Iterator<Item = &'a Flow>) -> (i128, u64) {
    flows.fold((0, 0), |(sum, unknown), flow| (sum + flow.revenue, unknown + flow.revenue_unknown))
}

impl Movement {
    /// Nothing has moved.
    pub fn new(since: Option<NaiveDate>, revenue: Option<(String, i8)>) -> Self {
        Movement { since, revenue, flows: HashMap::new() }
    }

    /// Adds rows of the table of changes. `income` gives what a person spent.
    ///
    /// # Errors
    /// [`Error::Defect`] for rows that are not of that table.
    pub fn add(&mut self, changes: &RecordBatch, income: &dyn Fn(&str) -> Option<i128>) -> Result<()> {
        let rows = Rows::of(changes)?;
        let mut key = String::new();
        for row in 0..changes.num_rows() {
            let kind = Kind::of_word(rows.kind.value(row)).ok_or_else(lost)?;
            let id = rows.person(row);
            let revenue = if kind == Kind::Merged || self.revenue.is_none() { Some(0) } else { income(id) };
            rows.key(row, &mut key);
            if !self.flows.contains_key(&key) {
                self.flows.insert(key.clone(), rows.flow(row, kind));
            }
            let Some(flow) = self.flows.get_mut(&key) else { continue };
            flow.customers += 1;
            flow.adds += u64::from(rows.adds.value(row));
            flow.revenue += revenue.unwrap_or_default();
            flow.revenue_unknown += u64::from(revenue.is_none());
            if flow.examples.len() < EXAMPLES {
                flow.examples.push(rows.id.value(row).to_owned());
            }
        }
        Ok(())
    }

    /// The flows of every set that has any, in order.
    pub fn sets(&self) -> Vec<OfSet<'_>> {
        let mut flows: Vec<&Flow> = self.flows.values().collect();
        flows.sort_by(|one, other| one.order().cmp(&other.order()));
        flows.chunk_by(|one, other| one.segment_set == other.segment_set).filter_map(of_set).collect()
    }

    /// The flows of one set.
    pub fn of_set(&self, set: &str) -> Option<OfSet<'_>> {
        self.sets().into_iter().find(|of| of.segment_set == set)
    }

    /// Whether anybody has entered, left, moved or merged.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// An amount of revenue.
    pub fn money(&self, amount: i128) -> Money {
        Money { amount, scale: self.revenue.as_ref().map_or(0, |(_, scale)| *scale) }
    }

    /// By how many members a segment has grown and shrunk.
    pub fn change_of(&self, set: &str, segment: &str) -> (u64, u64) {
        let of_set = self.flows.values().filter(|flow| flow.segment_set == set);
        of_set.fold((0, 0), |(more, less), flow| {
            let is = |name: &Option<String>| name.as_deref() == Some(segment);
            (more + if is(&flow.to) { flow.adds } else { 0 }, less + if is(&flow.from) { flow.customers } else { 0 })
        })
    }
}

fn of_set<'a>(flows: &[&'a Flow]) -> Option<OfSet<'a>> {
    let segment_set = flows.first()?.segment_set.as_str();
    Some(OfSet { segment_set, flows: flows.to_vec() })
}

/// Rows of the table of changes by column.
pub struct Rows<'a> {
    /// The customers.
    pub id: &'a StringArray,
    /// The sets.
    pub set: &'a StringArray,
    kind: &'a StringArray,
    /// The segments that the customers were in.
    pub from: &'a StringArray,
    /// The segments that they are in.
    pub to: &'a StringArray,
    into: &'a StringArray,
    adds: &'a BooleanArray,
    /// The causes.
    pub cause: &'a StringArray,
    /// What is told of the causes.
    pub detail: &'a StringArray,
    /// What happened to the identities.
    pub event: &'a StringArray,
}

impl<'a> Rows<'a> {
    /// The columns of some rows.
    ///
    /// # Errors
    /// [`Error::Defect`] for rows that are not of the table.
    pub fn of(changes: &'a RecordBatch) -> Result<Self> {
        let text = |name: &str| changes.column_by_name(name).and_then(|column| column.as_any().downcast_ref()).ok_or_else(lost);
        let adds = changes.column_by_name("adds_member").and_then(|column| column.as_any().downcast_ref());
        Ok(Rows {
            id: text("customer_id")?,
            set: text("segment_set")?,
            kind: text("change")?,
            from: text("from_segment")?,
            to: text("to_segment")?,
            into: text("merged_into")?,
            adds: adds.ok_or_else(lost)?,
            cause: text("cause")?,
            detail: text("cause_detail")?,
            event: text("identity_event")?,
        })
    }

    /// The id of the person of a row today: the one that stayed, where the customer's own has ended.
    pub fn person(&self, row: usize) -> &'a str {
        if self.into.is_valid(row) { self.into.value(row) } else { self.id.value(row) }
    }

    /// A text by which alike rows are alike.
    fn key(&self, row: usize, key: &mut String) {
        key.clear();
        for column in [self.set, self.kind, self.from, self.to, self.cause, self.detail, self.event] {
            if column.is_valid(row) {
                key.push_str(column.value(row));
            }
            key.push(if column.is_valid(row) { '\u{1}' } else { '\0' });
        }
    }

    fn flow(&self, row: usize, kind: Kind) -> Flow {
        let text = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
        let cause = text(self.cause).and_then(|cause| Cause::of_word(&cause)).unwrap_or(Cause::Undetermined);
        Flow {
            segment_set: self.set.value(row).to_owned(),
            kind,
            from: text(self.from),
            to: text(self.to),
            cause,
            detail: text(self.detail),
            identity_event: text(self.event),
            customers: 0,
            adds: 0,
            revenue: 0,
            revenue_unknown: 0,
            examples: Vec::new(),
        }
    }
}

fn lost() -> Error {
    Error::defect("the table of changes lost a column")
}
