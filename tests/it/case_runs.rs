use serde_json::Value;

use crate::tiny::Tiny;

const CASES: &str = "\
- name: two orders are two
  model: customers
  as_of: 2026-10-05
  given:
    staging.orders: [{customer_id: c1}, {customer_id: c1}]
  expect: [{customer_id: c1, orders: 2}]
- name: two orders are three
  model: customers
  as_of: 2026-10-05
  given:
    staging.orders: [{customer_id: c1}, {customer_id: c1}]
  expect: [{customer_id: c1, orders: 3}]
- name: a table that is none
  model: customers
  as_of: 2026-10-05
  given:
    staging.odrers: [{customer_id: c1}]
  expect: []
- name: a column that is none
  model: customers
  as_of: 2026-10-05
  expect: [{custommer_id: c1}]
- name: no day
  model: customers
  as_of: 2026-13-05
  expect: []
- name: a parameter that is none
  model: customers
  as_of: 2026-10-05
  parameters: {editoin: 2}
  expect: []
- name: orders of today do not count
  model: staging.orders
  as_of: 2026-10-05
  given:
    sources.orders: [{customer_id: c1, ordered_at: '2026-10-05T00:00:00Z'}]
  expect: []
";

fn ran(arguments: &[&str], cases: &str) -> (Option<i32>, String, String) {
    let tiny = Tiny::new();
    tiny.write("tests/models/tiny.yaml", cases);
    let output = tiny.segmill(&[&["test"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_case_does_not_keep_the_others_from_being_run() {
    let (code, out, err) = ran(&["pipelines/tiny.yaml"], CASES);
    assert_eq!(code, Some(2));
    assert!(out.contains("ok     customers: two orders are two\n"), "{out}");
    assert!(out.contains("FAILED customers: two orders are three\n"), "{out}");
    assert!(out.contains("ok     staging.orders: orders of today do not count\n"), "{out}");
    assert!(out.contains("3 cases, 1 failed"), "{out}");
    for wrong in ["`staging.odrers`", "`custommer_id`", "2026-13-05", "editoin", "4 problems"] {
        assert!(err.contains(wrong), "{wrong}: {err}");
    }
    let (code, out, _) = ran(&["pipelines/tiny.yaml", "--format", "json"], CASES);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["status"], &told["failed"]), (Some(2), &"failed".into(), &1.into()));
    assert_eq!((told["results"].as_array().unwrap().len(), told["problems"].as_array().unwrap().len()), (3, 4));
}

/// A model that fails on what a case gives is a failed case.
#[test]
fn a_model_that_fails_is_a_failed_case() {
    let tiny = Tiny::new();
    tiny.write(
        "sql/customers.sql",
        "-- A customer.\nselect customer_id, 1 / (count(*) - 1) as orders, $edition as edition from staging.orders group by 1\n",
    );
    let case = |name: &str, rows: &str| {
        format!(
            "- name: {name}\n  model: customers\n  as_of: 2026-10-05\n  given:\n    staging.orders: [{rows}]\n  expect: [{{orders: 1}}]\n"
        )
    };
    tiny.write(
        "tests/models/tiny.yaml",
        &(case("one order", "{customer_id: c1}") + &case("two orders", "{customer_id: c1}, {customer_id: c1}")),
    );
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{out}");
    assert!(out.contains("FAILED customers: one order\n") && out.contains("ok     customers: two orders\n"), "{out}");
    assert!(out.contains("2 cases, 1 failed"), "{out}");
}

#[test]
fn cases_are_chosen_by_model_name_and_file() {
    let lines = |filters: &[&str]| {
        let (code, out, err) = ran(&[&["pipelines/tiny.yaml"], filters].concat(), &CASES.replace("orders: 3", "orders: 2"));
        (code, out.lines().filter(|line| line.starts_with("ok ")).count(), out + &err)
    };
    for (filters, ran) in [(vec!["staging"], 1), (vec!["are two"], 1), (vec!["are two", "staging.orders"], 2), (vec!["two orders"], 2)] {
        let (code, found, told) = lines(&filters);
        assert_eq!((code, found), (Some(0), ran), "{filters:?}: {told}");
    }
    assert_eq!(lines(&["models/tiny"]).1, 3);
    let (code, _, told) = lines(&["staging.odrers"]);
    assert!(code == Some(2) && told.contains("did you mean `staging.orders`?"), "{told}");
}

#[test]
fn columns_that_no_case_expects_are_told() {
    let (_, out, _) = ran(&["pipelines/tiny.yaml", "two orders"], CASES);
    assert!(out.contains("Columns that no case expects anything of\n  customers: edition\n"), "{out}");
    let (_, out, _) = ran(&["pipelines/tiny.yaml", "are two"], CASES);
    assert!(!out.contains("staging.orders"), "only of models that are meant: {out}");
    let (_, out, _) = ran(&["pipelines/tiny.yaml", "--format", "json"], &CASES[..CASES.find("- name: a table").unwrap()]);
    let told: Value = serde_json::from_str(&out).unwrap();
    let expected = serde_json::json!([
        {"model": "staging.orders", "cases": 0, "columns": ["customer_id", "ordered_at"]},
        {"model": "customers", "cases": 2, "columns": ["edition"]},
    ]);
    assert_eq!(told["uncovered"], expected);
}
