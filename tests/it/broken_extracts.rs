use std::io::Write;
use std::path::Path;
use std::process::Output;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{rows_of_parquet, segmill};

/// Stands in every bad row's e-mail, so that it can be looked for wherever a run writes.
const PLANTED: &str = "planted.person@example.com";
const HEADER: &str = "id,at,day,amount,qty,email,kind,code";

/// A broken file, what becomes of its rows, and the reasons of the rejected ones with their line or row.
struct Case {
    name: String,
    file: String,
    bytes: Vec<u8>,
    /// Read, kept, rejected, out of window.
    ledger: [u64; 4],
    rejects: Vec<(u64, &'static str)>,
}

fn csv_row(changes: &[(&str, &str)]) -> String {
    let mut values = [
        ("id", "x"),
        ("at", "2011-06-01T10:00:00Z"),
        ("day", "2011-05-01"),
        ("amount", "12.50"),
        ("qty", "3"),
        ("email", PLANTED),
        ("kind", "a"),
        ("code", "ABC"),
    ];
    for (name, value) in changes {
        values.iter_mut().find(|(known, _)| known == name).unwrap().1 = value;
    }
    values.map(|(_, value)| value).join(",")
}

fn json_row(changes: &[(&str, &str)]) -> String {
    let mut values = [
        ("id", "\"x\""),
        ("at", "\"2011-06-01T10:00:00Z\""),
        ("day", "\"2011-05-01\""),
        ("amount", "12.50"),
        ("qty", "3"),
        ("email", "\"planted.person@example.com\""),
        ("kind", "\"a\""),
        ("code", "\"ABC\""),
    ];
    for (name, value) in changes {
        values.iter_mut().find(|(known, _)| known == name).unwrap().1 = value;
    }
    let members: Vec<String> =
        values.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

/// What can be wrong with a value, whatever the format: the change in CSV, in JSON, and the reason.
const VALUES: [(&str, &str, &str, &str, &str); 16] = [
    ("missing_id", "id", "", "null", "missing-value"),
    ("absent_time", "at", "", "", "missing-value"),
    ("no_timestamp", "at", "yesterday", "\"yesterday\"", "not-a-timestamp"),
    ("month_13", "at", "2011-13-01T00:00:00Z", "\"2011-13-01T00:00:00Z\"", "not-a-timestamp"),
    ("impossible_date", "day", "2011-02-30", "\"2011-02-30\"", "not-a-date"),
    ("other_date_order", "day", "30/04/2011", "\"30/04/2011\"", "not-a-date"),
    ("number_with_comma", "amount", "\"1,250.00\"", "\"1,250.00\"", "not-a-decimal"),
    ("currency", "amount", "£12", "\"£12\"", "not-a-decimal"),
    ("overflowing_decimal", "amount", "123456789012.00", "123456789012.00", "not-a-decimal"),
    ("word_for_number", "qty", "three", "\"three\"", "not-an-integer"),
    ("fraction_for_integer", "qty", "2.5", "2.5", "not-an-integer"),
    ("overflowing_integer", "qty", "92233720368547758080", "92233720368547758080", "not-an-integer"),
    ("below_minimum", "qty", "-1", "-1", "below-minimum"),
    ("above_maximum", "qty", "101", "101", "above-maximum"),
    ("not_accepted", "kind", "c", "\"c\"", "not-accepted"),
    ("pattern", "code", "ABCD", "\"ABCD\"", "pattern-mismatch"),
];

/// A text file before compression: name, format, bytes, ledger, rejects.
type TextCase = (String, &'static str, Vec<u8>, [u64; 4], Vec<(u64, &'static str)>);

/// Every kind of damage in every text format.
fn text_cases() -> Vec<TextCase> {
    let mut cases = Vec::new();
    let (good, json) = (csv_row(&[]), json_row(&[]));
    let long = PLANTED.repeat(1024 * 1024 / PLANTED.len());
    for (name, column, in_csv, in_json, reason) in VALUES {
        let bad = csv_row(&[(column, in_csv)]);
        cases.push((name.to_owned(), "csv", format!("{HEADER}\n{good}\n{bad}\n{good}\n").into_bytes(), [3, 2, 1, 0], vec![(3, reason)]));
        let bad = json_row(&[(column, in_json)]);
        cases.push((name.to_owned(), "ndjson", format!("{json}\n{bad}\n{json}\n").into_bytes(), [3, 2, 1, 0], vec![(2, reason)]));
    }
    let mut csv = |name: &str, text: &[u8], ledger, rejects| cases.push((name.to_owned(), "csv", text.to_vec(), ledger, rejects));
    let with = |bad: &str| format!("{HEADER}\n{good}\n{bad}\n{good}\n").into_bytes();
    csv("too_few_fields", &with(&format!("x,{PLANTED}")), [3, 2, 1, 0], vec![(3, "too-few-fields")]);
    csv("too_many_fields", &with(&format!("{good},more")), [3, 2, 1, 0], vec![(3, "too-many-fields")]);
    csv("too_long", &with(&csv_row(&[("email", &long)])), [3, 2, 1, 0], vec![(3, "record-too-long")]);
    csv("unclosed_quote", &with(&csv_row(&[("code", "\"ABC")])), [3, 2, 1, 0], vec![(3, "unclosed-quote")]);
    csv("text_after_quote", &with(&csv_row(&[("kind", "\"a\"b")])), [3, 2, 1, 0], vec![(3, "not-accepted")]);
    csv(
        "invalid_utf8",
        &[format!("{HEADER}\n{good}\n").as_bytes(), b"\xff\xfe", good.as_bytes(), b"\n"].concat(),
        [2, 1, 1, 0],
        vec![(3, "invalid-utf8")],
    );
    csv("late", &with(&csv_row(&[("at", "2011-06-10T00:00:00Z"), ("qty", "bad")])), [3, 2, 0, 1], vec![]);
    csv("byte_order_mark", &[b"\xef\xbb\xbf".as_slice(), &with(&good)].concat(), [3, 3, 0, 0], vec![]);
    csv("crlf", String::from_utf8(with(&good)).unwrap().replace('\n', "\r\n").as_bytes(), [3, 3, 0, 0], vec![]);
    csv(
        "crlf_bad",
        String::from_utf8(with(&csv_row(&[("qty", "bad")]))).unwrap().replace('\n', "\r\n").as_bytes(),
        [3, 2, 1, 0],
        vec![(3, "not-an-integer")],
    );
    csv("blank_lines", &with("\n\n"), [2, 2, 0, 0], vec![]);
    csv("no_last_line_end", format!("{HEADER}\n{good}").as_bytes(), [1, 1, 0, 0], vec![]);
    csv("line_end_in_quotes", &with(&csv_row(&[("email", "\"a\nb\"")])), [3, 3, 0, 0], vec![]);
    csv(
        "bad_after_line_end_in_quotes",
        &with(&csv_row(&[("email", "\"a\nb\""), ("qty", "bad")])),
        [3, 2, 1, 0],
        vec![(3, "not-an-integer")],
    );
    let ending_with = |end: &str, bad: &str| String::from_utf8(with(bad)).unwrap().replace('\n', end).into_bytes();
    csv("cr", &ending_with("\r", &good), [3, 3, 0, 0], vec![]);
    csv("cr_bad", &ending_with("\r", &csv_row(&[("qty", "bad")])), [3, 2, 1, 0], vec![(3, "not-an-integer")]);
    csv("cr_and_lf", &[ending_with("\r", &good), with(&good)[HEADER.len()..].to_vec()].concat(), [6, 6, 0, 0], vec![]);
    let shifted = csv_row(&[("email", "\"a\nx,y\nb\"")]) + ",more";
    csv("shifted_over_lines", &with(&shifted), [3, 2, 1, 0], vec![(3, "too-many-fields")]);
    let never_closed = csv_row(&[("code", "\"ABC\nDEF")]);
    csv("never_closed_over_lines", &with(&never_closed), [4, 2, 2, 0], vec![(3, "unclosed-quote"), (4, "too-few-fields")]);
    csv("unnamed_columns", format!("{HEADER},,\n{good},1,2\n").as_bytes(), [1, 1, 0, 0], vec![]);
    csv("header_only", format!("{HEADER}\n").as_bytes(), [0, 0, 0, 0], vec![]);
    csv("empty", b"", [0, 0, 0, 0], vec![]);
    csv(
        "other_order",
        b"more,code,kind,email,qty,amount,day,at,id\n,ABC,a,e,3,1,2011-05-01,2011-06-01T10:00:00Z,x\n",
        [1, 1, 0, 0],
        vec![],
    );
    let mut ndjson = |name: &str, text: &[u8], ledger, rejects| cases.push((name.to_owned(), "ndjson", text.to_vec(), ledger, rejects));
    let with = |bad: &str| format!("{json}\n{bad}\n{json}\n").into_bytes();
    ndjson("cut_short", &with(&json[..json.len() - 4]), [3, 2, 1, 0], vec![(2, "invalid-json")]);
    ndjson("too_long", &with(&json.replacen(PLANTED, &long, 1)), [3, 2, 1, 0], vec![(2, "record-too-long")]);
    ndjson("not_an_object", &with("[1, 2]"), [3, 2, 1, 0], vec![(2, "not-an-object")]);
    ndjson("two_objects", &with(&format!("{json} {json}")), [3, 2, 1, 0], vec![(2, "invalid-json")]);
    ndjson("tab_in_text", &with(&json.replacen(PLANTED, "planted.\tperson@example.com", 1)), [3, 2, 1, 0], vec![(2, "invalid-json")]);
    ndjson("leading_zero", &with(&json_row(&[("qty", "03")])), [3, 2, 1, 0], vec![(2, "invalid-json")]);
    ndjson("escapes", &with(&json.replace("\"id\"", "\"\\u0069d\"").replace("ABC", "\\u0041BC")), [3, 3, 0, 0], vec![]);
    ndjson("nested", &with(&json_row(&[("kind", "{\"a\": 1}")])), [3, 2, 1, 0], vec![(2, "nested-value")]);
    ndjson("invalid_utf8", &[json.as_bytes(), b"\n{\"id\": \"\xff\"}\n"].concat(), [2, 1, 1, 0], vec![(2, "invalid-utf8")]);
    ndjson("late", &with(&json_row(&[("at", "\"2011-06-10T00:00:00Z\"")])), [3, 2, 0, 1], vec![]);
    ndjson("crlf", &String::from_utf8(with(&json)).unwrap().replace('\n', "\r\n").into_bytes(), [3, 3, 0, 0], vec![]);
    ndjson("byte_order_mark", &[b"\xef\xbb\xbf".as_slice(), &with(&json)].concat(), [3, 3, 0, 0], vec![]);
    ndjson("blank_lines", &with(""), [2, 2, 0, 0], vec![]);
    ndjson("no_last_line_end", json.as_bytes(), [1, 1, 0, 0], vec![]);
    ndjson("empty", b"", [0, 0, 0, 0], vec![]);
    cases
}

fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, format, bytes, ledger, rejects) in text_cases() {
        for (ending, compressed) in [("", bytes.clone()), (".gz", gzip(&bytes)), (".zst", zstd::encode_all(bytes.as_slice(), 3).unwrap())] {
            let name = format!("{format}_{name}{}", ending.replace('.', "_"));
            cases.push(Case { file: format!("{name}.{format}{ending}"), name, bytes: compressed, ledger, rejects: rejects.clone() });
        }
    }
    // Compressed files that break off: what could be read before is kept.
    let row = csv_row(&[]);
    let text: String = std::iter::once(HEADER.to_owned())
        .chain((0..5000).map(|n| row.replacen('x', &format!("{:x}", n * 7919), 1)))
        .collect::<Vec<_>>()
        .join("\n");
    for (ending, whole) in [("gz", gzip(text.as_bytes())), ("zst", zstd::encode_all(text.as_bytes(), 3).unwrap())] {
        let name = format!("csv_truncated_{ending}");
        cases.push(Case {
            file: format!("{name}.csv.{ending}"),
            name,
            bytes: whole[..whole.len() / 2].to_vec(),
            ledger: [u64::MAX; 4],
            rejects: vec![],
        });
    }
    for (number, (name, _, _, _, reason)) in VALUES.iter().enumerate().filter(|(_, value)| ["day", "kind", "code"].contains(&value.1)) {
        let (column, bad) = (VALUES[number].1, VALUES[number].2);
        let name = format!("parquet_{name}");
        cases.push(Case {
            file: format!("{name}.parquet"),
            name,
            bytes: parquet_rows(column, bad),
            ledger: [3, 2, 1, 0],
            rejects: vec![(2, reason)],
        });
    }
    cases
}

