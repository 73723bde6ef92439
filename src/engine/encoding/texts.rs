//! The one switch between texts that are held as codes and texts that are held as they are.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::dictionary::Dictionary;
use super::rewrite::{Encoded, Encoder};
use super::table::{self, EncodedTable};
use crate::engine::memory::Held;

/// Views of texts are copied into a buffer of their own when they use less than one part in so many of the buffers that they point into.
const LEAST_USED: usize = 2;

/// How an engine holds texts in its tables and between its operators. No result depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextEncoding {
    /// Every text is once in the engine's dictionary. Tables and operators have its code, which is a number of 32 bits.
    #[default]
    Dictionary,
    /// Tables and operators have the texts themselves, as views (`Utf8View`).
    Plain,
}

/// The texts of an engine.
#[derive(Debug, Clone)]
pub struct Texts {
    encoding: TextEncoding,
    dictionary: Arc<Dictionary>,
}

impl Texts {
    /// No texts yet; the dictionary counts what it takes in `memory`.
    pub fn new(encoding: TextEncoding, memory: Held) -> Self {
        Texts { encoding, dictionary: Arc::new(Dictionary::within(memory)) }
    }

    /// How texts are held.
    pub fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    /// The texts that have codes.
    pub fn dictionary(&self) -> &Arc<Dictionary> {
        &self.dictionary
    }

    /// The schema of a table as it is held.
    pub fn held_schema(&self, schema: &Schema) -> SchemaRef {
        match self.encoding {
            TextEncoding::Dictionary => table::encoded_schema(schema),
            TextEncoding::Plain => table::with_texts_as(schema, &DataType::Utf8View),
        }
    }

    /// A batch as it is held.
    ///
    /// # Errors
    /// As [`Dictionary::encode`] fails.
    pub fn held_batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = self.held_schema(&batch.schema());
        match self.encoding {
            TextEncoding::Dictionary => table::encoded_batch(&self.dictionary, &schema, batch),
            TextEncoding::Plain => self.decoded_batch(&schema, batch),
        }
    }

    /// A table as SQL sees it, whose columns would be those of `schema` if texts were not held otherwise.
    pub fn table(&self, schema: SchemaRef, held: Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
        match self.encoding {
            TextEncoding::Dictionary => Arc::new(EncodedTable::new(schema, held, Arc::clone(&self.dictionary))),
            TextEncoding::Plain => held,
        }
    }

    /// An optimised plan in which texts are codes until something looks into them, and which of its columns still are codes.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn encoded(&self, state: &SessionState, plan: LogicalPlan) -> Result<Encoded> {
        match self.encoding {
            TextEncoding::Dictionary => Encoder::new(state, &self.dictionary).rewrite(plan),
            TextEncoding::Plain => Ok(Encoded::plain(plan)),
        }
    }

    /// An optimised plan whose rows are as a table holds them.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn held(&self, state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
        match self.encoding {
            TextEncoding::Dictionary => Encoder::new(state, &self.dictionary).encoded(plan),
            TextEncoding::Plain => Ok(plan),
        }
    }

    /// A batch with the columns of a schema, which has text in the place of codes, or another type of text.
    ///
    /// # Errors
    /// As [`Dictionary::decode`] fails.
    pub fn decoded_batch(&self, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
        table::decoded_batch(&self.dictionary, schema, batch)
    }

    /// A batch that holds no much larger buffers than its rows need: a few rows that a filter has left would hold all texts of the
    /// batches that they come from.
    ///
    /// # Errors
    /// As Arrow fails.
    pub fn compact(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.encoding == TextEncoding::Dictionary {
            return Ok(batch);
        }
        let compact = |array: &ArrayRef| match array.as_string_view_opt() {
            Some(views) => {
                let buffers: usize = views.data_buffers().iter().map(|buffer| buffer.len()).sum();
                if views.total_buffer_bytes_used() < buffers / LEAST_USED { Arc::new(views.gc()) } else { Arc::clone(array) }
            }
            None => Arc::clone(array),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(batch.schema(), batch.columns().iter().map(compact).collect(), &options)?)
    }
}
