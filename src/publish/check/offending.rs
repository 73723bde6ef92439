//! The rows that a check objects to: counted, shown, and kept beside the run's tables, personal values left out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;

use super::super::layout::failed_rows_path;
use super::super::staging::Staging;
use super::super::write;
use super::personal::Personal;
use crate::error::{Error, Result};
use crate::shown::MASK;

/// The most rows that a message shows.
const ROWS_SHOWN: usize = 3;
/// The most rows that are kept.
const ROWS_KEPT: usize = 10_000;

/// The rows that a check objects to.
#[derive(Debug)]
pub struct Offending {
    /// How many there are.
    pub count: u64,
    /// The first of them, masked; none when there are none.
    pub kept: Option<RecordBatch>,
}

impl Offending {
    /// Runs a query for offending rows. Unless it says an order, its rows are put in order of all its columns.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn of(query: DataFrame, personal: &Personal) -> Result<Self, DataFusionError> {
        let masked = personal.columns(query.logical_plan());
        let ordered = matches!(query.logical_plan(), LogicalPlan::Sort(_) | LogicalPlan::Limit(_));
        let columns: Vec<String> = query.schema().fields().iter().map(|field| field.name().clone()).collect();
        let unique = columns.iter().all(|column| columns.iter().filter(|other| *other == column).count() == 1);
        let query =
            if ordered || !unique { query } else { query.sort(columns.iter().map(|column| ident(column).sort(true, false)).collect())? };
        let mut stream = query.execute_stream().await?;
        let schema = stream.schema();
        let (mut count, mut batches, mut kept) = (0, Vec::new(), 0);
        while let Some(batch) = stream.try_next().await? {
            count += batch.num_rows() as u64;
            let wanted = batch.num_rows().min(ROWS_KEPT - kept);
            if wanted > 0 {
                batches.push(batch.slice(0, wanted));
                kept += wanted;
            }
        }
        let kept = if count == 0 { None } else { Some(mask(&arrow::compute::concat_batches(&schema, &batches)?, &masked)?) };
        Ok(Offending { count, kept })
    }

    /// The first rows as a table.
    pub fn shown(&self) -> Option<String> {
        let first = self.kept.as_ref().map(|kept| kept.slice(0, ROWS_SHOWN.min(kept.num_rows())))?;
        pretty_format_batches(&[first]).map(|table| table.to_string()).ok()
    }

    /// Writes the rows beside the run's tables, and tells where.
    ///
    /// # Errors
    /// As writing to the store fails.
    pub async fn keep(&self, staging: &Staging, check: &str) -> Result<Option<String>> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let path = staging.destination.join(&failed_rows_path(&staging.run_id, check));
        let shown = staging.destination.shown(&path);
        let bytes = parquet(kept).map_err(|_| Error::defect(format!("the rows of the check `{check}` were not written")))?;
        staging.destination.put(&path, bytes).await?;
        Ok(Some(shown))
    }
}

fn parquet(rows: &RecordBatch) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(write::properties()))?;
    writer.write(rows)?;
    writer.into_inner()
}

/// Rows with the values of personal columns left out.
fn mask(rows: &RecordBatch, masked: &[bool]) -> Result<RecordBatch, DataFusionError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (at, field) in rows.schema().fields().iter().enumerate() {
        let values = rows.column(at);
        if masked.get(at).copied().unwrap_or(true) {
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            arrays.push(Arc::new((0..rows.num_rows()).map(|row| values.is_valid(row).then_some(MASK)).collect::<StringArray>()));
        } else {
            fields.push(field.as_ref().clone());
            arrays.push(Arc::clone(values));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