#[test]
fn every_kind_of_broken_file_costs_only_its_bad_rows() {
    let cases = all_cases();
    assert!(cases.len() >= 60, "{} files", cases.len());
    let project = tempfile::tempdir().unwrap();
    project_of(project.path(), &cases.iter().map(|case| (case.name.as_str(), case.file.as_str())).collect::<Vec<_>>());
    for case in &cases {
        write(project.path(), &format!("extracts/{}", case.file), &case.bytes);
    }
    let output = run(project.path());
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_str(&told).unwrap();
    let rejected = rejected_rows(project.path(), &result);

    for case in &cases {
        let ledger = result["sources"].as_array().unwrap().iter().find(|ledger| ledger["source"] == case.name.as_str()).unwrap();
        let found = ["rows_read", "rows_kept", "rows_rejected", "rows_out_of_window"].map(|key| ledger[key].as_u64().unwrap());
        let reasons: Vec<(u64, String)> =
            rejected.iter().filter(|row| row[0] == case.name).map(|row| (row[2].parse().unwrap(), row[4].clone())).collect();
        if case.ledger == [u64::MAX; 4] {
            assert!(found[1] > 100 && found[1] < 5000 && found[2] == 1, "{}: {found:?}", case.name);
            assert_eq!(reasons[0].1, "damaged-compression");
            continue;
        }
        assert_eq!(found, case.ledger, "{}: {reasons:?}", case.name);
        let expected: Vec<_> = case.rejects.iter().map(|(row, reason)| (*row, (*reason).to_owned())).collect();
        assert_eq!(reasons, expected, "{}", case.name);
    }

    // Discretion: the planted person is in no message, no reject and no other file.
    assert!(!told.contains(PLANTED) && !String::from_utf8_lossy(&output.stderr).contains(PLANTED));
    assert!(rejected.len() > 100);
    let leaks: Vec<_> = rejected.iter().filter(|row| row.join(" ").contains("planted")).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
}

