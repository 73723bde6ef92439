use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Publication, package, rows_of_parquet, segmill};

/// A case with a project of its own, copied so that its contract can be changed.
struct Case {
    folder: TempDir,
}

/// What a run of a case ended with.
struct Ran<'a> {
    case: &'a Case,
    status: i32,
    result: Value,
}

impl Case {
    fn new(name: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        copy(&cases().join(name), folder.path());
        Case { folder }
    }

    /// The case with some text of its pipeline file replaced.
    fn with(self, text: &str, replacement: &str) -> Case {
        let path = self.folder.path().join("pipelines/customer_segments.yaml");
        let pipeline = std::fs::read_to_string(&path).unwrap();
        assert!(pipeline.contains(text), "{pipeline}");
        std::fs::write(&path, pipeline.replace(text, replacement)).unwrap();
        self
    }

    fn run(&self, days: &[&str]) -> Ran<'_> {
        let arguments = [&["run", "pipelines/customer_segments.yaml", "--format", "json"], days].concat();
        let output = segmill(self.folder.path(), &arguments);
        let result = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Ran { case: self, status: output.status.code().unwrap(), result }
    }
}

impl Ran<'_> {
    /// Asks a published table, which is `t` in the question.
    fn ask(&self, table: &str, sql: &str) -> Vec<Vec<String>> {
        assert_eq!(self.status, 0, "{}", self.result);
        let output = self.result["outputs"].as_array().unwrap().iter().find(|output| output["table"] == table).unwrap();
        let path = |file: &Value| self.case.folder.path().join("out").join(file["path"].as_str().unwrap());
        let files: Vec<PathBuf> = output["files"].as_array().unwrap().iter().map(path).collect();
        rows_of_parquet(&files, sql)
    }

    fn customers(&self, sql: &str) -> Vec<String> {
        self.ask("customers", sql).into_iter().map(|row| row.join(" ").trim_end().to_owned()).collect()
    }

    /// Row, scope, column and reason of what was rejected.
    fn rejected(&self) -> Vec<String> {
        self.ask("rejected", "select row_number, scope, \"column\", reason from t order by 1, 3")
            .into_iter()
            .map(|row| row.join(" "))
            .collect()
    }

    fn counted(&self, key: &str) -> u64 {
        self.result["sources"][0][key].as_u64().unwrap_or_else(|| panic!("no {key}: {}", self.result))
    }
}

