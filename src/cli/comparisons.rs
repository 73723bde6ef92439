//! The arguments of `diff` and `plan`. The doc comments are the help that `--help` shows.

use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::{Args, ValueEnum};

use super::days::day;
use super::durations::some_duration;
use super::project_arguments::{ProjectArguments, TIMEOUT_VARIABLE, usual_pipeline};
use super::resources::{memory_size, thread_count};

/// What `diff` takes.
#[derive(Debug, Clone, Args)]
pub struct DiffArguments {
    /// The two days, in any order
    #[arg(value_name = "DAY", value_parser = day, num_args = 2, required = true)]
    pub days: Vec<NaiveDate>,
    /// The pipeline file that names the destination [default: `pipelines/customer_segments.yaml`, or else the only one in `pipelines/`]
    #[arg(long, value_name = "FILE", default_value_os_t = usual_pipeline(), hide_default_value = true)]
    pub pipeline: PathBuf,
    /// Use this path or URL instead of the pipeline file's destination
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// Compare only this set of segments
    #[arg(long, value_name = "SET")]
    pub set: Option<String>,
    /// Write the customers who entered, left or moved to this file, which ends in `.parquet` or `.csv`
    #[arg(long, value_name = "FILE")]
    pub customers: Option<PathBuf>,
    /// End the command after this time, such as `90s` or `30m`, and exit with 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// What `plan` takes.
#[derive(Debug, Clone, Args)]
pub struct PlanArguments {
    /// The as-of day: nothing that happened on it or later counts
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: NaiveDate,
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// Show the funnel of every rule, rather than only of those that were edited or let nobody through
    #[arg(long)]
    pub funnels: bool,
    /// Compare with what is published at this path or URL instead of the pipeline file's destination
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// The memory limit, such as `2GiB`, as of `run` [default: 70% of the memory of the machine or container]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub memory_limit: Option<usize>,
    /// The number of threads, at most 256 [default: the processors of the machine or container; fewer if memory is small]
    #[arg(long, value_name = "COUNT", value_parser = thread_count)]
    pub threads: Option<u16>,
    /// End the command after this time, such as `90s`, `30m` or `2h`: it says which step was running, and exits with 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
    /// If the plan fails, tell of it as a run that fails in the same way: by the notifications of the pipeline file, metrics and traces
    #[arg(long, value_name = "WHEN", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "failed")]
    pub notify: Option<TellWhen>,
    /// The local file of the metrics that `--notify` writes [default: the one that `SEGMILL_METRICS` names]
    #[arg(long, value_name = "FILE", requires = "notify")]
    pub metrics: Option<PathBuf>,
}

/// When a plan tells others that it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TellWhen {
    /// Whenever it fails
    Failed,
    /// Whenever it fails, unless extracts are late: for a command that is repeated until they have come
    UnlessLate,
}
