//! Variables of the environment in the pipeline file: `${NAME}` and `${NAME:-default}`.

use std::collections::{BTreeMap, HashMap};

use crate::diagnostic::Diagnostic;

/// The variables of the process, read once at its start.
pub type Environment = BTreeMap<String, String>;

/// The variables that a text names, each with the text after its name.
pub fn named_variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("${").skip(1).map(|rest| rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())))
}

/// The names of the variables that a text reads.
pub fn variables(text: &str) -> impl Iterator<Item = &str> {
    named_variables(text).map(|(name, _)| name)
}

/// Whether a text names a variable as it should be written: `${NAME}` or `${NAME:-default}`.
pub fn names_variable(text: &str) -> bool {
    let is_whole = |rest: &str| rest.starts_with('}') || rest.starts_with(":-") && rest.contains('}');
    named_variables(text).any(|(name, rest)| !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && is_whole(rest))
}

/// A plain value with the environment's values in it.
///
/// # Errors
/// A variable that is not set, or a malformed reference. The message contains no value.
pub fn interpolate(text: &str, environment: &HashMap<String, String>) -> Result<String, Diagnostic> {
    use serde_yaml::Error as Yaml;

    let read: Result<String, _> = serde_yaml::from_str_with_options(text, options(environment.clone()));
    read.map_err(|error| match error.without_snippet() {
        Yaml::UnresolvedProperty { name, .. } => Diagnostic::error("unset-variable", format!("the environment has no `{name}`"))
            .label("read from the environment here")
            .hint(format!("set it, or give a default: `${{{name}:-default}}`")),
        Yaml::PropertyRequiredButUnset { name, .. } | Yaml::PropertyRequiredButEmpty { name, .. } => {
            Diagnostic::error("unset-variable", format!("the environment must give `{name}`"))
                .label("read from the environment here")
                .hint("set it")
        }
        _ => Diagnostic::error("invalid-variable", format!("`{text}` does not name a variable of the environment"))
            .label("read from the environment here")
            .hint("write `${NAME}` or `${NAME:-default}`, or put the text in single quotes to mean it as it is"),
    })
}

/// How the YAML crate reads a text into which these variables are put.
pub fn options(properties: HashMap<String, String>) -> serde_yaml::Options {
    serde_yaml::options! { with_snippet: false, strict_booleans: true }.with_properties(properties)
}
