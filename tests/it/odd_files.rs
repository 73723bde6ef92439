use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::reading::{read, replace_after_every_read};
use crate::support::rows_of_parquet;
use crate::tiny::Tiny;

const GOOD: &str = "customer_id,ordered_at\nc1,2026-10-01\n";

fn wide(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn parquet_of(rows: usize) -> Vec<u8> {
    let id: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("c{row}"))));
    let at: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|_| "2026-10-01")));
    let batch = RecordBatch::try_from_iter([("customer_id", Arc::clone(&id)), ("ordered_at", at), ("a", id)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// The tiny project, whose only extract is a file of any name.
fn project(location: &str, file: &str, bytes: &[u8]) -> Tiny {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", &tiny.read("pipelines/tiny.yaml").replace("${EXTRACTS:-extracts}/*.csv", location));
    std::fs::remove_file(tiny.folder.path().join("extracts/orders.csv")).unwrap();
    add(&tiny, file, bytes);
    tiny
}

fn add(tiny: &Tiny, file: &str, bytes: &[u8]) {
    let path = tiny.folder.path().join("extracts").join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The exit status of a run, and all that it tells.
fn run(tiny: &Tiny) -> (i32, Value, String) {
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--format", "json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), serde_json::from_str(&told).unwrap(), told)
}

/// What a file is decides, beside one that is sound, and the message says what that is.
#[test]
fn a_file_that_cannot_be_read_refuses_the_run_by_what_it_is() {
    let parquet = parquet_of(3);
    let gzip_of_nothing_whole = &zstd::encode_all(GOOD.repeat(50).as_bytes(), 3).unwrap()[..12];
    let cases: [(&str, &[u8], &str); 24] = [
        ("a.csv.zip", b"PK\x03\x04\x14\0\0\0\0\0small.csv", "is a zip archive"),
        ("a.csv", b"PK\x03\x04\x14\0\x06\0[Content_Types].xml", "is an Excel workbook (.xlsx)"),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "is an Excel workbook (.xls)"),
        ("a.csv.bz2", b"BZh91AY&SY\0\0", "is packed by bzip2"),
        ("a.csv.xz", b"\xfd7zXZ\0\0\x04", "is packed by xz"),
        ("a.csv", &wide("customer_id,ordered_at\n")[2..], "say `encoding: utf-16le`"),
        ("a.csv", b"\xff\xfe\0\0c\0\0\0", "is text in UTF-32"),
        ("a.csv", &parquet, "is a Parquet file"),
        ("a.csv", b"customer_id,ordered_at\0\0\n", "zero bytes"),
        ("a.csv", b"customer_id;ordered_at;city\nc1;2026-10-01;Bath\n", "2 `;` and no `,`: say `csv: {delimiter: ';'}`"),
        ("a.csv", b"customer_id\tordered_at\nc1\t2026-10-01\n", "1 tab and no `,`: say `csv: {delimiter: \\\"\\\\t\\\"}`"),
        ("a.csv", b"<!DOCTYPE html><html>503</html>", "an HTML page"),
        ("a.csv", b"<?xml version=\"1.0\"?><Error/>", "an XML document"),
        ("a.csv", b"{\"customer_id\": \"c1\"}\n", "looks like JSON"),
        ("a.csv", b"customer_id,\xffordered_at\n", "say `encoding: windows-1252`"),
        ("a.csv", b"\n\r\n\n", "it has no header line"),
        ("a.csv", b"customer_id,\"ordered_at\nc1,2026-10-01\n", "a quote in its header line never closes"),
        ("a.csv.zst", gzip_of_nothing_whole, "breaks off before its first record"),
        ("a.csv.gz", b"\x1f\x8b\x08", "breaks off before its first record"),
        ("a.ndjson", b"[1, [\"c1\"]]", "a JSON array whose elements are no objects"),
        ("a.ndjson", b"{\n\"customer_id\": \"c1\"\n}\n", "JSON over several lines"),
        ("a.ndjson", GOOD.as_bytes(), "it may be CSV"),
        ("a.ndjson", b"{\"customer_id\": {\"v\": 1}}\n{\"customer_id\": [1]}", "where the contract has a single value"),
        ("a.parquet", GOOD.as_bytes(), "text, perhaps CSV"),
    ];
    for (file, bytes, named) in cases {
        let tiny = project("extracts/*", file, bytes);
        add(&tiny, "sound.csv", GOOD.as_bytes());
        let (status, _, told) = run(&tiny);
        assert_eq!(status, 3, "{file} {named}: {told}");
        assert!(told.contains(&format!("extracts/{file}")) && told.contains(named), "{file} {named}: {told}");
        assert!(!tiny.folder.path().join("out/commits").exists());
    }
}

/// A name tells nothing of how a file is packed, and its format only where it has the ending of one.
#[test]
fn a_file_is_read_by_what_it_is_and_not_by_its_name() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let mut long_window = zstd::Encoder::new(Vec::new(), 3).unwrap();
    long_window.window_log(31).unwrap();
    std::io::Write::write_all(&mut long_window, GOOD.as_bytes()).unwrap();
    let (first, second) = GOOD.split_at(30);
    for (file, bytes) in [
        ("a.csv.gz", GOOD.as_bytes().to_vec()),
        ("a.csv", gzip(GOOD)),
        ("a.csv.gz", zstd::encode_all(GOOD.as_bytes(), 3).unwrap()),
        ("a.csv.gz", [gzip(GOOD), vec![0; 512]].concat()),
        ("a.csv.gz", [gzip(first), gzip(second)].concat()),
        ("a.csv.zst", long_window.finish().unwrap()),
        ("a.csv", GOOD.replace('\n', "\r").into_bytes()),
        ("a.csv", GOOD.replace('\n', "\r\n").into_bytes()),
        ("a.csv", GOOD.replacen('\n', "\r", 1).into_bytes()),
        ("a.csv", [b"\xef\xbb\xbf".as_slice(), GOOD.replace("customer_id", "\"customer_id\"").as_bytes()].concat()),
        ("part-00000", GOOD.as_bytes().to_vec()),
        ("a.csv", wide(GOOD)),
        ("part-00000", wide(GOOD)),
        ("part-00000", gzip(GOOD)),
        ("part-00000", b" {\"customer_id\": \"c1\", \"ordered_at\": \"2026-10-01\"}\n".to_vec()),
        ("part-00000", parquet_of(1)),
    ] {
        let tiny = project("extracts/**/*", &format!("day/{file}"), &bytes);
        add(&tiny, "sound.csv", GOOD.as_bytes());
        for marker in ["_SUCCESS", ".a.csv.crc", "day/a.crc", "_temporary/0/b.csv"] {
            add(&tiny, marker, b"x");
        }
        let (status, result, told) = run(&tiny);
        assert_eq!(status, 0, "{file}: {told}");
        let ledger = &result["sources"][0];
        assert_eq!(["files", "files_skipped", "rows_read", "rows_kept"].map(|key| ledger[key].as_u64().unwrap()), [2, 4, 2, 2], "{file}");
    }
}

#[test]
fn an_extract_of_nothing_is_empty_and_no_more() {
    for (name, bytes, rows) in [("extract.csv", "", 0), ("extract.ndjson", "", 0), ("extract.csv", "a,b", 0), ("extract.csv", "a,b\r\n", 0)]
    {
        assert_eq!(read(name, bytes.as_bytes()).unwrap().ledger.rows_read, rows, "{bytes:?}");
    }
}

/// What nobody declared is in no row that is kept of a reject, and no value of a record that may be shifted by a column.
#[test]
fn rejects_hold_declared_columns_and_nothing_else() {
    let tiny = Tiny::new();
    let pipeline = tiny.read("pipelines/tiny.yaml").replace("/*.csv", "/*").replace(
        "      customer_id:",
        "      note: {type: string, optional: true, accepted: [kept-note]}\n      email: {type: string, optional: true, personal: true}\n      customer_id:",
    );
    tiny.write(
        "pipelines/tiny.yaml",
        &pipeline.replace("event_time: ordered_at\n", "event_time: ordered_at\n    reject_budget: {share: 1}\n"),
    );
    tiny.write(
        "extracts/a.csv",
        "customer_id,ordered_at,ssn,note,email\nc1,never,SECRET,kept-note,SECRET\nc2,SECRET,SECRET,2026-10-01\nc3,2026-10-01,,SECRET,SECRET,SECRET\n\
         2026-10-01,c6@SECRET,,c6,2026-10-01\n\
         c4,2026-10-01,\"SECRET",
    );
    tiny.write(
        "extracts/b.ndjson",
        "{\"customer_id\": \"c5\", \"ordered_at\": \"never\", \"ssn\": \"SECRET\", \"note\": \"kept-note\", \"email\": \"SECRET\"}\n\
         {\"customer_id\": {\"ssn\": \"SECRET\"}, \"ordered_at\": \"2026-10-01\"}\n{\"note\": \"SECRET\"",
    );
    let (status, result, told) = run(&tiny);
    assert_eq!(status, 0, "{told}");
    assert_eq!(result["sources"][0]["rows_rejected"], 8);
    let rejected = result["outputs"].as_array().unwrap().iter().find(|output| output["table"] == "rejected").unwrap();
    let file = tiny.folder.path().join("out").join(rejected["files"][0]["path"].as_str().unwrap());
    let raw: Vec<String> = rows_of_parquet(&[file], "select raw from t order by file, row_number").concat();
    assert!(raw.iter().all(|raw| !raw.contains("SECRET") && !raw.contains("ssn")), "{raw:?}");
    assert_eq!(raw.iter().filter(|raw| raw.contains("kept-note")).count(), 2, "{raw:?}");
}

/// A file that is replaced between two reads of one run ends it; nobody sees a mixture.
#[test]
fn what_changes_while_it_is_read_ends_the_run() {
    let rows = |header: &str, row: &str| format!("{header}{}", row.repeat(12_000_000 / row.len())).into_bytes();
    let folder = tempfile::tempdir().unwrap();
    for (name, old, new) in [
        ("extract.csv", rows("a,b\n", "old,old\n"), rows("a,b\n", "new,new\n")),
        ("extract.ndjson", rows("", "{\"a\": \"old\"}\n"), rows("", "{\"a\": \"new\"}\n")),
        ("extract.parquet", parquet_of(9), parquet_of(8)),
    ] {
        let local: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        for inner in [Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, local] {
            replace_after_every_read(&inner, name, &old, &new);
        }
    }
}

/// Rows repeat the one above in CSV files alone; elsewhere a row stands for itself.
#[test]
fn blank_cells_repeat_the_row_above_in_csv_alone() {
    let rows: String = (0..3).map(|at| format!("c1,{}\n", if at == 0 { "2026-10-01" } else { "" })).collect();
    let csv = format!("customer_id,ordered_at\n{rows}c2,\n");
    let json = "{\"customer_id\": \"c1\", \"ordered_at\": \"2026-10-01\"}\n";
    for (file, bytes, status, told_part) in [("a.csv", csv.as_str(), 0, "missing-value"), ("a.ndjson", json, 3, "is no CSV file")] {
        let tiny = project("extracts/*", file, bytes.as_bytes());
        let repeats = "    blank_repeats: {within: [customer_id], columns: [ordered_at]}\n    reject_budget: {share: 1}\n    event_time";
        tiny.write("pipelines/tiny.yaml", &tiny.read("pipelines/tiny.yaml").replacen("    event_time", repeats, 1));
        let (found, result, told) = run(&tiny);
        assert_eq!(found, status, "{told}");
        assert!(told.contains(told_part), "{told}");
        if status == 0 {
            let ledger = &result["sources"][0];
            assert_eq!((&ledger["rows_kept"], &ledger["rows_rejected"]), (&3.into(), &1.into()), "{told}");
        }
    }
}
