//! Makes the table of a CSV file from the parts that were sampled.

use super::dialect;
use super::layout::{self, Layout};
use super::records::{Dialect, Record, records};
use super::table::{Column, CsvKeys, Format, Held, Origin, Quote, Table};

/// The most rows that are kept of a part.
const ROWS_OF_PART: usize = 5_000;

/// Makes the table of a CSV file. `parts` are its beginning and some places behind it; `is_whole` says that the beginning is all of it.
pub fn table(file: &str, parts: &[String], is_whole: bool) -> Table {
    let mut table = Table::new(file, Format::Csv);
    let head = parts.first().map(String::as_str).unwrap_or_default();
    let found = dialect::detect(head, is_whole);
    let mut read = records(head, &found.dialect, ROWS_OF_PART);
    if !is_whole && read.records.len() > 1 && read.records.len() < ROWS_OF_PART {
        read.records.pop();
    }
    let mut layout = layout::detect(&read);
    table.notes.extend(found.unsure);
    let mut free = None;
    if found.is_single && read.records.iter().any(|record| record.cells.len() > 1) {
        // Commas within the texts of the one column separate nothing.
        free = ['\t', '|', '\u{1}', '^'].into_iter().find(|c| !parts.iter().any(|part| part.contains(*c)));
        read = records(head, &Dialect { delimiter: free.unwrap_or(','), ..found.dialect }, ROWS_OF_PART);
        layout = layout::detect(&read);
        table.notes.push("UNSURE: commas in it separate nothing that looks like columns, so it is read as one column".to_owned());
    }
    table.notes.extend(layout.notes.iter().cloned());
    table.csv = keys(&found.dialect, &layout, &read.records, found.is_single);
    if found.is_single {
        table.csv.delimiter = free;
    }
    if read.is_open && is_whole {
        table.notes.push("a quote is not closed before the end of the file: its record would be rejected".to_owned());
    }
    if layout.header.is_some() && read.records.len() <= layout.first_row {
        table.notes.push("there is a header and no row: nothing could be told of the values".to_owned());
    }
    columns(&mut table, &layout);
    let rows = read.records.get(layout.first_row..).unwrap_or_default();
    for record in rows {
        add(&mut table, &layout, record, found.is_single);
    }
    for part in parts.iter().skip(1) {
        // A place in the middle begins within a line, and ends within one.
        let Some((_, whole)) = part.split_once('\n') else { continue };
        let dialect = Dialect { delimiter: table.csv.delimiter.unwrap_or(found.dialect.delimiter), ..found.dialect };
        let mut read = records(whole, &dialect, ROWS_OF_PART).records;
        read.pop();
        let fits = read.iter().filter(|record| fields(record, &layout) == layout.width).count();
        // A place within a quoted text of several lines tells nothing.
        if fits * 10 >= read.len() * 9 {
            for record in &read {
                add(&mut table, &layout, record, found.is_single);
            }
        }
    }
    if table.headers_again > 0 {
        table.notes.push(format!(
            "UNSURE: the header stands {} more among the rows, as where files were put together: a row that is the header again is \
             rejected for its event time",
            if table.headers_again == 1 { "once".to_owned() } else { format!("{} times", table.headers_again) }
        ));
    }
    let last = table.columns.first().and_then(|column| column.cells.last()?.as_deref());
    let sums = ["total", "totals", "grand total", "sum", "summe", "gesamt", "gesamtsumme", "totale", "total général"];
    if table.rows > 1 && last.is_some_and(|last| sums.contains(&last.trim().trim_end_matches(':').to_lowercase().as_str())) {
        table
            .notes
            .push("UNSURE: the last line seems to be a total, which is no row: leave it out in a model, or have it rejected".to_owned());
    }
    table
}

fn keys(dialect: &Dialect, layout: &Layout, records: &[Record], is_single: bool) -> CsvKeys {
    let is_quoted = records.iter().any(|record| record.quoted.contains(&true));
    CsvKeys {
        delimiter: (dialect.delimiter != ',' && !is_single).then_some(dialect.delimiter),
        quote: match dialect.quote {
            Some('"') => Quote::Plain,
            Some(_) if !is_quoted => Quote::Plain,
            Some(other) => Quote::Other(other),
            None => Quote::None,
        },
        escape: dialect.escape,
        comment: dialect.comment,
        skip_lines: layout.skip_lines,
        has_header: layout.header.is_some() && !is_by_place(layout),
        skip_after_header: layout.skip_after_header,
        trailing_delimiter: layout.trailing_delimiter,
    }
}

/// Whether the header does not say which field is which column.
fn is_by_place(layout: &Layout) -> bool {
    layout.has_row_names || layout.is_header_long
}

