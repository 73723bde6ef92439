//! Predictions as a user sees them: in a run's tables, summary and record, in cases, and in what is refused.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::support::rows_of_parquet;
use crate::tiny::Tiny;

/// A project of histories, as a row each.
const PIPELINE: &str = "\
version: 1
name: tiny
sources:
  histories:
    location: extracts/histories.csv
    event_time: at
    columns:
      customer_id: {type: string}
      at: {type: timestamp, required: true}
      repeats: {type: integer}
      last_day: {type: 'decimal(18,6)'}
      observed_days: {type: 'decimal(18,6)'}
      average: {type: 'decimal(38,6)'}
predictions:
  worth:
    model: features.purchases
    columns:
      customer: customer_id
      repeat_purchases: repeats
      days_to_last_purchase: last_day
      days_observed: observed_days
      average_order_value: average
    purchase_model: bg_nbd
    horizons_days: [30, 365]
    lifetime: {days: 730, yearly_discount: 0.1}
segments:
  value:
    kind: exclusive
    segments:
      - {name: buyers, when: p_alive > 0.5, description: Still there, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
";

const PURCHASES: &str = "\
-- A history.
select customer_id, repeats, last_day, observed_days, average from sources.histories
";

const CUSTOMERS: &str = "\
-- A customer.
select
    customer_id,
    p_alive,
    expected_orders_30d,
    expected_orders_365d,
    cast(expected_average_order_value as decimal(38, 2)) as spend,
    lifetime_value,
    lifetime_value_decile,
    lifetime_value_share
from predicted.worth
";

/// A project whose histories are rows of an extract.
fn project(histories: &[(u32, f64, f64, Option<f64>)]) -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    tiny.write("sql/features/purchases.sql", PURCHASES);
    tiny.write("sql/customers.sql", CUSTOMERS);
    let mut text = "customer_id,at,repeats,last_day,observed_days,average\n".to_owned();
    for (at, (repeats, last, observed, average)) in histories.iter().enumerate() {
        let average = average.map(|average| average.to_string()).unwrap_or_default();
        writeln!(text, "c{at:06},2026-01-01T00:00:00Z,{repeats},{last},{observed},{average}").unwrap();
    }
    tiny.write("extracts/histories.csv", &text);
    tiny
}

fn run(tiny: &Tiny, more: &[&str]) -> (i32, Value, String) {
    run_with(tiny, &[&["--as-of", "2026-11-01"], more].concat())
}

fn run_on(tiny: &Tiny, day: &str) -> (i32, Value, String) {
    run_with(tiny, &["--as-of", day])
}

fn run_with(tiny: &Tiny, more: &[&str]) -> (i32, Value, String) {
    let arguments = [&["run", "pipelines/tiny.yaml", "--format", "json"], more].concat();
    let output = tiny.segmill(&arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), told)
}

/// The histories of CDNOW in days.
fn cdnow() -> Vec<(u32, f64, f64, Option<f64>)> {
    let text = std::fs::read_to_string(crate::support::package().join("tests/predict/cdnow.csv")).unwrap();
    let customer = |line: &str| {
        let numbers: Vec<&str> = line.split(',').collect();
        let number = |at: usize| numbers[at].parse::<f64>().unwrap();
        let repeats = numbers[1].parse().unwrap();
        let days = |weeks: f64| (weeks * 7_000_000.0).round() / 1_000_000.0;
        (repeats, days(number(2)), days(number(3)), (repeats > 0).then(|| number(4)))
    };
    text.lines().skip(1).map(customer).collect()
}

fn causes(tiny: &Tiny, day: &str) -> BTreeMap<String, String> {
    let file = tiny.folder.path().join(format!("out/segment_changes/as_of={day}/segment_changes.parquet"));
    let rows = rows_of_parquet(&[file], "select customer_id, cause, cause_detail from t");
    rows.into_iter().map(|row| (row[0].clone(), row[1..].join(" "))).collect()
}

