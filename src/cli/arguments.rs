//! The commands and their arguments. The doc comments are the help that `--help` shows.

use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::about_arguments::{CompletionsArguments, ManArguments, SchemaArguments, VersionArguments};
pub use super::comparisons::{DiffArguments, PlanArguments, TellWhen};
use super::days::{DaysArguments, day};
use super::durations::{duration, some_duration};
use super::log::LogFormat;
use super::looks::{QUERY_TABLES, QueryArguments, RowsFormat, ShowArguments};
use super::project_arguments::usual_pipeline;
pub use super::project_arguments::{METRICS_VARIABLE, ProjectArguments, TIMEOUT_VARIABLE};
use super::resources::{memory_size, thread_count};
use crate::cases::Filters;
use crate::config::{self, Environment, Project};
use crate::error::Error;
use crate::publish;
use crate::storage::{Location, Stores};

/// Turns customer extracts into customer segments
#[derive(Debug, Parser)]
#[command(name = "segmill", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// The form of what goes to standard error: progress, warnings, problems and the summary
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = LogFormat::Text, env = LOG_FORMAT_VARIABLE, hide_env_values = true)]
    pub log_format: LogFormat,
}

/// The variable that says in which form messages are, where `--log-format` does not.
pub const LOG_FORMAT_VARIABLE: &str = "SEGMILL_LOG_FORMAT";

const EXIT_CODES: &str = "\
Exit codes:
   0  published, or nothing to do
   1  a defect in Segmill: report it
   2  the project, the arguments, the memory limit or the destination is wrong: correct it
   3  the data was refused (contract, check, reject budget): look at the data
   4  another run published first: run the command again
  75  a service was unavailable, a disk was full, or the time was up: try again later
  99  extracts are late: there are too few files, or they are stale: wait
 129  stopped by SIGHUP; 130 by Ctrl-C; 143 by SIGTERM: run the command again";

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the extracts, score customers, assign them to segments, check and publish
    #[command(override_usage = "segmill run [OPTIONS] (--as-of DAY | --from DAY --to DAY [--every STEP]) [PIPELINE]")]
    #[command(mut_arg("format", |arg| arg.help("The form of the result. Lines for people go to standard error, JSON to standard output")))]
    Run(Formatted<RunArguments>),
    /// Report everything that is wrong with the project, without reading data
    Validate(Formatted<ProjectArguments>),
    /// Explain why a customer is in a segment or is not, or why an identifier leads to its customer
    #[command(override_usage = "segmill explain [OPTIONS] --as-of DAY (--customer ID | --identity IDENTIFIER) [PIPELINE]")]
    Explain(Formatted<ExplainArguments>),
    /// Do everything that a run does but publishing, and say how the result differs from what is published
    #[command(override_usage = "segmill plan [OPTIONS] --as-of DAY [PIPELINE]")]
    Plan(Formatted<PlanArguments>),
    /// Compare two publications: who entered, left or moved, because of what, and the revenue that went with them
    #[command(override_usage = "segmill diff [OPTIONS] DAY DAY")]
    Diff(Formatted<DiffArguments>),
    /// Write the report of a publication: one page for people, with what changed and what to do
    Report(Formatted<ReportArguments>),
    /// Write a page about the project itself: lineage, columns, rules with their proofs, contracts, outputs. No data is read
    Docs(Formatted<DocsArguments>),
    /// Show the rows of a model, a source or an output: what that needs is computed, and nothing is published
    Show(ShowArguments),
    /// Answer a query in SQL over models, sources and publications
    #[command(after_help = QUERY_TABLES)]
    Query(QueryArguments),
    /// Run the project's given/expect cases in `tests/models`
    Test(Formatted<TestArguments>),
    /// Draft a contract from files: a source for the pipeline file
    Inspect(InspectArguments),
    /// List the files of a publication, also as JSON, as URLs, as a Redshift load manifest or as dbt sources
    Outputs(OutputsArguments),
    /// List or remove files that no publication needs any more; repair or adopt a destination
    Clean(Formatted<CleanArguments>),
    /// Create a project: a copy of the one that ships with Segmill, with its sample
    Init(Formatted<InitArguments>),
    /// Generate sample extracts of any size; the same seed gives the same extracts
    Generate(Formatted<GenerateArguments>),
    /// Print the JSON Schema of the pipeline file, for editors
    Schema(SchemaArguments),
    /// Print the version; with `--json` also what it is built of and which versions of files it reads and writes
    Version(Formatted<VersionArguments>),
    /// Print the script by which a shell completes commands and arguments
    Completions(CompletionsArguments),
    /// Print the manual page, or write those of all commands into a folder
    Man(ManArguments),
}

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people
    Human,
    /// One JSON document
    Json,
    /// The URLs of the files, one on each line
    Urls,
    /// The manifest for Redshift's COPY; name the table with `--table`
    Redshift,
    /// The tables as sources of dbt, in YAML
    Dbt,
}

