use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

use crate::meanings_table::{published, run};
use crate::support::{rows, segmill};

/// A project with one source `s` and one model over it.
pub struct Contract {
    pub folder: TempDir,
    columns: Vec<String>,
}

/// What a run read of the source.
pub struct Read {
    pub status: i32,
    pub told: Value,
    pub rows: Vec<Vec<String>>,
    /// Row, scope, column and reason.
    pub rejected: Vec<String>,
    /// What is kept of the rows that were rejected, or that have a value that was.
    pub raw: Vec<String>,
}

impl Contract {
    /// `source` is what the source says beside its columns, and `columns` what it says of these but for the key and the event time.
    pub fn new(head: &str, source: &[&str], columns: &[(&str, &str)]) -> Contract {
        let folder = tempfile::tempdir().unwrap();
        let source: String = source.iter().map(|line| format!("    {line}\n")).collect();
        let declared: String = columns.iter().map(|(name, column)| format!("      {name}: {column}\n")).collect();
        let pipeline = format!(
            "version: 1\nname: values\n{head}sources:\n  s:\n    location: data/*\n    event_time: at\n    reject_budget: {{share: 1}}\n{source}    \
             columns:\n      k: {{type: string, required: true}}\n      at: {{type: timestamp, required: true}}\n{declared}outputs:\n  destination: \
             out\n  tables:\n    customers: {{model: customers, sort: [customer_id]}}\n"
        );
        let contract = Contract { folder, columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect() };
        contract.write("pipelines/meanings.yaml", pipeline.as_bytes());
        contract.select(&contract.columns.iter().map(String::as_str).collect::<Vec<_>>());
        contract
    }

    /// Publishes these columns alone.
    pub fn select(&self, columns: &[&str]) {
        let columns: String = columns.iter().map(|column| format!(", {column}")).collect();
        self.write("sql/customers.sql", format!("-- What was read.\nselect k as customer_id{columns} from sources.s\n").as_bytes());
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Replaces a part of the pipeline file.
    pub fn change(&self, text: &str, replacement: &str) {
        let path = self.folder.path().join("pipelines/meanings.yaml");
        let pipeline = std::fs::read_to_string(&path).unwrap();
        assert!(pipeline.contains(text), "{pipeline}");
        std::fs::write(&path, pipeline.replace(text, replacement)).unwrap();
    }

    /// Reads one file.
    pub fn read(&self, name: &str, bytes: &[u8]) -> Read {
        drop(std::fs::remove_dir_all(self.folder.path().join("data")));
        drop(std::fs::remove_dir_all(self.folder.path().join("out")));
        self.write(&format!("data/{name}"), bytes);
        let (status, told) = run(self.folder.path(), "2026-01-01");
        if status != 0 {
            return Read { status, told, rows: Vec::new(), rejected: Vec::new(), raw: Vec::new() };
        }
        let of = |table: &str| published(self.folder.path(), &told, table);
        let (mut rejected, mut raw) = (Vec::new(), Vec::new());
        for batch in of("rejected") {
            let text =
                |name: &str, row: usize| arrow::util::display::array_value_to_string(batch.column_by_name(name).unwrap(), row).unwrap();
            raw.extend((0..batch.num_rows()).map(|row| text("raw", row)));
            rejected
                .extend((0..batch.num_rows()).map(|row| ["row_number", "scope", "column", "reason"].map(|name| text(name, row)).join(" ")));
        }
        rejected.sort();
        Read { status, rows: rows(&of("customers")), rejected, raw, told }
    }

    fn validate(&self) -> (i32, String) {
        let output = segmill(self.folder.path(), &["validate", "pipelines/meanings.yaml"]);
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout))
    }
}

pub fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

pub fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

