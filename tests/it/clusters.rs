//! Clusters as a user sees them: in a run's tables, summary and record, over many days, in cases, and in what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::{package, rows_of_parquet};
use crate::tiny::Tiny;

/// A project whose customers are rows of an extract, for each of several days.
const PIPELINE: &str = "\
version: 1
name: tiny
sources:
  days:
    location: extracts/days.csv
    event_time: at
    columns:
      customer_id: {type: string}
      at: {type: timestamp, required: true}
      day: {type: date}
      recency: {type: integer}
      orders: {type: integer}
      spent: {type: 'decimal(18,3)'}
      order_value: {type: 'decimal(38,6)'}
      price: {type: 'decimal(38,6)'}
      lines: {type: 'decimal(38,6)'}
      country: {type: string}
clusters:
  buying:
    model: features.buying
    customer: customer_id
    columns:
      recency: {transform: log1p}
      orders: {transform: log1p}
      spent: {transform: log1p}
    k: 4
    describe_by: [country]
  style:
    model: features.buying
    customer: customer_id
    columns:
      order_value: {transform: log1p}
      price: {transform: log1p}
      lines: {transform: log1p}
    k: 4
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    buying_groups: {model: clustered.buying_groups, sort: [cluster_number]}
    style_groups: {model: clustered.style_groups, sort: [cluster_number]}
";

const BUYING: &str = "\
-- A customer.
select customer_id, recency, orders, spent, order_value, price, lines, country from sources.days where day = $as_of
";

const CUSTOMERS: &str = "\
-- A customer.
select buying.customer_id, buying.cluster_number as buying, buying.distance_to_centre, style.cluster_number as style
from clustered.buying as buying
inner join clustered.style as style on buying.customer_id = style.customer_id
";

/// What the real orders say of every buyer on the tenth of every month of 2011: the days since the last order, orders, gross spend, and how
/// the customer buys.
const DAYS: &str = r#"
with orders as (
    select "CustomerID" as customer, "InvoiceNo", min("Country") as country, cast(min("InvoiceDate") as date) as day,
        sum(cast("Quantity" * "UnitPrice" as decimal(18, 3))) as spent, sum(cast("Quantity" as bigint)) as pieces, count(*) as lines
    from t
    where "CustomerID" is not null and "InvoiceNo" not like 'C%' and "Quantity" > 0 and "UnitPrice" > 0
    group by 1, 2
),
days as (select make_date(2011, cast(month as int), 10) as day from generate_series(1, 12) as months(month))
select cast(customer as varchar) as id, days.day, days.day - max(orders.day), count(*), sum(spent), cast(sum(spent) as double) / count(*),
    cast(sum(spent) as double) / sum(pieces), cast(sum(lines) as double) / count(*), min(country)
from days inner join orders on orders.day < days.day group by customer, days.day order by days.day, id
"#;

/// The extract of the real orders, which is made once.
fn days() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let file = package().join("examples/data/orders/online_retail.parquet");
        let mut text = "customer_id,at,day,recency,orders,spent,order_value,price,lines,country\n".to_owned();
        for row in rows_of_parquet(&[file], DAYS) {
            let recency = row[2].split(' ').next().unwrap();
            let number = |at: usize| format!("{:.6}", row[at].parse::<f64>().unwrap());
            let [value, price, lines] = [5, 6, 7].map(number);
            writeln!(text, "{},2010-01-01T00:00:00Z,{},{recency},{},{},{value},{price},{lines},{}", row[0], row[1], row[3], row[4], row[8])
                .unwrap();
        }
        text
    })
}

fn project(text: &str) -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    tiny.write("sql/features/buying.sql", BUYING);
    tiny.write("sql/customers.sql", CUSTOMERS);
    tiny.write("extracts/days.csv", text);
    tiny
}

