//! The report of a publication: what it tells equals what the tables say, it needs neither extracts nor variables, and it is the same
//! whoever makes it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use segmill::engine::{Engine, Limits};
use segmill::figures::{self, Draft};
use segmill::publish::Publications;
use segmill::record;
use segmill::storage::Stores;
use serde_json::Value;

use crate::support::{Publication, package, rows_of_parquet};
use crate::tiny::Tiny;

const PIPELINE: &str = "\
version: 1
name: tiny
sources:
  people:
    location: ${EXTRACTS:-extracts}/people.csv
    event_time: at
    columns:
      customer_id: {type: string, required: true}
      at: {type: timestamp, required: true}
      orders: {type: integer, required: true}
      spent: {type: 'decimal(12,2)', required: true}
      recency: {type: integer, required: true}
      frequency: {type: integer, required: true}
      reachable: {type: boolean, required: true}
      why_not: {type: string}
      channel: {type: string, required: true}
      level: {type: string, required: true}
      worth: {type: 'decimal(12,2)'}
profile:
  columns:
    spent: {description: What they spent in the year}
    level: {accepted: [low, high]}
  revenue: spent
segments:
  value:
    kind: exclusive
    segments:
      - {name: best, when: frequency > 3, description: They come often, action: Thank them, channel: email}
      - {name: few, when: spent > 196, description: They spend much, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: Wait, channel: none}
  audiences:
    kind: overlapping
    segments:
      - {name: recent, when: recency > 3, description: Were here, action: Write, channel: email}
      - {name: frequent, when: frequency > 3, description: Come often, action: Write, channel: email}
      - {name: nobody, when: orders > 99, description: None, action: None, channel: none}
report:
  title: ${REPORT_TITLE}
  locale: en-GB
  currency: GBP
  buyers: orders
  heat_map: {recency: recency, frequency: frequency, segment_set: value}
  preferred_channel: channel
  engagement: level
  lifetime_value: worth
  channels:
    email: {allowed: reachable, refused_because: why_not, sent: orders}
outputs:
  destination: out
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}
    segment_traits: {model: segment_traits, sort: [segment_set, segment, rank]}
";

const CUSTOMERS: &str = "-- A customer.\nselect * from sources.people\n";
const DAYS: [&str; 3] = ["2026-03-01", "2026-03-02", "2026-03-03"];

/// 400 customers, about whom every seed tells something else.
fn people(seed: u64) -> String {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut text = "customer_id,at,orders,spent,recency,frequency,reachable,why_not,channel,level,worth\n".to_owned();
    for at in 0..400 {
        let (orders, spent): (u32, u32) = (random.random_range(0..4), random.random_range(0..20_000));
        let [recency, frequency]: [u32; 2] = [random.random_range(1..6), random.random_range(1..6)];
        let reachable = random.random_bool(0.5);
        let why_not = if reachable { "" } else { ["bounced", "no_consent"][random.random_range(0..2)] };
        let (channel, level) = (["email", "none"][random.random_range(0..2)], ["low", "high"][random.random_range(0..2)]);
        let worth = if at % 9 == 0 { String::new() } else { format!("{}.25", random.random_range(0..900)) };
        let spent = f64::from(spent) / 100.0;
        writeln!(
            text,
            "c{at:04},2026-01-01T00:00:00Z,{orders},{spent:.2},{recency},{frequency},{reachable},{why_not},{channel},{level},{worth}"
        )
        .unwrap();
    }
    text
}

fn tiny() -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    std::fs::remove_file(tiny.folder.path().join("sql/staging/orders.sql")).unwrap();
    tiny.write("sql/customers.sql", CUSTOMERS);
    tiny
}

