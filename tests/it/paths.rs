use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::dated::{plan, read, rows};
use crate::ownership::{DAY, code, command, run, told};
use crate::tiny::{Tiny, orders};

const AS_OF: &str = "2026-11-03";
/// The columns that every file has.
const OWN: &str = "id: {type: string, required: true}, at: {type: timestamp, required: true}";

/// A source with a location, more keys and more columns.
fn source(location: &str, more: &str, columns: &str) -> String {
    format!("    location: 'memory:///in/{location}'\n    event_time: at\n{more}    columns: {{{OWN}{columns}}}\n")
}

fn csv(rows: &[(&str, &str)]) -> Vec<u8> {
    let lines: Vec<String> = rows.iter().map(|(id, at)| format!("{id},{at}\n")).collect();
    format!("id,at\n{}", lines.concat()).into_bytes()
}

fn ndjson(rows: &[(&str, &str)]) -> Vec<u8> {
    rows.iter().map(|(id, at)| format!("{{\"id\": \"{id}\", \"at\": \"{at}\"}}\n")).collect::<String>().into_bytes()
}

/// A file as Spark writes it: the columns of its folders are not in it. With `more`, there is one of the name `region` all the same.
fn parquet(rows: &[(&str, &str)], more: bool) -> Vec<u8> {
    let micros = |at: &str| chrono::DateTime::parse_from_rfc3339(at).unwrap().timestamp_micros();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>())),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| micros(row.1))).with_timezone("UTC"))),
    ];
    if more {
        columns.push(("region", Arc::new(rows.iter().map(|_| Some("in the file")).collect::<StringArray>())));
    }
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

const TWO: [(&str, &str); 2] = [("a", "2026-11-01T10:00:00Z"), ("b", "2026-11-01T23:59:59Z")];

#[test]
fn folders_and_named_parts_are_columns_in_every_format() {
    let columns = ", region: {type: string, path: region}, dt: {type: date, path: dt}, hour: {type: timestamp, path: at_hour}, \
                   store: {type: integer, path: store}";
    let source = source("*/region=*/{store}/o_{at_hour:%Y%m%dT%H}.*", "", columns);
    for (ending, bytes) in
        [("csv", csv(&TWO)), ("ndjson", ndjson(&TWO)), ("parquet", parquet(&TWO, false)), ("parquet", parquet(&TWO, true))]
    {
        let path = format!("dt=2026-11-01/region=K%C3%B6ln%2FDeutz/007/o_20261101T09.{ending}");
        let found = read(&source, "id, region, dt, hour, store", &[(path.as_str(), bytes)], AS_OF).unwrap();
        let told = ["Köln/Deutz", "2026-11-01", "2026-11-01T09:00:00Z", "7"];
        assert_eq!(found.rows, rows(&[["a", told[0], told[1], told[2], told[3]], ["b", told[0], told[1], told[2], told[3]]]), "{ending}");
    }
}

#[test]
fn a_value_of_a_path_keeps_the_rules_of_its_column() {
    let all = [
        ("region=eu/a.csv", csv(&[("eu", TWO[0].1)])),
        ("region=us/a.csv", csv(&[("us", TWO[0].1)])),
        ("region=/a.csv", csv(&[("blank", TWO[0].1)])),
        ("region=__HIVE_DEFAULT_PARTITION__/a.csv", csv(&[("null", TWO[0].1)])),
    ];
    for (column, expected, reasons) in [
        ("path: region", vec![["blank", ""], ["eu", "eu"], ["null", ""], ["us", "us"]], vec![]),
        ("path: region, required: true", vec![["eu", "eu"], ["us", "us"]], vec![("missing-value", 2)]),
        ("path: region, accepted: [eu]", vec![["blank", ""], ["eu", "eu"], ["null", ""], ["us", ""]], vec![("not-accepted", 1)]),
        ("path: region, accepted: [eu], on_error: reject", vec![["blank", ""], ["eu", "eu"], ["null", ""]], vec![("not-accepted", 1)]),
        ("path: region, values: {us: USA}", vec![["blank", ""], ["eu", "eu"], ["null", ""], ["us", "USA"]], vec![]),
        ("path: region, pattern: 'e.'", vec![["blank", ""], ["eu", "eu"], ["null", ""], ["us", ""]], vec![("pattern-mismatch", 1)]),
    ] {
        let source = source("region=*/*.csv", "    reject_budget: {share: 1}\n", &format!(", region: {{type: string, {column}}}"));
        let found = read(&source, "id, region", &all, AS_OF).unwrap();
        assert_eq!(found.rows, rows(&expected), "{column}");
        assert_eq!(found.reasons().into_iter().collect::<Vec<_>>(), reasons, "{column}");
    }
}

