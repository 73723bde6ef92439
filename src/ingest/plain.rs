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
pub fn plain(batch: RecordBatch, schema: &SchemaRef) -> impl Iterator<Item = Result<RecordBatch, DataFusionError>> {
    let is_copied =
        |(field, array): &(&FieldRef, &ArrayRef)| field.data_type() != array.data_type() && field.data_type() != &DataType::Utf8View;
    let others = schema.fields().iter().zip(batch.columns()).filter(is_copied);
    let longest: usize = others.map(|(_, texts)| longest_text(texts)).fold(0, usize::saturating_add);
    let rows = PART_BYTES.checked_div(longest).unwrap_or(usize::MAX).max(1);
    let part = move |start: usize, batch: &RecordBatch, schema: &SchemaRef| {
        let part = batch.slice(start, rows.min(batch.num_rows() - start));
        let cast_to = |(field, array): (&FieldRef, &ArrayRef)| {
            if field.data_type() == array.data_type() { Ok(Arc::clone(array)) } else { cast(array, field.data_type()) }
        };
        let arrays = schema.fields().iter().zip(part.columns()).map(cast_to).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(part.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
    };
    let schema = Arc::clone(schema);
    (0..batch.num_rows()).step_by(rows).map(move |start| part(start, &batch, &schema))
}

/// How many bytes the longest of some texts has.
fn longest_text(texts: &ArrayRef) -> usize {
    match texts.data_type() {
        DataType::Dictionary(..) => texts.as_any_dictionary_opt().map_or(0, |keyed| longest_text(keyed.values())),
        DataType::Utf8View => texts.as_string_view().lengths().max().map_or(0, |longest| longest as usize),
        _ => texts.as_string_opt::<i32>().map_or(0, |texts| texts.iter().flatten().map(str::len).max().unwrap_or(0)),
    }
}
