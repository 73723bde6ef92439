use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Time64MicrosecondArray, TimestampMicrosecondArray};

use crate::contract_values::{Contract, parquet, texts};
use crate::meanings_table::folder;
use crate::support::segmill;

const NEW_YORK: &str = "time_zone: America/New_York\n";

/// Parts that together are the moments of `in_zone` or `in_own` in files that Python wrote, with the kinds of files that have them so.
const WAYS: [(&str, &str, &str, &str); 13] = [
    ("in_zone", "{date: day, time: time, zone: zone}", "", "csv ndjson parquet"),
    ("in_zone", "{date: day, time: clock, zone: zone}", "", "csv ndjson parquet"),
    ("in_zone", "{date: day_iso, time: millis, zone: zone}", "", "csv ndjson parquet"),
    ("in_zone", "{date: day_iso, time: clock, zone: zone}", "", "csv ndjson parquet"),
    ("in_zone", "{date: stamp, time: time, zone: zone}", "", "parquet"),
    ("in_zone", "{date: day_de, time: clock, zone: zone}", "'%d.%m.%Y %H:%M:%S'", "csv ndjson parquet"),
    ("in_zone", "{date: day_de, time: time, zone: zone}", "'%d.%m.%Y %H:%M:%S'", "csv ndjson parquet"),
    ("in_zone", "{date: day_de, time: clock_12, zone: zone}", "'%d.%m.%Y %I:%M:%S %p'", "csv ndjson parquet"),
    ("in_zone", "{date: stamp, time: clock_12, zone: zone}", "'%d.%m.%Y %I:%M:%S %p'", "parquet"),
    ("in_zone", "{date: digits, time: digits_of_day, zone: zone}", "'%Y%m%d %H%M%S'", "csv ndjson parquet"),
    ("in_zone", "{date: local, zone: zone}", "", "csv ndjson parquet"),
    ("in_own", "{date: [no_such_column, day], time: clock}", "", "csv ndjson parquet"),
    ("in_own", "{date: day_de, time: millis}", "'%d.%m.%Y %H:%M:%S'", "csv ndjson parquet"),
];

#[test]
fn moments_are_those_that_their_parts_say() {
    for kind in ["csv", "ndjson", "parquet"] {
        let ways: Vec<_> = WAYS.iter().filter(|(.., kinds)| kinds.split(' ').any(|one| one == kind)).collect();
        let declared = |(_, parts, format, _): &&(&str, &str, &str, &str)| {
            let format = if format.is_empty() { String::new() } else { format!(", format: {format}") };
            format!("{{type: timestamp, required: true, parts: {parts}{format}}}")
        };
        let declared: Vec<String> = ways.iter().map(declared).collect();
        let names: Vec<String> = (0..ways.len()).map(|at| format!("m{at}")).collect();
        let mut columns: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(declared.iter().map(String::as_str)).collect();
        columns.extend([("in_zone", "integer"), ("in_own", "integer"), ("n", "string")]);
        let contract = Contract::new(NEW_YORK, &[], &columns);
        contract.change("k: {type: string,", "k: {type: string, from: n,");
        let differing = |((known, ..), name): (&&(&str, &str, &str, &str), &String)| {
            format!(", count(*) filter (where cast({name} as bigint) is distinct from {known}) as {name}")
        };
        let differing: String = ways.iter().zip(&names).map(differing).collect();
        let sql = format!("-- How many moments differ.\nselect 'all' as customer_id, count(*) as rows_read{differing} from sources.s\n");
        contract.write("sql/customers.sql", sql.as_bytes());
        let name = format!("parts.{kind}");
        let read = contract.read(&name, &std::fs::read(folder().join("files").join(&name)).unwrap());
        assert_eq!(read.status, 0, "{kind}: {}", read.told);
        assert_eq!(read.rejected, Vec::<String>::new(), "{kind}");
        let mut known = vec!["all".to_owned(), "304".to_owned()];
        known.extend(ways.iter().map(|_| "0".to_owned()));
        assert_eq!(read.rows, [known], "{kind}: {ways:#?}");
    }
}

