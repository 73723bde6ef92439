use serde_json::Value;

use crate::ownership::{DAY, code, command, run};
use crate::tiny::{Tiny, orders};

fn remove(tiny: &Tiny, path: &str) {
    std::fs::remove_file(tiny.folder.path().join(path)).unwrap();
}

/// A location that has never had a file is wrong: to wait for it would be to wait for ever.
#[test]
fn a_location_that_never_matched_is_no_late_extract() {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    for (location, label) in [
        ("extracts/*.cvs", "no file matches"),
        ("extrcats/*.csv", "no file matches"),
        ("extracts/order.csv", "there is no such file"),
        ("extracts", "this is a folder"),
        ("extracts/", "this is a folder"),
        ("extracts/[o]rder.csv", "no file matches"),
        ("/none/such/*.csv", "no file matches"),
    ] {
        tiny.write("pipelines/tiny.yaml", &written.replace("${EXTRACTS:-extracts}/*.csv", location));
        for arguments in [&[][..], &["--force"]] {
            let (status, error) = run(&tiny, arguments);
            let problem = &error["problems"][0];
            assert_eq!((status, code(&error), problem["label"].as_str()), (2, "no-such-extract", Some(label)), "{location}: {error}");
            assert_eq!(problem["place"]["line"], 7, "it is told at its place: {error}");
        }
    }
    // The contract may allow it.
    tiny.write("pipelines/tiny.yaml", &written.replace("/*.csv\n", "/*.cvs\n    min_files: 0\n"));
    let (status, none) = run(&tiny, &[]);
    assert_eq!((status, &none["sources"][0]["files"]), (0, &0.into()), "{none}");
    // And that was no match.
    tiny.write("pipelines/tiny.yaml", &written.replace("/*.csv", "/*.cvs"));
    assert_eq!(run(&tiny, &["--force"]).0, 2);
}

#[test]
fn an_extract_that_was_there_before_is_late() {
    let tiny = Tiny::new();
    assert_eq!(run(&tiny, &[]).0, 0);
    let written = tiny.read("pipelines/tiny.yaml");
    remove(&tiny, "extracts/orders.csv");
    for arguments in [&["--as-of", DAY][..], &["--as-of", "2026-11-02"], &["--as-of", "2020-01-01", "--force"]] {
        let (status, late) = command(&tiny, "run", arguments);
        assert_eq!((status, &late["status"]), (99, &"late".into()), "{late}");
    }
    let said = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY]);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.starts_with("late: an extract is missing, or too old") && said.contains("wait for newer files"), "{said}");
    std::fs::remove_dir(tiny.folder.path().join("extracts")).unwrap();
    assert_eq!(run(&tiny, &[]).0, 99, "its folder may come with it");
    // Another location is another matter, be it typed or of the environment.
    tiny.write("pipelines/tiny.yaml", &written.replace("extracts}", "extract}"));
    assert_eq!(run(&tiny, &[]).0, 2);
    tiny.write("pipelines/tiny.yaml", &written);
    let output = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", DAY]).env("EXTRACTS", "extracs").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    // A day on which there was nothing for once, as the contract allows, does not make it forgotten.
    tiny.write("pipelines/tiny.yaml", &written.replace("/*.csv\n", "/*.csv\n    min_files: 0\n"));
    assert_eq!(run(&tiny, &["--force"]).0, 0);
    tiny.write("pipelines/tiny.yaml", &written);
    assert_eq!(run(&tiny, &["--force"]).0, 99);
    tiny.write("extracts/orders.csv", &orders());
    assert_eq!(run(&tiny, &["--force"]).0, 0);
    // Fewer files than there must be are late, whatever is known.
    tiny.write("pipelines/tiny.yaml", &written.replace("/*.csv\n", "/*.csv\n    min_files: 2\n"));
    assert_eq!(run(&tiny, &["--force"]).0, 99);
}

/// A publication that is older than the digests of locations says only that there were files.
#[test]
fn an_older_publication_knows_that_there_were_files() {
    let tiny = Tiny::new();
    assert_eq!(run(&tiny, &[]).0, 0);
    let mut commit: Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    assert!(commit.as_object_mut().unwrap().remove("locations").is_some());
    tiny.write("out/commits/00000001.json", &commit.to_string());
    remove(&tiny, "extracts/orders.csv");
    assert_eq!(run(&tiny, &["--force"]).0, 99);
}

/// Of several sources every one is told.
#[test]
fn all_locations_without_files_are_told_at_once() {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    let (before, source) = written.split_once("  orders:\n").unwrap();
    let (source, after) = source.split_once("segments:\n").unwrap();
    let other = source.replace("/*.csv", "/*.tsv");
    tiny.write(
        "pipelines/tiny.yaml",
        &format!("{before}  orders:\n{}  others:\n{other}segments:\n{after}", source.replace("/*.csv", "/*.cvs")),
    );
    tiny.write("sql/staging/others.sql", "-- Another.\nselect customer_id, ordered_at from sources.others\n");
    let (status, error) = run(&tiny, &[]);
    assert_eq!((status, error["problems"].as_array().unwrap().len()), (2, 2), "{error}");
}
