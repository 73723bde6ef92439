use std::fs::{File, OpenOptions};
use std::process::Stdio;

use serde_json::Value;

use crate::marks::files_under;
use crate::support::{copy, package, segmill};
use crate::tiny::{PIPELINE, Tiny};

fn told(output: &std::process::Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn published() -> Tiny {
    let tiny = Tiny::new();
    tiny.write("tests/models/a.yaml", "- name: a\n  model: customers\n  as_of: 2026-11-01\n  expect: []\n");
    let (status, stdout, _) = told(&tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]));
    assert_eq!((status, stdout.as_str()), (0, ""), "the summary of a run is progress");
    tiny
}

/// The commands that give results.
const RESULTS: [&[&str]; 8] = [
    &["outputs", "pipelines/tiny.yaml"],
    &["outputs", "pipelines/tiny.yaml", "--format", "urls"],
    &["outputs", "pipelines/tiny.yaml", "--table", "customers", "--format", "json"],
    &["clean", "pipelines/tiny.yaml"],
    &["test", "pipelines/tiny.yaml"],
    &["validate", "pipelines/tiny.yaml"],
    &["validate", "pipelines/tiny.yaml", "--format", "json"],
    &["schema"],
];

#[test]
fn results_go_to_standard_output() {
    let tiny = published();
    for arguments in RESULTS {
        let (status, stdout, stderr) = told(&tiny.segmill(arguments));
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!stdout.trim().is_empty(), "{arguments:?}");
    }
    // A case that fails is what was asked for, and a problem of the project is none.
    tiny.write("tests/models/a.yaml", "- name: a\n  model: customers\n  as_of: 2026-11-01\n  expect:\n    - {customer_id: x}\n");
    let (status, stdout, stderr) = told(&tiny.segmill(&["test", "pipelines/tiny.yaml"]));
    assert!(status == 2 && stdout.contains("FAILED customers: a") && stderr.is_empty(), "{stdout}{stderr}");
    let (status, stdout, stderr) = told(&tiny.segmill(&["validate", "pipelines/none.yaml"]));
    assert!(status == 2 && stdout.is_empty() && stderr.contains("there is no such file"), "{stdout}{stderr}");
}

/// A list that is not whole must not be taken for one that is.
#[cfg(target_os = "linux")]
#[test]
fn a_result_that_nobody_gets_is_a_failure() {
    let tiny = published();
    let of_run: &[&str] = &["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"];
    for arguments in RESULTS.into_iter().chain([of_run]) {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (status, _, stderr) = told(&tiny.command(arguments).stdout(full).output().unwrap());
        assert_eq!(status, 75, "{arguments:?}");
        assert!(stderr.contains("not written to standard output: No space left on device") || arguments.contains(&"json"), "{stderr}");

        let mut command = tiny.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(command.stdout.take());
        let (status, _, stderr) = told(&command.wait_with_output().unwrap());
        // Whoever has left knows it: `segmill … | head` is no failure, as with other tools.
        assert_eq!((status, stderr.contains("standard output")), (0, false), "{arguments:?}: {stderr}");
    }
    // What goes to people may go nowhere.
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-02"]).stderr(full()).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_grace_beyond_every_calendar_is_no_panic() {
    let tiny = published();
    for grace in ["99999999d", "36526d", "9999999999999h"] {
        let (status, _, stderr) = told(&tiny.segmill(&["clean", "pipelines/tiny.yaml", "--grace", grace]));
        assert!(status == 2 && stderr.contains("36525 days at most"), "{grace}: {stderr}");
    }
    assert_eq!(told(&tiny.segmill(&["clean", "pipelines/tiny.yaml", "--grace", "36525d"])).0, 0);
}

#[test]
fn a_backfill_tells_the_warnings_of_every_day() {
    let tiny = Tiny::new();
    let checks = "checks:\n  - {name: many, severity: warn, rows: {table: customers, min: 1000}}\noutputs:\n";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("outputs:\n", checks, 1));
    // Of the second day on, the extract of the first is all that there is.
    let arguments = ["run", "pipelines/tiny.yaml", "--from", "2026-10-01", "--to", "2026-10-03"];
    let (status, stdout, stderr) = told(&tiny.segmill(&arguments));
    assert_eq!((status, stdout.as_str()), (0, ""), "{stderr}");
    let lines: Vec<&str> = stderr.lines().map(str::trim).collect();
    for (day, warnings) in [
        ("2026-10-01", &["warning: many: 0 rows, fewer than 1000", "look at: orders: every row is of the as-of day or later"][..]),
        ("2026-10-02", &["warning: many: 50 rows, fewer than 1000"]),
        ("2026-10-03", &["warning: many: 50 rows, fewer than 1000"]),
    ] {
        let at = lines.iter().position(|line| line.starts_with(&format!("{day}  published"))).unwrap_or_else(|| panic!("{day}: {stderr}"));
        for (warning, line) in warnings.iter().zip(&lines[at + 1..]) {
            assert!(line.starts_with(warning), "{day}: {line}");
        }
    }
    let json = told(&tiny.segmill(&[&arguments[..], &["--force", "--format", "json"]].concat())).1;
    let runs = serde_json::from_str::<Value>(&json).unwrap()["runs"].clone();
    assert!(runs.as_array().unwrap().iter().all(|run| run["checks"][0]["outcome"] == "failed"), "{runs:#}");
}

