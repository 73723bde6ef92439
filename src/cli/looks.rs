//! The arguments of the commands that look at rows.

use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::{Args, ValueEnum};

use super::days::day;
use super::durations::some_duration;
use super::project_arguments::{ProjectArguments, TIMEOUT_VARIABLE};
use crate::execute::Sample;

/// What `segmill query --help` says of the tables.
pub const QUERY_TABLES: &str = "\
Tables:
  staging.orders, customers, …      models by their names, computed as of the day
  sources.contacts, reference.…     sources after their contracts, and tables of the pipeline file
  resolved.customers, …             what the identity step makes
  segment_membership, segments      who is in which segment, and what the pipeline file says of them
  segment_changes                   who has entered, left or moved since the publication before
  published.customers, …            outputs as they were published, with their day in the column `as_of`";

/// What the commands that look at rows have in common.
#[derive(Debug, Clone, Args)]
pub struct LookArguments {
    /// The as-of day: nothing that happened on it or later counts [default: the latest day that is published]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: Option<NaiveDate>,
    /// Show at most so many rows, or `all` [default: 20 as a table, all in other forms]
    #[arg(long, value_name = "N", value_parser = limit)]
    pub limit: Option<Limit>,
    /// Compute only this share of the customers, such as `5%`: whole customers, chosen by a hash of their ids. What comes before the
    /// identity step is computed whole
    #[arg(long, value_name = "SHARE", value_parser = sample)]
    pub sample: Option<Sample>,
    /// The form of the rows. CSV, JSON (one object on each line) and Parquet have whole and exact values
    #[arg(long, value_enum, default_value_t = RowsFormat::Table)]
    pub format: RowsFormat,
    /// Write the rows to this local file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show personal values instead of masking them
    #[arg(long)]
    pub unmask: bool,
    /// Use this path or URL instead of the pipeline file's destination. Ids follow the publication before the day there
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// End the command after this time, such as `90s` or `30m`, and exit with 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// What `show` takes.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// A model (`staging.orders`), a source (`sources.orders`), an output (`outputs.customers`), or the last part of such a name if it
    /// is the only one
    pub name: String,
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// Only rows for which this condition in SQL is true, such as `country = 'France' and frequency > 3`
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Only rows of the customer with this id, or with an id that it had before
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,
    /// Show the columns with their types and descriptions, without reading data
    #[arg(long, conflicts_with_all = ["condition", "customer", "sample", "limit"])]
    pub schema: bool,
    /// What is shown of the rows
    #[command(flatten)]
    pub look: LookArguments,
}

/// What `query` takes.
#[derive(Debug, Clone, Args)]
pub struct QueryArguments {
    /// The query: SQL, the name of a file that ends in `.sql`, or `-` for standard input
    #[arg(value_name = "SQL", allow_hyphen_values = true)]
    pub sql: String,
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// What is shown of the rows
    #[command(flatten)]
    pub look: LookArguments,
}

/// The form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowsFormat {
    /// A table for people
    Table,
    /// CSV with a header
    Csv,
    /// JSON, one object on each line
    Json,
    /// Parquet
    Parquet,
}

/// The most rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many.
    Rows(u64),
    /// All.
    All,
}

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "all" => Ok(Limit::All),
        text => text.parse().map(Limit::Rows).map_err(|_| "write a number of rows, or `all`".to_owned()),
    }
}

fn sample(text: &str) -> Result<Sample, String> {
    const WRONG: &str = "write a share above 0% and up to 100%, such as 5%";
    let percent: f64 = text.strip_suffix('%').and_then(|number| number.trim().parse().ok()).ok_or(WRONG)?;
    Sample::of(percent / 100.0).ok_or_else(|| WRONG.to_owned())
}
