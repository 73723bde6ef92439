//! `segmill diff`: two publications compared.

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use tempfile::NamedTempFile;
use tokio::runtime::Handle;

use super::arguments::PlaceArguments;
use super::comparisons::DiffArguments;
use super::deadline::within;
use super::terminal::Terminal;
use crate::clock::Doing;
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::diff::{self, Known, Question, Side};
use crate::error::{Error, Message, Result};
use crate::manifest::Commit;
use crate::publish::Publications;
use crate::report::{self, RowFormat, RowWriter};
use crate::segments::movement::Comparison;
use crate::shown;
use crate::storage::{self, Location, Stores};

/// Runs the command.
pub fn command(arguments: DiffArguments, environment: &Environment, terminal: &Terminal) -> Result<()> {
    let format = arguments.customers.as_deref().map(format_of).transpose()?;
    let destination = PlaceArguments { pipeline: arguments.pipeline.clone(), destination: arguments.destination.clone() }
        .open(environment, &Stores::new(environment.clone()))?;
    let (doing, timeout) = (Doing::default(), arguments.timeout);
    doing.begins("comparing the publications");
    let asked = move |runtime: &Handle| runtime.block_on(answer(&arguments, &destination, format));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let DiffAnswer { comparison, is_turned } = within(timeout, threads, &doing, asked)?;
    if is_turned {
        terminal.note("the later day was named first: the days are compared in their order");
    }
    terminal.give(|| report::human_diff(&comparison), || report::json_diff(&comparison))
}

struct DiffAnswer {
    comparison: Comparison,
    /// Whether the later day was named first.
    is_turned: bool,
}

async fn answer(arguments: &DiffArguments, destination: &Location, format: Option<RowFormat>) -> Result<DiffAnswer> {
    let [first, second] = arguments.days[..] else { return Err(Error::argument("no-days", "name two days")) };
    if first == second {
        return Err(Error::argument("same-day", format!("{first} is compared with itself: name two days")));
    }
    let (is_turned, [earlier, later]) = if second < first { (true, [second, first]) } else { (false, [first, second]) };
    let seen = Publications::read(destination).await?;
    let (from, to) = (published(&seen, destination, earlier).await?, published(&seen, destination, later).await?);
    let mut customers = match (&arguments.customers, format) {
        (Some(file), Some(format)) => Some(CustomersFile::create(file, format)?),
        _ => None,
    };
    let question = Question {
        from: Side { seen: &seen, commit: &from },
        to: Side { seen: &seen, commit: &to },
        set: arguments.set.as_deref(),
        causes: Known::Published,
    };
    let comparison = diff::compare(question, &mut |rows| customers.as_mut().map_or(Ok(()), |file| file.add(rows))).await?;
    if let Some(file) = customers {
        file.end(&comparison)?;
    }
    Ok(DiffAnswer { comparison, is_turned })
}

async fn published(seen: &Publications, destination: &Location, as_of: NaiveDate) -> Result<Commit> {
    if let Some(commit) = seen.of(as_of).await? {
        return Ok(commit);
    }
    let what = format!("nothing as of {as_of} is published in {}", destination.shown(&destination.folder()));
    let days = seen.by_day();
    let nearest = days.range(..as_of).next_back().or_else(|| days.range(as_of..).next());
    let hint = nearest.map_or_else(
        || format!("`segmill run --as-of {as_of}` publishes it"),
        |(day, _)| format!("the nearest day that is published is {day}"),
    );
    Err(Diagnostic::error("not-published", what).hint(hint).into())
}

/// The form of a file of customers, by its name.
fn format_of(file: &Path) -> Result<RowFormat> {
    match file.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Ok(RowFormat::Csv),
        Some("parquet") => Ok(RowFormat::Parquet),
        _ => {
            let what = format!("{} ends neither in `.parquet` nor in `.csv`", shown::name(&file.to_string_lossy()));
            Err(Error::argument("unknown-form", what))
        }
    }
}

/// The file of customers, which takes its name when it is complete.
struct CustomersFile {
    path: PathBuf,
    file: NamedTempFile,
    writer: RowWriter,
    has_begun: bool,
}

impl CustomersFile {
    fn create(path: &Path, format: RowFormat) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() {
            return Err(unwritten(path, &std::io::ErrorKind::IsADirectory.into()));
        }
        let file = NamedTempFile::new_in(folder).map_err(|error| unwritten(path, &error))?;
        Ok(CustomersFile { path: path.to_owned(), file, writer: RowWriter::new(format), has_begun: false })
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut bytes = if self.has_begun { Vec::new() } else { self.writer.begin(&rows.schema())? };
        self.has_begun = true;
        bytes.extend(self.writer.rows(rows)?);
        self.file.write_all(&bytes).map_err(|error| unwritten(&self.path, &error))
    }

    fn end(mut self, comparison: &Comparison) -> Result<()> {
        let mut bytes = Vec::new();
        if !self.has_begun {
            bytes = self.writer.begin(&diff::customers_schema(comparison.movement.revenue.as_ref()))?;
        }
        bytes.extend(self.writer.end(false)?);
        self.file.write_all(&bytes).map_err(|error| unwritten(&self.path, &error))?;
        self.file.persist(&self.path).map(|_| ()).map_err(|error| unwritten(&self.path, &error.error))
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    let what = format!("{} was not written: {}", shown::name(&path.to_string_lossy()), storage::of_system(error));
    Error::Unavailable(Message::new(what).hint("free some space, or name another file"))
}
