//! One scan of a source: what is asked of it, and what becomes of its rows whatever the format of its files.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use serde_json::Value;

use super::collector::Collector;
use super::contract::{Checked, Contract, Fault};
use super::deduplicate::Superseded;
use super::held::{Codes, HeldCodes};
use super::needles::Needles;
use super::parquet::RowGroup;
use super::plain::like;
use super::rejects::Reject;
use super::remarks::{shown, withheld};
use super::text::MAX_RECORD_BYTES;
use crate::config::SourceFormat;
use crate::engine::{CODE, Dictionary, Work, failed};
use crate::error::{Error, Result};
use crate::manifest::Scope;
use crate::storage::File;

/// A piece of a source that one thread reads.
#[derive(Debug, Clone)]
pub enum Unit {
    /// A whole text file.
    Text(File, SourceFormat),
    /// A row group of a Parquet file.
    RowGroup(Box<RowGroup>),
}

/// One scan of a source: what is asked for, and where the codes of its texts come from.
#[derive(Debug)]
pub struct Scan {
    /// What a row must be.
    pub contract: Arc<Contract>,
    /// Where the rows are counted.
    pub collector: Arc<Collector>,
    /// The codes of texts.
    pub dictionary: Arc<Dictionary>,
    /// Where the bytes read are counted.
    pub work: Arc<Work>,
    /// Codes that earlier scans looked up.
    pub held: Arc<HeldCodes>,
    /// Whether no later scan needs them.
    pub is_last: bool,
    /// The columns asked for.
    pub projection: Vec<usize>,
    /// Their schema, with codes for text or with text.
    pub schema: SchemaRef,
    /// The schema of its rows with where they stand, if that is asked for.
    pub placed: Option<SchemaRef>,
    /// The rows that are left out because others supersede them.
    pub superseded: Option<Arc<Superseded>>,
    /// What a part of a CSV file must have for any of its rows to be wanted; the others are neither decoded nor counted.
    pub needles: Option<Arc<Needles>>,
    /// Whether it is counted what is read and what is rejected of it; otherwise only what costs a row is looked at.
    pub counts: bool,
    /// Rows to a batch.
    pub batch_rows: usize,
    /// Blocks of one text file that are looked at side by side.
    pub blocks_at_once: usize,
}

/// Where the kept rows of a scan go.
pub type Sink = tokio::sync::mpsc::Sender<datafusion::error::Result<RecordBatch>>;

impl Scan {
    pub(super) fn failed(&self, error: &DataFusionError) -> Error {
        failed(&format!("the source `{}`", self.contract.source), error)
    }

    /// Rows that are kept, their texts as codes.
    pub(super) fn coded(&self, codes: &mut [Codes], checked: Checked) -> Result<RecordBatch> {
        let mut texts_or_values = checked.kept.into_iter();
        let mut arrays = Vec::with_capacity(codes.len());
        for (codes, field) in codes.iter_mut().zip(self.schema.fields()) {
            let array = if codes.need_texts() { texts_or_values.next() } else { None };
            arrays.push(match array {
                // Texts that lie elsewhere, several of them perhaps in the same place, are texts all the same, and become such when they
                // are sent.
                Some(values) if values.data_type() == field.data_type() || field.data_type() != &CODE => values,
                texts => codes.next(&self.dictionary, texts.as_ref(), checked.rows).map_err(|error| self.failed(&error))?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(checked.rows));
        let schema = like(&self.schema, &arrays);
        let kept = RecordBatch::try_new_with_options(schema, arrays, &options);
        kept.map_err(|error| Error::defect(crate::sql::discreet(&error.into())))
    }

    pub(super) fn reject(&self, file: &str, row_number: u64, fault: &Fault, raw: Arc<str>) -> Reject {
        let column = Some(self.contract.columns[fault.column].name.clone());
        let Fault { reason, scope, may_be_no, .. } = *fault;
        Reject { file: file.to_owned(), row_number, scope, column, reason, raw, may_be_no }
    }

    /// A row of arrays as a JSON object of the contract's columns, without nested values and the values of personal ones; of one that is
    /// longer than a record of text may be its size.
    pub(super) fn masked_row(&self, columns: &[Option<ArrayRef>], row: usize, element: Option<u32>) -> String {
        let mut object = serde_json::Map::new();
        for (column, array) in self.contract.columns.iter().zip(columns) {
            // Of several places the first with a value counts.
            let place = array.as_ref().and_then(|array| match array.as_struct_opt() {
                Some(places) => places.columns().iter().find(|array| array.is_valid(row)),
                None => Some(array),
            });
            let Some(array) = place.filter(|array| !array.data_type().is_nested()) else { continue };
            let value = if array.is_null(row) {
                Value::Null
            } else {
                arrow::util::display::array_value_to_string(array, row).map_or(Value::Null, Into::into)
            };
            let name = column.in_files().to_owned();
            object.extend(shown(&self.contract, &name, value).map(|value| (name, value)));
        }
        if let (Some(each), Some(element)) = (&self.contract.each, element) {
            object.insert(format!("{}[#]", each.shown), element.into());
        }
        let raw = Value::Object(object).to_string();
        if raw.len() > MAX_RECORD_BYTES { withheld(&format!("{} bytes", raw.len())) } else { raw }
    }
}

/// The reject of a record whose values cannot be read, whatever the reason. Nobody knows what it says: where others of its source say
/// whether somebody may be written to, it may have said no.
pub(super) fn unreadable(contract: &Contract, file: &File, line: u64, reason: &'static str, raw: String) -> Reject {
    let raw = raw.into();
    let may_be_no = contract.carries_consent();
    Reject { file: file.shown.clone(), row_number: line, scope: Scope::Row, column: None, reason, raw, may_be_no }
}

/// A failure as the engine carries it; the collector keeps the error itself.
pub fn carried(error: &Error) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(error.to_string().into())
}
