//! The tables that SQL can read: registering them, and releasing them after their last reader.

use std::sync::{Arc, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;

use super::Engine;
use super::encoding::HasTexts;
use super::failure::failed;
use super::materialised_table::{MaterialisedProvider, MaterialisedTable};
use crate::error::{Error, Result};

impl Engine {
    /// Registers a table for SQL, and replaces one of the same name.
    ///
    /// # Errors
    /// [`Error::Defect`] when the catalog refuses it.
    pub fn register(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let reference = TableReference::parse_str(name);
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&reference.to_string());
        self.sorted.lock().unwrap_or_else(PoisonError::into_inner).remove(&reference.to_string());
        if let Some(schema) = reference.schema() {
            self.ensure_schema(schema)?;
        }
        let registered = self.context.deregister_table(reference.clone()).and_then(|_| self.context.register_table(reference, table));
        registered.map(|_| ()).map_err(|error| Error::defect(format!("the table {name} was not registered: {error}")))
    }

    /// Registers batches as a table for SQL.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_batches(&self, name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<()> {
        self.register_each(name, schema, batches.into_iter().map(Ok)).map(|_| ())
    }

    /// As [`Engine::register_batches`], for batches that come one after the other. Returns the number of rows.
    ///
    /// # Errors
    /// As [`Engine::register`], and those of the batches.
    pub fn register_each(&self, name: &str, schema: SchemaRef, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<u64> {
        let failed = |error: DataFusionError| failed(&format!("the table {name}"), &error);
        let materialised = self.empty_table(self.stored_schema(&schema));
        for batch in batches {
            materialised.push(self.stored_batch(&batch?).map_err(failed)?).map_err(failed)?;
        }
        let (all, rows) = ((0..schema.fields().len()).collect::<Vec<_>>(), materialised.rows() as u64);
        self.register_columns(name, schema, &all, materialised).map_err(failed)?;
        Ok(rows)
    }

    /// The schema in which the engine stores a table with the columns of `schema`. It depends on [`Engine::text_encoding`].
    pub fn stored_schema(&self, schema: &SchemaRef) -> SchemaRef {
        self.texts.stored_schema(schema)
    }

    /// A batch in the schema in which the engine stores it.
    ///
    /// # Errors
    /// When there are more texts than codes.
    pub fn stored_batch(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        self.texts.stored_batch(batch)
    }

    /// Registers a table for SQL that is in the stored schema ([`Engine::stored_schema`]). SQL sees the columns of `schema`.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_stored(&self, name: &str, schema: SchemaRef, encoded: Arc<dyn TableProvider>) -> Result<()> {
        self.register(name, self.texts.table(schema, encoded))
    }

    /// As [`Engine::register_stored`], for a table that has texts as they are, too. The prints of texts are made with `secret`, unless another
    /// such table came before.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_with_texts<T: HasTexts + 'static>(&self, name: &str, schema: SchemaRef, table: Arc<T>, secret: [u8; 16]) -> Result<()> {
        self.texts.print_with(secret);
        self.register(name, self.texts.table_with_texts(schema, table))
    }

    /// As [`Engine::register_stored`], for batches, which become a materialised table.
    ///
    /// # Errors
    /// As [`Engine::register`], and when there is no memory for them.
    pub fn register_stored_batches(&self, name: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<()> {
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let materialised = self.empty_table(self.stored_schema(&schema));
        let pushed = batches.into_iter().try_for_each(|batch| materialised.push(batch));
        pushed.map_err(|error| failed(&format!("the table {name}"), &error))?;
        let registered = self.register_columns(name, schema, &all, materialised);
        registered.map_err(|error| failed(&format!("the table {name}"), &error))
    }

    /// As [`Engine::register_stored`], for a materialised table that has only those columns of `schema` that some query reads.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_columns(
        &self,
        name: &str,
        schema: SchemaRef,
        columns: &[usize],
        materialised: Arc<MaterialisedTable>,
    ) -> Result<(), DataFusionError> {
        let positions: Vec<Option<usize>> = (0..schema.fields().len()).map(|at| columns.iter().position(|column| *column == at)).collect();
        // Of a column that is there the table itself says whether it has codes.
        let (stored, of_table) = (self.stored_schema(&schema), materialised.schema());
        let field = |(at, field): (&Option<usize>, &Arc<Field>)| {
            let data_type = at.map_or(field.data_type(), |at| of_table.field(at).data_type());
            field.as_ref().clone().with_data_type(data_type.clone())
        };
        let encoded = Arc::new(Schema::new(positions.iter().zip(stored.fields()).map(field).collect::<Vec<_>>()));
        let registered = self.register_stored(name, schema, Arc::new(MaterialisedProvider::new(encoded, positions, materialised)));
        registered.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// Registers a materialised table for SQL, with its columns as they are.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_materialised(&self, name: &str, materialised: Arc<MaterialisedTable>) -> Result<()> {
        let (schema, all) = (materialised.schema(), (0..materialised.schema().fields().len()).map(Some).collect());
        self.register(name, Arc::new(MaterialisedProvider::new(schema, all, materialised)))
    }

    /// Declares that some columns are a key of a table. An order by a key has no ties, so nothing needs to break them.
    pub fn declare_key(&self, name: &str, columns: Vec<String>) {
        let name = TableReference::parse_str(name).to_string();
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().push(columns);
    }

    /// Registers a query as a view: it is computed where it is read.
    ///
    /// # Errors
    /// As [`Engine::register`].
    pub fn register_view(&self, name: &str, plan: LogicalPlan) -> Result<()> {
        self.register(name, Arc::new(ViewTable::new(plan, None)))
    }

    /// Removes a table and releases its memory.
    pub fn forget(&self, name: &str) {
        // It is no failure if there is no such table.
        let _ = self.context.deregister_table(TableReference::parse_str(name));
    }

    /// Whether SQL can read a table of this name.
    pub fn has(&self, name: &str) -> bool {
        self.context.table_exist(TableReference::parse_str(name)).unwrap_or(false)
    }

    fn ensure_schema(&self, name: &str) -> Result<()> {
        let catalog = self.context.catalog("datafusion").ok_or_else(|| Error::defect("the engine has no catalog"))?;
        if catalog.schema(name).is_none() {
            let registered = catalog.register_schema(name, Arc::new(MemorySchemaProvider::new()));
            registered.map_err(|error| Error::defect(format!("the schema {name} was not registered: {error}")))?;
        }
        Ok(())
    }
}