/// The forms that every command with a result has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CommonFormat {
    /// Lines for people
    Human,
    /// One JSON document
    Json,
}

impl From<CommonFormat> for Format {
    fn from(format: CommonFormat) -> Self {
        match format {
            CommonFormat::Human => Format::Human,
            CommonFormat::Json => Format::Json,
        }
    }
}

impl From<RowsFormat> for Format {
    fn from(format: RowsFormat) -> Self {
        match format {
            RowsFormat::Json => Format::Json,
            RowsFormat::Table | RowsFormat::Csv | RowsFormat::Parquet => Format::Human,
        }
    }
}

/// The forms of a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DraftFormat {
    /// YAML on standard output, and what was found in lines for people on standard error
    Human,
    /// YAML alone
    Yaml,
    /// One JSON document
    Json,
}

impl From<DraftFormat> for Format {
    fn from(format: DraftFormat) -> Self {
        match format {
            DraftFormat::Human | DraftFormat::Yaml => Format::Human,
            DraftFormat::Json => Format::Json,
        }
    }
}

/// The arguments of a command, with the form of its result.
#[derive(Debug, Clone, Args)]
pub struct Formatted<T: Args> {
    /// The arguments of its own
    #[command(flatten)]
    pub arguments: T,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = CommonFormat::Human)]
    pub format: CommonFormat,
}

impl Command {
    /// The form of the result that was asked for.
    pub fn format(&self) -> Format {
        match self {
            Command::Run(formatted) => formatted.format.into(),
            Command::Validate(formatted) => formatted.format.into(),
            Command::Explain(formatted) => formatted.format.into(),
            Command::Plan(formatted) => formatted.format.into(),
            Command::Diff(formatted) => formatted.format.into(),
            Command::Report(formatted) => formatted.format.into(),
            Command::Test(formatted) => formatted.format.into(),
            Command::Docs(formatted) => formatted.format.into(),
            Command::Show(arguments) => arguments.look.format.into(),
            Command::Query(arguments) => arguments.look.format.into(),
            Command::Inspect(arguments) => arguments.format.into(),
            Command::Outputs(arguments) => arguments.format,
            Command::Clean(formatted) => formatted.format.into(),
            Command::Init(formatted) => formatted.format.into(),
            Command::Generate(formatted) => formatted.format.into(),
            Command::Version(formatted) if formatted.arguments.json => Format::Json,
            Command::Version(formatted) => formatted.format.into(),
            Command::Schema(_) | Command::Completions(_) | Command::Man(_) => Format::Human,
        }
    }
}

