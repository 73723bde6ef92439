//! Tells DataFusion that a subquery of one value may have no row, and then is null.
//!
//! DataFusion looks only at the column: `count(*)` is never null, so it takes `(select n from (select k, count(*) as n …) where k = …) is null`
//! for false, and leaves out the second argument of `coalesce`.

use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility,
};

/// A planned query whose subqueries of one value may be null wherever they may have no row.
///
/// # Errors
/// DataFusion's own.
pub fn with_missing_values(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mended = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|part| match part {
                Expr::ScalarSubquery(subquery) if may_have_no_row(&subquery.subquery) => {
                    let is_constant = is_constant(&subquery.subquery, 0);
                    if !is_constant && !is_never_null(&subquery.subquery) {
                        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
                    }
                    Ok(Transformed::yes(Expr::ScalarSubquery(or_null(subquery, is_constant)?)))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    })?;
    Ok(mended.data)
}

fn is_never_null(plan: &LogicalPlan) -> bool {
    plan.schema().fields().first().is_some_and(|field| !field.is_nullable())
}

/// Whether it is not an aggregate of all rows, which has a row in any case.
fn may_have_no_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(node) => may_have_no_row(&node.input),
        LogicalPlan::SubqueryAlias(node) => may_have_no_row(&node.input),
        LogicalPlan::Aggregate(node) => !node.group_expr.is_empty(),
        _ => true,
    }
}

/// Whether a column of a plan has one value, as `1` in `select 1 from …`.
fn is_constant(plan: &LogicalPlan, column: usize) -> bool {
    match plan {
        LogicalPlan::Projection(node) => match node.expr[column].clone().unalias() {
            Expr::Column(of) => node.input.schema().maybe_index_of_column(&of).is_some_and(|at| is_constant(&node.input, at)),
            expr => expr.column_refs().is_empty(),
        },
        LogicalPlan::SubqueryAlias(node) => is_constant(&node.input, column),
        LogicalPlan::Filter(node) => is_constant(&node.input, column),
        LogicalPlan::Sort(node) => is_constant(&node.input, column),
        LogicalPlan::Limit(node) => is_constant(&node.input, column),
        _ => false,
    }
}

fn or_null(subquery: Subquery, is_constant: bool) -> Result<Subquery> {
    let (qualifier, field) = subquery.subquery.schema().qualified_field(0);
    let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
    // The function of a constant would be computed once for all rows, also where there are none.
    let volatility = if is_constant { Volatility::Volatile } else { Volatility::Immutable };
    let value = ScalarUDF::from(OrNull { signature: Signature::any(1, volatility) })
        .call(vec![column])
        .alias_qualified(qualifier.cloned(), field.name());
    let plan = LogicalPlan::Projection(Projection::try_new(vec![value], Arc::clone(&subquery.subquery))?);
    Ok(subquery.with_plan(Arc::new(plan)))
}

/// The name of the function that a subquery gets.
pub const OR_NULL: &str = "or_null";

/// Its argument, which may be null as far as anybody knows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OrNull {
    signature: Signature,
}

impl ScalarUDFImpl for OrNull {
    fn name(&self) -> &'static str {
        OR_NULL
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(|| DataFusionError::Internal("or_null takes one argument".to_owned()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let data_type = self.return_type(&args.arg_fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>())?;
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.pop().ok_or_else(|| DataFusionError::Internal("or_null takes one argument".to_owned()))
    }
}
