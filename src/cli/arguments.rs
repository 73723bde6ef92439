//! What can be typed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::days::{DaysArguments, day};
use super::durations::{duration, some_duration};
use crate::config::{self, Environment, Project};
use crate::error::Error;
use crate::publish;
use crate::storage::{Location, Stores};

/// Customer extracts in, customer segments out.
#[derive(Debug, Parser)]
#[command(name = "segmill", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// How to give the result on standard output: lines for people, or one JSON document; of `run` people are told on standard error
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  published, or nothing to do
   1  a defect in Segmill: report it
   2  the project is wrong (YAML, SQL, rules, arguments): a retry does not help
   3  the data was refused (contract, check, reject budget): look at the data
   4  another run published first: run again
  75  a service was unavailable, or time was up: retry later
  99  extracts are missing or stale: wait
 129  stopped by SIGHUP; 130 by Ctrl-C; 143 by SIGTERM: run again";

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ingest, join, score, assign, check and publish
    Run(RunArguments),
    /// Check the project alone; no data is read
    Validate(ProjectArguments),
    /// Say why an identifier leads to its customer
    Explain(ExplainArguments),
    /// Run the project's own given/expect cases, in `tests/models`, through the real engine
    Test(TestArguments),
    /// The files of a publication: for people, as JSON, as URLs, as a Redshift load manifest
    Outputs(OutputsArguments),
    /// What no publication needs any more: shown, and with `--remove` removed; adopt or repair a destination
    Clean(CleanArguments),
    /// Make a new project: the one that ships with Segmill, copied to a folder with its sample
    Init(InitArguments),
    /// Make extracts of any size, the same for the same seed
    Generate(GenerateArguments),
    /// The JSON Schema of the pipeline file, for editors
    Schema(SchemaArguments),
}

/// How results are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people
    Human,
    /// One JSON document
    Json,
    /// `outputs` only: the URLs of the files, a line each
    Urls,
    /// `outputs` only: the manifest that Redshift's COPY takes
    Redshift,
}

/// The variable that says how long a command may take, where `--timeout` does not.
pub const TIMEOUT_VARIABLE: &str = "SEGMILL_TIMEOUT";

/// The project and its parameters.
#[derive(Debug, Clone, Args)]
pub struct ProjectArguments {
    /// The pipeline file
    #[arg(default_value = "pipelines/customer_segments.yaml")]
    pub pipeline: PathBuf,
    /// Give a parameter another value than its default
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub parameters: Vec<(String, String)>,
}

/// What `run` takes.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// The day, or the days in order
    #[command(flatten)]
    pub days: DaysArguments,
    /// Publish although nothing has changed since the day was published
    #[arg(long)]
    pub force: bool,
    /// Tell what every step cost: time, bytes read, memory, what spilled, and the operators of the slowest
    #[arg(long)]
    pub timings: bool,
    /// What `--timings` was called
    #[arg(long, hide = true)]
    pub profile: bool,
    /// Keep the run's record in this local file too, whatever becomes of the run
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub record: Option<PathBuf>,
    /// Where to publish, instead of where the pipeline file says: a path or URL
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// Memory that the run may have, as `2GiB`: tables and operators go to disk to keep to it, and at its peak the process has at most a fifth more
    /// and 64 MiB [default: 70% of what the machine or container has]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub memory_limit: Option<usize>,
    /// Threads to work on, at most 256 [default: what the machine or container has, fewer where there is little memory]
    #[arg(long, value_name = "COUNT", value_parser = thread_count)]
    pub threads: Option<u16>,
    /// End the command after this time, as `90s`, `30m` or `2h`: exit 75, nothing published, and it says what was running
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// What `test` takes.
#[derive(Debug, Clone, Args)]
pub struct TestArguments {
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// End the command after this time, as `90s` or `30m`: exit 75, and it says what was running
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// Where publications are.
#[derive(Debug, Clone, Args)]
pub struct PlaceArguments {
    /// The pipeline file that names the destination
    #[arg(default_value = "pipelines/customer_segments.yaml")]
    pub pipeline: PathBuf,
    /// The destination, instead of where the pipeline file says: a path or URL
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
}

/// What `outputs` takes.
#[derive(Debug, Clone, Args)]
pub struct OutputsArguments {
    /// Where
    #[command(flatten)]
    pub place: PlaceArguments,
    /// The publication of this day
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: Option<NaiveDate>,
    /// The publication of the latest day; so it is when no day is named
    #[arg(long, conflicts_with = "as_of")]
    pub latest: bool,
    /// One table alone
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
}

/// What `clean` takes.
#[derive(Debug, Clone, Args)]
pub struct CleanArguments {
    /// Where
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Remove what is shown
    #[arg(long)]
    pub remove: bool,
    /// Make a destination this pipeline's own that an older Segmill published to, which marked none
    #[arg(long)]
    pub adopt: bool,
    /// Repair publications whose files are gone: put back what is there as a copy, and take out the days of which something stays lost
    #[arg(long)]
    pub repair: bool,
    /// Leave what was superseded, or last written by a run that has not published, more recently than this: longer than
    /// any run or reader takes
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = grace)]
    pub grace: chrono::Duration,
}

