//! A source as the pipeline file says it: where an extract lies, and what its rows must be.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::column::{Column, columns, columns_schema};
use super::csv::Csv;
use super::kind::{Changes, SourceKind};
use super::spanned::{Literal, Spanned};

/// An extract that another system writes, and its contract.
// Editors tell that an event time is missing, as `validate` does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = {"properties": {"kind": {"const": "snapshot"}}, "required": ["kind"]},
    "else" = {"required": ["event_time"]},
))]
pub struct Source {
    /// What a row means, and which system writes it.
    #[serde(default)]
    pub description: Option<String>,
    /// The path or URL of the files, with the wildcards `*`, `?`, `[…]` and `**` (`[*]` stands for the character itself): a local path, `file://`, `s3://`,
    /// `gs://`, `az://` or `http(s)://`. `{name}` is a wildcard within a folder or file name that gives its part of the path a name, and
    /// `{name:%Y%m%d}` one for a day or moment that is written so; a column reads it by `path: name`.
    pub location: Spanned<String>,
    /// The format of the files. By default it is recognised by the ending of a file's name, or else by the file's first bytes.
    #[serde(default)]
    pub format: Option<SourceFormat>,
    /// The encoding of text files by its name on the web, such as `windows-1252`, `shift_jis` or `utf-16le`. By default it is UTF-8. A file
    /// that begins with a byte order mark of UTF-8 or UTF-16 is read as that.
    #[serde(default)]
    pub encoding: Option<Spanned<String>>,
    /// How CSV files are written, if not with commas, double quotes and a header in the first line.
    #[serde(default)]
    pub csv: Option<Csv>,
    /// The path of a list in each record, such as `items`: each of its elements is a row, which has the columns of its record, too. In a JSON
    /// document that is one object, it names the member that holds the records.
    #[serde(default)]
    pub each: Option<Spanned<String>>,
    /// What the rows are: `events` (the default), the `snapshot` of a table, or the `changes` of one.
    #[serde(default)]
    pub kind: Option<Spanned<SourceKind>>,
    /// The part of a file's path that says its day: a folder such as `dt=2026-11-01`, or a named part of the location. Of a snapshot it is the
    /// day that the snapshot is of. Otherwise it says that every row of the file happened on that day: a row of another day is rejected, and
    /// files of the as-of day or later are left unopened and counted.
    #[serde(default)]
    pub day_in_path: Option<Spanned<String>>,
    /// How the changes of a table are written. Needed by `kind: changes`.
    #[serde(default)]
    pub changes: Option<Spanned<Changes>>,
    /// The column that says when a row's event happened. Rows on or after the as-of day are out of window. Only a snapshot may do without.
    #[serde(default)]
    pub event_time: Option<Spanned<String>>,
    /// Columns of CSV files that are blank where they would repeat the row above, as in the order lines of shop systems.
    #[serde(default)]
    pub blank_repeats: Option<BlankRepeats>,
    /// The columns that identify a row. Of several rows with the same key, the latest by event time is kept.
    #[serde(default)]
    pub key: Vec<Spanned<String>>,
    /// Values that the source's files have where there is none, instead of the pipeline's `null_values`. In columns of text they are null
    /// exactly as they are written here; in others in any case, and with or without space around them. An empty list turns them off.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Literal>>")]
    pub null_values: Option<Vec<Spanned<String>>>,
    /// Whether space around texts is left off, and a text of nothing else is null. By default texts are read as they are.
    #[serde(default)]
    pub trim: bool,
    /// How many rows may be rejected before the run is refused.
    #[serde(default)]
    pub reject_budget: RejectBudget,
    /// What to do with columns of the files that the contract does not name. By default they are not read.
    #[serde(default)]
    pub unknown_columns: UnknownColumns,
    /// How old the newest row or file may be. If it is older, the run waits for a newer extract (exit 99).
    #[serde(default)]
    pub freshness: Freshness,
    /// The smallest number of files. With fewer files the run waits (exit 99). If a location has never had any files, it is wrong (exit 2),
    /// unless this is 0.
    #[serde(default = "one")]
    pub min_files: u64,
    /// The smallest number of rows. With fewer rows the run is refused. By default an empty extract is accepted.
    #[serde(default)]
    pub min_rows: u64,
    /// The columns to read.
    #[serde(deserialize_with = "columns")]
    #[schemars(schema_with = "columns_schema")]
    pub columns: IndexMap<String, Column>,
}

/// Columns that are blank where they would repeat the row above. Only rows of one group repeat each other: what is blank in the first row
/// of a group has no value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlankRepeats {
    /// The columns of which all are equal in the rows of a group, which stand one after the other. If they may be blank themselves, they are
    /// listed under `columns`, too.
    pub within: Vec<Spanned<String>>,
    /// The columns that repeat the row above where they are blank.
    pub columns: Vec<Spanned<String>>,
}

/// What to do with columns that a contract does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownColumns {
    /// They are not read.
    #[default]
    Ignore,
    /// The run is refused; in NDJSON, the row is rejected.
    Refuse,
}

/// How old the newest row or file of an extract may be, in days before the as-of day. Days are counted from the as-of day and not from
/// today, so that a backfill of an old day needs the extracts of that day.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The age of the newest row before the as-of day. Where a snapshot has no event time, its day counts.
    #[serde(default)]
    pub newest_row_days: Option<u32>,
    /// The age of the newest file, by its time of last change.
    #[serde(default)]
    pub newest_file_days: Option<u32>,
    /// The age of the snapshot that is read, by the day in its path. A snapshot of the day before the as-of day has the age 1.
    #[serde(default)]
    pub newest_snapshot_days: Option<Spanned<u32>>,
}

/// The format of an extract's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// Values separated by commas, or as `csv` says, with a header line (RFC 4180).
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// JSON over any number of lines: objects one after the other, or in a list.
    Json,
    /// Apache Parquet.
    Parquet,
}

/// How many rows of a source may be rejected before the run is refused.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectBudget {
    /// The share of the rows read, from 0 to 1.
    #[serde(default = "default_reject_share")]
    #[schemars(range(min = 0, max = 1))]
    pub share: f64,
    /// The number of rows.
    #[serde(default = "default_reject_rows")]
    pub rows: u64,
}

impl SourceFormat {
    /// The format that a file's name tells, leaving off a compression's ending.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
        match name.rsplit('.').next()? {
            "csv" => Some(SourceFormat::Csv),
            "ndjson" | "jsonl" | "json" => Some(SourceFormat::Ndjson),
            "parquet" => Some(SourceFormat::Parquet),
            _ => None,
        }
    }
}

impl Default for RejectBudget {
    fn default() -> Self {
        RejectBudget { share: default_reject_share(), rows: default_reject_rows() }
    }
}

fn one() -> u64 {
    1
}

fn default_reject_share() -> f64 {
    0.01
}

fn default_reject_rows() -> u64 {
    100_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_from_names() {
        assert_eq!(SourceFormat::from_name("a/2011-12.ndjson.gz"), Some(SourceFormat::Ndjson));
        assert_eq!(SourceFormat::from_name("contacts.csv.zst"), Some(SourceFormat::Csv));
        assert_eq!(SourceFormat::from_name("notes.txt"), None);
    }
}
