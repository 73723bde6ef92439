use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::ownership::{DAY, code, told};
use crate::publishing::files;
use crate::servers::{s3_variables, seaweed};
use crate::stores::{Place, block_on};
use crate::tiny::{Tiny, orders};

/// Names with what means something to URLs, shells, wildcards, percent-encoding, terminals and people's eyes.
const NAMES: [&str; 36] = [
    "with space",
    " begins with one",
    "ends with one ",
    "ünï",
    "u\u{308}nd combined",
    "日本",
    "ha#sh",
    "ha#1",
    "per%cent",
    "per%20cent",
    "%C3%BC",
    "br[a]c",
    "open[",
    "close]",
    "til~de",
    "~",
    "cur{l}y",
    "ca^ret",
    "que?ry",
    "st*ar",
    "**",
    "pi|pe",
    "back\\slash",
    "quo\"te",
    "apo'strophe",
    "tick`",
    "a<b>c",
    "a:b",
    "a=b&c+d;e,f",
    "$HOME",
    "!not",
    "-dash",
    "_under",
    ".hidden",
    "\u{202e}right to left",
    "zero\u{200b}width\u{feff}",
];

/// Names that stores and messages have no room for: refused, and by name.
const REFUSED: [&str; 5] = ["line\nend", "tab\tulator", "escape\u{1b}[31m", "delete\u{7f}", "return\r"];

fn segmill(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, Value) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_segmill"));
    for name in ["EXTRACTS", "DESTINATION", "SEGMILL_LOG"] {
        command.env_remove(name);
    }
    let output: Output =
        command.args(arguments).args(["--format", "json"]).envs(variables.iter().copied()).current_dir(folder).output().unwrap();
    told(&output)
}

