//! Cells of CSV files that are blank because they would repeat the row above, as in the order lines of shop systems.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray};
use arrow::datatypes::Int32Type;

use super::moments::Moments;
use crate::config::{BlankRepeats, Source, Spanned, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::error::{Error, Result};

/// Which columns of a contract repeat the row above where they are blank, by their places in it.
#[derive(Debug)]
pub struct Repeats {
    /// The columns that are equal in the rows of a group.
    within: Vec<usize>,
    /// The columns that repeat.
    columns: Vec<usize>,
}

impl Repeats {
    /// Compiles what a source says of blank cells; what has no meaning is added to `problems`.
    pub fn new(file: &Arc<SourceFile>, source: &Source, moments: &Moments, problems: &mut Vec<Diagnostic>) -> Option<Self> {
        let BlankRepeats { within, columns } = source.blank_repeats.as_ref()?;
        let mut position = |name: &Spanned<String>| {
            let found = source.columns.get_index_of(&name.value);
            if found.is_none() {
                let what = format!("`{}` is not a column of this source", name.shown());
                let names = source.columns.keys().map(String::as_str);
                problems.push(Diagnostic::error("unknown-column", what).at(span_of(file, name)).did_you_mean(&name.value, names));
            }
            if source.columns.get(&name.value).is_some_and(|column| column.path.is_some()) {
                let what = format!("`{}` stands in the paths of files, and is the same for all rows of one", name.shown());
                problems.push(Diagnostic::error("blank-repeats", what).at(span_of(file, name)).hint("leave it out"));
            }
            found
        };
        let named: Vec<usize> = columns.iter().filter_map(&mut position).collect();
        let parts = named.iter().flat_map(|&at| moments.parts_of(at)).collect::<Vec<_>>();
        let repeats = Repeats { within: within.iter().filter_map(&mut position).collect(), columns: [named, parts].concat() };
        let first = within.first().or(columns.first());
        if within.is_empty() || columns.is_empty() {
            let what = "`blank_repeats` needs columns in `within` and in `columns`";
            let mut problem = Diagnostic::error("blank-repeats", what);
            if let Some(first) = first {
                problem = problem.at(span_of(file, first));
            }
            problems.push(problem.hint(
                "name under `within` what is equal in rows that belong together, such as the order's number, \
                 and under `columns` what is blank from the second row on",
            ));
        }
        Some(repeats)
    }

    /// The places of all its columns, which must be read whatever is asked for.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.within.iter().chain(&self.columns).copied()
    }
}

/// The row above the one that comes next, as far as it is repeated. Blocks of a file are given in order.
#[derive(Debug, Default)]
pub struct RowAbove(Mutex<Cells>);

/// The cells of a row, by the order of [`Repeats::within`] and [`Repeats::columns`]; none before the first row.
#[derive(Debug, Default)]
struct Cells {
    within: Vec<Option<Arc<str>>>,
    columns: Vec<Option<Arc<str>>>,
}

/// A column of a block as it is filled. A text that is repeated is held once, so that a long one costs nothing more.
#[derive(Default)]
struct Filled {
    values: Vec<Arc<str>>,
    keys: Vec<Option<i32>>,
}

impl Filled {
    /// Adds a cell; one that repeats the row above is the same text there and here.
    fn push(&mut self, cell: Option<&Arc<str>>) -> Result<()> {
        let key = match cell {
            Some(cell) if self.values.last().is_some_and(|last| Arc::ptr_eq(last, cell)) => self.values.len() - 1,
            Some(cell) => {
                self.values.push(Arc::clone(cell));
                self.values.len() - 1
            }
            None => {
                self.keys.push(None);
                return Ok(());
            }
        };
        self.keys.push(Some(i32::try_from(key).map_err(|_| Error::defect("a block has too many rows"))?));
        Ok(())
    }

    fn finish(self) -> Result<ArrayRef> {
        let values = StringArray::from_iter_values(self.values);
        let keyed = DictionaryArray::<Int32Type>::try_new(self.keys.into(), Arc::new(values));
        Ok(Arc::new(keyed.map_err(|_| Error::defect("cells were not filled"))?))
    }
}

