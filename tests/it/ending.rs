use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::ownership::{DAY, code, told};
use crate::publishing::files;
use crate::tiny::{PIPELINE, Tiny};

/// A table of far more rows than the smallest memory limit holds.
const MANY: &str = "\
-- Many.
select a.n * 100000 + b.n as n
from (select unnest(generate_series(1, 20000)) as n) a
cross join (select unnest(generate_series(1, 20000)) as n) b
";

const READS_MANY: &str = "\
-- A customer.
select customer_id, count(*) as orders, $edition as edition, (select max(n) from features.many) as most
from staging.orders group by customer_id
";

/// Computes for longer than anybody waits, and holds nothing.
const ENDLESS: &str = "\
-- A customer.
select customer_id, count(*) as orders, $edition as edition,
    (select sum((a.n + b.n) % 2) from (select unnest(generate_series(1, 20000)) as n) a
        cross join (select unnest(generate_series(1, 200000)) as n) b) as total
from staging.orders group by customer_id
";

const RUN: [&str; 4] = ["run", "pipelines/tiny.yaml", "--as-of", DAY];

fn spilling() -> Tiny {
    let tiny = Tiny::new();
    tiny.write("sql/features/many.sql", MANY);
    tiny.write("sql/customers.sql", READS_MANY);
    std::fs::create_dir(tiny.folder.path().join("tmp")).unwrap();
    tiny
}

fn endless() -> Tiny {
    let tiny = Tiny::new();
    tiny.write("sql/customers.sql", ENDLESS);
    tiny
}

/// Bytes of files in a folder that a process has open, named or not.
fn spilled(process: u32, folder: &Path) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let within = open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(folder)));
    within.filter_map(|entry| Some(std::fs::metadata(entry.path()).ok()?.len())).sum()
}

/// Starts a command of the shell and waits until it has put rows on disk.
fn until_it_spills(tiny: &Tiny, prepare: &str) -> Child {
    let temporary = tiny.folder.path().canonicalize().unwrap().join("tmp");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{prepare}exec \"$@\""), "sh", env!("CARGO_BIN_EXE_segmill")]).args(RUN);
    command.args(["--memory-limit", "64MiB", "--threads", "2"]).current_dir(tiny.folder.path()).env("TMPDIR", &temporary);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while spilled(running.id(), &temporary) == 0 {
        assert!(running.try_wait().unwrap().is_none(), "it ended before it put anything on disk");
        std::thread::yield_now();
    }
    running
}

fn signal(running: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &running.id().to_string()]).status().unwrap().success());
}

