use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use serde_json::Value;
use tempfile::TempDir;

use crate::meanings_table::{folder, published, run};
use crate::support::{rows, segmill};

/// A project with one source `s` and one model.
struct Project(TempDir);

impl Project {
    /// `pipeline` is what stands before the outputs; rows are published in the order of `customer_id`.
    fn new(pipeline: &str, model: &str) -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        let outputs = "outputs:\n  destination: out\n  tables:\n    customers: {model: customers, sort: [customer_id]}\n";
        project.write("pipelines/meanings.yaml", format!("version: 1\nname: seen\n{pipeline}{outputs}").as_bytes());
        project.write("sql/customers.sql", format!("-- What was read.\n{model}\n").as_bytes());
        project
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn run(&self, as_of: &str) -> (i32, Value) {
        run(self.0.path(), as_of)
    }

    fn rows(&self, result: &Value, table: &str) -> Vec<Vec<String>> {
        rows(&published(self.0.path(), result, table))
    }
}

#[test]
fn a_page_whose_checksum_is_wrong_is_not_read() {
    let pipeline = "sources:\n  s:\n    location: data/*.parquet\n    event_time: at\n    columns:\n      \
                    customer_id: {type: string, required: true}\n      at: {type: timestamp, required: true}\n";
    let project = Project::new(pipeline, "select customer_id from sources.s");
    project.write("data/checksum.parquet", &std::fs::read(folder().join("files/checksum.parquet")).unwrap());
    let (status, told) = project.run("2026-01-01");
    assert_eq!(status, 3, "{told}");
    assert!(told.to_string().contains("checksum.parquet"), "{told}");
}

#[test]
fn a_moment_that_is_a_parameter_is_local_time_like_one_of_a_file() {
    let pipeline = |since: &str| {
        format!(
            "time_zone: America/New_York\nparameters:\n  since: {{type: timestamp, default: '{since}', description: From then on}}\n\
             sources:\n  s:\n    location: data/*.csv\n    event_time: at\n    columns:\n      \
             customer_id: {{type: string, required: true}}\n      at: {{type: timestamp, required: true}}\n"
        )
    };
    for (since, kept) in [
        ("2025-11-05T22:30:00", "b c d"),
        ("2025-11-06", "c d"),
        ("2025-11-06T05:00:00Z", "c d"),
        ("2025-11-06T00:30:00-05:00", "d"),
        ("2025-03-09T02:30:00", "a b c d"),
    ] {
        let project = Project::new(&pipeline(since), "select customer_id from sources.s where at >= $since");
        let extract = "customer_id,at\na,2025-03-09T02:30:00\nb,2025-11-05T22:30:00\nc,2025-11-06\nd,2025-11-06T00:30\n";
        project.write("data/s.csv", extract.as_bytes());
        let (status, told) = project.run("2026-01-01");
        assert_eq!(status, 0, "{since}: {told}");
        assert_eq!(project.rows(&told, "customers").concat().join(" "), kept, "since {since}");
    }
}

#[test]
fn extracts_are_as_fresh_as_the_days_of_their_zone_say() {
    let pipeline = "time_zone: Asia/Tokyo\nsources:\n  s:\n    location: data/*.csv\n    event_time: at\n    freshness: {newest_row_days: 1}\n    \
                    columns:\n      customer_id: {type: string, required: true}\n      at: {type: timestamp, required: true}\n";
    // The newest row happened on the first of January in Tokyo, and in the old year in Greenwich.
    for (as_of, status) in [("2026-01-02", 0), ("2026-01-03", 99)] {
        let project = Project::new(pipeline, "select customer_id from sources.s");
        project.write("data/s.csv", b"customer_id,at\na,2026-01-01T00:30:00\n");
        let (ended, told) = project.run(as_of);
        assert_eq!(ended, status, "as of {as_of}: {told}");
    }
}

