//! Look-alikes as a user sees them: in a run's tables, summary and record, in cases, and in what is refused.

use std::fmt::Write;

use serde_json::Value;

use crate::support::rows_of_parquet;
use crate::tiny::Tiny;

/// A project of customers, as a row each.
const PIPELINE: &str = "\
version: 1
name: tiny
parameters:
  champions_from: {type: integer, default: '4', description: The least score of champions}
sources:
  people:
    location: extracts/people.csv
    event_time: at
    columns:
      customer_id: {type: string}
      at: {type: timestamp, required: true}
      score: {type: integer}
      spent: {type: 'decimal(18,2)'}
      visits: {type: integer}
      has_app: {type: boolean}
look_alikes:
  champions:
    model: scores.people
    customer: customer_id
    similar_to: {segment_set: value, segment: champions}
    columns:
      spent: {transform: log1p, winsorise: 0.01}
      visits: {}
      has_app: {}
segments:
  value:
    kind: exclusive
    segments:
      - {name: nobody, when: score < 0, description: None, action: None, channel: none}
      - {name: champions, when: score >= $champions_from, description: The best, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
  growth:
    kind: overlapping
    segments:
      - {name: rising, when: similarity_to_champions >= 0.7, description: Like champions, action: Invite, channel: email}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
";

const PEOPLE: &str = "\
-- A customer.
select customer_id, score, score as points, spent, visits, has_app from sources.people
";

const CUSTOMERS: &str = "\
-- A customer.
select
    people.customer_id,
    people.score,
    similar.similarity as similarity_to_champions,
    similar.reason
from scores.people as people
left join similar.champions as similar
    on similar.customer_id = people.customer_id
";

/// Customers as rows of an extract. Those who spend and visit more are more often champions, and some have no number of visits.
fn rows(count: u32) -> Vec<String> {
    let row = |at: u32| {
        let chance = |by: u32, of: u32| (at.wrapping_mul(by) ^ (at.wrapping_mul(by) >> 13)).wrapping_mul(2_654_435_761) % of;
        let (spent, visits, has_app) = (chance(7919, 5000), chance(104_729, 30), chance(31, 2) == 1);
        let likes = spent / 500 + visits / 3 + 4 * u32::from(has_app) + chance(1_299_709, 9);
        let score = if likes > 20 { 4 + at % 2 } else { at % 4 };
        let visits = if at % 37 == 5 { String::new() } else { visits.to_string() };
        format!("c{at:06},2026-01-01T00:00:00Z,{score},{spent}.50,{visits},{has_app}")
    };
    (0..count).map(row).collect()
}

fn project(rows: &[String]) -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    tiny.write("sql/scores/people.sql", PEOPLE);
    tiny.write("sql/customers.sql", CUSTOMERS);
    write_rows(&tiny, rows);
    tiny
}

fn write_rows(tiny: &Tiny, rows: &[String]) {
    let mut text = "customer_id,at,score,spent,visits,has_app\n".to_owned();
    for row in rows {
        writeln!(text, "{row}").unwrap();
    }
    tiny.write("extracts/people.csv", &text);
}

fn run(tiny: &Tiny, more: &[&str]) -> (i32, Value, String) {
    run_on(tiny, "2026-11-01", more)
}

fn run_on(tiny: &Tiny, day: &str, more: &[&str]) -> (i32, Value, String) {
    let arguments = [&["run", "pipelines/tiny.yaml", "--format", "json", "--as-of", day], more].concat();
    let output = tiny.segmill(&arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), told)
}

/// The published customers, counted by a query.
fn ask(tiny: &Tiny, query: &str) -> Vec<Vec<String>> {
    rows_of_parquet(&[tiny.folder.path().join("out/customers/as_of=2026-11-01/customers.parquet")], query)
}

fn refused(tiny: &Tiny, code: &str, what: &str) {
    let output = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains(code) && told.contains(what), "{told}");
}