fn cases() -> PathBuf {
    package().join("tests/values/cases")
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn ids_that_pandas_made_doubles_are_those_of_the_crm() {
    let publication = Publication::of(&cases().join("01-float-ids/data"), "2025-12-01", &[]);
    let customers = publication.ask("select customer_id, is_contact, lifetime_orders from customers where has_orders");
    assert_eq!(customers.len(), 1, "{customers:?}");
    assert_eq!(customers[0][1..], ["true", "1"]);
    let ids = publication.ask("select customer_id from customers where customer_id like '%17850%'");
    assert_eq!(ids, [["17850"]]);
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_zeros() {
    let case = Case::new("01-float-ids/csv-integer");
    let ran = case.run(&["--as-of", "2025-12-01"]);
    assert_eq!(ran.customers("select customer_id, orders from t"), ["17850 2"]);
    assert!(ran.rejected().is_empty());
}

#[test]
fn milliseconds_are_no_moment_until_the_contract_says_so() {
    for name in ["csv", "ndjson"] {
        let case = Case::new(&format!("02-epoch-millis/{name}"));
        let ran = case.run(&["--as-of", "2025-12-01"]);
        assert_eq!((ran.counted("rows_kept"), ran.counted("rows_rejected")), (0, 1), "{name}");
        assert!(ran.rejected()[0].ends_with("row occurred_at not-a-timestamp"), "{:?}", ran.rejected());
    }
    let case = Case::new("02-epoch-millis/parquet");
    let ran = case.run(&["--as-of", "2025-12-01"]);
    assert_eq!(ran.status, 3, "{}", ran.result);
    let told = ran.result.to_string();
    assert!(["e.parquet", "occurred_at", "timestamp", "epoch_ms"].iter().all(|said| told.contains(said)), "{told}");
}

#[test]
fn milliseconds_are_read_as_milliseconds_where_the_contract_says_so() {
    for (name, rows) in [("csv", 1), ("ndjson", 1), ("parquet", 2)] {
        let case = Case::new(&format!("02-epoch-millis/{name}"))
            .with("occurred_at: {type: timestamp", "occurred_at: {type: timestamp, format: epoch_ms");
        let ran = case.run(&["--as-of", "2025-12-01"]);
        let days = ran.customers("select last_day from t");
        assert_eq!(days, vec!["2025-11-06"; rows], "{name}");
    }
}

#[test]
fn a_number_whose_separators_stand_elsewhere_is_no_number() {
    let case = Case::new("10-number-formats/german");
    let ran = case.run(&["--as-of", "2025-12-01"]);
    let amounts = ran.customers("select customer_id, amount from t order by 1");
    assert_eq!(amounts, ["c1 1234.56", "c2", "c3 12.50", "c4", "c5 1234.50", "c6 -1234.56", "c7"]);
    let reasons = ran.rejected();
    assert_eq!(reasons, [3, 5, 8].map(|line| format!("{line} value amount not-a-decimal")));
    assert_eq!(ran.counted("rows_kept"), 7);
}

#[test]
fn thousands_may_be_set_off_by_any_kind_of_space() {
    let case = Case::new("10-number-formats/french");
    let ran = case.run(&["--as-of", "2025-12-01"]);
    let amounts = ran.customers("select customer_id, amount from t order by 1");
    assert_eq!(amounts, ["c1 1234.56", "c2 1234.56", "c3 1234.56", "c4 12.50"]);
}

#[test]
fn a_year_of_two_digits_is_not_one_of_the_first_century() {
    let case = Case::new("11-two-digit-years");
    let ran = case.run(&["--as-of", "2025-12-01"]);
    assert_eq!(ran.customers("select customer_id, last_day, born from t"), ["c1 2025-10-31 1980-02-01"]);
    let rejected = ran.rejected();
    assert_eq!(rejected.iter().filter(|row| row.ends_with("row ordered_at not-a-timestamp")).count(), 3, "{rejected:?}");
    assert_eq!(ran.counted("rows_rejected"), 3);
}

#[test]
fn a_time_that_no_clock_showed_counts_on_its_day() {
    let moments = "select customer_id, last_day, to_char(last_at at time zone 'UTC', '%H:%M') from t order by 1";
    let case = Case::new("12-dst-gap/new-york");
    let ran = case.run(&["--as-of", "2026-01-01"]);
    assert_eq!(ran.customers(moments), ["c1 2025-03-09 07:30", "c2 2025-03-09 06:30", "c3 2025-11-02 05:30"]);
    assert!(ran.rejected().is_empty());
    let case = Case::new("12-dst-gap/parquet-date");
    let ran = case.run(&["--as-of", "2019-01-01"]);
    assert_eq!(ran.customers(moments), ["c1 2018-11-03 03:00", "c2 2018-11-04 03:00"]);
    let case = Case::new("12-dst-gap/parquet-naive");
    let ran = case.run(&["--as-of", "2019-01-01"]);
    assert_eq!(ran.customers(moments), ["c1 2018-11-03 03:00", "c2 2018-11-04 03:00", "c3 2018-11-04 03:30"]);
}

#[test]
fn a_day_without_midnight_is_a_day_to_run_for() {
    for name in ["parquet-date", "parquet-naive"] {
        let case = Case::new(&format!("12-dst-gap/{name}"));
        let ran = case.run(&["--as-of", "2018-11-04"]);
        assert_eq!(ran.customers("select customer_id from t"), ["c1"], "{name}");
        let ran = case.run(&["--from", "2018-11-03", "--to", "2018-11-05"]);
        assert_eq!(ran.status, 0, "{name}: {}", ran.result);
    }
}

#[test]
fn int96_is_an_instant_whatever_its_year() {
    for (name, last_day) in [("new-york", "2025-11-02"), ("utc", "2025-11-03")] {
        let case = Case::new(&format!("20-int96/{name}"));
        let ran = case.run(&["--as-of", "2025-12-01"]);
        // Microseconds, since 9999 is beyond the nanoseconds that functions of the engine count in.
        let told = "select customer_id, last_day, cast(last_at as bigint), cast(valid_to as bigint) from t order by 1";
        let c1 = format!("c1 {last_day} 1762137000000000 1767225600000000");
        assert_eq!(ran.customers(told), [&c1, "c2 2025-11-03 1762171200000000 253402214400000000"], "{name}");
        let counted = ["rows_kept", "rows_out_of_window", "rows_rejected"].map(|key| ran.counted(key));
        assert_eq!(counted, [2, 1, 0], "{name}");
    }
}

#[test]
fn columns_without_any_value_are_null() {
    let publication = Publication::of(&cases().join("26-all-null-columns/data"), "2025-12-01", &[]);
    assert_eq!(publication.ledger("email"), [3, 3, 0, 0, 0]);
    assert_eq!(publication.ask("select email_sends from customers where is_contact"), [["3"]]);
}

#[test]
fn scans_of_different_columns_agree_on_the_rows() {
    let case = Case::new("35-second-timestamp");
    let ran = case.run(&["--as-of", "2026-10-01"]);
    let told = "select customer_id, n, to_char(other at time zone 'UTC', '%Y-%m-%d %H:%M'), nm from t where customer_id = 'c3'";
    assert_eq!(ran.customers(told), ["c3 1 2026-03-29 01:30 n3"]);
    assert_eq!(ran.customers("select count(*), count(nm) from t"), ["10 10"]);
    assert_eq!((ran.counted("rows_kept"), ran.counted("rows_rejected")), (10, 0));
}

#[test]
fn a_fraction_is_no_whole_number() {
    let case = Case::new("36-decimal-as-integer").with("event_time: at", "event_time: at\n    reject_budget: {share: 1}");
    let ran = case.run(&["--as-of", "2026-10-01"]);
    assert_eq!(ran.customers("select customer_id, q from t"), ["c1"]);
    assert_eq!(ran.rejected(), ["1 value q not-an-integer"]);
}
