//! How CSV files of a source are written, as the pipeline file says it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::spanned::Spanned;

/// How the CSV files of a source are written, if not as RFC 4180 says: with commas, double quotes and a header in the first line.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// The character between fields, such as `;` or `"\t"`. By default it is a comma.
    #[serde(default)]
    pub delimiter: Option<Spanned<String>>,
    /// The character around fields that hold delimiters or line ends, or `none` if no character is. By default it is `"`.
    #[serde(default)]
    pub quote: Option<Spanned<String>>,
    /// The character that makes the next one a part of the field, such as `\`. By default there is none, and a quote within quotes is
    /// doubled.
    #[serde(default)]
    pub escape: Option<Spanned<String>>,
    /// The character that begins a line which is no record, such as `#`. By default there are no such lines.
    #[serde(default)]
    pub comment: Option<Spanned<String>>,
    /// How many lines of each file stand before the header, or before the first record if there is no header.
    #[serde(default)]
    pub skip_lines: u64,
    /// Whether a header names the columns, as it does by default. Without one, columns are found by their `position`, or else in the
    /// contract's order.
    #[serde(default)]
    pub header: Option<Spanned<bool>>,
    /// How many records after the header are no rows, such as the second header of a survey. A record in quotes may have several lines.
    #[serde(default)]
    pub skip_after_header: Option<Spanned<u64>>,
    /// Whether records may end with a delimiter that no field follows.
    #[serde(default)]
    pub trailing_delimiter: bool,
}
