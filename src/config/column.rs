//! Columns of an extract and their types, as the pipeline file says them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::names::{Names, one_or_several};
use super::parts::Parts;
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
    /// The type of a value, or `list(type)` for lists of such values.
    #[serde(rename = "type")]
    pub column_type: DeclaredType,
    /// What the column means, if its name does not say it.
    #[serde(default)]
    pub description: Option<String>,
    /// The column's names in the files, if they differ from its name here. The first one that a file has is used. In JSON and Parquet a name
    /// may be a path into nested values, such as `device.category`, `items[0].sku` or `params[key=page].value`; of several paths the first
    /// that leads to a value counts. Under `each`, `items[#]` is the place of the element, from 0.
    #[serde(default, deserialize_with = "one_or_several")]
    #[schemars(with = "Names")]
    pub from: Vec<Text>,
    /// Where the column holds JSON texts: the path of the value within such a text, such as `a.b[0]`, or `$` for the whole.
    #[serde(default)]
    pub json: Option<Spanned<String>>,
    /// The column's place in CSV files, from 1, instead of its name: where the header has no cell for it, has the name twice, or is missing.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub position: Option<Spanned<u64>>,
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
    /// Values that extracts have in this column where there is none, instead of the source's or the pipeline's `null_values`. In a column of
    /// text they are null exactly as they are written here; in others in any case, and with or without space around them.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Literal>>")]
    pub null_values: Option<Vec<Spanned<String>>>,
    /// Whether space around the texts of this column is left off, and a text of nothing else is null. By default as the source says.
    #[serde(default)]
    pub trim: Option<Spanned<bool>>,
    /// How extracts write the value, if not in ISO 8601 or like `1234.56`. For a date or timestamp: a pattern such as `%d/%m/%Y %H:%M`; the
    /// unit in which it counts from 1970 (`epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` or `epoch_days`); or `serial_1900` or `serial_1904`
    /// for the days of a spreadsheet. For a number: how 1234.56 is written, such as `1.234,56`, `€ 1.234,56`, `(1,234.56)` where negative
    /// numbers are in parentheses, `1234.56-` where their sign comes last, or `1234.56%` for percent.
    #[serde(default)]
    pub format: Option<Spanned<String>>,
    /// The columns of the files that make up the timestamp, instead of `from`: its date, and its time of day or its zone. The format is that
    /// of the date and the time of day with one space between them.
    #[serde(default)]
    pub parts: Option<Spanned<Parts>>,
    /// The time zone of times without an offset in this column, if it is not the pipeline's: an IANA name, or an offset such as `+01:00`.
    #[serde(default)]
    pub zone: Option<Spanned<String>>,
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

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The type of a column: that of a value, or `list(type)` for lists of such values.",
            "type": "string",
            "format": DECLARED_TYPE,
            "anyOf": [
                { "enum": PLAIN_TYPES },
                { "pattern": r"^decimal\( *([1-9]|[12][0-9]|3[0-8]) *, *[0-9]+ *\)$" },
                { "pattern": r"^list\( *(string|integer|date|timestamp|boolean|double|decimal\(.+\)) *\)$" },
            ],
        })
    }
}

/// A column as the pipeline file writes it: a type alone, or all that there is to say of it.
struct ShortOrLong(Column);

/// Reads columns, each short or long.
pub(super) fn columns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, Column>, D::Error> {
    let columns = IndexMap::<String, ShortOrLong>::deserialize(deserializer)?;
    Ok(columns.into_iter().map(|(name, ShortOrLong(column))| (name, column)).collect())
}

/// The schema of what [`columns`] reads.
pub(super) fn columns_schema(generator: &mut SchemaGenerator) -> Schema {
    IndexMap::<String, ShortOrLong>::json_schema(generator)
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
        json_schema!({ "anyOf": [generator.subschema_for::<DeclaredType>(), generator.subschema_for::<Column>()] })
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
    /// The column of the files that holds a part of this one.
    pub fn part(&self, from: &[Text]) -> Self {
        Column { from: from.to_vec(), optional: self.optional, personal: self.personal, ..Column::of_type(ColumnType::String.into()) }
    }

    /// Its names in the files as they are written: those of its date, if it has parts.
    pub fn read_from(&self) -> &[Text] {
        self.parts.as_ref().map_or(&self.from, |parts| &parts.value.date)
    }

    /// A column of which nothing but the type is said.
    fn of_type(column_type: DeclaredType) -> Self {
        Column {
            column_type,
            description: None,
            from: Vec::new(),
            json: None,
            position: None,
            path: None,
            required: false,
            on_error: None,
            optional: false,
            accepted: Vec::new(),
            values: IndexMap::new(),
            null_values: None,
            trim: None,
            format: None,
            parts: None,
            zone: None,
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

    #[test]
    fn lists_of_types_are_read_and_shown_alike() {
        for text in ["string", "decimal(18,3)", "list(string)", "list(decimal(18,3))", "list(timestamp)"] {
            assert_eq!(text.parse::<DeclaredType>().unwrap().to_string(), text);
        }
        for text in ["list", "list()", "list(list(string))", "list(text)", "lists(string)"] {
            assert!(text.parse::<DeclaredType>().unwrap_err().contains(text), "{text}");
        }
    }
}
