use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Date32Type};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use serde_json::Value;

use crate::support::{package, rows_of_parquet};
use crate::tiny::Tiny;

const PIPELINE: &str = "\
version: 1
name: months
parameters:
  many: {type: integer, default: '4', description: Orders that make somebody a regular}
sources:
  orders:
    location: extracts/orders.csv
    event_time: ordered_at
    columns:
      customer_id: {type: string, required: true}
      ordered_at: {type: timestamp, required: true}
segments:
  value:
    kind: exclusive
    segments:
      - {name: regulars, when: orders >= $many and days <= 60, stay: orders >= $many and days <= 90, description: d, action: a, channel: email}
      - {name: recent, when: days <= 30, minimum_stay_days: 45, description: d, action: a, channel: email}
      - {name: quiet, when: days > 120, cooldown_days: 40, description: d, action: a, channel: email}
      - {name: others, when: 'true', description: d, action: a, channel: email}
  audiences:
    kind: overlapping
    segments:
      - {name: active, when: days <= 30, stay: days <= 60, description: d, action: a, channel: email}
      - {name: often, when: orders >= 10, description: d, action: a, channel: email}
outputs:
  destination: out
  tables:
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}
";

const CUSTOMERS: &str = "\
-- A customer.
select customer_id, count(*) as orders, cast($as_of as date) - cast(max(ordered_at) as date) as days
from staging.orders group by customer_id
";

const TABLES: [&str; 2] = ["segment_membership", "segment_changes"];
const THIRD: &str = "2011-03-10";

/// The real orders, a row each, of a project with a memory.
fn months() -> Tiny {
    let project = Tiny { folder: tempfile::tempdir().unwrap() };
    let orders = rows_of_parquet(
        &[package().join("examples/data/orders/online_retail.parquet")],
        r#"select "CustomerID", "InvoiceNo", cast(min("InvoiceDate") as date) from t
           where "CustomerID" is not null and "InvoiceNo" not like 'C%' group by 1, 2 order by 1, 2"#,
    );
    assert!(orders.len() > 15_000, "{}", orders.len());
    let rows: Vec<String> = orders.iter().map(|row| format!("{},{}T12:00:00Z", row[0], row[2])).collect();
    project.write("extracts/orders.csv", &format!("customer_id,ordered_at\n{}\n", rows.join("\n")));
    project.write("pipelines/tiny.yaml", PIPELINE);
    project.write("sql/staging/orders.sql", "-- An order.\nselect customer_id, ordered_at from sources.orders\n");
    project.write("sql/customers.sql", CUSTOMERS);
    project
}

fn run(project: &Tiny, arguments: &[&str]) -> Value {
    let all = [&["run", "pipelines/tiny.yaml", "--format", "json"], arguments].concat();
    let output = project.segmill(&all);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn outputs(project: &Tiny, day: &str) -> Value {
    let output = project.segmill(&["outputs", "pipelines/tiny.yaml", "--format", "json", "--as-of", day]);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn days() -> Vec<String> {
    (1..=12).map(|month| format!("2011-{month:02}-10")).collect()
}

/// The bytes of every table of every day, and of the state.
fn bytes(project: &Tiny) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for day in days() {
        for table in TABLES {
            let path = format!("out/{table}/as_of={day}/{table}.parquet");
            found.insert(path.clone(), std::fs::read(project.folder.path().join(path)).unwrap());
        }
    }
    found
}

type Member = (String, String, String);

/// The answer of a query over the folders of all days: texts, with days as numbers.
async fn ask(folder: &Path, query: &str) -> Vec<Vec<Option<String>>> {
    let context = SessionContext::new();
    for table in TABLES {
        let options = ParquetReadOptions::default().table_partition_cols(vec![("as_of".to_owned(), DataType::Date32)]);
        context.register_parquet(table, folder.join("out").join(table).to_str().unwrap(), options).await.unwrap();
    }
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in batches {
        let column = |array: &arrow::array::ArrayRef| -> Vec<Option<String>> {
            match array.data_type() {
                DataType::Date32 => array.as_primitive::<Date32Type>().iter().map(|day| day.map(|day| format!("{day:06}"))).collect(),
                _ => {
                    let text = arrow::compute::cast(array, &DataType::Utf8).unwrap();
                    text.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
                }
            }
        };
        let columns: Vec<_> = batch.columns().iter().map(column).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>()));
    }
    rows
}

fn member(row: &[Option<String>]) -> Member {
    let text = |at: usize| row[at].clone().unwrap();
    (text(0), text(1), text(2))
}

