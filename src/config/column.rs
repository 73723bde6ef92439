//! Columns of an extract and their types, as the pipeline file says them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, TimeUnit};
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::spanned::{Literal, Spanned, Text};
use crate::diagnostic::nearest;

/// The types that have no parameters.
const PLAIN_TYPES: [&str; 6] = ["string", "integer", "date", "timestamp", "boolean", "double"];

/// The `format` of a column's type: what JSON Schema cannot say of it, [`ColumnType`] does.
pub const COLUMN_TYPE: &str = "column-type";

/// A column of an extract. A type alone is short for a column with a type and no other keys.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// What the column means, if its name does not say it.
    #[serde(default)]
    pub description: Option<String>,
    /// The column's names in the files, if they differ from its name here. The first one that a file has is used.
    #[serde(default, deserialize_with = "one_or_several")]
    #[schemars(with = "Names")]
    pub from: Vec<Text>,
    /// The part of a file's path that is the value, instead of a column of the file: a folder such as `region=eu`, or a named part of the
    /// location. It is the same for all rows of a file. A column of the same name in the file is not read.
    #[serde(default)]
    pub path: Option<Spanned<String>>,
    /// Whether a row is rejected if it has no value in this column, or one that breaks the contract.
    #[serde(default)]
    pub required: bool,
    /// What happens if a value breaks the contract: it becomes null and is counted (`null`), or its row is rejected (`reject`). By default
    /// the row is rejected if the column is `required`, part of the key or the event time; otherwise the value becomes null.
    #[serde(default)]
    pub on_error: Option<Spanned<OnError>>,
    /// Whether there may be files without this column.
    #[serde(default)]
    pub optional: bool,
    /// The only values that are accepted. By default all values are.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub accepted: Vec<String>,
    /// Words of the sender, each with the value that it stands for, such as `{unsub: unsubscribe}` or `{ja: true}`.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Literal>")]
    pub values: IndexMap<String, Spanned<String>>,
    /// How extracts write the value, if not in ISO 8601 or like `1234.56`. For a date or timestamp: a pattern such as `%d/%m/%Y %H:%M`, or
    /// the unit in which it counts from 1970 (`epoch_s`, `epoch_ms` or `epoch_us`). For a number: how 1234.56 is written, such as `1.234,56`.
    #[serde(default)]
    pub format: Option<Spanned<String>>,
    /// The smallest value that is accepted. By default, a date or timestamp must be in the years 1900 to 2200, or be 9999-12-31.
    #[serde(default)]
    #[schemars(with = "Option<Literal>")]
    pub min: Option<Spanned<String>>,
    /// The largest value that is accepted.
    #[serde(default)]
    #[schemars(with = "Option<Literal>")]
    pub max: Option<Spanned<String>>,
    /// A regular expression that the whole value must match.
    #[serde(default)]
    pub pattern: Option<Spanned<String>>,
    /// Whether the values are personal data, which never reach a message, log or record.
    #[serde(default)]
    pub personal: bool,
    /// Says that the column holds permissions to contact somebody. No opt-out is lost: if rows have the same key and time, the no wins, and a
    /// row that may be an opt-out and cannot be kept refuses the run. So does a damaged file.
    #[serde(default)]
    pub consent: Option<Consent>,
}

/// What happens if a value breaks the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The value becomes null, and is counted.
    Null,
    /// The row is rejected.
    Reject,
}

/// Which values of a column mean no.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The values that mean no. A value that is missing or cannot be read may also mean no.
    #[schemars(with = "Vec<Literal>")]
    pub no: Vec<Spanned<String>>,
}

/// The type of a column or parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// An exact number: so many digits in all, so many after the point.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// A day.
    Date,
    /// A moment, to the microsecond. Without an offset it is local time in the pipeline's zone.
    Timestamp,
    /// True or false.
    Boolean,
    /// A binary floating-point number. Sums of these depend on their order: prefer decimals.
    Double,
}

impl ColumnType {
    /// The Arrow type that the engine holds it as; moments carry the pipeline's time zone.
    pub fn arrow(self, time_zone: &str) -> DataType {
        match self {
            ColumnType::String => DataType::Utf8,
            ColumnType::Integer => DataType::Int64,
            ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Double => DataType::Float64,
        }
    }
}