/// Another model is an edit of the project, and a purchase is news of the customer, who is what the prediction was fitted to.
#[test]
fn what_moves_customers_is_followed_through_a_prediction() {
    let mut histories = cdnow();
    histories.truncate(600);
    let tiny = project(&histories);
    tiny.write(
        "pipelines/tiny.yaml",
        &format!("{PIPELINE}    segment_changes: {{model: segment_changes, sort: [segment_set, customer_id]}}\n"),
    );
    assert_eq!(run(&tiny, &[]).0, 0);
    let pipeline = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", &pipeline.replace("bg_nbd", "mbg_nbd"));
    let arguments = ["plan", "pipelines/tiny.yaml", "--as-of", "2026-11-02", "--format", "json"];
    let planned: Value = serde_json::from_slice(&tiny.segmill(&arguments).stdout).unwrap();
    let changes = &planned["project_changes"];
    assert_eq!(changes["definition"], serde_json::json!(["prediction"]), "{planned}");
    assert_eq!(changes["parts"], serde_json::json!([{"part": "predictions.worth", "edit": "edited"}]));
    let (code, result, told) = run_on(&tiny, "2026-11-02");
    assert_eq!(code, 0, "{result} {told}");
    let moved = causes(&tiny, "2026-11-02");
    assert!(moved.len() > 20 && moved.values().all(|cause| cause == "definition prediction"), "{moved:?}");

    // Somebody of whom nothing was heard buys again.
    let gone = histories.iter().position(|(repeats, last, observed, _)| *repeats > 3 && last * 2.0 < *observed).unwrap();
    let text = tiny.read("extracts/histories.csv");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (repeats, _, observed, average) = histories[gone];
    lines[gone + 1] = format!("c{gone:06},2026-01-01T00:00:00Z,{},{observed},{observed},{}", repeats + 1, average.unwrap());
    tiny.write("extracts/histories.csv", &(lines.join("\n") + "\n"));
    assert_eq!(run_on(&tiny, "2026-11-03").0, 0);
    let moved = causes(&tiny, "2026-11-03");
    assert_eq!(moved.get(&format!("c{gone:06}")).map(String::as_str), Some("data histories"), "{moved:?}");
}

#[test]
fn a_run_finds_the_published_parameters_and_gives_every_customer_a_value() {
    let tiny = project(&cdnow());
    let (code, result, told) = run(&tiny, &[]);
    assert_eq!(code, 0, "{result} {told}");
    let found = &result["predictions"][0];
    assert_eq!((found["customers"].as_u64(), found["repeat_buyers"].as_u64()), (Some(2357), Some(946)));
    assert_eq!((found["purchases"]["state"].as_str(), found["spend"]["state"].as_str()), (Some("fitted"), Some("fitted")));
    let expected = [("r", 0.242_593), ("alpha", 7.0 * 4.413_531), ("a", 0.792_886), ("b", 2.425_754)];
    for ((name, expected), parameter) in expected.into_iter().zip(found["purchases"]["parameters"].as_array().unwrap()) {
        let value = parameter["value"].as_f64().unwrap();
        assert!(parameter["name"] == name && (value / expected - 1.0).abs() < 1e-3, "{parameter}");
        assert!(parameter["standard_error"].as_f64().unwrap() > 0.0);
    }
    assert!((found["spend"]["log_likelihood"].as_f64().unwrap() + 4055.9232).abs() < 1e-3, "{found}");
    assert_eq!(
        result["warnings"].as_array().unwrap().iter().filter(|warning| warning.to_string().contains("predicted")).count(),
        0,
        "{result}"
    );

    let query = "select count(*) as n, min(p_alive) >= 0 and max(p_alive) = 1 as fits, max(lifetime_value_decile) as best, \
                 round(sum(lifetime_value_share), 9) as shares, min(spend) > 0 as is_dear, \
                 count(*) filter (where lifetime_value is null or expected_orders_365d <= expected_orders_30d) as wrong from customers";
    let shown = tiny.segmill(&["query", query, "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"]);
    let row: Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&shown.stderr)));
    assert_eq!(row, serde_json::json!({ "n": 2357, "fits": true, "best": 10, "shares": 1.0, "is_dear": true, "wrong": 0 }));
}

