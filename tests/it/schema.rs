use serde_json::Value;

use crate::support::{package, segmill};

/// The schemas that are kept, each with the command that writes it and the files that name it.
const KEPT: [(&str, &[&str], &str); 2] = [
    ("pipelines/pipeline.schema.json", &["schema"], "pipelines"),
    ("tests/models/cases.schema.json", &["schema", "--cases"], "tests/models"),
];

#[test]
fn the_kept_schemas_are_those_of_the_types() {
    for (file, command, _) in KEPT {
        let output = segmill(package(), command);
        let kept = std::fs::read_to_string(package().join(file)).unwrap_or_default();
        let fresh = String::from_utf8(output.stdout).unwrap();
        assert!(kept == fresh, "{file} is stale: `cargo run -- {} > {file}` refreshes it", command.join(" "));
        let schema: Value = serde_json::from_str(&fresh).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}

/// Editors complete and check by the schema that a file names.
#[test]
fn every_shipped_file_names_its_schema() {
    for (file, _, folder) in KEPT {
        let name = file.rsplit('/').next().unwrap();
        let mut named = 0;
        for entry in std::fs::read_dir(package().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let line = format!("# yaml-language-server: $schema={name}");
                assert!(text.starts_with(&line), "{} does not begin with `{line}`", path.display());
                named += 1;
            }
        }
        assert!(named > 0, "{folder}");
    }
}

/// A key that is described nowhere is a key that nobody finds.
#[test]
fn every_key_is_described() {
    for (file, ..) in KEPT {
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(package().join(file)).unwrap()).unwrap();
        let definitions = schema["$defs"].as_object().unwrap();
        for (name, definition) in definitions.iter().chain([(&"the file".to_owned(), &schema)]) {
            for (key, property) in definition["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "`{key}` of {name} in {file}");
            }
        }
    }
}
