use std::sync::Mutex;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use serde_json::Value;

use crate::meanings_table::{Cell, Group, expected, objections, project, published, rejects, run};
use crate::support::tell;

/// The most columns of one run.
const COLUMNS_AT_ONCE: usize = 60;

/// Does something for each of some things, on as many threads as there are cores, and gathers what it says.
pub fn on_all_cores<T: Sync>(things: &[T], of_one: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let (next, said) = (Mutex::new(things.iter().enumerate()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((at, thing)) = next.lock().unwrap().next() else { break };
                    let of_one = of_one(thing);
                    said.lock().unwrap().push((at, of_one));
                }
            });
        }
    });
    let mut said = said.into_inner().unwrap();
    said.sort();
    said.into_iter().flat_map(|(_, said)| said).collect()
}

#[test]
fn every_value_is_read_as_the_table_of_meanings_says() {
    let (groups, _) = expected();
    let mut runs: Vec<(&Group, Vec<&Cell>)> = Vec::new();
    for group in &groups {
        let readable: Vec<&Cell> = group.cells.iter().filter(|cell| !cell.refused).collect();
        runs.extend(readable.chunks(COLUMNS_AT_ONCE).map(|cells| (group, cells.to_vec())));
    }
    let cells: usize = runs.iter().map(|(_, cells)| cells.len()).sum();
    tell(&format!("{cells} columns in {} runs", runs.len()));
    assert!(cells > 0);
    let wrong = on_all_cores(&runs, |(group, cells)| objections(group, cells));
    assert!(wrong.is_empty(), "{} columns are not read as the table of meanings says:\n{}", wrong.len(), wrong.join("\n"));
}

/// All that a run cannot read are named at once, so that the contract is mended in one go.
#[test]
fn columns_that_cannot_be_of_their_type_refuse_the_run_by_name() {
    let (groups, _) = expected();
    let refused: Vec<(&Group, Vec<&Cell>)> = groups
        .iter()
        .map(|group| (group, group.cells.iter().filter(|cell| cell.refused).collect::<Vec<_>>()))
        .filter(|(_, cells)| !cells.is_empty())
        .collect();
    let wrong = on_all_cores(&refused, |(group, cells)| {
        let project = project(group, cells, None);
        let (status, told) = run(project.path(), "2026-01-01");
        let details = told["problems"][0]["details"].as_array().cloned().unwrap_or_default();
        if status != 3 || !told.to_string().contains(&group.file) || details.len() != cells.len() {
            return vec![format!("{}: {} columns, exit {status}: {told}", group.group, cells.len())];
        }
        let names = |cell: &&&Cell, detail: &Value| {
            detail.as_str().is_some_and(|detail| detail.contains(&format!("`{}`", cell.column)) && detail.contains(&cell.declared))
        };
        let unnamed = cells.iter().filter(|cell| !details.iter().any(|detail| names(cell, detail)));
        unnamed.map(|cell| format!("{}: not named in {details:?}", group.title(cell))).collect()
    });
    assert!(wrong.is_empty(), "columns do not refuse the run by name:\n{}", wrong.join("\n"));
}

#[test]
fn an_event_time_is_out_of_window_before_anything_else_is_said_of_it() {
    let (groups, as_of) = expected();
    let tried: Vec<(&Group, &Cell)> = groups.iter().flat_map(|group| group.event_times.iter().map(move |cell| (group, cell))).collect();
    let wrong = on_all_cores(&tried, |(group, cell)| {
        let wrong = wrong_event_times(group, cell, &as_of);
        if wrong.is_empty() { wrong } else { vec![format!("{} event time\n    {}", group.title(cell), wrong.join("\n    "))] }
    });
    assert!(wrong.is_empty(), "{} columns are wrong as event times:\n{}", wrong.len(), wrong.join("\n"));
}

/// The rows of a group that are not kept, out of window or rejected as expected when a column of it is the event time.
fn wrong_event_times(group: &Group, cell: &Cell, as_of: &str) -> Vec<String> {
    let project = project(group, &[], Some(cell));
    let (status, result) = run(project.path(), as_of);
    if status != 0 {
        return vec![format!("the run ended with {status}: {result}")];
    }
    let rejects = rejects(project.path(), &result, group.first_line());
    let kept: Vec<i64> = published(project.path(), &result, "customers")
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    let rows = group.rows();
    let out_of_window = result["sources"][0]["rows_out_of_window"].as_u64().unwrap();
    let mut wrong = Vec::new();
    if kept.len() + rejects.len() + usize::try_from(out_of_window).unwrap() != rows {
        wrong.push(format!("{} are kept, {} rejected and {out_of_window} out of window, of {rows}", kept.len(), rejects.len()));
    }
    for row in 1..=rows {
        let reason = rejects.get(&(row, None)).map(|reason| format!("!{}", reason.split(' ').next().unwrap()));
        let placed = match reason {
            Some(reason) => reason,
            None if kept.contains(&i64::try_from(row).unwrap()) => "kept".to_owned(),
            None => "out".to_owned(),
        };
        let written = group.columns[&cell.column].written().get(row - 1).cloned();
        // Where a column is shorter than the file, its values are missing.
        let objection = match written {
            Some(_) => cell.objection(row, Some(&placed)),
            None => (placed != "!missing-value").then(|| format!("is missing, and its row is {placed}")),
        };
        wrong.extend(objection.map(|objection| format!("`{}` {objection}", written.flatten().unwrap_or("null".to_owned()))));
    }
    wrong
}

