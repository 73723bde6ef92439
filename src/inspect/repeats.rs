//! Finds columns of CSV files that are blank where they would repeat the row above, as in the order lines of shop systems.

use std::ops::Range;

use super::table::{Column, Format, Origin, Table};

/// With fewer blank rows a column may be blank by chance.
const LEAST_BLANK_ROWS: usize = 3;

/// Columns that are blank where they would repeat the row above. The column that tells groups apart may be one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeats {
    /// The column that is equal in the rows of a group.
    pub within: Origin,
    /// The columns that only the first row of a group has.
    pub columns: Vec<Origin>,
}

/// Finds such columns, and fills in what they repeat.
pub fn fill(tables: &mut [Table]) -> Option<Repeats> {
    let main = tables.iter().filter(|table| table.format == Format::Csv).max_by_key(|table| table.rows)?;
    let repeats = find(main).or_else(|| blank_by_themselves(main))?;
    for table in tables {
        let Some(within) = table.columns.iter().find(|column| column.origin == repeats.within) else { continue };
        let groups = if repeats.columns.contains(&repeats.within) { runs(&within.cells) } else { groups(&within.cells) };
        for column in table.columns.iter_mut().filter(|column| repeats.columns.contains(&column.origin)) {
            for group in &groups {
                let first = column.cells.get(group.start).cloned().flatten();
                for cell in column.cells.get_mut(group.clone()).into_iter().flatten().filter(|cell| cell.is_none()) {
                    cell.clone_from(&first);
                }
            }
        }
    }
    Some(repeats)
}

fn find(table: &Table) -> Option<Repeats> {
    let mut best: Option<Repeats> = None;
    let gaps: Vec<&Column> = table.columns.iter().filter(|column| column.cells.iter().any(Option::is_none)).collect();
    for within in table.columns.iter().filter(|column| column.cells.iter().all(Option::is_some)) {
        let groups = groups(&within.cells);
        let several: Vec<&Range<usize>> = groups.iter().filter(|group| group.len() > 1).collect();
        if several.len() < 2 || groups.len() + LEAST_BLANK_ROWS > within.cells.len() {
            continue;
        }
        // How many groups of several rows have a value in the first row, if none has one in another.
        let filled = |column: &Column| {
            let is_blank =
                |group: &&Range<usize>| column.cells.get(group.start + 1..group.end).is_some_and(|rest| rest.iter().all(Option::is_none));
            let has_first = |group: &&&Range<usize>| column.cells.get(group.start).is_some_and(Option::is_some);
            several.iter().copied().all(|group| is_blank(&group)).then(|| several.iter().filter(has_first).count())
        };
        let found: Vec<(&Column, usize)> = gaps.iter().filter_map(|column| Some((*column, filled(column)?))).collect();
        let is_sure = found.iter().any(|(_, count)| count * 10 >= several.len() * 9);
        let columns = found.into_iter().filter(|(_, count)| count * 2 >= several.len()).map(|(column, _)| column.origin.clone());
        let columns: Vec<Origin> = columns.collect();
        if is_sure && best.as_ref().is_none_or(|best| best.columns.len() < columns.len()) {
            best = Some(Repeats { within: within.origin.clone(), columns });
        }
    }
    best
}

/// Finds columns of which the first tells groups apart and is blank itself below a group's first row, as spreadsheets write orders: all
/// columns up to it are blank there, as are others, and what is left has a value in every row.
fn blank_by_themselves(table: &Table) -> Option<Repeats> {
    let first = table.columns.iter().position(|column| column.cells.first().is_some_and(Option::is_some))?;
    let within = &table.columns[first];
    let runs = runs(&within.cells);
    let several = runs.iter().filter(|run| run.len() > 1).count();
    if several < 2 || runs.len() + LEAST_BLANK_ROWS > within.cells.len() {
        return None;
    }
    let is_first: Vec<bool> = within.cells.iter().map(Option::is_some).collect();
    let below = |column: &Column, is_some: bool| {
        let rows = column.cells.iter().zip(&is_first).filter(|(_, is_first)| !**is_first);
        column.cells.len() == is_first.len() && rows.into_iter().all(|(cell, _)| cell.is_some() == is_some)
    };
    let has_some =
        |column: &&Column| column.cells.iter().zip(&is_first).filter(|(cell, is_first)| **is_first && cell.is_some()).count() * 2;
    let blank = table.columns.iter().filter(|column| below(column, false)).filter(|column| has_some(column) >= runs.len());
    let columns: Vec<Origin> = blank.map(|column| column.origin.clone()).collect();
    let is_row = table.columns.iter().any(|column| below(column, true) && column.cells.iter().all(Option::is_some));
    (columns.len() > 1 && is_row).then(|| Repeats { within: within.origin.clone(), columns })
}

/// Rows of which the first has a value, and those below it have none.
fn runs(cells: &[Option<String>]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if cell.is_none() => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Rows, one after the other, with one value.
fn groups(cells: &[Option<String>]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for at in 0..cells.len() {
        match groups.last_mut() {
            Some(group) if cells[at] == cells[group.start] => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}