#[test]
fn a_run_scores_everybody_outside_and_tells_how_well() {
    let tiny = project(&rows(2000));
    let (code, result, told) = run(&tiny, &[]);
    assert_eq!(code, 0, "{result} {told}");
    let found = &result["look_alikes"][0];
    assert_eq!((found["look_alikes"].as_str(), found["state"].as_str()), (Some("champions"), Some("fitted")), "{found}");
    assert_eq!((found["segment_set"].as_str(), found["segment"].as_str()), (Some("value"), Some("champions")));
    let count = |key: &str| found[key].as_u64().unwrap();
    assert_eq!((count("customers"), count("unknown") + (count("members") - count("known_members"))), (2000, 54), "{found}");
    assert_eq!(count("scored") + count("unknown") + count("members"), 2000);
    let number = |key: &str| found["evaluation"][key].as_f64().unwrap();
    assert!(number("auc") > 0.85 && number("lift_in_top_tenth") > 2.0 && number("greatest_lift") >= number("lift_in_top_tenth"), "{found}");
    assert!(found["columns"].as_array().unwrap().iter().all(|column| column["weight"].as_f64().unwrap() > 0.3), "{found}");
    // Members have none, and neither have those of whom a column is not known; the others have a probability.
    let members = "count(*) filter (where score >= 4), count(*) filter (where score >= 4 and similarity_to_champions is not null)";
    let query = format!(
        "select {members}, count(similarity_to_champions), min(similarity_to_champions) > 0 and max(similarity_to_champions) < 1, \
         count(*) filter (where reason is not null and similarity_to_champions is null) from t"
    );
    let [members, scored] = ["members", "scored"].map(|key| count(key).to_string());
    assert_eq!(ask(&tiny, &query), [[members.as_str(), "0", scored.as_str(), "true", "0"]]);
    let best = ask(&tiny, "select reason from t where similarity_to_champions is not null order by similarity_to_champions desc limit 1");
    assert!(["spent high", "visits high", "has_app high"].iter().all(|reason| best[0][0].contains(reason)), "{best:?}");
    let sizes = result["segments"].to_string();
    assert!(sizes.contains("rising"), "{sizes}");

    // The summary for people says the same.
    let summary = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--force"]);
    let summary = String::from_utf8(summary.stdout).unwrap() + &String::from_utf8(summary.stderr).unwrap();
    assert!(summary.contains("Look-alikes champions among 2,000 customers") && summary.contains("lift"), "{summary}");
}

#[test]
fn threads_and_order_change_no_byte_of_look_alikes() {
    let mut rows = rows(40_000);
    let tiny = project(&rows);
    let of = |threads: &str, destination: &str| {
        let (code, result, told) = run(&tiny, &["--threads", threads, "--destination", destination, "--force"]);
        assert_eq!(code, 0, "{result} {told}");
        let file = tiny.folder.path().join(destination).join("customers/as_of=2026-11-01/customers.parquet");
        (std::fs::read(file).unwrap(), result["look_alikes"].clone())
    };
    let first = of("1", "one");
    assert!(first == of("2", "two") && first == of("5", "five"));
    rows.reverse();
    rows.rotate_left(777);
    write_rows(&tiny, &rows);
    assert!(first == of("3", "shuffled"));
}

#[test]
fn what_cannot_be_compared_ends_in_a_named_state() {
    let all = rows(2000);
    let constant = |row: &String| {
        let cells: Vec<&str> = row.split(',').collect();
        format!("{},{},{},1,1,true", cells[0], cells[1], cells[2])
    };
    let all_members: Vec<String> = all
        .iter()
        .map(|row| row.replacen("Z,0", "Z,4", 1).replacen("Z,1", "Z,4", 1).replacen("Z,2", "Z,4", 1).replacen("Z,3", "Z,4", 1))
        .collect();
    for (state, rows) in [
        ("too_few_members", all[..100].to_vec()),
        ("too_few_members", Vec::new()),
        ("too_few_members", all[..1].to_vec()),
        ("too_few_others", all_members),
        ("columns_constant", all.iter().map(constant).collect()),
    ] {
        let tiny = project(&rows);
        let (code, result, told) = run(&tiny, &[]);
        assert_eq!(code, 0, "{state}: {result} {told}");
        let found = &result["look_alikes"][0];
        assert_eq!((found["state"].as_str(), found["scored"].as_u64()), (Some(state), Some(0)), "{found}");
        assert!(result["warnings"].to_string().contains("nobody has a similarity"), "{result}");
        assert_eq!(
            ask(&tiny, "select count(*), count(similarity_to_champions), count(reason) from t"),
            [[rows.len().to_string().as_str(), "0", "0"]]
        );
    }
}

