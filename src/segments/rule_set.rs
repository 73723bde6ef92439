//! A set of segments whose rules are compiled, and the table that its members come to.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use crate::config::SetKind;

/// The column that names a customer.
pub const CUSTOMER_ID: &str = "customer_id";

/// A set of segments with its rules compiled.
#[derive(Debug)]
pub struct RuleSet {
    /// The set's name.
    pub name: String,
    /// How its segments relate.
    pub kind: SetKind,
    /// Its segments with their rules, in order of priority.
    pub rules: Vec<(String, Arc<dyn PhysicalExpr>)>,
    /// The condition under which a customer may be reached through each segment's channel, in the same order.
    pub permissions: Vec<Option<Arc<dyn PhysicalExpr>>>,
    /// The place of each rule, such as `pipelines/customer_segments.yaml:12:15`, in the same order.
    pub places: Vec<String>,
}

/// The columns of the memberships: `customer_id`, `segment_set`, `segment`.
pub fn membership_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(CUSTOMER_ID, DataType::Utf8, false),
        Field::new("segment_set", DataType::Utf8, false),
        Field::new("segment", DataType::Utf8, false),
    ]))
}
