use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::errors;
use crate::imports::Imports;
use crate::support::package;
use crate::tokens::{functions_of, tokens_of};

/// The layers, top first. A module uses modules of its own layer or lower ones.
pub const LAYERS: [&[&str]; 9] = [
    &["cli"],
    &["run", "cases", "diff", "explain", "show", "generate", "inspect"],
    &["docs", "execute", "figures", "page", "report", "telemetry"],
    &["job", "openlineage", "predecessor"],
    &["plan", "project", "record"],
    &["native"],
    &["graph", "ingest", "identity", "lineage", "segments", "publish"],
    &["engine", "functions", "sql", "config", "manifest", "storage", "clock"],
    &["affinity", "cast", "diagnostic", "error", "groups", "likeness", "local_time", "number", "parallel", "predict", "shown", "traits"],
];

/// The most lines of a file and of a function.
const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

/// Mistakes that a folder cannot show, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("access-denied", "needs a store that refuses"),
    ("no-such-bucket", "needs a store that answers"),
    ("unusable-place", "is told with the name of the run: `command_line` holds it"),
    ("column-type", "needs a Parquet extract"),
    ("memory-limit", "needs more data than a limit allows"),
    ("file-too-large", "needs a file of megabytes"),
    ("invalid-arguments", "is told by JSON alone: `command_line` holds it"),
    ("folder-in-use", "is told by `init` and `generate`: `ownership` holds it"),
    ("blank-variable", "needs the environment: `ownership` holds it"),
    ("unusable-destination", "is told with the name of a folder: `ownership` holds it"),
    ("unmarked-destination", "needs a destination that was published to: `ownership` holds it"),
    ("nothing-to-adopt", "is told by `clean --adopt`: `ownership` holds it"),
    ("not-a-marker", "needs a destination that was published to: `ownership` holds it"),
    ("foreign-file", "needs files at the destination: `ownership` holds it"),
    ("delta-table-ahead", "needs a Delta table: `delta` holds it"),
    ("foreign-delta-table", "needs a Delta table: `delta` holds it"),
    ("unreadable-delta-table", "needs a Delta table: `delta` holds it"),
    ("delta-column-type", "needs a Delta table: `delta` holds it"),
    ("unusable-delta-location", "is told with the name of a folder: `delta` holds it"),
    ("not-published", "is told by `outputs`: `publishing` holds it"),
    ("unreadable-name", "needs names that a repository cannot hold: `odd_places` holds it"),
    ("not-a-file", "needs pipes, sockets and devices, which a repository cannot hold: `odd_things` holds it"),
    ("too-many-models", "needs thousands of files: `odd_things` holds it"),
    ("too-many-segments", "needs many segments: `costs` holds it"),
    ("too-many-values", "needs many values: `costs` holds it"),
    ("sql-too-costly", "needs long queries: `costs` holds it"),
    ("too-many-threads", "is told of arguments: `ending` holds it"),
    ("unwritable-output", "needs a folder that refuses: `report` holds it"),
    ("unwritable-folder", "is told by `init`, and needs a folder that refuses"),
    ("not-generated", "is told by `generate`"),
    ("wrong-credentials", "needs a store that answers: `stores` holds it"),
    ("wrong-clock", "needs a store that answers"),
    ("unsupported-by-store", "needs a store that cannot be written to: `publishing` holds it"),
    ("sql-too-deep", "needs a long query: `only_reads` holds it"),
    ("invalid-log-filter", "is told of a variable: `discretion` holds it"),
    ("unknown-text-encoding", "is told of a variable: `encoded_text` holds it"),
    ("invalid-store-setting", "is told of a variable: `storage/client.rs` holds it"),
    ("invalid-deadline", "is told with the name of a store: `publishing` holds it"),
    ("no-such-profile", "needs the files of a profile: `storage/profile.rs` holds it"),
    ("profile-without-keys", "needs the files of a profile: `storage/profile.rs` holds it"),
    ("no-days", "is told by `run --from`: `publishing` holds it"),
    ("too-many-days", "is told by `run --from`"),
    ("nobody-to-explain", "is told by `explain`: `explain_segments` holds it"),
    ("no-kept-project", "needs a publication of an older version: `definitions` holds it"),
    ("project-too-large", "needs a file of megabytes"),
    ("not-comparable", "needs a publication of an older Segmill, or without segments: `plan_and_diff` holds it"),
    ("same-day", "is told by `diff`: `plan_and_diff` holds it"),
    ("unknown-form", "is told by `diff`: `plan_and_diff` holds it"),
    ("schema-not-additive", "needs a publication: `plan_and_diff` holds it"),
    ("one-table", "is told by `outputs`: `publishing` holds it"),
    ("no-such-output", "is told by `outputs`: `publishing` holds it"),
    ("ambiguous-table", "is told by `show`: `looks` holds it"),
    ("no-customer-column", "is told by `show`: `looks` holds it"),
    ("no-identity-step", "is told by `show`: `looks` holds it"),
    ("no-latest-day", "is told by `show`: `looks` holds it"),
    ("parquet-on-a-terminal", "needs a terminal"),
    ("newer-publication", "needs a destination that a newer version wrote: `publish/publications.rs` holds it"),
    ("not-a-commit", "needs a destination that somebody else wrote: `publish/publications.rs` holds it"),
    ("another-pipeline", "needs a destination that another pipeline published to: `publishing` holds it"),
    ("unpublished-profile", "needs a publication: `explain_segments` holds it"),
    ("several-customers", "needs extracts with an identifier of two types"),
    ("unfit-map", "needs a map that another version wrote"),
    ("unfit-memory", "needs a memory of segments that another version wrote"),
    ("too-many-former-segments", "needs thousands of segments of earlier days"),
    ("blank-salt", "needs a variable without a value: `identity_cases` holds it"),
    ("blank-identifier", "needs a blank on the command line: `identity_cases` holds it"),
    ("damaged-publication", "needs a publication whose files somebody has changed: `identity_cases` holds it"),
    ("store-without-conditions", "needs a store that ignores conditions: `breaking` holds it"),
];

