use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::publishing::files;
use crate::tiny::Tiny;

pub const DAY: &str = "2026-11-01";

/// What a command gave: its exit code, and the JSON that it told.
pub fn told(output: &Output) -> (i32, Value) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("no JSON in {stdout}{stderr}")))
}

/// Runs a command on the tiny project.
pub fn command(tiny: &Tiny, name: &str, arguments: &[&str]) -> (i32, Value) {
    told(&tiny.segmill(&[&[name, "pipelines/tiny.yaml", "--format", "json"], arguments].concat()))
}

pub fn run(tiny: &Tiny, arguments: &[&str]) -> (i32, Value) {
    command(tiny, "run", &[&["--as-of", DAY], arguments].concat())
}

pub fn code(told: &Value) -> &str {
    told["problems"][0]["code"].as_str().unwrap_or_default()
}

/// Every file below a folder with its bytes.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

/// Writes a file as it was some hours ago.
fn write_old(tiny: &Tiny, path: &str, text: &str) {
    tiny.write(path, text);
    let file = std::fs::File::options().write(true).open(tiny.folder.path().join(path)).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap() - Duration::from_hours(24 * 30)).unwrap();
}

const COMMANDS: [(&str, &[&str]); 4] =
    [("run", &["--as-of", DAY]), ("clean", &[]), ("clean", &["--remove", "--grace", "0s"]), ("outputs", &[])];

#[test]
fn what_is_blank_names_no_place() {
    let tiny = Tiny::new();
    let before = contents(tiny.folder.path());
    for blank in ["", " ", "\t", " \n "] {
        for (name, arguments) in COMMANDS {
            let (status, error) = command(&tiny, name, &[arguments, &["--destination", blank]].concat());
            assert_eq!((status, code(&error)), (2, "invalid-location"), "{name} {blank:?}: {error}");
        }
        for parameter in [format!("edition={blank}"), format!("{blank}=1"), blank.to_owned()] {
            let (status, error) = run(&tiny, &["--param", &parameter]);
            assert_eq!(status, 2, "{parameter:?}: {error}");
        }
    }
    assert_eq!(contents(tiny.folder.path()), before, "nothing was written");
}

#[test]
fn variables_without_a_value_are_refused_unless_the_location_has_a_default_for_them() {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    let with = |name: &str, variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = tiny.command(&[&[name, "pipelines/tiny.yaml", "--format", "json"], arguments].concat());
        told(&command.envs(variables.iter().copied()).output().unwrap())
    };
    for (location, destination, variables, refused) in [
        ("${EXTRACTS:-extracts}", "out", vec![("EXTRACTS", "")], None),
        ("${EXTRACTS:-extracts}", "out", vec![("EXTRACTS", " ")], Some("EXTRACTS")),
        ("${EXTRACTS}", "out", vec![("EXTRACTS", "")], Some("EXTRACTS")),
        ("${EXTRACTS-extracts}", "out", vec![("EXTRACTS", "")], Some("EXTRACTS")),
        ("extracts", "${DESTINATION}", vec![("DESTINATION", "")], Some("DESTINATION")),
        ("extracts", "${DESTINATION}/segments", vec![("DESTINATION", "")], Some("DESTINATION")),
        ("extracts", "${DESTINATION:-out}", vec![("DESTINATION", "\t")], Some("DESTINATION")),
        ("extracts", "${DESTINATION:-out}", vec![("DESTINATION", "")], None),
    ] {
        let pipeline = written.replace("${EXTRACTS:-extracts}", location).replace("${DESTINATION:-out}", destination);
        tiny.write("pipelines/tiny.yaml", &pipeline);
        for (name, arguments) in COMMANDS {
            // Only a run can do something about a destination that holds nothing.
            let (status, result) = with(name, &variables, arguments);
            let shown = format!("{name} {location} {destination} {variables:?}: {result}");
            match refused {
                Some(name) => {
                    assert_eq!((status, code(&result)), (2, "blank-variable"), "{shown}");
                    assert!(result.to_string().contains(&format!("`{name}`")), "{shown}");
                }
                None => assert_eq!(status, 0, "{shown}"),
            }
        }
    }
}