/// Customers of one day by their recency, orders and spend, and how they buy.
fn rows(customers: &[(&str, Option<f64>, f64, f64)]) -> String {
    let mut text = "customer_id,at,day,recency,orders,spent,order_value,price,lines,country\n".to_owned();
    for (id, recency, orders, spent) in customers {
        let recency = recency.map(|days| days.to_string()).unwrap_or_default();
        for day in ["2026-05-01", "2026-05-02", "2026-05-03"] {
            writeln!(text, "{id},2026-01-01T00:00:00Z,{day},{recency},{orders},{spent:.3},{spent:.3},1,{orders},").unwrap();
        }
    }
    text
}

fn run(tiny: &Tiny, day: &str, more: &[&str]) -> Value {
    let arguments = [&["run", "pipelines/tiny.yaml", "--as-of", day, "--format", "json"], more].concat();
    let output = tiny.segmill(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is reported of some clusters.
fn report<'a>(result: &'a Value, name: &str) -> &'a Value {
    result["clusters"].as_array().unwrap().iter().find(|report| report["clusters"] == name).unwrap()
}

/// By customer, the number of the cluster; none for who is in none.
fn members(tiny: &Tiny, day: &str, column: &str) -> BTreeMap<String, String> {
    let file = tiny.folder.path().join(format!("out/customers/as_of={day}/customers.parquet"));
    let rows = rows_of_parquet(&[file], &format!("select customer_id, {column} from t where {column} is not null"));
    rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
}