/// What the rules say of some values, written by hand: the generator that writes the other expectations cannot be wrong about these.
const BY_HAND: &[(&str, &str, &str, &str)] = &[
    ("float64", "17850.0", "string", "=17850"),
    ("float64", "17850.0", "integer", "=17850"),
    ("float64", "1.5", "string", "!not-text"),
    ("float64", "9007199254740994.0", "integer", "!not-an-integer"),
    ("float64", "19.99", "decimal(10,2)", "=19.99"),
    ("float64", "0.30000000000000004", "decimal(10,2)", "!not-a-decimal"),
    ("float64", "nan", "double", "!not-a-number"),
    ("float32", "19.99", "decimal(10,2)", "=19.99"),
    ("decimal128_10_2", "1.99", "integer", "!not-an-integer"),
    ("decimal128_10_2", "17850.00", "string", "=17850"),
    ("decimal128_10_2", "1.50", "string", "=1.50"),
    ("uint64", "18446744073709551615", "integer", "!not-an-integer"),
    ("uint64", "18446744073709551615", "string", "=18446744073709551615"),
    ("int64", "9007199254740993", "double", "!not-a-number"),
    ("int64", "1762387200000", "timestamp format `epoch_ms`", "=2025-11-06T00:00:00Z"),
    ("int64", "1762387200000", "timestamp format `epoch_s`", "!year-out-of-range"),
    ("int64", "1762387200", "date format `epoch_s`", "=2025-11-05"),
    ("int64", "20251106", "date format `%Y%m%d`", "=2025-11-06"),
    ("json_value", "1e5", "integer", "=100000"),
    ("json_value", "-0.0", "string", "=0"),
    ("json_value", "true", "integer", "!not-an-integer"),
    ("json_value", "1762387200.123456", "timestamp format `epoch_s`", "=2025-11-06T00:00:00.123456Z"),
    ("csv", "17850.0", "integer", "=17850"),
    ("csv", "1e5", "integer", "!not-an-integer"),
    ("csv", "1.999", "decimal(10,2)", "!not-a-decimal"),
    ("csv", "1.990", "decimal(10,2)", "=1.99"),
    ("csv", "1e999", "double", "!not-a-number"),
    ("csv", "12.50", "decimal(12,2) format `1.234,56`", "!not-a-decimal"),
    ("csv", "99.9", "decimal(12,2) format `1.234,56`", "!not-a-decimal"),
    ("csv", "12,50", "decimal(12,2) format `1,234.56`", "!not-a-decimal"),
    ("csv", "1\u{a0}234,56", "decimal(12,2) format `1 234,56`", "=1234.56"),
    ("csv", "31/10/25", "date format `%d/%m/%Y`", "!not-a-date"),
    ("csv", "2025-03-09T02:30:00", "timestamp", "=2025-03-09T07:30:00Z"),
    ("csv", "2025-11-02T01:30:00", "timestamp", "=2025-11-02T05:30:00Z"),
    ("csv", "2025-11-06T23:30:15-08:00", "date", "=2025-11-07"),
    ("csv", "1969-12-31T23:59:59.9999999Z", "timestamp", "=1969-12-31T23:59:59.999999Z"),
    ("csv", "1899-12-31", "date", "!year-out-of-range"),
    ("csv", "1850-05-05", "date min `1800-01-01`", "=1850-05-05"),
    ("csv", "9999-12-31", "timestamp", "=9999-12-31T05:00:00Z"),
    ("csv", "2025-11-02 01:30:00 EST", "timestamp format `%Y-%m-%d %H:%M:%S %Z`", "=2025-11-02T06:30:00Z"),
    ("csv", "2025-11-06T03:30:15Z", "timestamp format `%Y-%m-%dT%H:%M:%SZ`", "=2025-11-06T03:30:15Z"),
    ("int96", "2025-11-03T02:30:00Z", "date", "=2025-11-02"),
    ("int96", "9999-12-31T23:59:59.999999Z", "timestamp", "=9999-12-31T23:59:59.999999Z"),
    ("int96", "1816-03-29T05:56:08.066277Z", "timestamp", "!year-out-of-range"),
    ("micros", "2025-03-09T02:30:00", "timestamp", "=2025-03-09T07:30:00Z"),
    ("micros_utc", "2025-11-06T00:00:00Z", "date", "=2025-11-05"),
    ("date32", "2025-03-09", "timestamp", "=2025-03-09T05:00:00Z"),
    ("amount", "€\u{a0}1.234,56", "decimal(12,2) format `€ 1.234,56`", "=1234.56"),
    ("amount", "12.50", "decimal(12,2) format `€ 1.234,56`", "!not-a-decimal"),
    ("amount", "$ 1.234,56", "decimal(12,2) format `€ 1.234,56`", "!not-a-decimal"),
    ("amount", "($1,234.56)", "decimal(12,2) format `($1,234.56)`", "=-1234.56"),
    ("amount", "12.50-", "decimal(12,2) format `1234.56-`", "=-12.50"),
    ("amount", "12.50-", "decimal(12,2) format `$1,234.56`", "!not-a-decimal"),
    ("amount", "12.5%", "decimal(5,3) format `1,234.56%`", "=0.125"),
    ("amount", "12.345%", "decimal(5,3) format `1,234.56%`", "!not-a-decimal"),
    ("amount", "12.5", "decimal(5,3) format `1,234.56%`", "!not-a-decimal"),
    ("amount", "12,34,567.89", "decimal(12,2) format `12,34,567.89`", "=1234567.89"),
    ("amount", "12,34,567.89", "decimal(12,2) format `$1,234.56`", "!not-a-decimal"),
    ("float64", "0.1", "decimal(12,6) format `1.234,56 %`", "=0.100000"),
    ("json_value", "1e5", "double format `1234.56%`", "=100000.0"),
    ("serial", "45967.4375", "timestamp format `serial_1900`", "=2025-11-06T15:30:00Z"),
    ("serial", "59", "date format `serial_1900`", "=1900-02-28"),
    ("serial", "60", "date format `serial_1900`", "!not-a-date"),
    ("serial", "61", "date format `serial_1900`", "=1900-03-01"),
    ("serial", "0", "date format `serial_1904`", "=1904-01-01"),
    ("int64", "1762387200123456789", "timestamp format `epoch_ns`", "=2025-11-06T00:00:00.123456Z"),
    ("int64", "20398", "date format `epoch_days`", "=2025-11-06"),
    ("csv", "20398.5", "date format `epoch_days`", "!not-a-date"),
];

