//! Questions about a plan: which tables and columns it reads, and which of its functions are not repeatable.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

/// The columns that an optimised query reads of each table.
///
/// # Errors
/// DataFusion's own.
pub fn columns_read(plan: &LogicalPlan) -> Result<BTreeMap<String, BTreeSet<String>>, DataFusionError> {
    let mut read: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let filtered = scan.filters.iter().flat_map(|filter| filter.column_refs().into_iter().map(|column| column.name.clone()));
            let columns = scan.projected_schema.fields().iter().map(|field| field.name().clone()).chain(filtered);
            read.entry(scan.table_name.to_string()).or_default().extend(columns);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(read)
}

/// How many times a query scans each table.
///
/// # Errors
/// DataFusion's own.
pub fn reads(plan: &LogicalPlan) -> Result<BTreeMap<String, usize>, DataFusionError> {
    let mut reads = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            *reads.entry(scan.table_name.to_string()).or_default() += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reads)
}

/// The functions that may return different values for the same arguments, such as `random` and `now`. With them the same extracts would not
/// give the same outputs.
pub fn unrepeatable(expressions: &[Expr]) -> Vec<String> {
    let mut names = Vec::new();
    for expression in expressions {
        let walked = expression.apply(|part| {
            if let Expr::ScalarFunction(function) = part
                && function.func.signature().volatility != Volatility::Immutable
            {
                names.push(function.func.name().to_owned());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok());
    }
    names
}

/// As [`unrepeatable`], for all expressions of a plan.
///
/// # Errors
/// DataFusion's own.
pub fn unrepeatable_in(plan: &LogicalPlan) -> Result<Vec<String>, DataFusionError> {
    let mut names = Vec::new();
    plan.apply_with_subqueries(|node| {
        names.extend(unrepeatable(&node.expressions()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}