/// How many keep their number, how many at most could under any assignment of numbers to groups, and how many are in a group both times.
fn kept(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> (u64, u64, u64) {
    let (mut shared, mut kept, mut both) = (BTreeMap::<(&str, &str), u64>::new(), 0, 0);
    for (id, label) in now {
        if let Some(old) = before.get(id) {
            *shared.entry((label, old)).or_default() += 1;
            kept += u64::from(label == old);
            both += 1;
        }
    }
    let groups: Vec<&str> = now.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
    let olds: Vec<&str> = before.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
    (kept, most(&groups, &olds, &shared), both)
}

/// The most that any assignment of old numbers to groups shares, tried one by one.
fn most(groups: &[&str], olds: &[&str], shared: &BTreeMap<(&str, &str), u64>) -> u64 {
    let Some((first, rest)) = groups.split_first() else { return 0 };
    let without = |old: &str| olds.iter().copied().filter(|other| *other != old).collect::<Vec<_>>();
    let with = olds.iter().map(|old| shared.get(&(first, old)).copied().unwrap_or(0) + most(rest, &without(old), shared));
    with.chain([most(rest, olds, shared)]).max().unwrap_or(0)
}

#[test]
fn numbers_stay_with_the_real_customers_over_a_year() {
    let tiny = project(days());
    let mut before: [BTreeMap<String, String>; 2] = Default::default();
    let (mut kept_of, mut most_of, mut all, mut told) = ([0, 0], [0, 0], [0, 0], String::new());
    let mut seen: [BTreeSet<u64>; 2] = Default::default();
    for month in 1..=12 {
        let day = format!("2011-{month:02}-10");
        let result = run(&tiny, &day, &[]);
        for (at, name) in ["buying", "style"].into_iter().enumerate() {
            let now = members(&tiny, &day, name);
            let found = report(&result, name);
            let (kept, most, both) = kept(&before[at], &now);
            assert_eq!((found["customers_kept"].as_u64(), found["customers_in_both"].as_u64()), (Some(kept), Some(both)), "{day} {found}");
            writeln!(told, "{day} {name}: {kept} of {both} kept their number, {most} at most could").unwrap();
            (kept_of[at], most_of[at], all[at]) = (kept_of[at] + kept, most_of[at] + most, all[at] + both);
            // What became of every group is told, and a group that is born has a number that none has had.
            for group in found["groups"].as_array().unwrap() {
                let cluster = group["cluster"].as_u64().unwrap();
                match group["change"].as_str().unwrap() {
                    "new" => assert_eq!(month, 1),
                    "kept" => assert!(seen[at].contains(&cluster) && group["customers_kept"].as_u64() > Some(0), "{group}"),
                    "died" => assert_eq!(group["customers"], 0),
                    "born" | "split" => assert!(!seen[at].contains(&cluster), "{day} {group}"),
                    other => panic!("{other}"),
                }
                seen[at].insert(cluster);
            }
            before[at] = now;
        }
        if month == 12 {
            of_the_last_day(&result, &before[0]);
        }
    }
    // Whoever is grouped by how long ago the last order was moves on within a month; how a customer buys stays.
    assert!(10 * kept_of[1] >= 9 * all[1], "{told}");
    for at in [0, 1] {
        assert!(100 * kept_of[at] >= 96 * most_of[at], "{told}");
    }
}

/// The numbers of the reference: k-means by scikit-learn, on the same orders. The groups go on from those of the months before.
fn of_the_last_day(result: &Value, members: &BTreeMap<String, String>) {
    let found = report(result, "buying");
    assert_eq!((found["state"].as_str(), members.len()), (Some("found"), 4338));
    let inertia = found["inertia"].as_f64().unwrap();
    assert!(inertia <= 3924.4 * 1.02, "{found}");
}

#[test]
fn the_reference_numbers_of_the_real_orders_hold() {
    let tiny = project(days());
    let result = run(&tiny, "2011-12-10", &[]);
    let found = report(&result, "buying");
    let inertia = found["inertia"].as_f64().unwrap();
    assert!(inertia <= 3926.3, "{inertia}");
    let silhouette = found["silhouette"].as_f64().unwrap();
    assert!((silhouette - 0.335).abs() <= 0.002, "{silhouette}");
    let groups = found["groups"].as_array().unwrap();
    let sizes: Vec<f64> = groups.iter().map(|group| group["customers"].as_f64().unwrap()).collect();
    for (size, expected) in sizes.iter().zip([1575.0, 1161.0, 877.0, 725.0]) {
        assert!((size / expected - 1.0).abs() <= 0.01, "{sizes:?}");
    }
    assert!(groups.iter().all(|group| group["change"] == "new" && group["description"].is_string()), "{found}");
    assert!(groups[3]["description"].as_str().unwrap().contains("orders much higher"), "{}", groups[3]);

    let file = tiny.folder.path().join("out/buying_groups/as_of=2011-12-10/buying_groups.parquet");
    let told = rows_of_parquet(&[file], "select cluster_number, change, customers, customers_before, description is not null from t");
    let expected = groups.iter().map(|group| {
        let text = |key: &str| group[key].to_string().trim_matches('"').to_owned();
        vec![text("cluster"), text("change"), text("customers"), "0".to_owned(), "true".to_owned()]
    });
    assert_eq!(told, expected.collect::<Vec<_>>());
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2011-12-10", "--force"]);
    let summary = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(summary.contains("Clusters buying: 4 of 4,338 customers, inertia 3924."), "{summary}");
}

#[test]
fn threads_and_order_change_no_byte_of_clusters() {
    let tiny = project(days());
    let of = |threads: &str, destination: &str| {
        let more = ["--threads", threads, "--destination", destination];
        run(&tiny, "2011-11-10", &more);
        run(&tiny, "2011-12-10", &more);
        let file = |table: &str| {
            let folder = tiny.folder.path().join(destination).join(format!("{table}/as_of=2011-12-10/{table}.parquet"));
            std::fs::read(folder).unwrap()
        };
        (file("customers"), file("buying_groups"), file("style_groups"))
    };
    let first = of("1", "one");
    assert!(first == of("2", "two") && first == of("5", "five"));
    let (head, rows) = days().split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    rows.rotate_left(777);
    tiny.write("extracts/days.csv", &format!("{head}\n{}\n", rows.join("\n")));
    assert!(first == of("3", "shuffled"));
}

/// Three places that are apart, ten customers each.
fn apart() -> Vec<(String, Option<f64>, f64, f64)> {
    let at = |place: usize, number: u8| {
        let spent = [900.0, 80.0, 9.0][place] * (1.0 + 0.01 * f64::from(number));
        (format!("{place}{number:02}"), Some([1.0, 50.0, 300.0][place]), [40.0, 5.0, 1.0][place], spent)
    };
    (0..3).flat_map(|place| (0..10).map(move |number| at(place, number))).collect()
}

fn rows_of(customers: &[(String, Option<f64>, f64, f64)]) -> String {
    rows(&customers.iter().map(|(id, recency, orders, spent)| (id.as_str(), *recency, *orders, *spent)).collect::<Vec<_>>())
}

#[test]
fn what_cannot_be_grouped_ends_in_a_named_state() {
    let three = [("a", Some(1.0), 1.0, 1.0), ("b", Some(2.0), 5.0, 9.0), ("c", Some(2.0), 5.0, 9.0)];
    let same = [("a", Some(1.0), 1.0, 1.0), ("b", Some(1.0), 1.0, 1.0)];
    let nobody = [("a", None, 1.0, 1.0)];
    for (what, customers, state, groups, warning) in [
        (
            "fewer different customers than groups",
            &three[..],
            "too_few_different",
            2,
            "customers differ too little for 4 groups; there are 2",
        ),
        ("all the same", &same, "too_few_different", 1, "all customers are the same"),
        ("one customer", &same[..1], "too_few_different", 1, "all customers are the same"),
        ("a column is null", &nobody, "no_customers", 0, "no customer has a value in all of its columns"),
        ("no rows", &[], "no_customers", 0, "no customer has a value in all of its columns"),
    ] {
        let tiny = project(&rows(customers));
        let result = run(&tiny, "2026-05-01", &[]);
        let found = report(&result, "buying");
        assert_eq!((found["state"].as_str(), found["groups"].as_array().unwrap().len()), (Some(state), groups), "{what}: {found}");
        assert!(result["warnings"].to_string().contains(warning), "{what}: {result}");
    }
    // A column in which everybody is the same does not count, and is told.
    let tiny =
        project(&rows(&[("a", Some(1.0), 3.0, 1.0), ("b", Some(2.0), 3.0, 9.0), ("c", Some(9.0), 3.0, 5.0), ("d", Some(7.0), 3.0, 2.0)]));
    let result = run(&tiny, "2026-05-01", &[]);
    assert_eq!(report(&result, "buying")["constant_columns"], json!(["orders"]));
    assert!(result["warnings"].to_string().contains("clustered.buying: everybody is the same in `orders`"), "{result}");
}

#[test]
fn another_number_of_groups_keeps_the_numbers_of_those_that_stay() {
    let tiny = project(&rows_of(&apart()));
    let pipeline = PIPELINE.replacen("k: 4", "k: {min: 2, max: 6}", 1);
    tiny.write("pipelines/tiny.yaml", &pipeline);
    let result = run(&tiny, "2026-05-01", &[]);
    let found = report(&result, "buying");
    assert_eq!((found["groups"].as_array().unwrap().len(), found["tried"].as_array().unwrap().len()), (3, 5), "{found}");
    let before = members(&tiny, "2026-05-01", "buying");
    // Fewer groups are asked for: one group takes up another.
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("k: 4", "k: 2", 1));
    let result = run(&tiny, "2026-05-02", &[]);
    let found = report(&result, "buying");
    let changes: Vec<&str> = found["groups"].as_array().unwrap().iter().map(|group| group["change"].as_str().unwrap()).collect();
    assert_eq!((changes.iter().filter(|change| **change == "died").count(), found["is_redefined"].as_bool()), (1, Some(true)), "{found}");
    let died = found["groups"].as_array().unwrap().iter().find(|group| group["change"] == "died").unwrap();
    assert!(died["other_cluster"].is_u64() && died["customers_before"] == 10, "{died}");
    // More again: a group splits off under a number that none has had.
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replacen("k: 4", "k: 3", 1));
    let result = run(&tiny, "2026-05-03", &[]);
    let found = report(&result, "buying");
    let split: Vec<&Value> = found["groups"].as_array().unwrap().iter().filter(|group| group["change"] == "split").collect();
    assert_eq!((split.len(), split[0]["cluster"].as_u64()), (1, Some(4)), "{found}");
    // The groups that were apart on the first day are the same people on the third.
    let after = members(&tiny, "2026-05-03", "buying");
    let pairs: BTreeSet<(&String, &String)> = before.iter().map(|(id, label)| (label, &after[id])).collect();
    assert_eq!(pairs.len(), 3, "{pairs:?}");
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-05-03", "--force"]);
    let summary = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(summary.contains("split off from") && summary.contains("customers have kept their cluster"), "{summary}");
}

