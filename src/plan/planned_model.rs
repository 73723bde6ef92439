//! A model that has been planned, with what its query comes to.

use arrow::datatypes::SchemaRef;

use crate::engine;
use crate::graph::ParsedModel;
use crate::sql;

/// A model whose names and types have been checked.
#[derive(Debug, Clone)]
pub struct PlannedModel {
    /// The model and what it reads.
    pub parsed: ParsedModel,
    /// Its columns.
    pub schema: SchemaRef,
    /// What it comes to by itself.
    pub(super) cost: Cost,
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
