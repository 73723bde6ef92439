mod generated;
mod snippets;
mod tutorial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;
use std::sync::OnceLock;

use clap::{CommandFactory, Parser};
use regex::Regex;
use segmill::cli::Arguments;
use tempfile::TempDir;

use crate::markdown::{Document, document, documents};
use crate::support::{SAMPLE_AS_OF, package, segmill};
use crate::tidy::LAYERS;

/// The sample run that the README shows, with all that it printed.
fn first_run() -> &'static (TempDir, String) {
    static RUN: OnceLock<(TempDir, String)> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("out");
        let output = segmill(package(), &["run", "--as-of", SAMPLE_AS_OF, "--destination", destination.to_str().unwrap()]);
        let printed = printed(&output).replace(destination.to_str().unwrap(), "out");
        assert!(output.status.success(), "{printed}");
        (folder, printed)
    })
}

/// All that a command printed, results first.
fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether the documents are to be written anew where what they show is stale.
fn is_blessing() -> bool {
    std::env::var_os("SEGMILL_BLESS").is_some()
}

/// Holds a document to a text, or writes it.
fn hold(name: &str, fresh: &str) {
    let path = package().join(name);
    if std::fs::read_to_string(&path).unwrap_or_default() == fresh {
        return;
    }
    assert!(is_blessing(), "{name} is stale: `SEGMILL_BLESS=1 cargo test --test it documents` writes it anew");
    std::fs::write(path, fresh).unwrap();
}

#[test]
fn the_readme_fits_two_screens_and_shows_the_first_run_as_it_is() {
    let mut readme = document("README.md");
    let longest = readme.text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(readme.text.lines().count() <= 110 && longest <= 120, "{} lines, the longest of {longest}", readme.text.lines().count());
    let block = readme.blocks().into_iter().find(|block| block.text.starts_with("customer_segments as of")).unwrap();
    let (_, printed) = first_run();
    if let Err(fresh) = tutorial::shows(&block.text, printed) {
        readme.text.replace_range(block.range, &fresh);
        hold("README.md", &readme.text);
    }
}

