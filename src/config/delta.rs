//! Copies of outputs in tables of Delta Lake, as the pipeline file says it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::spanned::Spanned;

/// Tables of Delta Lake that outputs are copied to after each publication, one for each output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeltaCopies {
    /// A path or URL under which the tables are: a local path, `file://`, `s3://`, `gs://` or `az://`. The output `customers` is copied to
    /// the table `customers` there. It must not lie at the destination.
    pub location: Spanned<String>,
    /// The outputs that are copied. By default all of them are.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub tables: Option<Vec<Spanned<String>>>,
}
