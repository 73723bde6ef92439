//! Offers as a user sees them: in a run's tables, summary and record, in cases, and in what is refused.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{package, rows_of_parquet};
use crate::tiny::Tiny;

/// A project of items that customers bought, as a row each.
const PIPELINE: &str = "\
version: 1
name: tiny
reference:
  services:
    columns: {code: string, meaning: string}
    rows:
      - [POST, postage]
sources:
  items:
    location: extracts/items.csv
    event_time: at
    columns:
      customer_id: {type: string}
      at: {type: timestamp, required: true}
      item: {type: string}
      bought_on: {type: date}
      is_returned: {type: boolean}
affinities:
  next_item:
    model: features.items
    columns: {customer: customer_id, item: item, day: bought_on, is_returned: is_returned}
    never_offer: {table: reference.services, column: code}
    minimum_support: 3
segments:
  value:
    kind: exclusive
    segments:
      - {name: to_ask, when: score > 0, description: Somebody to ask, action: Offer, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    offers: {model: offered.next_item, sort: [customer_id, rank]}
";

const ITEMS: &str = "\
-- An item that a customer bought or returned.
select customer_id, item, bought_on, is_returned from sources.items
";

const CUSTOMERS: &str = "\
-- A customer.
select buyers.customer_id, best.item as next_item, best.score
from (select distinct customer_id from features.items where customer_id is not null) as buyers
left join offered.next_item as best on best.customer_id = buyers.customer_id and best.rank = 1
";

/// A row as customer, item, day and whether it is a return.
type Said<'a> = (String, &'a str, &'a str, &'a str);

/// A project whose purchases are rows of an extract.
fn project(rows: &[Said]) -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    tiny.write("sql/features/items.sql", ITEMS);
    tiny.write("sql/customers.sql", CUSTOMERS);
    let mut text = "customer_id,at,item,bought_on,is_returned\n".to_owned();
    for (customer, item, day, is_returned) in rows {
        writeln!(text, "{customer},2026-01-01T00:00:00Z,{item},{day},{is_returned}").unwrap();
    }
    tiny.write("extracts/items.csv", &text);
    tiny
}

/// Forty customers of four tastes, who buy tea or coffee and what goes with it, and pay postage.
fn of_taste() -> Vec<Said<'static>> {
    const TASTES: [[&str; 3]; 4] =
        [["tea", "pot", "milk"], ["coffee", "mill", "sugar"], ["bread", "jam", "butter"], ["pen", "ink", "paper"]];
    let mut rows = Vec::new();
    for at in 0..40 {
        let customer = format!("c{at:03}");
        let taste = TASTES[at % 4];
        rows.push((customer.clone(), taste[0], "2025-12-01", "false"));
        rows.push((customer.clone(), "POST", "2025-12-01", "false"));
        if at >= 4 {
            rows.push((customer.clone(), taste[1 + at / 4 % 2], "2025-12-09", "false"));
        }
        if at >= 16 {
            rows.push((customer.clone(), taste[2 - at / 4 % 2], "2025-12-20", if at >= 36 { "true" } else { "false" }));
        }
    }
    rows
}

fn run(tiny: &Tiny, more: &[&str]) -> (i32, Value, String) {
    let arguments = [&["run", "pipelines/tiny.yaml", "--format", "json", "--as-of", "2026-11-01"], more].concat();
    let output = tiny.segmill(&arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), told)
}

fn file(tiny: &Tiny, destination: &str, table: &str) -> PathBuf {
    let folder = tiny.folder.path().join(destination).join(table).join("as_of=2026-11-01");
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|end| end == "parquet")).unwrap()
}

#[test]
fn customers_are_offered_what_goes_with_what_they_have_and_the_record_says_how_good_that_is() {
    let tiny = project(&of_taste());
    let (code, result, told) = run(&tiny, &[]);
    assert_eq!(code, 0, "{result} {told}");
    let found = &result["affinities"][0];
    assert_eq!((found["affinity"].as_str(), found["state"].as_str()), (Some("next_item"), Some("offered")), "{found}");
    // Postage is no item.
    assert_eq!((found["customers"].as_u64(), found["items"].as_u64()), (Some(40), Some(12)), "{found}");
    assert!(found["measured"]["customers"].as_u64() > Some(10) && found["measured"]["hit_rate"].as_f64() > Some(0.0), "{found}");
    let rows = rows_of_parquet(&[file(&tiny, "out", "offers")], "select customer_id, rank, item, bought_with, score from t");
    let of = |customer: &str| rows.iter().filter(|row| row[0] == customer).map(|row| row[1..4].join(" ")).collect::<Vec<_>>();
    // The first four bought one item each, those of 36 on have returned the other one, and the rest have all but nothing to be offered.
    assert_eq!(of("c000").len(), 2, "{rows:?}");
    assert!(of("c000").iter().all(|offer| offer.ends_with("tea")), "{rows:?}");
    assert!(of("c020").is_empty() && of("c036").is_empty() && of("c012").len() == 1, "{rows:?}");
    let record: Value = serde_json::from_str(&tiny.read(&format!("out/runs/{}/record.json", result["run_id"].as_str().unwrap()))).unwrap();
    assert_eq!(record["affinities"], result["affinities"]);
    let shown = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--force"]);
    let summary = String::from_utf8(shown.stdout).unwrap() + &String::from_utf8(shown.stderr).unwrap();
    assert!(summary.contains("Offers next_item for ") && summary.contains("  hit rate  "), "{summary}");
}

