use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::ownership::{DAY, code, told};
use crate::tiny::{PIPELINE, Tiny};

/// What may stand where a file is meant.
const THINGS: [&str; 8] = ["pipe", "socket", "device", "link to a device", "link to itself", "link to nothing", "folder", "large file"];

/// Puts something in the place of a file.
fn put(thing: &str, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Nothing may be there.
    let _ = std::fs::remove_file(path);
    match thing {
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        "socket" => {
            // The name of a socket may only be short.
            let short = tempfile::tempdir_in("/tmp").unwrap();
            drop(UnixListener::bind(short.path().join("s")).unwrap());
            std::fs::rename(short.path().join("s"), path).unwrap();
        }
        "device" => symlink("/dev/null", path).unwrap(),
        "link to a device" => {
            let between = path.with_extension("link");
            let _ = std::fs::remove_file(&between);
            symlink("/dev/zero", &between).unwrap();
            symlink(&between, path).unwrap();
        }
        "link to itself" => {
            let other = path.with_extension("other");
            let _ = std::fs::remove_file(&other);
            symlink(path, &other).unwrap();
            symlink(&other, path).unwrap();
        }
        "link to nothing" => symlink(path.with_extension("nothing"), path).unwrap(),
        "folder" => std::fs::create_dir(path).unwrap(),
        _ => std::fs::File::create(path).unwrap().set_len(10 << 30).unwrap(),
    }
}

/// Runs a command, which must come to an end by itself: `--timeout` ends what waits, and so tells of it.
fn segmill(tiny: &Tiny, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "60", env!("CARGO_BIN_EXE_segmill")]).args(arguments).args(["--format", "json"]);
    for name in ["EXTRACTS", "DESTINATION", "SEGMILL_LOG"] {
        command.env_remove(name);
    }
    command.current_dir(tiny.folder.path()).stderr(Stdio::piped()).output().unwrap()
}

/// A place where a file is read or written, the command that does, and what the file is called in its message.
struct Role {
    name: &'static str,
    place: &'static str,
    pipeline: fn() -> String,
    arguments: &'static [&'static str],
    /// Things of which nothing is said, since they are none here.
    passes: &'static [&'static str],
}

const RUN: &[&str] = &["run", "pipelines/tiny.yaml", "--as-of", DAY];
const VALIDATE: &[&str] = &["validate", "pipelines/tiny.yaml"];

fn shipped() -> String {
    PIPELINE.to_owned()
}

fn exact() -> String {
    PIPELINE.replace("${EXTRACTS:-extracts}/*.csv", "extracts/orders.csv")
}

fn anywhere() -> String {
    PIPELINE.replace("${EXTRACTS:-extracts}/*.csv", "extracts/**/*.csv")
}

fn roles() -> Vec<Role> {
    let role = |name, place, pipeline, arguments, passes| Role { name, place, pipeline, arguments, passes };
    vec![
        role("extract", "extracts/orders.csv", exact as fn() -> String, RUN, &[]),
        role("extract by a wildcard", "extracts/more.csv", shipped, RUN, &["folder"]),
        role("extract at any depth", "extracts/2026/10/more.csv", anywhere, RUN, &["folder"]),
        role("model", "sql/customers.sql", shipped, VALIDATE, &["folder"]),
        role("model of a layer", "sql/features/more.sql", shipped, RUN, &[]),
        role("pipeline file", "pipelines/tiny.yaml", shipped, VALIDATE, &[]),
        role("pipeline file of a run", "pipelines/tiny.yaml", shipped, RUN, &[]),
        role("pipeline file of its outputs", "pipelines/tiny.yaml", shipped, &["outputs", "pipelines/tiny.yaml"], &[]),
        role("cases", "tests/models/more.yaml", shipped, &["test", "pipelines/tiny.yaml"], &[]),
        role("cases that are looked at", "tests/models/more.yaml", shipped, VALIDATE, &[]),
        role("marker", "out/segmill.json", shipped, RUN, &["folder", "link to nothing"]),
        role("orders", "orders.parquet", shipped, &["generate", "made", "--orders", "orders.parquet"], &[]),
        role(
            "record",
            "record.json",
            shipped,
            &["run", "pipelines/tiny.yaml", "--as-of", DAY, "--record", "record.json"],
            &["device", "link to a device", "link to nothing", "large file"],
        ),
    ]
}