#[test]
fn a_part_may_be_of_the_key_or_the_event_time() {
    let keyed = format!(
        "    location: 'memory:///in/shop=*/{{day:%Y-%m-%d}}.csv'\n    event_time: day\n    key: [shop, id]\n    columns: {{{OWN}, \
         shop: {{type: integer, path: shop}}, day: {{type: date, path: day, required: true}}}}\n"
    );
    let files: Vec<(String, Vec<u8>)> = ["shop=1/2026-11-01", "shop=1/2026-11-02", "shop=2/2026-11-01", "shop=1/2026-11-03"]
        .iter()
        .map(|name| (format!("{name}.csv"), csv(&TWO[..1])))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let found = read(&keyed, "id, shop, day", &files, AS_OF).unwrap();
    assert_eq!(found.rows, rows(&[["a", "1", "2026-11-02"], ["a", "2", "2026-11-01"]]));
    let ledger = found.ledger;
    assert_eq!((ledger.rows_read, ledger.rows_deduplicated, ledger.rows_out_of_window, ledger.files_unopened), (4, 1, 1, 0));
}

#[test]
fn a_file_whose_path_does_not_say_it_is_refused_by_name() {
    let good = ("dt=2026-11-01/a_20261101.csv", csv(&TWO));
    for (location, columns, bad, told) in [
        ("*/a_*.csv", ", dt: {type: date, path: dt}", "x/a_1.csv", "does not say `dt`"),
        ("**/a_*.csv", ", dt: {type: date, path: dt}", "a_1.csv", "does not say `dt`"),
        ("*/a_*.csv", ", dt: {type: date, path: dt}", "dt=2026-13-01/a_1.csv", "`2026-13-01` in its path is no date"),
        ("*/a_*.csv", ", dt: {type: date, path: dt}", "dt=old/a_1.csv", "`old` in its path is no date"),
        ("*/a_{day:%Y%m%d}.csv", ", day: {type: date, path: day}", "x/a_old.csv", "`old` in its path is no `day`"),
        ("*/a_{day:%Y%m%d}.csv", ", day: {type: string, path: day}", "x/a_2026111.csv", "`2026111` in its path is no `day`"),
        ("*/a_{day:%Y%m%d}.csv", "", "x/a_20261301.csv", "`20261301` in its path is no `day`"),
        ("*/a_{n}*.csv", ", n: {type: integer, path: n}", "x/a_1.csv", "[invalid-location]"),
        ("*/{a}_{n}.csv", ", n: {type: string, path: n}", "x/a_b_c.csv", "not certain what `a` is"),
        ("**/a_*.csv", ", dt: {type: string, path: dt}", "dt=1/dt=2/a_1.csv", "`dt` stands in its path twice"),
        ("{dt}/*/a_*.csv", ", dt: {type: string, path: dt}", "1/dt=2/a_1.csv", "`dt` stands in its path twice"),
        ("*/a_*.csv", ", dt: {type: string, path: dt}", "dt=%FF/a_1.csv", "no text in UTF-8"),
        ("**/a_*.csv", ", dt: {type: string, path: dt}", "x/a_dt=2026-11-01.csv", "does not say `dt`"),
    ] {
        let files = [(good.0, good.1.clone()), (bad, csv(&TWO))];
        let error = read(&source(location, "", columns), "id", &files, AS_OF).unwrap_err();
        let status = if location.contains("{n}*") { 2 } else { 3 };
        assert_eq!(error.exit_status() as i32, status, "{location} {bad}: {error}");
        assert!(error.to_string().contains(told) && (status == 2 || error.to_string().contains(bad)), "{location} {bad}: {error}");
    }
    // Twice the same is no contradiction.
    let twice = [("dt=1/dt=1/a_1.csv", csv(&TWO))];
    assert_eq!(
        read(&source("**/*.csv", "", ", dt: {type: string, path: dt}"), "id, dt", &twice, AS_OF).unwrap().rows,
        rows(&[["a", "1"], ["b", "1"]])
    );
}

