//! What is counted and summed of groups and of everybody while rows pass.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// The most values of a column of texts. One with more has no traits: its values are names of things rather than kinds of customers.
pub const MOST_VALUES: usize = 200;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Numbers, of which means are taken.
    Number,
    /// Yes or no, of which the share of yes is taken.
    Flag,
    /// Texts, of which the share of each is taken.
    Category,
}

/// The groups that each of some rows is in, by their numbers from 0.
#[derive(Debug, Clone, Default)]
pub struct RowGroups {
    groups: Vec<u16>,
    ends: Vec<usize>,
}

impl RowGroups {
    /// Adds a row with its groups, each of them once.
    pub fn push(&mut self, groups: impl IntoIterator<Item = u16>) {
        self.groups.extend(groups);
        self.ends.push(self.groups.len());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The groups of every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[u16]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.groups[begin..end])
    }
}

/// What has been counted and summed of all columns.
#[derive(Debug, Clone)]
pub struct Tally {
    /// How many customers there are.
    pub(super) everybody: u64,
    /// How many of them are in each group.
    pub(super) members: Vec<u64>,
    /// The columns, in the order in which they were named.
    pub columns: Vec<ColumnTally>,
}

impl Tally {
    /// Nothing has been counted of some groups and columns.
    pub fn new(groups: usize, columns: &[ColumnKind]) -> Self {
        Tally { everybody: 0, members: vec![0; groups], columns: columns.iter().map(|kind| ColumnTally::new(*kind, groups)).collect() }
    }

    /// Counts some rows. Their values are added to each of the columns besides, in the same order.
    pub fn count(&mut self, rows: &RowGroups) {
        self.everybody += rows.len() as u64;
        for &group in &rows.groups {
            self.members[usize::from(group)] += 1;
        }
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(ColumnTally::bytes).sum()
    }
}

/// What has been counted and summed of one column.
#[derive(Debug, Clone)]
pub enum ColumnTally {
    /// Numbers.
    Number(Numbers),
    /// Yes or no.
    Flag(Flags),
    /// Texts.
    Category(Categories),
}

impl ColumnTally {
    fn new(kind: ColumnKind, groups: usize) -> Self {
        match kind {
            ColumnKind::Number => ColumnTally::Number(Numbers { groups: vec![Sum::default(); groups], ..Numbers::default() }),
            ColumnKind::Flag => ColumnTally::Flag(Flags { groups: vec![Count::default(); groups], ..Flags::default() }),
            ColumnKind::Category => ColumnTally::Category(Categories { known_of_groups: vec![0; groups], ..Categories::default() }),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            ColumnTally::Number(numbers) => numbers.groups.len() * size_of::<Sum>(),
            ColumnTally::Flag(flags) => flags.groups.len() * size_of::<Count>(),
            ColumnTally::Category(categories) => categories.bytes(),
        }
    }
}

/// How many numbers are known, and their sum.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) known: u64,
    pub(super) sum: f64,
}

/// Numbers of everybody and of each group. Each is taken from the first one before it is added, so that nothing is lost of numbers that are
/// large and alike.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    pub(super) first: Option<f64>,
    pub(super) everybody: Sum,
    pub(super) squares: f64,
    pub(super) groups: Vec<Sum>,
}

impl Numbers {
    /// Adds the number of a row that is in some groups. What is not finite is not known.
    pub fn add(&mut self, number: Option<f64>, groups: &[u16]) {
        let Some(number) = number.filter(|number| number.is_finite()) else { return };
        let number = number - *self.first.get_or_insert(number);
        self.everybody.known += 1;
        self.everybody.sum += number;
        self.squares += number * number;
        for &group in groups {
            let group = &mut self.groups[usize::from(group)];
            group.known += 1;
            group.sum += number;
        }
    }
}

/// How many values are known, and how many are the one that is meant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) known: u64,
    pub(super) with: u64,
}

/// How often yes is said by everybody and by each group.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub(super) everybody: Count,
    pub(super) groups: Vec<Count>,
}

impl Flags {
    /// Adds what a row says that is in some groups.
    pub fn add(&mut self, flag: Option<bool>, groups: &[u16]) {
        let Some(flag) = flag else { return };
        let with = u64::from(flag);
        self.everybody.known += 1;
        self.everybody.with += with;
        for &group in groups {
            let group = &mut self.groups[usize::from(group)];
            group.known += 1;
            group.with += with;
        }
    }
}

/// How often everybody and each group have each text.
#[derive(Debug, Clone, Default)]
pub struct Categories {
    codes: HashMap<Box<str>, usize, FixedState>,
    pub(super) known: u64,
    pub(super) known_of_groups: Vec<u64>,
    /// By code: how many have the text, everybody and then by group.
    counts: Vec<(u64, Vec<u64>)>,
    /// Whether there are more texts than are counted.
    pub(super) has_too_many_values: bool,
}

impl Categories {
    /// Adds the text of a row that is in some groups.
    pub fn add(&mut self, text: Option<&str>, groups: &[u16]) {
        let Some(text) = text.filter(|_| !self.has_too_many_values) else { return };
        let code = match self.codes.get(text) {
            Some(&code) => code,
            None if self.codes.len() == MOST_VALUES => {
                self.has_too_many_values = true;
                (self.codes, self.counts) = (HashMap::default(), Vec::new());
                return;
            }
            None => {
                let code = self.counts.len();
                self.codes.insert(text.into(), code);
                self.counts.push((0, vec![0; self.known_of_groups.len()]));
                code
            }
        };
        let (everybody, of_groups) = &mut self.counts[code];
        self.known += 1;
        *everybody += 1;
        for &group in groups {
            let group = usize::from(group);
            self.known_of_groups[group] += 1;
            of_groups[group] += 1;
        }
    }

    /// The texts in order, each with how many have it, everybody and then by group.
    pub(super) fn values(&self) -> Vec<(&str, u64, &[u64])> {
        let counted = self.codes.iter().map(|(text, &code)| (text.as_ref(), &self.counts[code]));
        let mut values: Vec<_> = counted.map(|(text, (everybody, of_groups))| (text, *everybody, of_groups.as_slice())).collect();
        values.sort_unstable_by_key(|(text, ..)| *text);
        values
    }

    fn bytes(&self) -> usize {
        let texts: usize = self.codes.keys().map(|text| text.len()).sum();
        texts + (self.counts.len() + 1) * self.known_of_groups.len() * size_of::<u64>()
    }
}