#[test]
fn clusters_that_are_taken_away_begin_anew_and_clean_knows_what_is_kept() {
    let tiny = project(&rows_of(&apart()));
    run(&tiny, "2026-05-01", &[]);
    let state = |run: &Value| {
        let folder = tiny.folder.path().join("out/runs").join(run["run_id"].as_str().unwrap()).join("state");
        let names = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("cluster")).collect::<BTreeSet<_>>()
    };
    // One of two is taken away.
    let start = PIPELINE.find("  style:\n").unwrap();
    let end = PIPELINE.find("outputs:\n").unwrap();
    let without = format!("{}{}", &PIPELINE[..start], &PIPELINE[end..])
        .replace("    style_groups: {model: clustered.style_groups, sort: [cluster_number]}\n", "");
    tiny.write("pipelines/tiny.yaml", &without);
    tiny.write("sql/customers.sql", "-- A customer.\nselect customer_id, cluster_number as buying from clustered.buying\n");
    let second = run(&tiny, "2026-05-02", &[]);
    let expected = ["cluster_members_buying.parquet", "cluster_numbers_buying.parquet"].map(str::to_owned);
    assert_eq!(state(&second), BTreeSet::from(expected));
    assert!(report(&second, "buying")["groups"].as_array().unwrap().iter().all(|group| group["change"] == "kept"), "{second}");
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    tiny.write("sql/customers.sql", CUSTOMERS);
    let third = run(&tiny, "2026-05-03", &[]);
    assert!(report(&third, "style")["groups"].as_array().unwrap().iter().all(|group| group["change"] == "new"), "{third}");
    let output = tiny.segmill(&["clean", "pipelines/tiny.yaml", "--format", "json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(0) && !told.contains("cluster_members"), "{told}");
}

#[test]
fn rows_that_make_no_sense_are_refused_by_kind() {
    let text = rows(&[("a", Some(-1.0), 1.0, 1.0), ("b", Some(-7.0), 1.0, 1.0), ("c", Some(1.0), 1.0, 1.0), ("c", Some(1.0), 1.0, 1.0)]);
    let tiny = project(&text);
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-05-01"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    for expected in [
        "`features.buying` has rows from which the clustering `buying` cannot be made",
        "1 row of a customer who has a row already (`customer_id`)",
        "2 rows where `recency` is -1 or less, of which `log1p` has no logarithm",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

#[test]
fn cases_may_give_clusters_and_expect_them() {
    let tiny = project(&rows_of(&apart()));
    tiny.write(
        "tests/models/clusters.yaml",
        "\
- name: clusters that are given reach the profile
  model: customers
  as_of: 2026-05-01
  given:
    clustered.buying:
      - {customer_id: a, cluster_number: 3}
    clustered.style:
      - {customer_id: a, cluster_number: 1}
  expect:
    - {customer_id: a, buying: 3, style: 1}
- name: who is alike is in one cluster, and who lacks a value in none
  model: clustered.buying
  as_of: 2026-05-01
  given:
    features.buying:
      - {customer_id: a, recency: 3, orders: 8, spent: 100}
      - {customer_id: b, recency: 3, orders: 8, spent: 100}
      - {customer_id: c, recency: 90, orders: 1, spent: 5}
      - {customer_id: d, orders: 1, spent: 5}
  expect:
    - {customer_id: a, cluster_number: 1, distance_to_centre: 0}
    - {customer_id: b, cluster_number: 1, distance_to_centre: 0}
    - {customer_id: c, cluster_number: 2, distance_to_centre: 0}
    - {customer_id: d, cluster_number: null}
",
    );
    let output = tiny.segmill(&["test", "pipelines/tiny.yaml"]);
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
}
