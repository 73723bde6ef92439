//! Copies of published tables in tables of Delta Lake, made after the commit, which stays what counts.
//!
//! Each output has a table `LOCATION/OUTPUT`, partitioned by `as_of`. A day is one version of its log: what was there of the day goes, and
//! the publication's file comes. The version names the publication's number (see `delta/table.rs`), so a run that finds a table behind
//! brings it up to date, whatever the run was for.
//!
//! ```text
//! OUTPUT/as_of=DAY/RUN_ID.parquet               a copy of the publication's file; no part of the table until a version names it
//! OUTPUT/_delta_log/00000000000000000007.json   a version, created only if it is not there
//! OUTPUT/_delta_log/….checkpoint.parquet        the state at every tenth version, for readers
//! ```

mod actions;
mod checkpoint;
mod files;
mod log;
mod review;
mod schema;
mod state;
mod statistics;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::{StreamExt, stream};

use super::destination::{self, reads_own};
use super::marker::Marker;
use crate::config::{DeltaCopies, Project};
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::storage::{Location, READ_ONLY, Stores};
use log::Log;
pub use review::problems;
pub use table::CopiedTable;
use table::{APPLICATION, Table};

/// Tables that are brought up to date at once.
const CONCURRENCY: usize = 8;

/// The tables of Delta Lake that a destination is copied to.
#[derive(Debug)]
pub struct Copies {
    location: Location,
    tables: Vec<String>,
    meanings: BTreeMap<(String, String), String>,
}

impl Copies {
    /// The copies that a pipeline file asks for. `meanings` says by output and column what it means.
    ///
    /// # Errors
    /// [`Error::Project`] when the location cannot be used, or a source would read the copies.
    pub fn of(
        project: &Project,
        copies: &DeltaCopies,
        destination: &Location,
        meanings: BTreeMap<(String, String), String>,
        stores: &Stores,
    ) -> Result<Self> {
        let location = stores.open(&copies.location.value, &project.root)?;
        let unfit = |why: &str| {
            let what = format!("{} is no place for Delta tables: {why}", location.shown(&location.folder()));
            let hint = "name a folder of its own under `outputs: delta: location:`, such as `tables` or `s3://bucket/tables`";
            Error::from(Diagnostic::error("unusable-delta-location", what).hint(hint))
        };
        if location.is_read_only {
            return Err(unfit(READ_ONLY));
        }
        if location.is_local() && location.path.is_empty() {
            return Err(unfit("it is the root of the file system, perhaps because a variable is not set"));
        }
        let [here, there] = [&location, destination].map(|place| format!("{}/", place.url(&place.folder()).trim_end_matches('/')));
        if here.starts_with(&there) {
            return Err(unfit("it lies at the destination, where Segmill keeps files of its own"));
        }
        let tables: Vec<String> = review::tables(project, copies).into_iter().map(str::to_owned).collect();
        // VACUUM removes what a table's folder has and its log does not name.
        if let Some(table) = tables.iter().find(|table| there.starts_with(&format!("{here}{table}/"))) {
            return Err(unfit(&format!("the destination lies in the folder of the table `{table}`")));
        }
        Ok(Copies { location, tables, meanings })
    }

    /// Refuses sources that would read the copies of some days.
    ///
    /// # Errors
    /// [`Error::Project`] naming every such source.
    pub fn refuse_own(&self, project: &Project, days: &BTreeSet<NaiveDate>, stores: &Stores) -> Result<()> {
        let mut problems = Vec::new();
        for (name, source) in &project.pipeline.sources {
            let read = stores.glob(&source.location.value, &project.root)?;
            let copies = self.tables.iter().flat_map(|table| {
                days.iter().map(move |day| format!("{table}/as_of={day}/{day}-20000101T000000Z-0000000000000000.parquet"))
            });
            if let Some(table) = self.tables.iter().find(|table| read.is_below(&self.location, &self.location.join(table))) {
                problems.push(reads_own(project, name, source).label(format!("lies in the folder of the Delta table `{table}`")));
                continue;
            }
            if let Some(own) = copies.into_iter().find(|path| read.matches(&self.location, &self.location.join(path))) {
                problems.push(reads_own(project, name, source).label(format!("matches `{own}` among the copies in Delta Lake")));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Project(problems)) }
    }

    /// Brings every table up to date with what is published. Where some cannot be, the others are all the same.
    ///
    /// # Errors
    /// [`Error::Project`] when somebody must change something; otherwise as one of the stores fails.
    pub async fn bring_up_to_date(&self, destination: &Location, run_id: &str) -> Result<Vec<CopiedTable>> {
        let Some(marker) = Marker::read(destination).await? else { return Ok(Vec::new()) };
        let app_id = format!("{APPLICATION}{}", marker.id);
        let table =
            |table| Table { log: Log { location: &self.location, table }, destination, app_id: &app_id, run_id, meanings: &self.meanings };
        let copying = self.tables.iter().map(|name| async move { table(name).bring_up_to_date().await });
        let copied: Vec<Result<CopiedTable>> = stream::iter(copying).buffered(CONCURRENCY).collect().await;
        let (mut done, mut problems, mut failure) = (Vec::new(), Vec::new(), None);
        for copied in copied {
            match copied {
                Ok(copied) => done.push(copied),
                Err(Error::Project(found)) => problems.extend(found),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !problems.is_empty() {
            return Err(Error::Project(problems));
        }
        failure.map_or(Ok(done), Err)
    }
}

/// The codes of what somebody must change before a table can be copied to.
const OF_TABLES: [&str; 4] = ["delta-column-type", "delta-table-ahead", "foreign-delta-table", "unreadable-delta-table"];

/// Whether an error says that copies are behind, for reasons that somebody must change. The publication stands, and other days can be published.
pub fn is_behind(error: &Error) -> bool {
    matches!(error, Error::Project(problems) if !problems.is_empty() && problems.iter().all(|problem| OF_TABLES.contains(&problem.code)))
}

/// Whether the destination of a run is the one that the pipeline file names. The copies follow that one alone.
///
/// # Errors
/// [`Error::Project`] when that one cannot be understood.
pub fn is_followed(project: &Project, destination: &Location, stores: &Stores) -> Result<bool> {
    let named = destination::destination(None, project, stores)?;
    Ok(named.url(&named.folder()) == destination.url(&destination.folder()))
}
