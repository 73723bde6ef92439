//! Tables and batches with codes instead of texts, and back. SQL sees texts; a rewritten plan reads the codes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::prelude::ident;

use super::dictionary::{CODE, Dictionary};
use super::functions;
pub use crate::cast::is_text;
use crate::engine::materialised_table::MaterialisedProvider;

/// A schema with codes instead of texts.
pub fn encoded_schema(schema: &Schema) -> SchemaRef {
    with_texts_as(schema, &CODE)
}

/// The schema of rows that leave the engine: all their texts are `Utf8`, whatever text type the engine has computed with.
pub fn answer_schema(schema: &Schema) -> SchemaRef {
    with_texts_as(schema, &DataType::Utf8)
}

/// A schema with `wanted` instead of every text type.
pub fn with_texts_as(schema: &Schema, wanted: &DataType) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let data_type = if is_text(field.data_type()) { wanted } else { field.data_type() };
        field.as_ref().clone().with_data_type(data_type.clone())
    };
    Arc::new(Schema::new_with_metadata(schema.fields().iter().map(field).collect::<Vec<_>>(), schema.metadata().clone()))
}

/// A batch with codes instead of texts.
///
/// # Errors
/// As [`Dictionary::encode`] fails.
pub fn encoded_batch(dictionary: &Dictionary, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let encode = |array: &ArrayRef| {
        if is_text(array.data_type()) { dictionary.encode(array) } else { Ok(Arc::clone(array)) }
    };
    let columns = batch.columns().iter().map(encode).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// A schema with texts instead of codes. `texts` has the text type of every column of codes.
pub fn decoded_schema(schema: &Schema, texts: &[Option<DataType>]) -> SchemaRef {
    let field = |(field, text): (&Arc<Field>, &Option<DataType>)| match text {
        Some(text) => field.as_ref().clone().with_data_type(text.clone()),
        None => field.as_ref().clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().zip(texts).map(field).collect::<Vec<_>>()))
}

/// A batch with texts instead of codes, and every text in the text type of the schema.
///
/// # Errors
/// As [`Dictionary::decode`] fails.
pub fn decoded_batch(dictionary: &Dictionary, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let decode = |(field, array): (&Arc<Field>, &ArrayRef)| match array.as_primitive_opt::<UInt32Type>() {
        Some(codes) if is_text(field.data_type()) => dictionary.decode(codes, field.data_type()),
        None if is_text(field.data_type()) && field.data_type() != array.data_type() => Ok(cast(array, field.data_type())?),
        _ => Ok(Arc::clone(array)),
    };
    let columns = schema.fields().iter().zip(batch.columns()).map(decode).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// A table with codes that can give texts as they are, too.
pub trait HasTexts: TableProvider {
    /// Whether reading it again costs less than holding its rows.
    fn is_cheap_to_read(&self) -> bool;

    /// The table for a scan that may be given up: it is none of those that are expected, and leaves no codes behind.
    fn for_a_look(&self) -> Arc<dyn HasTexts>;

    /// So many of the scans that are expected will not come.
    fn expect_fewer(&self, scans: usize);

    /// The table with the texts of some columns as they are, or of those of them of which that costs less than codes; none if there are none.
    fn with_texts_of(&self, columns: &BTreeSet<&str>) -> Option<Arc<dyn TableProvider>>;
}

/// A table in which SQL sees texts and that stores the codes of some or all of them.
#[derive(Debug)]
pub struct EncodedTable {
    schema: SchemaRef,
    encoded: Arc<dyn TableProvider>,
    texts: Option<Arc<dyn HasTexts>>,
    dictionary: Arc<Dictionary>,
}

impl EncodedTable {
    /// A table with the columns of `schema`, for whose texts `encoded` has codes, or the texts themselves.
    pub fn new(schema: SchemaRef, encoded: Arc<dyn TableProvider>, dictionary: Arc<Dictionary>) -> Self {
        EncodedTable { schema, encoded, texts: None, dictionary }
    }

    /// As [`EncodedTable::new`], for a table that also has texts.
    pub fn with_texts<T: HasTexts + 'static>(schema: SchemaRef, encoded: Arc<T>, dictionary: Arc<Dictionary>) -> Self {
        EncodedTable { schema, texts: Some(Arc::clone(&encoded) as Arc<dyn HasTexts>), encoded, dictionary }
    }

    /// Whether reading it again costs less than holding its rows.
    pub fn is_cheap_to_read(&self) -> bool {
        self.texts.as_ref().map_or_else(|| self.encoded.is::<MaterialisedProvider>(), |table| table.is_cheap_to_read())
    }

    /// The table for a scan that may be given up, if that is another one.
    pub fn for_a_look(&self) -> Option<Self> {
        let texts = self.texts.as_ref()?.for_a_look();
        let (schema, dictionary) = (Arc::clone(&self.schema), Arc::clone(&self.dictionary));
        Some(EncodedTable { schema, encoded: Arc::clone(&texts) as Arc<dyn TableProvider>, texts: Some(texts), dictionary })
    }

    /// So many of the scans that are expected will not come.
    pub fn expect_fewer(&self, scans: usize) {
        if let Some(table) = &self.texts {
            table.expect_fewer(scans);
        }
    }

    /// The table with codes, but with the texts of some columns as they are.
    pub fn with_texts_of(&self, columns: &BTreeSet<&str>) -> Option<Arc<dyn TableProvider>> {
        self.texts.as_ref().filter(|_| !columns.is_empty())?.with_texts_of(columns)
    }

    /// The table with codes.
    pub fn encoded(&self) -> &Arc<dyn TableProvider> {
        &self.encoded
    }
}

#[async_trait]
impl TableProvider for EncodedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let encoded = self.encoded.scan(session, projection, &[], limit).await?;
        let schema = match projection {
            Some(projection) => self.schema.project(projection)?,
            None => self.schema.as_ref().clone(),
        };
        let (stored, encoded_schema) = (encoded.schema(), DFSchema::try_from(encoded.schema())?);
        let decoded = schema.fields().iter().zip(stored.fields()).map(|(field, stored)| {
            let column = ident(field.name());
            let column = if is_text(field.data_type()) && stored.data_type() == &CODE {
                functions::decode(&self.dictionary, column, field.data_type())
            } else {
                column
            };
            Ok((session.create_physical_expr(column, &encoded_schema)?, field.name().clone()))
        });
        Ok(Arc::new(ProjectionExec::try_new(decoded.collect::<Result<Vec<_>>>()?, encoded)?))
    }
}
