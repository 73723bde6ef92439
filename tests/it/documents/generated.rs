//! The parts of the reference that follow from the program.

use std::collections::BTreeMap;
use std::fs::File;

use arrow::datatypes::SchemaRef;
use clap::CommandFactory;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use regex::Regex;
use segmill::cli::Arguments;
use serde_json::Value;

use super::{first_run, hold};
use crate::markdown::document;
use crate::support::package;

/// How wide the help is shown.
const HELP_COLUMNS: usize = 100;

/// The tables that the sample publishes, with their columns.
pub fn published() -> BTreeMap<String, SchemaRef> {
    let (folder, _) = first_run();
    let mut tables = BTreeMap::new();
    let runs = std::fs::read_dir(folder.path().join("out/runs")).unwrap();
    for file in runs.flat_map(|run| std::fs::read_dir(run.unwrap().path()).unwrap()) {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
            tables.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), reader.schema().clone());
        }
    }
    tables
}

/// A type as the reference writes it.
fn type_name(data_type: &arrow::datatypes::DataType) -> String {
    use arrow::datatypes::DataType;
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "string".to_owned(),
        DataType::Int64 => "integer".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => format!("{other}"),
    }
}

#[test]
fn every_published_column_is_described() {
    let text = document("docs/reference/tables.md").text;
    let row = Regex::new(r"(?m)^\| `(\w+)` \| ([^|]+) \| ([^|\n]+)\|?$").unwrap();
    let mut described = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap();
        let columns: Vec<_> = row.captures_iter(body).map(|found| (found[1].to_owned(), found[2].trim().to_owned())).collect();
        described.insert(heading.trim().trim_matches('`').to_owned(), columns);
    }
    for (table, schema) in published() {
        let found: Vec<_> = schema.fields().iter().map(|field| (field.name().clone(), type_name(field.data_type()))).collect();
        let listed = described.remove(&table).unwrap_or_default();
        let missing: Vec<_> = found.iter().filter(|column| !listed.contains(column)).collect();
        let gone: Vec<_> = listed.iter().filter(|column| !found.contains(column)).collect();
        assert!(missing.is_empty() && gone.is_empty(), "{table}: not described {missing:#?}; described and not there {gone:#?}");
        assert_eq!(listed, found, "the columns of {table} are described in their order");
    }
    assert!(described.values().all(Vec::is_empty), "no such tables: {described:?}");
}

#[test]
fn the_reference_of_the_command_line_is_its_help() {
    let mut command = Arguments::command().term_width(HELP_COLUMNS);
    command.build();
    let mut text = "\
# Command line
This page is what `segmill --help` and `segmill COMMAND --help` print. `SEGMILL_BLESS=1 cargo test --test it documents` writes it.
The [exit codes](exit-codes.md) have a page of their own.

"
    .to_owned();
    text += &section("segmill", &mut command);
    for name in command.get_subcommands().map(|it| it.get_name().to_owned()).filter(|name| name != "help").collect::<Vec<_>>() {
        text += "\n";
        text += &section(&format!("segmill {name}"), command.find_subcommand_mut(&name).unwrap());
    }
    hold("docs/reference/command-line.md", &text);
}

/// A command and its help.
fn section(name: &str, command: &mut clap::Command) -> String {
    let help = command.clone().term_width(HELP_COLUMNS).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("## {name}\n```text\n{}\n```\n", lines.join("\n").trim_end())
}

#[test]
fn the_reference_of_the_pipeline_file_is_its_schema() {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(package().join("pipelines/pipeline.schema.json")).unwrap()).unwrap();
    let mut text = "\
# Pipeline file
This page lists every key of the pipeline file. It is written from [the JSON Schema](../../pipelines/pipeline.schema.json), which
editors use to complete and check the file: `SEGMILL_BLESS=1 cargo test --test it documents` writes it.
The [tutorial](../tutorial.md) and the [guides](../README.md) explain how the keys work together.

A value may hold `${NAME}` or `${NAME:-default}`, which is replaced by an environment variable after the file has been parsed.
In quotes it is not replaced: within single quotes it is text, and within double quotes it is refused.

"
    .to_owned();
    let mut queue = vec![("Pipeline".to_owned(), schema.clone())];
    let mut at = 0;
    while at < queue.len() {
        let (name, definition) = queue[at].clone();
        text += &described(&name, &definition);
        for referred in references(&definition) {
            if !queue.iter().any(|(known, _)| *known == referred) {
                queue.push((referred.clone(), schema["$defs"][&referred].clone()));
            }
        }
        at += 1;
    }
    text.truncate(text.trim_end().len());
    hold("docs/reference/pipeline-file.md", &format!("{text}\n"));
}

/// The names of the definitions that a schema refers to, in order.
fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(keys) => keys
            .iter()
            .filter(|(key, _)| *key != "$defs")
            .flat_map(|(key, value)| match value.as_str() {
                Some(target) if key == "$ref" => vec![target.trim_start_matches("#/$defs/").to_owned()],
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Text on one line of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The section of a definition.
fn described(name: &str, definition: &Value) -> String {
    let mut text = format!("## {name}\n");
    for paragraph in definition["description"].as_str().unwrap_or_default().split("\n\n") {
        text += &format!("{}\n\n", paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let mut long_defaults = String::new();
    if let Some(properties) = definition["properties"].as_object() {
        let required: Vec<&str> = definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        text += "| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
        for (key, property) in properties {
            let default = match property.get("default") {
                _ if required.contains(&key.as_str()) => "required".to_owned(),
                None | Some(Value::Null) => String::new(),
                Some(Value::Array(values)) if values.len() > 3 => {
                    let values: Vec<String> = values.iter().map(|value| format!("`{}`", cell(value.as_str().unwrap()))).collect();
                    long_defaults += &format!("The default of `{key}` is {}.\n\n", values.join(", "));
                    "below".to_owned()
                }
                Some(value) => format!("`{value}`"),
            };
            let meaning = cell(property["description"].as_str().unwrap_or_default());
            text += &format!("| `{key}` | {} | {default} | {meaning} |\n", value_of(property));
        }
        text += "\n";
        text += &long_defaults;
    }
    for choice in definition["oneOf"].as_array().into_iter().flatten() {
        text += &format!("- `{}`: {}\n", choice["const"].as_str().unwrap(), cell(choice["description"].as_str().unwrap()));
    }
    if definition.get("properties").is_none() && definition.get("oneOf").is_none() {
        text += &format!("Value: {}\n", value_of(definition));
    }
    text.trim_end_matches('\n').to_owned() + "\n\n"
}

/// What may stand as a value, in words.
fn value_of(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.trim_start_matches("#/$defs/");
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
        let names: Vec<String> = choices.iter().filter(|choice| choice["type"] != "null").map(value_of).collect();
        return names.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| format!("`{}`", value.as_str().unwrap())).collect::<Vec<_>>().join(", ");
    }
    if schema["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^list")) {
        return "`list(type)`".to_owned();
    }
    if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| pattern.starts_with("^decimal")) {
        assert!(pattern.contains('('));
        return "`decimal(precision,scale)`".to_owned();
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => vec![],
    };
    match types.as_slice() {
        ["array"] => format!("list of {}", value_of(&schema["items"])),
        ["object"] if schema["additionalProperties"].is_object() => format!("name: {}", value_of(&schema["additionalProperties"])),
        types => types.join(", "),
    }
}
