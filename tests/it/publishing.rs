use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::tiny::{TABLES, Tiny, orders};

const DAY: &str = "2026-11-01";

/// What a command gave: its exit code, and the JSON that it told.
fn told(output: &Output) -> (i32, Value) {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("no JSON in {stdout}{stderr}")))
}

fn run(tiny: &Tiny, arguments: &[&str]) -> (i32, Value) {
    told(&tiny.segmill(&[&["run", "pipelines/tiny.yaml", "--format", "json"], arguments].concat()))
}

fn commits(tiny: &Tiny) -> usize {
    files(&tiny.folder.path().join("out/commits")).len()
}

/// The files below a folder, hidden ones and unfinished ones too.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect();
    found.sort();
    found
}

#[test]
fn again_is_free_until_something_changes() {
    let tiny = Tiny::new();
    let day = ["--as-of", DAY];
    let (status, first) = run(&tiny, &day);
    assert_eq!((status, &first["status"], commits(&tiny)), (0, &"published".into(), 1), "{first}");

    let (status, again) = run(&tiny, &day);
    assert_eq!((status, &again["status"], &again["number"], commits(&tiny)), (0, &"unchanged".into(), &1.into(), 1), "{again}");
    assert_eq!(again["published_by"], first["run_id"]);
    let people = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", DAY]);
    let said = String::from_utf8(people.stderr).unwrap();
    assert!(said.contains("nothing has changed since number 1") && said.contains("Nothing was published"), "{said}");

    let (_, forced) = run(&tiny, &[&day[..], &["--force"]].concat());
    assert_eq!((&forced["number"], commits(&tiny)), (&2.into(), 2));
    let (_, other_value) = run(&tiny, &[&day[..], &["--param", "edition=2"]].concat());
    assert_eq!(&other_value["number"], 3);
    let (_, other_day) = run(&tiny, &["--as-of", "2026-11-02", "--param", "edition=2"]);
    assert_eq!(&other_day["number"], 4);
    let listed = tiny.segmill(&["outputs", "pipelines/tiny.yaml", "--format", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["days"], serde_json::json!([{"as_of": DAY, "number": 3}, {"as_of": "2026-11-02", "number": 4}]));
    let destination = listed["destination"].as_str().unwrap();
    assert!(listed["tables"][0]["files"][0]["url"].as_str().unwrap().starts_with(destination), "{listed}");
    tiny.write("sql/customers.sql", &tiny.read("sql/customers.sql").replace("$edition", "$edition + 1"));
    let (_, other_model) = run(&tiny, &[&day[..], &["--param", "edition=2"]].concat());
    assert_eq!(&other_model["number"], 5);
    tiny.write("extracts/more.csv", &orders());
    let (_, other_input) = run(&tiny, &[&day[..], &["--param", "edition=2"]].concat());
    assert_eq!(&other_input["number"], 6);
}

#[test]
fn a_day_published_again_replaces_its_files_in_the_folders() {
    let tiny = Tiny::new();
    run(&tiny, &["--as-of", DAY]);
    let view = |table: &str| tiny.folder.path().join(format!("out/{table}/as_of={DAY}"));
    for table in TABLES {
        assert_eq!(files(&view(table)), [view(table).join(format!("{table}.parquet"))]);
    }
    let first = std::fs::read(view("customers").join("customers.parquet")).unwrap();
    let (_, second) = run(&tiny, &["--as-of", DAY, "--param", "edition=2"]);
    let replaced = std::fs::read(view("customers").join("customers.parquet")).unwrap();
    assert_ne!(first, replaced);
    let named = second["outputs"].as_array().unwrap().iter().find(|table| table["table"] == "customers").unwrap();
    let resolved = std::fs::read(tiny.folder.path().join("out").join(named["files"][0]["path"].as_str().unwrap())).unwrap();
    assert_eq!(resolved, replaced, "both kinds of readers find the same");

    // A table that the project no longer has goes from the day's folders.
    let pipeline = tiny.read("pipelines/tiny.yaml");
    tiny.write("pipelines/tiny.yaml", pipeline.split("    segment_membership:").next().unwrap());
    run(&tiny, &["--as-of", DAY]);
    assert!(files(&view("segment_membership")).is_empty());
    assert_eq!(files(&view("customers")).len(), 1);
    assert!(files(&tiny.folder.path().join("out/pending")).is_empty(), "no note stays behind");
}

#[test]
fn the_record_of_a_run_is_written_whatever_becomes_of_it() {
    let tiny = Tiny::new();
    let local = tiny.folder.path().join("record.json");
    let (_, published) = run(&tiny, &["--as-of", DAY, "--record", local.to_str().unwrap()]);
    let record = |run_id: &str| -> Value { serde_json::from_str(&tiny.read(&format!("out/runs/{run_id}/record.json"))).unwrap() };
    let beside = record(published["run_id"].as_str().unwrap());
    assert_eq!(beside, serde_json::from_str::<Value>(&std::fs::read_to_string(&local).unwrap()).unwrap());
    assert_eq!((&beside["status"], &beside["exit_code"], &beside["publication"]), (&"published".into(), &0.into(), &1.into()));
    assert_eq!(beside["sources"][0]["rows_read"], 75);
    assert!(beside["inputs"][0]["file"].as_str().unwrap().ends_with("extracts/orders.csv"), "{beside}");
    assert!(!beside["inputs"][0]["version"].as_str().unwrap().is_empty());
    assert!(beside["steps"].as_array().unwrap().iter().any(|step| step["name"] == "customers" && step["rows"] == 50), "{beside}");
    assert!(beside["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);

    tiny.write("extracts/orders.csv", "customer_id,ordered_at\nc1,yesterday\n");
    let (status, refused) = run(&tiny, &["--as-of", DAY, "--record", local.to_str().unwrap()]);
    assert_eq!(status, 3, "{refused}");
    let after: Value = serde_json::from_str(&std::fs::read_to_string(&local).unwrap()).unwrap();
    assert_eq!((&after["status"], &after["exit_code"], &after["publication"]), (&"refused".into(), &3.into(), &Value::Null));
    assert_eq!(after, record(after["run_id"].as_str().unwrap()));
    assert!(after["reason"].as_str().unwrap().contains("1 of 1 rows rejected"), "{after}");
    assert_eq!(after["sources"][0]["rows_rejected"], 1);

    std::fs::remove_dir_all(tiny.folder.path().join("extracts")).unwrap();
    let (status, _) = run(&tiny, &["--as-of", DAY, "--record", local.to_str().unwrap()]);
    let missing: Value = serde_json::from_str(&std::fs::read_to_string(&local).unwrap()).unwrap();
    assert_eq!((status, &missing["status"]), (99, &"late".into()));
}

/// The run waits for a server that never answers; the signal is sent when it has asked.
#[test]
fn a_signal_stops_a_run_and_its_record_says_so() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let tiny = Tiny::new();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        tiny.write(
            "pipelines/tiny.yaml",
            &tiny.read("pipelines/tiny.yaml").replace("${EXTRACTS:-extracts}/*.csv", &format!("http://{address}/a.csv")),
        );
        let running =
            tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", DAY, "--format", "json"]).stdout(Stdio::piped()).spawn().unwrap();
        // Should the run end without asking, this does not wait for it for ever.
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || send.send(server.accept().unwrap().0));
        let mut asked = receive.recv_timeout(Duration::from_mins(1)).expect("the run asks the server");
        assert!(asked.read(&mut [0; 1024]).unwrap() > 0);
        let since = segmill::clock::Stopwatch::start();
        assert!(Command::new("kill").args(["-s", signal, &running.id().to_string()]).status().unwrap().success());
        let (status, error) = told(&running.wait_with_output().unwrap());
        assert!(since.elapsed_ms() < 2000, "it took {} ms", since.elapsed_ms());
        assert_eq!((status, &error["status"]), (code, &"stopped".into()), "{error}");
        let left = files(&tiny.folder.path().join("out"));
        assert_eq!(left.len(), 1, "only the record is there: {left:?}");
        let record: Value = serde_json::from_str(&std::fs::read_to_string(&left[0]).unwrap()).unwrap();
        assert_eq!((&record["status"], &record["exit_code"]), (&"stopped".into(), &code.into()));
    }
}

