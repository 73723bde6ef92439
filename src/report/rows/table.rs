//! Rows as a table for people. Long values are cut, numbers stand to the right, and what does not fit beside each other stands below:
//! the columns go on in another part of the table, whose rows have the same numbers.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::cells::{Cells, is_number};
use crate::diagnostic::counted;
use crate::error::Result;
use crate::shown;

/// What stands for a value that is missing.
const NULL: &str = "∅";
/// The widest column.
const WIDEST: usize = 40;
/// What stands between two columns.
const GAP: &str = "  ";

/// A table that is being filled.
#[derive(Debug)]
pub struct Table {
    width: usize,
    columns: Vec<Column>,
    rows: usize,
}

#[derive(Debug)]
struct Column {
    name: String,
    is_number: bool,
    cells: Vec<String>,
    width: usize,
}

impl Table {
    /// A table for so many columns of a terminal.
    pub fn new(width: usize) -> Self {
        Table { width, columns: Vec::new(), rows: 0 }
    }

    /// Takes the columns.
    pub fn begin(&mut self, schema: &SchemaRef) {
        let column = |name: &str, is_number: bool| {
            let name = cut(&shown::name(name));
            let width = name.width();
            Column { name, is_number, cells: Vec::new(), width }
        };
        self.columns = schema.fields().iter().map(|field| column(field.name(), is_number(field.data_type()))).collect();
    }

    /// Takes rows.
    ///
    /// # Errors
    /// As [`Cells::text`].
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        for (column, array) in self.columns.iter_mut().zip(rows.columns()) {
            let cells = Cells::of(array)?;
            for row in 0..rows.num_rows() {
                let text = cells.text(row)?.map_or_else(|| NULL.to_owned(), |text| cut(&shown::name(&text)));
                column.width = column.width.max(text.width());
                column.cells.push(text);
            }
        }
        self.rows += rows.num_rows();
        Ok(())
    }

    /// The table as lines, the number of rows last.
    pub fn written(self, has_more: bool) -> String {
        let mut text = String::new();
        let digits = self.rows.to_string().len();
        let parts = self.parts(digits);
        let has_numbers = parts.len() > 1;
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            let number = |text: &str| if has_numbers { format!("{text:>digits$}{GAP}") } else { String::new() };
            text += &line(&number("#"), part, |column| &column.name);
            text += &line(&number(&"─".repeat(digits)), part, |column| column.rule());
            for row in 0..self.rows {
                text += &line(&number(&(row + 1).to_string()), part, |column| &column.cells[row]);
            }
        }
        let rows = counted(self.rows as u64, "row");
        let more = if has_more { "; there are more, and `--limit` shows them" } else { "" };
        text + &format!("\n{rows}{more}\n")
    }

    /// The columns that stand beside each other, part by part.
    fn parts(&self, digits: usize) -> Vec<&[Column]> {
        let fits = |columns: &[Column], before: usize| {
            let wide: usize = columns.iter().map(|column| column.width + GAP.len()).sum();
            before + wide <= self.width + GAP.len()
        };
        if fits(&self.columns, 0) {
            return vec![&self.columns];
        }
        let (mut parts, mut from) = (Vec::new(), 0);
        for to in 1..=self.columns.len() {
            let is_last = to == self.columns.len();
            if is_last || !fits(&self.columns[from..=to], digits + GAP.len()) {
                parts.push(&self.columns[from..to]);
                from = to;
            }
        }
        parts
    }
}

impl Column {
    /// A line below the name.
    fn rule(&self) -> &'static str {
        const RULE: &str = "────────────────────────────────────────";
        let end = RULE.char_indices().nth(self.width).map_or(RULE.len(), |(end, _)| end);
        &RULE[..end]
    }
}

fn line<'c>(number: &str, columns: &'c [Column], cell: impl Fn(&'c Column) -> &'c str) -> String {
    let cells = columns.iter().map(|column| {
        let text = cell(column);
        let space = " ".repeat(column.width.saturating_sub(text.width()));
        if column.is_number { space + text } else { text.to_owned() + &space }
    });
    let cells: Vec<String> = cells.collect();
    format!("{}\n", format!("{number}{}", cells.join(GAP)).trim_end())
}

/// A text that is no wider than a column may be.
fn cut(text: &str) -> String {
    if text.width() <= WIDEST {
        return text.to_owned();
    }
    let mut width = 0;
    let kept = text.chars().take_while(|c| {
        width += c.width().unwrap_or(0);
        width < WIDEST
    });
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let names = StringArray::from(vec![Some("Ann\tLee"), None, Some("")]);
        let long = StringArray::from_iter_values(["x".repeat(60).as_str(), "日本語", "é"]);
        let numbers = Int64Array::from(vec![Some(5), Some(1_234), None]);
        RecordBatch::try_from_iter([
            ("name", Arc::new(names) as Arc<dyn arrow::array::Array>),
            ("long", Arc::new(long)),
            ("number", Arc::new(numbers)),
        ])
        .unwrap()
    }

    fn shown_in(width: usize) -> String {
        let mut table = Table::new(width);
        table.begin(&batch().schema());
        table.add(&batch()).unwrap();
        table.written(true)
    }

    #[test]
    fn a_table_that_fits_has_one_part() {
        let shown = shown_in(100);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], format!("name      long{}  number", " ".repeat(36)));
        assert_eq!(lines[2], format!("Ann\\tLee  {}…       5", "x".repeat(39)));
        assert_eq!(lines[3], format!("∅         日本語{}    1234", " ".repeat(34)));
        assert_eq!(lines[4], format!("          é{}       ∅", " ".repeat(39)));
        assert_eq!(lines[6], "3 rows; there are more, and `--limit` shows them");
    }

    #[test]
    fn columns_that_do_not_fit_stand_below_with_the_numbers_of_their_rows() {
        let shown = shown_in(54);
        assert!(shown.lines().all(|line| line.width() <= 54), "{shown}");
        assert!(shown.contains("\n#  number\n─  ──────\n1       5\n2    1234\n3       ∅\n"), "{shown}");
        // A column that is wider than the terminal stands alone.
        assert!(shown_in(10).contains(&"x".repeat(39)));
    }
}