fn copied(tiny: &Tiny, to: &Path) {
    for path in files(tiny.folder.path()) {
        let target = to.join(path.strip_prefix(tiny.folder.path()).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}

/// As a location names it where `[`, `?` and `*` are wildcards, and `{` begins a named part.
fn escaped(name: &str) -> String {
    name.chars().map(|c| if "[?*{".contains(c) { format!("[{c}]") } else { c.to_string() }).collect()
}

/// A YAML text of anything.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap().replace('\u{7f}', "\\u007f")
}

/// It ran and published 50 customers, or it was refused with a message that names the place; nothing else.
fn works(name: &str, what: &str, (status, result): (i32, Value), may_be_refused: bool) {
    if status == 0 {
        assert_eq!((&result["status"], &result["sources"][0]["rows_read"]), (&"published".into(), &75.into()), "{what} {name:?}: {result}");
        return;
    }
    assert!(may_be_refused && status == 2, "{what} {name:?}: {status} {result}");
    let is_named =
        ["invalid-location", "unreadable-name", "no-such-extract", "unset-variable", "invalid-variable"].contains(&code(&result));
    assert!(is_named, "{what} {name:?}: {result}");
}

const RUN: [&str; 4] = ["run", "pipelines/tiny.yaml", "--as-of", DAY];

#[test]
fn a_project_may_lie_in_a_folder_of_any_name() {
    let tiny = Tiny::new();
    for name in NAMES.iter().chain(&REFUSED) {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join(name);
        copied(&tiny, &project);
        let result = segmill(&project, &RUN, &[]);
        works(name, "project", result, REFUSED.contains(name));
        // The same project with the same extracts publishes nothing but by force.
        let elsewhere = segmill(folder.path(), &["run", &format!("{name}/pipelines/tiny.yaml"), "--as-of", DAY, "--force"], &[]);
        if name.starts_with('-') {
            continue;
        }
        works(name, "project from outside", elsewhere, REFUSED.contains(name));
        assert!(REFUSED.contains(name) || files(&project.join("out/commits")).len() == 2, "{name:?}: it publishes to the same place");
    }
}

#[test]
fn extracts_may_lie_in_folders_and_files_of_any_name() {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    for name in NAMES.iter().chain(&REFUSED) {
        let folder = tempfile::tempdir().unwrap();
        copied(&tiny, folder.path());
        std::fs::create_dir_all(folder.path().join("in").join(name)).unwrap();
        std::fs::write(folder.path().join("in").join(name).join(format!("x{name}.csv")), orders()).unwrap();
        let whole = folder.path().join("in").to_str().unwrap().to_owned();
        let is_refused = REFUSED.contains(name);
        for location in [
            format!("in/{}/x{}.csv", escaped(name), escaped(name)),
            format!("in/{}/*.csv", escaped(name)),
            "in/*/*.csv".to_owned(),
            "in/**/*.csv".to_owned(),
            format!("{whole}/{}/*.csv", escaped(name)),
            format!("file://{}", url::Url::from_file_path(Path::new(&whole).join(name).join("?.csv")).unwrap().path().replace("%3F", "*")),
        ] {
            // What begins with one of these matches a wildcard only where the location says so.
            let is_marker = name.starts_with(['_', '.']) && location.starts_with("in/*");
            let is_url_with_wildcards = location.starts_with("file:") && name.contains(['[', '?', '*', '{']);
            if is_marker || is_url_with_wildcards {
                continue;
            }
            let pipeline = written.replace("${EXTRACTS:-extracts}/*.csv", &quoted(&location)).replace("'$HOME'", "$HOME");
            std::fs::write(folder.path().join("pipelines/tiny.yaml"), pipeline).unwrap();
            let result = segmill(folder.path(), &[&RUN[..], &["--force"]].concat(), &[]);
            works(name, &location, result, is_refused);
        }
        // What a wildcard of the environment means is the same.
        std::fs::write(folder.path().join("pipelines/tiny.yaml"), &written).unwrap();
        let place = format!("in/{}", escaped(name));
        works(name, "EXTRACTS", segmill(folder.path(), &[&RUN[..], &["--force"]].concat(), &[("EXTRACTS", &place)]), is_refused);
        // Taken by the letter a name may be a pattern that matches something else, or nothing: then that is said, and never waited for.
        let place = format!("in/{name}");
        works(name, "EXTRACTS", segmill(folder.path(), &[&RUN[..], &["--force"]].concat(), &[("EXTRACTS", &place)]), true);
    }
}

#[test]
fn a_destination_may_have_any_name() {
    let tiny = Tiny::new();
    for name in NAMES.iter().chain(&REFUSED) {
        let folder = tempfile::tempdir().unwrap();
        copied(&tiny, folder.path());
        let (typed, whole) = (format!("./{name}"), folder.path().join(name));
        let is_refused = REFUSED.contains(name);
        let destination = ["--destination", &typed];
        let result = segmill(folder.path(), &[&RUN[..], &destination].concat(), &[]);
        works(name, "destination", result, is_refused);
        if is_refused {
            assert!(!whole.exists(), "{name:?}");
            continue;
        }
        assert!(
            whole.join("segmill.json").is_file() && whole.join(format!("customers/as_of={DAY}/customers.parquet")).is_file(),
            "{name:?}"
        );
        let (status, outputs) = segmill(folder.path(), &[&["outputs", "pipelines/tiny.yaml"][..], &destination].concat(), &[]);
        assert_eq!(status, 0, "{name:?}: {outputs}");
        for table in outputs["tables"].as_array().unwrap() {
            let path = url::Url::parse(table["files"][0]["url"].as_str().unwrap()).unwrap().to_file_path().unwrap();
            assert!(path.starts_with(&whole) && path.is_file(), "{name:?}: {path:?}");
        }
        let typed_in_file = segmill(folder.path(), &RUN, &[("DESTINATION", &typed)]);
        assert_eq!((typed_in_file.0, &typed_in_file.1["number"]), (0, &2.into()), "{name:?}: {}", typed_in_file.1);
        let clean = ["clean", "pipelines/tiny.yaml", "--remove", "--grace", "0s"];
        let (status, removed) = segmill(folder.path(), &[&clean[..], &destination].concat(), &[]);
        // A commit, three tables with their lists, four tables of the state, the project and the record.
        assert_eq!((status, removed["files"].as_array().unwrap().len()), (0, 13), "{name:?}: {removed}");
        assert_eq!(removed["unknown"], Value::Array(Vec::new()), "{name:?}");
        let beside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside.len(), 4, "{name:?}: it is one folder, and of that name: {beside:?}");
    }
}