#[test]
fn a_backfill_goes_on_past_a_day_that_fails_and_resumes() {
    let tiny = Tiny::new();
    // There is no order before the first day.
    let pipeline = tiny.read("pipelines/tiny.yaml");
    tiny.write(
        "pipelines/tiny.yaml",
        &pipeline.replace("    columns:\n      customer_id", "    freshness: {newest_row_days: 60}\n    columns:\n      customer_id"),
    );
    let backfill = ["--from", "2026-09-15", "--to", "2026-11-15", "--every", "month"];
    let (status, first) = run(&tiny, &backfill);
    assert_eq!((status, &first["published"], &first["failed"], &first["days"]), (99, &2.into(), &1.into(), &3.into()), "{first}");
    assert_eq!((&first["runs"][0]["as_of"], &first["runs"][0]["status"]), (&"2026-09-15".into(), &"late".into()));
    let (status, second) = run(&tiny, &backfill);
    assert_eq!((status, &second["published"], &second["unchanged"], commits(&tiny)), (99, &0.into(), &2.into(), 2));

    let (status, wrong) = run(&tiny, &["--from", "2026-10-15", "--to", "2026-11-15", "--every", "week", "--param", "edition=x"]);
    assert_eq!((status, &wrong["failed"], &wrong["not_tried"]), (2, &1.into(), &4.into()), "what fails every day alike is tried once");
    let (status, none) = run(&tiny, &["--from", "2026-10-15", "--to", "2026-10-14"]);
    assert_eq!((status, &none["problems"][0]["code"]), (2, &"no-days".into()));
}

