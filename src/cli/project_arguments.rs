//! The arguments that name a project.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

/// The variable that says how long a command may take, where `--timeout` does not.
pub const TIMEOUT_VARIABLE: &str = "SEGMILL_TIMEOUT";

/// The pipeline file of a new project.
pub const PIPELINE: &str = "pipelines/customer_segments.yaml";

/// The project and its parameters.
#[derive(Debug, Clone, Args)]
pub struct ProjectArguments {
    /// The pipeline file
    #[arg(default_value = PIPELINE)]
    pub pipeline: PathBuf,
    /// Set a parameter to another value than its default
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub parameters: Vec<(String, String)>,
}

impl ProjectArguments {
    /// The parameters given, the last of a name counting.
    pub fn overrides(&self) -> BTreeMap<String, String> {
        self.parameters.iter().cloned().collect()
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
