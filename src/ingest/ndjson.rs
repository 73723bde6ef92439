//! NDJSON extracts: one JSON object a line; a line that is none costs only itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use serde_json::Value;

use super::contract::Contract;
use super::csv::Decoded;
use super::text::{Block, Record};
use crate::config::UnknownColumns;
use crate::error::{Error, Result};

/// Decodes the contract's columns out of JSON lines.
#[derive(Debug, Clone)]
pub struct Lines {
    schema: SchemaRef,
    /// For every column of the contract the positions of its names in the schema: the first with a value counts.
    positions: Vec<Vec<usize>>,
    names: Vec<String>,
    refuse_unknown: bool,
}

impl Lines {
    /// A decoder for a contract.
    pub fn new(contract: &Contract) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut positions = Vec::new();
        for column in &contract.columns {
            let mut place = |wanted: &String| {
                names.iter().position(|name| name == wanted).unwrap_or_else(|| {
                    names.push(wanted.clone());
                    names.len() - 1
                })
            };
            positions.push(column.names.iter().map(&mut place).collect());
        }
        let fields: Vec<_> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let refuse_unknown = contract.unknown_columns == UnknownColumns::Refuse;
        Lines { schema: Arc::new(Schema::new(fields)), positions, names, refuse_unknown }
    }

    /// Decodes a block: all at once if it is clean, and line by line if it is not.
    ///
    /// # Errors
    /// [`Error::Defect`] when lines that parse singly do not parse together.
    pub fn decode(&self, block: &Block) -> Result<Decoded> {
        if let Ok(batch) = self.decode_bytes(&block.bytes) {
            return self.decoded(&batch, Vec::new(), None);
        }
        let (kept, bad) = Self::sift(block, |line| self.fault(line));
        if let Ok(batch) = self.decode_bytes(&joined(block, &kept)) {
            return self.decoded(&batch, bad, Some(kept));
        }
        // Some line is a JSON object and still does not decode: each is tried by itself.
        let (kept, bad) = Self::sift(block, |line| self.fault(line).or_else(|| self.decode_bytes(line).err().map(|_| "invalid-json")));
        let batch = self.decode_bytes(&joined(block, &kept));
        let batch = batch.map_err(|error| Error::defect(format!("a checked line did not parse: {error}")))?;
        self.decoded(&batch, bad, Some(kept))
    }

    /// Parts the lines of a block into those without and those with a fault.
    fn sift(block: &Block, fault: impl Fn(&[u8]) -> Option<&'static str>) -> (Vec<Record>, Vec<(Record, &'static str)>) {
        let (mut kept, mut bad) = (Vec::new(), Vec::new());
        for record in records(block) {
            match fault(&block.bytes[record.bytes.clone()]) {
                Some(reason) => bad.push((record, reason)),
                None => kept.push(record),
            }
        }
        (kept, bad)
    }

    fn decoded(&self, batch: &RecordBatch, bad: Vec<(Record, &'static str)>, records: Option<Vec<Record>>) -> Result<Decoded> {
        let column = |positions: &Vec<usize>| -> Result<Option<ArrayRef>> {
            let mut arrays = positions.iter().map(|&at| Arc::clone(batch.column(at)));
            let first = arrays.next();
            let coalesce = |first: ArrayRef, next: ArrayRef| {
                let present = arrow::compute::is_not_null(&first)?;
                arrow::compute::kernels::zip::zip(&present, &first, &next)
            };
            let joined = first.map(|first| arrays.try_fold(first, coalesce)).transpose();
            joined.map_err(|error| Error::defect(format!("renamed columns were not joined: {error}")))
        };
        let columns = self.positions.iter().map(column).collect::<Result<_>>()?;
        Ok(Decoded { columns, rows: batch.num_rows(), bad, records })
    }

    fn decode_bytes(&self, bytes: &[u8]) -> Result<RecordBatch, arrow::error::ArrowError> {
        let lines = memchr::memchr_iter(b'\n', bytes).count() + 1;
        let builder = ReaderBuilder::new(Arc::clone(&self.schema))
            .with_batch_size(lines)
            .with_coerce_primitive(true)
            .with_strict_mode(self.refuse_unknown);
        let mut decoder = builder.build_decoder()?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = decoder.decode(rest)?;
            if taken == 0 {
                break;
            }
            rest = &rest[taken..];
        }
        let batch = decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&self.schema)));
        // Several objects on one line, or one over several, would put rows out of step with lines.
        if batch.num_rows() == memchr::memchr_iter(b'\n', bytes).count() + usize::from(!bytes.ends_with(b"\n") && !bytes.is_empty()) {
            Ok(batch)
        } else {
            Err(arrow::error::ArrowError::JsonError("lines and objects differ in number".to_owned()))
        }
    }

    fn fault(&self, line: &[u8]) -> Option<&'static str> {
        if line.len() > super::text::MAX_RECORD_BYTES {
            return Some("record-too-long");
        }
        if std::str::from_utf8(line).is_err() {
            return Some("invalid-utf8");
        }
        match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(object)) => {
                let nested = |name: &String| matches!(object.get(name), Some(Value::Array(_) | Value::Object(_)));
                let unknown = |name: &String| self.refuse_unknown && !self.names.contains(name);
                if self.names.iter().any(nested) {
                    Some("nested-value")
                } else if object.keys().any(unknown) {
                    Some("unknown-column")
                } else {
                    None
                }
            }
            Ok(_) => Some("not-an-object"),
            Err(_) => Some("invalid-json"),
        }
    }
}

/// Some lines of a block, each with a line end.
fn joined(block: &Block, records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(|record| block.bytes[record.bytes.clone()].iter().chain(b"\n")).copied().collect()
}

/// Where the last whole line of some bytes ends.
pub fn last_boundary(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr(b'\n', bytes).map(|at| at + 1)
}

/// The lines of a block, blank ones left out.
pub fn records(block: &Block) -> Vec<Record> {
    let mut start = 0;
    let mut found = Vec::new();
    for (number, line) in block.bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let content = line.trim_ascii_end();
        if !content.is_empty() {
            found.push(Record { bytes: start..start + content.len(), line: block.first_line + number as u64 });
        }
        start += line.len();
    }
    found
}

/// A line as it was, personal values left out; none when it is not a JSON object.
pub fn masked(line: &[u8], contract: &Contract) -> Option<String> {
    let Ok(Value::Object(mut object)) = serde_json::from_slice(line) else { return None };
    for name in contract.columns.iter().filter(|column| column.personal).flat_map(|column| &column.names) {
        if let Some(value) = object.get_mut(name) {
            *value = super::reader::MASK.into();
        }
    }
    Some(Value::Object(object).to_string())
}