/// A file that cannot be read at all refuses the run, by name; nothing is published.
#[test]
fn damaged_files_are_named_with_what_is_wrong() {
    let whole = parquet_rows("kind", "a");
    let cut = whole[..whole.len() - 9].to_vec();
    let mut scrambled = whole.clone();
    scrambled[4..40].fill(0xAB);
    for (file, bytes, wrong) in [
        ("cut.parquet", cut, "cut.parquet is not readable as Parquet"),
        ("text.parquet", b"id,at\n1,2\n".to_vec(), "text.parquet is not readable as Parquet"),
        ("empty.parquet", Vec::new(), "empty.parquet is not readable as Parquet"),
        ("scrambled.parquet", scrambled, "scrambled.parquet is not readable as Parquet"),
        ("swapped.csv", b"id,at,day,amount,qty,email,kind\n".to_vec(), "swapped.csv: the header lacks `code`"),
        ("twice.csv", format!("{HEADER},id\n").into_bytes(), "twice.csv: the header names `id` twice"),
    ] {
        let project = tempfile::tempdir().unwrap();
        project_of(project.path(), &[("events", file)]);
        write(project.path(), &format!("extracts/{file}"), &bytes);
        let output = run(project.path());
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{file}: {told}");
        assert!(told.contains(wrong), "{file}: {told}");
        assert!(!project.path().join("out/commits").exists());
    }
}

