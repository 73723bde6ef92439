//! `segmill report`: the report of a publication, as a page.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use indicatif::HumanBytes;
use serde_json::json;
use tokio::runtime::Handle;

use super::arguments::ReportArguments;
use super::deadline::within;
use super::outputs::meant;
use super::run::limits;
use super::terminal::Terminal;
use crate::clock::Doing;
use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::engine::{Engine, Limits};
use crate::error::{Error, Result};
use crate::figures::{self, Draft, Figures};
use crate::page;
use crate::publish::{Publications, damage};
use crate::record;
use crate::storage::{self, Location, Stores};

/// Runs the command.
pub fn command(arguments: &ReportArguments, environment: &Environment, terminal: &Terminal) -> Result<()> {
    let destination = arguments.place.open(environment, &Stores::new(environment.clone()))?;
    let limits = limits(arguments.memory_limit, arguments.threads)?;
    let (doing, asked) = (Doing::default(), arguments.as_of);
    doing.begins("reading the publication");
    let read = move |runtime: &Handle| runtime.block_on(figures_of(&destination, asked, limits));
    let figures = within(arguments.timeout, limits.threads, &doing, read)?;
    let text = page::report(&figures).map_err(|error| Error::defect(error.to_string()))?;
    let file = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("report-{}.html", figures.as_of)));
    if file == Path::new("-") {
        return Terminal::print_part(text.as_bytes(), false).map(|_| ());
    }
    std::fs::write(&file, &text).map_err(|error| {
        let what = format!("cannot write {}: {}", file.display(), storage::of_system(&error));
        Error::from(Diagnostic::error("unwritable-output", what).hint("name another file with `--output`"))
    })?;
    let shown = file.display().to_string();
    terminal.give(
        || format!("The report of {}: {shown} ({})", figures.as_of, HumanBytes(text.len() as u64)),
        || json!({ "status": "written", "exit_code": 0, "as_of": figures.as_of, "file": shown, "bytes": text.len() }),
    )
}

/// The figures of the publication of a day, or of the latest one.
async fn figures_of(destination: &Location, asked: Option<NaiveDate>, limits: Limits) -> Result<Figures> {
    let seen = Publications::read(destination).await?;
    let commit = meant(&seen, destination, asked).await?;
    let kept = seen.project(&commit).await?.ok_or_else(|| {
        let what = format!("the publication as of {} keeps no project, by which its report is told", commit.as_of);
        Error::from(
            Diagnostic::error("no-kept-project", what).hint("`segmill run --force` for that day makes it anew, with today's project"),
        )
    })?;
    damage::whole(destination, &commit).await?;
    let engine = Engine::new(limits, "UTC")?;
    let record = record::of_publication(destination, &commit.run_id).await?;
    figures::of(&engine, destination, &seen, Draft { commit: &commit, kept, record }).await
}