#[test]
fn columns_that_stand_in_the_path_are_named_where_a_file_lacks_them() {
    let files = [("dt=2026-11-01/a.csv", csv(&TWO))];
    let error = read(&source("*/a.csv", "", ", dt: date"), "id, dt", &files, AS_OF).unwrap_err();
    assert!(error.to_string().contains("say `path: dt`"), "{error}");
}

/// A column of the file has no say where the path does, and is known where unknown columns are refused.
#[test]
fn a_column_of_the_same_name_in_the_file_is_not_read() {
    let mut bytes = b"id,region,at\n".to_vec();
    bytes.extend(b"a,in the file,2026-11-01T10:00:00Z\n");
    let json = br#"{"id": "a", "region": ["x"], "at": "2026-11-01T10:00:00Z"}"#.to_vec();
    for (name, bytes, more) in [
        ("region=eu/a.csv", bytes.clone(), ""),
        ("region=eu/a.csv", bytes, "    unknown_columns: refuse\n"),
        ("region=eu/a.ndjson", json.clone(), ""),
        ("region=eu/a.ndjson", json, "    unknown_columns: refuse\n"),
        ("region=eu/a.parquet", parquet(&TWO[..1], true), "    unknown_columns: refuse\n"),
    ] {
        let source = source("*/a.*", more, ", region: {type: string, path: region}");
        assert_eq!(read(&source, "id, region", &[(name, bytes)], AS_OF).unwrap().rows, rows(&[["a", "eu"]]), "{name} {more}");
    }
}

#[test]
fn contradictions_are_told_before_anything_is_read() {
    for (location, more, columns, expected) in [
        ("a_{day:%Y%m%d}.csv", "", ", d: {type: date, path: dya}", "path-part"),
        ("dt=*/a.csv", "", ", d: {type: date, path: td}", "path-part"),
        ("a.csv", "", ", d: {type: date, path: dt}", "path-part"),
        ("dt=*/a.csv", "    day_in_path: day\n", "", "path-part"),
        ("dt=*/a.csv", "", ", d: {type: date, path: dt, personal: true}", "path-column"),
        ("dt=*/a.csv", "", ", d: {type: date, path: dt, from: x}", "path-column"),
        ("dt=*/a.csv", "", ", d: {type: date, path: dt, optional: true}", "path-column"),
        ("a_{day:%Q}.csv", "", ", d: {type: date, path: day}", "invalid-format"),
        ("a_{day:%m%d}.csv", "", "", "invalid-format"),
        ("a_{}.csv", "", "", "invalid-location"),
        ("a_{b,c}.csv", "", "", "invalid-location"),
        ("a_{b}_{b}.csv", "", "", "invalid-location"),
        ("a_{b", "", "", "invalid-location"),
    ] {
        let error = plan(&source(location, more, columns), "id", AS_OF).err().unwrap();
        assert!(error.to_string().contains(&format!("[{expected}]")), "{location} {columns}: {error}");
    }
    for location in ["dt=*/a.csv", "**/a.csv", "*/a.csv", "{dt}/a.csv", "dt=2026-11-01/a.csv"] {
        plan(&source(location, "    day_in_path: dt\n", ", d: {type: string, path: dt}"), "id", AS_OF).unwrap();
    }
}

