use serde_json::Value;

use crate::ownership::{DAY, command};
use crate::tiny::{PIPELINE, Tiny, without_segments};

/// The tiny project with a second source, which only a late model reads, and a model whose SQL fails on some data.
fn project() -> Tiny {
    let tiny = Tiny::new();
    let pipeline = PIPELINE.replace(
        "\nsegments:\n",
        "\n  visits:\n    location: visits/*.csv\n    event_time: visited_at\n    columns:\n      customer_id: {type: string, required: true}\n      \
         visited_at: {type: timestamp, required: true}\n      pages: {type: integer}\nsegments:\n",
    );
    tiny.write("pipelines/tiny.yaml", &without_segments(&pipeline));
    tiny.write("sql/staging/visits.sql", "-- A visit.\nselect customer_id, 100 / pages as share from sources.visits\n");
    tiny.write("sql/features/visits.sql", "-- Visits.\nselect customer_id, sum(share) as share from staging.visits group by customer_id\n");
    tiny.write(
        "sql/customers.sql",
        "-- A customer.\nselect orders.customer_id, count(*) as orders, max(visits.share) as share, $edition as edition\nfrom staging.orders as \
         orders\nleft join features.visits as visits on visits.customer_id = orders.customer_id\ngroup by orders.customer_id\n",
    );
    tiny.write("visits/visits.csv", "customer_id,visited_at,pages\nc001,2026-10-01T10:00:00Z,2\n");
    tiny
}

fn failed(tiny: &Tiny) -> (i32, String, Vec<String>) {
    let (status, told) = command(tiny, "run", &["--as-of", DAY]);
    let told = &told["problems"][0];
    let details = told["details"].as_array().cloned().unwrap_or_default();
    (status, told["message"].to_string(), details.iter().map(|detail| detail.as_str().unwrap().to_owned()).collect())
}

/// The record of the only run.
fn record(tiny: &Tiny) -> Value {
    let runs = tiny.folder.path().join("out/runs");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    serde_json::from_str(&std::fs::read_to_string(run.join("record.json")).unwrap()).unwrap()
}