#[test]
fn few_purchases_end_in_a_named_state_and_an_empty_table() {
    let one = |customer: usize, item: &'static str| (format!("c{customer:03}"), item, "2025-12-01", "false");
    for (state, why, rows) in [
        ("no_purchases", "there are no purchases", Vec::new()),
        ("no_purchases", "there are no purchases", vec![("c".to_owned(), "tea", "2025-12-01", "true")]),
        ("no_purchases", "there are no purchases", vec![one(0, "POST")]),
        ("one_item", "there is one item", (0..20).map(|at| one(at, "tea")).collect()),
        ("no_associations", "no two items were bought by 3 customers", vec![one(0, "tea"), one(0, "pot"), one(1, "tea"), one(1, "pot")]),
        ("nothing_left", "all customers have bought", (0..20).flat_map(|at| [one(at, "tea"), one(at, "pot")]).collect()),
    ] {
        let tiny = project(&rows);
        let (code, result, told) = run(&tiny, &[]);
        assert_eq!(code, 0, "{state}: {result} {told}");
        let found = &result["affinities"][0];
        assert_eq!((found["state"].as_str(), found["offers"].as_u64()), (Some(state), Some(0)), "{found}");
        assert!(found["measured"].is_null(), "{found}");
        assert!(result["warnings"].to_string().contains(why), "{result}");
        assert!(rows_of_parquet(&[file(&tiny, "out", "offers")], "select * from t").is_empty());
    }
}

#[test]
fn rows_that_make_no_sense_are_refused_by_kind() {
    let mut rows = of_taste();
    rows.push((String::new(), "tea", "2025-12-01", "false"));
    rows.push(("c007".to_owned(), "", "2025-12-01", "false"));
    rows.push(("c008".to_owned(), "tea", "", "false"));
    rows.push(("c009".to_owned(), "tea", "2025-12-01", ""));
    rows.push(("c010".to_owned(), "tea", "2025-12-01", ""));
    let output = project(&rows).segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "`features.items` has rows from which the affinity `next_item` cannot be made",
        "1 row without a customer in `customer_id`",
        "1 row without an item in `item`",
        "1 row without a day in `bought_on`",
        "2 rows where `is_returned` is null",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert!(!told.contains("c007"), "{told}");
}

#[test]
fn cases_may_give_offers_and_expect_them() {
    let tiny = project(&of_taste());
    tiny.write(
        "tests/models/offers.yaml",
        "\
- name: an offer that is given reaches the profile
  model: segment_membership
  as_of: 2026-11-01
  given:
    features.items:
      - {customer_id: a, item: tea, bought_on: 2026-01-01, is_returned: false}
      - {customer_id: b, item: tea, bought_on: 2026-01-01, is_returned: false}
    offered.next_item:
      - {customer_id: a, rank: 1, item: pot, score: 0.2, bought_with: tea}
  expect:
    - {customer_id: a, segment_set: value, segment: to_ask}
    - {customer_id: b, segment_set: value, segment: others}
- name: who has tea is offered a pot, as three others have both
  model: offered.next_item
  as_of: 2026-11-01
  given:
    features.items:
      - {customer_id: a, item: tea}
      - {customer_id: b, item: tea}
      - {customer_id: b, item: pot}
      - {customer_id: c, item: tea}
      - {customer_id: c, item: pot}
      - {customer_id: d, item: tea}
      - {customer_id: d, item: pot}
  expect:
    - {customer_id: a, rank: 1, item: pot, bought_with: tea}
",
    );
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
}

#[test]
fn rules_are_proved_with_what_is_known_of_offers() {
    let tiny = project(&of_taste());
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("when: score > 0", "when: score > 1"));
    let output = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("rule-never-matches"), "{told}");
}

