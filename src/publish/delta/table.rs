//! Brings one Delta table up to date with the publications, a day at a time.
//!
//! The log itself says what is done. Every version that Segmill writes carries `txn`: the destination, and the number of the publication.
//! Days are copied in the order of their numbers, so a day with a number that is not higher than that of `txn` is done. A version is made
//! from one state of the log and becomes the next one, or none: then the log is read again. Publications are read after the log. So an
//! older publication never replaces a newer one, whoever copies at the same time, and a copy that died is done by whoever comes next.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::actions::{Add, Format, Line, Metadata, Transaction};
use super::log::Log;
use super::schema::{self, Former};
use super::state::{AS_OF, State};
use super::{files, statistics};
use crate::clock;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Message, Result};
use crate::manifest::{Commit, DataFile};
use crate::publish::publications::Publications;
use crate::publish::{damage, lookup};
use crate::storage::{self, Location};

/// What the names of Segmill's destinations begin with among the applications of a log.
pub const APPLICATION: &str = "segmill:";

/// The setting that keeps which columns a table had, whose older files may have values of them.
const FORMER: &str = "segmill.formerColumns";

/// How often a table is tried again because another writer was quicker.
const MAX_CONFLICTS: usize = 100;

/// A table that is brought up to date.
pub struct Table<'a> {
    /// Its log.
    pub log: Log<'a>,
    /// Where the publications are.
    pub destination: &'a Location,
    /// The name of the destination among the applications of the log.
    pub app_id: &'a str,
    /// The run that copies.
    pub run_id: &'a str,
    /// By table and column, what it means.
    pub meanings: &'a BTreeMap<(String, String), String>,
}

/// A table of Delta Lake that is up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopiedTable {
    /// The output.
    pub table: String,
    /// Where the table is.
    pub location: String,
    /// The version of its log; none where no publication has the output.
    pub version: Option<u64>,
    /// How many versions were written to bring it up to date.
    pub versions_written: u64,
}

/// What the next version does.
enum Step {
    /// Replaces a day's rows by those of a publication; by none where it does not have the table.
    Replace { commit: Box<Commit>, file: Option<DataFile> },
    /// Removes the rows of days that are not published any more, as of the newest commit.
    Withdraw { number: u64, published: BTreeSet<NaiveDate> },
}