#[test]
fn the_record_and_the_summary_name_what_is_not_known() {
    // Everybody has bought once.
    let single = vec![(0, 0.0, 100.0, None); 60];
    let (code, result, _) = run(&project(&single), &[]);
    assert_eq!(code, 0, "{result}");
    assert_eq!(result["predictions"][0]["purchases"]["state"], "no_repeat_buyers");
    let warnings = result["warnings"].to_string();
    assert!(warnings.contains("nobody has bought again") && warnings.contains("value.buyers"), "{warnings}");
    // Too few have bought again.
    let few: Vec<_> = (0..60).map(|at| if at < 20 { (1, 10.0, 100.0, Some(5.0)) } else { (0, 0.0, 100.0, None) }).collect();
    let (code, result, _) = run(&project(&few), &[]);
    assert_eq!(code, 0, "{result}");
    let found = &result["predictions"][0];
    assert_eq!(
        (found["purchases"]["state"].as_str(), found["purchases"]["used"].as_str()),
        (Some("too_few_repeat_buyers"), Some("mean_rate"))
    );
    assert_eq!((found["spend"]["state"].as_str(), found["spend"]["used"].as_str()), (Some("too_few_repeat_buyers"), Some("mean")));
    assert_eq!(found["segments_without_churn"], serde_json::json!(["value.buyers"]));
}

#[test]
fn degenerate_histories_end_in_a_named_state_with_finite_values() {
    let one_enormous: Vec<_> = (0..400_u32)
        .map(|at| (1 + at % 4, f64::from(20 + at % 70), 100.0, Some(if at == 7 { 1e18 } else { f64::from(5 + at % 40) })))
        .collect();
    for (what, histories) in [
        ("one customer", vec![(3, 10.0, 20.0, Some(5.0))]),
        ("all are equal", vec![(2, 10.0, 20.0, Some(5.0)); 300]),
        ("10,000 purchases", [vec![(10_000, 10_000.0, 10_001.0, Some(3.0)); 2], vec![(1, 50.0, 10_001.0, Some(4.0)); 200]].concat()),
        ("a single day", vec![(0, 0.0, 0.0, None); 200]),
        ("one enormous order", one_enormous),
    ] {
        let tiny = project(&histories);
        let (code, result, told) = run(&tiny, &[]);
        assert_eq!(code, 0, "{what}: {result} {told}");
        let found = &result["predictions"][0];
        assert!(found["purchases"]["state"].is_string() && found["spend"]["state"].is_string(), "{what}: {found}");
        assert_ne!(found["purchases"]["state"], "no_convergence", "{what}: {found}");
    }
}

#[test]
fn histories_that_make_no_sense_are_refused_by_kind() {
    let mut histories = vec![(1, 10.0, 100.0, Some(5.0)); 100];
    histories[3] = (1, 101.0, 100.0, Some(5.0));
    histories[4] = (1, -1.0, 100.0, Some(5.0));
    histories[5] = (1, 10.0, -100.0, Some(5.0));
    histories[6] = (2, 0.0, 100.0, Some(5.0));
    histories[7] = (0, 10.0, 100.0, None);
    histories[8] = (1, 10.0, 100.0, None);
    histories[9] = (1, 10.0, 100.0, Some(-5.0));
    let tiny = project(&histories);
    tiny.write("extracts/histories.csv", &(tiny.read("extracts/histories.csv") + "c000050,2026-01-01T00:00:00Z,1,2,3,4\n"));
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "`features.purchases` has rows from which the prediction `worth` cannot be made",
        "1 row of a customer who has a row already (`customer_id`)",
        "1 row where `last_day` is null, negative or not a number",
        "1 row where `observed_days` is null, negative or not a number",
        "1 row with a last purchase after the end of observation (`last_day` is more than `observed_days`)",
        "1 row with repeat purchases on the day of the first one",
        "1 row with a later last purchase but no repeat purchase",
        "2 rows with repeat purchases where `average` is null, not a number or not more than 0",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert!(!told.contains("c000050"), "{told}");
}