/// Names that the library of the local store keeps for its uploads are told, where the location asks for them.
#[test]
fn extracts_that_are_called_as_unfinished_uploads_are_told() {
    let tiny = Tiny::new();
    let written = tiny.read("pipelines/tiny.yaml");
    for (name, location, is_told) in [
        ("orders.csv#1", "extracts/*", true),
        ("orders.csv#1", "extracts/orders.csv#1", true),
        ("orders.csv#1", "extracts/*.csv", false),
        ("day#20261101", "extracts/**/day*", true),
        ("a#1#2", "extracts/*", false),
        ("#7", "extracts/**", true),
        ("more.csv#x1", "extracts/*.csv*", false),
    ] {
        tiny.write(
            "pipelines/tiny.yaml",
            &written.replace("    location: ${EXTRACTS:-extracts}/*.csv", &format!("    location: {}\n    format: csv", quoted(location))),
        );
        tiny.write(&format!("extracts/{name}"), &orders());
        let (status, result) = segmill(tiny.folder.path(), &[&RUN[..], &["--force"]].concat(), &[]);
        if is_told {
            assert_eq!((status, code(&result)), (2, "unreadable-name"), "{name} {location}: {result}");
            assert!(result.to_string().contains(name), "{result}");
        } else {
            assert_eq!(status, 0, "{name} {location}: {result}");
        }
        std::fs::remove_file(tiny.folder.path().join("extracts").join(name)).unwrap();
    }
}

#[test]
#[ignore = "needs SeaweedFS: see CONTRIBUTING.md; .ci/run runs it"]
fn keys_of_a_store_may_have_any_name() {
    use object_store::{ObjectStoreExt, PutPayload};

    let server = seaweed();
    let tiny = Tiny::new();
    let variables = s3_variables(server.port);
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (store, _) = block_on(Place::s3(&server, "plain").fill());
    let written = tiny.read("pipelines/tiny.yaml");
    let usable = |name: &&&str| !["**", "st*ar", "back\\slash"].contains(name);
    for (at, name) in NAMES.iter().filter(usable).enumerate() {
        let key = object_store::path::Path::parse(format!("odd{at}/{name}/x{name}.csv")).unwrap();
        block_on(store.put(&key, PutPayload::from(orders()))).unwrap();
        for location in [format!("s3://shop/odd{at}/{}/*.csv", escaped(name)), format!("s3://shop/odd{at}/**/*.csv")] {
            if name.starts_with(['_', '.']) && location.contains("**") {
                continue;
            }
            tiny.write("pipelines/tiny.yaml", &written.replace("${EXTRACTS:-extracts}/*.csv", &quoted(&location)));
            let destination = format!("s3://shop/out{at}/{name}");
            let run = segmill(tiny.folder.path(), &[&RUN[..], &["--force", "--destination", &destination]].concat(), &variables);
            works(name, &location, run, false);
            let (status, outputs) =
                segmill(tiny.folder.path(), &["outputs", "pipelines/tiny.yaml", "--destination", &destination], &variables);
            assert_eq!(status, 0, "{name:?}: {outputs}");
            assert!(outputs["tables"][0]["files"][0]["url"].as_str().unwrap().starts_with(&format!("{destination}/runs/")), "{outputs}");
        }
        let clean = ["clean", "pipelines/tiny.yaml", "--destination", &format!("s3://shop/out{at}/{name}"), "--remove", "--grace", "0s"];
        let (status, removed) = segmill(tiny.folder.path(), &clean, &variables);
        assert_eq!((status, &removed["unknown"]), (0, &Value::Array(Vec::new())), "{name:?}: {removed}");
    }
    for name in REFUSED {
        let (status, error) =
            segmill(tiny.folder.path(), &[&RUN[..], &["--destination", &format!("s3://shop/{name}")]].concat(), &variables);
        assert_eq!((status, code(&error)), (2, "invalid-location"), "{name:?}: {error}");
    }
}