#[test]
fn a_day_in_the_path_bounds_the_events_of_its_file() {
    let files = [
        (
            "dt=2026-11-01/a.csv",
            csv(&[("a", "2026-11-01T00:00:00Z"), ("b", "2026-11-01T23:59:59.999999Z"), ("late", "2026-11-02T00:00:00Z")]),
        ),
        ("dt=2026-11-02/a.csv", csv(&[("c", "2026-11-02T12:00:00Z"), ("early", "2026-11-01T23:59:59Z"), ("out", "2026-11-03T00:00:00Z")])),
        // Nobody may open these: no contract could be kept by them.
        ("dt=2026-11-03/a.csv", b"no contract\n".to_vec()),
        ("dt=2026-12-24/a.csv", b"\xff\xfe\n".to_vec()),
    ];
    for (location, day) in [("dt=*/a.csv", "dt"), ("{d:dt=%Y-%m-%d}/a.csv", "d"), ("{d}/a.csv", "d")] {
        let files: Vec<(String, Vec<u8>)> = files
            .iter()
            .map(|(name, bytes)| (if location == "{d}/a.csv" { name[3..].to_owned() } else { (*name).to_owned() }, bytes.clone()))
            .collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let source = source(location, &format!("    day_in_path: {day}\n    reject_budget: {{share: 1}}\n"), "");
        let found = read(&source, "id", &files, AS_OF).unwrap();
        assert_eq!(found.rows, rows(&[["a"], ["b"], ["c"]]), "{location}");
        assert_eq!(found.reasons().into_iter().collect::<Vec<_>>(), [("outside-path-day", 2)], "{location}");
        let ledger = found.ledger;
        assert_eq!((ledger.files, ledger.files_unopened, ledger.rows_out_of_window, ledger.snapshot_day), (2, 2, 1, None), "{location}");
    }
}

/// Days are those of the pipeline's zone.
#[test]
fn the_day_of_a_file_is_a_day_of_the_zone() {
    let source = source("{d:%Y%m%d}.csv", "    day_in_path: d\n    reject_budget: {share: 1}\n", "");
    let source = format!("{source}time_zone: America/New_York\n");
    let files = [("20261101.csv", csv(&[("no", "2026-11-01T03:59:59Z"), ("a", "2026-11-01T04:00:00Z"), ("b", "2026-11-02T04:59:59Z")]))];
    let found = read(&source, "id", &files, AS_OF).unwrap();
    assert_eq!(found.rows, rows(&[["a"], ["b"]]));
    assert_eq!(found.reasons().into_iter().collect::<Vec<_>>(), [("outside-path-day", 1)]);
}

#[test]
fn a_row_of_another_day_may_be_an_opt_out() {
    let consent = ", ok: {type: boolean, optional: true, consent: {no: [false]}}";
    let source = source("{d:%Y%m%d}.csv", "    day_in_path: d\n    reject_budget: {share: 1}\n", consent);
    let found = read(&source, "id", &[("20261101.csv", b"id,at,ok\na,2026-10-31,false\nb,2026-10-31,true\n".to_vec())], AS_OF).unwrap();
    let may_be_no: Vec<bool> = found.rejects.iter().map(|reject| reject.may_be_no).collect();
    assert_eq!(may_be_no, [true, false]);
}

/// The tiny project with orders by day.
fn by_day() -> Tiny {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    let location = "extracts/orders_{day:%Y%m%d}.csv\n    day_in_path: day\n";
    tiny.write("pipelines/tiny.yaml", &written.replace("${EXTRACTS:-extracts}/*.csv\n", location));
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    day_of(&tiny, "20261031", "2026-10-31");
    tiny
}

fn day_of(tiny: &Tiny, name: &str, day: &str) {
    tiny.write(&format!("extracts/orders_{name}.csv"), &format!("customer_id,ordered_at\nc1,{day}T10:00:00Z\n"));
}

