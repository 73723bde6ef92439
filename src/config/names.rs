//! Names of columns in files: one, or several of which the first that a file has is used.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Deserializer;

use super::spanned::Text;

/// One name or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Names {
    One(String),
    Several(Vec<String>),
}

/// Reads names.
pub(super) fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Text>, D::Error> {
    let names = match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::Several(names) => names,
    };
    Ok(names.into_iter().map(Text::of).collect())
}