#[test]
fn what_is_no_ordinary_file_is_refused_by_name_wherever_one_is_read() {
    for role in roles() {
        for thing in THINGS {
            let tiny = Tiny::new();
            tiny.write("pipelines/tiny.yaml", &(role.pipeline)());
            put(thing, &tiny.folder.path().join(role.place));
            let (status, result) = told(&segmill(&tiny, role.arguments));
            let what = format!("{thing} as {}", role.name);
            if role.passes.contains(&thing) {
                assert!([0, 2, 4].contains(&status), "{what}: {status} {result}");
                continue;
            }
            // A file of zeros is one: what is no text is the data's affair.
            let refused = if thing == "large file" && role.name.starts_with("extract") { 3 } else { 2 };
            assert_eq!(status, refused, "{what}: {result}");
            let file = role.place.rsplit('/').next().unwrap();
            assert!(result.to_string().contains(file) || code(&result) == "no-such-extract", "{what}: {result}");
            let is_odd = !["folder", "large file", "link to nothing"].contains(&thing);
            assert!(!is_odd || ["not-a-file", "not-generated"].contains(&code(&result)), "{what}: {result}");
        }
    }
}

/// Folders that link to each other, below every kind of wildcard, are gone through once.
#[test]
fn folders_that_lead_to_each_other_are_gone_through_once() {
    for location in ["extracts/**/*.csv", "extracts/*/*.csv", "extracts/**/deep/**/*.csv"] {
        let tiny = Tiny::new();
        tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("${EXTRACTS:-extracts}/*.csv", location));
        let extracts = tiny.folder.path().join("extracts");
        for folder in ["a", "b", "c"] {
            std::fs::create_dir_all(extracts.join(folder).join("deep")).unwrap();
            symlink("..", extracts.join(folder).join("up")).unwrap();
            symlink("../..", extracts.join(folder).join("deep/further")).unwrap();
        }
        std::fs::rename(extracts.join("orders.csv"), extracts.join("a/orders.csv")).unwrap();
        let (status, result) = told(&segmill(&tiny, RUN));
        // Where no name matches there is nothing to read, and that is said.
        assert!(status == 0 || code(&result) == "no-such-extract", "{location}: {result}");
        assert!(status != 0 || result["sources"][0]["rows_read"] == 75, "{location}: {result}");
    }
}

/// Signs that a terminal obeys, in the name of everything that a project is made of.
#[test]
fn control_characters_in_names_are_told_and_never_sent_to_a_terminal() {
    for sign in ["\n", "\t", "\r", "\u{1b}[31m", "\u{7f}", "\u{9b}2J"] {
        for (place, arguments) in [
            (format!("sql/features/a{sign}b.sql"), VALIDATE),
            (format!("sql/lay{sign}er/more.sql"), VALIDATE),
            (format!("tests/models/a{sign}b.yaml"), VALIDATE),
            (format!("tests/models/a{sign}b.yaml"), &["test", "pipelines/tiny.yaml"]),
            (format!("extracts/a{sign}b.csv"), RUN),
        ] {
            let tiny = Tiny::new();
            tiny.write(&place, "no: [sense\n");
            for format in ["human", "json"] {
                let output = tiny.segmill(&[arguments, &["--format", format]].concat());
                let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
                assert!([2, 3].contains(&output.status.code().unwrap()), "{place:?}: {said}");
                let obeyed = |c: char| c.is_control() && !['\n', '\t'].contains(&c);
                assert!(!said.contains(obeyed) && !said.contains(&format!("a{sign}b")), "{place:?} {format}: {said:?}");
            }
        }
    }
}

#[test]
fn projects_of_very_many_models_are_refused() {
    let tiny = Tiny::new();
    for at in 0..2_000 {
        tiny.write(&format!("sql/features/m{at}.sql"), "-- One.\nselect 1 as one\n");
    }
    let (status, result) = told(&segmill(&tiny, VALIDATE));
    assert_eq!((status, code(&result)), (2, "too-many-models"), "{result}");
}