#[test]
fn rows_that_cannot_be_compared_are_refused_by_kind() {
    let mut rows = rows(200);
    rows[3] = "c000003,2026-01-01T00:00:00Z,1,-1,3,true".to_owned();
    rows[4] = "c000004,2026-01-01T00:00:00Z,1,-7.5,3,true".to_owned();
    rows.push("c000050,2026-01-01T00:00:00Z,1,2,3,true".to_owned());
    rows.push(",2026-01-01T00:00:00Z,1,2,3,true".to_owned());
    let tiny = project(&rows);
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    for expected in [
        "`scores.people` has rows that the look-alike search `champions` cannot compare",
        "1 row without a customer in `customer_id`",
        "1 row of a customer who has a row already (`customer_id`)",
        "2 rows where `spent` is infinite, no number, or not more than -1, as `log1p` needs it",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert!(!told.contains("c000050"), "{told}");
}

/// The members are those of the rules with their parameters, the first that matches; who is held by memory alone is none.
#[test]
fn the_segment_is_what_its_rules_describe_today() {
    let tiny = project(&rows(2000));
    let members = |more: &[&str]| {
        let (code, result, told) = run(&tiny, &[&["--force"], more].concat());
        assert_eq!(code, 0, "{result} {told}");
        (result["look_alikes"][0]["members"].as_u64().unwrap(), result["segments"].clone())
    };
    let (of_default, sizes) = members(&[]);
    let champions = sizes.as_array().unwrap().iter().find(|size| size["segment"] == "champions").unwrap();
    assert_eq!(champions["customers"].as_u64(), Some(of_default), "{sizes}");
    assert!(members(&["--param", "champions_from=5"]).0 < of_default);
    // A rule before that takes some of them.
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("when: score < 0", "when: score = 5"));
    let (of_rest, _) = members(&[]);
    assert!(of_rest > 100 && of_rest < of_default, "{of_rest} of {of_default}");
}

#[test]
fn what_defines_the_segment_cannot_be_compared() {
    let tiny = project(&rows(10));
    for (column, what) in [
        ("score", "compares `score`, by which the rules of `value.champions` decide"),
        ("points", "compares `points`, which is `score`, by which the rules of `value.champions` decide"),
    ] {
        tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("visits: {}", &format!("{column}: {{}}")));
        refused(&tiny, "look-alike-column", what);
    }
}

#[test]
fn a_segment_whose_rules_read_what_is_made_of_it_is_refused() {
    let tiny = project(&rows(10));
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("segment_set: value, segment: champions", "segment_set: growth, segment: rising"));
    refused(&tiny, "look-alike-cycle", "whose rules read `similarity_to_champions`, which is made of it");
    // A model that reads its own similarity is a circle of models.
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    tiny.write("sql/scores/people.sql", "-- A customer.\nselect people.customer_id, score, spent, visits, has_app from sources.people as people left join similar.champions as own on own.customer_id = people.customer_id\n");
    let told = String::from_utf8(tiny.segmill(&["validate", "pipelines/tiny.yaml"]).stderr).unwrap();
    assert!(told.contains("similar.champions") && told.contains("scores.people"), "{told}");
}

