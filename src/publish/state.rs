//! The state of a publication, from which the next one starts: tables that are no output, named by its commit and written with its tables.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::buffered::BufReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use sha2::{Digest, Sha256};

use super::layout::state_path;
use super::publications::Publications;
use super::staging::Staging;
use super::{damage, write};
use crate::engine::Reservation;
use crate::error::{Error, Result};
use crate::manifest::{Commit, DataFile};
use crate::storage;

/// Rows that are read at once.
const BATCH_ROWS: usize = 32 * 1024;

/// Bytes that are asked of the store at once.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// A table of the state.
pub struct StateTable {
    /// What it is called.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The columns in whose order its rows come, and that tell them apart.
    pub key: &'static [&'static str],
    /// Its rows.
    pub rows: BoxStream<'static, Result<RecordBatch, DataFusionError>>,
    /// The memory that they take, until they are written.
    pub memory: Option<Reservation>,
}

impl Staging {
    /// Begins to write a state table for the next publication. It is written beside whatever the run does until [`Staging::finish_state`].
    pub fn begin_state(&mut self, table: StateTable) {
        let StateTable { name, schema, key, rows, memory } = table;
        let path = state_path(&self.run_id, &name);
        let location = self.destination.join(&path);
        let shown = self.destination.shown(&location);
        let rows = RecordBatchStreamAdapter::new(schema, rows);
        let columns = key.iter().map(|column| (*column).to_owned()).collect();
        let key = write::Key { columns, may_repeat: false, may_be_told: vec![false; key.len()] };
        let store = Arc::clone(&self.destination.store);
        self.begun.spawn(async move {
            let written = write::parquet(store, location, &shown, &name, &key, Box::pin(rows)).await?;
            drop(memory);
            Ok((name, DataFile { path, bytes: written.bytes, rows: written.rows, sha256: written.sha256 }))
        });
    }

    /// Waits until the state tables that were begun are written; how many rows they have.
    ///
    /// # Errors
    /// As writing to the store fails.
    pub async fn finish_state(&mut self) -> Result<u64> {
        let mut rows = 0;
        while let Some(written) = self.begun.join_next().await {
            let (name, file) = written.map_err(|error| Error::defect(format!("a state table was not written: {error}")))??;
            rows += file.rows;
            self.state.insert(name, file);
        }
        Ok(rows)
    }
}

impl Publications {
    /// The rows of a state table of a publication, in their order; none when the publication does not have it.
    ///
    /// # Errors
    /// As the store fails; [`crate::error::Error::Project`] when the file is not what the commit says.
    pub async fn state(&self, commit: &Commit, name: &str) -> Result<Option<BoxStream<'static, Result<RecordBatch>>>> {
        let Some(file) = commit.state.get(name) else { return Ok(None) };
        Ok(Some(self.rows_of(commit, file, None).await?))
    }

    /// The rows of a file of a publication in their order: all columns, or some by name.
    ///
    /// # Errors
    /// As [`Publications::state`].
    pub async fn rows_of(
        &self,
        commit: &Commit,
        file: &DataFile,
        columns: Option<&[&str]>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let path = self.destination.join(&file.path);
        let shown = self.destination.shown(&path);
        let meta = match self.destination.store.head(&path).await {
            Ok(meta) => meta,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(damage::told(&self.destination, damage::of_file(commit, &shown)).await?);
            }
            Err(error) => return Err(storage::failure("read", &shown, error)),
        };
        if meta.size != file.bytes {
            return Err(damage::told(&self.destination, damage::of_file(commit, &shown)).await?);
        }
        // A file whose bytes have changed must not be used.
        let mut hash = Sha256::new();
        let found = self.destination.store.get(&path).await.map_err(|error| storage::failure("read", &shown, error))?;
        let mut bytes = found.into_stream();
        while let Some(part) = bytes.try_next().await.map_err(|error| storage::failure("read", &shown, error))? {
            hash.update(&part);
        }
        if format!("{:x}", hash.finalize()) != file.sha256 {
            return Err(damage::told(&self.destination, damage::of_file(commit, &shown)).await?);
        }
        let reader = BufReader::with_capacity(Arc::clone(&self.destination.store), &meta, READ_BYTES);
        let unreadable = {
            let (damaged, shown) = (damage::of_file(commit, &shown).error(), shown.clone());
            move |error: parquet::errors::ParquetError| match error {
                parquet::errors::ParquetError::External(cause) => storage::broken("read", &shown, &*cause),
                _ => damaged.clone(),
            }
        };
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(&unreadable)?;
        let columns = columns.map(|columns| ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied()));
        let builder = builder.with_projection(columns.unwrap_or_else(ProjectionMask::all));
        let rows = builder.with_batch_size(BATCH_ROWS).build().map_err(&unreadable)?;
        Ok(rows.map_err(unreadable).boxed())
    }
}
