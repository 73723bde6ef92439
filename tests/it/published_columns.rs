//! The table of columns: what each published column is and means, for programs and people who read the tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::{default_sample, rows_of_parquet};
use crate::tiny::Tiny;

/// A project whose profile is described, in a few ways.
const PIPELINE: &str = "\
version: 1
name: tiny
sources:
  orders:
    location: extracts/*.csv
    event_time: ordered_at
    columns:
      customer_id: {type: string, required: true, personal: true}
      ordered_at: {type: timestamp, required: true}
profile:
  columns:
    customer_id: {base: identity, description: Who it is}
    orders: {base: behavioural, unit: orders, min: 1, max: 1000, required: true, description: 'Orders, all of them'}
    kind: {accepted: [once, often], description: How often}
segments:
  value:
    kind: exclusive
    segments:
      - {name: buyers, when: orders > 1, description: Came back, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
  told:
    kind: overlapping
    segments:
      - {name: some, when: kind = 'often', stay: orders > 0, description: Some, action: None, channel: none}
checks:
  - {name: known, not_null: {table: people, columns: [kind]}}
outputs:
  destination: out
  tables:
    people: {model: customers, sort: [customer_id]}
    sizes: {model: sizes, sort: [segment_set, segment], columns: {members: How many there are}}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    columns: {model: published_columns, sort: [table_name, position]}
";

const CUSTOMERS: &str = "\
-- A customer.
select customer_id, count(*) as orders, case when count(*) > 1 then 'often' else 'once' end as kind from staging.orders group by customer_id
";

fn project() -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    tiny.write("sql/customers.sql", CUSTOMERS);
    tiny.write(
        "sql/sizes.sql",
        "-- A segment.\nselect segment_set, segment, min(customer_id) as customer_id, count(*) as members from segment_membership group by segment_set, segment\n",
    );
    tiny
}

fn run(tiny: &Tiny) -> String {
    let output = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--force"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

fn file(tiny: &Tiny, table: &str) -> PathBuf {
    tiny.folder.path().join(format!("out/{table}/as_of=2026-11-01/{table}.parquet"))
}

fn ask(tiny: &Tiny, query: &str) -> Vec<Vec<String>> {
    rows_of_parquet(&[file(tiny, "columns")], query)
}

#[test]
fn every_column_of_every_table_is_told_with_its_meaning_and_its_readers() {
    let tiny = project();
    run(&tiny);
    let told = ask(
        &tiny,
        "select position, column_name, column_type, is_required, is_personal, coalesce(base, '-'), coalesce(unit, '-'), description,
         coalesce(accepted_values, '-'), coalesce(min_value, '-'), coalesce(max_value, '-'), coalesce(used_by, '-')
         from t where table_name = 'people' order by position",
    );
    let lines: Vec<String> = told.iter().map(|row| row.join("|")).collect();
    assert_eq!(
        lines,
        [
            "1|customer_id|string|false|true|identity|-|Who it is|-|-|-|-",
            "2|orders|integer|true|false|behavioural|orders|Orders, all of them|-|1|1000|told.some, value.buyers",
            "3|kind|string|true|false|-|-|How often|once, often|-|-|told.some",
        ]
    );
    let order = ask(&tiny, "select table_name, position from t");
    let mut sorted = order.clone();
    sorted.sort_by_key(|row| (row[0].clone(), row[1].parse::<u32>().unwrap()));
    assert_eq!(order, sorted);
    // Tables that Segmill makes are described by it, and so are columns that models take from them unchanged.
    let told = ask(&tiny, "select column_name, description from t where table_name = 'sizes' order by position");
    let expected = [["segment_set", "The set"], ["segment", "The segment that the customer is in"], ["members", "How many there are"]];
    assert_eq!([&told[..2], &told[3..]].concat(), expected.map(|row| row.map(str::to_owned).to_vec()));
    let undescribed = ask(&tiny, "select count(*) from t where description is null and table_name <> 'sizes'");
    assert_eq!(undescribed, [["0"]]);
    let tables = ask(&tiny, "select distinct table_name from t order by 1");
    assert_eq!(tables.concat(), ["columns", "people", "rejected", "segment_membership", "sizes"]);
}

#[test]
fn a_description_of_what_is_not_there_is_refused_at_its_place() {
    let tiny = project();
    let wrong = PIPELINE.replace("columns: {members: ", "columns: {member: ").replace("    kind: {accepted", "    kinds: {accepted");
    tiny.write("pipelines/tiny.yaml", &wrong);
    let output = tiny.command(&["validate", "pipelines/tiny.yaml"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for what in [
        "the profile `customers` has no column `kinds`",
        "the output `sizes` has no column `member` to describe",
        "did you mean `members`?",
    ] {
        assert!(told.contains(what), "{what}\n{told}");
    }
}

/// What is said of a column moves nobody, and `plan` tells that it is said otherwise.
#[test]
fn an_edit_of_a_description_is_none_of_the_definition() {
    let tiny = project();
    run(&tiny);
    let edited = PIPELINE
        .replace("description: How often", "unit: times, base: engagement, description: How often they come")
        .replace("How many there are", "How many are in it");
    tiny.write("pipelines/tiny.yaml", &edited);
    let output = tiny.command(&["plan", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("profile") && told.contains("outputs.tables"), "{told}");
    let output = tiny.command(&["plan", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let definition = told.to_string();
    assert!(definition.contains("\"definition\":[]"), "{definition}");
}

/// A look at the table has all of it, though it computes nothing else, and models after the profile can read it.
#[test]
fn the_table_can_be_looked_at_and_read_by_models() {
    let tiny = project();
    tiny.write("sql/undescribed.sql", "-- A column.\nselect table_name, column_name from published_columns where description is null\n");
    let with = PIPELINE.to_owned() + "    undescribed: {model: undescribed, sort: [table_name, column_name]}\n";
    tiny.write("pipelines/tiny.yaml", &with);
    run(&tiny);
    let query = "select count(*) as n from published_columns";
    let output = tiny.command(&["query", query, "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "csv"]).output().unwrap();
    let count = ask(&tiny, "select count(*) from t")[0][0].clone();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("n\n{count}"), "{}", String::from_utf8_lossy(&output.stderr));
    let undescribed = rows_of_parquet(&[file(&tiny, "undescribed")], "select column_name from t where table_name = 'sizes'");
    // `min(customer_id)` is not the customer's id unchanged; who knows what it means.
    assert_eq!(undescribed, [["customer_id"]]);
}

/// The sample's tables have exactly the columns, types and order that the table of columns says, and each is described.
#[test]
fn the_sample_is_described_as_it_is() {
    let publication = default_sample();
    let commit = std::fs::read_to_string(publication.folder.path().join("commits/00000001.json")).unwrap();
    let commit: serde_json::Value = serde_json::from_str(&commit).unwrap();
    let told = publication
        .ask("select table_name, column_name, column_type, coalesce(description, '') from columns order by table_name, position");
    let mut columns: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in told {
        assert!(!row[3].is_empty(), "{row:?}");
        columns.entry(row[0].clone()).or_default().push((row[1].clone(), row[2].clone()));
    }
    for (table, of) in commit["tables"].as_object().unwrap() {
        let expected: Vec<(String, String)> = of["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| (column["name"].as_str().unwrap().to_owned(), column["type"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(columns.remove(table), Some(expected), "{table}");
    }
    assert!(columns.is_empty(), "{columns:?}");
}