#[test]
fn the_event_time_of_a_source_is_required() {
    let pipeline = "sources:\n  s:\n    location: data/*.csv\n    event_time: at\n    columns:\n      \
                    customer_id: {type: string, required: true}\n      at: {type: timestamp}\n";
    let project = Project::new(pipeline, "select customer_id from sources.s");
    let output = segmill(project.0.path(), &["validate", "pipelines/meanings.yaml", "--format", "json"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("required") && told.contains("`at`"), "{told}");
}

#[test]
fn a_file_without_the_event_time_is_refused_by_name() {
    let pipeline = "sources:\n  s:\n    location: data/*\n    event_time: at\n    columns:\n      \
                    customer_id: {type: string, required: true}\n      at: {type: timestamp, required: true, optional: true}\n";
    for (name, bytes) in
        [("without.csv", b"customer_id\na\n".to_vec()), ("without.parquet", parquet(&[("customer_id", texts(&["a"]))], true))]
    {
        let project = Project::new(pipeline, "select customer_id from sources.s");
        project.write(&format!("data/{name}"), &bytes);
        let output = segmill(project.0.path(), &["run", "pipelines/meanings.yaml", "--as-of", "2026-01-01", "--format", "json"]);
        let told = String::from_utf8_lossy(&output.stdout);
        // That the column may be missing may also be refused as soon as the project is read.
        match output.status.code() {
            Some(2) => assert!(told.contains("`at`"), "{told}"),
            Some(3) => assert!(told.contains(name) && told.contains("at"), "{told}"),
            other => panic!("{name}: {other:?}: {told}"),
        }
    }
}

/// A value that breaks two rules has one reason, whoever reads it, in whatever kind of file.
#[test]
fn a_value_has_one_reason_in_every_scan() {
    let kinds: Vec<&str> = (0..2000).map(|row| ["a", "b", "Z9", "c"][row % 4]).collect();
    let numbers: Vec<i64> = (0..2000).map(|row| [1, 2, -7, 3][row % 4]).collect();
    let at = vec!["2025-01-01T00:00:00Z"; kinds.len()];
    let ids: Vec<String> = (0..kinds.len()).map(|row| format!("c{row:04}")).collect();
    let id_texts: Vec<&str> = ids.iter().map(String::as_str).collect();
    let columns = || {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.clone()));
        [("customer_id", texts(&id_texts)), ("at", texts(&at)), ("kind", texts(&kinds)), ("number", numbers)]
    };
    let row = |row: usize| (&ids[row], at[row], kinds[row], numbers[row]);
    let csv: String = (0..ids.len()).map(row).map(|(id, at, kind, number)| format!("{id},{at},{kind},{number}\n")).collect();
    let ndjson = |(id, at, kind, number)| format!("{{\"customer_id\":\"{id}\",\"at\":\"{at}\",\"kind\":\"{kind}\",\"number\":{number}}}\n");
    let files = [
        ("s.csv", format!("customer_id,at,kind,number\n{csv}").into_bytes()),
        ("s.ndjson", (0..ids.len()).map(row).map(ndjson).collect::<String>().into_bytes()),
        ("keys.parquet", parquet(&columns(), true)),
        ("plain.parquet", parquet(&columns(), false)),
    ];
    let pipeline = "sources:\n  s:\n    location: data/*\n    event_time: at\n    reject_budget: {share: 1, rows: 100000}\n    columns:\n      \
                    customer_id: {type: string, required: true}\n      at: {type: timestamp, required: true}\n      \
                    kind: {type: string, required: true, accepted: [a, b, c], pattern: '[a-z]'}\n      \
                    number: {type: integer, required: true, accepted: ['1', '2', '3'], min: 0}\n";
    let mut reasons = Vec::new();
    for (name, bytes) in &files {
        for model in [
            "select customer_id from sources.s",
            "select customer_id, kind from sources.s",
            "select customer_id, number, kind from sources.s",
        ] {
            let project = Project::new(pipeline, model);
            project.write(&format!("data/{name}"), bytes);
            let (status, told) = project.run("2026-01-01");
            assert_eq!(status, 0, "{name}: {told}");
            let batches = published(project.0.path(), &told, "rejected");
            let said = |batch: &RecordBatch| {
                let text =
                    |name: &str, row: usize| arrow::util::display::array_value_to_string(batch.column_by_name(name).unwrap(), row).unwrap();
                (0..batch.num_rows()).map(|row| format!("{}: {}", text("column", row), text("reason", row))).collect::<Vec<_>>()
            };
            let mut said: Vec<String> = batches.iter().flat_map(said).collect();
            assert_eq!(told["sources"][0]["rows_rejected"], 500, "{name}, {model}");
            said.sort();
            said.dedup();
            reasons.push((said, format!("{name}, {model}")));
        }
    }
    assert!(reasons.iter().all(|(said, _)| *said == reasons[0].0), "{reasons:#?}");
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn parquet(columns: &[(&str, ArrayRef)], has_dictionaries: bool) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, Arc::clone(array)))).unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(has_dictionaries).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}