#[test]
fn outputs_are_sources_of_dbt_with_what_columns_mean() {
    let tiny = Tiny::new();
    run(&tiny, &["--as-of", DAY]);
    let text = String::from_utf8(tiny.segmill(&["outputs", "pipelines/tiny.yaml", "--format", "dbt"]).stdout).unwrap();
    for part in ["- name: \"tiny\"", "- name: \"segment_membership\"", "- name: \"as_of\"", "data_type: \"varchar\""] {
        assert!(text.contains(part), "{part} is missing from\n{text}");
    }
    let described = "- name: \"member_since\"\n            description: \"The as-of day on which this uninterrupted stay began\"\n            data_type: \"date\"";
    assert!(text.contains(described), "{text}");
    let folder = tiny.folder.path().join("out").canonicalize().unwrap();
    assert!(text.contains(&format!("var('segmill_destination', '{}')", folder.display())), "{text}");
    // The same file serves every day.
    let one =
        String::from_utf8(tiny.segmill(&["outputs", "pipelines/tiny.yaml", "--format", "dbt", "--table", "segment_membership"]).stdout)
            .unwrap();
    assert!(one.contains("segment_membership") && !one.contains("- name: \"customers\"") && !one.contains(DAY), "{one}");
}

#[test]
fn outputs_name_one_version_of_a_day() {
    let tiny = Tiny::new();
    let outputs = |arguments: &[&str]| tiny.segmill(&[&["outputs", "pipelines/tiny.yaml"], arguments].concat());
    let (status, nothing) = told(&outputs(&["--format", "json"]));
    assert_eq!((status, &nothing["problems"][0]["code"]), (2, &"not-published".into()), "99 means late extracts, and nothing else");
    for (day, edition) in [("2026-11-02", "1"), (DAY, "1"), (DAY, "2")] {
        run(&tiny, &["--as-of", day, "--param", &format!("edition={edition}")]);
    }
    let (_, latest) = told(&outputs(&["--latest", "--format", "json"]));
    assert_eq!((&latest["as_of"], &latest["number"]), (&"2026-11-02".into(), &1.into()), "the latest day, not the newest commit");
    let (_, of_day) = told(&outputs(&["--as-of", DAY, "--format", "json"]));
    assert_eq!(of_day["number"], 3);
    let (status, _) = told(&outputs(&["--as-of", "2026-11-03", "--format", "json"]));
    assert_eq!(status, 2);

    let urls = String::from_utf8(outputs(&["--as-of", DAY, "--format", "urls"]).stdout).unwrap();
    let listed: Vec<&str> = urls.lines().collect();
    assert_eq!(listed.len(), TABLES.len());
    let of_day: Vec<&Value> = of_day["tables"].as_array().unwrap().iter().collect();
    for (table, url) in of_day.iter().zip(&listed) {
        assert_eq!(table["files"][0]["url"], *url);
        let path = url::Url::parse(url).unwrap().to_file_path().unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().len(), table["files"][0]["bytes"].as_u64().unwrap());
        let list = url::Url::parse(table["url_list"].as_str().unwrap()).unwrap().to_file_path().unwrap();
        assert_eq!(std::fs::read_to_string(list).unwrap().trim_end(), *url, "the list beside the files says the same");
    }
    let one = outputs(&["--as-of", DAY, "--format", "redshift", "--table", "customers"]);
    let manifest: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(
        (&manifest["entries"][0]["mandatory"], &manifest["entries"][0]["meta"]["content_length"]),
        (&true.into(), &of_day[0]["files"][0]["bytes"])
    );
    assert_eq!(outputs(&["--format", "redshift"]).status.code(), Some(2));
    let wrong = outputs(&["--table", "custmers"]);
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("did you mean `customers`?"));
    let nothing = String::from_utf8(outputs(&["--as-of", "2026-11-03"]).stderr).unwrap();
    assert!(nothing.contains("`segmill run --as-of 2026-11-03` publishes it"), "{nothing}");
    assert_eq!(tiny.segmill(&["validate", "pipelines/tiny.yaml", "--format", "urls"]).status.code(), Some(2));
}

