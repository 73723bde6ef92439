//! The arguments that name a project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config;

/// The variable that names the file of metrics, where `--metrics` does not.
pub const METRICS_VARIABLE: &str = "SEGMILL_METRICS";

/// The variable that says how long a command may take, where `--timeout` does not.
pub const TIMEOUT_VARIABLE: &str = "SEGMILL_TIMEOUT";

/// The pipeline file of a new project.
const PIPELINE: &str = "pipelines/customer_segments.yaml";

/// The pipeline file where none is named: that of a new project, or else the only one of the project.
pub fn usual_pipeline() -> PathBuf {
    config::usual_pipeline(Path::new(PIPELINE))
}

/// The project and its parameters.
#[derive(Debug, Clone, Args)]
pub struct ProjectArguments {
    /// The pipeline file [default: `pipelines/customer_segments.yaml`, or else the only one in `pipelines/`]
    #[arg(default_value_os_t = usual_pipeline(), hide_default_value = true)]
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
