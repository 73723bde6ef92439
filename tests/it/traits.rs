//! Traits of segments as a user sees them: in the published table, in models, records and cases, and what is never told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;

use crate::support::rows_of_parquet;
use crate::tiny::Tiny;

/// A project of customers, as a row each.
const PIPELINE: &str = "\
version: 1
name: tiny
sources:
  people:
    location: extracts/people.csv
    event_time: at
    columns:
      customer_id: {type: string, required: true}
      at: {type: timestamp, required: true}
      email: {type: string, personal: true}
      country: {type: string}
      note: {type: string}
      orders: {type: integer}
      spent: {type: 'decimal(12,2)'}
      reachable: {type: boolean}
segments:
  value:
    kind: exclusive
    segments:
      - {name: best, when: spent > 150, description: They spend most, action: Thank them, channel: email}
      - {name: good, when: orders > 3, description: They come often, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
  audiences:
    kind: overlapping
    permissions: {email: reachable}
    segments:
      - {name: the_best_by_email, when: value = 'best', description: The best, action: Write, channel: email}
      - {name: handful, when: country = 'Malta', description: A few, action: Write, channel: none}
      - {name: all_but_a_handful, when: country is distinct from 'Malta', description: Most, action: Write, channel: none}
      - {name: nobody, when: orders > 99, description: None, action: None, channel: none}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id], personal: [income]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    segment_traits: {model: segment_traits, sort: [segment_set, segment, rank]}
";

const CUSTOMERS: &str = "\
-- A customer.
select
    customer_id,
    substr(email, 1, 1) as initial,
    email is not null as has_email,
    country,
    note,
    orders,
    spent,
    cast(spent as double) / nullif(orders, 0) as per_order,
    spent as income,
    reachable,
    cast(at as date) as day,
    make_array(country) as countries
from sources.people
";

/// What a run tells of 500 customers, five of them in Malta.
fn project() -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    tiny.write("sql/customers.sql", CUSTOMERS);
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let mut text = "customer_id,at,email,country,note,orders,spent,reachable\n".to_owned();
    for at in 0..500 {
        let country = match at {
            0..5 => "Malta",
            5..14 => "Iceland",
            _ => ["Germany", "France", "Spain", ""][random.random_range(0..4)],
        };
        let (orders, spent): (u32, u32) = (random.random_range(0..6), random.random_range(0..20_000));
        let email = if at % 3 == 0 { String::new() } else { format!("{}{at}@example.org", if at % 2 == 0 { 'a' } else { 'b' }) };
        let (orders, spent) = (if at % 17 == 0 { String::new() } else { orders.to_string() }, f64::from(spent) / 100.0);
        let reachable = ["true", "false", ""][random.random_range(0..3)];
        writeln!(text, "c{at:06},2026-01-01T00:00:00Z,{email},{country},note {at},{orders},{spent:.2},{reachable}").unwrap();
    }
    tiny.write("extracts/people.csv", &text);
    tiny
}