/// What `explain` takes.
#[derive(Debug, Clone, Args)]
pub struct ExplainArguments {
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// The day that is asked about: nothing that happens on it or later counts
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: NaiveDate,
    /// The identifier: a customer's number, an e-mail address, a phone number, a visitor …; or the id of a customer, also one that has
    /// become an alias
    #[arg(long, value_name = "IDENTIFIER")]
    pub identity: String,
    /// Where the pipeline publishes, instead of where its file says: customers keep the ids of the publication before the day
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// Identifiers, and ties that were not made, to show of a customer
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Its type, as the pipeline file names it [default: any]
    #[arg(long = "type", value_name = "TYPE")]
    pub identifier_type: Option<String>,
    /// Show personal values as they are
    #[arg(long)]
    pub unmask: bool,
    /// End the command after this time, as `90s` or `30m`: exit 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// What `schema` takes.
#[derive(Debug, Clone, Args)]
pub struct SchemaArguments {
    /// That of the given/expect cases in `tests/models` instead
    #[arg(long)]
    pub cases: bool,
}

/// What `init` takes.
#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// The folder to make
    pub folder: PathBuf,
}

/// What `generate` takes.
#[derive(Debug, Clone, Args)]
pub struct GenerateArguments {
    /// The folder to write crm, email, orders, survey and web into
    pub folder: PathBuf,
    /// Write although there are extracts in it: files of the same names are replaced, and others stay
    #[arg(long)]
    pub force: bool,
    /// How many customers, with orders of their own
    #[arg(long, value_name = "COUNT", required_unless_present = "orders", conflicts_with = "orders")]
    pub customers: Option<u64>,
    /// Take the customers of these orders (a Parquet file laid out as the sample's) and make the other extracts for them
    #[arg(long, value_name = "FILE")]
    pub orders: Option<PathBuf>,
    /// Another seed makes other people
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// The first day of events
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2010-12-01", value_parser = day)]
    pub from: NaiveDate,
    /// The last day of events
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2011-12-12", value_parser = day)]
    pub to: NaiveDate,
    /// Write e-mail events as Parquet instead of compressed NDJSON
    #[arg(long)]
    pub email_parquet: bool,
}

impl PlaceArguments {
    /// Opens the destination; the project is read only when it must tell where that is.
    ///
    /// # Errors
    /// As reading the project, or opening the location, fails.
    pub fn open(&self, environment: &Environment, stores: &Stores) -> Result<Location, Error> {
        match &self.destination {
            Some(typed) => publish::typed_destination(typed, stores),
            None => publish::destination(None, &config::load(&self.pipeline, environment)?, stores),
        }
    }

    /// Opens the destination, and reads the project whose it is; none where only the destination was named and there is no project here.
    ///
    /// # Errors
    /// As [`PlaceArguments::open`].
    pub fn open_with_project(&self, environment: &Environment, stores: &Stores) -> Result<(Location, Option<Project>), Error> {
        if self.destination.is_some() && !self.pipeline.exists() {
            return Ok((self.open(environment, stores)?, None));
        }
        let project = config::load(&self.pipeline, environment)?;
        Ok((publish::destination(self.destination.as_deref(), &project, stores)?, Some(project)))
    }
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

/// How much longer than any run or reader takes.
fn grace(text: &str) -> Result<chrono::Duration, String> {
    chrono::Duration::from_std(duration(text)?).map_err(|error| error.to_string())
}

/// The most threads that a run may work on. More of them than a machine has cost memory, and time.
pub const MAX_THREADS: u16 = 256;

/// A number of threads.
fn thread_count(text: &str) -> Result<u16, String> {
    let count: u64 = text.parse().map_err(|_| "write a number, as 8")?;
    match u16::try_from(count) {
        Ok(0) => Err("give it 1 at least".to_owned()),
        Ok(count) if count <= MAX_THREADS => Ok(count),
        _ => Err(format!("give it {MAX_THREADS} at most: as many as there are processors is best")),
    }
}

/// The smallest and the largest memory limit.
const MIN_MEMORY_BYTES: usize = 16 << 20;
const MAX_MEMORY_BYTES: usize = 1 << 50;

/// A size with a unit: `512MiB`, `2GB`, `1.5GiB`; without one, bytes.
fn memory_size(text: &str) -> Result<usize, String> {
    const WRONG: &str = "write it as 512MiB or 2GB";
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| WRONG)?;
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1024.0 * 1024.0,
        "gib" | "g" => 1024.0 * 1024.0 * 1024.0,
        "tb" => 1e12,
        "tib" | "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(WRONG.to_owned()),
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in bytes, which saturates")]
    let bytes = (number * factor) as usize;
    match bytes {
        ..MIN_MEMORY_BYTES => Err("give it 16MiB at least".to_owned()),
        MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES => Ok(bytes),
        _ => Err("give it 1024TiB at most".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn threads_are_a_number_that_a_machine_may_have() {
        assert_eq!((thread_count("1"), thread_count("256")), (Ok(1), Ok(256)));
        let wrong = ["0", "257", "65536", "18446744073709551616", "-1", "2.5", "", "all"];
        assert!(wrong.iter().all(|text| thread_count(text).is_err()));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(memory_size("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(memory_size("512MB"), Ok(512_000_000));
        assert!(memory_size("12").is_err());
        assert!(memory_size("lots").is_err());
    }
}
