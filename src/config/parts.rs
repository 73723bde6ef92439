//! A moment whose date, time of day and zone an extract has in columns of their own.

use schemars::JsonSchema;
use serde::Deserialize;

use super::names::{Names, one_or_several};
use super::spanned::Text;

/// The columns of the files that make up a timestamp. Each part has one name, or several of which the first that a file has is used.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// The column with the date, or with the date and the local time.
    #[serde(deserialize_with = "one_or_several")]
    #[schemars(with = "Names")]
    pub date: Vec<Text>,
    /// The column with the time of day. A row with a date and without a time of day is rejected.
    #[serde(default, deserialize_with = "one_or_several")]
    #[schemars(with = "Names")]
    pub time: Vec<Text>,
    /// The column with the time zone: a name such as `Europe/Berlin`, an offset such as `+01:00`, `UTC`, or an abbreviation that the
    /// column's own zone has at that time. Where it is empty, the key `zone` of the column holds, and without that the value is rejected.
    #[serde(default, deserialize_with = "one_or_several")]
    #[schemars(with = "Names")]
    pub zone: Vec<Text>,
}