/// What is there only in part is no moment, and what is not there at all is no value.
#[test]
fn a_moment_with_a_part_missing_is_rejected() {
    let columns = [
        ("whole", "{type: timestamp, parts: {date: d, time: t, zone: z}}"),
        ("own", "{type: timestamp, parts: {date: d, time: t, zone: z}, zone: Asia/Tokyo}"),
        ("day", "{type: timestamp, parts: {date: d, zone: z}, zone: Asia/Tokyo}"),
    ];
    let contract = Contract::new(NEW_YORK, &[], &columns);
    let rows = [
        ("2025-07-01", "10:00", "Europe/Berlin", ["2025-07-01T08:00:00Z", "2025-07-01T08:00:00Z", "2025-06-30T22:00:00Z"]),
        // Abbreviations are those of the column's own zone.
        ("2025-07-01", "10:00", "EDT", ["2025-07-01T14:00:00Z", "", ""]),
        ("2025-07-01", "10:00", "JST", ["", "2025-07-01T01:00:00Z", "2025-06-30T15:00:00Z"]),
        ("2025-07-01", "10:00", "CST", ["", "", ""]),
        ("2025-07-01", "10:00", " +01:00 ", ["2025-07-01T09:00:00Z", "2025-07-01T09:00:00Z", "2025-06-30T23:00:00Z"]),
        ("2025-07-01", "10:00", "", ["", "2025-07-01T01:00:00Z", "2025-06-30T15:00:00Z"]),
        ("2025-07-01", "10:00", "n/a", ["", "2025-07-01T01:00:00Z", "2025-06-30T15:00:00Z"]),
        ("2025-07-01", "", "UTC", ["", "", "2025-07-01T00:00:00Z"]),
        ("2025-07-01", "null", "UTC", ["", "", "2025-07-01T00:00:00Z"]),
        ("2025-07-01", "24:00", "UTC", ["", "", "2025-07-01T00:00:00Z"]),
        ("2025-07-01", "10:00+02:00", "UTC", ["", "", "2025-07-01T00:00:00Z"]),
        ("2025-07-01 10:00", "10:00", "UTC", ["", "", "2025-07-01T10:00:00Z"]),
        ("2025-02-30", "10:00", "UTC", ["", "", ""]),
        ("1825-02-03", "10:00", "UTC", ["", "", ""]),
        ("", "10:00", "UTC", ["", "", ""]),
        ("", "", "UTC", ["", "", ""]),
        ("-", "NULL", "", ["", "", ""]),
    ];
    let csv: String = rows.iter().enumerate().map(|(at, (d, t, z, _))| format!("{at:02},2020-01-01,{d},{t},{z}\n")).collect();
    let ndjson = |(at, (d, t, z, _)): (usize, &(&str, &str, &str, [&str; 3]))| {
        format!("{}\n", serde_json::json!({"k": format!("{at:02}"), "at": "2020-01-01", "d": d, "t": t, "z": z}))
    };
    let ndjson: String = rows.iter().enumerate().map(ndjson).collect();
    let numbers: Vec<String> = (0..rows.len()).map(|at| format!("{at:02}")).collect();
    let held = vec![
        ("k", texts(&numbers.iter().map(String::as_str).collect::<Vec<_>>())),
        ("at", texts(&["2020-01-01"; 17])),
        ("d", texts(&rows.map(|row| row.0))),
        ("t", texts(&rows.map(|row| row.1))),
        ("z", texts(&rows.map(|row| row.2))),
    ];
    let files =
        [("s.csv", format!("k,at,d,t,z\n{csv}").into_bytes(), 2), ("s.ndjson", ndjson.into_bytes(), 1), ("s.parquet", parquet(held), 1)];
    for (name, bytes, first) in files {
        let read = contract.read(name, &bytes);
        assert_eq!(read.status, 0, "{name}: {}", read.told);
        let mut rejected = Vec::new();
        for (at, (row, (d, t, z, known))) in read.rows.iter().zip(&rows).enumerate() {
            assert_eq!(row[1..], known[..], "{name}: {d} {t} {z}");
            let is_none = |of: usize| known[of].is_empty() && at < 15 && (of != 2 || at != 14);
            let reason = if at == 13 { "year-out-of-range" } else { "not-a-timestamp" };
            let of_row = |of: &usize| is_none(*of);
            rejected.extend((0..3).filter(of_row).map(|of| format!("{} value {} {reason}", at + first, columns[of].0)));
        }
        rejected.sort();
        assert_eq!(read.rejected, rejected, "{name}");
    }
}

#[test]
fn an_event_time_may_be_in_parts() {
    let contract = Contract::new(NEW_YORK, &[], &[]);
    contract.change("at: {type: timestamp, required: true}", "at: {type: timestamp, required: true, parts: {date: d, time: t, zone: z}}");
    contract.change("event_time: at", "event_time: at\n    key: [k]");
    contract.select(&["at"]);
    let csv = "k,d,t,z\n\
               a,2025-12-31,23:59:59,UTC\n\
               a,2025-12-31,23:59:59,America/New_York\n\
               b,2025-12-31,23:59:59,Pacific/Honolulu\n\
               c,2026-01-01,05:00,Europe/Berlin\n\
               d,2025-01-01,,UTC\n\
               e,,,UTC\n";
    let read = contract.read("s.csv", csv.as_bytes());
    assert_eq!(read.status, 0, "{}", read.told);
    assert_eq!(read.rows, [["a", "2026-01-01T04:59:59Z"], ["c", "2026-01-01T04:00:00Z"]]);
    assert_eq!(read.rejected, ["6 row at not-a-timestamp", "7 row at missing-value"]);
    let ledger = ["rows_out_of_window", "rows_deduplicated"].map(|key| read.told["sources"][0][key].as_u64());
    assert_eq!(ledger, [Some(1), Some(1)], "{}", read.told);
}