/// A join with nothing on its other side need not read its extract; the ledger counts its rows all the same.
#[test]
fn rows_that_no_join_asked_for_are_counted() {
    let project = tempfile::tempdir().unwrap();
    project_of(project.path(), &[("nobody", "nobody.csv"), ("events", "events.csv")]);
    let rows = format!("{}\n", csv_row(&[])).repeat(20_000);
    write(project.path(), "extracts/nobody.csv", format!("{HEADER}\n").as_bytes());
    write(project.path(), "extracts/events.csv", format!("{HEADER}\n{rows}{}\n", csv_row(&[("qty", "bad")])).as_bytes());
    let join = "-- Nobody.\nselect distinct e.id as customer_id from sources.nobody as n inner join sources.events as e on e.id = n.id\n";
    write(project.path(), "sql/customers.sql", join.as_bytes());
    let output = run(project.path());
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let result: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(result["customers"], 0);
    let events = result["sources"].as_array().unwrap().iter().find(|ledger| ledger["source"] == "events").unwrap();
    assert_eq!(["rows_read", "rows_kept", "rows_rejected"].map(|key| events[key].as_u64().unwrap()), [20_001, 20_000, 1], "{events}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the mixture of good and bad rows, the ledger adds up and the kept rows are the good ones.
    #[test]
    fn kept_rows_are_the_good_ones(rows in prop::collection::vec(0..VALUES.len() * 3, 0..60), json in any::<bool>()) {
        let bad = |pick: usize| VALUES.get(pick);
        let id = |at: usize| format!("{at:03}");
        let line = |(at, pick): (usize, &usize)| match (bad(*pick), json) {
            (Some((_, "id", value, _, _)), false) => csv_row(&[("id", value)]),
            (Some((_, "id", _, value, _)), true) => json_row(&[("id", value)]),
            (Some((_, column, value, _, _)), false) => csv_row(&[("id", &id(at)), (column, value)]),
            (Some((_, column, _, value, _)), true) => json_row(&[("id", &format!("\"{}\"", id(at))), (column, value)]),
            (None, false) => csv_row(&[("id", &id(at))]),
            (None, true) => json_row(&[("id", &format!("\"{}\"", id(at)))]),
        };
        let lines: Vec<String> = rows.iter().enumerate().map(line).collect();
        let good: Vec<String> = rows.iter().enumerate().filter(|(_, pick)| bad(**pick).is_none()).map(|(at, _)| id(at)).collect();
        let project = tempfile::tempdir().unwrap();
        let file = if json { "events.ndjson" } else { "events.csv" };
        project_of(project.path(), &[("events", file)]);
        let text = if json { lines.join("\n") } else { format!("{HEADER}\n{}", lines.join("\n")) };
        write(project.path(), &format!("extracts/{file}"), text.as_bytes());
        let output = run(project.path());
        let told = String::from_utf8_lossy(&output.stdout);
        prop_assert!(output.status.success(), "{told}");
        let result: Value = serde_json::from_str(&told).unwrap();
        let ledger = &result["sources"][0];
        prop_assert_eq!(ledger["rows_read"].as_u64(), Some(rows.len() as u64));
        prop_assert_eq!(ledger["rows_kept"].as_u64(), Some(good.len() as u64));
        prop_assert_eq!(ledger["rows_rejected"].as_u64(), Some((rows.len() - good.len()) as u64));
        let kept = rows_of_parquet(&[table(project.path(), &result, "customers")], "select customer_id from t order by customer_id");
        let expected: Vec<Vec<String>> = good.iter().map(|id| vec![format!("events:{id}")]).collect();
        prop_assert_eq!(kept, expected);
    }
}

/// A project with a source a file, all with the same contract.
fn project_of(folder: &Path, sources: &[(&str, &str)]) {
    let mut pipeline = String::from("version: 1\nname: broken\nsources:\n");
    let mut union = Vec::new();
    for (name, file) in sources {
        pipeline += &format!(
            "  {name}:\n    location: extracts/{file}\n    event_time: at\n    reject_budget: {{share: 1.0}}\n    columns:\n      \
             id: {{type: string, required: true}}\n      at: {{type: timestamp, required: true}}\n      \
             day: {{type: date, on_error: reject}}\n      amount: {{type: 'decimal(10,2)', on_error: reject}}\n      \
             qty: {{type: integer, min: 0, max: 100, on_error: reject}}\n      email: {{type: string, personal: true}}\n      \
             kind: {{type: string, accepted: [a, b], on_error: reject}}\n      \
             code: {{type: string, pattern: '[A-Z]{{3}}', on_error: reject}}\n"
        );
        union.push(format!("select '{name}:' || id as customer_id from sources.{name}"));
    }
    pipeline += "outputs:\n  destination: out\n  tables:\n    customers: {model: customers, sort: [customer_id]}\n";
    write(folder, "pipelines/p.yaml", pipeline.as_bytes());
    let union = union.join("\nunion all\n");
    write(folder, "sql/customers.sql", format!("-- Every row.\nselect distinct customer_id from (\n{union}\n)\n").as_bytes());
}

fn run(folder: &Path) -> Output {
    segmill(folder, &["run", "pipelines/p.yaml", "--as-of", "2011-06-10", "--format", "json"])
}

fn rejected_rows(folder: &Path, result: &Value) -> Vec<Vec<String>> {
    rows_of_parquet(
        &[table(folder, result, "rejected")],
        "select source, file, row_number, \"column\", reason, raw from t order by source, file, row_number",
    )
}

fn table(folder: &Path, result: &Value, name: &str) -> std::path::PathBuf {
    let output = result["outputs"].as_array().unwrap().iter().find(|output| output["table"] == name).unwrap();
    folder.join("out").join(output["files"][0]["path"].as_str().unwrap())
}

fn write(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Three rows, of which the second has another value in one of its text columns.
fn parquet_rows(column: &str, bad: &str) -> Vec<u8> {
    let texts = |name: &str, good: &str| -> ArrayRef {
        let second = if name == column { bad } else { good };
        std::sync::Arc::new(StringArray::from(vec![good, second, good]))
    };
    let batch = RecordBatch::try_from_iter([
        ("id", texts("id", "x")),
        ("at", texts("at", "2011-06-01T10:00:00Z")),
        ("day", texts("day", "2011-05-01")),
        ("amount", std::sync::Arc::new(Float64Array::from(vec![12.5, 2.55, 0.1])) as ArrayRef),
        ("qty", std::sync::Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])) as ArrayRef),
        ("email", texts("email", PLANTED)),
        ("kind", texts("kind", "a")),
        ("code", texts("code", "ABC")),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}