#[test]
fn rules_are_proved_with_what_a_similarity_is_between() {
    let tiny = project(&rows(10));
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("similarity_to_champions >= 0.7", "similarity_to_champions > 1"));
    refused(&tiny, "rule-never-matches", "rising");
}

#[test]
fn cases_may_give_similarities_and_expect_them() {
    let tiny = project(&rows(10));
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("    similar_to:", "    minimum_members: 2\n    similar_to:"));
    tiny.write(
        "tests/models/similar.yaml",
        "\
- name: a similarity that is given reaches the segments
  model: segment_membership
  as_of: 2026-11-01
  given:
    scores.people:
      - {customer_id: a, score: 1}
      - {customer_id: b, score: 1}
    similar.champions:
      - {customer_id: a, similarity: 0.9}
      - {customer_id: b, similarity: 0.1}
  expect:
    - {customer_id: a, segment_set: growth, segment: rising}
    - {customer_id: a, segment_set: value, segment: others}
    - {customer_id: b, segment_set: value, segment: others}
- name: of few customers a similarity is computed
  model: similar.champions
  as_of: 2026-11-01
  given:
    scores.people:
      - {customer_id: a, score: 5, spent: 100, visits: 1, has_app: true}
      - {customer_id: b, score: 4, spent: 100, visits: 1, has_app: true}
      - {customer_id: c, score: 1, spent: 100, visits: 1, has_app: false}
      - {customer_id: d, score: 1, spent: 100, visits: 1, has_app: false}
      - {customer_id: e, score: 1, spent: 100}
  expect:
    - {customer_id: a, similarity: null, reason: null}
    - {customer_id: b, similarity: null, reason: null}
    - {customer_id: c, similarity: 0.2606492285001395, reason: null}
    - {customer_id: d, similarity: 0.2606492285001395, reason: null}
    - {customer_id: e, similarity: null, reason: null}
",
    );
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
}

/// Another rule of the segment is an edit of the project: who is like its members by it has moved for that reason, and not because of data.
#[test]
fn an_edit_of_the_segment_is_the_cause_of_what_moves_through_a_similarity() {
    let tiny = project(&rows(2000));
    let pipeline = format!("{PIPELINE}    segment_changes: {{model: segment_changes, sort: [segment_set, customer_id]}}\n");
    tiny.write("pipelines/tiny.yaml", &pipeline);
    assert_eq!(run(&tiny, &[]).0, 0);
    let causes = |day: &str| {
        let (code, result, told) = run_on(&tiny, day, &[]);
        assert_eq!(code, 0, "{result} {told}");
        let file = tiny.folder.path().join(format!("out/segment_changes/as_of={day}/segment_changes.parquet"));
        rows_of_parquet(&[file], "select cause, cause_detail, count(*) > 5 from t where segment_set = 'growth' group by 1, 2")
    };
    tiny.write("pipelines/tiny.yaml", &pipeline.replace("when: score >= $champions_from", "when: score = 4"));
    assert_eq!(causes("2026-11-02"), [["definition", "rule", "true"]]);
    tiny.write("pipelines/tiny.yaml", &pipeline);
    assert_eq!(causes("2026-11-03"), [["definition", "rule", "true"]]);
    let stricter = pipeline.replace("default: '4'", "default: '5'");
    tiny.write("pipelines/tiny.yaml", &stricter);
    assert_eq!(causes("2026-11-04"), [["definition", "parameter", "true"]]);
    tiny.write("pipelines/tiny.yaml", &stricter.replace("      visits: {}\n", ""));
    assert_eq!(causes("2026-11-05"), [["definition", "look-alike search", "true"]]);
}

/// The shipped orders, with champions as the shipped project has them: recent and frequent buyers, by fifths.
const BUYERS: &str = "\
-- A buyer.
with buyers as (
    select
        customer_id,
        $as_of - max(cast(ordered_at as date)) as recency_days,
        $as_of - min(cast(ordered_at as date)) as days_known,
        count(distinct order_id) as orders,
        count(distinct product_code) as products,
        cast(count(*) as double) / count(distinct order_id) as lines_of_order,
        sum(quantity * unit_price) as spent
    from sources.orders
    where customer_id is not null and quantity > 0 and unit_price > 0 and order_id not like 'C%'
    group by customer_id
),

