//! Texts of Parquet files that lie elsewhere, several of them perhaps in the same place, as texts of their own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::error::DataFusionError;

use super::parquet::PART_BYTES;

/// A schema with the types that arrays have.
pub fn like(schema: &SchemaRef, arrays: &[ArrayRef]) -> SchemaRef {
    if schema.fields().iter().zip(arrays).all(|(field, array)| field.data_type() == array.data_type()) {
        return Arc::clone(schema);
    }
    let field = |(field, array): (&FieldRef, &ArrayRef)| field.as_ref().clone().with_data_type(array.data_type().clone());
    Arc::new(Schema::new(schema.fields().iter().zip(arrays).map(field).collect::<Vec<_>>()))
}

/// A batch with the types of a schema: in parts, where texts that lie elsewhere would be too much together.
pub fn plain(batch: RecordBatch, schema: &SchemaRef) -> Result<Vec<RecordBatch>, DataFusionError> {
    let others: Vec<&ArrayRef> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, array)| field.data_type() != array.data_type())
        .map(|(_, array)| array)
        .collect();
    if others.is_empty() {
        return Ok(vec![batch]);
    }
    let longest: usize = others.iter().map(|texts| longest_text(texts)).fold(1, usize::saturating_add);
    let rows = (PART_BYTES / longest).max(1);
    let part = |start: usize| {
        let part = batch.slice(start, rows.min(batch.num_rows() - start));
        let arrays = schema.fields().iter().zip(part.columns()).map(|(field, array)| cast(array, field.data_type()));
        let options = RecordBatchOptions::new().with_row_count(Some(part.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays.collect::<Result<_, _>>()?, &options)?)
    };
    (0..batch.num_rows()).step_by(rows).map(part).collect()
}

/// How many bytes the longest of some texts has.
fn longest_text(texts: &ArrayRef) -> usize {
    match texts.data_type() {
        DataType::Dictionary(..) => texts.as_any_dictionary_opt().map_or(0, |keyed| longest_text(keyed.values())),
        DataType::Utf8View => texts.as_string_view().lengths().max().map_or(0, |longest| longest as usize),
        _ => texts.as_string_opt::<i32>().map_or(0, |texts| texts.iter().flatten().map(str::len).max().unwrap_or(0)),
    }
}