impl ColumnType {
    /// What to write instead of a text that is no type.
    pub(super) fn hint(wrong: &str) -> String {
        let meant = match wrong.to_lowercase().as_str() {
            "text" | "str" | "varchar" | "char" => Some("string"),
            "int" | "int64" | "bigint" | "long" => Some("integer"),
            "datetime" | "timestamptz" | "instant" => Some("timestamp"),
            "bool" => Some("boolean"),
            "float" | "float64" | "real" => Some("double"),
            other if ["decimal", "dec", "numeric", "number"].iter().any(|name| other.starts_with(name)) => {
                return "write `decimal(precision,scale)`: 1 to 38 digits in all, and how many of them after the point".to_owned();
            }
            _ => None,
        };
        match meant.or_else(|| nearest(wrong, PLAIN_TYPES)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "use string, integer, decimal(precision,scale), date, timestamp, boolean or double".to_owned(),
        }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "string" => Ok(ColumnType::String),
            "integer" => Ok(ColumnType::Integer),
            "date" => Ok(ColumnType::Date),
            "timestamp" => Ok(ColumnType::Timestamp),
            "boolean" => Ok(ColumnType::Boolean),
            "double" => Ok(ColumnType::Double),
            other => parse_decimal(other).ok_or_else(|| format!("`{other}` is not a type")),
        }
    }
}

fn parse_decimal(text: &str) -> Option<ColumnType> {
    let inner = text.strip_prefix("decimal(")?.strip_suffix(')')?;
    let (precision, scale) = inner.split_once(',')?;
    let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<i8>().ok()?);
    let fits = (1..=38).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(ColumnType::Decimal { precision, scale })
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::String => f.write_str("string"),
            ColumnType::Integer => f.write_str("integer"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Boolean => f.write_str("boolean"),
            ColumnType::Double => f.write_str("double"),
        }
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A column as the pipeline file writes it: a type alone, or all that there is to say of it.
struct ShortOrLong(Column);

/// One name or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// Reads columns, each short or long.
pub(super) fn columns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, Column>, D::Error> {
    let columns = IndexMap::<String, ShortOrLong>::deserialize(deserializer)?;
    Ok(columns.into_iter().map(|(name, ShortOrLong(column))| (name, column)).collect())
}

/// The schema of what [`columns`] reads.
pub(super) fn columns_schema(generator: &mut SchemaGenerator) -> Schema {
    IndexMap::<String, ShortOrLong>::json_schema(generator)
}

fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Text>, D::Error> {
    let names = match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::Several(names) => names,
    };
    Ok(names.into_iter().map(Text::of).collect())
}

impl<'de> Deserialize<'de> for ShortOrLong {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ShortOrLong;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type, such as `string`, or a column, such as `{type: string, required: true}`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ShortOrLong, E> {
                text.parse().map(|column_type| ShortOrLong(Column::of_type(column_type))).map_err(de::Error::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ShortOrLong, A::Error> {
                Column::deserialize(de::value::MapAccessDeserializer::new(map)).map(ShortOrLong)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for ShortOrLong {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ShortOrLong".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<ColumnType>(), generator.subschema_for::<Column>()] })
    }
}

impl JsonSchema for ColumnType {
    fn schema_name() -> Cow<'static, str> {
        "ColumnType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The type of a column or parameter. A decimal says how many digits it has in all and how many after the point.",
            "type": "string",
            "format": COLUMN_TYPE,
            "anyOf": [
                { "enum": PLAIN_TYPES },
                { "pattern": r"^decimal\( *([1-9]|[12][0-9]|3[0-8]) *, *[0-9]+ *\)$" },
            ],
        })
    }
}

impl Column {
    /// A column of which nothing but the type is said.
    fn of_type(column_type: ColumnType) -> Self {
        Column {
            column_type,
            description: None,
            from: Vec::new(),
            path: None,
            required: false,
            on_error: None,
            optional: false,
            accepted: Vec::new(),
            values: IndexMap::new(),
            format: None,
            min: None,
            max: None,
            pattern: None,
            personal: false,
            consent: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_shown_alike() {
        for text in ["string", "integer", "decimal(18,3)", "date", "timestamp", "boolean", "double"] {
            assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), text);
        }
        for text in ["decimal", "decimal(0,0)", "decimal(39,2)", "decimal(4,5)", "int", "String"] {
            assert!(text.parse::<ColumnType>().unwrap_err().contains("is not a type"), "{text}");
        }
    }
}