#[test]
fn several_broken_files_are_told_at_once() {
    let tiny = Tiny::new();
    let more = "  visits:\n    location: visits/*\n    event_time: at\n    columns:\n      at: {type: timestamp, required: true}\n      id: string\nsegments:\n";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("segments:\n", more, 1));
    tiny.write("sql/staging/visits.sql", "-- A visit.\nselect id, at from sources.visits\n");
    tiny.write("sql/features/visits.sql", "-- Visits.\nselect id, count(*) as visits from staging.visits group by id\n");
    tiny.write("extracts/b.csv", "customer,ordered_at\nc1,2026-10-01\n");
    tiny.write("extracts/c.csv", "customer_id,ordered\nc1,2026-10-01\n");
    tiny.write("extracts/d.csv", "customer_id,ordered_at\nc1,2026-10-01\n");
    tiny.write("visits/a.csv", "id,at,at\n1,2026-10-01,2026-10-01\n");
    tiny.write("visits/b.ndjson", "[[1, \"2026-10-01\"]]\n");
    tiny.write("visits/c.parquet", "id,at\n1,2026-10-01\n");
    tiny.write("visits/d.ndjson", "{\"id\": \"1\", \"at\": \"2026-10-01\"}\n");
    let (status, _, stderr) = told(&tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]));
    assert_eq!(status, 3, "{stderr}");
    for part in [
        "5 files cannot be read",
        "extracts/b.csv: the header lacks `customer_id`",
        "extracts/c.csv: the header lacks `ordered_at`",
        "visits/a.csv: the header names `at` twice",
        "visits/b.ndjson: no record of it is a JSON object",
        "visits/c.parquet is not readable as Parquet",
    ] {
        assert!(stderr.contains(part), "{part} is missing from\n{stderr}");
    }
    assert!(!stderr.contains("d.csv") && !stderr.contains("d.ndjson"), "{stderr}");

    // What tells itself by its first bytes is told before anything is read.
    for name in ["visits/e", "visits/f"] {
        std::fs::write(tiny.folder.path().join(name), b"PK\x03\x04 an archive").unwrap();
    }
    let (status, _, stderr) = told(&tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]));
    assert!(status == 3 && stderr.contains("visits/e is a zip archive") && stderr.contains("visits/f is a zip archive"), "{stderr}");
}

#[test]
fn a_fan_out_names_the_key_that_came_twice_unless_it_is_personal() {
    for (personal, value) in
        [("", "the first such key is customer_id = c007"), (", personal: [customer_id]", "the first such key is customer_id = ***")]
    {
        let tiny = Tiny::new();
        tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("sort: [customer_id]}", &format!("sort: [customer_id]{personal}}}")));
        let customers = "-- A customer.\nselect o.customer_id, count(*) as orders, $edition as edition\nfrom staging.orders as o\n\
                         inner join (values ('c007', 1), ('c007', 2), ('c008', 1)) as t(id, n) on o.customer_id = t.id\ngroup by o.customer_id, t.n\n";
        tiny.write("sql/customers.sql", customers);
        let (status, _, stderr) = told(&tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]));
        assert_eq!(status, 3, "{stderr}");
        assert!(stderr.contains("came twice: two rows have the same `customer_id`") && stderr.contains(value), "{stderr}");
        assert!(personal.is_empty() || !stderr.contains("c007"), "{stderr}");
    }
}

/// The key of several columns, of a table beside the profile.
#[test]
fn a_fan_out_of_any_output_names_its_key() {
    let tiny = Tiny::new();
    tiny.write(
        "pipelines/tiny.yaml",
        &PIPELINE.replace("  tables:\n", "  tables:\n    facts: {model: features.facts, sort: [customer_id, day]}\n"),
    );
    let facts =
        "-- A fact.\nselect customer_id, cast(ordered_at as date) as day from staging.orders cross join (values (1), (2)) as t(n)\n";
    tiny.write("sql/features/facts.sql", facts);
    let (status, _, stderr) = told(&tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]));
    assert_eq!(status, 3, "{stderr}");
    for part in [
        "a key of the output `facts` came twice: two rows have the same `customer_id` and `day`",
        "the first such key is customer_id = c000, day = 2026-10-01",
        "a join that finds several rows for one multiplies it",
    ] {
        assert!(stderr.contains(part), "{part} is missing from\n{stderr}");
    }
}