#[test]
fn clean_shows_then_removes_what_no_publication_needs() {
    let tiny = Tiny::new();
    let out = tiny.folder.path().join("out");
    let clean = |arguments: &[&str]| told(&tiny.segmill(&[&["clean", "pipelines/tiny.yaml", "--format", "json"], arguments].concat())).1;
    let why =
        |told: &Value| told["files"].as_array().unwrap().iter().map(|file| file["why"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    for edition in ["1", "2"] {
        run(&tiny, &["--as-of", DAY, "--param", &format!("edition={edition}")]);
    }
    run(&tiny, &["--as-of", "2026-11-02"]);
    // What a run leaves that is killed while it stages, and one that is killed while it publishes, two hours ago.
    let (staging, publishing) = ("2026-11-01-20261126T091526Z-0000abcd0000abcd", "2026-11-01-20261126T091527Z-0000abcd0000abcd");
    let record = |id: &str| {
        let files = ["customers", "rejected"].map(|table| format!("runs/{id}/{table}.parquet"));
        serde_json::json!({"run_id": id, "segmill_version": "0.1.0", "pipeline": "tiny", "status": "running", "files": files}).to_string()
    };
    for (path, text) in [
        (format!("out/runs/{staging}/record.json"), record(staging)),
        (format!("out/runs/{staging}/customers.parquet"), "half".to_owned()),
        (format!("out/runs/{staging}/rejected.parquet#1"), "unfinished".to_owned()),
        (format!("out/runs/{publishing}/customers.parquet"), "whole".to_owned()),
        (format!("out/pending/{publishing}.json"), format!(r#"{{"run_id": "{publishing}", "as_of": "{DAY}", "tables": ["customers"]}}"#)),
    ] {
        tiny.write(&path, &text);
        let file = std::fs::File::options().write(true).open(tiny.folder.path().join(path)).unwrap();
        file.set_modified(file.metadata().unwrap().modified().unwrap() - Duration::from_hours(2)).unwrap();
    }
    let before = files(&out);

    assert!(why(&clean(&[])).is_empty(), "within the grace period everything stays");
    let shown = clean(&["--grace", "0s"]);
    let expected: Vec<&str> = ["superseded_commit"; 1]
        .into_iter()
        .chain(["superseded_file"; 12])
        .chain(["dead_run"; 3])
        .chain(["pending_note", "unfinished_file"])
        .collect();
    assert_eq!(why(&shown), expected, "{shown:#}");
    assert_eq!(files(&out), before, "it only shows");

    let removed = clean(&["--grace", "0s", "--remove"]);
    assert_eq!(removed["files"], shown["files"]);
    assert!(why(&clean(&["--grace", "0s"])).is_empty());
    let left: Vec<PathBuf> = before
        .into_iter()
        .filter(|path| !shown["files"].to_string().contains(&url::Url::from_file_path(path).unwrap().to_string()))
        .collect();
    let (cleans, kept): (Vec<PathBuf>, Vec<PathBuf>) = files(&out).into_iter().partition(|path| path.starts_with(out.join("cleans")));
    assert_eq!(kept, left, "nothing else is gone");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&cleans[0]).unwrap()).unwrap();
    assert_eq!((cleans.len(), &written["status"]), (1, &"done".into()));
    assert_eq!(written["removed"].as_array().unwrap().len(), expected.len(), "what went is written down");
    for (day, number) in [(DAY, 2), ("2026-11-02", 3)] {
        let (status, found) = told(&tiny.segmill(&["outputs", "pipelines/tiny.yaml", "--as-of", day, "--format", "json"]));
        assert_eq!((status, &found["number"]), (0, &number.into()));
    }
    let (_, next) = run(&tiny, &["--as-of", DAY, "--param", "edition=3"]);
    assert_eq!(next["number"], 4);
}

/// A destination belongs to the pipeline that first published there.
#[test]
fn another_pipeline_is_refused_with_both_names() {
    let tiny = Tiny::new();
    assert_eq!(run(&tiny, &["--as-of", DAY]).0, 0);
    let before = files(&tiny.folder.path().join("out"));
    tiny.write("pipelines/tiny.yaml", &tiny.read("pipelines/tiny.yaml").replace("name: tiny", "name: other"));
    let (status, result) = run(&tiny, &["--as-of", DAY]);
    assert_eq!((status, &result["problems"][0]["code"]), (2, &"another-pipeline".into()));
    let message = result["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("`tiny`") && message.contains("`other`"), "{message}");
    assert_eq!(files(&tiny.folder.path().join("out")), before, "nothing was written");
}