fn steps(record: &Value) -> Vec<&str> {
    record["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect()
}

#[test]
fn a_bad_source_ends_the_run_before_the_rest_of_the_day_is_computed() {
    for (problem, change, status, says) in [
        ("too few rows", "    min_rows: 2\n", 3, "visits: 1 row, and there must be 2"),
        ("stale", "    freshness: {newest_row_days: 3}\n", 99, "visits: the newest row is of 2026-10-01"),
    ] {
        let tiny = project();
        let written = tiny.read("pipelines/tiny.yaml");
        tiny.write(
            "pipelines/tiny.yaml",
            &written.replace("    event_time: visited_at\n", &format!("    event_time: visited_at\n{change}")),
        );
        let (exit, message, details) = failed(&tiny);
        assert_eq!(exit, status, "{problem}: {message} {details:?}");
        assert!(details.iter().any(|detail| detail.contains(says)), "{problem}: {details:?}");
        let record = record(&tiny);
        assert_eq!(steps(&record), ["features.visits"], "{problem}: the profile is not computed any more");
        // The other source is accounted for all the same.
        let read: Vec<_> = record["sources"].as_array().unwrap().iter().map(|ledger| ledger["rows_read"].as_u64().unwrap()).collect();
        assert_eq!(read, [75, 1], "{problem}");
    }
}

#[test]
fn every_bad_source_is_told_at_once() {
    let tiny = project();
    let written = tiny.read("pipelines/tiny.yaml");
    let demanding = written.replace("    event_time: ", "    min_rows: 1000\n    event_time: ");
    let demanding = demanding.replace("    event_time: visited_at\n", "    event_time: visited_at\n    freshness: {newest_row_days: 3}\n");
    tiny.write("pipelines/tiny.yaml", &demanding);
    let (exit, message, details) = failed(&tiny);
    assert_eq!(exit, 3, "{message}");
    assert_eq!(details[..2], ["orders: 75 rows, and there must be 1,000", "visits: 1 row, and there must be 1,000"]);
    assert!(details[2].starts_with("visits: the newest row is of 2026-10-01"), "a stale source is told beside a refused one: {details:?}");
}

#[test]
fn a_failure_of_a_model_does_not_hide_that_of_a_source() {
    let tiny = project();
    // The division by zero may well come from what is wrong with the source, which is told first.
    tiny.write("visits/visits.csv", "customer_id,visited_at,pages\nc001,2026-10-01T10:00:00Z,0\nc002,,3\nc003,,3\n");
    let written = tiny.read("pipelines/tiny.yaml");
    let budget = written.replace("    event_time: visited_at\n", "    event_time: visited_at\n    reject_budget: {share: 0.1}\n");
    tiny.write("pipelines/tiny.yaml", &budget);
    let (exit, message, details) = failed(&tiny);
    assert_eq!(exit, 3, "{message}");
    assert!(details[0].starts_with("visits: 2 of 3 rows rejected, over its budget of 10 % and "), "{details:?}");
    assert!(details[1].starts_with("`features.visits` failed on this data"), "{details:?}");
    assert_eq!(record(&tiny)["sources"].as_array().unwrap().len(), 2, "all rows are accounted for");

    // Without a bad source the failure is the model's alone.
    tiny.write("pipelines/tiny.yaml", &written);
    tiny.write("visits/visits.csv", "customer_id,visited_at,pages\nc001,2026-10-01T10:00:00Z,0\n");
    let (exit, message, _) = failed(&tiny);
    assert_eq!(exit, 3);
    assert!(message.contains("`features.visits` failed on this data"), "{message}");
}

/// A source that is read as a whole before any model, since it has a key or several readers, is judged then; those behind it are read all the
/// same, so that nothing is told of them that is not so.
#[test]
fn a_bad_source_that_is_read_first_accuses_no_other() {
    for first in ["    key: [customer_id, ordered_at]\n", ""] {
        let tiny = project();
        // Read by two models, the orders are read before any.
        tiny.write("sql/staging/days.sql", "-- A day with orders.\nselect distinct cast(ordered_at as date) as day from sources.orders\n");
        tiny.write(
            "sql/customers.sql",
            &tiny
                .read("sql/customers.sql")
                .replace("group by orders", "where cast(orders.ordered_at as date) in (select day from staging.days)\ngroup by orders"),
        );
        let written = tiny.read("pipelines/tiny.yaml");
        let orders = format!("    event_time: ordered_at\n    min_rows: 1000\n{first}");
        let visits = "    event_time: visited_at\n    min_rows: 1\n    key: [customer_id]\n";
        let pipeline = written.replace("    event_time: ordered_at\n", &orders).replace("    event_time: visited_at\n", visits);
        tiny.write("pipelines/tiny.yaml", &pipeline);
        let (exit, message, details) = failed(&tiny);
        assert_eq!(exit, 3, "{message}");
        assert_eq!(details, ["orders: 75 rows, and there must be 1,000"]);
        let record = record(&tiny);
        assert!(steps(&record).iter().all(|step| step.starts_with("sources.")), "no model is computed: {record}");
        let read: Vec<_> = record["sources"].as_array().unwrap().iter().map(|ledger| ledger["rows_read"].as_u64().unwrap()).collect();
        assert_eq!(read, [75, 1]);
    }
}

/// Whatever ends a run, its record has the ledgers of the sources that had been read.
#[test]
fn a_run_that_fails_late_has_accounted_for_its_sources() {
    let tiny = project();
    tiny.write("sql/late.sql", "-- Fails on every row.\nselect customer_id, 1 / (0 * orders) as none from customers\n");
    let written = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", &format!("{written}    late: {{model: late, sort: [customer_id]}}\n"));
    let (exit, message, _) = failed(&tiny);
    assert_eq!(exit, 3, "{message}");
    assert!(message.contains("`late` failed on this data"), "{message}");
    assert_eq!(record(&tiny)["sources"].as_array().unwrap().len(), 2);
}