/// The same rows as CSV, as NDJSON and as Parquet, which holds numbers, truths, days and moments as such.
fn marked_rows() -> [(&'static str, Vec<u8>); 3] {
    let csv = "k,at,i,d,f,t,b,day,ts\n\
               a,2020-01-01,-1,-1.00,-1,NULL,0,1900-01-01,1753-01-01T00:00:00Z\n\
               b,2020-01-01,5,2.50,nan,null,1,2025-11-06,2025-11-06T10:00:00Z\n\
               c,2020-01-01,-10,-1.50,1.5,-1,1,1900-01-02,2025-11-06T10:00:00Z\n";
    let ndjson = r#"{"k":"a","at":"2020-01-01","i":-1,"d":-1.00,"f":-1.0,"t":"NULL","b":0,"day":"1900-01-01","ts":"1753-01-01T00:00:00Z"}
{"k":"b","at":"2020-01-01","i":5,"d":2.5,"f":"NaN","t":"null","b":1,"day":"2025-11-06","ts":"2025-11-06T10:00:00Z"}
{"k":"c","at":"2020-01-01","i":-10,"d":-1.5,"f":1.5,"t":-1,"b":1,"day":"1900-01-02","ts":"2025-11-06T10:00:00Z"}
"#;
    let held = vec![
        ("k", texts(&["a", "b", "c"])),
        ("at", texts(&["2020-01-01"; 3])),
        ("i", Arc::new(Int64Array::from(vec![-1, 5, -10])) as ArrayRef),
        ("d", Arc::new(Decimal128Array::from(vec![-100, 250, -150]).with_precision_and_scale(10, 2).unwrap())),
        ("f", Arc::new(Float64Array::from(vec![-1.0, f64::NAN, 1.5]))),
        ("t", texts(&["NULL", "null", "-1"])),
        ("b", Arc::new(Int64Array::from(vec![0, 1, 1]))),
        ("day", Arc::new(Date32Array::from(vec![-25_567, 20_398, -25_566]))),
        (
            "ts",
            Arc::new(
                TimestampMicrosecondArray::from(vec![-6_847_804_800_000_000, 1_762_423_200_000_000, 1_762_423_200_000_000])
                    .with_timezone("UTC"),
            ),
        ),
    ];
    [("s.csv", csv.as_bytes().to_vec()), ("s.ndjson", ndjson.as_bytes().to_vec()), ("s.parquet", parquet(held))]
}

#[test]
fn markers_of_a_source_are_null_however_a_file_holds_them() {
    let source = ["null_values: ['NULL', -1, nan, 1900-01-01, '1753-01-01', '0']"];
    let columns = [
        ("i", "integer"),
        ("d", "{type: 'decimal(10,2)'}"),
        ("f", "double"),
        ("t", "string"),
        ("b", "boolean"),
        ("day", "date"),
        ("ts", "timestamp"),
    ];
    let contract = Contract::new("", &source, &columns);
    for (name, bytes) in marked_rows() {
        let read = contract.read(name, &bytes);
        assert_eq!(read.status, 0, "{name}: {}", read.told);
        let known = [
            vec!["a", "", "", "", "", "", "", ""],
            vec!["b", "5", "2.50", "", "null", "true", "2025-11-06", "2025-11-06T10:00:00Z"],
            // Of text only what is exactly a marker is null; whole numbers of JSON are texts by their digits.
            vec!["c", "-10", "-1.50", "1.5", "", "true", "1900-01-02", "2025-11-06T10:00:00Z"],
        ];
        assert_eq!(read.rows, known, "{name}");
        assert_eq!(read.rejected, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn markers_of_a_column_replace_those_of_its_source() {
    let source = ["null_values: ['NULL', '?']"];
    let columns = [
        ("one", "string"),
        ("own", "{type: string, null_values: ['-']}"),
        ("none", "{type: integer, null_values: []}"),
        ("of_source", "integer"),
    ];
    let contract = Contract::new("", &source, &columns);
    let csv = "k,at,one,own,none,of_source\na,2020-01-01,NULL,NULL,NULL,NULL\nb,2020-01-01,?,?,1,?\nc,2020-01-01,-,-,-,-\nd,2020-01-01, NULL, -,2, null \n";
    let read = contract.read("s.csv", csv.as_bytes());
    let known = [vec!["a", "", "NULL", "", ""], vec!["b", "", "?", "1", ""], vec!["c", "-", "", "", ""], vec!["d", " NULL", " -", "2", ""]];
    assert_eq!(read.rows, known);
    // The words of the pipeline are replaced by those of the source, and there are none where a column has an empty list.
    assert_eq!(read.rejected, ["2 value none not-an-integer", "4 value none not-an-integer", "4 value of_source not-an-integer"]);
}

/// What is null costs a row that must have a value, in every kind of file, whether a model reads the column or not.
#[test]
fn a_marker_in_a_required_column_is_a_missing_value() {
    let columns =
        [("i", "{type: integer, required: true, null_values: [-1]}"), ("t", "{type: string, required: true, null_values: ['NULL', '']}")];
    let contract = Contract::new("", &[], &columns);
    contract.select(&[]);
    let held = vec![
        ("k", texts(&["a", "b", "c"])),
        ("at", texts(&["2020-01-01"; 3])),
        ("i", Arc::new(Int64Array::from(vec![-1, 5, 6])) as ArrayRef),
        ("t", texts(&["x", "NULL", "y"])),
    ];
    let csv = b"k,at,i,t\na,2020-01-01,-1,x\nb,2020-01-01,5,NULL\nc,2020-01-01,6,y\n".to_vec();
    for (name, bytes, first) in [("s.csv", csv, 2), ("s.parquet", parquet(held), 1)] {
        let read = contract.read(name, &bytes);
        assert_eq!(read.rows, [["c"]], "{name}: {}", read.told);
        assert_eq!(read.rejected, [format!("{first} row i missing-value"), format!("{} row t missing-value", first + 1)], "{name}");
    }
}

/// A marker in a column that carries consent is neither a yes nor a no: where its row is lost, an opt-out may be.
#[test]
fn a_marker_is_never_a_yes() {
    for consent in [
        "{type: boolean, values: {ja: true, nein: false}, null_values: ['-', '0'], consent: {no: [nein]}}",
        "{type: string, accepted: [ja, nein], null_values: ['-', '0'], consent: {no: [nein]}}",
    ] {
        let contract = Contract::new("", &[], &[("n", "{type: integer, required: true}"), ("ok", consent)]);
        for (answer, status) in [("ja", 0), ("nein", 3), ("-", 3), ("0", 3), ("", 3)] {
            let read = contract.read("s.csv", format!("k,at,n,ok\na,2020-01-01,lost,{answer}\nb,2020-01-01,1,{answer}\n").as_bytes());
            assert_eq!(read.status, status, "{consent}, `{answer}`: {}", read.told);
        }
    }
}

#[test]
fn words_for_yes_and_no_are_read_in_any_case_and_without_space() {
    let words = "{type: boolean, values: {Ja: true, nein: false, OUI: true, 'нет': false, 'はい': true, n: true}}";
    let contract = Contract::new("", &[], &[("b", words), ("i", "{type: integer, values: {one: 1}}")]);
    let answers = [
        (" JA ", "true"),
        ("Nein", "false"),
        ("oui", "true"),
        ("НЕТ", "false"),
        ("はい", "true"),
        ("N", "true"),
        ("no", "false"),
        ("yes", "true"),
    ];
    let csv: String = answers.iter().enumerate().map(|(at, (word, _))| format!("{at},2020-01-01,{word}, one \n")).collect();
    let read = contract.read("s.csv", format!("k,at,b,i\n{csv}").as_bytes());
    assert_eq!(read.rejected, Vec::<String>::new());
    for (row, (word, known)) in read.rows.iter().zip(answers) {
        assert_eq!((row[1].as_str(), row[2].as_str()), (known, "1"), "{word}");
    }
    let wrong = contract.read("s.csv", b"k,at,b,i\n1,2020-01-01,nee,ONE\n");
    assert_eq!(wrong.rejected, ["2 value b not-a-boolean", "2 value i not-an-integer"]);
}

#[test]
fn texts_lose_their_space_where_the_contract_says_so() {
    let columns = [
        ("x", "string"),
        ("y", "{type: string, trim: false}"),
        ("z", "{type: string, null_values: [none], values: {a: letter}, accepted: [letter, b]}"),
    ];
    let contract = Contract::new("", &["trim: true"], &columns);
    let written = ["  x  ", "\u{a0}x\u{3000}", "\u{feff}x\u{200b}", "x y", "\t", "\u{200b} "];
    let others = ["a ", " b", " none ", "none", "\u{2007}", "c"];
    let csv: String =
        written.iter().zip(others).enumerate().map(|(at, (text, z))| format!("{at},2020-01-01,{text},{text},{z}\n")).collect();
    let ndjson = |(at, (text, z)): (usize, (&&str, &str))| {
        format!("{}\n", serde_json::json!({"k": at.to_string(), "at": "2020-01-01", "x": text, "y": text, "z": z}))
    };
    let ndjson: String = written.iter().zip(others).enumerate().map(ndjson).collect();
    let ids = ["0", "1", "2", "3", "4", "5"];
    let held =
        vec![("k", texts(&ids)), ("at", texts(&["2020-01-01"; 6])), ("x", texts(&written)), ("y", texts(&written)), ("z", texts(&others))];
    for (name, bytes) in
        [("s.csv", format!("k,at,x,y,z\n{csv}").into_bytes()), ("s.ndjson", ndjson.into_bytes()), ("s.parquet", parquet(held))]
    {
        let read = contract.read(name, &bytes);
        assert_eq!(read.status, 0, "{name}: {}", read.told);
        let column = |at: usize| read.rows.iter().map(|row| row[at].as_str()).collect::<Vec<_>>();
        assert_eq!(column(1), ["x", "x", "x", "x y", "", ""], "{name}");
        assert_eq!(column(2), written, "{name}");
        assert_eq!(column(3), ["letter", "b", "", "", "", ""], "{name}");
        assert!(read.rejected.len() == 1 && read.rejected[0].ends_with("value z not-accepted"), "{name}: {:?}", read.rejected);
    }
}

#[test]
fn times_without_an_offset_are_in_the_zone_of_their_column() {
    let columns = [
        ("own", "timestamp"),
        ("berlin", "{type: timestamp, zone: Europe/Berlin}"),
        ("fixed", "{type: timestamp, zone: '-03:30'}"),
        ("late", "{type: timestamp, zone: Europe/Berlin, from: berlin, min: '2025-03-30 03:00'}"),
        ("serial", "{type: timestamp, zone: Europe/Berlin, format: serial_1900}"),
    ];
    let contract = Contract::new("time_zone: America/New_York\n", &[], &columns);
    // In Berlin the clocks skip from two to three on the first of these days, and go back from three to two on the second.
    let local = ["2025-03-30T02:30:00", "2025-10-26T02:30:00", "2025-03-30T01:59:59", "2025-03-30T02:30:00Z"];
    let serials = [45_746.104_166_666_664, 45_956.104_166_666_664, 45_746.083_321_759_26, 45_746.5];
    let csv: String = (0..4).map(|at| format!("{at},2020-01-01,{0},{0},{0},{1}\n", local[at], serials[at])).collect();
    let read = contract.read("s.csv", format!("k,at,own,berlin,fixed,serial\n{csv}").as_bytes());
    let known = [
        ["0", "2025-03-30T06:30:00Z", "2025-03-30T01:30:00Z", "2025-03-30T06:00:00Z", "2025-03-30T01:30:00Z", "2025-03-30T01:30:00Z"],
        ["1", "2025-10-26T06:30:00Z", "2025-10-26T00:30:00Z", "2025-10-26T06:00:00Z", "2025-10-26T00:30:00Z", "2025-10-26T00:30:00Z"],
        ["2", "2025-03-30T05:59:59Z", "2025-03-30T00:59:59Z", "2025-03-30T05:29:59Z", "", "2025-03-30T00:59:59Z"],
        ["3", "2025-03-30T02:30:00Z", "2025-03-30T02:30:00Z", "2025-03-30T02:30:00Z", "2025-03-30T02:30:00Z", "2025-03-30T10:00:00Z"],
    ];
    assert_eq!(read.rows, known);
    assert_eq!(read.rejected, ["4 value late below-minimum"]);
    let micros: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![1_743_301_800_000_000, 1_761_445_800_000_000, 1_743_299_999_000_000]));
    let held = vec![
        ("k", texts(&["0", "1", "2"])),
        ("at", texts(&["2020-01-01"; 3])),
        ("own", Arc::clone(&micros)),
        ("berlin", Arc::clone(&micros)),
        ("fixed", micros),
    ];
    let held = [held, vec![("serial", Arc::new(Float64Array::from(serials[..3].to_vec())) as ArrayRef)]].concat();
    assert_eq!(contract.read("s.parquet", &parquet(held)).rows, known[..3]);
}

/// What would be no value of the column is null all the same where it is listed, and only there.
#[test]
fn numbers_that_a_file_holds_may_be_words_for_none() {
    let columns = [
        ("b", "{type: boolean, null_values: [-1, 'NaN']}"),
        ("i", "{type: integer, null_values: [999.5]}"),
        ("day", "{type: date, format: '%Y%m%d', null_values: [0]}"),
        ("serial", "{type: date, format: serial_1900, null_values: [0]}"),
        ("other", "{type: integer, null_values: []}"),
    ];
    let contract = Contract::new("", &[], &columns);
    let doubles = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let held = vec![
        ("k", texts(&["0", "1"])),
        ("at", texts(&["2020-01-01"; 2])),
        ("b", doubles(vec![-1.0, 1.0])),
        ("i", doubles(vec![999.5, 999.0])),
        ("day", Arc::new(Int64Array::from(vec![0, 20_251_106]))),
        ("serial", doubles(vec![0.0, 45_967.0])),
        ("other", doubles(vec![f64::NAN, 1.0])),
    ];
    let csv = "k,at,b,i,day,serial,other\n0,2020-01-01,-1,999.5,0,0,nan\n1,2020-01-01,1,999,20251106,45967,1\n";
    for (name, bytes, line) in [("s.csv", csv.as_bytes().to_vec(), 2), ("s.parquet", parquet(held), 1)] {
        let read = contract.read(name, &bytes);
        assert_eq!(read.rows, [["0", "", "", "", "", ""], ["1", "true", "999", "2025-11-06", "2025-11-06", "1"]], "{name}: {}", read.told);
        assert_eq!(read.rejected, [format!("{line} value other not-an-integer")], "{name}");
    }
}

/// A truth that a file holds as one counts as its word.
#[test]
fn markers_are_looked_for_among_truths() {
    let contract = Contract::new("", &[], &[("b", "{type: boolean, null_values: ['false']}")]);
    let held = vec![
        ("k", texts(&["0", "1"])),
        ("at", texts(&["2020-01-01"; 2])),
        ("b", Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef),
    ];
    for (name, bytes) in [
        ("s.parquet", parquet(held)),
        ("s.ndjson", b"{\"k\":\"0\",\"at\":\"2020-01-01\",\"b\":true}\n{\"k\":\"1\",\"at\":\"2020-01-01\",\"b\":false}\n".to_vec()),
        ("s.csv", b"k,at,b\n0,2020-01-01,TRUE\n1,2020-01-01,False\n".to_vec()),
    ] {
        assert_eq!(contract.read(name, &bytes).rows, [["0", "true"], ["1", ""]], "{name}");
    }
}

/// Numbers that a file holds as such are as they are, whatever a format says of texts.
#[test]
fn a_format_is_for_texts() {
    let columns = [
        ("percent", "{type: 'decimal(6,4)', format: '1.234,56 %'}"),
        ("money", "{type: 'decimal(12,2)', format: '€ 1.234,56'}"),
        ("back", "{type: 'decimal(12,2)', format: '1.234,56-'}"),
        ("words", "{type: 'decimal(6,4)', format: '1.234,56 %', values: {'9': '50 %'}}"),
    ];
    let contract = Contract::new("", &[], &columns);
    let ndjson = "{\"k\":\"0\",\"at\":\"2020-01-01\",\"percent\":0.125,\"money\":-1234.5,\"back\":-2,\"words\":\"9\"}\n\
                  {\"k\":\"1\",\"at\":\"2020-01-01\",\"percent\":\"12,5 %\",\"money\":\"-€ 1.234,50\",\"back\":\"2,00-\",\"words\":1.25e-2}\n\
                  {\"k\":\"2\",\"at\":\"2020-01-01\",\"percent\":1,\"money\":1e3,\"back\":0,\"words\":1}\n";
    let known = [
        ["0", "0.1250", "-1234.50", "-2.00", "0.5000"],
        ["1", "0.1250", "-1234.50", "-2.00", "0.0125"],
        ["2", "1.0000", "1000.00", "0.00", "1.0000"],
    ];
    let read = contract.read("s.ndjson", ndjson.as_bytes());
    assert_eq!((&read.rows, &read.rejected), (&known.map(|row| row.map(str::to_owned).to_vec()).to_vec(), &Vec::new()));
    let doubles = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let held = vec![
        ("k", texts(&["0", "1", "2"])),
        ("at", texts(&["2020-01-01"; 3])),
        ("percent", doubles(vec![0.125, 0.125, 1.0])),
        ("money", doubles(vec![-1234.5, -1234.5, 1000.0])),
        ("back", doubles(vec![-2.0, -2.0, 0.0])),
        ("words", doubles(vec![0.5, 0.0125, 1.0])),
    ];
    assert_eq!(contract.read("s.parquet", &parquet(held)).rows, read.rows);
}

#[test]
fn a_sound_contract_of_values_is_valid() {
    let columns =
        [("i", "{type: integer, null_values: [-1, 'NULL']}"), ("t", "{type: timestamp, parts: {date: [d, e], zone: z}, zone: UTC}")];
    let (status, told) = Contract::new("", &["null_values: []", "trim: false"], &columns).validate();
    assert_eq!(status, 0, "{told}");
}