impl RowAbove {
    /// Forgets the row above, because a record after it cannot be read: it may begin another group.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Cells::default();
    }

    /// Puts values where cells of a block are blank. `columns` has the texts of every column of the contract that the file has, and before
    /// the rows `breaks`, which are in order, stand records that cannot be read.
    ///
    /// # Errors
    /// [`Error::Defect`] when a block has more rows than a block can have.
    pub fn fill(&self, repeats: &Repeats, columns: &mut [Option<ArrayRef>], rows: usize, breaks: &[usize]) -> Result<()> {
        let mut above = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = |at: &usize| columns[*at].as_ref().and_then(|column| column.as_string_opt::<i32>().cloned());
        let within: Vec<Option<StringArray>> = repeats.within.iter().map(texts).collect();
        let repeated: Vec<Option<StringArray>> = repeats.columns.iter().map(texts).collect();
        let mut filled: Vec<Filled> = repeated.iter().map(|_| Filled::default()).collect();
        for row in 0..rows {
            if breaks.binary_search(&row).is_ok() {
                *above = Cells::default();
            }
            let cell = |texts: &Option<StringArray>| {
                let texts = texts.as_ref().filter(|texts| texts.is_valid(row))?;
                Some(texts.value(row)).filter(|text| !text.trim().is_empty()).map(Arc::from)
            };
            let mut next = Cells { within: within.iter().map(cell).collect(), columns: repeated.iter().map(cell).collect() };
            for ((cell, place), above) in next.within.iter_mut().zip(&repeats.within).zip(&above.within) {
                if cell.is_none() && repeats.columns.contains(place) {
                    cell.clone_from(above);
                }
            }
            if next.within.iter().all(Option::is_some) && next.within == above.within {
                for (cell, above) in next.columns.iter_mut().zip(&above.columns).filter(|(cell, _)| cell.is_none()) {
                    cell.clone_from(above);
                }
            }
            for (column, cell) in filled.iter_mut().zip(&next.columns) {
                column.push(cell.as_ref())?;
            }
            *above = next;
        }
        if breaks.last().is_some_and(|last| *last >= rows) {
            *above = Cells::default();
        }
        for ((at, _), filled) in repeats.columns.iter().zip(&repeated).zip(filled).filter(|((_, texts), _)| texts.is_some()) {
            columns[*at] = Some(filled.finish()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use proptest::prelude::*;

    use super::*;

    /// The columns of `rows` after they were given in blocks: a group's number and two cells.
    fn filled(rows: &[[&str; 3]], block: usize, repeats: &Repeats) -> Vec<[Option<String>; 3]> {
        let above = RowAbove::default();
        let mut found = Vec::new();
        for block in rows.chunks(block) {
            let text = |at: usize| block.iter().map(|row| Some(row[at]).filter(|text| !text.is_empty())).collect::<StringArray>();
            let mut columns: Vec<Option<ArrayRef>> = (0..3).map(|at| Some(Arc::new(text(at)) as ArrayRef)).collect();
            above.fill(repeats, &mut columns, block.len(), &[]).unwrap();
            let cell = |at: usize, row: usize| {
                let texts = cast(columns[at].as_ref().unwrap(), &DataType::Utf8).unwrap();
                let texts = texts.as_string::<i32>();
                texts.is_valid(row).then(|| texts.value(row).to_owned())
            };
            found.extend((0..block.len()).map(|row| [0, 1, 2].map(|at| cell(at, row))));
        }
        found
    }

    fn some(cells: [&str; 3]) -> [Option<String>; 3] {
        cells.map(|cell| Some(cell.to_owned()).filter(|cell| !cell.is_empty()))
    }

    #[test]
    fn what_is_blank_in_the_first_row_of_a_group_stays_so() {
        let rows = [["1", "a", "x"], ["1", "", ""], ["2", "", "y"], ["2", "", ""], ["1", "", ""], ["", "", ""]];
        let repeats = Repeats { within: vec![0], columns: vec![1, 2] };
        let expected = [["1", "a", "x"], ["1", "a", "x"], ["2", "", "y"], ["2", "", "y"], ["1", "", ""], ["", "", ""]];
        assert_eq!(filled(&rows, 10, &repeats), expected.map(some));
    }

    #[test]
    fn a_cell_of_space_alone_is_blank() {
        let rows = [["1", "a", "x"], ["1", "  ", "\t"], [" ", "\u{a0}", "z"]];
        let repeats = Repeats { within: vec![0], columns: vec![0, 1, 2] };
        let expected = [["1", "a", "x"], ["1", "a", "x"], ["1", "a", "z"]];
        assert_eq!(filled(&rows, 10, &repeats), expected.map(some));
    }

    #[test]
    fn a_groups_own_name_may_be_blank_too() {
        let rows = [["1", "a", "x"], ["", "", "z"], ["2", "", ""], ["", "b", ""], ["", "", ""]];
        let repeats = Repeats { within: vec![0], columns: vec![0, 1] };
        let expected = [["1", "a", "x"], ["1", "a", "z"], ["2", "", ""], ["2", "b", ""], ["2", "b", ""]];
        assert_eq!(filled(&rows, 10, &repeats), expected.map(some));
    }

    proptest! {
        #[test]
        fn blocks_do_not_show(
            rows in prop::collection::vec(prop::array::uniform3(prop::sample::select(vec!["", "1", "2"])), 1..20),
            block in 1..5_usize,
            names_itself: bool,
        ) {
            let repeats = Repeats { within: vec![0], columns: if names_itself { vec![0, 1, 2] } else { vec![1, 2] } };
            prop_assert_eq!(filled(&rows, block, &repeats), filled(&rows, rows.len(), &repeats));
        }
    }
}