#[test]
fn imports_go_down() {
    let layer: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(at, names)| names.iter().map(move |name| (*name, at))).collect();
    let layer_of = |file: &str| {
        let module = file.split(['/', '.']).next().unwrap();
        *layer.get(module).unwrap_or_else(|| panic!("the module {module} has no layer"))
    };
    let mut wrong = Vec::new();
    for (file, imported) in Imports::of(&package().join("src")).arrows {
        if file == "lib.rs" {
            continue;
        }
        let up = imported.iter().filter(|(other, _)| layer_of(other) < layer_of(&file));
        wrong.extend(up.map(|(other, names)| format!("{file} uses {names:?} of {other}")));
    }
    assert!(wrong.is_empty(), "imports that go up:\n{}", wrong.join("\n"));
}

/// Runs, cases and explanations execute the same nodes, so that what a node frees, counts and reports is said once.
#[test]
fn nodes_are_computed_in_one_place() {
    for file in rust_files(&package().join("src")) {
        let name = file.strip_prefix(package().join("src")).unwrap().display().to_string();
        // The last plans nodes over tables without rows, and computes none.
        if name.starts_with("execute/") || name.starts_with("engine/") || name == "show/units.rs" {
            continue;
        }
        let text = read(&file);
        for call in ["engine.materialise(", "engine.register_view("] {
            assert!(!text.contains(call), "{name} calls `{call}`: nodes are computed by `execute`");
        }
    }
}

/// Somebody who reads one file of a circle has to read them all.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = Imports::of(&package().join("src"));
    assert!(imports.arrows.values().map(BTreeMap::len).sum::<usize>() > 500, "the imports were not read");
    let circles = imports.circles();
    let told = circles.iter().map(|circle| {
        let steps: String = circle.iter().map(|(file, names)| format!("{file} -> ({names}) ")).collect();
        steps + &format!("-> {}", circle[0].0)
    });
    let told: Vec<String> = told.collect();
    assert!(told.is_empty(), "files import each other, with the names that each takes from the next:\n{}", told.join("\n"));
}

/// The files of a crate, each with its text.
type Files = &'static [(&'static str, &'static str)];

/// Small crates, each with whether files of it import each other in a circle.
const CRATES: [(&str, Files, bool); 9] = [
    (
        "a name and a module of a sibling",
        &[("lib.rs", "mod a; mod b;"), ("a.rs", "use super::b::f; pub fn g() { f() }"), ("b.rs", "use crate::a; pub fn f() { a::g() }")],
        true,
    ),
    (
        "a child and its parent, which uses it",
        &[("lib.rs", "mod a;"), ("a/mod.rs", "mod c; use c::f; pub struct P; fn x() { f() }"), ("a/c.rs", "use super::P; pub fn f() {}")],
        true,
    ),
    (
        "a child and its parent, which only re-exports it",
        &[("lib.rs", "mod a;"), ("a/mod.rs", "mod c; pub use c::f; pub struct P;"), ("a/c.rs", "use super::P; pub fn f() {}")],
        false,
    ),
    (
        "a name that a parent re-exports",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod c; pub use c::f;"),
            ("a/c.rs", "use crate::b::g; pub fn f() { g() }"),
            ("b.rs", "pub fn g() { crate::a::f() }"),
        ],
        true,
    ),
    (
        "a module under another name, in a group",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::{b::{self as other}}; pub fn g() { other::f() }"),
            ("b.rs", "pub fn f() { self::super::a::g() }"),
        ],
        true,
    ),
    (
        "all names of a module",
        &[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::*; pub fn g() { f() }"), ("b.rs", "pub fn f() { crate::a::g() }")],
        true,
    ),
    (
        "a path in an attribute",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "#[serde(deserialize_with = \"crate::b::f\")] pub struct G;"),
            ("b.rs", "use crate::a::G; pub fn f() -> G {}"),
        ],
        true,
    ),
    (
        "tests, comments and texts",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "// crate::b::f\npub fn g() -> &'static str { r#\"crate::b::f {\"# }\n#[cfg(test)]\nmod tests { use crate::b::f; }"),
            ("b.rs", "use crate::a::g; pub fn f() -> char { g(); '{' }"),
        ],
        false,
    ),
    (
        "a circle of three",
        &[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "pub struct A(crate::b::B);"),
            ("b.rs", "pub struct B(crate::c::C);"),
            ("c.rs", "pub struct C(Box<crate::a::A>);"),
        ],
        true,
    ),
];