/// A file that has a part as what can be none refuses the run, and one that lacks a part does, too, unless it may.
#[test]
fn a_part_of_the_wrong_kind_refuses_the_run_by_name() {
    let parts = "parts: {date: d, time: t, zone: z}";
    let days: ArrayRef = Arc::new(Date32Array::from(vec![20_000]));
    let times: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![36_000_000_000]));
    let moments: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC"));
    let file = |d: &ArrayRef, t: &ArrayRef, z: &ArrayRef| {
        let of = |array: &ArrayRef| Arc::clone(array);
        parquet(vec![("k", texts(&["a"])), ("at", texts(&["2020-01-01"])), ("d", of(d)), ("t", of(t)), ("z", of(z))])
    };
    let zone = texts(&["UTC"]);
    let contract = Contract::new(NEW_YORK, &[], &[("m", &format!("{{type: timestamp, {parts}}}"))]);
    assert_eq!(contract.read("s.parquet", &file(&days, &times, &zone)).rows, [["a", "2024-10-04T10:00:00Z"]]);
    for (bytes, said) in [
        (file(&moments, &times, &zone), "`d` holds timestamps"),
        (file(&times, &times, &zone), "`d` holds times of day"),
        (file(&days, &days, &zone), "`t` holds dates"),
        (file(&days, &times, &times), "`z` holds times of day"),
    ] {
        let read = contract.read("s.parquet", &bytes);
        assert_eq!(read.status, 3, "{}", read.told);
        assert!(read.told.to_string().contains(said), "{said}: {}", read.told);
    }
    let lacking = contract.read("s.csv", b"k,at,d,t\na,2020-01-01,2025-01-01,10:00\n");
    assert!(lacking.status == 3 && lacking.told.to_string().contains("lacks `z`"), "{}", lacking.told);
    let optional = Contract::new(NEW_YORK, &[], &[("m", &format!("{{type: timestamp, optional: true, {parts}}}"))]);
    let read = optional.read("s.csv", b"k,at,d,t\na,2020-01-01,2025-01-01,10:00\n");
    assert_eq!((read.rows, read.rejected), (vec![vec!["a".to_owned(), String::new()]], vec!["2 value m not-a-timestamp".to_owned()]));
    let read = optional.read("s.csv", b"k,at\na,2020-01-01\n");
    assert_eq!((read.rows, read.rejected), (vec![vec!["a".to_owned(), String::new()]], vec![]));
}

/// Columns that SQL does not see are the contract's all the same: known, masked, and read though no model reads them.
#[test]
fn parts_are_columns_of_the_contract() {
    let columns = [("m", "{type: timestamp, required: true, personal: true, parts: {date: d, time: t}}"), ("x", "string")];
    let contract = Contract::new(NEW_YORK, &["unknown_columns: refuse"], &columns);
    contract.select(&["x"]);
    let read = contract.read("s.csv", b"k,at,d,t,x\na,2020-01-01,1985-03-07,secret,1\nb,2020-01-01,1985-03-07,10:00,2\n");
    assert_eq!(read.status, 0, "{}", read.told);
    assert_eq!(read.rows, [["b", "2"]]);
    assert_eq!(read.rejected, ["2 row m not-a-timestamp"]);
    assert!(read.raw.iter().all(|raw| raw.contains("\"d\":\"***\"") && raw.contains("\"t\":\"***\"")), "{:?}", read.raw);
    let lines = ["a", "b"].map(|k| {
        let time = if k == "a" { serde_json::json!([1]) } else { serde_json::json!("10:00") };
        serde_json::json!({"k": k, "at": "2020-01-01", "d": "1985-03-07", "t": time, "x": "2"}).to_string() + "\n"
    });
    let read = contract.read("s.ndjson", lines.concat().as_bytes());
    assert_eq!(
        (read.rows, read.rejected),
        (vec![vec!["b".to_owned(), "2".to_owned()]], vec!["1 row m not-a-timestamp".to_owned()]),
        "{}",
        read.told
    );
}

/// The rows of a given/expect case have the moment itself, as its format writes it whole.
#[test]
fn a_case_gives_the_moment_as_a_whole() {
    let columns = [("m", "{type: timestamp, parts: {date: d, time: t, zone: z}, zone: Asia/Tokyo, format: '%d.%m.%Y %H:%M'}")];
    let contract = Contract::new(NEW_YORK, &[], &columns);
    contract.write("sql/customers.sql", b"-- A moment.\nselect k as customer_id, cast(m as date) as day from sources.s\n");
    let case = "- name: a morning in Tokyo is the evening before in New York\n  model: customers\n  as_of: 2026-01-01\n  given:\n    sources.s:\n      - \
                {k: a, at: '2020-01-01', m: '31.10.2025 08:30'}\n  expect:\n    - {customer_id: a, day: '2025-10-30'}\n";
    contract.write("tests/models/moments.yaml", case.as_bytes());
    let output = segmill(contract.folder.path(), &["test", "pipelines/meanings.yaml"]);
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    contract.write("tests/models/moments.yaml", case.replace("2025-10-30", "2025-10-31").as_bytes());
    assert_ne!(segmill(contract.folder.path(), &["test", "pipelines/meanings.yaml"]).status.code(), Some(0));
}
