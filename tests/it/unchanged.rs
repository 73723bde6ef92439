//! What is the same is not published again.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::publishing::files;
use crate::tiny::{PIPELINE, TABLES, Tiny, orders};

const DAY: &str = "2026-11-01";

fn run(tiny: &Tiny, arguments: &[&str]) -> Value {
    let output = tiny.segmill(&[&["run", "pipelines/tiny.yaml", "--as-of", DAY, "--format", "json"], arguments].concat());
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How a run ended, and why it published nothing.
fn ended(told: &Value) -> [Value; 2] {
    [told["status"].clone(), told["because"].clone()]
}

fn unchanged(because: &str) -> [Value; 2] {
    [json!("unchanged"), json!(because)]
}

fn assert_published(told: &Value, why: &str) {
    assert_eq!(told["status"], "published", "{why}: {told}");
}

#[test]
fn how_a_project_is_written_and_what_reaches_no_output_publishes_nothing() {
    let tiny = Tiny::new();
    let customers = tiny.read("sql/customers.sql");
    assert_published(&run(&tiny, &[]), "first");
    let with = |after: &str, more: &str| PIPELINE.replacen(after, &format!("{after}{more}"), 1);
    let pipelines = [
        ("a comment", format!("# Why: nobody knows\n{PIPELINE}")),
        ("quotes", PIPELINE.replace("name: tiny", "name: 'tiny'")),
        (
            "layout",
            PIPELINE.replace("{model: customers, sort: [customer_id]}", "\n      model: customers\n      sort:\n      - customer_id"),
        ),
        ("a comment in a rule", PIPELINE.replace("when: orders > 1", "when: 'orders>1 -- often'")),
        ("who is told", format!("{PIPELINE}notify:\n  desk: {{on: [failed], command: [\"true\"]}}\n")),
        ("how long publications are kept", with("outputs:\n", "  keep: {days: 30}\n")),
        ("a comment that names a variable", format!("# ${{SEGMILL_TEST_UNSET}}\n{PIPELINE}")),
        ("a parameter that nothing reads", with("parameters:\n", "  idle: {type: integer, default: '1'}\n")),
    ];
    for (what, pipeline) in &pipelines {
        assert_ne!(pipeline, PIPELINE, "{what}");
        tiny.write("pipelines/tiny.yaml", pipeline);
        assert_eq!(ended(&run(&tiny, &[])), unchanged("nothing_changed"), "{what}");
    }
    assert_eq!(ended(&run(&tiny, &["--param", "idle=7"])), unchanged("nothing_changed"), "another value of a parameter that nothing reads");
    let models = [
        ("comments", customers.replace("-- A customer.\n", "/* Another comment, which names $edition. */ ") + "-- the end\n"),
        ("layout and case", customers.replace("select customer_id, count(*)", "SELECT\n  customer_id,\n  COUNT( * )")),
        ("a semicolon", format!("{};\n", customers.trim_end())),
    ];
    for (what, model) in &models {
        assert_ne!(model, &customers, "{what}");
        tiny.write("sql/customers.sql", model);
        assert_eq!(ended(&run(&tiny, &[])), unchanged("nothing_changed"), "{what}");
    }
}

#[test]
fn whatever_can_reach_an_output_publishes_anew() {
    let tiny = Tiny::new();
    let customers = tiny.read("sql/customers.sql");
    assert_published(&run(&tiny, &[]), "first");
    let edits = [
        ("what a segment is for", "pipelines/tiny.yaml", PIPELINE.replace("Came back", "Came back soon")),
        ("a rule", "pipelines/tiny.yaml", PIPELINE.replace("orders > 1", "orders > 0")),
        ("a default that is read", "pipelines/tiny.yaml", PIPELINE.replace("default: '1'", "default: '3'")),
        (
            "a contract",
            "pipelines/tiny.yaml",
            PIPELINE.replace("customer_id: {type: string, required: true}", "customer_id: {type: string}"),
        ),
        (
            "the order of columns",
            "sql/customers.sql",
            customers.replace("count(*) as orders, $edition as edition", "$edition as edition, count(*) as orders"),
        ),
        ("a quoted name", "sql/customers.sql", customers.replace("as orders,", "as \"orders\",")),
    ];
    for (what, path, text) in &edits {
        let before = tiny.read(path);
        assert_ne!(&before, text, "{what}");
        tiny.write(path, text);
        assert_published(&run(&tiny, &[]), what);
        tiny.write(path, &before);
        assert_published(&run(&tiny, &[]), "back again");
    }
    assert_published(&run(&tiny, &["--param", "edition=2"]), "another value of a parameter that is read");
}

/// A pipeline file, variables of the environment, and arguments.
type Given = (String, Vec<(&'static str, String)>, Vec<&'static str>);

/// The first segment, with a rule that reads a variable.
const BUYERS: &str = "name: buyers
        when: orders > ${SEGMILL_TEST_VALUE:-1}
        description: Came back
        action: Thank them
        channel: email";

/// What a variable or a quoted text stands for counts, whatever keys are called; each edit changes what a run gives.
#[test]
fn what_a_text_stands_for_counts_wherever_it_is() {
    let variable = |value: &str| vec![("SEGMILL_TEST_VALUE", value.to_owned())];
    let of_rule = PIPELINE.replace("{name: buyers, when: orders > 1, description: Came back, action: Thank them, channel: email}", BUYERS);
    let with_column = |column: &str| {
        PIPELINE.replace(
            "ordered_at: {type: timestamp, required: true}",
            &format!("ordered_at: {{type: timestamp, required: true}}\n      {column}"),
        )
    };
    let set = |name: &str, description: &str| PIPELINE.replace("  value:\n", &format!("  {name}:\n    description: {description}\n"));
    let plain = |pipeline: String| -> Given { (pipeline, Vec::new(), Vec::new()) };
    let cases: Vec<(&str, Given, Given)> = vec![
        (
            "quotes around a variable",
            (set("value", "${SEGMILL_TEST_VALUE:-x}"), variable("Call them"), Vec::new()),
            (set("value", "'${SEGMILL_TEST_VALUE:-x}'"), variable("Call them"), Vec::new()),
        ),
        ("the value of a variable", (of_rule.clone(), variable("1"), Vec::new()), (of_rule.clone(), variable("0"), Vec::new())),
        (
            "a parameter that the value of a variable names",
            (of_rule.clone(), variable("$edition"), Vec::new()),
            (of_rule, variable("$edition"), vec!["--param", "edition=0"]),
        ),
        (
            "a column whose name is a key of rules",
            plain(with_column("stay: {type: string, optional: true, description: A -- b}")),
            plain(with_column("stay: {type: string, optional: true, description: a -- B}")),
        ),
        ("a set whose name is a key of rules", plain(set("stay", "Came back")), plain(set("stay", "CAME back -- twice"))),
        ("a tag", plain(set("tagged", "!!str null")), plain(set("tagged", "null"))),
        ("a tag of one's own", plain(set("tagged", "!t null")), plain(set("tagged", "null"))),
    ];
    for (what, one, other) in cases {
        let tiny = Tiny::new();
        let run = |(pipeline, variables, arguments): &Given| {
            tiny.write("pipelines/tiny.yaml", pipeline);
            let all = [&["run", "pipelines/tiny.yaml", "--as-of", DAY, "--format", "json"], &arguments[..]].concat();
            let output = tiny.command(&all).envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap();
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stdout));
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        assert_published(&run(&one), what);
        assert_eq!(ended(&run(&one)), unchanged("nothing_changed"), "{what}");
        assert_published(&run(&other), what);
    }
}

#[test]
fn files_of_later_events_change_nothing_about_a_day() {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("event_time:", "reject_budget: {share: 0.5}\n    event_time:"));
    let header = "customer_id,ordered_at\n";
    let first = run(&tiny, &[]);
    assert_published(&first, "first");
    tiny.write("extracts/later.csv", &format!("{header}c001,2026-11-01T00:00:00Z\nnew,2026-11-05T10:00:00Z\n"));
    let again = run(&tiny, &[]);
    assert_eq!((ended(&again), &again["published_by"]), (unchanged("later_files"), &first["run_id"]), "{again}");
    tiny.write("extracts/empty.csv", header);
    assert_eq!(ended(&run(&tiny, &[])), unchanged("later_files"));
    let people = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY]);
    let said = String::from_utf8(people.stderr).unwrap();
    assert!(said.contains("2 files have come since number 1, with events of 2026-11-01 and later only"), "{said}");
    // A day that is damaged is published again, as with any other change of the extracts.
    std::fs::remove_file(tiny.folder.path().join(format!("out/runs/{}/customers.parquet", first["run_id"].as_str().unwrap()))).unwrap();
    assert_published(&run(&tiny, &[]), "a damaged day");
    // What is later for one day is not for the next.
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-02", "--format", "json"]);
    assert_published(&serde_json::from_slice(&output.stdout).unwrap(), "the next day");

    // One row before the as-of day, one that is rejected, and a file that cannot be read are no later files.
    tiny.write("extracts/more.csv", &format!("{header}c001,2026-10-31T23:59:59Z\n"));
    assert_published(&run(&tiny, &[]), "a row before the day");
    tiny.write("extracts/odd.csv", &format!("{header}c001,one day\n"));
    assert_published(&run(&tiny, &[]), "a row that is rejected");
    tiny.write("extracts/bad.csv", "some,other,columns\n1,2,3\n");
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A file with its text; none for one that is removed.
type Written = (&'static str, Option<String>);

#[test]
fn outputs_that_come_out_the_same_are_not_published_again() {
    let tiny = Tiny::new();
    let later = "c001,2026-11-07T10:00:00Z\n";
    tiny.write("extracts/late.csv", &format!("customer_id,ordered_at\n{later}"));
    let first = run(&tiny, &[]);
    assert_published(&first, "first");
    let kept = files(&tiny.folder.path().join("out"));
    // A file that grows by a later row, one that goes, and rows that move from one file to another.
    let (header, rows) = orders().split_once('\n').map(|(header, rows)| (header.to_owned(), rows.to_owned())).unwrap();
    let (one, other) = rows.split_at(rows.find("c020").unwrap());
    let edits: [(&str, Vec<Written>); 3] = [
        ("a growing file", vec![("extracts/orders.csv", Some(orders() + later))]),
        ("a file that goes", vec![("extracts/late.csv", None)]),
        (
            "another split",
            vec![("extracts/orders.csv", Some(format!("{header}\n{other}"))), ("extracts/a.csv", Some(format!("{header}\n{one}")))],
        ),
    ];
    for (what, edits) in &edits {
        for (path, text) in edits {
            match text {
                Some(text) => tiny.write(path, text),
                None => std::fs::remove_file(tiny.folder.path().join(path)).unwrap(),
            }
        }
        let again = run(&tiny, &[]);
        assert_eq!((ended(&again), &again["number"]), (unchanged("same_outputs"), &json!(1)), "{what}: {again}");
        // Of what was written the record remains, which says what the run did.
        let id = again["run_id"].as_str().unwrap();
        let left: Vec<String> = files(&tiny.folder.path().join("out"))
            .iter()
            .filter(|file| !kept.contains(file) && file.to_string_lossy().contains(id))
            .map(|file| file.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(left, ["record.json"], "{what}");
        let record: Value = serde_json::from_str(&tiny.read(&format!("out/runs/{id}/record.json"))).unwrap();
        assert_eq!((&record["status"], &record["publication"]), (&json!("unchanged"), &json!(1)));
    }
    assert_eq!(run(&tiny, &["--force"])["number"], 2);
}

#[test]
fn what_a_run_must_warn_of_is_told_though_nothing_is_published() {
    let tiny = Tiny::new();
    assert_published(&run(&tiny, &[]), "first");
    // A column by another case of its name is read, and told.
    tiny.write("extracts/later.csv", "Customer_ID,ordered_at\nc001,2026-11-05T10:00:00Z\n");
    let told = run(&tiny, &[]);
    assert_eq!(ended(&told), unchanged("same_outputs"));
    assert!(told["warnings"][0].as_str().unwrap().contains("Customer_ID"), "{told}");
    let people = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY]);
    let said = String::from_utf8(people.stderr).unwrap();
    assert!(said.contains("byte by byte") && said.contains("Look at\n") && said.contains("Customer_ID"), "{said}");
}

