use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use segmill::config::Environment;
use segmill::project::{Version, changes};
use serde_json::Value;

use crate::support::rows_of_parquet;
use crate::tiny::Tiny;

const PIPELINE: &str = "\
version: 1
name: edited
parameters:
  many: {type: integer, default: '3', description: Orders that make somebody loyal}
  weight: {type: integer, default: '1', description: What an order counts}
sources:
  orders:
    location: ${EXTRACTS:-extracts}/*.csv
    event_time: ordered_at
    columns:
      customer_id: {type: string, required: true}
      ordered_at: {type: timestamp, required: true}
      shop: {type: string}
segments:
  value:
    kind: exclusive
    description: What they are worth
    segments:
      - {name: loyal, when: orders >= $many, description: Come back, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
  audiences:
    kind: overlapping
    segments:
      - {name: buyers, when: orders >= 2, description: Came back, action: Thank them, channel: email}
outputs:
  destination: ${DESTINATION:-out}
  tables:
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
    segment_changes: {model: segment_changes, sort: [segment_set, customer_id, change, from_segment, to_segment]}
";

const STAGING: &str = "-- An order.\nselect customer_id, ordered_at from sources.orders\n";
const CUSTOMERS: &str = "\
-- A customer.
select customer_id, count(*) * $weight as orders, count(*) - 1 as more
from staging.orders
group by customer_id
";

const FIRST: &str = "2026-11-01";
const SECOND: &str = "2026-11-02";
const EVALUATION: &str = "evaluate the earlier definition";

/// The customers a to f have 1 to 6 orders; some may have more.
fn orders(more: &[(&str, usize)]) -> String {
    let mut text = "customer_id,ordered_at,shop\n".to_owned();
    for (at, customer) in ["a", "b", "c", "d", "e", "f"].iter().enumerate() {
        let extra = more.iter().find(|(id, _)| id == customer).map_or(0, |(_, extra)| *extra);
        for day in 0..=at + extra {
            text += &format!("{customer},2026-10-{:02}T10:00:00Z,north\n", day + 1);
        }
    }
    text
}

fn project() -> Tiny {
    let tiny = Tiny { folder: tempfile::tempdir().unwrap() };
    tiny.write("pipelines/tiny.yaml", PIPELINE);
    tiny.write("sql/staging/orders.sql", STAGING);
    tiny.write("sql/customers.sql", CUSTOMERS);
    tiny.write("extracts/orders.csv", &orders(&[]));
    tiny
}

fn told(mut command: Command) -> (i32, Value, String) {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), error)
}

fn run(tiny: &Tiny, day: &str, more: &[&str]) -> Value {
    let arguments = [&["run", "pipelines/tiny.yaml", "--format", "json", "--as-of", day], more].concat();
    let (status, result, error) = told(tiny.command(&arguments));
    assert_eq!(status, 0, "{result}{error}");
    result
}

/// A first day as the project is, and a second one as it is after an edit.
fn edited(edit: impl FnOnce(&Tiny), more: &[&str]) -> (Tiny, Value) {
    let tiny = project();
    run(&tiny, FIRST, &[]);
    edit(&tiny);
    let result = run(&tiny, SECOND, more);
    (tiny, result)
}

/// The movements of the second day, by customer and set: from where to where, the cause, and what is told of it.
fn movements(tiny: &Tiny) -> BTreeMap<(String, String), [String; 4]> {
    let file = tiny.folder.path().join(format!("out/segment_changes/as_of={SECOND}/segment_changes.parquet"));
    let rows = rows_of_parquet(&[file], "select customer_id, segment_set, from_segment, to_segment, cause, cause_detail from t");
    rows.into_iter()
        .map(|row| {
            let [id, set, from, to, cause, detail] = row.try_into().unwrap();
            ((id, set), [from, to, cause, detail])
        })
        .collect()
}

/// The customers who have moved because of an edit, each with the set and what was edited.
fn by_definition(tiny: &Tiny) -> BTreeSet<(String, String, String)> {
    let moved = movements(tiny).into_iter().filter(|(_, of)| of[2] == "definition");
    moved.map(|((id, set), of)| (id, set, of[3].clone())).collect()
}

fn expect(tiny: &Tiny, expected: &[(&str, &str, &str)]) {
    let expected = expected.iter().map(|(id, set, detail)| ((*id).to_owned(), (*set).to_owned(), (*detail).to_owned())).collect();
    assert_eq!(by_definition(tiny), expected, "{:#?}", movements(tiny));
}

/// The commit of a run, and where the project is that it keeps.
fn commit(tiny: &Tiny, result: &Value) -> Value {
    let number = result["publication"].as_u64().or_else(|| result["number"].as_u64()).unwrap();
    serde_json::from_str(&tiny.read(&format!("out/commits/{number:08}.json"))).unwrap()
}

fn steps(tiny: &Tiny, result: &Value) -> Vec<String> {
    let record = tiny.read(&format!("out/runs/{}/record.json", result["run_id"].as_str().unwrap()));
    let record: Value = serde_json::from_str(&record).unwrap();
    record["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

fn evaluates(tiny: &Tiny, result: &Value) -> bool {
    steps(tiny, result).iter().any(|step| step == EVALUATION)
}

fn write_pipeline(tiny: &Tiny, from: &str, to: &str) {
    let text = tiny.read("pipelines/tiny.yaml");
    assert!(text.contains(from), "{from}");
    tiny.write("pipelines/tiny.yaml", &text.replace(from, to));
}

#[test]
fn a_changed_rule_moves_whom_it_concerns_and_needs_no_second_plan() {
    let (tiny, result) = edited(|tiny| write_pipeline(tiny, "orders >= $many", "orders >= 2"), &[]);
    expect(&tiny, &[("b", "value", "rule")]);
    assert_eq!(movements(&tiny).len(), 1);
    assert!(!evaluates(&tiny, &result), "{:?}", steps(&tiny, &result));
    assert_eq!(result["warnings"].as_array().unwrap().len(), 0, "{}", result["warnings"]);
}

#[test]
fn a_changed_model_moves_whom_it_concerns() {
    let (tiny, result) =
        edited(|tiny| tiny.write("sql/customers.sql", &CUSTOMERS.replace("count(*) * $weight", "count(*) * $weight + 1")), &[]);
    expect(&tiny, &[("a", "audiences", "model"), ("b", "value", "model")]);
    assert!(evaluates(&tiny, &result));
    // A rule beside it.
    let edit = |tiny: &Tiny| {
        tiny.write("sql/staging/orders.sql", "select customer_id, ordered_at from sources.orders union all select 'b', ordered_at from sources.orders where customer_id = 'a'");
        write_pipeline(tiny, "when: orders >= 2", "when: orders >= 4");
    };
    let (tiny, _) = edited(edit, &[]);
    expect(&tiny, &[("b", "audiences", "rule, model"), ("b", "value", "rule, model"), ("c", "audiences", "rule, model")]);
}

#[test]
fn a_changed_parameter_moves_whom_it_concerns() {
    // One that rules alone read needs no second plan.
    let (tiny, result) = edited(|_| {}, &["--param", "many=5"]);
    expect(&tiny, &[("c", "value", "parameter"), ("d", "value", "parameter")]);
    assert!(!evaluates(&tiny, &result));
    let (tiny, result) = edited(|_| {}, &["--param", "weight=2"]);
    expect(&tiny, &[("a", "audiences", "parameter"), ("b", "value", "parameter")]);
    assert!(evaluates(&tiny, &result));
    // Its default says the same as giving it.
    let (tiny, _) = edited(|tiny| write_pipeline(tiny, "default: '3'", "default: '4'"), &[]);
    expect(&tiny, &[("c", "value", "parameter")]);
    let (tiny, _) = edited(|tiny| write_pipeline(tiny, "default: '3'", "default: '4'"), &["--param", "many=3"]);
    assert!(movements(&tiny).is_empty());
}

#[test]
fn how_a_project_is_written_moves_nobody_and_evaluates_nothing() {
    let edit = |tiny: &Tiny| {
        tiny.write(
            "sql/customers.sql",
            &format!("-- Other words.\n{}", CUSTOMERS.replace("select ", "SELECT\n    ").replace("group by", "GROUP  BY")),
        );
        write_pipeline(tiny, "when: orders >= $many", "when: \"orders  >=  $many\"");
        write_pipeline(tiny, "description: Come back", "description: Come back often");
        write_pipeline(tiny, "  value:\n", "  # What a customer is worth.\n  value:\n");
        write_pipeline(tiny, "Orders that make", "The orders that make");
        tiny.write("extracts/orders.csv", &orders(&[("a", 5)]));
    };
    let (tiny, result) = edited(edit, &[]);
    expect(&tiny, &[]);
    assert_eq!(movements(&tiny).len(), 2, "the late rows count");
    assert!(!evaluates(&tiny, &result));
    let then: Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    let now = commit(&tiny, &result);
    assert_eq!(then["definition_digest"], now["definition_digest"]);
    assert_ne!(then["project_digest"], now["project_digest"]);
}

#[test]
fn late_rows_and_an_edit_are_told_apart() {
    let edit = |tiny: &Tiny| {
        write_pipeline(tiny, "orders >= $many", "orders >= 2");
        tiny.write("extracts/orders.csv", &orders(&[("a", 3)]));
    };
    let (tiny, _) = edited(edit, &[]);
    // Of the customer a both definitions say the same today.
    expect(&tiny, &[("b", "value", "rule")]);
    let moved = movements(&tiny);
    assert_eq!(moved.keys().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
}

#[test]
fn sets_and_segments_that_are_new_or_gone_are_an_edit_and_a_new_name_is_none() {
    let (tiny, _) = edited(
        |tiny| {
            write_pipeline(
                tiny,
                "      - {name: buyers, when: orders >= 2,",
                "      - {name: many, when: orders >= 5, description: d, action: a, channel: email}\n      - {name: buyers, when: orders >= 2,",
            );
        },
        &[],
    );
    expect(&tiny, &[("e", "audiences", "rule"), ("f", "audiences", "rule")]);
    let gone = |tiny: &Tiny| {
        let text = tiny.read("pipelines/tiny.yaml");
        let (start, end) = (text.find("  audiences:").unwrap(), text.find("outputs:").unwrap());
        tiny.write("pipelines/tiny.yaml", &format!("{}{}", &text[..start], &text[end..]));
    };
    let (tiny, _) = edited(gone, &[]);
    expect(&tiny, &["b", "c", "d", "e", "f"].map(|id| (id, "audiences", "rule")));
    let renamed = |tiny: &Tiny| {
        write_pipeline(tiny, "{name: loyal, when", "{name: regulars, formerly: [loyal], when");
        write_pipeline(tiny, "  audiences:\n", "  groups:\n    formerly: [audiences]\n");
    };
    let (tiny, _) = edited(renamed, &[]);
    assert!(movements(&tiny).is_empty(), "{:?}", movements(&tiny));
}

#[test]
fn what_keeps_customers_in_segments_is_a_part_of_the_definition() {
    // By the rule alone c leaves, whose orders went; the old definition would have let c stay.
    let tiny = project();
    write_pipeline(&tiny, "when: orders >= $many,", "when: orders >= $many, stay: orders >= 1,");
    run(&tiny, FIRST, &[]);
    write_pipeline(&tiny, " stay: orders >= 1,", "");
    let fewer: String = orders(&[]).lines().filter(|line| !line.starts_with("c,2026-10-03")).map(|line| format!("{line}\n")).collect();
    tiny.write("extracts/orders.csv", &fewer);
    run(&tiny, SECOND, &[]);
    expect(&tiny, &[("c", "value", "rule")]);
}

#[test]
fn a_definition_that_does_not_fit_the_extracts_any_more_leaves_causes_undetermined() {
    let edit = |tiny: &Tiny| {
        write_pipeline(tiny, "      shop: {type: string, required: true}\n", "");
        write_pipeline(tiny, "orders >= $many", "orders >= 2");
        let without: String = orders(&[]).lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0)).collect();
        tiny.write("extracts/orders.csv", &without);
    };
    let tiny = project();
    write_pipeline(&tiny, "      shop: {type: string}\n", "      shop: {type: string, required: true}\n");
    tiny.write("sql/staging/orders.sql", "select customer_id, ordered_at from sources.orders where shop = 'north'");
    run(&tiny, FIRST, &[]);
    edit(&tiny);
    tiny.write("sql/staging/orders.sql", STAGING);
    let result = run(&tiny, SECOND, &[]);
    let moved = movements(&tiny);
    let b = &moved[&("b".to_owned(), "value".to_owned())];
    assert_eq!([b[2].as_str(), b[3].as_str()], ["undetermined", "definition_unknown"]);
    assert_eq!(moved.len(), 1);
    let warnings = result["warnings"].to_string();
    assert!(warnings.contains(FIRST) && warnings.contains("undetermined") && warnings.contains("today's data"), "{warnings}");
    // Where it is the same again the day after, causes are known again.
    tiny.write("extracts/orders.csv", &tiny.read("extracts/orders.csv"));
    let third = run(&tiny, "2026-11-03", &[]);
    assert!(!third["warnings"].to_string().contains("undetermined"), "{third}");
}

#[test]
fn a_rule_that_fails_on_somebody_leaves_only_that_cause_undetermined_whatever_the_batches() {
    let mut told = BTreeSet::new();
    for threads in ["1", "3"] {
        let tiny = project();
        write_pipeline(&tiny, "when: orders >= $many", "when: 10 / (more - 3) >= 5");
        // As of the first day nobody has four orders.
        let three: String = orders(&[]).lines().filter(|line| !line.starts_with("d,2026-10-04")).map(|line| format!("{line}\n")).collect();
        tiny.write("extracts/orders.csv", &three);
        run(&tiny, FIRST, &["--threads", threads]);
        tiny.write("extracts/orders.csv", &orders(&[]));
        write_pipeline(&tiny, "when: 10 / (more - 3) >= 5", "when: orders >= 3");
        run(&tiny, SECOND, &["--threads", threads]);
        let moved = movements(&tiny);
        let causes: BTreeMap<&str, &str> =
            moved.iter().filter(|((_, set), _)| set == "value").map(|((id, _), of)| (id.as_str(), of[2].as_str())).collect();
        assert_eq!(causes, BTreeMap::from([("c", "definition"), ("d", "undetermined")]), "{moved:?}");
        told.insert(format!("{moved:?}"));
    }
    assert_eq!(told.len(), 1);
}

#[test]
fn another_definition_gives_the_same_bytes_on_any_number_of_threads_and_again() {
    let mut all = BTreeSet::new();
    for threads in ["1", "2", "7"] {
        for twice in [false, true] {
            let tiny = project();
            run(&tiny, FIRST, &["--threads", threads]);
            tiny.write("sql/customers.sql", &CUSTOMERS.replace("count(*) * $weight", "count(*) * $weight + 1"));
            let mut result = run(&tiny, SECOND, &["--threads", threads]);
            if twice {
                assert_eq!(run(&tiny, SECOND, &[])["status"], "unchanged");
                result = run(&tiny, SECOND, &["--threads", threads, "--force"]);
            }
            let kept = commit(&tiny, &result)["project"]["path"].as_str().unwrap().to_owned();
            let changes = std::fs::read(tiny.folder.path().join(format!("out/segment_changes/as_of={SECOND}/segment_changes.parquet")));
            all.insert((changes.unwrap(), tiny.read(&format!("out/{kept}"))));
        }
    }
    assert_eq!(all.len(), 1);
}

#[test]
fn a_day_whose_predecessor_was_made_by_another_definition_is_built_on_a_superseded_one() {
    let (tiny, _) = edited(|tiny| write_pipeline(tiny, "orders >= $many", "orders >= 2"), &[]);
    expect(&tiny, &[("b", "value", "rule")]);
    // The first day anew by today's rules: what the second says of them is not so any more.
    run(&tiny, FIRST, &[]);
    let (_, listed, _) = told(tiny.command(&["outputs", "pipelines/tiny.yaml", "--as-of", SECOND, "--format", "json"]));
    assert!(listed["superseded_predecessor"].is_string(), "{listed}");
    run(&tiny, SECOND, &[]);
    assert!(movements(&tiny).is_empty());
}

/// The kept project of a publication, by path.
fn kept(tiny: &Tiny, result: &Value) -> (PathBuf, BTreeMap<String, String>) {
    let commit = commit(tiny, result);
    let path = tiny.folder.path().join("out").join(commit["project"]["path"].as_str().unwrap());
    let project: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(project["pipeline"], "pipelines/tiny.yaml");
    assert_eq!(project["project_digest"], commit["project_digest"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (path, project["files"].as_array().unwrap().iter().map(|file| (text(&file["path"]), text(&file["text"]))).collect())
}

/// What has changed between the kept projects of two runs.
fn changed(tiny: &Tiny, runs: [&Value; 2]) -> Value {
    let today = segmill::config::load(&tiny.folder.path().join("pipelines/tiny.yaml"), &Environment::new()).unwrap();
    let [old, new] = runs.map(|result| {
        let kept = serde_json::from_slice(&std::fs::read(kept(tiny, result).0).unwrap()).unwrap();
        let parameters = serde_json::from_value(commit(tiny, result)["parameters"].clone()).unwrap();
        Version::restored(kept, &today, parameters, &Environment::new()).unwrap()
    });
    serde_json::to_value(changes(&old, &new, &Environment::new())).unwrap()
}

#[test]
fn what_has_changed_between_two_versions_is_told() {
    let tiny = project();
    let first = run(&tiny, FIRST, &[]);
    let nothing = changed(&tiny, [&first, &first]);
    assert!(nothing.as_object().unwrap().values().all(|told| told.as_array().is_some_and(Vec::is_empty)), "{nothing}");
    write_pipeline(&tiny, "orders >= $many", "orders  >= 2");
    write_pipeline(&tiny, "when: orders >= 2,", "when: \"orders  >=  2\",");
    write_pipeline(
        &tiny,
        "      - {name: others,",
        "      - {name: more, when: orders = 1, description: d, action: a, channel: none}\n      - {name: others,",
    );
    write_pipeline(&tiny, "      shop: {type: string}\n", "      shop: {type: string, personal: true}\n");
    write_pipeline(&tiny, "outputs:\n", "checks:\n  - {name: some, rows: {table: segment_membership, min: 1}}\noutputs:\n");
    tiny.write("sql/customers.sql", &format!("-- Other words.\n{CUSTOMERS}"));
    tiny.write(
        "sql/features/orders.sql",
        "-- The orders of a customer.\nselect customer_id, count(*) as n from staging.orders group by customer_id\n",
    );
    let second = run(&tiny, SECOND, &["--param", "weight=2"]);
    let told = changed(&tiny, [&first, &second]);
    let files = |told: &Value| -> Vec<String> {
        told["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| format!("{} {}", file["path"].as_str().unwrap(), file["edit"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(files(&told), ["pipelines/tiny.yaml edited", "sql/customers.sql rewritten", "sql/features/orders.sql added"]);
    let rules: Vec<Vec<Option<&str>>> = told["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| ["segment_set", "segment", "key", "old", "new", "edit"].map(|key| rule[key].as_str()).to_vec())
        .collect();
    let rule = |texts: [&'static str; 6]| texts.map(|text| Some(text).filter(|text| !text.is_empty())).to_vec();
    assert_eq!(
        rules,
        [
            rule(["value", "", "order", "loyal, others", "loyal, more, others", "edited"]),
            rule(["value", "loyal", "when", "orders >= $many", "orders  >= 2", "edited"]),
            rule(["value", "more", "when", "", "orders = 1", "added"]),
            rule(["audiences", "buyers", "when", "orders >= 2", "orders  >=  2", "rewritten"]),
        ]
    );
    assert_eq!(told["parameters"], serde_json::json!([{ "name": "weight", "old": "1", "new": "2" }]));
    assert_eq!(told["parts"], serde_json::json!([{ "part": "checks", "edit": "added" }, { "part": "sources.orders", "edit": "edited" }]));
    assert_eq!(told["definition"], serde_json::json!(["rule", "parameter", "contract"]));
    // The other way round.
    let back = changed(&tiny, [&second, &first]);
    assert_eq!(files(&back)[2], "sql/features/orders.sql removed");
    assert_eq!(back["rules"].as_array().unwrap().len(), 4);
}

const FILES: [&str; 3] = ["pipelines/tiny.yaml", "sql/customers.sql", "sql/staging/orders.sql"];

#[test]
fn a_publication_keeps_its_project_to_the_byte_and_gives_it_back() {
    let tiny = project();
    tiny.write("sql/customers.sql", &format!("-- Ünïcode \"quotes\" \t\\ and\r\n{CUSTOMERS}"));
    let result = run(&tiny, FIRST, &[]);
    let (_, files) = kept(&tiny, &result);
    assert_eq!(files, FILES.iter().map(|path| ((*path).to_owned(), tiny.read(path))).collect());
    let then = FILES.map(|path| tiny.read(path));

    write_pipeline(&tiny, "orders >= $many", "orders >= 2");
    tiny.write("sql/customers.sql", CUSTOMERS);
    let (status, result, error) =
        told(tiny.command(&["outputs", "pipelines/tiny.yaml", "--as-of", FIRST, "--project", "audit/first", "--format", "json"]));
    assert_eq!((status, result["pipeline"].as_str()), (0, Some("pipelines/tiny.yaml")), "{error}");
    assert_eq!(FILES.map(|path| tiny.read(&format!("audit/first/{path}"))), then);
    let (status, ..) = told(tiny.command(&["outputs", "pipelines/tiny.yaml", "--as-of", FIRST, "--project", "audit/first"]));
    assert_eq!(status, 2, "a folder that is there is left alone");

    // What was given back makes the same publication.
    let extracts = tiny.folder.path().join("extracts");
    let mut again = tiny.command(&["run", "audit/first/pipelines/tiny.yaml", "--as-of", FIRST, "--format", "json"]);
    again.env("EXTRACTS", &extracts).env("DESTINATION", tiny.folder.path().join("again"));
    let (status, again, error) = told(again);
    assert_eq!(status, 0, "{error}");
    assert_eq!(again["project_digest"], commit(&tiny, &serde_json::json!({ "number": 1 }))["project_digest"]);
}

#[test]
fn the_kept_project_stays_and_goes_with_its_publication() {
    let tiny = project();
    let first = run(&tiny, FIRST, &[]);
    let (old, _) = kept(&tiny, &first);
    let clean = |more: &[&str]| {
        let (status, result, error) =
            told(tiny.command(&[&["clean", "pipelines/tiny.yaml", "--format", "json", "--grace", "0s"], more].concat()));
        assert_eq!(status, 0, "{error}");
        result
    };
    let cleaned = clean(&["--remove"]);
    assert!(old.exists(), "{cleaned}");
    assert_eq!(cleaned["unknown"].as_array().map(Vec::len), Some(0), "{cleaned}");
    write_pipeline(&tiny, "orders >= $many", "orders >= 2");
    let second = run(&tiny, FIRST, &[]);
    let (new, _) = kept(&tiny, &second);
    clean(&["--remove"]);
    assert!(!old.exists() && new.exists());
}

#[test]
fn a_kept_project_that_is_gone_or_changed_is_damage() {
    for damage in ["gone", "changed", "as long"] {
        let tiny = project();
        let first = run(&tiny, FIRST, &[]);
        let (path, _) = kept(&tiny, &first);
        let text = std::fs::read_to_string(&path).unwrap();
        match damage {
            "gone" => std::fs::remove_file(&path).unwrap(),
            "changed" => std::fs::write(&path, text.replace("orders >= $many", "orders >= $many ")).unwrap(),
            _ => std::fs::write(&path, text.replace("orders >= $many", "orders <= $many")).unwrap(),
        }
        let audit = ["outputs", "pipelines/tiny.yaml", "--as-of", FIRST, "--project", "audit"];
        // Of a project that has not changed, nothing is read.
        run(&tiny, SECOND, &[]);
        write_pipeline(&tiny, "orders >= $many", "orders >= 2");
        for arguments in [&audit[..], &["run", "pipelines/tiny.yaml", "--as-of", SECOND, "--destination", "out"]] {
            let arguments: Vec<&str> = arguments.to_vec();
            if arguments[0] == "run" {
                // The second day keeps one that is whole, from which the first day's would be needed no more.
                std::fs::remove_dir_all(tiny.folder.path().join("other")).ok();
            }
            let (status, _, error) = told(tiny.command(&arguments));
            let is_damage = error.contains("damaged-publication") && error.contains("project.json");
            assert_eq!((status, is_damage), (2, true), "{damage}: {arguments:?}: {error}");
            assert!(!tiny.folder.path().join("audit").exists());
        }
        if damage != "as long" {
            let (status, _, error) = told(tiny.command(&["outputs", "pipelines/tiny.yaml", "--as-of", FIRST]));
            assert!(status == 2 && error.contains("project.json"), "{damage}: {error}");
        }
    }
}

#[test]
fn no_value_of_the_environment_is_kept_and_another_one_is_told() {
    let tiny = project();
    let line = PIPELINE.lines().find(|line| line.contains("name: loyal")).unwrap();
    let rule = "orders >= ${LOYAL_FROM:-3} and 'x' <> '${SECRET_OF_RULE:-y}'";
    let block = format!("      - name: loyal\n        when: {rule}\n        description: d\n        action: a\n        channel: email");
    write_pipeline(&tiny, line, &block);
    let day = |day: &str, from: &str| {
        let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--format", "json", "--as-of", day]);
        command.env("LOYAL_FROM", from).env("SECRET_OF_RULE", "hunter2hunter2").env("DESTINATION", tiny.folder.path().join("out"));
        let (status, result, error) = told(command);
        assert_eq!(status, 0, "{error}");
        result
    };
    let first = day(FIRST, "3");
    let (path, files) = kept(&tiny, &first);
    assert!(files["pipelines/tiny.yaml"].contains("${SECRET_OF_RULE:-y}"));
    assert!(!std::fs::read_to_string(path).unwrap().contains("hunter2"));
    for entry in std::fs::read_dir(tiny.folder.path().join("out/commits")).unwrap() {
        assert!(!std::fs::read_to_string(entry.unwrap().path()).unwrap().contains("hunter2"));
    }
    // Nobody knows what the rule was, since its value is not kept.
    let second = day(SECOND, "2");
    assert!(second["warnings"].to_string().contains("variables of the environment"), "{}", second["warnings"]);
    assert_eq!(movements(&tiny)[&("b".to_owned(), "value".to_owned())][2], "undetermined");
    assert!(!day("2026-11-03", "2")["warnings"].to_string().contains("undetermined"));
}

#[test]
fn a_publication_without_a_project_is_told() {
    let tiny = project();
    run(&tiny, FIRST, &[]);
    // As an older Segmill made it.
    let mut commit: Value = serde_json::from_str(&tiny.read("out/commits/00000001.json")).unwrap();
    for key in ["project", "definition_digest"] {
        commit.as_object_mut().unwrap().remove(key).unwrap();
    }
    tiny.write("out/commits/00000001.json", &commit.to_string());
    let (status, _, error) = told(tiny.command(&["outputs", "pipelines/tiny.yaml", "--project", "audit"]));
    assert!(status == 2 && error.contains("no-kept-project"), "{error}");
    tiny.write("extracts/orders.csv", &orders(&[("b", 1)]));
    let second = run(&tiny, SECOND, &[]);
    assert!(second["warnings"].to_string().contains("keeps no project"), "{second}");
    assert_eq!(movements(&tiny)[&("b".to_owned(), "value".to_owned())][2], "undetermined");
}
