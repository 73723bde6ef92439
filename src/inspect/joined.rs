//! The columns of several files as those of one.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Column, Format, Held, Origin, Table};

/// The columns of all files.
#[derive(Debug, Default)]
pub struct Joined {
    /// Each once, with the values of all files.
    pub columns: Vec<Column>,
    /// By file, the place of each of them among the file's own columns; none where the file lacks it.
    pub places: Vec<Vec<Option<usize>>>,
}

/// Joins the columns of all files. Names that differ in case alone are one column where no file has both.
pub fn columns(tables: &[Table], lists: &[(String, Vec<String>)]) -> Joined {
    let mut found = Known::default();
    let mut at: Vec<BTreeMap<usize, usize>> = Vec::new();
    for table in tables {
        let folded = table.columns.iter().map(|column| folded(&column.origin));
        let mut counts: BTreeMap<Origin, usize> = BTreeMap::new();
        folded.for_each(|name| *counts.entry(name).or_default() += 1);
        let own = table.columns.iter().enumerate().map(|(place, column)| {
            let is_sole = counts.get(&self::folded(&column.origin)) == Some(&1);
            (found.place(column, is_sole), place)
        });
        at.push(own.collect());
    }
    let mut columns = found.columns;
    for table_and_places in tables.iter().zip(&at) {
        append(&mut columns, table_and_places.0, table_and_places.1);
    }
    let kept = kept(tables, lists, &columns);
    let places = at.iter().map(|places| kept.iter().map(|column| places.get(column).copied()).collect()).collect();
    let mut columns: Vec<Option<Column>> = columns.into_iter().map(Some).collect();
    let columns = kept.iter().filter_map(|at| columns[*at].take()).collect();
    Joined { columns, places }
}

/// A name without its case.
fn folded(origin: &Origin) -> Origin {
    match origin {
        Origin::Named(name) => Origin::Named(name.to_ascii_lowercase()),
        other => other.clone(),
    }
}

/// The columns that are known so far, by their names.
#[derive(Default)]
struct Known {
    columns: Vec<Column>,
    by_name: BTreeMap<Origin, usize>,
    by_folded: BTreeMap<Origin, Vec<usize>>,
}

impl Known {
    /// The place of a column. `is_sole` says that no other of its file has its name in another case.
    fn place(&mut self, column: &Column, is_sole: bool) -> usize {
        if let Some(at) = self.by_name.get(&column.origin) {
            return *at;
        }
        let alike = self.by_folded.entry(folded(&column.origin)).or_default();
        if let ([one], true) = (alike.as_slice(), is_sole) {
            return *one;
        }
        let at = self.columns.len();
        alike.push(at);
        self.by_name.insert(column.origin.clone(), at);
        self.columns.push(Column { cells: Vec::new(), ..column.clone() });
        at
    }
}

/// Adds the values of a file; none where it lacks a column.
fn append(columns: &mut [Column], table: &Table, places: &BTreeMap<usize, usize>) {
    let rows = table.aligned_rows();
    for (at, column) in columns.iter_mut().enumerate() {
        let own = places.get(&at).map(|place| &table.columns[*place]);
        let end = column.cells.len() + rows;
        column.cells.extend(own.into_iter().flat_map(|own| own.cells.iter().cloned()));
        column.cells.resize(end, None);
        if let Some(own) = own.filter(|own| own.held != column.held && own.cells.iter().any(Option::is_some)) {
            column.held = wider(&column.held, &own.held);
        }
    }
}

/// The columns that are some: an object that is null in some rows is no column, and neither is a list of records that is empty in some.
fn kept(tables: &[Table], lists: &[(String, Vec<String>)], columns: &[Column]) -> Vec<usize> {
    if tables.iter().all(|table| table.format == Format::Csv) {
        return (0..columns.len()).collect();
    }
    let names: Vec<&str> = columns.iter().filter_map(Column::name).collect();
    let mut parents: BTreeSet<&str> = lists.iter().map(|(list, _)| list.as_str()).collect();
    for name in names {
        parents.extend(name.match_indices(['.', '[']).map(|(at, _)| &name[..at]));
    }
    let is_parent = |column: &Column| column.name().is_some_and(|name| parents.contains(name));
    let has_values = |column: &Column| column.cells.iter().any(Option::is_some);
    (0..columns.len()).filter(|at| !is_parent(&columns[*at]) || has_values(&columns[*at])).collect()
}

/// What holds values of both.
fn wider(a: &Held, b: &Held) -> Held {
    match (a, b) {
        (Held::Day, Held::Moment) | (Held::Moment, Held::Day) => Held::Moment,
        (Held::Number, Held::Fraction) | (Held::Fraction, Held::Number) => Held::Fraction,
        (Held::Other(_), other) | (other, Held::Other(_)) => other.clone(),
        _ => Held::Text,
    }
}
