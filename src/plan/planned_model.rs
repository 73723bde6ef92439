//! A model that has been planned, with what its query comes to.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;

use crate::engine::{self, OrderedBy};
use crate::graph::ParsedModel;
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

/// What a query is like.
#[derive(Debug, Clone)]
pub struct OfQuery {
    /// Whether each row is made from one row of one table, in the order of that table.
    pub is_row_by_row: bool,
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