fn left_in(tiny: &Tiny) -> Vec<PathBuf> {
    std::fs::read_dir(tiny.folder.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn record(tiny: &Tiny) -> Option<Value> {
    let record = files(&tiny.folder.path().join("out/runs")).into_iter().find(|path| path.ends_with("record.json"))?;
    serde_json::from_slice(&std::fs::read(record).unwrap()).ok()
}

#[cfg(target_os = "linux")]
#[test]
fn no_signal_leaves_spilled_rows_behind() {
    use std::os::unix::process::ExitStatusExt;

    for (name, exit, by) in
        [("TERM", Some(143), None), ("INT", Some(130), None), ("HUP", Some(129), None), ("QUIT", None, Some(3)), ("KILL", None, Some(9))]
    {
        // On a busy machine a run may end before the signal comes.
        let signalled = || {
            let tiny = spilling();
            // Whoever started the tests in the background may have had these signals ignored.
            let mut running = until_it_spills(&tiny, "ulimit -c 0; exec env --default-signal=HUP,INT,QUIT \"$@\"; ");
            signal(&running, name);
            let ended = running.wait().unwrap();
            (!ended.success()).then_some((tiny, ended))
        };
        let (tiny, ended) = (0..5).find_map(|_| signalled()).unwrap();
        assert_eq!((ended.code(), ended.signal()), (exit, by), "{name}");
        assert_eq!(left_in(&tiny), Vec::<PathBuf>::new(), "{name}");
        let record = record(&tiny).unwrap();
        assert_eq!(record["status"], if exit.is_some() { "stopped" } else { "running" }, "{name}");
        assert!(exit.is_none() || record["unfinished_step"] == "features.many", "{name}: {record}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_hang_up_that_is_ignored_from_the_start_ends_nothing() {
    let tiny = spilling();
    let mut running = until_it_spills(&tiny, "trap '' HUP; ");
    signal(&running, "HUP");
    // Signals that wait are heard in the order of their numbers: had the first been heard, it would have ended the run.
    signal(&running, "TERM");
    assert_eq!(running.wait().unwrap().code(), Some(143));
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_told_as_a_full_disk_is() {
    let tiny = spilling();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 2000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_segmill")]).args(RUN);
    command.args(["--memory-limit", "64MiB", "--threads", "2", "--format", "json"]).current_dir(tiny.folder.path());
    let output = command.env("TMPDIR", tiny.folder.path().join("tmp")).output().unwrap();
    let (status, result) = told(&output);
    assert_eq!((status, &result["status"]), (75, &"unavailable".into()), "{result}");
    assert!(result.to_string().contains("ulimit -f"), "{result}");
    assert!(left_in(&tiny).is_empty());
    assert!(!tiny.folder.path().join("out/commits").exists());
}

#[test]
fn a_run_ends_when_its_time_is_up_and_says_what_was_running() {
    for threads in ["1", "2"] {
        let tiny = endless();
        let output = tiny.segmill(&[&RUN[..], &["--threads", threads, "--timeout", "12s", "--format", "json"]].concat());
        let (status, result) = told(&output);
        assert_eq!((status, &result["exit_code"]), (75, &75.into()), "{result}");
        let message = result["message"].as_str().unwrap_or_default().to_owned() + &result.to_string();
        for part in ["time was up (12s): the step `customers` had been going on for", "nothing was published", "--timeout"] {
            assert!(message.contains(part), "{part}: {result}");
        }
        let record = record(&tiny).unwrap();
        assert_eq!((&record["status"], &record["exit_code"]), (&"unavailable".into(), &75.into()), "{record}");
        assert_eq!(record["unfinished_step"], "customers");
        assert!(!tiny.folder.path().join("out/commits").exists());
        // What ended so is no obstacle.
        tiny.write("sql/customers.sql", &Tiny::new().read("sql/customers.sql"));
        assert_eq!(told(&tiny.segmill(&[&RUN[..], &["--timeout", "1h", "--format", "json"]].concat())).1["number"], 1);
    }
}

#[test]
fn the_time_of_a_backfill_is_that_of_all_its_days() {
    let tiny = endless();
    let days = ["run", "pipelines/tiny.yaml", "--from", "2026-11-01", "--to", "2026-11-03", "--format", "json"];
    // Also where the environment says it.
    let output = tiny.command(&days).env("SEGMILL_TIMEOUT", "2s").output().unwrap();
    let (status, result) = told(&output);
    assert_eq!((status, &result["failed"], &result["not_tried"]), (75, &1.into(), &2.into()), "{result}");
}

#[test]
fn a_store_that_never_answers_ends_with_the_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tiny = Tiny::new();
    let place = format!("http://127.0.0.1:{}/orders.csv", silent.local_addr().unwrap().port());
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("${EXTRACTS:-extracts}/*.csv", &place));
    let (status, result) = told(&tiny.segmill(&[&RUN[..], &["--timeout", "3s", "--format", "json"]].concat()));
    assert_eq!(status, 75, "{result}");
    assert!(result.to_string().contains("looking for the extracts, and for what is published had been going on for"), "{result}");
}

#[test]
fn cases_and_explanations_end_when_their_time_is_up() {
    let tiny = endless();
    let case =
        "- name: goes on\n  model: customers\n  as_of: 2026-11-01\n  given:\n    staging.orders:\n      - {customer_id: a}\n  expect: []\n";
    tiny.write("tests/models/customers.yaml", case);
    let (status, result) = told(&tiny.segmill(&["test", "pipelines/tiny.yaml", "--timeout", "6s", "--format", "json"]));
    assert_eq!(status, 75, "{result}");
    assert!(result.to_string().contains("the case `goes on` of `customers` had been going on for"), "{result}");
}

#[test]
fn times_and_threads_are_what_a_machine_can_give() {
    let tiny = Tiny::new();
    for (arguments, told) in [
        (["--timeout", "0s"], "give it some time"),
        (["--timeout", "30"], "write it with units"),
        (["--timeout", "99999d"], "36525 days at most"),
        (["--threads", "0"], "1 at least"),
        (["--threads", "1024"], "256 at most"),
    ] {
        let output = tiny.segmill(&[&RUN[..], &arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(told), "{arguments:?}: {said}");
    }
    let too_many = ["--threads", "64", "--memory-limit", "64MiB", "--format", "json"];
    let (status, result) = crate::ownership::told(&tiny.segmill(&[&RUN[..], &too_many].concat()));
    assert_eq!((status, code(&result)), (2, "too-many-threads"), "{result}");
    assert!(result.to_string().contains("`--threads 16`, or `--memory-limit 256MiB`"), "{result}");
    let enough = ["--threads", "16", "--memory-limit", "64MiB", "--format", "json"];
    assert_eq!(crate::ownership::told(&tiny.segmill(&[&RUN[..], &enough].concat())).0, 0);
}
