use std::path::Path;

use serde_json::Value;

use crate::support::{package, segmill};
use crate::tiny::{self, Tiny, orders, without_segments};

fn code(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = segmill(folder, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_shipped_project_is_valid() {
    let (status, stdout, stderr) = code(package(), &["validate"]);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("customer_segments is valid: 6 sources"), "{stdout}");
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
fn timings_tell_what_every_step_cost_and_what_its_operators_did() {
    let tiny = Tiny::new();
    let run = |more: &[&str]| {
        let output = tiny.segmill(&[&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--force"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let timed = || -> Value { serde_json::from_slice(&run(&["--timings", "--format", "json"]).stdout).unwrap() };
    let bytes_read =
        |told: &Value| -> u64 { told["steps"].as_array().unwrap().iter().map(|step| step["bytes_read"].as_u64().unwrap()).sum() };
    // The orders are read once, for `customers` and for what is kept of each customer's rows.
    assert_eq!(bytes_read(&timed()), orders().len() as u64);
    tiny.write("pipelines/tiny.yaml", &without_segments(&tiny.read("pipelines/tiny.yaml")));
    let told = timed();
    assert_eq!(bytes_read(&told), orders().len() as u64);
    let steps = told["steps"].as_array().unwrap();
    let of = |name: &str| steps.iter().find(|step| step["name"] == name).unwrap();
    let operators = of("customers")["operators"].as_array().unwrap();
    let aggregates: Vec<_> = operators.iter().filter(|operator| operator["name"] == "ShardedAggregateExec").collect();
    assert_eq!(aggregates[0]["rows"], 50, "{operators:#?}");
    let scan = operators.iter().find(|operator| operator["name"] == "EstimatedExec").unwrap();
    assert_eq!(scan["rows"].as_u64().unwrap(), orders().lines().count() as u64 - 1, "the scan tells what it read");
    assert!(scan["compute_ms"].is_u64(), "and what that cost: {scan}");
    assert!(steps.iter().all(|step| step["spilled_bytes"] == 0));

    let shown = String::from_utf8(run(&["--timings"]).stderr).unwrap();
    // Which steps were the slowest is chance.
    for part in ["compute", "spilled", "from its last operator to its first", "Exec ", "write outputs", "Published as number"] {
        assert!(shown.contains(part), "{part} is missing from\n{shown}");
    }
    let unasked: Value = serde_json::from_slice(&run(&["--format", "json"]).stdout).unwrap();
    assert!(unasked["steps"].as_array().unwrap().iter().all(|step| step.get("operators").is_none()));
    let old = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--profile"]);
    assert!(old.status.code() == Some(2) && String::from_utf8_lossy(&old.stderr).contains("it is called `--timings` now"), "{old:?}");
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
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("[no-such-extract]") && stderr.contains("`survey`"), "a location that never had files is wrong: {stderr}");
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
    assert!(stderr.contains("the extracts break their contracts") && stderr.contains("10 of 10 rows rejected"), "{stderr}");
    assert!(!project.join("out/commits").exists(), "a refused run publishes nothing");
}

/// What a summary says of a run, for people.
fn summary(tiny: &Tiny, arguments: &[&str]) -> String {
    let output = tiny.segmill(&[&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--force"], arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_summary_leaves_out_what_a_project_does_not_have() {
    let tiny = Tiny::new();
    tiny.write("extracts/_unfinished.csv", "");
    let whole = summary(&tiny, &[]);
    assert!(whole.contains("Segments of ") && !whole.contains("\nChecks"), "{whole}");
    let (before, rest) = tiny::PIPELINE.split_once("segments:\n").unwrap();
    let outputs = &rest[rest.find("outputs:\n").unwrap()..];
    tiny.write("pipelines/tiny.yaml", &format!("{before}{outputs}").replace(MEMBERSHIP, ""));
    let without_sets = summary(&tiny, &[]);
    assert!(!without_sets.contains("Segments of"), "{without_sets}");
    assert!(without_sets.contains("orders: 1 file beside the extract is not read, because its name begins with `_`"), "{without_sets}");
    let validated = tiny.segmill(&["validate", "pipelines/tiny.yaml"]);
    assert_eq!(String::from_utf8(validated.stdout).unwrap().trim_end(), "tiny is valid: 1 source, 2 models");
}

/// The output of the tiny project that its segments go to.
const MEMBERSHIP: &str = "    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}\n";

/// A column of rows holds rows: steps that make none leave it empty.
#[test]
fn steps_that_make_no_rows_show_none() {
    let tiny = Tiny::new();
    tiny.write("extracts/orders.csv", "customer_id,ordered_at\nc001,2026-10-01T10:00:00Z\n");
    let one = summary(&tiny, &[]);
    assert!(one.contains("           1 row  ") && !one.contains(" 1 rows"), "{one}");
    let timed = summary(&tiny, &["--timings"]);
    let steps = timed.split_once("\nSteps").unwrap().1;
    let line = |name: &str| steps.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    // A time is a number and its unit: of the step, and where the system tells of all its threads.
    for name in ["publish", "check outputs"] {
        let words: Vec<String> = line(name)[name.len() + 2..].split_whitespace().map(str::to_owned).collect();
        assert!(words[1] == "s" && words.iter().skip(2).find(|word| word.parse::<u64>().is_ok()).is_none(), "{}", line(name));
    }
    let told: Value = serde_json::from_slice(
        &tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--force", "--format", "json"]).stdout,
    )
    .unwrap();
    let rows = |name: &str| told["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap()["rows"].clone();
    assert_eq!((rows("publish"), rows("write outputs")), (Value::Null, 2.into()));
}

/// Each command takes the forms of results that it has, and says how it is used.
#[test]
fn every_command_has_its_own_forms_of_results() {
    let help = |command: &str| code(package(), &[command, "--help"]).1;
    for command in ["run", "validate", "explain", "test", "clean", "init", "generate"] {
        assert!(help(command).contains("--format <FORMAT>") && !help(command).contains("redshift"), "{command}");
        let (status, _, stderr) = code(package(), &[command, "--format", "urls"]);
        assert_eq!(status, 2);
        assert!(stderr.contains("[possible values: human, json]"), "{stderr}");
    }
    assert!(help("outputs").contains("redshift") && !help("schema").contains("--format"));
    let run = help("run");
    assert!(run.find("--as-of <").unwrap() < run.find("--param <").unwrap(), "{run}");
    for arguments in [&["run", "--help"][..], &["run"], &["run", "--every", "month"]] {
        let (_, stdout, stderr) = code(package(), arguments);
        let said = stdout + &stderr;
        assert!(said.contains("segmill run [OPTIONS] (--as-of DAY | --from DAY --to DAY [--every STEP]) [PIPELINE]"), "{said}");
    }
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
        "did you mean `$rfm_window_days`?",
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
    assert!(stderr.contains("`event_tiem` is not a key of `sources.orders`") && stderr.contains("did you mean `event_time`?"), "{stderr}");

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

/// A value that a model or rule cannot work with is not repeated: it may be personal.
#[test]
fn a_failing_model_does_not_repeat_the_value_it_fails_on() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    let leak = "-- Fails on the first address.\nselect contact_id as customer_id, cast(email as bigint) as e from sources.contacts where email is not null\n";
    std::fs::write(project.join("sql/features/leak.sql"), leak).unwrap();
    let (status, _, stderr) = code(&project, &["run", "--as-of", "2011-12-10"]);
    assert_eq!(status, 3, "{stderr}");
    assert!(stderr.contains("`features.leak` failed on this data: a value is no whole number"), "{stderr}");
    assert!(stderr.contains("at sql/features/leak.sql:2:40: `cast(… as bigint)`, of `email`"), "{stderr}");
    assert!(!stderr.contains("example") && !stderr.contains('@'), "{stderr}");
}

/// Each mistake in a rule with the part of its frame that must be there.
#[test]
fn mistakes_in_rules_are_told_before_data_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    let pipeline = project.join("pipelines/customer_segments.yaml");
    let text = std::fs::read_to_string(&pipeline).unwrap();
    let line = text.lines().position(|line| line.contains("when: frequency = 0 and has_orders")).unwrap() + 1;
    for (rule, expected) in [
        ("r_score = 'high'", "`r_score`, which is a number"),
        ("city > 5", "`city`, which is text"),
        ("first_order_date > '2011-31-12'", "write a day as '2011-12-10'"),
        ("city in (1, 2)", "[rule-type]"),
        ("can_email = 'yes'", "use the column by itself"),
        ("r_score", "not a condition"),
        ("sum(monetary) > 5", "[rule-aggregate]"),
        ("exists (select 1)", "[rule-subquery]"),
        ("can_email city", "SQL syntax: expected end of expression"),
        ("random() < 0.5", "[unrepeatable]"),
        ("first_order_date > $asof - 30", "did you mean `$as_of`?"),
        ("city = London", "text is written in single quotes: 'london'"),
        ("city = \"Leeds\"", "text is written in single quotes: 'Leeds'"),
    ] {
        std::fs::write(&pipeline, text.replacen("when: frequency = 0 and has_orders", &format!("when: {rule}"), 1)).unwrap();
        let (status, _, stderr) = code(&project, &["validate"]);
        assert_eq!(status, 2, "{rule}: {stderr}");
        assert!(stderr.contains(expected) && stderr.contains(&format!("customer_segments.yaml:{line}:")), "{rule}: {stderr}");
    }
    std::fs::write(&pipeline, text.replacen("when: city = 'London'", "when: last_order_date < $as_of - $rfm_window_days", 1)).unwrap();
    assert_eq!(code(&project, &["validate"]).0, 0, "a rule may read parameters");
}

#[test]
fn mistakes_in_the_file_are_told_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    let pipeline = project.join("pipelines/customer_segments.yaml");
    let text = std::fs::read_to_string(&pipeline).unwrap();
    for (from, to, expected) in [
        ("version: 1", "version: 2", "[unsupported-version]"),
        ("quantity: {from: Quantity, type: integer", "quantity: {from: Quantity, type: int", "did you mean `integer`?"),
        ("kind: exclusive", "kind: exclusiv", "did you mean `exclusive`?"),
        ("sort: [customer_id]", "sort: [customer_id, customer_id]", "[duplicate-column]"),
        ("time_zone: UTC", "time_zone: Europe/Londn", "did you mean `Europe/London`?"),
        ("model: customers,", "model: custmers,", "did you mean `customers`?"),
        ("event_time: ordered_at", "event_time: quantity", "[event-time-type]"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&pipeline, text.replacen(from, to, 1)).unwrap();
        let (status, _, stderr) = code(&project, &["validate"]);
        assert_eq!(status, 2, "{to}: {stderr}");
        assert!(stderr.contains(expected), "{to}: {stderr}");
    }
}

#[test]
fn wrong_arguments_are_json_too_when_json_is_asked_for() {
    let (status, stdout, stderr) = code(package(), &["run", "--format", "json", "--as-of", "2011-13-01"]);
    assert_eq!((status, stderr.as_str()), (2, ""));
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told["exit_code"], 2);
    assert!(told["problems"][0]["message"].as_str().unwrap().contains("write a day that exists, such as 2011-12-10"), "{stdout}");
}

/// A place that can never be written to is no outage.
#[test]
fn an_unusable_destination_is_not_to_be_retried() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let destination = file.join("out");
    let (status, _, stderr) = code(package(), &["run", "--as-of", "2011-12-10", "--destination", destination.to_str().unwrap()]);
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("[unusable-place]"), "{stderr}");
}

#[test]
fn the_shipped_cases_pass_and_a_wrong_one_shows_its_difference() {
    let folder = tempfile::tempdir().unwrap();
    let project = copy_of_project(folder.path());
    let (status, _, stderr) = code(&project, &["test"]);
    assert_eq!(status, 0, "{stderr}");
    let cases = project.join("tests/models/rfm.yaml");
    let text = std::fs::read_to_string(&cases).unwrap();
    std::fs::write(&cases, text.replacen("{customer_id: b, r_score: 5", "{customer_id: b, r_score: 4", 1)).unwrap();
    let (status, stdout, _) = code(&project, &["test"]);
    assert_eq!(status, 2);
    assert!(stdout.contains("FAILED scores.rfm") && stdout.contains("- expected") && stdout.contains("+ found"), "{stdout}");
}

/// DataFusion's optimiser turns some functions into others, and rules are not optimised.
#[test]
fn rules_may_use_functions_that_stand_for_others() {
    for rule in ["coalesce(orders, 0) > 1", "nvl(orders, 0) > 1", "ifnull(orders, 0) > 1", "nullif(orders, 1) is not null"] {
        let tiny = Tiny::new();
        tiny.write("pipelines/tiny.yaml", &crate::tiny::PIPELINE.replace("when: orders > 1", &format!("when: '{rule}'")));
        let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
        assert_eq!(output.status.code(), Some(0), "{rule}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_version_tells_programs_what_it_is_built_of_and_which_files_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (_, short, _) = code(folder.path(), &["--version"]);
    let (status, long, _) = code(folder.path(), &["version"]);
    assert_eq!((status, &long), (0, &short), "both ways of asking people know give the same answer");
    let (_, json, _) = code(folder.path(), &["version", "--json"]);
    assert_eq!(json, code(folder.path(), &["version", "--format", "json"]).1);
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(short, format!("segmill {}\n", told["version"].as_str().unwrap()));
    let pipeline = std::fs::read_to_string(package().join("pipelines/customer_segments.yaml")).unwrap();
    assert!(pipeline.contains(&format!("\nversion: {}\n", told["pipeline_version"])), "the version of the file that it reads");
    let lock = std::fs::read_to_string(package().join("Cargo.lock")).unwrap();
    for (package, key) in [("datafusion", "datafusion_version"), ("arrow", "arrow_version")] {
        assert!(lock.contains(&format!("name = \"{package}\"\nversion = {}\n", told[key])), "{package} {}", told[key]);
    }
}

#[test]
fn completions_and_manual_pages_name_every_command_and_are_taken_by_their_readers() {
    let folder = tempfile::tempdir().unwrap();
    let (_, help, _) = code(folder.path(), &["--help"]);
    let commands: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split("  ").next())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()))
        .collect();
    assert!(commands.contains(&"run") && commands.contains(&"man"), "{commands:?}");
    let (status, _, _) = code(folder.path(), &["man", "--output", "pages"]);
    assert_eq!(status, 0);
    for command in commands.iter().filter(|command| **command != "help" && !command.is_empty()) {
        assert!(folder.path().join(format!("pages/segmill-{command}.1")).is_file(), "{command} has no page");
    }
    let (status, page, _) = code(folder.path(), &["man"]);
    assert_eq!(status, 0);
    assert_eq!(page.trim_end(), std::fs::read_to_string(folder.path().join("pages/segmill.1")).unwrap().trim_end());
    for shell in ["bash", "zsh", "fish"] {
        let (status, script, _) = code(folder.path(), &["completions", shell]);
        assert_eq!(status, 0);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    // The shell itself says what it would complete.
    let (_, script, _) = code(folder.path(), &["completions", "bash"]);
    std::fs::write(folder.path().join("segmill.bash"), script).unwrap();
    let ask = "source ./segmill.bash; COMP_WORDS=(segmill outputs --format r); COMP_CWORD=3; _segmill segmill r --format; echo \"${COMPREPLY[@]}\"";
    let output = std::process::Command::new("bash").args(["-c", ask]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "redshift", "{}", String::from_utf8_lossy(&output.stderr));
}