/// The columns without values yet: named by the header where a name stands there once, by their places otherwise.
fn columns(table: &mut Table, layout: &Layout) {
    let header = layout.header.clone().unwrap_or_default();
    let shift = usize::from(layout.has_row_names);
    if is_by_place(layout) {
        // Without a header line of its own length, columns are told by their places.
        table.csv.skip_lines += 1;
    }
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for name in &header {
        *counts.entry(name.trim()).or_default() += 1;
    }
    for at in 0..layout.width {
        let name = at.checked_sub(shift).and_then(|at| header.get(at)).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let is_twice = name.as_ref().is_some_and(|name| counts.get(name.as_str()).is_some_and(|count| *count > 1));
        let mut notes = Vec::new();
        if is_twice {
            notes.push("its name stands twice in the header".to_owned());
        }
        let (origin, label) = match name {
            Some(name) if !is_twice && !is_by_place(layout) => (Origin::Named(name), None),
            label => (Origin::Position(at), label),
        };
        table.columns.push(Column { origin, label, held: Held::Text, cells: Vec::new(), notes });
    }
}

/// The fields of a record, without the empty one behind a trailing delimiter.
fn fields(record: &Record, layout: &Layout) -> usize {
    let count = record.cells.len();
    if layout.trailing_delimiter && count == layout.width + 1 && record.cells.last().is_some_and(String::is_empty) {
        count - 1
    } else {
        count
    }
}

fn add(table: &mut Table, layout: &Layout, record: &Record, is_single: bool) {
    table.rows += 1;
    if layout.header.as_ref().is_some_and(|header| super::layout::is_again(header, &record.cells)) {
        table.headers_again += 1;
        return;
    }
    if record.flaws > 0 || fields(record, layout) != layout.width {
        table.ragged += 1;
        // Values that may have slipped into other columns say nothing of these.
        if !is_single {
            return;
        }
    }
    for (column, cell) in table.columns.iter_mut().zip(&record.cells) {
        column.cells.push(Some(cell).filter(|cell| !cell.is_empty()).cloned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Table {
        table("a.csv", &[text.to_owned()], true)
    }

    fn names(table: &Table) -> Vec<String> {
        table.columns.iter().map(|column| column.name().unwrap_or("?").to_owned()).collect()
    }

    #[test]
    fn layouts_are_told() {
        let table = of("Report of sales\nMade 2026-01-01\n\nid;amount;day\n1;2,50;01.02.2026\n2;3,50;02.02.2026\n");
        assert_eq!(
            (table.csv.skip_lines, table.csv.delimiter, names(&table)),
            (3, Some(';'), vec!["id".into(), "amount".into(), "day".into()])
        );
        let table = of("Sales;;;\n;;;\nid;name;amount;day\n1;Ann;2;2026-01-01\n2;Bob;3;2026-01-02\n");
        assert_eq!((table.csv.skip_lines, table.rows), (2, 2));
        let table = of("1,Ann,2026-01-01\n2,Bob,2026-01-02\n3,Cy,2026-01-03\n");
        assert_eq!((table.csv.has_header, table.rows), (false, 3));
        let table = of(
            "StartDate,Q1,Q2\nStart Date,How do you do?,And you?\n\"{\"\"ImportId\"\":\"\"startDate\"\"}\",\"{\"\"ImportId\"\":\"\"QID1\"\"}\",x\n2026-01-01 10:00:00,5,a\n",
        );
        assert_eq!((table.csv.skip_after_header, table.rows), (2, 1));
        let table = of("Respondent ID,What do you buy?,,\n,Shoes,Hats,Other (please specify)\n1,Shoes,,\n2,,Hats,Gloves\n");
        assert_eq!((table.csv.skip_after_header, names(&table)[2].as_str()), (1, "?"));
        let table = of("id,name,\n1,a,\n2,b,\n");
        assert_eq!((table.csv.trailing_delimiter, names(&table)), (true, vec!["id".into(), "name".into()]));
        let table = of("id,weight,day\n,kg,ISO\n1,2.5,2026-01-01\n2,3.5,2026-01-02\n3,4.5,2026-01-03\n4,5,2026-01-04\n");
        assert_eq!((table.csv.skip_after_header, table.rows), (1, 4));
    }

    proptest! {
        #[test]
        fn any_text_has_a_table(text in "[a1,;\"'\\\\#\n\r .]{0,200}|\\PC{0,200}") {
            let read = of(&text);
            for column in &read.columns {
                prop_assert!(column.cells.len() <= read.rows);
            }
            table("a.csv", &[text.clone(), text], false);
        }
    }
}
