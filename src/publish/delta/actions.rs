//! The actions of a Delta log, as far as Segmill writes and reads them: one JSON object to a line, which has one of these keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line of the log. What has none of these keys is of no account for readers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What programs must be able to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The columns of the table.
    #[serde(default, rename = "metaData", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// How far an application has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<Transaction>,
    /// A file that goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<Remove>,
    /// A file that comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Add>,
}

/// What programs must be able to do to read the table and to write to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Protocol {
    /// The version that readers must know; 3 and more have features by name.
    pub min_reader_version: u32,
    /// The version that writers must know; 7 and more have features by name.
    pub min_writer_version: u32,
    /// What readers must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_features: Option<Vec<String>>,
    /// What writers must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_features: Option<Vec<String>>,
}

/// The columns of a table, and what is set for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The table's id.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How its files are written.
    pub format: Format,
    /// Its columns, as a JSON text.
    pub schema_string: String,
    /// The columns that the paths of its files give.
    pub partition_columns: Vec<String>,
    /// What is set for it.
    #[serde(default)]
    pub configuration: BTreeMap<String, Option<String>>,
    /// When it was made, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

/// How the files of a table are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// The format: `parquet`.
    pub provider: String,
    /// What is set for it.
    #[serde(default)]
    pub options: BTreeMap<String, Option<String>>,
}

/// How far an application has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// The application.
    pub app_id: String,
    /// Its own count.
    pub version: i64,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

/// A file that a table has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Add {
    /// Its path from the table's folder, with the escapes of a URL.
    pub path: String,
    /// The values of the partition columns.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Its bytes.
    pub size: i64,
    /// When it was written, in milliseconds since 1970.
    pub modification_time: i64,
    /// Whether the rows of the table change by it.
    pub data_change: bool,
    /// Its statistics, as a JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, Option<String>>>,
}

/// A file that a table does not have any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remove {
    /// Its path, as it was added.
    pub path: String,
    /// When it was removed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    /// Whether the rows of the table change by it.
    pub data_change: bool,
    /// Whether the two fields below are said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_file_metadata: Option<bool>,
    /// The values of the partition columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_values: Option<BTreeMap<String, Option<String>>>,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

impl Add {
    /// What removes it.
    pub fn removed_at(&self, now_ms: i64) -> Remove {
        Remove {
            path: self.path.clone(),
            deletion_timestamp: Some(now_ms),
            data_change: true,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values.clone()),
            size: Some(self.size),
        }
    }
}

impl From<Add> for Line {
    fn from(add: Add) -> Self {
        Line { add: Some(add), ..Line::default() }
    }
}

impl From<Remove> for Line {
    fn from(remove: Remove) -> Self {
        Line { remove: Some(remove), ..Line::default() }
    }
}

impl From<Transaction> for Line {
    fn from(txn: Transaction) -> Self {
        Line { txn: Some(txn), ..Line::default() }
    }
}

impl From<Metadata> for Line {
    fn from(metadata: Metadata) -> Self {
        Line { metadata: Some(metadata), ..Line::default() }
    }
}

impl From<Protocol> for Line {
    fn from(protocol: Protocol) -> Self {
        Line { protocol: Some(protocol), ..Line::default() }
    }
}