fifths as (
    select
        percentile_cont(0.2) within group (order by cast(recency_days as double)) as recent,
        percentile_cont(0.6) within group (order by cast(orders as double)) as frequent
    from buyers
)

select
    buyers.*,
    cast(buyers.spent as double) / buyers.orders as average_order,
    buyers.recency_days <= fifths.recent as is_recent,
    buyers.orders > fifths.frequent as is_frequent
from buyers
cross join fifths
";

/// Look-alikes are found for a purpose: next month's champions are among them more often than among others.
#[test]
fn look_alikes_of_champions_become_champions_more_often_than_others() {
    let tiny = Tiny::new();
    let pipeline = "\
version: 1
name: tiny
sources:
  orders:
    location: ${EXTRACTS}/orders/*.parquet
    event_time: ordered_at
    reject_budget: {share: 0.01}
    columns:
      order_id: {from: InvoiceNo, type: string, required: true}
      product_code: {from: StockCode, type: string, required: true}
      quantity: {from: Quantity, type: integer, required: true}
      ordered_at: {from: InvoiceDate, type: timestamp, required: true}
      unit_price: {from: UnitPrice, type: 'decimal(18,3)', required: true}
      customer_id: {from: CustomerID, type: string}
look_alikes:
  champions:
    model: scores.buyers
    customer: customer_id
    similar_to: {segment_set: value, segment: champions}
    columns:
      spent: {transform: log1p}
      products: {transform: log1p}
      days_known: {transform: log1p}
      average_order: {transform: log1p}
      lines_of_order: {transform: log1p}
segments:
  value:
    kind: exclusive
    segments:
      - {name: champions, when: is_recent and is_frequent, description: The best, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
";
    tiny.write("pipelines/tiny.yaml", pipeline);
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    tiny.write("sql/scores/buyers.sql", BUYERS);
    let customers = "-- A customer.\nselect $as_of as day, buyers.customer_id, is_recent, is_frequent, similarity from scores.buyers as buyers \
                     left join similar.champions as similar on similar.customer_id = buyers.customer_id\n";
    tiny.write("sql/customers.sql", customers);
    let days: Vec<String> = (2..=12).map(|month| format!("2011-{month:02}-10")).collect();
    for day in &days {
        let arguments = ["run", "pipelines/tiny.yaml", "--as-of", day, "--format", "json"];
        let output = tiny.command(&arguments).env("EXTRACTS", crate::support::package().join("examples/data")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = &result["look_alikes"][0];
        let number = |key: &str| found["evaluation"][key].as_f64().unwrap();
        assert!(found["state"] == "fitted" && number("auc") > 0.7 && number("lift_in_top_tenth") > 2.0, "{found}");
    }
    let files: Vec<_> = days.iter().map(|day| tiny.folder.path().join(format!("out/customers/as_of={day}/customers.parquet"))).collect();
    let query = "
        with outside as (
            select
                day, customer_id,
                row_number() over (partition by day order by similarity desc, customer_id) <= count(*) over (partition by day) / 10 as is_tenth
            from t where not (is_recent and is_frequent)
        )
        select
            avg(case when later.is_recent and later.is_frequent then 1.0 else 0.0 end) filter (where is_tenth),
            avg(case when later.is_recent and later.is_frequent then 1.0 else 0.0 end)
        from outside
        left join t as later on later.customer_id = outside.customer_id and later.day = outside.day + interval '1 month'
        where outside.day < date '2011-12-10'";
    let rates: Vec<f64> = rows_of_parquet(&files, query)[0].iter().map(|rate| rate.parse().unwrap()).collect();
    let lift = rates[0] / rates[1];
    // About 0.35 and 0.10.
    assert!(lift > 3.0, "{rates:?}: lift {lift}");
}