#[test]
fn circles_are_seen_however_an_import_is_written() {
    for (case, files, is_circle) in CRATES {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let circles = Imports::of(folder.path()).circles();
        assert_eq!(circles.len(), usize::from(is_circle), "{case}: {circles:?}");
    }
}

#[test]
fn files_and_functions_are_short() {
    let source = package().join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let name = file.strip_prefix(&source).unwrap().display().to_string();
        let text = read(&file);
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            wrong.push(format!("{name} has {lines} lines"));
        }
        let long = functions_of(&tokens_of(&text)).into_iter().filter(|(_, lines)| *lines > MAX_FUNCTION_LINES);
        wrong.extend(long.map(|(function, lines)| format!("the function {function} in {name} has {lines} lines")));
    }
    assert!(wrong.is_empty(), "files may have {MAX_FILE_LINES} lines, functions {MAX_FUNCTION_LINES}:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_opens_by_saying_what_it_is() {
    for file in rust_files(&package().join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} has no first sentence", file.display());
    }
}

#[test]
fn models_open_by_saying_what_they_are_and_are_laid_out_alike() {
    let mut models = 0;
    for file in files(&package().join("sql"), "sql") {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = file.display();
        assert!(text.starts_with("-- "), "{shown} has no first sentence");
        assert!(text.ends_with('\n') && !text.contains('\t'), "{shown} ends without a line end or has tabs");
        assert!(text.lines().all(|line| line.len() <= 120 && line == line.trim_end()), "{shown} has a long line or trailing space");
        models += 1;
    }
    assert!(models > 20);
}

/// A kind of mistake that no case shows would go unread.
#[test]
fn every_code_has_a_case() {
    let shown: BTreeSet<String> =
        errors::cases().iter().flat_map(|case| codes_after(&read(&case.join("expected.txt")), &["error[", "warning["])).collect();
    let mut missing = codes_of_source();
    missing.retain(|code| !shown.contains(code) && !ELSEWHERE.iter().any(|(elsewhere, _)| elsewhere == code));
    assert!(missing.is_empty(), "no case under tests/errors shows {missing:?}");
    let needless: Vec<_> = ELSEWHERE.iter().filter(|(code, _)| shown.contains(*code)).collect();
    assert!(needless.is_empty(), "these have a case now: {needless:?}");
}

/// What makes a text of a value of the pipeline file that is no message.
const NO_MESSAGES: [&str; 2] = ["{EARLIER}.{}", "^(?:{})$"];

/// The environment may have given a value of the pipeline file: a message has it as it is typed there, by `shown()`.
#[test]
fn messages_hold_no_values_of_the_pipeline_file() {
    let mut wrong = Vec::new();
    for file in rust_files(&package().join("src")) {
        let text = read(&file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for made in ["format!(", "write!(", "writeln!("] {
            for (at, _) in code.match_indices(made) {
                let arguments = within_brackets(&code[at + made.len()..]);
                let is_message = !NO_MESSAGES.iter().any(|known| arguments.contains(known));
                let values = arguments
                    .match_indices(".value")
                    .filter(|(at, _)| !arguments[at + 6..].starts_with(|c: char| c.is_alphanumeric() || "_(".contains(c)));
                if is_message && values.filter(|(at, _)| !arguments[at + 6..].starts_with(".len()")).count() > 0 {
                    wrong.push(format!("{}: {}", file.display(), arguments.split_whitespace().collect::<Vec<_>>().join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "use `shown()`:\n{}", wrong.join("\n"));
}

/// A text up to the bracket that closes before it.
fn within_brackets(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted && depth == 0 => return &text[..at],
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    text
}

/// Every code that the source gives a problem.
fn codes_of_source() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for file in rust_files(&package().join("src")) {
        let text = read(&file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        codes.extend(codes_after(code, &["Diagnostic::error(", "Diagnostic::warning(", "Error::argument("]));
    }
    assert!(codes.len() > 40, "only {} codes were found", codes.len());
    codes
}

/// The codes that stand right after one of some texts, in quotes or not.
fn codes_after(text: &str, before: &[&str]) -> Vec<String> {
    let mut codes = Vec::new();
    for before in before {
        for (at, _) in text.match_indices(before) {
            let rest = text[at + before.len()..].trim_start().trim_start_matches('"');
            let code: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if !code.is_empty() && rest[code.len()..].starts_with(['"', ']']) {
                codes.push(code);
            }
        }
    }
    codes
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