/// The shipped orders, whose buyers are offered products.
fn shipped_orders() -> Tiny {
    let tiny = Tiny::new();
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    let from = PIPELINE.find("sources:").unwrap()..PIPELINE.find("affinities:").unwrap();
    let source = format!(
        "\
sources:
  items:
    location: '{}/examples/data/orders/*.parquet'
    event_time: at
    columns:
      order_id: {{from: InvoiceNo, type: string, required: true}}
      item: {{from: StockCode, type: string, required: true}}
      quantity: {{from: Quantity, type: integer, required: true}}
      at: {{from: InvoiceDate, type: timestamp, required: true}}
      price: {{from: UnitPrice, type: 'decimal(18,3)', required: true}}
      customer_id: {{from: CustomerID, type: string}}
",
        package().display()
    );
    let mut pipeline = PIPELINE.to_owned();
    pipeline.replace_range(from, &source);
    let codes =
        ["DOT", "C2", "M", "D", "S", "BANK CHARGES", "AMAZONFEE", "CRUK", "B"].map(|code| format!("\n      - [{code}, no product]"));
    let pipeline = pipeline.replace("[POST, postage]", &format!("[POST, postage]{}", codes.concat()));
    tiny.write("pipelines/tiny.yaml", &pipeline.replace("    minimum_support: 3\n", ""));
    tiny.write(
        "sql/features/items.sql",
        "-- A product that a customer bought or returned.\n\
         select customer_id, item, cast(at as date) as bought_on, order_id like 'C%' as is_returned from sources.items\n\
         where customer_id is not null and (order_id like 'C%' or (quantity > 0 and price > 0))\n",
    );
    tiny.write("sql/customers.sql", CUSTOMERS);
    tiny
}

#[test]
fn offers_for_the_shipped_orders_beat_what_is_popular_and_are_the_same_on_any_machine() {
    let tiny = shipped_orders();
    let of = |threads: &str, destination: &str| {
        let (code, result, told) = run(&tiny, &["--threads", threads, "--destination", destination, "--force"]);
        assert_eq!(code, 0, "{result} {told}");
        (std::fs::read(file(&tiny, destination, "offers")).unwrap(), result)
    };
    let (first, result) = of("1", "one");
    assert!(first == of("2", "two").0 && first == of("5", "five").0);
    // What the parameters were chosen with, the days before the last ones, has nothing of these.
    let measured = &result["affinities"][0]["measured"];
    let counts = ["offers", "customers", "hits", "popular_hits"].map(|count| measured[count].as_u64().unwrap());
    assert_eq!(counts, [10, 2478, 990, 617], "{measured}");
    assert!(measured["hit_rate"].as_f64() > Some(0.39) && measured["popular_hit_rate"].as_f64() < Some(0.25), "{measured}");
    assert_eq!(result["affinities"][0]["state"], "offered");
    // Nobody is offered what they have bought or returned, or what is no product.
    let offers = rows_of_parquet(&[file(&tiny, "one", "offers")], "select customer_id, item, bought_with, score from t");
    let orders = package().join("examples/data/orders/online_retail.parquet");
    let bought = "select distinct cast(\"CustomerID\" as varchar), \"StockCode\" from t where \"CustomerID\" is not null \
                  and (\"InvoiceNo\" like 'C%' or (\"Quantity\" > 0 and \"UnitPrice\" > 0))";
    let had: BTreeSet<(String, String)> =
        rows_of_parquet(&[orders], bought).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert!(offers.len() > 40_000);
    for offer in &offers {
        let [customer, item, with, score] = offer.as_slice() else { panic!("{offer:?}") };
        assert!(had.contains(&(customer.clone(), with.clone())), "{offer:?}");
        assert!(!["POST", "M", "D", "DOT"].contains(&item.as_str()), "{offer:?}");
        assert!(!had.contains(&(customer.clone(), item.clone())), "{offer:?} was bought");
        assert!((0.0..=1.0).contains(&score.parse::<f64>().unwrap()), "{offer:?}");
    }
}

#[test]
fn the_order_of_rows_changes_no_byte_of_offers() {
    let tiny = project(&of_taste());
    let of = |destination: &str| {
        let (code, result, told) = run(&tiny, &["--threads", "3", "--destination", destination, "--force"]);
        assert_eq!(code, 0, "{result} {told}");
        (std::fs::read(file(&tiny, destination, "offers")).unwrap(), result["affinities"].clone())
    };
    let first = of("one");
    let text = tiny.read("extracts/items.csv");
    let (head, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    rows.rotate_left(33);
    tiny.write("extracts/items.csv", &format!("{head}\n{}\n", rows.join("\n")));
    assert!(first == of("shuffled"));
}
