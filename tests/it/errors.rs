use std::path::{Path, PathBuf};

use crate::support::{package, segmill};

/// The command whose frames a case shows, unless the first line of its `expected.txt` names another.
const COMMAND: &str = "segmill validate";

/// Set to rewrite every `expected.txt` from what is printed now; the difference is then read in review.
const BLESS: &str = "SEGMILL_BLESS";

/// Every folder of `tests/errors` is the project `base` with a few files in the place of its own (an empty file takes one
/// away), and `expected.txt`: the command, all that it prints, and its exit status.
#[test]
fn every_mistake_is_told_in_its_frame() {
    let bless = std::env::var_os(BLESS).is_some();
    let cases = cases();
    assert!(cases.len() >= 15, "only {} cases", cases.len());
    let share = cases.len().div_ceil(4);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(share)
            .map(|cases| scope.spawn(|| cases.iter().filter_map(|case| differs(case, bless)).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}\n{} cases differ; `{BLESS}=1 cargo test --test it errors` rewrites them", wrong.join("\n"), wrong.len());
}

/// What the environment gives may be a secret: of a value that does not fit, the file's own text is told.
#[test]
fn values_of_the_environment_stay_out_of_messages() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    overlay(&package().join("tests/errors/base"), &project);
    let pipeline = project.join("pipelines/customer_segments.yaml");
    let text = std::fs::read_to_string(&pipeline).unwrap();
    let mistakes = [
        ("kind: exclusive", "kind: ${SECRET}"),
        ("customer_id: string", "customer_id: ${SECRET}"),
        ("country: string", "country:\n        type: string\n        required: '${SECRET}'\n        optional: ${SECRET}"),
        ("key: [order_id]", "key: ${SECRET}\n    min_rows: ${SECRET}\n    reject_budget:\n      share: ${NUMBER}"),
    ];
    let broken = mistakes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    std::fs::write(&pipeline, broken).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_segmill"))
        .args(["validate"])
        .current_dir(&project)
        .env("SECRET", "geheim")
        .env("NUMBER", "4711")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("7 problems"), "{told}");
    assert!(!told.contains("geheim") && !told.contains("4711"), "{told}");
}

/// What it prints instead of what is expected; none when they agree.
fn differs(case: &Path, bless: bool) -> Option<String> {
    let file = case.join("expected.txt");
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    let command = expected.lines().next().and_then(|line| line.strip_prefix("$ ")).unwrap_or(COMMAND);
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    overlay(&package().join("tests/errors/base"), &project);
    overlay(case, &project);
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    let output = segmill(&project, &arguments);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let status = output.status.code().unwrap();
    let found = format!("$ {command}\n{stdout}{stderr}exit status {status}\n");
    if found == expected {
        return None;
    }
    if bless {
        std::fs::write(&file, found).unwrap();
        return None;
    }
    Some(format!("---- {}\nexpected:\n{expected}\nfound:\n{found}", file.strip_prefix(package()).unwrap().display()))
}

/// The folders of the cases, in order of name.
pub fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(package().join("tests/errors")).unwrap();
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir() && !path.ends_with("base")).collect();
    cases.sort();
    cases
}

/// Copies a folder over another; an empty file takes away the one of its name.
fn overlay(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            overlay(&entry.path(), &target);
        } else if entry.metadata().unwrap().len() == 0 {
            std::fs::remove_file(&target).unwrap();
        } else if entry.file_name() != "expected.txt" {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
