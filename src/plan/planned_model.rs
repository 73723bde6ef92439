//! A model that has been planned, with what its query comes to.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;

use crate::engine::{self, OrderedBy};
use crate::graph::{LAYERS, ParsedModel, SOURCES};
use crate::sql;

/// The name of the node of a query that is looked at. No model has such a name.
pub const QUERY: &str = "the query";

/// A model whose names and types have been checked.
#[derive(Debug, Clone)]
pub struct PlannedModel {
    /// The model and what it reads.
    pub parsed: ParsedModel,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its query, planned against tables without rows.
    pub query: Arc<LogicalPlan>,
    /// What it comes to by itself.
    pub(super) cost: Cost,
    /// What its query is like.
    pub of_query: OfQuery,
}

/// A source is not read more often than this for one model.
const READ_AGAIN: usize = 3;

impl PlannedModel {
    /// Whether a source may be read for each of so many readers of the model, in the place of its rows.
    pub(super) fn may_be_read_again(&self, times: usize) -> bool {
        let is_staging = self.parsed.model.schema.as_deref() == Some(LAYERS[0]);
        let is_source = |read: &String| read.split_once('.').is_some_and(|(schema, _)| schema == SOURCES);
        is_staging
            && self.of_query.is_row_by_row
            && self.of_query.cannot_fail
            && !self.of_query.takes_any_rows
            && self.parsed.reads.iter().all(is_source)
            && (2..=READ_AGAIN).contains(&times)
    }
}

/// What a query is like.
#[derive(Debug, Clone)]
pub struct OfQuery {
    /// Whether each row is made from one row of one table, in the order of that table.
    pub is_row_by_row: bool,
    /// Whether it computes nothing that fails for some values. A failure is told of the model that computes.
    pub cannot_fail: bool,
    /// Whether it takes some of several rows, and no order says which.
    pub takes_any_rows: bool,
    /// Whether its rows may depend on which of its columns are read.
    pub breaks_ties: bool,
    /// The columns by which the query itself orders its rows, as far as they are columns of the result.
    pub order: Vec<OrderedBy>,
}

/// What a model comes to, with the models that are computed where it reads them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) size: sql::Size,
    /// The most parts that one of its columns is made of.
    pub(super) parts: u64,
}

impl Cost {
    pub(super) fn over(self, read: Cost) -> Cost {
        Cost { size: self.size.over(read.size), parts: self.parts.saturating_mul(read.parts) }
    }

    pub(super) fn fits(self) -> bool {
        self.size.fits() && self.parts <= engine::MAX_PARTS
    }
}
