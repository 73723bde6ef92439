//! Parts of pipeline files, cases and queries that documents show.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use serde_json::Value;

use super::generated::published;
use super::printed;
use crate::markdown::{Block, documents};
use crate::support::{copy, package, segmill};

/// The blocks of some language in the documents that are not followed to the letter, each with its document.
fn blocks(language: &str) -> Vec<(String, Block)> {
    let documents = documents().into_iter().filter(|document| !["CHANGELOG.md", "docs/tutorial.md"].contains(&document.name.as_str()));
    documents
        .flat_map(|document| {
            document
                .blocks()
                .into_iter()
                .filter(|block| block.language == language)
                .map(|block| (document.name.clone(), block))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Puts a fragment into a document: mappings are merged, everything else is replaced.
fn merge(into: &mut Value, fragment: Value) {
    match (into, fragment) {
        (Value::Object(into), Value::Object(fragment)) => {
            for (key, value) in fragment {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, fragment) => *into = fragment,
    }
}

/// The shipped project without its cases, in a folder.
fn project(folder: &Path) {
    copy(&package().join("pipelines"), &folder.join("pipelines"));
    copy(&package().join("sql"), &folder.join("sql"));
}

/// A text with the defaults of the variables in it, since the text is printed in quotes, where a variable is not replaced.
fn replaced(text: &str) -> String {
    let mut parts = text.split("${");
    let rest = |part: &str| {
        let (variable, rest) = part.split_once('}').unwrap();
        format!("{}{rest}", variable.split_once(":-").map_or("a secret", |(_, default)| default))
    };
    parts.next().into_iter().map(str::to_owned).chain(parts.map(rest)).collect()
}

#[test]
fn fragments_of_the_pipeline_file_fit_the_shipped_project() {
    let folder = tempfile::tempdir().unwrap();
    project(folder.path());
    let shipped = std::fs::read_to_string(package().join("pipelines/customer_segments.yaml")).unwrap();
    let shipped: Value = serde_yaml::from_str(&shipped).unwrap();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (name, block) in blocks("yaml") {
        let fragment: Value = serde_yaml::from_str(&block.text).unwrap_or_else(|error| panic!("{name}: {error}\n{}", block.text));
        // Those of Kubernetes, of cases and of Prometheus are no parts of it.
        if fragment.get("apiVersion").is_some() || fragment.is_array() || fragment.get("groups").is_some() {
            continue;
        }
        let mut whole = shipped.clone();
        merge(&mut whole, fragment);
        std::fs::write(folder.path().join("pipelines/customer_segments.yaml"), replaced(&format!("{whole:#}"))).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_segmill"));
        command.args(["validate"]).current_dir(folder.path()).env("IDENTITY_SALT", "a secret");
        let output = command.output().unwrap();
        if !output.status.success() {
            wrong.push(format!("{name}:\n{}\n{}", block.text, printed(&output)));
        }
        tried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(tried >= 10, "only {tried} were found");
}

#[test]
fn cases_that_documents_show_pass() {
    let (mut cases, mut text) = (0, String::new());
    for (_, block) in blocks("yaml").into_iter().filter(|(_, block)| block.text.starts_with("- ")) {
        text += &block.text;
        cases += 1;
    }
    assert!(cases > 0);
    let folder = tempfile::tempdir().unwrap();
    project(folder.path());
    std::fs::create_dir_all(folder.path().join("tests/models")).unwrap();
    std::fs::write(folder.path().join("tests/models/documents.yaml"), text).unwrap();
    let output = segmill(folder.path(), &["test"]);
    assert!(output.status.success(), "{}", printed(&output));
}

/// Models that a sentence tells to save are part of the shipped project; other queries read what is published, as a warehouse has it.
#[test]
fn queries_can_be_planned() {
    let folder = tempfile::tempdir().unwrap();
    project(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let context = SessionContext::new();
    for (table, schema) in published() {
        let day = Arc::new(Field::new("as_of", DataType::Date32, true));
        let schema = Arc::new(Schema::new(schema.fields().iter().cloned().chain([day]).collect::<Vec<_>>()));
        context.register_table(table, Arc::new(MemTable::try_new(schema, vec![vec![]]).unwrap())).unwrap();
    }
    let (mut models, mut queries) = (0, 0);
    for (name, block) in blocks("sql") {
        if let Some((_, path)) = block.before.split_once("Save this as `") {
            std::fs::write(folder.path().join(path.split('`').next().unwrap()), &block.text).unwrap();
            models += 1;
        } else {
            let planned = runtime.block_on(async { context.sql(&block.text).await });
            assert!(planned.is_ok(), "{name}: {}\n{}", planned.err().unwrap(), block.text);
            queries += 1;
        }
    }
    let output = segmill(folder.path(), &["validate"]);
    assert!(output.status.success(), "{}", printed(&output));
    assert!(models > 0 && queries > 0, "{models} models and {queries} queries");
}