#[test]
fn cases_may_give_predictions_and_expect_them() {
    let tiny = project(&cdnow());
    tiny.write(
        "tests/models/worth.yaml",
        "\
- name: a prediction that is given reaches the profile
  model: segment_membership
  as_of: 2026-11-01
  given:
    predicted.worth:
      - {customer_id: a, p_alive: 0.9}
      - {customer_id: b, p_alive: 0.1}
  expect:
    - {customer_id: a, segment_set: value, segment: buyers}
    - {customer_id: b, segment_set: value, segment: others}
- name: of few customers everybody's mean rate is expected
  model: predicted.worth
  as_of: 2026-11-01
  given:
    features.purchases:
      - {customer_id: a, repeats: 3, last_day: 80, observed_days: 100, average: 20}
      - {customer_id: b, repeats: 0, last_day: 0, observed_days: 50}
  expect:
    - {customer_id: a, expected_orders_30d: 0.6, expected_average_order_value: 20}
    - {customer_id: b, expected_orders_30d: 0.6, expected_average_order_value: 20}
",
    );
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
}

#[test]
fn rules_are_proved_with_what_is_known_of_predictions() {
    let tiny = project(&cdnow());
    let pipeline = tiny.read("pipelines/tiny.yaml").replace("when: p_alive > 0.5", "when: p_alive > 1 or lifetime_value < 0 or spend < 0");
    tiny.write("pipelines/tiny.yaml", &pipeline);
    let output = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("rule-never-matches"), "{told}");
}

#[test]
fn threads_and_order_change_no_byte_of_a_prediction() {
    let histories = cdnow();
    let tiny = project(&histories);
    let of = |threads: &str, destination: &str| {
        let (code, result, told) = run(&tiny, &["--threads", threads, "--destination", destination, "--force"]);
        assert_eq!(code, 0, "{result} {told}");
        let folder = tiny.folder.path().join(destination).join("customers/as_of=2026-11-01");
        let file = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .find(|file| file.extension().is_some_and(|end| end == "parquet"));
        std::fs::read(file.unwrap()).unwrap()
    };
    let first = of("1", "one");
    assert!(first == of("2", "two") && first == of("5", "five"));
    let text = tiny.read("extracts/histories.csv");
    let (head, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    rows.rotate_left(777);
    tiny.write("extracts/histories.csv", &format!("{head}\n{}\n", rows.join("\n")));
    assert!(first == of("3", "shuffled"));
}

#[test]
fn the_shipped_orders_do_not_tell_churn_from_rare_orders() {
    let result = &crate::support::default_sample().result;
    let found = &result["predictions"][0];
    assert_eq!((found["customers"].as_u64(), found["purchases"]["state"].as_str()), (Some(4338), Some("churn_not_identified")));
    let likelihood = |name: &str| found["purchases"][name].as_f64().unwrap();
    assert!((likelihood("log_likelihood_with_churn") + 61_823.471_3).abs() < 1e-3, "{found}");
    assert!((likelihood("log_likelihood_without_churn") + 61_823.590_9).abs() < 1e-3, "{found}");
    let calibration = &found["calibration"];
    assert_eq!((calibration["deciles"].as_array().unwrap().len(), calibration["weeks"].as_array().unwrap().len()), (10, 13));
    let actual: f64 = calibration["deciles"].as_array().unwrap().iter().map(|tenth| tenth["actual"].as_f64().unwrap()).sum();
    assert!((actual - calibration["purchases"].as_f64().unwrap()).abs() < 1e-6, "{calibration}");
    assert_eq!(calibration["weeks"][12]["actual"], calibration["purchases"]);
    let warnings = result["warnings"].to_string();
    assert!(warnings.contains("churn is not identified"), "{warnings}");
    // What loses to a prediction without model is said to lose.
    assert_eq!(calibration["loses"].as_array().unwrap().is_empty(), !warnings.contains("the model loses to"));
}