/// What `run` takes.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// The day, or the days in order
    #[command(flatten)]
    pub days: DaysArguments,
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// Publish even if nothing has changed since the day was last published
    #[arg(long)]
    pub force: bool,
    /// Write the report of the publication beside its tables: a page for people, which the commit names
    #[arg(long)]
    pub report: bool,
    /// Show what each step cost (time, bytes read, memory, bytes spilled), and the operators of the slowest steps
    #[arg(long)]
    pub timings: bool,
    /// What `--timings` was called
    #[arg(long, hide = true)]
    pub profile: bool,
    /// Write the run's record to this local file, too, even if the run fails
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "chain"])]
    pub record: Option<PathBuf>,
    /// Write metrics of the run to this local file, even if the run fails, for the textfile collector of Prometheus' node exporter
    #[arg(long, value_name = "FILE", env = METRICS_VARIABLE, hide_env_values = true)]
    pub metrics: Option<PathBuf>,
    /// Send none of the notifications of the pipeline file
    #[arg(long)]
    pub no_notify: bool,
    /// Add OpenLineage events of the run to this file, or send them to this http(s) URL instead of that in `OPENLINEAGE_URL`
    #[arg(long, value_name = "FILE_OR_URL", env = "SEGMILL_LINEAGE", hide_env_values = true)]
    pub lineage: Option<String>,
    /// Publish to this path or URL instead of the pipeline file's destination
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// The memory limit, such as `2GiB`. Tables and operators spill to disk to keep to it. At its peak the process has at most a fifth more,
    /// and 64 MiB [default: 70% of the memory of the machine or container]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub memory_limit: Option<usize>,
    /// The number of threads, at most 256 [default: the processors of the machine or container; fewer if memory is small]
    #[arg(long, value_name = "COUNT", value_parser = thread_count)]
    pub threads: Option<u16>,
    /// End the command after this time, such as `90s`, `30m` or `2h`: it publishes nothing, says which step was running, and exits with 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// What `test` takes.
#[derive(Debug, Clone, Args)]
pub struct TestArguments {
    /// The pipeline file, if the first is one that ends in `.yaml` or `.yml` (otherwise `pipelines/customer_segments.yaml`, or else
    /// the only one in `pipelines/`); then texts: only
    /// cases are run that have one of them in their model, their name or the name of their file, such as `customers` or `features.orders`
    #[arg(value_name = "PIPELINE_OR_TEXT")]
    pub names: Vec<String>,
    /// End the command after this time, such as `90s` or `30m`: it says what was running, and exits with 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// Where publications are.
#[derive(Debug, Clone, Args)]
pub struct PlaceArguments {
    /// The pipeline file that names the destination [default: `pipelines/customer_segments.yaml`, or else the only one in `pipelines/`]
    #[arg(default_value_os_t = usual_pipeline(), hide_default_value = true)]
    pub pipeline: PathBuf,
    /// Use this path or URL instead of the pipeline file's destination
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
}

/// What `outputs` takes.
#[derive(Debug, Clone, Args)]
pub struct OutputsArguments {
    /// Where
    #[command(flatten)]
    pub place: PlaceArguments,
    /// The as-of day of the publication
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: Option<NaiveDate>,
    /// The publication of the latest day; this is the default
    #[arg(long, conflicts_with = "as_of")]
    pub latest: bool,
    /// Only this table
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Write the project that the publication was made with to this new folder, instead of listing the files
    #[arg(long, value_name = "FOLDER", conflicts_with = "table")]
    pub project: Option<PathBuf>,
    /// The form of the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// What `report` takes.
#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    /// Where
    #[command(flatten)]
    pub place: PlaceArguments,
    /// The as-of day of the publication [default: the latest day that is published]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: Option<NaiveDate>,
    /// Write the page to this local file, or `-` for standard output [default: `report-DAY.html`]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The memory limit, such as `2GiB`, as of `run` [default: 70% of the memory of the machine or container]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub memory_limit: Option<usize>,
    /// The number of threads, at most 256 [default: the processors of the machine or container; fewer if memory is small]
    #[arg(long, value_name = "COUNT", value_parser = thread_count)]
    pub threads: Option<u16>,
    /// End the command after this time, such as `90s` or `30m`, and exit with 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// What `inspect` takes.
#[derive(Debug, Clone, Args)]
pub struct InspectArguments {
    /// Paths, URLs or globs in quotes. Files that are alike become one source
    #[arg(required = true, value_name = "FILE-OR-GLOB")]
    pub files: Vec<String>,
    /// The name of the source [default: from the names of the files]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = DraftFormat::Human)]
    pub format: DraftFormat,
    /// The zone of times that say none, as the pipeline's `time_zone`
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
}

/// What `clean` takes.
#[derive(Debug, Clone, Args)]
pub struct CleanArguments {
    /// Where
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Remove what is listed
    #[arg(long)]
    pub remove: bool,
    /// Mark a destination as this pipeline's, if an unreleased version of Segmill published there without a mark
    #[arg(long)]
    pub adopt: bool,
    /// Repair publications whose files are missing: restore files from copies, and withdraw the days that cannot be restored completely
    #[arg(long)]
    pub repair: bool,
    /// Protect files that were superseded, or last written by a run that has not published, within this time. It must be longer
    /// than any run or reader takes
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = grace)]
    pub grace: chrono::Duration,
}