#[test]
fn the_table_of_meanings_says_what_is_known_by_hand() {
    let (groups, _) = expected();
    for (column, written, declared, verdict) in BY_HAND {
        let of_column = |group: &&Group| group.columns.contains_key(*column) && group.time_zone == "America/New_York";
        let group = groups.iter().find(of_column).unwrap_or_else(|| panic!("no column {column}"));
        let Some(cell) = group.cells.iter().find(|cell| cell.column == *column && cell.shown() == *declared) else {
            assert!(std::env::var_os("SEGMILL_MEANINGS").is_some(), "{column} is not tried as {declared}");
            continue;
        };
        let said = group.columns[*column].written();
        let row = 1 + said.iter().position(|text| text.as_deref() == Some(*written)).unwrap_or_else(|| panic!("{column} has no {written}"));
        assert_eq!(cell.objection(row, Some(verdict)), None, "{written} as {declared}");
        assert!(cell.objection(row, Some("=another value")).is_some(), "{written} as {declared}: anything is accepted");
    }
}

#[test]
fn a_value_at_fault_costs_the_row_only_where_it_must_be_there() {
    let (groups, _) = expected();
    for (column, declared) in
        [("float64", "integer"), ("csv", "date"), ("json_value", "decimal(10,2)"), ("nothing", "string"), ("int96", "timestamp")]
    {
        let Some((group, cell)) = groups.iter().find_map(|group| {
            let wanted = |cell: &&Cell| cell.column == column && cell.shown() == declared;
            group.cells.iter().find(wanted).map(|cell| (group, cell))
        }) else {
            continue;
        };
        let mut required = cell.clone();
        required.required = true;
        let project = project(group, &[&required], None);
        let (status, result) = run(project.path(), "2026-01-01");
        assert_eq!(status, 0, "{}: {result}", group.title(cell));
        let rejects = rejects(project.path(), &result, group.first_line());
        let kept: Vec<i64> = published(project.path(), &result, "customers")
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert_eq!(kept.len() + rejects.len(), group.rows(), "{}", group.title(cell));
        for row in 1..=group.rows() {
            let written = group.columns[column].written().get(row - 1).cloned();
            let reason = rejects.get(&(row, None)).map(|reason| format!("!{}", reason.trim_end_matches(" of c0")));
            let right = written.as_ref().map_or(vec![None], |_| cell.verdicts(row));
            let fits = right.iter().any(|verdict| match (verdict.as_deref(), reason.as_deref()) {
                (None, reason) => reason == Some("!missing-value"),
                (Some(value), None) => value.starts_with('='),
                (Some(rejected), Some(reason)) => rejected == reason,
            });
            assert!(fits, "{}: {written:?} is {right:?}, and its row {reason:?}", group.title(cell));
        }
    }
}
