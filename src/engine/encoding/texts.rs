//! The one place that decides between dictionary codes and plain texts.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::dictionary::Dictionary;
use super::prints::Secret;
use super::rewrite::{Encoded, Encoder};
use super::table::{self, EncodedTable, HasTexts};
use crate::engine::reservation::Reservation;

/// A column of views is compacted if its texts use less than one part in so many of its buffers.
const LEAST_USED: usize = 2;

/// How tables and operators represent texts. No result depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextEncoding {
    /// As codes: the engine's dictionary has every text once, and tables and operators have its code, a number of 32 bits.
    #[default]
    Dictionary,
    /// As plain texts, in Arrow's `Utf8View`.
    Plain,
}

/// The text encoding of an engine and its dictionary.
#[derive(Debug, Clone)]
pub struct Texts {
    encoding: TextEncoding,
    dictionary: Arc<Dictionary>,
    secret: Secret,
}

impl Texts {
    /// A dictionary without texts, which reserves what it takes in `memory`.
    pub fn new(encoding: TextEncoding, memory: Reservation) -> Self {
        Texts { encoding, dictionary: Arc::new(Dictionary::within(memory)), secret: Secret::default() }
    }

    /// How tables and operators represent texts.
    pub fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    /// The dictionary of the codes.
    pub fn dictionary(&self) -> &Arc<Dictionary> {
        &self.dictionary
    }

    /// Sets the secret of prints, unless they have one.
    pub fn print_with(&self, secret: [u8; 16]) {
        self.secret.get_or_init(|| secret);
    }

    /// The schema in which a table is stored.
    pub fn stored_schema(&self, schema: &Schema) -> SchemaRef {
        match self.encoding {
            TextEncoding::Dictionary => table::encoded_schema(schema),
            TextEncoding::Plain => table::with_texts_as(schema, &DataType::Utf8View),
        }
    }

    /// A batch in the schema in which it is stored.
    ///
    /// # Errors
    /// As [`Dictionary::encode`] fails.
    pub fn stored_batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = self.stored_schema(&batch.schema());
        match self.encoding {
            TextEncoding::Dictionary => table::encoded_batch(&self.dictionary, &schema, batch),
            TextEncoding::Plain => self.decoded_batch(&schema, batch),
        }
    }

    /// A stored table as SQL sees it. With codes SQL sees the columns of `schema`.
    pub fn table(&self, schema: SchemaRef, stored: Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
        match self.encoding {
            TextEncoding::Dictionary => Arc::new(EncodedTable::new(schema, stored, Arc::clone(&self.dictionary))),
            TextEncoding::Plain => stored,
        }
    }

    /// A stored table that also has texts as they are, as SQL sees it. With codes SQL sees the columns of `schema`.
    pub fn table_with_texts<T: HasTexts + 'static>(&self, schema: SchemaRef, stored: Arc<T>) -> Arc<dyn TableProvider> {
        match self.encoding {
            TextEncoding::Dictionary => Arc::new(EncodedTable::with_texts(schema, stored, Arc::clone(&self.dictionary))),
            TextEncoding::Plain => stored,
        }
    }

    /// An optimised plan that works on codes if texts are encoded, with the columns that still have codes in its result.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn encoded(&self, state: &SessionState, plan: LogicalPlan) -> Result<Encoded> {
        match self.encoding {
            TextEncoding::Dictionary => Encoder::new(state, &self.dictionary, &self.secret).whole(plan),
            TextEncoding::Plain => Ok(Encoded::plain(plan)),
        }
    }

    /// An optimised plan whose result is in the schema in which tables are stored.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn stored_plan(&self, state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
        match self.encoding {
            TextEncoding::Dictionary => Encoder::new(state, &self.dictionary, &self.secret).encoded(plan),
            TextEncoding::Plain => Ok(plan),
        }
    }

    /// A batch in a schema that has texts instead of codes, or another text type.
    ///
    /// # Errors
    /// As [`Dictionary::decode`] fails.
    pub fn decoded_batch(&self, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
        table::decoded_batch(&self.dictionary, schema, batch)
    }

    /// A batch whose buffers are not much larger than its rows need. The few rows that a filter leaves would otherwise keep all texts of
    /// the batches that they come from in memory.
    ///
    /// # Errors
    /// When Arrow cannot build the batch.
    pub fn compact(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.encoding == TextEncoding::Dictionary {
            return Ok(batch);
        }
        let compact = |array: &ArrayRef| match array.as_string_view_opt() {
            Some(views) => {
                let buffers: usize = views.data_buffers().iter().map(Buffer::len).sum();
                if views.total_buffer_bytes_used() < buffers / LEAST_USED { Arc::new(views.gc()) } else { Arc::clone(array) }
            }
            None => Arc::clone(array),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(batch.schema(), batch.columns().iter().map(compact).collect(), &options)?)
    }
}
