//! What a column or the rows of a plan are made of.

use std::collections::BTreeSet;

/// A column of a table.
pub type TableColumn = (String, String);

/// What something is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// The columns of sources and native steps that give its value.
    pub(super) values: BTreeSet<TableColumn>,
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
        self.values.extend(other.values.iter().cloned());
        self.direct.extend(other.direct.iter().cloned());
        self.own.extend(other.own.iter().cloned());
        self.add_conditions(other);
    }

    /// Adds what decides whether, or for which rows.
    pub(super) fn add_conditions(&mut self, other: Parts) {
        self.sources.extend(other.sources);
        self.reads_day |= other.reads_day;
        self.is_relative |= other.is_relative;
        self.is_unknown |= other.is_unknown;
    }
}