/// What `explain` takes.
#[derive(Debug, Clone, Args)]
pub struct ExplainArguments {
    /// The project and its parameters
    #[command(flatten)]
    pub project: ProjectArguments,
    /// The as-of day: nothing that happened on it or later counts
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub as_of: NaiveDate,
    /// A customer's id or alias: explain the segments of this customer, as they were published for the day
    #[arg(long, value_name = "ID", required_unless_present = "identity", conflicts_with = "identity")]
    pub customer: Option<String>,
    /// An identifier, such as a contact number, an e-mail address, a phone number or a visitor; or a customer's id or alias:
    /// explain why it leads to its customer
    #[arg(long, value_name = "IDENTIFIER")]
    pub identity: Option<String>,
    /// With `--identity`: explain the segments of the customer that it leads to
    #[arg(long, conflicts_with = "customer")]
    pub segments: bool,
    /// Explain only this set of segments
    #[arg(long, value_name = "SET")]
    pub set: Option<String>,
    /// Explain only this segment, and in an exclusive set those above it
    #[arg(long, value_name = "NAME")]
    pub segment: Option<String>,
    /// Use this path or URL instead of the pipeline file's destination. Ids follow the publication before the day there
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// How many identifiers and edges set aside of a customer to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// The identifier's type, as the pipeline file names it [default: any]
    #[arg(long = "type", value_name = "TYPE")]
    pub identifier_type: Option<String>,
    /// Show personal values instead of masking them
    #[arg(long)]
    pub unmask: bool,
    /// End the command after this time, such as `90s` or `30m`, and exit with 75
    #[arg(long, value_name = "TIME", value_parser = some_duration, env = TIMEOUT_VARIABLE)]
    pub timeout: Option<Duration>,
}

/// What `docs` takes.
#[derive(Debug, Clone, Args)]
pub struct DocsArguments {
    /// The pipeline file [default: `pipelines/customer_segments.yaml`, or else the only one in `pipelines/`]
    #[arg(default_value_os_t = usual_pipeline(), hide_default_value = true)]
    pub pipeline: PathBuf,
    /// The file to write, which is replaced if it is there
    #[arg(long, value_name = "FILE", default_value = "project.html")]
    pub output: PathBuf,
}

/// What `init` takes.
#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// The folder to create
    pub folder: PathBuf,
}

/// What `generate` takes.
#[derive(Debug, Clone, Args)]
pub struct GenerateArguments {
    /// The folder in which to create crm, email, orders, suppression, survey and web
    pub folder: PathBuf,
    /// Write even if the folder has extracts: files of the same names are replaced, and others stay
    #[arg(long)]
    pub force: bool,
    /// The number of customers to generate, with their orders
    #[arg(long, value_name = "COUNT", required_unless_present = "orders", conflicts_with = "orders")]
    pub customers: Option<u64>,
    /// Generate the other extracts for the customers of these orders (a Parquet file with the columns of the sample's)
    #[arg(long, value_name = "FILE")]
    pub orders: Option<PathBuf>,
    /// The seed of all random choices
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

impl TestArguments {
    /// The pipeline file, and the texts that cases must have.
    pub fn pipeline_and_filters(&self) -> (PathBuf, Filters) {
        let is_file = |name: &&String| name.ends_with(".yaml") || name.ends_with(".yml");
        let pipeline = self.names.first().filter(is_file);
        let filters = self.names.iter().skip(usize::from(pipeline.is_some())).cloned().collect();
        (pipeline.map_or_else(usual_pipeline, PathBuf::from), Filters::new(filters))
    }
}

/// How much longer than any run or reader takes.
fn grace(text: &str) -> Result<chrono::Duration, String> {
    chrono::Duration::from_std(duration(text)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
