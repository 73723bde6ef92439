//! The contracts of `examples/contracts`: what each publishes is what the program that wrote its extract meant.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{package, rows_of_parquet};

const AS_OF: &str = "2026-11-04";
/// The as-of day of the analytics events.
const GA4_AS_OF: &str = "2026-11-07";

/// The header and the rows of a CSV file; what is empty is no value.
fn expected(folder: &Path, name: &str) -> (String, Vec<Vec<String>>) {
    let path = folder.join("expected").join(format!("{name}.csv"));
    let mut reader = csv::Reader::from_path(path).unwrap();
    let texts = |record: csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<String>>();
    let header = texts(reader.headers().unwrap().clone()).join(", ");
    (header, reader.records().map(|record| texts(record.unwrap())).collect())
}

/// The files of a table that a run published.
fn files(destination: &Path, table: &str) -> Vec<PathBuf> {
    let of = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    of(&destination.join(table)).iter().flat_map(|day| of(day)).filter(|file| file.extension().is_some_and(|is| is == "parquet")).collect()
}

#[test]
fn every_contract_gives_the_rows_that_were_meant() {
    let folder = package().join("examples/contracts");
    let pipelines = std::fs::read_dir(folder.join("pipelines")).unwrap();
    let mut names: Vec<String> = pipelines.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        let destination = tempfile::tempdir().unwrap();
        let as_of = if name.starts_with("ga4") { GA4_AS_OF } else { AS_OF };
        let output = Command::new(env!("CARGO_BIN_EXE_segmill"))
            .args(["run", &format!("pipelines/{name}.yaml"), "--as-of", as_of, "--destination"])
            .arg(destination.path())
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}:\n{}", String::from_utf8_lossy(&output.stderr));
        let (header, rows) = expected(&folder, &name);
        assert_eq!(rows_of_parquet(&files(destination.path(), &name), &format!("select {header} from t")), rows, "{name}");
        let rejected = rows_of_parquet(&files(destination.path(), "rejected"), "select * from t");
        assert!(rejected.is_empty(), "{name}: {rejected:?}");
    }
}
