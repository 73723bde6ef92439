//! A given/expect case as a file in `tests/models` writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{Literal, Part, Spanned, span_of, span_of_part};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::error::{Error, Result};

/// A row by column. A column that is not named is null where it is given, and not compared where none of the expected rows names it.
pub(super) type Row = Spanned<IndexMap<String, Option<String>>>;

/// A case as a file in `tests/models` writes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What must hold.
    pub(super) name: Spanned<String>,
    /// The model that is asked, or `segment_membership` for the segment rules.
    pub(super) model: Spanned<String>,
    /// The day that it is asked as of.
    pub(super) as_of: Spanned<String>,
    /// Parameters that differ from their defaults.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Literal>")]
    pub(super) parameters: BTreeMap<String, String>,
    /// Rows by table: sources, or models in the place of what they would compute. What is not given has no rows, or is computed.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Vec<IndexMap<String, Option<Literal>>>>")]
    pub(super) given: Option<Spanned<IndexMap<String, Vec<Row>>>>,
    /// What was published before, for the ids that customers keep and the segments that they were in.
    #[serde(default)]
    pub(super) published: Option<Published>,
    /// The rows that must come out, in any order.
    #[schemars(with = "Vec<IndexMap<String, Option<Literal>>>")]
    pub(super) expect: Vec<Row>,
}

/// A publication before the case's day.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    /// The day that it was as of.
    pub(super) as_of: Spanned<String>,
    /// Its identifiers, each with the customer that it led to. Without any, ids begin anew.
    #[serde(default)]
    #[schemars(with = "Vec<Known>")]
    pub(super) identifiers: Option<Vec<Known>>,
    /// Who was in which segment. Without any, nothing is remembered: nobody has entered or left.
    #[serde(default)]
    #[schemars(with = "Vec<Remembered>")]
    pub(super) memberships: Option<Vec<Remembered>>,
    /// The ids that have become aliases since, each with the id that stayed.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Literal>")]
    pub(super) merged: BTreeMap<String, String>,
}

/// What is remembered of a customer and a segment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Remembered {
    /// The customer's id.
    #[schemars(with = "Literal")]
    pub(super) customer_id: String,
    /// The set. A customer who was there and in no segment has neither set nor segment.
    #[serde(default)]
    pub(super) segment_set: Option<String>,
    /// The segment.
    #[serde(default)]
    pub(super) segment: Option<String>,
    /// The as-of day on which the customer entered, of who was a member. By default that is the publication's day, unless there is a day
    /// on which the customer left.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) member_since: Option<Spanned<String>>,
    /// The as-of day on which the stay before that ended.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) left_on: Option<Spanned<String>>,
    /// How often the customer had entered; once by default.
    #[serde(default)]
    pub(super) times_entered: Option<u32>,
    /// The segment of the set in which the customer was before this stay.
    #[serde(default)]
    pub(super) previous_segment: Option<String>,
}

/// An identifier of a customer who was published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// Its type.
    pub(super) identifier_type: String,
    /// The identifier.
    #[schemars(with = "Literal")]
    pub(super) identifier: String,
    /// The customer's id.
    #[schemars(with = "Literal")]
    pub(super) customer_id: String,
}

impl Case {
    /// The rows given for a table.
    pub(super) fn given(&self, table: &str) -> Option<&Vec<Row>> {
        self.given.as_ref()?.value.get(table)
    }

    /// The day that it is asked as of.
    ///
    /// # Errors
    /// [`Error::Project`] for what is not a day.
    pub(super) fn day(&self, file: &Arc<SourceFile>) -> Result<NaiveDate> {
        day(file, &self.as_of)
    }
}

/// A day as a case writes it.
pub(super) fn day(file: &Arc<SourceFile>, written: &Spanned<String>) -> Result<NaiveDate> {
    written.value.parse().map_err(|_| {
        let problem = Diagnostic::error("invalid-day", format!("`{}` is not a day", written.shown()));
        problem.at(span_of(file, written)).hint("write it as 2011-12-10").into()
    })
}

/// Every column that rows name must be one of the table.
///
/// # Errors
/// [`Error::Project`] with those that are not.
pub(super) fn check_columns(file: &Arc<SourceFile>, name: &str, rows: &[Row], columns: &[&str]) -> Result<()> {
    let unknown = |row: &Row| {
        let wrong = row.value.keys().find(|key| !columns.contains(&key.as_str()))?;
        let problem = Diagnostic::error("unknown-column", format!("`{name}` has no column `{wrong}`"));
        let problem = problem.at(span_of_part(file, row, Part::Key(wrong))).label("not a column of it");
        Some(problem.did_you_mean(wrong, columns.iter().copied()))
    };
    let problems: Vec<Diagnostic> = rows.iter().filter_map(unknown).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
}
