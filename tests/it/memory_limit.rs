use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::tiny::{PIPELINE, Tiny};

const MIB: u64 = 1 << 20;
const RUN: [&str; 6] = ["run", "--as-of", "2026-11-01", "--record", "record.json", "pipelines/tiny.yaml"];

/// What a run said, how it ended, and the most memory that it had.
struct Ran {
    status: i32,
    said: String,
    peak_bytes: u64,
    record: Value,
}

fn run(tiny: &Tiny, arguments: &[&str]) -> Ran {
    let output = tiny.segmill(arguments);
    let record: Value = serde_json::from_str(&tiny.read("record.json")).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { status: output.status.code().unwrap(), said, peak_bytes: record["peak_memory_bytes"].as_u64().unwrap(), record }
}

/// What a run of a few rows takes, most of it for a program that is not optimised.
fn of_program() -> u64 {
    run(&Tiny::new(), &RUN).peak_bytes
}

/// What a run may take at its peak: a fifth more than its limit, and 64 MiB, of which a program as it is released takes half for itself.
fn most(limit_mib: u64, of_program: u64) -> u64 {
    limit_mib * MIB * 6 / 5 + 32 * MIB + of_program
}

#[test]
fn a_budget_ends_a_run_as_soon_as_it_is_certain_and_what_was_rejected_by_then_is_there() {
    let tiny = Tiny::new();
    let budget = "    event_time: ordered_at\n    reject_budget: {share: 0, rows: 3}\n";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("*.csv", "*.csv.gz").replace("    event_time: ordered_at\n", budget));
    let path = tiny.folder.path().join("extracts/o.csv.gz");
    let mut packed = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    packed.write_all(crate::tiny::orders().as_bytes()).unwrap();
    let row = format!("c{},not-a-time\n", "x".repeat(1_000_000));
    for _ in 0..300 {
        packed.write_all(row.as_bytes()).unwrap();
    }
    packed.finish().unwrap();
    let base = of_program();
    let ran = run(&tiny, &[&RUN[..], &["--memory-limit", "256MiB"]].concat());
    assert_eq!(ran.status, 3, "{}", ran.said);
    // Its budget was passed with the fourth; some blocks were on their way by then.
    let source = &ran.record["sources"][0];
    let (read, rejected) = (source["rows_read"].as_u64().unwrap(), source["rows_rejected"].as_u64().unwrap());
    assert!((4..40).contains(&rejected) && read == rejected + 75, "{source}");
    assert!(ran.said.contains(&format!("orders: {rejected} of {read} rows read so far rejected, over its budget")), "{}", ran.said);
    assert!(ran.peak_bytes < base + 128 * MIB, "{} and {base}", ran.peak_bytes);
    let file = ran.said.split("rejected by then is in ").nth(1).unwrap().trim();
    let rows = crate::support::rows_of_parquet(&[tiny.folder.path().join(file)], "select count(*), max(row_number) from t");
    assert_eq!(rows, [[rejected.to_string(), (76 + rejected).to_string()]]);
}

#[test]
fn a_budget_that_is_passed_where_no_model_reads_is_told_as_any_other() {
    let tiny = Tiny::new();
    let budget = "    event_time: ordered_at\n    reject_budget: {share: 1, rows: 3}\n";
    let other = "  empty: {location: 'empty/*.csv', event_time: at, columns: {id: {type: string}, at: {type: timestamp, required: true}}}\nsegments:";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("    event_time: ordered_at\n", budget).replacen("segments:", other, 1));
    tiny.write("empty/e.csv", "id,at\n");
    tiny.write("sql/staging/empty.sql", "-- Nothing.\nselect id from sources.empty\n");
    tiny.write(
        "sql/customers.sql",
        "-- A customer.\nselect o.customer_id, count(*) as orders, $edition as edition\nfrom staging.empty as e\n\
         inner join staging.orders as o on o.customer_id = e.id\ngroup by o.customer_id\n",
    );
    // A join that knows that nothing can match leaves off after some of them.
    for file in 0..30 {
        tiny.write(&format!("extracts/{file:02}.csv"), "customer_id,ordered_at\na,never\n");
    }
    let ran = run(&tiny, &RUN);
    assert_eq!(ran.status, 3, "{}", ran.said);
    // Other readers may have been at their file when the fourth was found.
    let rejected = ran.record["sources"][0]["rows_rejected"].as_u64().unwrap();
    assert!((4..16).contains(&rejected), "{}", ran.record);
    assert!(ran.said.contains(&format!("{rejected} of {rejected} rows read so far rejected")), "{}", ran.said);
    let file = ran.said.split("rejected by then is in ").nth(1).unwrap().trim();
    let rows = crate::support::rows_of_parquet(&[tiny.folder.path().join(file)], "select count(*) from t");
    assert_eq!(rows, [[rejected.to_string()]]);
}