fn run(tiny: &Tiny, more: &[&str]) -> Value {
    let output = tiny.segmill(&[&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"], more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn file(tiny: &Tiny, destination: &str, table: &str) -> PathBuf {
    tiny.folder.path().join(format!("{destination}/{table}/as_of=2026-11-01/{table}.parquet"))
}

fn ask(tiny: &Tiny, table: &str, sql: &str) -> Vec<Vec<String>> {
    rows_of_parquet(&[file(tiny, "out", table)], sql)
}

fn near(found: &str, expected: f64) {
    let found: f64 = found.parse().unwrap();
    assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} instead of {expected}");
}

/// Mean, and mean of squares less its square.
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn moments(numbers: &[f64]) -> (f64, f64) {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    (mean, numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / numbers.len() as f64)
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn the_published_traits_are_those_of_the_published_customers_and_memberships() {
    let tiny = project();
    let result = run(&tiny, &[]);
    assert_eq!(result["traits"]["columns_with_too_many_values"], serde_json::json!(["note"]));
    assert_eq!((result["traits"]["segments"].as_u64(), result["traits"]["segments_too_small"].as_u64()), (Some(4), Some(2)), "{result}");
    let columns = ["has_email", "country", "orders", "spent", "per_order", "reachable"];
    let customers: BTreeMap<String, Vec<String>> =
        ask(&tiny, "customers", "select customer_id, has_email, country, orders, spent, per_order, reachable from t")
            .into_iter()
            .map(|row| (row[0].clone(), row[1..].to_vec()))
            .collect();
    let mut members: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for row in ask(&tiny, "segment_membership", "select segment_set, segment, customer_id from t") {
        members.entry((row[0].clone(), row[1].clone())).or_default().insert(row[2].clone());
    }
    // A value is 1 for who has it and 0 for the others.
    let numbers = |column: usize, value: &str, of: Option<&BTreeSet<String>>| -> Vec<f64> {
        let chosen = customers.iter().filter(|(id, row)| of.is_none_or(|members| members.contains(*id)) && !row[column].is_empty());
        chosen
            .map(|(_, row)| if value.is_empty() { row[column].parse().unwrap() } else { f64::from(u8::from(row[column] == value)) })
            .collect()
    };
    let traits = ask(
        &tiny,
        "segment_traits",
        "select segment_set, segment, rank, column_name, kind, coalesce(value, ''), members, members_known, coalesce(mean, share), \
         coalesce(everybody_mean, everybody_share), lift, standardised_difference, description from t order by 1, 2, 3",
    );
    assert!(traits.len() > 30, "{traits:?}");
    let (mut strengths, mut last) = (Vec::new(), 0);
    for row in &traits {
        let column = columns.iter().position(|column| *column == row[3]).unwrap_or_else(|| panic!("{row:?}"));
        let value = match row[4].as_str() {
            "number" => "",
            "boolean" => "true",
            _ => row[5].as_str(),
        };
        let members = &members[&(row[0].clone(), row[1].clone())];
        let (of_group, of_everybody) = (numbers(column, value, Some(members)), numbers(column, value, None));
        let ((mean, _), (everybody, variance)) = (moments(&of_group), moments(&of_everybody));
        let count = of_group.len() as f64;
        assert_eq!((row[6].parse(), row[7].parse()), (Ok(members.len()), Ok(of_group.len())), "{row:?}");
        near(&row[8], mean);
        near(&row[9], everybody);
        near(&row[11], (mean - everybody) / variance.sqrt() * count / (count + 10.0));
        if !value.is_empty() {
            near(&row[10], (mean * count + 10.0 * everybody) / (count + 10.0) / everybody);
        }
        let rank: usize = row[2].parse().unwrap();
        if rank == 1 {
            strengths.clear();
            last = 0;
        }
        strengths.push(row[11].parse::<f64>().unwrap().abs());
        assert!(rank == last + 1 && strengths.is_sorted_by(|one, other| one >= other), "{row:?}");
        last = rank;
    }
    // Every column of every segment that may be told is.
    let told: BTreeSet<(&str, &str)> = traits.iter().map(|row| (row[1].as_str(), row[3].as_str())).collect();
    assert_eq!(told.len(), 4 * columns.len(), "{told:?}");
}

#[test]
fn nothing_is_told_of_personal_columns_and_of_few_customers() {
    let tiny = project();
    run(&tiny, &[]);
    let told: Vec<String> = ask(&tiny, "segment_traits", "select distinct column_name from t order by 1").into_iter().flatten().collect();
    assert_eq!(told, ["country", "has_email", "orders", "per_order", "reachable", "spent"], "no e-mail, initial, income, id, date or list");
    // Five customers are in Malta, and nine in Iceland. From what most do it would follow what the few do.
    let segments: Vec<String> = ask(&tiny, "segment_traits", "select distinct segment from t order by 1").into_iter().flatten().collect();
    assert_eq!(segments, ["best", "good", "others", "the_best_by_email"]);
    let countries = ask(&tiny, "segment_traits", "select distinct value from t where kind = 'category' order by 1");
    assert_eq!(countries, [["France"], ["Germany"], ["Spain"]]);
    // With a larger minimum less is told.
    let pipeline = tiny.read("pipelines/tiny.yaml").replace("outputs:\n", "traits: {minimum_members: 150}\noutputs:\n");
    tiny.write("pipelines/tiny.yaml", &pipeline);
    let result = run(&tiny, &[]);
    let least = ask(&tiny, "segment_traits", "select min(members) >= 150 and min(members_known) >= 150 from t");
    assert_eq!(least, [["true"]]);
    assert!(result["traits"]["segments_too_small"].as_u64() > Some(2), "{result}");
}

#[test]
fn what_decides_who_is_in_a_segment_is_marked() {
    let tiny = project();
    run(&tiny, &[]);
    let marked = ask(&tiny, "segment_traits", "select distinct segment, column_name from t where is_in_rule order by 1, 2");
    let expected = [
        ["best", "spent"],
        // Who is the best is not good, and who is good is no other.
        ["good", "orders"],
        ["good", "spent"],
        ["others", "orders"],
        ["others", "spent"],
        // Its rule reads what the rules of another set decide, and its channel needs permission.
        ["the_best_by_email", "orders"],
        ["the_best_by_email", "reachable"],
        ["the_best_by_email", "spent"],
    ];
    assert_eq!(marked, expected);
}

#[test]
fn traits_are_computed_if_something_reads_them() {
    let steps = |result: &Value| result["steps"].as_array().unwrap().iter().any(|step| step["name"] == "segment_traits");
    let tiny = project();
    assert!(steps(&run(&tiny, &[])));
    let without: String = PIPELINE.lines().filter(|line| !line.contains("segment_traits")).map(|line| format!("{line}\n")).collect();
    tiny.write("pipelines/tiny.yaml", &without);
    let result = run(&tiny, &["--destination", "without"]);
    assert!(!steps(&result) && result["traits"].is_null(), "{result}");
    // A model of what segments are like reads the strongest traits that are no part of the rule.
    tiny.write(
        "sql/segment_summary.sql",
        "-- A segment.\nselect segment, max(description) as most from segment_traits where column_name = 'country' and value = 'France' \
         group by segment\n",
    );
    tiny.write("pipelines/tiny.yaml", &(without + "    segment_summary: {model: segment_summary, sort: [segment]}\n"));
    assert!(steps(&run(&tiny, &["--destination", "read"])));
    let summary = rows_of_parquet(&[file(&tiny, "read", "segment_summary")], "select segment, most from t order by 1");
    assert!(summary.len() == 4 && summary[0][1].starts_with("country France "), "{summary:?}");
    // A question about them needs no model.
    let shown = tiny.segmill(&["query", "select count(*) as n from segment_traits", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
}

#[test]
fn threads_and_order_change_no_byte_of_the_traits() {
    let tiny = project();
    let of = |threads: &str, destination: &str| {
        run(&tiny, &["--threads", threads, "--destination", destination]);
        std::fs::read(file(&tiny, destination, "segment_traits")).unwrap()
    };
    let first = of("1", "one");
    assert!(rows_of_parquet(&[file(&tiny, "one", "segment_traits")], "select 1 from t").len() > 30);
    assert!(first == of("2", "two") && first == of("5", "five"));
    let text = tiny.read("extracts/people.csv");
    let (head, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    rows.rotate_left(77);
    tiny.write("extracts/people.csv", &format!("{head}\n{}\n", rows.join("\n")));
    assert!(first == of("3", "shuffled"));
}

#[test]
fn degenerate_profiles_have_no_traits() {
    let tiny = project();
    let head = tiny.read("extracts/people.csv").lines().next().unwrap().to_owned();
    let alike: String = (0..50).map(|at| format!("c{at:03},2026-01-01T00:00:00Z,,Spain,same,2,20.00,true\n")).collect();
    for (what, rows) in [("nobody", ""), ("one", "a,2026-01-01T00:00:00Z,,Spain,note,2,200.00,true\n"), ("all alike", alike.as_str())] {
        tiny.write("extracts/people.csv", &format!("{head}\n{rows}"));
        let result = run(&tiny, &["--force"]);
        assert_eq!(result["traits"]["traits"].as_u64(), Some(0), "{what}: {result}");
        assert_eq!(ask(&tiny, "segment_traits", "select count(*) from t"), [["0"]], "{what}");
    }
}

#[test]
fn cases_may_expect_traits_and_give_them() {
    let tiny = project();
    let pipeline = tiny.read("pipelines/tiny.yaml");
    tiny.write(
        "pipelines/tiny.yaml",
        &pipeline.replace("outputs:\n", "traits: {minimum_members: 2, prior_members: 0, columns: [spent]}\noutputs:\n"),
    );
    tiny.write("sql/personas.sql", "-- A segment.\nselect segment, description from segment_traits where rank = 1\n");
    tiny.write("pipelines/tiny.yaml", &(tiny.read("pipelines/tiny.yaml") + "    personas: {model: personas, sort: [segment]}\n"));
    tiny.write(
        "tests/models/traits.yaml",
        "\
- name: two who spend most beside two others
  model: segment_traits
  as_of: 2026-11-01
  given:
    customers:
      - {customer_id: a, spent: 300, orders: 1, reachable: false}
      - {customer_id: b, spent: 300, orders: 1, reachable: false}
      - {customer_id: c, spent: 100, orders: 1, reachable: false}
      - {customer_id: d, spent: 100, orders: 1, reachable: false}
  expect:
    - {segment: best, mean: 300, everybody_mean: 200, standardised_difference: 1, is_in_rule: true}
    - {segment: others, mean: 100, everybody_mean: 200, standardised_difference: -1, is_in_rule: true}
    - {segment: all_but_a_handful, mean: 200, everybody_mean: 200, standardised_difference: 0, is_in_rule: false}
- name: memberships may be given, also of customers who are not there
  model: segment_traits
  as_of: 2026-11-01
  given:
    customers:
      - {customer_id: a, spent: 300}
      - {customer_id: b, spent: 300}
      - {customer_id: d, spent: 100}
      - {customer_id: e, spent: 100}
    segment_membership:
      - {customer_id: c, segment_set: value, segment: good}
      - {customer_id: b, segment_set: value, segment: good}
      - {customer_id: a, segment_set: value, segment: good}
      - {customer_id: z, segment_set: value, segment: good}
  expect:
    - {segment: good, mean: 300, members: 2}
- name: traits may be given
  model: personas
  as_of: 2026-11-01
  given:
    segment_traits:
      - {segment_set: value, segment: good, rank: 1, description: orders much higher}
  expect:
    - {segment: good, description: orders much higher}
",
    );
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
}

#[test]
fn the_summary_tells_how_many_traits_there_are() {
    let tiny = project();
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(" traits of 4 segments; 2 segments have too few members, or too few are outside them"), "{told}");
    assert!(told.contains("  note: none, because it has more than 200 values"), "{told}");
}
