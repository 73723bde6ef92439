//! Masks personal values in the rows of a look.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;

use crate::config::Pipeline;
use crate::engine::Privacy;
use crate::error::{Error, Result};
use crate::shown::MASK;

/// Masks the personal columns of rows. A value that is missing is seen to be missing.
#[derive(Debug, Clone)]
pub struct Mask {
    columns: Vec<Privacy>,
    /// The types of identifiers that are declared and not personal.
    open_types: BTreeSet<String>,
    schema: SchemaRef,
}

impl Mask {
    /// For rows whose columns are of that privacy.
    pub fn new(pipeline: &Pipeline, columns: Vec<Privacy>, schema: &SchemaRef) -> Self {
        let open = pipeline.identity.types.iter().filter(|(_, declared)| !declared.value.personal);
        let field = |(field, privacy): (&Arc<Field>, &Privacy)| {
            if privacy.may_be_personal() { Arc::new(Field::new(field.name(), DataType::Utf8, true)) } else { Arc::clone(field) }
        };
        let fields: Vec<Arc<Field>> = schema.fields().iter().zip(&columns).map(field).collect();
        let open_types = open.map(|(name, _)| name.clone()).collect();
        Mask { columns, open_types, schema: Arc::new(Schema::new(fields)) }
    }

    /// The columns of rows that are masked.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether any column is masked.
    pub fn masks(&self) -> bool {
        self.columns.iter().any(|privacy| privacy.may_be_personal())
    }

    /// The rows with personal values masked.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let column = |(array, privacy): (&ArrayRef, &Privacy)| match privacy {
            Privacy::Open => Ok(Arc::clone(array)),
            Privacy::Personal => Ok(masked(array, |_| true)),
            Privacy::ByType(at) => {
                let types = arrow::compute::cast(rows.column(*at), &DataType::Utf8)?;
                let types = types.as_string::<i32>();
                Ok(masked(array, |row| types.is_null(row) || !self.open_types.contains(types.value(row))))
            }
        };
        let columns: Result<Vec<ArrayRef>, arrow::error::ArrowError> = rows.columns().iter().zip(&self.columns).map(column).collect();
        let batch = columns.and_then(|columns| RecordBatch::try_new(Arc::clone(&self.schema), columns));
        batch.map_err(|error| Error::defect(format!("rows were not masked: {error}")))
    }
}

fn masked(array: &ArrayRef, is_personal: impl Fn(usize) -> bool) -> ArrayRef {
    let cell = |row: usize| {
        let shown =
            || if is_personal(row) { MASK.to_owned() } else { array_value_to_string(array, row).unwrap_or_else(|_| MASK.to_owned()) };
        (array.is_valid(row) && array.data_type() != &DataType::Null).then(shown)
    };
    Arc::new((0..array.len()).map(cell).collect::<StringArray>())
}
