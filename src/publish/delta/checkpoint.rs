//! Checkpoints of a Delta log: the state at a version as one Parquet file, with which readers need not read the versions before it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::actions::Line;
use super::state::State;
use crate::error::{Error, Result};
use crate::publish::write::properties;

/// For how long a checkpoint names files that were removed. Delta's own default is a week.
const REMOVED_FOR_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// The actions of a checkpoint, or why there are none.
pub async fn read(bytes: Bytes) -> Result<Vec<Line>, &'static str> {
    // The reader panics at some damaged files.
    let read = tokio::task::spawn_blocking(move || lines_of(bytes)).await;
    read.ok().flatten().ok_or("is no checkpoint that can be read")
}

fn lines_of(bytes: Bytes) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).ok()?.build().ok()? {
        let mut text = LineDelimitedWriter::new(Vec::new());
        text.write(&batch.ok()?).ok()?;
        text.finish().ok()?;
        let text = text.into_inner();
        let written = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.extend(written.map(|line| serde_json::from_slice(line).ok()).collect::<Option<Vec<Line>>>()?);
    }
    Some(lines)
}

/// A checkpoint of a state, and how many actions it has.
///
/// # Errors
/// [`Error::Defect`] only.
pub fn write(state: &State, now_ms: i64) -> Result<(Vec<u8>, usize)> {
    let is_recent = |removed_ms: Option<i64>| removed_ms.is_some_and(|removed_ms| now_ms.saturating_sub(removed_ms) < REMOVED_FOR_MS);
    let removed = state.removed.values().filter(|remove| is_recent(remove.deletion_timestamp)).cloned().map(Line::from);
    let protocol = state.protocol.iter().cloned().map(Line::from);
    let metadata = state.metadata.iter().cloned().map(Line::from);
    let transactions = state.transactions.values().cloned().map(Line::from);
    let files = state.files.values().cloned().map(Line::from);
    let lines: Vec<Line> = protocol.chain(metadata).chain(transactions).chain(removed).chain(files).collect();

    let schema = Arc::new(schema());
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(lines.len().max(1)).build_decoder().map_err(defect)?;
    decoder.serialize(&lines).map_err(defect)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties())).map_err(defect)?;
    if let Some(batch) = decoder.flush().map_err(defect)? {
        writer.write(&batch).map_err(defect)?;
    }
    Ok((writer.into_inner().map_err(defect)?, lines.len()))
}

fn defect(error: impl std::fmt::Display) -> Error {
    Error::defect(format!("a checkpoint was not written: {error}"))
}

/// The columns of a checkpoint, as the protocol names them.
fn schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let version = |name: &str| Field::new(name, DataType::Int32, true);
    let truth = |name: &str| Field::new(name, DataType::Boolean, true);
    let list = |name: &str| Field::new(name, DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))), true);
    let texts = |name: &str| {
        let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
        Field::new(name, DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false), true)
    };
    let group = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    Schema::new(vec![
        group("txn", vec![text("appId"), number("version"), number("lastUpdated")]),
        group(
            "add",
            vec![
                text("path"),
                texts("partitionValues"),
                number("size"),
                number("modificationTime"),
                truth("dataChange"),
                text("stats"),
                texts("tags"),
            ],
        ),
        group(
            "remove",
            vec![
                text("path"),
                number("deletionTimestamp"),
                truth("dataChange"),
                truth("extendedFileMetadata"),
                texts("partitionValues"),
                number("size"),
            ],
        ),
        group(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                group("format", vec![text("provider"), texts("options")]),
                text("schemaString"),
                list("partitionColumns"),
                texts("configuration"),
                number("createdTime"),
            ],
        ),
        group("protocol", vec![version("minReaderVersion"), version("minWriterVersion"), list("readerFeatures"), list("writerFeatures")]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_checkpoint_says_what_the_versions_before_it_said() {
        let text = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["timestampNtz"]}}
{"metaData":{"id":"i","format":{"provider":"parquet","options":{}},"schemaString":"{}","partitionColumns":["as_of"],"configuration":{"a":"b"},"createdTime":5}}
{"txn":{"appId":"a","version":7,"lastUpdated":6}}
{"remove":{"path":"old","deletionTimestamp":900,"dataChange":true,"extendedFileMetadata":true,"partitionValues":{"as_of":"2026-10-01"},"size":3}}
{"remove":{"path":"older","deletionTimestamp":1,"dataChange":true}}
{"add":{"path":"new","partitionValues":{"as_of":"2026-10-01"},"size":4,"modificationTime":8,"dataChange":true,"stats":"{\"numRecords\":1}","tags":{"n":"7"}}}"#;
        let mut state = State::default();
        state.apply(10, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
        let (bytes, actions) = write(&state, REMOVED_FOR_MS + 500).unwrap();
        assert_eq!(actions, 5, "what was removed long ago is left out");
        let mut again = State::default();
        again.apply(10, read(bytes.into()).await.unwrap());
        state.removed.remove("older");
        assert_eq!((again.protocol, again.metadata, again.transactions), (state.protocol, state.metadata, state.transactions));
        assert_eq!((again.files, again.removed), (state.files, state.removed));
        assert!(read(Bytes::from_static(b"PAR1 no file")).await.is_err());
    }
}
