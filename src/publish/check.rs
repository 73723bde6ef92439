//! What must hold of the staged files, asked of the files as written.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::ParquetReadOptions;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Checked, Staged};
use crate::config::{Check, Severity};
use crate::engine::Engine;
use crate::error::{Error, Message, Result};
use crate::storage;

/// The most offending rows that a message shows.
const ROWS_SHOWN: usize = 3;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The check's name.
    pub check: String,
    /// What a failure does.
    pub severity: Severity,
    /// Whether it holds.
    pub passed: bool,
    /// How many rows it returned.
    pub rows: u64,
}

impl Staged {
    /// Asks every check of the files as written.
    ///
    /// # Errors
    /// [`Error::Refused`] when a check fails that must hold, naming all that do.
    pub async fn check(self, engine: &Engine, checks: &[Check]) -> Result<Checked> {
        let staging = self.0;
        let store_url = Url::parse("staged://publication").map_err(|error| Error::defect(error.to_string()))?;
        engine.context().register_object_store(&store_url, Arc::clone(&staging.destination.store));
        for (name, table) in &staging.tables {
            for file in &table.files {
                let url = format!("{store_url}/{}", staging.destination.join(&file.path));
                let registered = engine.context().register_parquet(name.as_str(), url, ParquetReadOptions::default()).await;
                registered.map_err(|error| unreadable(name, &error))?;
            }
            let rows =
                async { engine.context().table(name.as_str()).await?.count().await }.await.map_err(|error| unreadable(name, &error))?;
            if rows as u64 != table.rows {
                return Err(Error::defect(format!("the output `{name}` has {rows} rows where {} were written", table.rows)));
            }
        }
        let mut verdicts = Vec::new();
        let mut failures = Vec::new();
        for check in checks {
            let (verdict, shown) = ask(engine, check).await?;
            if !verdict.passed && check.severity == Severity::Fail {
                failures.push(format!("{}: {} rows, as\n{shown}", verdict.check, verdict.rows));
            }
            verdicts.push(verdict);
        }
        if failures.is_empty() {
            return Ok(Checked { staging, verdicts });
        }
        let what = if failures.len() == 1 {
            "a check of the outputs failed".to_owned()
        } else {
            format!("{} checks of the outputs failed", failures.len())
        };
        let message = Message { what, details: failures, hint: None };
        Err(Error::Refused(message.hint("nothing was published; look at the rows above, then at the models that made them")))
    }
}

async fn ask(engine: &Engine, check: &Check) -> Result<(Verdict, String)> {
    let asked = async { engine.query(&check.sql.value).await?.collect().await };
    let batches = asked.await.map_err(|error| {
        if let Some(error) = storage::failure_within("read back", "the staged outputs", &error) {
            return error;
        }
        Error::Refused(Message::new(format!("the check `{}` did not run: {}", check.name.value, crate::sql::discreet(&error))))
    })?;
    let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    let first: Vec<_> = batches
        .iter()
        .find(|batch| batch.num_rows() > 0)
        .map(|batch| batch.slice(0, ROWS_SHOWN.min(batch.num_rows())))
        .into_iter()
        .collect();
    let shown = pretty_format_batches(&first).map(|table| table.to_string()).unwrap_or_default();
    let verdict = Verdict { check: check.name.value.clone(), severity: check.severity, passed: rows == 0, rows: rows as u64 };
    Ok((verdict, shown))
}

fn unreadable(table: &str, error: &datafusion::error::DataFusionError) -> Error {
    let at_store = storage::failure_within("read back", &format!("the staged output `{table}`"), error);
    at_store.unwrap_or_else(|| Error::defect(format!("the output `{table}` cannot be read back: {}", error.strip_backtrace())))
}
