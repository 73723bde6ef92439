use std::path::Path;

use serde_json::Value;

use crate::support::{package, segmill};

fn code(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = segmill(folder, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_shipped_project_is_valid() {
    let (status, stdout, stderr) = code(package(), &["validate"]);
    assert_eq!((status, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains("customer_segments is valid: 5 sources"), "{stderr}");
}

#[test]
fn init_makes_a_project_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (status, ..) = code(folder.path(), &["init", "shop"]);
    assert_eq!(status, 0);
    let shop = folder.path().join("shop");
    let (status, stdout, stderr) = code(&shop, &["run", "pipelines/customer_segments.yaml", "--as-of", "2011-12-10", "--format", "json"]);
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert_eq!(stderr, "", "with JSON asked for, nothing is told to people");
    let result: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(result["number"], 1);
    assert!(shop.join("out/commits/00000001.json").is_file());
    let (status, _, stderr) = code(folder.path(), &["init", "shop"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("is there already"), "{stderr}");
}

#[test]
fn the_summary_goes_to_people_and_shows_no_progress_without_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().to_str().unwrap();
    let (status, stdout, stderr) = code(package(), &["run", "--as-of", "2011-12-10", "--destination", destination]);
    assert_eq!((status, stdout.as_str()), (0, ""), "{stderr}");
    for part in ["Sources", "541,909", "Segments of", "champions", "Outputs", "customers.parquet", "Published as number 1"] {
        assert!(stderr.contains(part), "{part} is missing from\n{stderr}");
    }
    assert!(!stderr.contains('\r') && !stderr.contains('\u{1b}'), "no live line and no colours");
}

#[test]
fn exit_codes_tell_who_must_act() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    let run = |arguments: &[&str]| {
        let mut all = vec!["run", "pipelines/customer_segments.yaml", "--as-of", "2011-12-10"];
        all.extend(arguments);
        code(&project, &all)
    };

    let (status, _, stderr) = run(&["--param", "rfm_windw_days=5"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("did you mean `rfm_window_days`?"), "{stderr}");

    let (status, _, stderr) = run(&["--param", "rfm_window_days=0"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("must be at least 1"), "{stderr}");

    std::fs::rename(project.join("examples/data/survey"), project.join("survey")).unwrap();
    let (status, _, stderr) = run(&[]);
    assert_eq!(status, 99, "{stderr}");
    assert!(stderr.contains("survey: no file matches"), "{stderr}");
    std::fs::rename(project.join("survey"), project.join("examples/data/survey")).unwrap();

    let broken = "contact_id,updated_at\n1,yesterday\n";
    let contacts = project.join("examples/data/crm/contacts.csv");
    let good = std::fs::read_to_string(&contacts).unwrap();
    std::fs::write(&contacts, broken).unwrap();
    let (status, _, stderr) = run(&[]);
    assert_eq!(status, 3, "{stderr}");
    assert!(stderr.contains("the header lacks"), "{stderr}");

    let header = good.lines().next().unwrap();
    std::fs::write(&contacts, format!("{header}\n{}", "1,yesterday\n".repeat(10))).unwrap();
    let (status, _, stderr) = run(&[]);
    assert_eq!(status, 3, "{stderr}");
    assert!(stderr.contains("the extracts were refused") && stderr.contains("10 of 10 rows rejected"), "{stderr}");
    assert!(!project.join("out/commits").exists(), "a refused run publishes nothing");
}

/// Every problem of the SQL is told, each at its place with a hint.
#[test]
fn all_problems_of_a_project_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    let write = |path: &str, text: &str| std::fs::write(project.join(path), text).unwrap();
    write("sql/features/a.sql", "-- A\nselect x from staging.ordrs\n");
    write("sql/features/b.sql", "-- B\nselect customer_id from scores.rfm\n");
    write("sql/features/c.sql", "-- C\nselect from where\n");
    write("sql/features/d.sql", "-- D\nselect $rfm_window from staging.orders\n");
    let (status, _, stderr) = code(&project, &["validate"]);
    assert_eq!(status, 2);
    for part in [
        "sql/features/a.sql:2:15",
        "did you mean `staging.orders`?",
        "sql/features/b.sql:2:25",
        "which comes after it",
        "sql/features/c.sql:2",
        "sql/features/d.sql:2:8",
        "did you mean `rfm_window_days`?",
        "4 problems",
    ] {
        assert!(stderr.contains(part), "{part} is missing from\n{stderr}");
    }
}

#[test]
fn models_that_read_each_other_in_a_circle_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    std::fs::write(project.join("sql/features/a.sql"), "-- A\nselect * from features.b\n").unwrap();
    std::fs::write(project.join("sql/features/b.sql"), "-- B\nselect * from features.a\n").unwrap();
    let (status, _, stderr) = code(&project, &["validate"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("features.a → features.b → features.a"), "{stderr}");
}

#[test]
fn unknown_keys_and_wrong_rules_are_told_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    let pipeline = project.join("pipelines/customer_segments.yaml");
    let text = std::fs::read_to_string(&pipeline).unwrap();

    std::fs::write(&pipeline, text.replacen("event_time:", "event_tiem:", 1)).unwrap();
    let (status, _, stderr) = code(&project, &["validate"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("`event_tiem` is not a key here") && stderr.contains("did you mean `event_time`?"), "{stderr}");

    std::fs::write(&pipeline, text.replacen("when: frequency = 0 and has_orders", "when: frequncy = 0 and has_orders", 1)).unwrap();
    let (status, _, stderr) = code(&project, &["validate"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("there is no column `frequncy`") && stderr.contains("did you mean `frequency`?"), "{stderr}");
}

fn copy_of_project(folder: &Path) -> std::path::PathBuf {
    let (status, ..) = code(folder, &["init", "project"]);
    assert_eq!(status, 0);
    folder.join("project")
}