/// The memberships of every day, from the publications themselves.
async fn memberships(folder: &Path) -> BTreeMap<String, BTreeSet<Member>> {
    let mut found: BTreeMap<String, BTreeSet<Member>> = BTreeMap::new();
    for row in ask(folder, "select customer_id, segment_set, segment, as_of from segment_membership").await {
        found.entry(row[3].clone().unwrap()).or_default().insert(member(&row));
    }
    found
}

#[test]
fn twelve_months_of_real_orders_are_told_without_gap_or_overlap() {
    let project = months();
    run(&project, &["--from", "2011-01-10", "--to", "2011-12-10", "--every", "month"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(hold(project.folder.path()));
}

/// Holds the history of all days, as the folders tell it, to the memberships of each.
async fn hold(folder: &Path) {
    let truth = memberships(folder).await;
    assert_eq!(truth.len(), 12);

    let view = std::fs::read_to_string(package().join("examples/segment_history.sql")).unwrap();
    let history = ask(folder, &view[view.find("with events").unwrap()..]).await;
    let (from, to) = (|row: &[Option<String>]| row[3].clone().unwrap(), |row: &[Option<String>]| row[4].clone());
    for (day, members) in &truth {
        let on_day = history.iter().filter(|row| from(row) <= *day && to(row).is_none_or(|to| *day < to));
        let then: Vec<Member> = on_day.map(|row| member(row)).collect();
        assert_eq!(then.len(), members.len(), "as of {day}");
        assert_eq!(&then.into_iter().collect::<BTreeSet<_>>(), members, "as of {day}");
    }
    // One after the other without a gap in an exclusive set, and no stay shorter than the segment asks for.
    let mut of_customer: BTreeMap<String, Vec<&Vec<Option<String>>>> = BTreeMap::new();
    for row in history.iter().filter(|row| row[1].as_deref() == Some("value")) {
        of_customer.entry(row[0].clone().unwrap()).or_default().push(row);
    }
    assert!(of_customer.len() > 3_000, "{}", of_customer.len());
    for (customer, mut rows) in of_customer {
        rows.sort_by_key(|row| from(row));
        assert!(rows.windows(2).all(|pair| to(pair[0]) == Some(from(pair[1]))), "{customer}");
        assert_eq!(rows.last().map(|row| to(row)), Some(None), "{customer}");
        for row in rows.iter().filter(|row| row[2].as_deref() == Some("recent")) {
            let days = |text: String| text.parse::<i32>().unwrap();
            assert!(to(row).is_none_or(|to| days(to) - days(from(row)) >= 45), "{customer} left too early");
        }
    }

    // The changes of the days between lead from any day to any later one.
    let changes = ask(folder, "select customer_id, segment_set, from_segment, to_segment, as_of from segment_changes").await;
    assert!(changes.len() > 5_000, "{}", changes.len());
    let all: Vec<(&String, &BTreeSet<Member>)> = truth.iter().collect();
    for (at, (_, start)) in all.iter().enumerate() {
        let mut now = (*start).clone();
        for (day, members) in &all[at + 1..] {
            for row in changes.iter().filter(|row| row[4].as_ref() == Some(*day)) {
                let of = |segment: &String| (row[0].clone().unwrap(), row[1].clone().unwrap(), segment.clone());
                assert!(row[2].as_ref().is_none_or(|from| now.remove(&of(from))));
                assert!(row[3].as_ref().is_none_or(|to| now.insert(of(to))));
            }
            assert_eq!(&now, *members, "as of {day}");
        }
    }
    let held: BTreeSet<String> =
        ask(folder, "select distinct held_by from segment_membership").await.into_iter().filter_map(|mut row| row[0].take()).collect();
    assert_eq!(held.into_iter().collect::<Vec<_>>(), ["minimum_stay", "rule", "stay"]);
}

#[test]
fn the_bytes_are_the_same_one_by_one_by_backfill_and_after_the_chain_was_brought_up_to_date() {
    let project = months();
    let whole = run(&project, &["--from", "2011-01-10", "--to", "2011-12-10", "--every", "month"]);
    let avoided = |of: &Value| of["avoided_changes"][0]["changes"].as_u64().unwrap();
    assert!(whole["runs"].as_array().unwrap().iter().map(avoided).sum::<u64>() > 0, "the memory has avoided no change");
    let expected = bytes(&project);

    let other = months();
    for day in days() {
        assert_eq!(run(&other, &["--as-of", &day])["status"], "published");
    }
    assert!(bytes(&other) == expected, "one by one gives other bytes");
    assert_eq!(outputs(&other, THIRD)["superseded_predecessor"], Value::Null);
    assert_eq!(outputs(&other, THIRD)["predecessor"]["as_of"], "2011-02-10");

    // The third day with another parameter: all days after it are built on what is superseded.
    let changed = run(&other, &["--as-of", THIRD, "--param", "many=2"]);
    let warning = changed["warnings"].to_string();
    assert!(warning.contains("2011-04-10") && warning.contains("--chain"), "{warning}");
    let record = other.read(&format!("out/runs/{}/record.json", changed["run_id"].as_str().unwrap()));
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["superseded"].as_object().unwrap().len(), 9, "{}", record["superseded"]);
    assert_eq!(record["predecessor"]["as_of"], "2011-02-10");
    for (day, is_superseded) in [("2011-02-10", false), (THIRD, false), ("2011-04-10", true), ("2011-12-10", true)] {
        assert_eq!(outputs(&other, day)["superseded_predecessor"].is_string(), is_superseded, "{day}");
    }
    let brought = run(&other, &["--chain"]);
    assert!(brought["published"].as_u64().unwrap() >= 1, "{brought}");
    assert_eq!(outputs(&other, "2011-12-10")["superseded_predecessor"], Value::Null);
    assert_eq!(run(&other, &["--chain"])["days"], 0, "nothing is left to be brought up to date");
    assert!(bytes(&other) != expected);

    // A day keeps the parameters that it was published with when the chain below it changes.
    run(&other, &["--as-of", "2011-02-10", "--param", "many=3"]);
    run(&other, &["--chain"]);
    assert_eq!(run(&other, &["--as-of", THIRD, "--param", "many=2"])["status"], "unchanged");

    // Back again.
    run(&other, &["--as-of", "2011-02-10"]);
    run(&other, &["--as-of", THIRD]);
    run(&other, &["--chain"]);
    assert!(bytes(&other) == expected, "the chain that was brought up to date gives other bytes");

    // A day that is put between, from which the next one is built on; and a predecessor that clean leaves alone.
    run(&other, &["--as-of", "2011-11-20"]);
    let told = outputs(&other, "2011-12-10")["superseded_predecessor"].as_str().unwrap().to_owned();
    assert!(told.contains("2011-11-20"), "{told}");
}

#[test]
fn clean_leaves_the_predecessor_of_a_kept_day_alone_and_running_that_day_again_changes_nothing() {
    let project = months();
    project.write("pipelines/tiny.yaml", &PIPELINE.replace("  destination: out\n", "  destination: out\n  keep: {days: 2}\n"));
    run(&project, &["--from", "2011-01-10", "--to", "2011-05-10", "--every", "month"]);
    let clean = ["clean", "pipelines/tiny.yaml", "--remove", "--grace", "0s"];
    let output = project.segmill(&clean);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let is_there = |day: &str| project.folder.path().join(format!("out/segment_membership/as_of={day}")).exists();
    let there: Vec<String> = days().into_iter().filter(|day| is_there(day)).collect();
    assert_eq!(there, ["2011-03-10", "2011-04-10", "2011-05-10"]);
    // What the oldest of them was built on is gone, which takes nothing from it.
    for day in &there {
        assert_eq!(run(&project, &["--as-of", day])["status"], "unchanged", "{day}");
        assert_eq!(outputs(&project, day)["superseded_predecessor"], Value::Null, "{day}");
    }
    assert_eq!(run(&project, &["--chain"])["days"], 0);
}

#[test]
fn nobody_moves_because_a_segment_has_another_name() {
    let project = months();
    run(&project, &["--as-of", "2011-05-10"]);
    let renamed = PIPELINE
        .replace("{name: recent, ", "{name: fresh, formerly: [recent], ")
        .replace("  audiences:\n    kind: overlapping\n", "  groups:\n    kind: overlapping\n    formerly: [audiences]\n");
    project.write("pipelines/tiny.yaml", &renamed);
    let told = run(&project, &["--as-of", "2011-05-11"]);
    let rows =
        |told: &Value| told["outputs"].as_array().unwrap().iter().find(|of| of["table"] == "segment_changes").unwrap()["rows"].clone();
    let with_names = rows(&told).as_u64().unwrap();
    // Without the old names everybody in them leaves and enters.
    project.write("pipelines/tiny.yaml", &renamed.replace("formerly: [recent], ", "").replace("    formerly: [audiences]\n", ""));
    let without = rows(&run(&project, &["--as-of", "2011-05-11"])).as_u64().unwrap();
    assert!(with_names < 200 && without > with_names + 500, "{with_names} and {without} changes");
}
