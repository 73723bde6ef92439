//! The type that a contract declares for a column: that of one value, or of the elements of a list.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::column::ColumnType;

/// The `format` of a declared type: what JSON Schema cannot say of it, [`DeclaredType`] does.
pub const DECLARED_TYPE: &str = "declared-type";

/// A type, or a list of that type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredType {
    /// The type of the value, or of each element.
    pub item: ColumnType,
    /// Whether a value is a list.
    pub is_list: bool,
}

impl DeclaredType {
    /// The Arrow type that the engine holds it as.
    pub fn arrow(self, time_zone: &str) -> DataType {
        let item = self.item.arrow(time_zone);
        if self.is_list { DataType::List(Arc::new(Field::new_list_field(item, true))) } else { item }
    }
}

/// Where it does not matter whether values are single, it is the type of each.
impl Deref for DeclaredType {
    type Target = ColumnType;

    fn deref(&self) -> &ColumnType {
        &self.item
    }
}

impl From<ColumnType> for DeclaredType {
    fn from(item: ColumnType) -> Self {
        DeclaredType { item, is_list: false }
    }
}

impl FromStr for DeclaredType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("list(").and_then(|inner| inner.strip_suffix(')')) {
            Some(item) => {
                item.trim().parse().map(|item| DeclaredType { item, is_list: true }).map_err(|_| format!("`{text}` is not a type"))
            }
            None => text.parse::<ColumnType>().map(DeclaredType::from),
        }
    }
}

impl fmt::Display for DeclaredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_list { write!(f, "list({})", self.item) } else { self.item.fmt(f) }
    }
}

impl<'de> Deserialize<'de> for DeclaredType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for DeclaredType {
    fn schema_name() -> Cow<'static, str> {
        "DeclaredType".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The type of a column: that of a value, or `list(type)` for lists of such values.",
            "type": "string",
            "format": DECLARED_TYPE,
            "anyOf": [generator.subschema_for::<ColumnType>(), { "pattern": r"^list\(.+\)$" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_shown_alike() {
        for text in ["string", "decimal(18,3)", "list(string)", "list(decimal(18,3))", "list(timestamp)"] {
            assert_eq!(text.parse::<DeclaredType>().unwrap().to_string(), text);
        }
        for text in ["list", "list()", "list(list(string))", "list(text)", "lists(string)"] {
            assert!(text.parse::<DeclaredType>().unwrap_err().contains(text), "{text}");
        }
    }
}
