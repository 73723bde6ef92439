//! Tables without rows, against which a project is checked before any data is read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;

use crate::engine::Limits;

/// Enough to check a project; no data is read.
pub(super) const PLANNING: Limits = Limits { threads: 1, memory_bytes: 64 * 1024 * 1024 };

/// A table of some columns without rows.
pub(super) fn empty(schema: SchemaRef) -> Arc<dyn TableProvider> {
    Arc::new(EmptyTable::new(schema))
}