/// Runs a command of which a result is expected.
fn told(tiny: &Tiny, arguments: &[&str]) -> Value {
    let output = tiny.command(arguments).env("REPORT_TITLE", "Ours & theirs").args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The figures of the latest publication of a destination.
fn figures_of(destination: &Path) -> Value {
    let destination = Stores::new(BTreeMap::new()).open(destination.to_str().unwrap(), destination).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let read = async {
        let seen = Publications::read(&destination).await?;
        let commit = seen.latest().await?.unwrap();
        let (kept, record) = (seen.project(&commit).await?.unwrap(), record::of_publication(&destination, &commit.run_id).await?);
        let engine = Engine::new(Limits { threads: 2, memory_bytes: 64 << 20 }, "UTC")?;
        figures::of(&engine, &destination, &seen, Draft { commit: &commit, kept, record }).await
    };
    serde_json::to_value(runtime.block_on(read).unwrap()).unwrap()
}

fn figures_in(tiny: &Tiny) -> Value {
    figures_of(&tiny.folder.path().join("out"))
}

/// A project that has published three days, each with its report.
fn published() -> Tiny {
    let tiny = tiny();
    for (seed, day) in DAYS.iter().enumerate() {
        tiny.write("extracts/people.csv", &people(seed as u64));
        told(&tiny, &["run", "--as-of", day, "--report"]);
    }
    tiny
}

/// The file of a table that was published for a day.
fn file(tiny: &Tiny, table: &str, day: &str) -> Vec<PathBuf> {
    vec![tiny.folder.path().join(format!("out/{table}/as_of={day}/{table}.parquet"))]
}

fn count(rows: &[Vec<String>]) -> u64 {
    rows[0][0].parse().unwrap()
}

/// An amount as text, as SQL writes decimals.
fn amount(told: &Value) -> String {
    let (digits, scale) = (told["unscaled"].as_i64().unwrap(), told["scale"].as_u64().unwrap());
    let unit = 10_i64.pow(u32::try_from(scale).unwrap());
    format!("{}.{:0width$}", digits / unit, digits % unit, width = usize::try_from(scale).unwrap())
}

#[test]
fn what_is_told_of_customers_is_what_the_profile_says() {
    let tiny = published();
    let figures = &figures_in(&tiny);
    assert_eq!((&figures["as_of"], &figures["previous_as_of"]), (&DAYS[2].into(), &DAYS[1].into()));
    let lines: BTreeMap<&str, &Value> =
        figures["headline"].as_array().unwrap().iter().map(|line| (line["label"].as_str().unwrap(), &line["values"])).collect();
    for (at, day) in DAYS.iter().enumerate() {
        let ask = |sql: &str| rows_of_parquet(&file(&tiny, "customers", day), sql);
        assert_eq!(lines["Customers"][at]["count"], count(&ask("select count(*) from t")), "{day}");
        assert_eq!(lines["Buyers"][at]["count"], count(&ask("select count(*) from t where orders > 0")));
        assert_eq!(lines["Reachable by e-mail"][at]["count"], count(&ask("select count(*) from t where reachable")));
        assert_eq!(amount(&lines["Revenue"][at]["amount"]), ask("select sum(spent) from t")[0][0]);
    }
    let ask = |sql: &str| rows_of_parquet(&file(&tiny, "customers", DAYS[2]), sql);
    let refusals = ask("select why_not, count(*) from t where why_not is not null group by 1 order by 2 desc, 1");
    let as_texts = |pairs: &Value| -> Vec<Vec<String>> {
        pairs.as_array().unwrap().iter().map(|pair| vec![pair[0].as_str().unwrap().to_owned(), pair[1].to_string()]).collect()
    };
    assert_eq!(as_texts(&figures["channels"][0]["refusals"]), refusals);
    assert_eq!(figures["channels"][0]["sent"], count(&ask("select sum(orders) from t")));
    let levels = ask("select level, count(*) from t group by 1 order by 1 desc");
    assert_eq!(as_texts(&figures["engagement"]["values"]), levels, "in the declared order");
    let worth = &figures["lifetime_value"];
    assert_eq!(
        (&worth["customers"], amount(&worth["total"])),
        (&count(&ask("select count(worth) from t")).into(), ask("select sum(worth) from t")[0][0].clone())
    );
    let tenths = ask(
        "select tenth, count(*), sum(worth) from (select worth, ntile(10) over (order by worth desc) as tenth from t where worth is not null) group by 1 order by 1",
    );
    let told_tenths: Vec<Vec<String>> = worth["tenths"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(at, tenth)| vec![(at + 1).to_string(), tenth["customers"].to_string(), amount(&tenth["total"])])
        .collect();
    assert_eq!(told_tenths, tenths);
}

#[test]
fn what_is_told_of_segments_is_what_the_tables_say() {
    let tiny = published();
    let figures = &figures_in(&tiny);
    let members = |day: &str| file(&tiny, "segment_membership", day);
    let runtime = |sql: &str| joined(&tiny, DAYS[2], sql);
    for set in figures["sets"].as_array().unwrap() {
        let name = set["name"].as_str().unwrap();
        for segment in set["segments"].as_array().unwrap() {
            let of = format!("segment_set = '{name}' and segment = '{}'", segment["name"].as_str().unwrap());
            for (at, day) in DAYS.iter().enumerate() {
                assert_eq!(
                    segment["members"][at],
                    count(&rows_of_parquet(&members(day), &format!("select count(*) from t where {of}"))),
                    "{of}"
                );
            }
            let sums = runtime(&format!(
                "select coalesce(sum(spent), 0), count(*) filter (where reachable) from members join customers using (customer_id) where {of}"
            ));
            assert_eq!(segment["reach"][0].to_string(), sums[0][1], "{of}");
            if segment["members"][2] != 0 {
                assert_eq!(amount(&segment["revenue"]), sums[0][0], "{of}");
            }
            let preferred = runtime(&format!(
                "select channel, count(*) from members join customers using (customer_id) where {of} group by 1 order by 2 desc, 1"
            ));
            let told: Vec<Vec<String>> = segment["preferred_channels"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| vec![pair[0].as_str().unwrap().to_owned(), pair[1].to_string()])
                .collect();
            assert_eq!(told, preferred, "{of}");
        }
        let distinct = runtime(&format!("select count(distinct customer_id) from members where segment_set = '{name}'"));
        assert_eq!(set["customers_in_none"], 400 - count(&distinct), "{name}");
        for flow in set["flows"].as_array().unwrap() {
            let is =
                |column: &str, value: &Value| value.as_str().map_or(format!("{column} is null"), |name| format!("{column} = '{name}'"));
            let of = format!("segment_set = '{name}' and {} and {}", is("from_segment", &flow["from"]), is("to_segment", &flow["to"]));
            let found =
                runtime(&format!("select count(*), coalesce(sum(spent), 0) from changes join customers using (customer_id) where {of}"));
            assert_eq!((flow["customers"].to_string(), amount(&flow["revenue"])), (found[0][0].clone(), found[0][1].clone()), "{of}");
        }
        let flows: u64 = set["flows"].as_array().unwrap().iter().map(|flow| flow["customers"].as_u64().unwrap()).sum();
        assert_eq!(flows, count(&runtime(&format!("select count(*) from changes where segment_set = '{name}'"))), "{name}");
        assert!(flows > 50, "{name}");
    }
    let both = runtime(
        "select count(*) from members one join members other using (customer_id) where one.segment = 'recent' and other.segment = 'frequent'",
    );
    let overlaps = figures["sets"][1]["overlaps"].as_array().unwrap();
    assert_eq!(overlaps.len(), 1);
    assert_eq!((&overlaps[0]["segments"], &overlaps[0]["customers"]), (&serde_json::json!([0, 1]), &count(&both).into()));
    let cells = runtime("select recency, frequency, count(*), sum(spent) from customers group by 1, 2 order by 1, 2");
    let told: Vec<Vec<String>> = figures["heat_map"]["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| {
            vec![cell["recency"].to_string(), cell["frequency"].to_string(), cell["customers"].to_string(), amount(&cell["revenue"])]
        })
        .collect();
    assert_eq!(told, cells);
}