#[test]
fn places_that_are_none_are_refused_by_name() {
    let tiny = Tiny::new();
    let before = contents(tiny.folder.path());
    for place in [
        "http://127.0.0.1:9/out",
        "https://shop.example/out",
        "memory:",
        "memory:///out",
        "ftp://shop.example/out",
        "hdfs://name/out",
        "s3:/bucket/out",
        "s3://",
        "s3:///out",
        "s3://key:secret@bucket/out",
        "S4://bucket/out",
        "file:out",
        " s3://bucket/out",
        "~/out",
        "/",
        "file:///",
        "../../../../../../../../../../../../..",
        "a\nb",
        "a\u{7f}b",
    ] {
        for (name, arguments) in COMMANDS {
            let (status, error) = command(&tiny, name, &[arguments, &["--destination", place]].concat());
            let is_named = ["invalid-location", "unusable-destination"].contains(&code(&error));
            assert!(status == 2 && is_named && !error.to_string().contains("secret"), "{name} {place:?}: {status} {error}");
        }
    }
    assert_eq!(contents(tiny.folder.path()), before, "nothing was written");
    let written = tiny.read("pipelines/tiny.yaml");
    for (from, to) in [
        ("${DESTINATION:-out}", "http://shop.example/out"),
        ("${DESTINATION:-out}", "memory:///out"),
        ("${EXTRACTS:-extracts}/*.csv", "memory:///extracts/*.csv"),
        ("${EXTRACTS:-extracts}/*.csv", "sftp://shop.example/*.csv"),
        ("${EXTRACTS:-extracts}/*.csv", "http://shop.example/orders.csv?token=hush"),
        ("${EXTRACTS:-extracts}/*.csv", "''"),
    ] {
        tiny.write("pipelines/tiny.yaml", &written.replace(from, to));
        for (name, arguments) in [("validate", &[][..]), ("run", &["--as-of", DAY])] {
            let (status, error) = command(&tiny, name, arguments);
            let is_named = code(&error) == "invalid-location" || name == "run" && code(&error) == "unusable-destination";
            assert!(status == 2 && is_named, "{name} {to}: {error}");
        }
    }
}

/// Sources that would read what the pipeline publishes, however they come to it.
#[test]
fn a_pipeline_never_feeds_itself() {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    std::fs::create_dir_all(tiny.folder.path().join("real")).unwrap();
    std::os::unix::fs::symlink(tiny.folder.path().join("real"), tiny.folder.path().join("link")).unwrap();
    let absolute = tiny.folder.path().join("extracts/out").to_str().unwrap().to_owned();
    for (location, destination, is_refused) in [
        ("extracts/**/customers.parquet", "extracts/out", true),
        ("extracts/**/*.parquet", "extracts", true),
        ("extracts/**", "extracts/deep/out", true),
        ("extracts/*", "extracts", true),
        ("extracts/*.json", "extracts", true),
        ("./**/*.json", "out", true),
        ("out/cleans/*", "out", true),
        ("out/runs/*/load/*.txt", "out", true),
        ("out/pending/*.json", "out", true),
        ("./extracts/../out/*/*/*.parquet", "out", true),
        ("extracts/**/*.parquet", absolute.as_str(), true),
        ("real/**/*.parquet", "link/out", true),
        ("link/**/*.parquet", "real/out", true),
        ("out/customers/as_of=2026-10-*/customers.parquet", "out", false),
        ("extracts/*.csv", "extracts/out", false),
        ("extracts/**/*.csv", "extracts", false),
        ("extracts/*.parquet", "extracts/out", false),
    ] {
        tiny.write("pipelines/tiny.yaml", &written.replace("${EXTRACTS:-extracts}/*.csv", location));
        let (status, result) = run(&tiny, &["--destination", destination]);
        let shown = format!("{location} {destination}: {status} {result}");
        if is_refused {
            assert_eq!((status, code(&result)), (2, "reads-own-outputs"), "{shown}");
        } else {
            assert!([(0, ""), (2, "no-such-extract")].contains(&(status, code(&result))), "{shown}");
        }
    }
    assert!(!tiny.folder.path().join("real/out").exists());
}

