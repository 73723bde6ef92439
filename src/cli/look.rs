//! What the commands that look at rows have in common: where the rows go, and what is told beside them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tempfile::NamedTempFile;

use super::arguments::ProjectArguments;
use super::deadline::within;
use super::looks::{Limit, LookArguments, RowsFormat};
use super::terminal::{Reader, Terminal};
use super::text_encoding;
use crate::clock::Doing;
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::engine::{Limits, memory_at_hand};
use crate::error::{Error, Message, Result};
use crate::report::{RowFormat, RowWriter};
use crate::show::{self, Question, Seen, Setting, Take, Wanted};
use crate::shown::MASK;
use crate::storage::{self, Stores};

/// The rows of a table for people where nothing else is asked.
const ROWS_OF_A_TABLE: u64 = 20;
/// The width of a table that goes elsewhere than to a terminal.
const WIDTH: usize = 120;

/// Where and as of when to look.
///
/// # Errors
/// As [`text_encoding::of`].
pub fn setting(project: ProjectArguments, look: &LookArguments, environment: Environment) -> Result<Setting> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Setting {
        parameters: project.overrides(),
        pipeline: project.pipeline,
        as_of: look.as_of,
        destination: look.destination.clone(),
        limits: Limits { threads, memory_bytes: memory_at_hand() / 2 },
        text_encoding: text_encoding::of(&environment)?,
        environment,
    })
}

/// Looks at rows and writes them.
///
/// # Errors
/// As the look fails, or writing does.
pub fn look(setting: Setting, question: Question, look: LookArguments, terminal: &Terminal) -> Result<()> {
    let stores = Stores::new(setting.environment.clone());
    let limit = match look.limit {
        Some(Limit::Rows(rows)) => Some(rows),
        Some(Limit::All) => None,
        None => (look.format == RowsFormat::Table).then_some(ROWS_OF_A_TABLE),
    };
    let (timeout, threads) = (look.timeout, setting.limits.threads);
    let wanted = Wanted { question, limit, sample: look.sample, unmask: look.unmask, large_from_bytes: show::LARGE_BYTES };
    let mut target = Target::open(&look)?;
    let doing = Doing::default();
    doing.begins("looking at the rows");
    let seen = within(timeout, threads, &doing, move |runtime| {
        let seen = runtime.block_on(show::rows(&setting, &wanted, &stores, &mut target));
        let seen = seen.and_then(|seen| target.end(seen.has_more).map(|()| seen));
        if target.has_lost_reader { Ok(None) } else { seen.map(Some) }
    })?;
    if let Some(seen) = seen {
        tell(&seen, terminal);
    }
    Ok(())
}

/// What is told beside the rows.
fn tell(seen: &Seen, terminal: &Terminal) {
    for note in &seen.notes {
        terminal.note(&format!("note: {note}"));
    }
    if seen.is_masked {
        terminal.note(&format!("note: personal values are masked as {MASK}; `--unmask` shows them"));
    }
}

/// Where rows go.
struct Target {
    writer: Option<RowWriter>,
    is_text: bool,
    path: Option<PathBuf>,
    /// A file beside it that takes its place when all is written: whatever fails, an older file stays as it is.
    file: Option<NamedTempFile>,
    /// Whether nobody reads standard output any more, so that no more rows are wanted.
    has_lost_reader: bool,
}

impl Target {
    /// # Errors
    /// [`Error::Project`] for Parquet on a terminal.
    fn open(look: &LookArguments) -> Result<Self> {
        let format = match look.format {
            RowsFormat::Table => RowFormat::Table { width: Terminal::width().filter(|_| look.output.is_none()).unwrap_or(WIDTH) },
            RowsFormat::Csv => RowFormat::Csv,
            RowsFormat::Json => RowFormat::Json,
            RowsFormat::Parquet => RowFormat::Parquet,
        };
        if look.format == RowsFormat::Parquet && look.output.is_none() && Terminal::width().is_some() {
            let problem = Diagnostic::error("parquet-on-a-terminal", "Parquet is no text for a terminal");
            return Err(problem.hint("name a file with `--output`, or redirect the output").into());
        }
        let (writer, is_text) = (Some(RowWriter::new(format)), look.format != RowsFormat::Parquet);
        Ok(Target { writer, is_text, path: look.output.clone(), file: None, has_lost_reader: false })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match (&mut self.file, &self.path) {
            _ if bytes.is_empty() => Ok(()),
            (Some(file), Some(path)) => file.write_all(bytes).map_err(|error| unwritten(path, &error)),
            _ => match Terminal::print_part(bytes, self.is_text)? {
                Reader::Reads => Ok(()),
                // Ends the look; nothing is told of it.
                Reader::HasGone => {
                    self.has_lost_reader = true;
                    Err(Error::Unavailable(Message::new("nobody reads standard output any more")))
                }
            },
        }
    }

    fn end(&mut self, has_more: bool) -> Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        self.put(&writer.end(has_more)?)?;
        match (self.file.take(), &self.path) {
            (Some(file), Some(path)) => file.persist(path).map(drop).map_err(|error| unwritten(path, &error.error)),
            _ => Ok(()),
        }
    }
}

impl Take for Target {
    fn begin(&mut self, schema: &SchemaRef) -> Result<()> {
        if let Some(path) = &self.path {
            self.file = Some(beside(path).map_err(|error| unwritten(path, &error))?);
        }
        let bytes = self.writer.as_mut().map(|writer| writer.begin(&Arc::clone(schema))).transpose()?;
        self.put(&bytes.unwrap_or_default())
    }

    fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        let bytes = self.writer.as_mut().map(|writer| writer.rows(rows)).transpose()?;
        self.put(&bytes.unwrap_or_default())
    }
}

/// A new file in the folder of another one, which whoever may read new files may read.
pub fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".segmill-").tempfile_in(folder)
}

/// Tells that a file could not be written.
pub fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    let message = Message::new(format!("{} was not written: {}", path.display(), storage::of_system(error)));
    Error::Unavailable(message.hint("name another file with `--output`, or free some space"))
}
