//! The Arrow types as which the columns of a file are read.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::file::metadata::ParquetMetaData;

use super::nested;

/// A footer by which columns are read as types that lose nothing: moments of 96 bits in microseconds of UTC, since nanoseconds reach from
/// 1677 to 2262 alone.
///
/// # Errors
/// When the library cannot read the file's types.
pub fn arrow_of(footer: &Arc<ParquetMetaData>) -> parquet::errors::Result<ArrowReaderMetadata> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let arrow = ArrowReaderMetadata::try_new(Arc::clone(footer), options.clone())?;
    let fields = arrow.schema().fields();
    let descriptor = footer.file_metadata().schema_descr();
    let mut held: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
    let wide: Vec<usize> = (0..descriptor.num_columns()).filter(|leaf| descriptor.column(*leaf).physical_type() == Type::INT96).collect();
    let mut next = 0;
    for held in held.iter_mut().filter(|_| !wide.is_empty()) {
        *held = nested::with_leaves(held, &mut next, &|leaf, held| match held {
            DataType::Timestamp(..) if wide.contains(&leaf) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            other => other.clone(),
        });
    }
    let field = |(field, held): (&FieldRef, DataType)| field.as_ref().clone().with_data_type(held);
    let schema = Schema::new(fields.iter().zip(held).map(field).collect::<Vec<_>>());
    ArrowReaderMetadata::try_new(Arc::clone(footer), options.with_schema(Arc::new(schema)))
}