impl Table<'_> {
    /// Brings the table up to date.
    ///
    /// # Errors
    /// [`Error::Project`] when the table is not Segmill's, or rows cannot be added to it; otherwise as one of the stores fails.
    pub async fn bring_up_to_date(&self) -> Result<CopiedTable> {
        let (mut state, mut versions, mut conflicts) = (self.log.read().await?, 0, 0);
        let mut left_out = BTreeSet::new();
        loop {
            self.admit(&state)?;
            let Some(step) = self.next_step(&state, &mut left_out).await? else {
                let (table, location) = (self.log.table.to_owned(), self.log.shown());
                return Ok(CopiedTable { table, location, version: state.version, versions_written: versions });
            };
            let (version, now_ms) = (state.next_version(), clock::now().timestamp_millis());
            let Some((info, lines)) = self.lines(&state, &step, now_ms, &mut left_out).await? else { continue };
            if self.log.create(version, text(&info, &lines)?).await? {
                state.apply(version, lines);
                versions += 1;
                self.log.checkpoint(&state, now_ms).await;
                continue;
            }
            conflicts += 1;
            if conflicts > MAX_CONFLICTS {
                let message = Message::new(format!("{} is changed by others so often that no version could be added", self.log.shown()));
                return Err(Error::Unavailable(message.hint("run again when they are done")));
            }
            state = self.log.read().await?;
        }
    }

    /// Refuses a table that is not the destination's own, or that demands what Segmill does not do.
    fn admit(&self, state: &State) -> Result<()> {
        let Some(metadata) = state.metadata.as_ref().filter(|_| state.version.is_some()) else {
            return if state.version.is_none() { Ok(()) } else { Err(self.log.unreadable("its log does not say which columns it has")) };
        };
        if !state.transactions.contains_key(self.app_id) {
            let other = state.transactions.keys().any(|app_id| app_id.starts_with(APPLICATION));
            let whose = if other { "another destination of Segmill is copied to it" } else { "Segmill did not make it" };
            return Err(self.foreign(whose));
        }
        if metadata.partition_columns != [AS_OF] {
            return Err(self.foreign(&format!("it is not partitioned by `{AS_OF}`")));
        }
        if let Some(unknown) = state.protocol.as_ref().and_then(schema::unknown_demands) {
            return Err(self.log.unreadable(&format!("it demands {unknown}, which Segmill does not know")));
        }
        let appends_only = metadata.configuration.get("delta.appendOnly").is_some_and(|value| value.as_deref() == Some("true"));
        if appends_only {
            return Err(self.log.unreadable("`delta.appendOnly` is set, and a day that is published again replaces its rows"));
        }
        Ok(())
    }

    fn foreign(&self, why: &str) -> Error {
        Diagnostic::error("foreign-delta-table", format!("{} is a Delta table, but {why}; it was not touched", self.log.shown()))
            .hint("copy to a location of its own (`outputs: delta: location:`), or move that table away")
            .into()
    }

    /// What is to be done next; nothing where the table is up to date.
    async fn next_step(&self, state: &State, left_out: &mut BTreeSet<u64>) -> Result<Option<Step>> {
        let known = Publications::read(self.destination).await?;
        let done = state.done_by(self.app_id);
        let by_day = known.by_day();
        let mut due: Vec<(u64, NaiveDate)> = by_day.iter().map(|(day, number)| (*number, *day)).collect();
        due.retain(|(number, _)| *number > done && !left_out.contains(number));
        due.sort_unstable();
        for (number, day) in due {
            let commit = match known.of(day).await {
                Err(error) if damage::is_damage(&error) => {
                    tracing::warn!("{day} is not copied to {}: {error}", self.log.shown());
                    left_out.insert(number);
                    continue;
                }
                commit => commit?,
            };
            let Some(commit) = commit else { continue };
            let file = commit.tables.get(self.log.table).and_then(|table| table.files.first()).cloned();
            if file.is_some() || !state.files_of(day).is_empty() {
                return Ok(Some(Step::Replace { commit: Box::new(commit), file }));
            }
        }
        let is_over = |day| !by_day.contains_key(&day);
        let is_to_go = !state.files_where(is_over).is_empty();
        Ok(is_to_go.then(|| Step::Withdraw { number: known.newest_number(), published: by_day.into_keys().collect() }))
    }

    /// The lines of the next version, after the one that says what it is. None where a publication is damaged, which is left out.
    async fn lines(&self, state: &State, step: &Step, now_ms: i64, left_out: &mut BTreeSet<u64>) -> Result<Option<(Value, Vec<Line>)>> {
        let done = |number: u64| Transaction {
            app_id: self.app_id.to_owned(),
            version: i64::try_from(number).unwrap_or(i64::MAX),
            last_updated: Some(now_ms),
        };
        let info = |operation: &str, parameters: Value| {
            json!({ "commitInfo": {
                "timestamp": now_ms,
                "operation": operation,
                "operationParameters": parameters,
                "isBlindAppend": false,
                "engineInfo": format!("segmill/{}", env!("CARGO_PKG_VERSION")),
                // Makes the version differ from any other that somebody writes.
                "segmill": { "copiedBy": self.run_id },
            } })
        };
        let gone = |files: Vec<&Add>| files.into_iter().map(|file| file.removed_at(now_ms).into()).collect::<Vec<Line>>();
        match step {
            Step::Withdraw { number, published } => {
                let mut lines = vec![done(*number).into()];
                lines.extend(gone(state.files_where(|day| !published.contains(&day))));
                Ok(Some((info("DELETE", json!({ "predicate": "[]" })), lines)))
            }
            Step::Replace { commit, file: None } => {
                let mut lines = vec![done(commit.number).into()];
                lines.extend(gone(state.files_of(commit.as_of)));
                Ok(Some((info("DELETE", json!({ "predicate": format!("[\"{AS_OF} = '{}'\"]", commit.as_of) })), lines)))
            }
            Step::Replace { commit, file: Some(file) } => {
                let Some((described, add)) = self.copied(state, commit, file, now_ms).await? else {
                    tracing::warn!("{} is not copied to {}: a file of its publication is gone", commit.as_of, self.log.shown());
                    left_out.insert(commit.number);
                    return Ok(None);
                };
                let before = state.files_of(commit.as_of).into_iter().filter(|file| file.path != add.path).collect();
                let mut lines = described;
                lines.push(done(commit.number).into());
                lines.extend(gone(before));
                lines.push(add.into());
                let partitions = json!([AS_OF]).to_string();
                let predicate = format!("{AS_OF} = '{}'", commit.as_of);
                Ok(Some((info("WRITE", json!({ "mode": "Overwrite", "partitionBy": partitions, "predicate": predicate })), lines)))
            }
        }
    }

    /// Copies the file of a publication: what it changes about the columns, and the file itself. None where the file is gone and the
    /// publication still names it.
    async fn copied(&self, state: &State, commit: &Commit, file: &DataFile, now_ms: i64) -> Result<Option<(Vec<Line>, Add)>> {
        let from = self.destination.join(&file.path);
        let shown = self.destination.shown(&from);
        let footer = match lookup::footer(&self.destination.store, &from, file.bytes).await {
            Ok(footer) => footer,
            Err(error) => return self.unless_damaged(commit, &from, storage::broken("read", &shown, &error)).await,
        };
        // The types of the file itself, not those that a reader of Arrow is told besides.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let read = ArrowReaderMetadata::try_new(footer, options).map_err(|error| storage::broken("read", &shown, &error))?;
        let described = self.described(state, commit, &read, now_ms)?;
        let path = format!("{AS_OF}={}/{}.parquet", commit.as_of, commit.run_id);
        let Some(modification_time) = files::copy(self.destination, file, self.log.location, &self.log.path(&path)).await? else {
            return self.unless_damaged(commit, &from, files::gone(&shown)).await;
        };
        let personal = commit.tables.get(self.log.table).and_then(|table| table.personal_columns.as_ref());
        let tag = |name: &str, value: String| (format!("segmill.{name}"), Some(value));
        let add = Add {
            path,
            partition_values: BTreeMap::from([(AS_OF.to_owned(), Some(commit.as_of.to_string()))]),
            size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
            modification_time,
            data_change: true,
            stats: Some(statistics::of(&read, file.rows, personal)),
            tags: Some(BTreeMap::from([tag("publication", commit.number.to_string()), tag("runId", commit.run_id.clone())])),
        };
        Ok(Some((described, add)))
    }

    /// None where the publication of the day is still this one and its file is not there: then it is damaged.
    async fn unless_damaged<T>(&self, commit: &Commit, path: &Path, error: Error) -> Result<Option<T>> {
        use object_store::ObjectStoreExt;

        let is_gone = matches!(self.destination.store.head(path).await, Err(object_store::Error::NotFound { .. }));
        let is_live = Publications::read(self.destination).await?.number_of(commit.as_of) == Some(commit.number);
        if is_gone && is_live { Ok(None) } else { Err(error) }
    }

    /// The lines that say which columns the table has from now on; none where they stay.
    fn described(&self, state: &State, commit: &Commit, file: &ArrowReaderMetadata, now_ms: i64) -> Result<Vec<Line>> {
        let table = self.log.table;
        if let Some((column, why)) = schema::unfit(file.schema()) {
            return Err(super::review::unfit_column(table, &column, &why).into());
        }
        let columns = schema::columns(file.schema(), |column| self.meanings.get(&(table.to_owned(), column.to_owned())).cloned());
        let schema_string = columns.to_string();
        let (Some(before), Some(protocol)) = (&state.metadata, &state.protocol) else {
            let format = Format { provider: "parquet".to_owned(), options: BTreeMap::new() };
            let metadata = Metadata {
                id: id(&[self.app_id, self.run_id, table, &self.log.shown()]),
                name: Some(table.to_owned()),
                description: None,
                format,
                schema_string,
                partition_columns: vec![AS_OF.to_owned()],
                configuration: BTreeMap::new(),
                created_time: Some(now_ms),
            };
            return Ok(vec![schema::protocol(&columns).into(), metadata.into()]);
        };
        let known: Value = serde_json::from_str(&before.schema_string).unwrap_or_default();
        if known == columns {
            return Ok(Vec::new());
        }
        let mut metadata = Metadata { schema_string, ..before.clone() };
        // If no older file stays, there is nothing that the columns must agree with.
        let stays = state.files.len() > state.files_of(commit.as_of).len();
        let former: Former =
            before.configuration.get(FORMER).and_then(|text| serde_json::from_str(text.as_deref()?).ok()).unwrap_or_default();
        let former = if stays {
            schema::changed(&known, &former, &columns).map_err(|retyped| self.refused(commit, &retyped))?
        } else {
            Former::new()
        };
        metadata.configuration.remove(FORMER);
        if !former.is_empty() {
            metadata.configuration.insert(FORMER.to_owned(), Some(json!(former).to_string()));
        }
        let after = schema::protocol_after(protocol, &columns);
        let changed = (after != *protocol).then(|| after.into());
        Ok(changed.into_iter().chain([metadata.into()]).collect())
    }

    fn refused(&self, commit: &Commit, retyped: &schema::Retyped) -> Error {
        let schema::Retyped { column, before, after } = retyped;
        let what = format!(
            "{} cannot take {}: the column `{column}` is {after} there and {before} in the days before, and readers cannot read both",
            self.log.shown(),
            commit.as_of
        );
        let hint = format!(
            "give the column another name, or publish its old type again; or publish every day with the new type and then remove the folder `{}` \
             there: the next run copies all days anew",
            self.log.table
        );
        Diagnostic::error("delta-column-type", what).hint(hint).into()
    }
}

/// A version of the log as text.
fn text(info: &Value, lines: &[Line]) -> Result<Vec<u8>> {
    let mut text = info.to_string();
    for line in lines {
        let line = serde_json::to_string(line).map_err(|error| Error::defect(format!("a line of a log was not written: {error}")))?;
        text.push('\n');
        text.push_str(&line);
    }
    text.push('\n');
    Ok(text.into_bytes())
}

/// An id that differs from those of other tables.
fn id(of: &[&str]) -> String {
    let digest = Sha256::digest(of.join("\n"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