#[test]
fn checks_whose_names_differ_in_signs_keep_their_rows_apart() {
    let tiny = Tiny::new();
    let names = ["a/b", "a_b", "a b", "A_b", "../a"];
    let check = |(at, name): (usize, &&str)| {
        format!("  - {{name: '{name}', severity: warn, sql: 'select {at} as n, customer_id from customers'}}\n")
    };
    let checks: String = names.iter().enumerate().map(check).collect();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("outputs:\n", &format!("checks:\n{checks}outputs:\n"), 1));
    let (status, stdout, stderr) = told(&tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"]));
    assert_eq!(status, 0, "{stdout}{stderr}");
    let kept = files_under(&tiny.folder.path().join("out")).into_iter().filter(|file| file.parent().unwrap().ends_with("failed_checks"));
    assert_eq!(kept.count(), names.len());
    let result: Value = serde_json::from_str(&stdout).unwrap();
    for (at, verdict) in result["checks"].as_array().unwrap().iter().enumerate() {
        let file = tiny.folder.path().join(verdict["rows_kept_in"].as_str().unwrap());
        let rows = crate::support::rows_of_parquet(&[file], "select distinct n from t");
        assert_eq!(rows, [[at.to_string()]], "{verdict}");
    }
}

/// A share is shown with as many digits as it takes to see that it is beyond its bound.
#[test]
fn a_warning_shows_enough_digits_to_be_true() {
    let tiny = Tiny::new();
    let rows: String = (0..30_000).map(|at| format!("c{at},2026-10-01T10:00:00Z\n")).collect();
    tiny.write("extracts/orders.csv", &format!("customer_id,ordered_at\nc0,2026-10-02T10:00:00Z\n{rows}"));
    let checks = "checks:\n  - {name: few, severity: warn, segment_size: {segment_set: value, segment: buyers, max_share: 0}}\n  \
                  - {name: most, severity: warn, segment_size: {segment_set: value, segment: others, min_share: 1}}\noutputs:\n";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("outputs:\n", checks, 1));
    let (status, _, stderr) = told(&tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]));
    assert_eq!(status, 0, "{stderr}");
    for part in ["`buyers` has 0.003%, more than 0.000%", "`others` has 99.997%, fewer than 100.000%"] {
        assert!(stderr.contains(part), "{part} is missing from\n{stderr}");
    }
}

/// What is wrong and what somebody should look at, each with its level, place and code, whatever else is wrong.
#[test]
fn validate_gives_everything_as_json() {
    let folder = tempfile::tempdir().unwrap();
    copy(&package().join("tests/errors/everything-in-one-go"), folder.path());
    copy(&package().join("tests/errors/base/sql/staging"), &folder.path().join("sql/staging"));
    copy(&package().join("tests/errors/base/sql/features"), &folder.path().join("sql/features"));
    std::fs::copy(package().join("tests/errors/base/sql/customers.sql"), folder.path().join("sql/customers.sql")).unwrap();
    let output = segmill(folder.path(), &["validate", "--format", "json"]);
    let (status, stdout, stderr) = told(&output);
    assert_eq!((status, stderr.as_str()), (2, ""));
    let result: Value = serde_json::from_str(&stdout).unwrap();
    let problems = result["problems"].as_array().unwrap();
    let codes: Vec<&str> = problems.iter().map(|problem| problem["code"].as_str().unwrap()).collect();
    for code in [
        "unknown-time-zone",
        "parameter-type",
        "unknown-type",
        "unknown-key",
        "unknown-value",
        "unknown-model",
        "unknown-table",
        "invalid-day",
    ] {
        assert!(codes.contains(&code), "{code} is missing from {codes:?}");
    }
    assert!(problems.iter().all(|problem| problem["level"] == "error" && problem["place"]["line"].as_u64().is_some()), "{result:#}");

    let tiny = Tiny::new();
    tiny.write("sql/features/unread.sql", "-- Unread.\nselect customer_id from staging.orders\n");
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("parameters:\n", "parameters:\n  unread: {type: integer, default: '1'}\n"));
    let (status, stdout, stderr) = told(&tiny.segmill(&["validate", "pipelines/tiny.yaml", "--format", "json"]));
    assert_eq!((status, stderr.as_str()), (0, ""));
    let result: Value = serde_json::from_str(&stdout).unwrap();
    let codes: Vec<&str> = result["warnings"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unused-parameter", "unused-model"]);
    assert_eq!(result["warnings"][0]["place"]["line"], 4);
    // A warning of a set beside an error elsewhere.
    let unsure = PIPELINE
        .replace("when: 'true'", "when: 'orders < 3'")
        .replace("outputs:\n", "checks:\n  - {name: a, sql: select x from customers}\noutputs:\n");
    tiny.write("pipelines/tiny.yaml", &unsure.replace("when: orders > 1", "when: orders > 5"));
    let (status, stdout, _) = told(&tiny.segmill(&["validate", "pipelines/tiny.yaml", "--format", "json"]));
    let result: Value = serde_json::from_str(&stdout).unwrap();
    let levels: Vec<&str> = result["problems"].as_array().unwrap().iter().map(|problem| problem["level"].as_str().unwrap()).collect();
    assert!(status == 2 && levels.contains(&"error") && levels.contains(&"warning"), "{result:#}");
}

/// The shipped project and the sample: nothing is unread there.
#[test]
fn the_shipped_project_has_nothing_unread() {
    let (status, stdout, stderr) = told(&segmill(package(), &["validate"]));
    assert!(status == 0 && stderr.is_empty(), "{stdout}{stderr}");
    assert!(File::open(package().join("pipelines/customer_segments.yaml")).is_ok());
}
