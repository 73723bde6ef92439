//! Queries over the tables of another engine than they were planned with.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::logical_plan::{Projection, TableScan, TableScanBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, cast};

use super::{Engine, inspect};
use crate::cast::is_text;

impl Engine {
    /// An optimised query that was planned over tables of the same names elsewhere, over those of this engine. These may have other columns, too,
    /// in another order, and their texts in another form.
    ///
    /// # Errors
    /// Where a table or a column is not there, or has another type.
    pub async fn over_own_tables(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let mut own = BTreeMap::new();
        for table in inspect::reads(&plan)?.into_keys() {
            let name = TableReference::parse_str(&table);
            own.insert(table, self.context.table_provider(name).await?);
        }
        let replaced = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) => match own.get(&scan.table_name.to_string()) {
                Some(provider) => Ok(Transformed::yes(rebound(&scan, provider)?)),
                None => Err(unlike(&scan, "is not there")),
            },
            other => Ok(Transformed::yes(other.recompute_schema()?)),
        });
        Ok(replaced?.data)
    }
}

fn unlike(scan: &TableScan, what: &str) -> DataFusionError {
    DataFusionError::Plan(format!("the table {} {what}", scan.table_name))
}

/// A scan of another table that gives the same columns in the same types.
fn rebound(scan: &TableScan, provider: &Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    if !scan.filters.is_empty() || scan.fetch.is_some() {
        return Err(unlike(scan, "is read in part"));
    }
    let (schema, mut positions, mut columns) = (provider.schema(), Vec::new(), Vec::new());
    for field in scan.projected_schema.fields() {
        let position = schema.index_of(field.name()).map_err(|_| unlike(scan, "lacks a column"))?;
        let column = Expr::Column(Column::new(Some(scan.table_name.clone()), field.name()));
        columns.push(match (schema.field(position).data_type(), field.data_type()) {
            (here, there) if here == there => column,
            (here, there) if is_alike(here, there) => {
                cast(column, there.clone()).alias_qualified(Some(scan.table_name.clone()), field.name())
            }
            _ => return Err(unlike(scan, "has a column of another type")),
        });
        positions.push(position);
    }
    let source = provider_as_source(Arc::clone(provider));
    let scan = TableScanBuilder::new(scan.table_name.clone(), source).with_projection(Some(positions)).build()?;
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::TableScan(scan)))?))
}

/// Whether values of two types are the same but for the form of their texts.
fn is_alike(one: &DataType, two: &DataType) -> bool {
    match (one, two) {
        (DataType::List(one), DataType::List(two)) => is_alike(one.data_type(), two.data_type()),
        _ => one == two || (is_text(one) && is_text(two)),
    }
}