/// What the folders say in which a project lies is not what its location says, so that it may lie anywhere.
#[test]
fn only_the_location_says_what_is_in_a_path() {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    tiny.write("extracts/dt=2026-10-31/orders_20261031.csv", &orders());
    let here = tiny.folder.path().to_str().unwrap();
    let below = "extracts/dt=*/orders_{day:%Y%m%d}.csv";
    for project in ["dt=1999-01-01/inner", "outer/100%25 {day}"] {
        for (location, is_refused) in [
            (below.to_owned(), false),
            (format!("../../{below}"), false),
            (format!("{here}/{below}"), false),
            (format!("file://{here}/{below}"), false),
            // Here it is the location that says both.
            (format!("{here}/dt=1999-01-01/inner/{below}"), project.starts_with("dt")),
        ] {
            if !is_refused && location.contains("inner") {
                continue;
            }
            let source = format!("{location}\n    reject_budget: {{share: 1}}");
            let columns =
                "    columns:\n      dt: {type: date, path: dt, required: true}\n      day: {type: date, path: day, required: true}\n";
            let pipeline = written.replace("${EXTRACTS:-extracts}/*.csv", &source).replace("    columns:\n", columns);
            for (path, text) in [
                ("pipelines/tiny.yaml", pipeline.as_str()),
                ("sql/staging/orders.sql", "-- An order.\nselect customer_id, ordered_at from sources.orders where dt = day\n"),
                ("sql/customers.sql", &tiny.read("sql/customers.sql")),
                ("extracts/dt=2026-10-31/orders_20261031.csv", &orders()),
            ] {
                tiny.write(&format!("{project}/{path}"), text);
            }
            let run = ["run", "pipelines/tiny.yaml", "--as-of", DAY, "--format", "json", "--force"];
            let output = tiny.command(&run).current_dir(tiny.folder.path().join(project)).output().unwrap();
            let (status, result) = told(&output);
            assert_eq!(status, if is_refused { 3 } else { 0 }, "{project} {location}: {result}");
            assert!(!is_refused || result.to_string().contains("`dt` stands in its path twice"), "{result}");
            let expected = if is_refused { Value::Null } else { 50.into() };
            assert_eq!(result["customers"], expected, "{project} {location}: {result}");
        }
    }
}

fn fingerprint(tiny: &Tiny) -> Value {
    let commit = std::fs::read_dir(tiny.folder.path().join("out/commits")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    serde_json::from_str::<Value>(&std::fs::read_to_string(commit).unwrap()).unwrap()["fingerprint"].clone()
}

#[test]
fn a_file_that_is_left_unopened_changes_no_publication() {
    let tiny = by_day();
    assert_eq!(DAY, "2026-11-01");
    let (status, first) = run(&tiny, &[]);
    assert_eq!((status, &first["sources"][0]["files_unopened"]), (0, &0.into()), "{first}");
    let before = fingerprint(&tiny);
    day_of(&tiny, "20261101", "2026-11-01");
    day_of(&tiny, "20261105", "2026-11-05");
    let (status, again) = run(&tiny, &[]);
    assert_eq!((status, &again["status"]), (0, &"unchanged".into()), "{again}");
    let (status, forced) = run(&tiny, &["--force"]);
    assert_eq!((status, &forced["sources"][0]["files"], &forced["sources"][0]["files_unopened"]), (0, &1.into(), &2.into()), "{forced}");
    assert_eq!(fingerprint(&tiny), before);
    let said = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY, "--force"]);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("orders: 2 files of the as-of day or later are left unopened"), "{said}");
    // A later day opens what counts for it, and a file that arrives late for a day changes that day.
    let (status, later) = command(&tiny, "run", &["--as-of", "2026-11-02"]);
    assert_eq!((status, &later["sources"][0]["files"], &later["sources"][0]["files_unopened"]), (0, &2.into(), &1.into()), "{later}");
    day_of(&tiny, "20261030", "2026-10-30");
    assert_eq!(run(&tiny, &[]).1["status"], "published");
}

#[test]
fn where_all_files_are_later_the_extract_is_late() {
    let tiny = by_day();
    assert_eq!(run(&tiny, &[]).0, 0);
    for (as_of, told) in [("2026-10-31", "no file of a day before 2026-10-31"), ("2026-10-01", "1 file of later days")] {
        let (status, late) = command(&tiny, "run", &["--as-of", as_of]);
        assert_eq!(status, 99, "{late}");
        assert!(late.to_string().contains(told), "{late}");
    }
    // At the very first run too: the location is right.
    let tiny = by_day();
    assert_eq!(command(&tiny, "run", &["--as-of", "2026-10-31"]).0, 99);
    let written = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", &written.replace("day_in_path: day\n", "day_in_path: day\n    min_files: 0\n"));
    let (status, none) = command(&tiny, "run", &["--as-of", "2026-10-31"]);
    assert_eq!((status, &none["sources"][0]["files"], &none["sources"][0]["files_unopened"]), (0, &0.into(), &1.into()), "{none}");
    // A location that has never matched is wrong all the same.
    tiny.write("pipelines/tiny.yaml", &written.replace("orders_{day", "odrers_{day"));
    let (status, wrong) = run(&tiny, &[]);
    assert_eq!((status, code(&wrong)), (2, "no-such-extract"), "{wrong}");
}