/// Asks the tables of a day.
fn joined(tiny: &Tiny, day: &str, sql: &str) -> Vec<Vec<String>> {
    use datafusion::prelude::{ParquetReadOptions, SessionContext};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = SessionContext::new();
        for (name, table) in [("customers", "customers"), ("members", "segment_membership"), ("changes", "segment_changes")] {
            let path = file(tiny, table, day).remove(0);
            context.register_parquet(name, path.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        }
        crate::support::rows(&context.sql(sql).await.unwrap().collect().await.unwrap())
    })
}

#[test]
fn the_report_of_a_run_and_that_of_its_publication_are_the_same_without_extracts_and_variables() {
    let tiny = published();
    std::fs::remove_dir_all(tiny.folder.path().join("extracts")).unwrap();
    for day in DAYS {
        let listed = told(&tiny, &["outputs", "--as-of", day]);
        let url = listed["report"]["url"].as_str().unwrap();
        let of_run = std::fs::read(url.trim_start_matches("file://")).unwrap();
        for threads in ["1", "4"] {
            let output = tiny
                .command(&["report", "--as-of", day, "--output", "-", "--threads", threads])
                .env("REPORT_TITLE", threads)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == of_run, "the report of {day} with {threads} threads is another one");
        }
    }
    let title = &figures_in(&tiny)["title"];
    assert_eq!(title, "${REPORT_TITLE}", "variables are told as the file has them");
}