/// The guide to debugging is followed on what the README's run published.
#[test]
fn the_guide_to_debugging_shows_what_is_printed() {
    let mut guide = document("docs/guides/debugging.md");
    let (folder, _) = first_run();
    let destination = folder.path().join("out");
    let blocks: Vec<_> = guide.blocks().into_iter().filter(|block| block.language == "console").collect();
    assert!(blocks.len() >= 5);
    // From the last one on, so that the places of the others stay.
    for block in blocks.into_iter().rev() {
        let (command, _) = block.text.split_once('\n').unwrap();
        let mut arguments = words(command.strip_prefix("$ segmill ").unwrap());
        arguments.extend(["--destination".to_owned(), destination.to_str().unwrap().to_owned()]);
        let output = segmill(package(), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let printed = printed(&output).replace(destination.to_str().unwrap(), "out");
        assert!(output.status.success(), "{command}\n{printed}");
        if let Err(fresh) = tutorial::shows(&block.text, &format!("{command}\n{printed}")) {
            guide.text.replace_range(block.range, &fresh);
        }
    }
    hold(&guide.name.clone(), &guide.text);
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        for link in document.links().iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = Path::new(&document.name).parent().unwrap().join(path);
            let found = if path.is_empty() { package().join(&document.name) } else { package().join(&target) };
            let leads = found.exists()
                && (anchor.is_empty() || {
                    let name = found.strip_prefix(package()).unwrap().to_str().unwrap();
                    crate::markdown::document(name).anchors().iter().any(|known| known == anchor)
                });
            if !leads {
                wrong.push(format!("{}: {link}", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every document can be found from the index of its folder.
#[test]
fn the_index_names_every_document() {
    let index: BTreeSet<String> = document("docs/README.md").links().into_iter().collect();
    for found in documents().iter().filter_map(|document| document.name.strip_prefix("docs/")).filter(|name| *name != "README.md") {
        assert!(index.contains(found), "docs/README.md does not name {found}");
    }
}

/// A file or folder that a document names exists, as a path in the project or below the sources.
#[test]
fn paths_in_sentences_exist() {
    let path = Regex::new(r"^(?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?$|^[a-z_]+\.rs$").unwrap();
    let roots = ["", "src", "tests/it"].map(|root| package().join(root));
    let own = ["src/", "tests/", "docs/", "bench/", "fuzz/", "sql/", "engine/", "ingest/", "identity/", "config/", "storage/", "publish/"];
    let mut wrong = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/promises.md", "docs/README.md"] {
        for span in document(name).spans().into_iter().filter(|span| path.is_match(span)) {
            let is_own = own.iter().any(|folder| span.starts_with(folder)) || span.ends_with(".rs");
            if is_own && !roots.iter().any(|root| root.join(&span).exists()) {
                wrong.push(format!("{name}: {span}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The architecture shows the layers that the imports keep.
#[test]
fn the_layers_are_those_of_the_code() {
    let blocks = document("ARCHITECTURE.md").blocks();
    let shown = blocks.iter().find(|block| block.text.starts_with("cli ")).expect("the layers are shown").text.clone();
    let lines: Vec<&str> = shown.lines().collect();
    let modules =
        |line: &str| line.split("  ").next().unwrap_or_default().split(", ").map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let shown: Vec<Vec<String>> = lines.iter().map(|line| modules(line)).collect();
    assert_eq!(shown, LAYERS.map(|layer| layer.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
}

/// The command lines of a block: what stands in a line of its own, or after a prompt.
fn command_lines(text: &str) -> Vec<String> {
    let prefix = Regex::new(r"^(?:\$ )?(?:[A-Z_]+=\S* )*(?:segmill|cargo run (?:--locked |-q )*--)(?: |$)").unwrap();
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().flat_map(|line| line.split(" && ")).map(str::trim);
    lines
        .filter_map(|line| {
            let found = prefix.find(line)?;
            let rest = line[found.end()..].split(" # ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
            Some(rest.split(" | ").next().unwrap_or_default().trim().to_owned())
        })
        .collect()
}

/// The words of a command line; quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let word = Regex::new(r#""([^"]*)"|'([^']*)'|(\S+)"#).unwrap();
    word.captures_iter(line).map(|found| found.iter().skip(1).flatten().next().unwrap().as_str().to_owned()).collect()
}

#[test]
fn command_lines_are_ones_that_can_be_typed() {
    let mut tried = 0;
    for document in documents().iter().filter(|document| document.name != "CHANGELOG.md") {
        for block in document.blocks().iter().filter(|block| ["sh", "console"].contains(&block.language.as_str())) {
            for line in command_lines(&block.text) {
                let parsed = Arguments::try_parse_from([&["segmill".to_owned()], words(&line).as_slice()].concat());
                if let Err(error) = parsed {
                    assert!(!error.use_stderr(), "{}: segmill {line}\n{error}", document.name);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 15, "only {tried} were found");
}

/// The long options of every command.
fn options() -> BTreeMap<String, BTreeSet<String>> {
    let mut command = Arguments::command();
    command.build();
    let of = |command: &clap::Command| {
        let shown = command.get_arguments().filter(|option| !option.is_hide_set());
        shown.filter_map(|option| option.get_long().map(|long| format!("--{long}"))).collect()
    };
    command.get_subcommands().map(|command| (command.get_name().to_owned(), of(command))).collect()
}

/// An option that is named in a sentence exists, and belongs to the command that it is named with.
#[test]
fn options_and_commands_in_sentences_exist() {
    let options = options();
    let all: BTreeSet<&String> = options.values().flatten().collect();
    let option = Regex::new(r"--[a-z][a-z-]*").unwrap();
    let mut wrong = Vec::new();
    let elsewhere = ["CHANGELOG.md", "CONTRIBUTING.md"];
    for document in documents().iter().filter(|document| !elsewhere.contains(&document.name.as_str())) {
        for span in document.spans() {
            let command = span.strip_prefix("segmill ").map(|rest| rest.split(' ').next().unwrap_or_default().to_owned());
            let is_option = span.starts_with("--") && !span.starts_with("--long=");
            let known = match &command {
                Some(command) if options.contains_key(command) => options[command].iter().collect(),
                Some(command) if command.starts_with(|c: char| c.is_ascii_lowercase()) => BTreeSet::new(),
                _ if is_option => all.clone(),
                _ => continue,
            };
            let unknown = option.find_iter(&span).any(|found| !known.iter().any(|known| *known == found.as_str()));
            if unknown || known.is_empty() {
                wrong.push(format!("{}: {span}", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The exit codes that a document lists are those that `--help` lists.
#[test]
fn exit_codes_are_those_of_the_help() {
    let help = Arguments::command().get_after_help().unwrap().to_string();
    let code = Regex::new(r"(?m)(?:^ +|; )(\d+) ").unwrap();
    let of_help: BTreeSet<String> = code.captures_iter(&help).map(|found| found[1].to_owned()).collect();
    let row = Regex::new(r"(?m)^\| (\d+) \|").unwrap();
    let listed: BTreeSet<String> =
        row.captures_iter(&document("docs/reference/exit-codes.md").text).map(|found| found[1].to_owned()).collect();
    assert_eq!(listed, of_help);
}

/// The terms of the glossary.
fn terms(glossary: &Document) -> Vec<String> {
    let term = Regex::new(r"(?m)^- \*\*([^*]+)\*\*").unwrap();
    term.captures_iter(&glossary.text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_glossary_explains_a_term_once() {
    let glossary = document("docs/glossary.md");
    let terms = terms(&glossary);
    assert!(terms.len() > 40, "only {} terms were found", terms.len());
    let distinct: BTreeSet<String> = terms.iter().map(|term| term.to_lowercase()).collect();
    assert_eq!(distinct.len(), terms.len(), "a term comes twice");
    for section in glossary.text.split("\n## ").skip(1) {
        let found = self::terms(&Document { name: String::new(), text: section.to_owned() });
        let mut sorted = found.clone();
        sorted.sort_by_key(|term| term.to_lowercase());
        assert_eq!(found, sorted, "the terms of a section are in order of the alphabet");
    }
}

/// Words that something had before the glossary gave it a name.
const OLD_WORDS: [&str; 14] = [
    "null_words",
    "stands_alone",
    "most_per_customer",
    "most_holders",
    "passes_on",
    "--profile",
    "address_tenures",
    "former_holders",
    "web_setups",
    "_refusals",
    "features.refusals",
    "verdict",
    "edges_pruned",
    "pruned_edges",
];

#[test]
fn documents_use_the_words_of_the_glossary() {
    let mut wrong = Vec::new();
    for document in documents().iter().filter(|document| document.name != "CHANGELOG.md") {
        for (number, line) in document.text.lines().enumerate() {
            let line = line.to_lowercase();
            wrong.extend(
                OLD_WORDS.iter().filter(|word| line.contains(**word)).map(|word| format!("{}:{}: {word}", document.name, number + 1)),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