/// Each of the values of a row is a reject with the row's text, which must not make the square of the row of it.
#[test]
fn rows_with_many_bad_values_cost_what_they_are() {
    const COLUMNS: usize = 400;
    let tiny = Tiny::new();
    let columns: String = (0..COLUMNS).map(|at| format!("      c{at:03}: {{type: integer, optional: true}}\n")).collect();
    let budget = "    event_time: ordered_at\n    reject_budget: {share: 1, rows: 1000000}\n";
    let pipeline = PIPELINE.replace("    event_time: ordered_at\n", budget).replacen("segments:", &format!("{columns}segments:"), 1);
    tiny.write("pipelines/tiny.yaml", &pipeline);
    let names: String = (0..COLUMNS).map(|at| format!(",c{at:03}")).collect();
    let row = format!("a,2026-10-01T10:00:00Z{}\n", ",wrong".repeat(COLUMNS));
    tiny.write("extracts/orders.csv", &format!("customer_id,ordered_at{names}\n{}", row.repeat(500)));
    let base = of_program();
    let ran = run(&tiny, &[&RUN[..], &["--memory-limit", "96MiB"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.said);
    assert_eq!(ran.record["sources"][0]["values_rejected"], 500 * COLUMNS);
    assert!(ran.peak_bytes < base + 96 * MIB, "{} and {base}", ran.peak_bytes);
    let file = tiny.folder.path().join("out/rejected/as_of=2026-11-01/rejected.parquet");
    let sql = "select count(*), count(distinct \"column\"), count(case when raw like '{%' then 1 end), max(row_number) from t";
    // The first sixteen of each row have its text.
    assert_eq!(crate::support::rows_of_parquet(&[file], sql), [["200000", "400", "8000", "501"]]);
}

#[test]
fn rejects_beyond_memory_are_all_in_their_table_in_order() {
    let tiny = Tiny::new();
    let budget = "    event_time: ordered_at\n    reject_budget: {share: 1, rows: 1000000}\n";
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("    event_time: ordered_at\n", budget));
    // Two files whose rejects take six times what may be held, with good rows between them.
    let long = "y".repeat(600);
    for file in ["b", "a"] {
        let rows = (0..20_000).fold("customer_id,ordered_at\n".to_owned(), |mut text, row| {
            let at = if row % 10 == 0 { "2026-10-01T10:00:00Z" } else { "when?" };
            writeln!(text, "{file}{row}{long},{at}").unwrap();
            text
        });
        tiny.write(&format!("extracts/{file}.csv"), &rows);
    }
    let base = of_program();
    let ran = run(&tiny, &[&RUN[..], &["--memory-limit", "96MiB"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.said);
    assert!(ran.peak_bytes < base + 96 * MIB, "{} and {base}", ran.peak_bytes);
    let file = tiny.folder.path().join("out/rejected/as_of=2026-11-01/rejected.parquet");
    let sql = "select split_part(file, '/', -1) as f, count(*), min(row_number), max(row_number), min(length(raw)) > 600 from t group by 1 order by 1";
    let rows = crate::support::rows_of_parquet(&[file], sql);
    let expected = ["a.csv", "b.csv"].map(|file| [file, "18000", "3", "20001", "true"].map(str::to_owned).to_vec());
    assert_eq!(rows, expected);
}

/// Runs with a limit: it is published within it, or refused at once with a limit that is enough. The limit that was enough.
fn published_within(run: &dyn Fn(&str) -> Ran, limit_mib: u64, base: u64) -> u64 {
    let ran = run(&format!("{limit_mib}MiB"));
    assert!(ran.peak_bytes <= most(limit_mib, base), "{} MiB of {limit_mib} MiB: {}", ran.peak_bytes / MIB, ran.said);
    if ran.status == 0 {
        return limit_mib;
    }
    assert!(ran.status == 2 && ran.said.contains("[memory-limit]"), "{}", ran.said);
    let enough = ran.said.split("`--memory-limit ").nth(1).unwrap_or_else(|| panic!("{}", ran.said));
    let (number, unit) = enough.split_once('`').unwrap().0.split_at(enough.find(|c: char| !c.is_ascii_digit()).unwrap());
    let enough = number.parse::<u64>().unwrap() * if unit == "GiB" { 1024 } else { 1 };
    assert!(enough > limit_mib, "{}", ran.said);
    let again = run(&format!("{enough}MiB"));
    assert_eq!(again.status, 0, "{enough} MiB should have been enough instead of {limit_mib} MiB: {}{}", ran.said, again.said);
    assert!(again.peak_bytes <= most(enough, base), "{} MiB of {enough} MiB", again.peak_bytes / MIB);
    enough
}

#[test]
fn the_shipped_job_keeps_to_its_limit_or_says_what_would_be_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let segmill = |arguments: &[&str], within: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_segmill"));
        command.args(arguments).current_dir(within).env("EXTRACTS", path("extracts")).env("DESTINATION", path("out"));
        command.output().unwrap()
    };
    assert!(segmill(&["generate", "extracts", "--customers", "10000"], folder.path()).status.success());
    assert!(segmill(&["init", "shop"], folder.path()).status.success());
    let base = of_program();
    let run = |limit: &str| {
        let record = path("record.json");
        let arguments = ["run", "--as-of", "2011-12-10", "--force", "--memory-limit", limit, "--record", record.to_str().unwrap()];
        let output = segmill(&arguments, &path("shop"));
        let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { status: output.status.code().unwrap(), said, peak_bytes: record["peak_memory_bytes"].as_u64().unwrap(), record }
    };
    for limit_mib in [32, 112] {
        published_within(&run, limit_mib, base);
    }
}

#[test]
fn a_key_of_a_large_source_takes_little_more_memory_than_none() {
    let events = |key: &str, ending: &str| {
        let tiny = Tiny::new();
        let keyed = format!("    event_time: ordered_at\n{key}");
        let pipeline = PIPELINE.replace("    event_time: ordered_at\n", &keyed);
        let pipeline = pipeline.replace("    columns:\n", "    columns:\n      event_id: {type: string, required: true}\n");
        tiny.write("pipelines/tiny.yaml", &pipeline.replace("*.csv", ending));
        std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
        for file in 0..2 {
            let rows = (0..200_000).fold("event_id,customer_id,ordered_at\n".to_owned(), |mut text, row| {
                let number = file * 200_000 + row;
                writeln!(text, "event-{number:012},c{:05},2026-10-01T10:00:00Z", number % 5_000).unwrap();
                text
            });
            tiny.write(&format!("extracts/{file}.csv"), &rows);
        }
        tiny
    };
    let base = of_program();
    let mut peaks = Vec::new();
    for key in ["", "    key: [event_id]\n"] {
        let tiny = events(key, "*.csv");
        let run = |limit: &str| run(&tiny, &[&RUN[..], &["--force", "--memory-limit", limit]].concat());
        assert_eq!(published_within(&run, 96, base), 96);
        peaks.push(run("1GiB").peak_bytes);
    }
    assert!(peaks[1] * 10 <= peaks[0] * 13, "{peaks:?}");
}
