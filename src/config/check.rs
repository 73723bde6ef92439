//! Checks on outputs, as the pipeline file says them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spanned::{Literal, Spanned};

/// A condition that the outputs, as written, must meet before they are published. A check has exactly one of the keys `unique`, `not_null`,
/// `accepted`, `rows`, `sql`, `segment_size` and `change`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The check's name.
    pub name: Spanned<String>,
    /// What the check is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether a failure refuses the run, or is only a warning.
    #[serde(default)]
    pub severity: Severity,
    /// Columns that together identify a row.
    #[serde(default)]
    pub unique: Option<TableColumns>,
    /// Columns that always have a value.
    #[serde(default)]
    pub not_null: Option<TableColumns>,
    /// The only values that a column has. Null is allowed.
    #[serde(default)]
    pub accepted: Option<AcceptedValues>,
    /// How many rows a table has.
    #[serde(default)]
    pub rows: Option<RowBounds>,
    /// A query over the outputs that must return no row.
    #[serde(default)]
    pub sql: Option<Spanned<String>>,
    /// How large segments are.
    #[serde(default)]
    pub segment_size: Option<SegmentBounds>,
    /// How much may change since the publication of the nearest earlier day.
    #[serde(default)]
    pub change: Option<Change>,
}

/// Columns of an output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableColumns {
    /// The output.
    pub table: Spanned<String>,
    /// Its columns.
    pub columns: Vec<Spanned<String>>,
}

/// A column of an output and its values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptedValues {
    /// The output.
    pub table: Spanned<String>,
    /// Its column.
    pub column: Spanned<String>,
    /// The values.
    #[schemars(with = "Vec<Literal>")]
    pub values: Vec<Spanned<String>>,
}

/// How many rows a table has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowBounds {
    /// The output.
    pub table: Spanned<String>,
    /// The smallest number of rows.
    #[serde(default)]
    pub min: Option<u64>,
    /// The largest number of rows.
    #[serde(default)]
    pub max: Option<u64>,
}

/// How large a segment is, or each segment of a set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentBounds {
    /// The set.
    pub segment_set: Spanned<String>,
    /// The segment. By default, every segment of the set.
    #[serde(default)]
    pub segment: Option<Spanned<String>>,
    /// The smallest number of customers.
    #[serde(default)]
    pub min_customers: Option<u64>,
    /// The largest number of customers.
    #[serde(default)]
    pub max_customers: Option<u64>,
    /// The smallest share of all customers, from 0 to 1.
    #[serde(default)]
    pub min_share: Option<f64>,
    /// The largest share of all customers, from 0 to 1.
    #[serde(default)]
    pub max_share: Option<f64>,
}

/// How much may change since the publication of the nearest earlier day. If there is none, the check is skipped.
///
/// For a `table`, `max_fall` and `max_rise` limit the change of the number of rows. For a `column` of a `table`, `max_psi` limits the drift of
/// the values. For a `segment_set`, or one `segment` of it, `max_points` limits the change of the share of all customers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The output.
    #[serde(default)]
    pub table: Option<Spanned<String>>,
    /// Its column.
    #[serde(default)]
    pub column: Option<Spanned<String>>,
    /// The set.
    #[serde(default)]
    pub segment_set: Option<Spanned<String>>,
    /// The segment. By default, every segment of the set.
    #[serde(default)]
    pub segment: Option<Spanned<String>>,
    /// The largest share of its rows that the table may lose, such as 0.1.
    #[serde(default)]
    pub max_fall: Option<f64>,
    /// The largest share of its rows that the table may gain, such as 0.5.
    #[serde(default)]
    pub max_rise: Option<f64>,
    /// How far a segment's share of all customers may move in either direction; 0.05 allows a move from 20% to 25%.
    #[serde(default)]
    pub max_points: Option<f64>,
    /// The largest population stability index of the column. 0.1 is commonly taken as moderate drift, and 0.25 as strong drift.
    #[serde(default)]
    pub max_psi: Option<f64>,
}

/// What a failed check does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The run is refused and publishes nothing.
    #[default]
    Fail,
    /// The run goes on, with a warning.
    Warn,
}

/// What a check asks.
#[derive(Debug, Clone, Copy)]
pub enum CheckKind<'a> {
    /// Columns that together identify a row.
    Unique(&'a TableColumns),
    /// Columns that always have a value.
    NotNull(&'a TableColumns),
    /// The only values that a column has.
    Accepted(&'a AcceptedValues),
    /// How many rows a table has.
    Rows(&'a RowBounds),
    /// A query that must return no row.
    Sql(&'a Spanned<String>),
    /// How large segments are.
    SegmentSize(&'a SegmentBounds),
    /// How much may change.
    Change(&'a Change),
}

/// The kinds of checks, as the pipeline file names them.
pub const KINDS: [&str; 7] = ["unique", "not_null", "accepted", "rows", "sql", "segment_size", "change"];

impl Check {
    /// What it asks; none when it says no kind or several.
    pub fn question(&self) -> Option<CheckKind<'_>> {
        let kinds = [
            self.unique.as_ref().map(CheckKind::Unique),
            self.not_null.as_ref().map(CheckKind::NotNull),
            self.accepted.as_ref().map(CheckKind::Accepted),
            self.rows.as_ref().map(CheckKind::Rows),
            self.sql.as_ref().map(CheckKind::Sql),
            self.segment_size.as_ref().map(CheckKind::SegmentSize),
            self.change.as_ref().map(CheckKind::Change),
        ];
        let mut said = kinds.into_iter().flatten();
        let first = said.next();
        if said.next().is_some() { None } else { first }
    }
}

impl CheckKind<'_> {
    /// Its kind, as the pipeline file names it.
    pub fn kind(&self) -> &'static str {
        match self {
            CheckKind::Unique(_) => KINDS[0],
            CheckKind::NotNull(_) => KINDS[1],
            CheckKind::Accepted(_) => KINDS[2],
            CheckKind::Rows(_) => KINDS[3],
            CheckKind::Sql(_) => KINDS[4],
            CheckKind::SegmentSize(_) => KINDS[5],
            CheckKind::Change(_) => KINDS[6],
        }
    }
}