#[test]
fn the_first_publication_has_nothing_to_be_compared_with_and_a_project_without_more_says_what_it_cannot_tell() {
    let tiny = tiny();
    tiny.write("extracts/people.csv", &people(1));
    let (before, _) = PIPELINE.split_once("report:").unwrap();
    let outputs = "outputs:\n  destination: out\n  tables:\n    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}\n";
    tiny.write("pipelines/tiny.yaml", &format!("{before}{outputs}"));
    told(&tiny, &["run", "--as-of", DAYS[0], "--report"]);
    let (result, figures) = (told(&tiny, &["report"]), figures_in(&tiny));
    assert_eq!((&figures["previous_as_of"], &figures["headline"][0]["values"][0]["count"]), (&Value::Null, &400.into()));
    let parts: Vec<&str> = figures["not_told"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["Buyers, revenue, channels and the map of scores", "Who moved", "What segments are like"]);
    assert!(figures["sets"][0]["segments"][0]["members"][0].as_u64().unwrap() > 50);
    assert!(tiny.folder.path().join(result["file"].as_str().unwrap()).is_file());
}

#[test]
fn of_what_is_not_published_there_is_no_report() {
    let tiny = tiny();
    let output = tiny.command(&["report"]).env("REPORT_TITLE", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is published"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn damage_of_an_earlier_day_keeps_no_day_from_being_told_and_is_said() {
    let tiny = published();
    let damaged = std::fs::read_dir(tiny.folder.path().join("out/runs")).unwrap().map(|run| run.unwrap().path());
    let damaged = damaged.into_iter().find(|run| run.file_name().unwrap().to_str().unwrap().starts_with(DAYS[0])).unwrap();
    std::fs::remove_file(damaged.join("customers.parquet")).unwrap();
    tiny.write("extracts/people.csv", &people(9));
    told(&tiny, &["run", "--as-of", "2026-03-04", "--report"]);
    let figures = &figures_in(&tiny);
    assert_eq!(figures["days"], serde_json::json!([DAYS[1], DAYS[2], "2026-03-04"]));
    assert_eq!(figures["not_told"][0]["part"], format!("The publication of {}", DAYS[0]));
    let output = tiny.command(&["report", "--as-of", DAYS[0]]).env("REPORT_TITLE", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[damaged-publication]"));
}

#[test]
fn variables_that_give_numbers_and_words_keep_no_report_from_being_made() {
    let tiny = tiny();
    tiny.write("extracts/people.csv", &people(1));
    let pipeline = PIPELINE.replace("    event_time: at\n", "    event_time: at\n    min_files: ${FILES}\n");
    tiny.write("pipelines/tiny.yaml", &pipeline.replace("currency: GBP", "currency: ${CURRENCY}"));
    let make = |arguments: &[&str], currency: &str| {
        let given = [("REPORT_TITLE", "x"), ("FILES", "1"), ("CURRENCY", currency)];
        let output = tiny.command(arguments).envs(given).args(["--format", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let run = make(&["run", "--as-of", DAYS[0], "--report"], "GBP");
    let report = make(&["report"], "EUR");
    assert_eq!(figures_in(&tiny)["currency"], Value::Null, "which it was, the publication does not keep");
    let page = |path: &Value| std::fs::read(tiny.folder.path().join(path.as_str().unwrap())).unwrap();
    assert!(page(&run["report"]) == page(&report["file"]));
}

#[test]
fn of_nobody_there_is_a_report_too_in_any_zone() {
    let tiny = tiny();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("name: tiny\n", "name: a/../b\ntime_zone: Asia/Kathmandu\n"));
    tiny.write("extracts/people.csv", people(1).lines().next().unwrap());
    told(&tiny, &["run", "--as-of", DAYS[0], "--report"]);
    let result = told(&tiny, &["report"]);
    let customers = &figures_in(&tiny)["headline"][0]["values"][0]["count"];
    assert_eq!((&result["file"], customers), (&"report-2026-03-01.html".into(), &0.into()));
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    let tiny = published();
    let output = tiny.command(&["report", "--output", "no/such/folder/r.html"]).env("REPORT_TITLE", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[unwritable-output]: cannot write no/such/folder/r.html"));
}

#[test]
#[ignore = "writes pages into the folder SEGMILL_PAGES, for `tests/browser/check.mjs`"]
fn pages_of_hostile_and_odd_figures_are_written_for_a_browser() {
    let folder = PathBuf::from(std::env::var_os("SEGMILL_PAGES").expect("SEGMILL_PAGES names a folder"));
    std::fs::create_dir_all(&folder).unwrap();
    for kind in ["hostile", "nobody"] {
        let figures = std::fs::read(package().join(format!("tests/pages/{kind}.json"))).unwrap();
        let page = segmill::page::report(&serde_json::from_slice(&figures).unwrap()).unwrap();
        std::fs::write(folder.join(format!("{kind}.html")), page).unwrap();
    }
}

#[test]
fn a_run_that_changes_nothing_says_how_to_make_the_report() {
    let tiny = tiny();
    tiny.write("extracts/people.csv", &people(1));
    told(&tiny, &["run", "--as-of", DAYS[0]]);
    let output = tiny.command(&["run", "--as-of", DAYS[0], "--report"]).env("REPORT_TITLE", "Ours & theirs").output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("`segmill report --as-of 2026-03-01`"));
}

#[test]
fn groups_below_the_minimum_are_not_broken_down() {
    let tiny = published();
    let figures = &figures_in(&tiny);
    let few = &figures["sets"][0]["segments"][1];
    let members = few["members"][2].as_u64().unwrap();
    assert!((1..10).contains(&members), "{members}");
    assert_eq!((&few["traits"], &few["no_traits_because"]), (&Value::Array(Vec::new()), &"it has fewer than 10 members".into()));
    assert!(!figures["sets"][0]["segments"][0]["traits"].as_array().unwrap().is_empty());
}

#[test]
fn the_sample_tells_every_part() {
    let sample = Publication::after(&["2011-11-10"], package(), &package().join("examples/data"), "2011-12-10", &["--report"]);
    let report = sample.result["report"].as_str().unwrap();
    assert!(std::fs::metadata(report).unwrap().len() < 2_000_000);
    let (destination, page) = (sample.folder.path(), sample.folder.path().join("r.html"));
    let arguments = ["report", "--destination", destination.to_str().unwrap(), "--output", page.to_str().unwrap()];
    assert!(crate::support::segmill(package(), &arguments).status.success());
    let figures = figures_of(destination);
    assert_eq!(figures["not_told"], Value::Array(Vec::new()));
    assert_eq!(std::fs::read(report).unwrap(), std::fs::read(page).unwrap());
    assert_eq!(figures["quality"]["sources"].as_array().unwrap().len(), 6);
    assert_eq!(figures["calibrations"][0]["tenths"].as_array().unwrap().len(), 10);
}
