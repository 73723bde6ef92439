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

/// The setting that keeps which publications were left out because they are damaged.
const LEFT_OUT: &str = "segmill.leftOut";

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
    /// Removes the rows of days that are not published any more; publications up to a number are copied, as before.
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
            if state.version.is_none()
                && let Some(path) = self.log.foreign_file().await?
            {
                return Err(self.occupied(&path));
            }
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

    fn occupied(&self, path: &Path) -> Error {
        let what = format!("{} has files that are no copies, such as {}", self.log.shown(), self.log.location.shown(path));
        Diagnostic::error("foreign-delta-table", what)
            .hint("a Delta table takes everything in its folder for its own: copy to a location of its own (`outputs: delta: location:`)")
            .into()
    }

    /// What is to be done next; nothing where the table is up to date.
    async fn next_step(&self, state: &State, left_out: &mut BTreeSet<u64>) -> Result<Option<Step>> {
        let known = Publications::read(self.destination).await?;
        let done = state.done_by(self.app_id);
        if done > known.newest_number() {
            return Err(self.ahead(done, known.newest_number()));
        }
        let by_day = known.by_day();
        // First, so that nothing holds up what is withdrawn.
        let is_over = |day| !by_day.contains_key(&day);
        if !state.files_where(is_over).is_empty() {
            return Ok(Some(Step::Withdraw { number: done, published: by_day.into_keys().collect() }));
        }
        let earlier = left_out_before(state);
        let mut due: Vec<(u64, NaiveDate)> = by_day.iter().map(|(day, number)| (*number, *day)).collect();
        due.retain(|(number, _)| (*number > done || earlier.contains(number)) && !left_out.contains(number));
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
        Ok(None)
    }

    fn ahead(&self, done: u64, newest: u64) -> Error {
        let what = format!(
            "{} has publication number {done}, and the newest at {} is number {newest}",
            self.log.shown(),
            self.destination.shown(&self.destination.folder())
        );
        let hint = format!(
            "was the destination restored from a backup? Remove the folder `{}` of the table: the next run copies every published day anew",
            self.log.table
        );
        Diagnostic::error("delta-table-ahead", what).hint(hint).into()
    }

    /// The lines of the next version, after the one that says what it is. None where a publication is damaged, which is left out.
    async fn lines(&self, state: &State, step: &Step, now_ms: i64, left_out: &mut BTreeSet<u64>) -> Result<Option<(Value, Vec<Line>)>> {
        // One that was left out and is copied later has a lower number than others that are.
        let done = |number: u64| Transaction {
            app_id: self.app_id.to_owned(),
            version: i64::try_from(number.max(state.done_by(self.app_id))).unwrap_or(i64::MAX),
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
                lines.extend(still_left_out(state, state.metadata.as_ref(), commit.number, left_out).map(Line::from));
                lines.extend(gone(state.files_of(commit.as_of)));
                Ok(Some((info("DELETE", json!({ "predicate": format!("[\"{AS_OF} = '{}'\"]", commit.as_of) })), lines)))
            }
            Step::Replace { commit, file: Some(file) } => {
                let Some((described, add)) = self.copied(state, commit, file, now_ms).await? else {
                    tracing::warn!("{} is not copied to {}: a file of its publication is gone or changed", commit.as_of, self.log.shown());
                    left_out.insert(commit.number);
                    return Ok(None);
                };
                let before = state.files_of(commit.as_of).into_iter().filter(|file| file.path != add.path).collect();
                let (mut lines, described) = described.into_iter().partition::<Vec<Line>, _>(|line| line.metadata.is_none());
                let described = described.into_iter().find_map(|line| line.metadata);
                let noted = still_left_out(state, described.as_ref().or(state.metadata.as_ref()), commit.number, left_out);
                lines.extend(noted.or(described).map(Line::from));
                lines.push(done(commit.number).into());
                lines.extend(gone(before));
                lines.push(add.into());
                let partitions = json!([AS_OF]).to_string();
                let predicate = format!("{AS_OF} = '{}'", commit.as_of);
                Ok(Some((info("WRITE", json!({ "mode": "Overwrite", "partitionBy": partitions, "predicate": predicate })), lines)))
            }
        }
    }

    /// Copies the file of a publication: what it changes about the columns, and the file itself. None where the file is gone or
    /// changed and the publication still names it.
    async fn copied(&self, state: &State, commit: &Commit, file: &DataFile, now_ms: i64) -> Result<Option<(Vec<Line>, Add)>> {
        let from = self.destination.join(&file.path);
        let shown = self.destination.shown(&from);
        let footer = match lookup::footer(&self.destination.store, &from, file.bytes).await {
            Ok(footer) => footer,
            Err(error) => {
                let is_damaged = !self.is_whole(file, &from).await;
                return self.unless_damaged(commit, is_damaged, storage::broken("read", &shown, &error)).await;
            }
        };
        // The types of the file itself, not those that a reader of Arrow is told besides.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let read = ArrowReaderMetadata::try_new(footer, options).map_err(|error| storage::broken("read", &shown, &error))?;
        let described = self.described(state, commit, &read, now_ms)?;
        let path = format!("{AS_OF}={}/{}.parquet", commit.as_of, commit.run_id);
        let Some(modification_time) = files::copy(self.destination, file, self.log.location, &self.log.path(&path)).await? else {
            return self.unless_damaged(commit, true, files::gone(&shown)).await;
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

    /// Whether the file of a publication is there, as large as it was written; also where the store does not say.
    async fn is_whole(&self, file: &DataFile, path: &Path) -> bool {
        use object_store::ObjectStoreExt;

        match self.destination.store.head(path).await {
            Ok(there) => there.size == file.bytes,
            Err(error) => !matches!(error, object_store::Error::NotFound { .. }),
        }
    }

    /// None where a file is gone or changed, and the publication of the day is still this one: then it is damaged.
    async fn unless_damaged<T>(&self, commit: &Commit, is_damaged: bool, error: Error) -> Result<Option<T>> {
        let is_live = Publications::read(self.destination).await?.number_of(commit.as_of) == Some(commit.number);
        if is_damaged && is_live { Ok(None) } else { Err(error) }
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

/// The numbers of publications that were left out because they are damaged, and are due when they are repaired.
fn left_out_before(state: &State) -> BTreeSet<u64> {
    let kept = state.metadata.as_ref().and_then(|metadata| metadata.configuration.get(LEFT_OUT)?.as_deref());
    kept.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The metadata with what is left out when a publication has been copied; none where it says so already.
fn still_left_out(state: &State, metadata: Option<&Metadata>, copied: u64, left_out: &BTreeSet<u64>) -> Option<Metadata> {
    let before = left_out_before(state);
    let mut after: BTreeSet<u64> = before.union(left_out).copied().collect();
    after.remove(&copied);
    if after == before {
        return None;
    }
    let mut metadata = metadata?.clone();
    metadata.configuration.remove(LEFT_OUT);
    if !after.is_empty() {
        metadata.configuration.insert(LEFT_OUT.to_owned(), Some(json!(after).to_string()));
    }
    Some(metadata)
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
