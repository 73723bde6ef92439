//! What the rows of an extract are: events, the whole table as it stood on a day, or the changes of a table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spanned::{Literal, Spanned};

/// What the rows of an extract are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Things that happened, or versions of things. All files count.
    #[default]
    Events,
    /// The whole table, sent each time. The files of the newest day before the as-of day are read, so a row that has vanished from the table
    /// is gone. The day comes from the files' paths (`day_in_path`).
    Snapshot,
    /// The changes of a table, as change data capture sends them. Of each key its newest change before the as-of day counts (`changes`).
    Changes,
}

/// How the changes of a table are written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// The column that says what a row does. Its words are compared in any case; a row with any other word is rejected.
    pub operation: Spanned<String>,
    /// The words for a new row, such as `[I]` or `[c, r]`.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub insert: Vec<Spanned<String>>,
    /// The words for a row as it is after a change, such as `[U]`.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub update: Vec<Spanned<String>>,
    /// The words for a row that was deleted, such as `[D]`. Its key is gone. Of such a row only the key, the operation, the order and the event
    /// time must be right.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub delete: Vec<Spanned<String>>,
    /// The words for a row as it was before a change, such as `[3]` of SQL Server. Such rows are left out, and count as duplicates.
    #[serde(default)]
    #[schemars(with = "Vec<Literal>")]
    pub before: Vec<Spanned<String>>,
    /// The columns that put the changes of a key in order, such as a log sequence number: integers, decimals, dates or timestamps. The greatest
    /// is the newest. Between changes that are equal in them, the event time decides.
    #[serde(default)]
    pub order: Vec<Spanned<String>>,
    /// Whether all changes of a key since it was last deleted are kept, one for each event time, instead of the newest alone. Then a model can
    /// ask since when something holds.
    #[serde(default)]
    pub history: bool,
}
