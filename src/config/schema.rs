//! The JSON Schema of what is written in YAML, from the types and their documentation: what editors complete and check by.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of a type.
pub fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a mapping's keys: the names that a type can have.
pub(super) fn names_of<T: JsonSchema>() -> Value {
    let schema = schema_of::<T>();
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let names: Vec<&Value> = alternatives.filter_map(|name| name.get("const")).collect();
    serde_json::json!({ "enum": names })
}

/// A schema of the names that tables may have: what SQL reads without quotes.
pub(super) fn table_names() -> Value {
    serde_json::json!({ "pattern": "^[a-z_][a-z0-9_]*$" })
}

/// Whether SQL reads a table of this name without quotes; says the same as [`table_names`].
pub(super) fn names_a_table(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && name.chars().all(plain)
}
