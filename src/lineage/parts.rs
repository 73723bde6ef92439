//! What a column or the rows of a plan are made of.

use std::collections::{BTreeMap, BTreeSet};

/// A column of a table.
pub type TableColumn = (String, String);

/// How a value becomes a part of another one, from the least to the most that happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transformation {
    /// It is taken as it is.
    Identity,
    /// Something is computed of it, row by row.
    Computed,
    /// It is one of many that are summed up, counted or compared.
    Aggregated,
    /// It decides which value is taken, and is no part of that.
    Conditional,
}

/// The columns that something is made of, each with what happens to its values.
pub type MadeOf = BTreeMap<TableColumn, Transformation>;

/// What something is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// The columns of sources and native steps that give its value.
    pub(super) values: MadeOf,
    /// The columns by which is decided what of these an aggregate takes.
    pub(super) deciding: BTreeSet<TableColumn>,
    /// The sources of these, and of the conditions on which it depends.
    pub(super) sources: BTreeSet<String>,
    pub(super) reads_day: bool,
    pub(super) is_relative: bool,
    /// The nearest columns of models that it is made of.
    pub(super) direct: BTreeSet<TableColumn>,
    /// Of something relative, the columns of models that the customer itself brings.
    pub(super) own: BTreeSet<TableColumn>,
    /// Whether it could not be followed.
    pub(super) is_unknown: bool,
}

impl Parts {
    /// Adds what gives the value.
    pub(super) fn add(&mut self, other: Parts) {
        for (value, transformation) in &other.values {
            let known = self.values.entry(value.clone()).or_insert(*transformation);
            *known = (*known).max(*transformation);
        }
        self.deciding.extend(other.deciding.iter().cloned());
        self.direct.extend(other.direct.iter().cloned());
        self.own.extend(other.own.iter().cloned());
        self.add_conditions(other);
    }

    /// What something is made of that is computed of this.
    pub(super) fn after(mut self, transformation: Transformation) -> Self {
        self.values.values_mut().for_each(|known| *known = (*known).max(transformation));
        self
    }

    /// Adds by what is decided which values are taken.
    pub(super) fn decided_by(&mut self, condition: &Parts) {
        self.deciding.extend(condition.values.keys().chain(&condition.deciding).cloned());
    }

    /// The columns that it is made of or decided by; none where they could not be followed.
    pub(super) fn made_of(self) -> Option<MadeOf> {
        let deciding = self.deciding.into_iter().filter(|column| !self.values.contains_key(column));
        let deciding: Vec<_> = deciding.map(|column| (column, Transformation::Conditional)).collect();
        (!self.is_unknown).then(|| self.values.into_iter().chain(deciding).collect())
    }

    /// Adds what decides whether, or for which rows.
    pub(super) fn add_conditions(&mut self, other: Parts) {
        self.sources.extend(other.sources);
        self.reads_day |= other.reads_day;
        self.is_relative |= other.is_relative;
        self.is_unknown |= other.is_unknown;
    }
}