/// What somebody does to the files of a source.
#[derive(Debug, Clone)]
enum Act {
    /// Writes a file with some rows: each the number of a customer, and how many days before (or after) the as-of day it ordered.
    Write(usize, Vec<(u8, i8)>),
    /// Adds a row to a file.
    Append(usize, (u8, i8)),
    Remove(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let row = || (0..6u8, -3..4i8);
    prop_oneof![
        3 => (0..4usize, prop::collection::vec(row(), 0..4)).prop_map(|(file, rows)| Act::Write(file, rows)),
        3 => (0..4usize, row()).prop_map(|(file, row)| Act::Append(file, row)),
        1 => (0..4usize).prop_map(Act::Remove),
    ]
}

/// The published tables, but for the one that names files.
fn published(tiny: &Tiny, destination: &str) -> BTreeMap<String, Vec<u8>> {
    let path = |table: &str| tiny.folder.path().join(format!("{destination}/{table}/as_of={DAY}/{table}.parquet"));
    TABLES.iter().map(|table| ((*table).to_owned(), std::fs::read(path(table)).unwrap())).collect()
}

/// The rows that count for the day.
fn counting(rows: &BTreeMap<usize, Vec<(u8, i8)>>) -> Vec<(u8, i8)> {
    let mut counting: Vec<(u8, i8)> = rows.values().flatten().copied().filter(|(_, days_before)| *days_before > 0).collect();
    counting.sort_unstable();
    counting
}

fn customers(rows: &[(u8, i8)]) -> Vec<u8> {
    rows.iter().map(|(customer, _)| *customer).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// After whatever happens to the files, what is published is what a run publishes that knows nothing of earlier ones. A day of the same
    /// rows is not published anew, wherever they stand; one with other outputs is.
    #[test]
    fn a_day_is_published_anew_if_its_rows_have_changed(acts in prop::collection::vec(act(), 1..9)) {
        let tiny = Tiny::new();
        std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
        let mut rows: BTreeMap<usize, Vec<(u8, i8)>> = BTreeMap::from([(9, vec![(0, 1)])]);
        let write = |rows: &BTreeMap<usize, Vec<(u8, i8)>>| {
            for file in files(&tiny.folder.path().join("extracts")) {
                std::fs::remove_file(file).unwrap();
            }
            for (file, rows) in rows {
                let day = |days_before: i8| DAY.parse::<NaiveDate>().unwrap() - TimeDelta::days(days_before.into());
                let lines: String = rows.iter().map(|(customer, days)| format!("c{customer},{}T10:00:00Z\n", day(*days))).collect();
                tiny.write(&format!("extracts/{file}.csv"), &format!("customer_id,ordered_at\n{lines}"));
            }
        };
        write(&rows);
        run(&tiny, &[]);
        for (at, act) in acts.into_iter().enumerate() {
            let before = counting(&rows);
            match act {
                Act::Write(file, written) => { rows.insert(file, written); }
                Act::Append(file, row) => rows.entry(file).or_default().push(row),
                Act::Remove(file) => { rows.remove(&file); }
            }
            write(&rows);
            let told = run(&tiny, &[]);
            let now = counting(&rows);
            if now == before {
                prop_assert_eq!(&told["status"], "unchanged", "{:?}: {}", rows, told);
            } else if customers(&now) != customers(&before) {
                prop_assert_eq!(&told["status"], "published", "{:?}: {}", rows, told);
            }
            let fresh = format!("fresh-{at}");
            run(&tiny, &["--destination", &fresh]);
            prop_assert!(published(&tiny, "out") == published(&tiny, &fresh), "{rows:?}");
        }
    }
}
