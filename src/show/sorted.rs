//! Puts the rows of a look in an order that is the same every time.

use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{DataFrame, ident};

use crate::engine::OrderedBy;

/// Rows in an order; those that are equal in it, by all columns from the left.
pub(super) fn sorted(frame: DataFrame, order: &[OrderedBy]) -> Result<DataFrame, DataFusionError> {
    let columns = frame.schema().columns();
    let known = |by: &&OrderedBy| columns.iter().any(|column| column.name() == by.column);
    let by = order.iter().filter(known).map(|by| ident(by.column.as_str()).sort(by.ascending, by.nulls_first));
    let rest = columns.iter().filter(|column| order.iter().all(|by| by.column != column.name()));
    let by: Vec<_> = by.chain(rest.map(|column| Expr::Column(column.clone()).sort(true, false))).collect();
    if by.is_empty() { Ok(frame) } else { frame.sort(by) }
}
