//! Runs the checks of the pipeline file on the staged files, as they were written.

mod checker;
mod drift;
mod offending;
mod outcome;
mod personal;
mod review;

pub use outcome::{CheckOutcome, CheckResult};
pub use personal::Personal;
pub use review::{Output, problems};

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::prelude::ParquetReadOptions;
use url::Url;

use super::staging::{Checked, Staged, Staging};
use super::{commit, damage};
use crate::config::{Check, Pipeline, Severity};
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::manifest::WrittenFile;
use crate::storage::{self, Below};
use checker::Checker;
use outcome::EARLIER;

/// All tables of a run, and the results of their checks.
pub struct CheckReport {
    staging: Staging,
    check_results: Vec<CheckResult>,
    /// The failed checks that refuse the run, for people.
    failures: Vec<String>,
}

impl Staged {
    /// Sets the values of the parameters that queries of checks read as `$name`.
    pub fn with_parameters(self, parameters: BTreeMap<String, ScalarValue>) -> Self {
        Staged { parameters, ..self }
    }

    /// Runs every check on the files as written.
    ///
    /// # Errors
    /// [`Error::Refused`] when a check fails to run on these rows.
    pub async fn check(self, engine: &Engine, pipeline: &Pipeline) -> Result<CheckReport> {
        let files: Vec<crate::manifest::DataFile> = self.staging.tables.values().flat_map(|table| table.files.clone()).collect();
        let destination = self.staging.destination.clone();
        let report = self.run_checks(engine, pipeline).await;
        if report.is_err() {
            // If files are gone, that is the cause, whatever the error says.
            commit::still_there(&destination, files.iter().map(WrittenFile::from)).await?;
        }
        report
    }

    async fn run_checks(self, engine: &Engine, pipeline: &Pipeline) -> Result<CheckReport> {
        let Staged { staging, parameters } = self;
        register(engine, &staging).await?;
        let compares = pipeline.checks.iter().any(|check| check.change.is_some());
        let (earlier, damaged) = match if compares { earlier(engine, &staging).await } else { Ok(None) } {
            // Damage of an earlier day does not prevent this day from being published.
            Err(error) if damage::is_damage(&error) => (None, true),
            earlier => (earlier?, false),
        };
        let personal = Personal::of(pipeline);
        let checker = Checker { engine, pipeline, staging: &staging, parameters: &parameters, personal, earlier, damaged };
        let mut check_results = Vec::new();
        let mut failures = Vec::new();
        for check in &pipeline.checks {
            let finding = checker.run(check).await?;
            let kept_in = match &finding.offending {
                Some(rows) => rows.keep(&staging, check.name.shown()).await?,
                None => None,
            };
            if finding.outcome == CheckOutcome::Failed && check.severity == Severity::Fail {
                failures.push(failure(check, &finding, kept_in.as_deref()));
            }
            check_results.push(CheckResult {
                check: check.name.shown().to_owned(),
                kind: check.question().map(|question| question.kind()).unwrap_or_default().to_owned(),
                severity: check.severity,
                outcome: finding.outcome,
                rows: finding.offending.as_ref().map_or(0, |rows| rows.count),
                found: finding.found,
                rows_kept_in: kept_in,
            });
        }
        Ok(CheckReport { staging, check_results, failures })
    }
}

impl CheckReport {
    /// The result of every check.
    pub fn check_results(&self) -> &[CheckResult] {
        &self.check_results
    }

    /// The tables as checked.
    ///
    /// # Errors
    /// [`Error::Refused`] when a check failed that must hold, naming all that did.
    pub fn passed(self) -> Result<Checked> {
        let CheckReport { staging, check_results, failures } = self;
        if failures.is_empty() {
            return Ok(Checked { staging, check_results });
        }
        let what = if failures.len() == 1 {
            "a check of the outputs failed".to_owned()
        } else {
            format!("{} checks of the outputs failed", failures.len())
        };
        let message = Message::new(what).details(failures);
        Err(Error::Refused(message.hint("nothing was published; look at what the checks found, then at the models that made it")))
    }
}

/// The message of a failed check: what was found, the first rows, and where the other rows are.
fn failure(check: &Check, finding: &checker::Finding, kept_in: Option<&str>) -> String {
    let mut told = format!("{}: {}", check.name.shown(), finding.found);
    if let Some(rows) = finding.offending.as_ref().and_then(offending::Offending::shown) {
        let indented: String = rows.lines().map(|line| format!("\n    {line}")).collect();
        told += &format!("; for example{indented}");
    }
    if let Some(place) = kept_in {
        told += &format!("\n    kept in {place}");
    }
    told
}

/// Makes the staged files readable under their tables' names, and verifies their numbers of rows.
async fn register(engine: &Engine, staging: &Staging) -> Result<()> {
    let store_url = store_url()?;
    // Paths below the destination are plain, but the destination's own path may contain what the engine takes for wildcards.
    engine.context().register_object_store(&store_url, Arc::new(Below::new(&staging.destination)));
    for (name, table) in &staging.tables {
        for file in &table.files {
            let url = format!("{store_url}/{}", file.path);
            let registered = engine.context().register_parquet(name.as_str(), url, ParquetReadOptions::default()).await;
            registered.map_err(|error| unreadable(name, &error))?;
        }
        let rows = async { engine.context().table(name.as_str()).await?.count().await }.await.map_err(|error| unreadable(name, &error))?;
        if rows as u64 != table.rows {
            return Err(Error::defect(format!("the output `{name}` has {rows} rows where {} were written", table.rows)));
        }
    }
    Ok(())
}

/// The publication of the nearest earlier day, its tables readable under [`EARLIER`].
async fn earlier(engine: &Engine, staging: &Staging) -> Result<Option<crate::manifest::Commit>> {
    let Some(commit) = staging.seen.before(staging.as_of).await? else { return Ok(None) };
    // A plan stages its tables elsewhere.
    let destination = &staging.seen.destination;
    damage::whole(destination, &commit).await?;
    let store_url = Url::parse("published://publication").map_err(|error| Error::defect(error.to_string()))?;
    engine.context().register_object_store(&store_url, Arc::new(Below::new(destination)));
    for (name, table) in &commit.tables {
        let urls: Vec<String> = table.files.iter().map(|file| format!("{store_url}/{}", file.path)).collect();
        let frame = engine.context().read_parquet(urls, ParquetReadOptions::default()).await;
        let frame = frame.map_err(|error| {
            if let Some(error) = storage::failure_within("read", &format!("`{name}` of publication {}", commit.number), &error) {
                return error;
            }
            let what = format!("the table `{name}` of publication {} cannot be read: {}", commit.number, crate::sql::discreet(&error));
            Error::Refused(Message::new(what).hint("checks of change compare with it; restore its files, or leave those checks out"))
        })?;
        engine.register(&format!("{EARLIER}.{name}"), frame.into_view())?;
    }
    Ok(Some(commit))
}

fn store_url() -> Result<Url> {
    Url::parse("staged://publication").map_err(|error| Error::defect(error.to_string()))
}

fn unreadable(table: &str, error: &datafusion::error::DataFusionError) -> Error {
    let at_store = storage::failure_within("read back", &format!("the staged output `{table}`"), error);
    at_store.unwrap_or_else(|| Error::defect(format!("the output `{table}` cannot be read back: {}", crate::sql::discreet(error))))
}