/// A day that is published, or lies under a link within the extracts, is an output too.
#[test]
fn what_was_published_is_no_extract_on_another_day() {
    let tiny = Tiny::new();
    assert_eq!(run(&tiny, &[]).0, 0);
    let written = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", &written.replace("${EXTRACTS:-extracts}/*.csv", "out/customers/as_of=2026-11-01/*.parquet"));
    let (status, error) = command(&tiny, "run", &["--as-of", "2026-12-01"]);
    assert_eq!((status, code(&error)), (2, "reads-own-outputs"), "{error}");
    std::os::unix::fs::symlink(tiny.folder.path().join("out"), tiny.folder.path().join("extracts/more")).unwrap();
    tiny.write("pipelines/tiny.yaml", &written.replace("/*.csv", "/**/customers.parquet"));
    let (status, error) = run(&tiny, &["--force"]);
    assert_eq!((status, code(&error)), (2, "reads-own-outputs"), "{error}");
}

#[test]
fn the_first_publication_marks_its_destination_and_only_that_pipeline_writes_there() {
    let tiny = Tiny::new();
    let marker = || serde_json::from_str::<Value>(&tiny.read("out/segmill.json")).unwrap();
    tiny.write("out/notes.txt", "beside");
    tiny.write("out/customers/notes.txt", "among");
    let (status, first) = run(&tiny, &[]);
    assert_eq!(status, 0, "a folder that holds something is no less usable: {first}");
    let made = marker();
    assert_eq!((&made["format"], &made["pipeline"], &made["run_id"]), (&1.into(), &"tiny".into(), &first["run_id"]), "{made}");
    assert_eq!(made["id"].as_str().unwrap().len(), 32);
    assert_eq!(run(&tiny, &["--force"]).0, 0);
    assert_eq!(marker(), made, "it is made once");
    assert_eq!((tiny.read("out/notes.txt"), tiny.read("out/customers/notes.txt")), ("beside".to_owned(), "among".to_owned()));

    let written = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", &written.replace("name: tiny", "name: other"));
    let before = contents(&tiny.folder.path().join("out"));
    for (name, arguments) in
        [("run", &["--as-of", DAY][..]), ("clean", &["--remove"]), ("clean", &["--adopt"]), ("clean", &["--repair", "--grace", "0s"])]
    {
        let (status, error) = command(&tiny, name, arguments);
        assert_eq!((status, code(&error)), (2, "another-pipeline"), "{name} {arguments:?}: {error}");
    }
    assert_eq!(contents(&tiny.folder.path().join("out")), before, "nothing was touched");

    for (text, expected) in [("{}", "not-a-marker"), ("mine", "not-a-marker"), (r#"{"format": 99}"#, "newer-publication")] {
        tiny.write("out/segmill.json", text);
        for (name, arguments) in [("run", &["--as-of", DAY][..]), ("clean", &["--remove"])] {
            let (status, error) = command(&tiny, name, arguments);
            assert_eq!((status, code(&error)), (2, expected), "{name} {text}: {error}");
        }
    }
}

#[test]
fn a_destination_of_before_there_were_markers_is_adopted_by_who_asks() {
    let tiny = Tiny::new();
    let (status, error) = command(&tiny, "clean", &["--adopt"]);
    assert_eq!((status, code(&error)), (2, "nothing-to-adopt"), "{error}");
    assert_eq!(run(&tiny, &[]).0, 0);
    std::fs::remove_file(tiny.folder.path().join("out/segmill.json")).unwrap();
    let before = contents(&tiny.folder.path().join("out"));
    for (name, arguments) in
        [("run", &["--as-of", DAY][..]), ("run", &["--as-of", DAY, "--force"]), ("clean", &["--remove"]), ("clean", &["--repair"])]
    {
        let (status, error) = command(&tiny, name, arguments);
        assert_eq!((status, code(&error)), (2, "unmarked-destination"), "{name}: {error}");
        assert!(error.to_string().contains("--adopt"), "it says what to do: {error}");
    }
    assert_eq!(contents(&tiny.folder.path().join("out")), before, "nothing was touched");
    assert_eq!(command(&tiny, "outputs", &[]).0, 0, "to read needs no marker");

    let written = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", &written.replace("name: tiny", "name: other"));
    let (status, error) = command(&tiny, "clean", &["--adopt"]);
    assert_eq!((status, code(&error)), (2, "another-pipeline"), "{error}");
    tiny.write("pipelines/tiny.yaml", &written);
    let (status, adopted) = command(&tiny, "clean", &["--adopt"]);
    assert_eq!((status, &adopted["adopted"]["pipeline"]), (0, &"tiny".into()), "{adopted}");
    let marker = tiny.read("out/segmill.json");
    assert_eq!(command(&tiny, "clean", &["--adopt"]).0, 0, "to ask again changes nothing");
    assert_eq!(tiny.read("out/segmill.json"), marker);
    assert_eq!(run(&tiny, &[]).1["status"], "unchanged");
    assert_eq!(run(&tiny, &["--force"]).1["number"], 2);
}

/// What stands where a table is to be published is not replaced, and not doubled.
#[test]
fn files_that_no_publication_put_there_are_not_overwritten() {
    for name in ["customers.parquet", "part-0.parquet"] {
        let tiny = Tiny::new();
        let foreign = format!("out/customers/as_of={DAY}/{name}");
        tiny.write(&foreign, "of another tool");
        let (status, error) = run(&tiny, &[]);
        assert_eq!((status, code(&error)), (2, "foreign-file"), "{error}");
        assert_eq!(tiny.read(&foreign), "of another tool");
        assert!(!tiny.folder.path().join("out/commits").exists(), "nothing was published");
        let (status, other_day) = command(&tiny, "run", &["--as-of", "2026-11-02"]);
        assert_eq!(status, 0, "{other_day}");
        std::fs::remove_file(tiny.folder.path().join(&foreign)).unwrap();
        assert_eq!(run(&tiny, &[]).0, 0);
    }
}

const FOREIGN: [&str; 12] = [
    "runs/exp1/model.ckpt",
    "runs/exp1/record.json",
    "runs/loose.txt",
    "pending/invoice.pdf",
    "pending/invoice.json",
    "pending/dead#2",
    "commits/notes.json",
    "commits/0000001.json#1",
    "reports/Invoice #12",
    "music/Symphony #5",
    "customers/as_of=2020-01-01/customers.parquet",
    "x#1",
];

#[test]
fn clean_leaves_a_folder_alone_that_is_not_segmill_s() {
    let tiny = Tiny::new();
    for path in FOREIGN {
        write_old(&tiny, &format!("share/{path}"), "precious");
    }
    let before = contents(&tiny.folder.path().join("share"));
    for arguments in [&[][..], &["--remove"], &["--remove", "--grace", "0s"], &["--repair"], &["--adopt"]] {
        let (status, error) = command(&tiny, "clean", &[arguments, &["--destination", "share"]].concat());
        assert_eq!(status, 2, "{arguments:?}: {error}");
        assert!(["unmarked-destination", "nothing-to-adopt"].contains(&code(&error)), "{error}");
    }
    assert_eq!(contents(&tiny.folder.path().join("share")), before);
    std::fs::create_dir(tiny.folder.path().join("empty")).unwrap();
    for place in ["empty", "none"] {
        let (status, nothing) = command(&tiny, "clean", &["--destination", place, "--remove"]);
        assert_eq!((status, nothing["files"].as_array().unwrap().len()), (0, 0), "{nothing}");
    }
}

/// Beside what is Segmill's everything stays that no commit, record or note accounts for, and is told.
#[test]
fn clean_lists_what_it_does_not_know_and_leaves_it() {
    let tiny = Tiny::new();
    for edition in ["1", "2", "3"] {
        assert_eq!(run(&tiny, &["--param", &format!("edition={edition}")]).0, 0);
    }
    let run_id = command(&tiny, "outputs", &[]).1["run_id"].as_str().unwrap().to_owned();
    let within = [format!("runs/{run_id}/notes.txt"), format!("runs/{run_id}/other.parquet#3"), format!("runs/{run_id}/load/mine.txt")];
    let foreign: Vec<String> = FOREIGN.iter().map(|path| (*path).to_owned()).chain(within).collect();
    for path in &foreign {
        write_old(&tiny, &format!("out/{path}"), "precious");
    }
    // Another program's record of its run, a note of nobody's, and another pipeline's run.
    let records = [
        ("runs/exp2/record.json", r#"{"run_id": "exp2", "status": "done", "files": ["runs/exp2/record.json"]}"#),
        ("pending/exp2.json", r#"{"run_id": "exp3", "as_of": "2026-11-01", "tables": ["customers"]}"#),
        ("runs/exp4/record.json", r#"{"run_id": "exp4", "status": "failed", "segmill_version": "0.1.0", "pipeline": "other"}"#),
    ];
    for (path, text) in records {
        write_old(&tiny, &format!("out/{path}"), text);
    }
    let foreign: Vec<String> = foreign.into_iter().chain(records.map(|(path, _)| path.to_owned())).collect();
    let (status, shown) = command(&tiny, "clean", &["--grace", "0s"]);
    let out = tiny.folder.path().join("out");
    let mut expected: Vec<String> = foreign.iter().map(|path| url::Url::from_file_path(out.join(path)).unwrap().to_string()).collect();
    let mut unknown: Vec<String> =
        shown["unknown"].as_array().unwrap().iter().map(|file| file["url"].as_str().unwrap().to_owned()).collect();
    expected.sort();
    unknown.sort();
    assert_eq!((status, unknown), (0, expected), "{shown:#}");
    let people = tiny.segmill(&["clean", "pipelines/tiny.yaml", "--grace", "0s"]);
    let said = [people.stdout, people.stderr].concat();
    assert!(String::from_utf8(said).unwrap().contains("not known, left alone"), "people are told too");

    let (_, removed) = command(&tiny, "clean", &["--grace", "0s", "--remove"]);
    assert_eq!(removed["files"].as_array().unwrap().len(), 2 * 13, "two superseded publications: {removed:#}");
    for path in &foreign {
        let expected = records.iter().find(|(record, _)| record == path).map_or("precious", |(_, text)| text);
        assert_eq!(tiny.read(&format!("out/{path}")), expected, "{path}");
    }
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&files(&out.join("cleans"))[0]).unwrap()).unwrap();
    assert_eq!((&written["pipeline"], written["removed"].as_array().unwrap().len()), (&"tiny".into(), 26), "{written:#}");
    assert_eq!(command(&tiny, "clean", &["--grace", "0s", "--remove"]).1["files"], Value::Array(Vec::new()));
    assert_eq!(files(&out.join("cleans")).len(), 1, "who removes nothing writes nothing");
}

#[test]
fn a_policy_says_which_days_clean_lets_go() {
    let tiny = Tiny::new();
    let days = ["2026-10-05", "2026-10-20", "2026-11-03", "2026-11-28", "2026-12-01", "2026-12-02"];
    for day in days {
        assert_eq!(command(&tiny, "run", &["--as-of", day]).0, 0);
    }
    let (_, all) = command(&tiny, "clean", &["--grace", "0s", "--remove"]);
    assert_eq!(all["days_let_go"], serde_json::json!([]), "none goes without a policy");
    let written = tiny.read("pipelines/tiny.yaml");
    for (keep, part) in [("{days: 0}", "days"), ("{months: 3}", "days"), ("{days: 2, weeks: 1}", "weeks"), ("{days: -1}", "days")] {
        tiny.write("pipelines/tiny.yaml", &written.replace("  tables:\n", &format!("  keep: {keep}\n  tables:\n")));
        let (status, error) = command(&tiny, "validate", &[]);
        assert!(status == 2 && error.to_string().contains(part), "{keep}: {error}");
    }
    tiny.write("pipelines/tiny.yaml", &written.replace("  tables:\n", "  keep: {days: 2, months: 1}\n  tables:\n"));
    // 2026-11-03 stays because 2026-11-28, the last of its month, is built on it.
    let gone = serde_json::json!(["2026-10-05", "2026-10-20"]);
    let out = tiny.folder.path().join("out");
    let before = contents(&out);
    let (_, shown) = command(&tiny, "clean", &[]);
    assert_eq!((&shown["days_let_go"], shown["files"].as_array().unwrap().len()), (&gone, 6), "{shown:#}");
    assert_eq!(contents(&out), before, "it only shows");

    let (_, removed) = command(&tiny, "clean", &["--remove"]);
    assert_eq!((&removed["days_let_go"], removed["files"].as_array().unwrap().len()), (&gone, 6), "{removed:#}");
    for day in days {
        let is_gone = gone.to_string().contains(day);
        let (status, outputs) = command(&tiny, "outputs", &["--as-of", day]);
        assert_eq!((status, code(&outputs) == "not-published"), if is_gone { (2, true) } else { (0, false) }, "{day}");
        assert_eq!(files(&out.join(format!("customers/as_of={day}"))).is_empty(), is_gone, "{day}");
    }
    assert_eq!(command(&tiny, "clean", &["--remove"]).1["files"], serde_json::json!([]), "readers have the grace period");
    let (_, later) = command(&tiny, "clean", &["--remove", "--grace", "0s"]);
    assert_eq!(later["files"].as_array().unwrap().len(), 2 * 13, "{later:#}");
    assert_eq!(command(&tiny, "outputs", &[]).1["as_of"], "2026-12-02");
    // The commit that let them go is not the last word: the line goes on, and a day that went can be published again.
    let (status, again) = command(&tiny, "run", &["--as-of", "2026-10-20"]);
    assert_eq!((status, &again["number"]), (0, &8.into()), "{again}");
    let (_, at_once) = command(&tiny, "clean", &["--remove", "--grace", "0s"]);
    assert_eq!((&at_once["days_let_go"], &at_once["unknown"]), (&serde_json::json!(["2026-10-20"]), &serde_json::json!([])), "{at_once:#}");
    assert!(files(&out.join("customers/as_of=2026-10-20")).is_empty());
}

#[test]
fn generate_and_init_overwrite_nothing_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    std::fs::create_dir_all(mine.join("orders")).unwrap();
    std::fs::write(mine.join("orders/2011-06.parquet"), "my own extract").unwrap();
    std::fs::create_dir_all(mine.join("sql")).unwrap();
    std::fs::write(mine.join("sql/customers.sql"), "my own model").unwrap();
    let before = contents(&mine);
    let segmill = |arguments: &[&str]| told(&crate::support::segmill(folder.path(), &[arguments, &["--format", "json"]].concat()));
    let generate = ["generate", "mine", "--customers", "10", "--from", "2011-06-01", "--to", "2011-06-30"];
    for arguments in [&generate[..], &["init", "mine"]] {
        let (status, error) = segmill(arguments);
        assert_eq!((status, code(&error)), (2, "folder-in-use"), "{error}");
    }
    assert_eq!(contents(&mine), before);
    let (status, forced) = segmill(&[&generate[..], &["--force"]].concat());
    assert_eq!(status, 0, "{forced}");
    assert_ne!(std::fs::read(mine.join("orders/2011-06.parquet")).unwrap(), b"my own extract");
    assert_eq!(std::fs::read_to_string(mine.join("sql/customers.sql")).unwrap(), "my own model");
    for nowhere in [["init", ""], ["generate", ""]] {
        assert_eq!(crate::support::segmill(folder.path(), &nowhere).status.code(), Some(2));
    }
}
