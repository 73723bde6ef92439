//! What came out of a case beside what was expected.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use arrow::util::display::array_value_to_string;

use super::case::{Case, check_columns};
use crate::diagnostic::SourceFile;
use crate::error::Result;

/// What stands for a missing value in a difference.
const NULL: &str = "∅";

/// How a case came out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CaseResult {
    /// The file.
    pub file: String,
    /// The model.
    pub model: String,
    /// The case.
    pub case: String,
    /// The columns that were compared.
    pub columns: Vec<String>,
    /// Rows that were expected and did not come out.
    pub missing: Vec<Vec<String>>,
    /// Rows that came out and were not expected.
    pub unexpected: Vec<Vec<String>>,
}

impl CaseResult {
    /// Whether what came out is what was expected.
    pub fn passed(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// Compares what came out with what was expected, on the columns that the expected rows name.
///
/// # Errors
/// [`Error::Project`](crate::error::Error::Project) with expected columns that the table does not have.
pub(super) fn compare(file: &Arc<SourceFile>, case: &Case, schema: &Schema, found: &[RecordBatch]) -> Result<CaseResult> {
    let mut columns: Vec<String> = Vec::new();
    for name in case.expect.iter().flat_map(|row| row.value.keys()) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    check_columns(file, &case.model.value, &case.expect, &known)?;
    if columns.is_empty() {
        columns = known.iter().map(|name| (*name).to_owned()).collect();
    }
    let expected = case.expect.iter().map(|row| cells(&columns, |name| row.value.get(name).cloned().flatten())).collect();
    let mut out = Vec::new();
    for batch in found {
        let arrays: Vec<_> = columns.iter().filter_map(|name| batch.column_by_name(name)).collect();
        for row in 0..batch.num_rows() {
            let cell = |array: &&ArrayRef| {
                if array.is_null(row) { NULL.to_owned() } else { array_value_to_string(array, row).unwrap_or_default() }
            };
            out.push(arrays.iter().map(cell).collect());
        }
    }
    let (missing, unexpected) = difference(expected, out);
    let (model, name) = (case.model.value.clone(), case.name.value.clone());
    Ok(CaseResult { file: file.path.clone(), model, case: name, columns, missing, unexpected })
}

fn cells(columns: &[String], value: impl Fn(&String) -> Option<String>) -> Vec<String> {
    columns.iter().map(|column| value(column).unwrap_or_else(|| NULL.to_owned())).collect()
}

/// What is only in the first and what is only in the second, in order; a row may be there several times.
fn difference(mut expected: Vec<Vec<String>>, found: Vec<Vec<String>>) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let mut unexpected = Vec::new();
    for row in found {
        match expected.iter().position(|other| same(other, &row)) {
            Some(at) => drop(expected.remove(at)),
            None => unexpected.push(row),
        }
    }
    expected.sort();
    unexpected.sort();
    (expected, unexpected)
}

/// Whether two rows say the same: numbers may differ in the zeros they end with.
fn same(one: &[String], other: &[String]) -> bool {
    let plain = |text: &str| -> String {
        let numeric = text.contains('.') && text.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.');
        if numeric { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| plain(a) == plain(b))
}
