//! Gives row numbers and ranks a sign where they are subtracted.
//!
//! DataFusion counts rows without a sign, so that a difference below zero, as it is common where rows are put into groups of one value after the
//! other (`row_number() over (…) - row_number() over (…)`), would fail.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, cast};

/// A planned query in which nothing without a sign is subtracted or negated.
///
/// # Errors
/// DataFusion's own.
pub fn with_signed_differences(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            found |= expr.exists(|part| Ok(operands(part).iter().any(|operand| has_no_sign(operand, &schema))))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !found {
        return Ok(plan);
    }
    let signed = plan.transform_up_with_subqueries(|node| {
        let (schema, names) = (merge_schema(&node.inputs()), NamePreserver::new(&node));
        let signed = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|part| Ok(Transformed::yes(with_signs(part, &schema))))?.update_data(|expr| name.restore(expr)))
        })?;
        // The types above depend on it.
        Ok(Transformed::yes(signed.data.recompute_schema()?))
    })?;
    Ok(signed.data)
}

/// What is subtracted, from what, or negated.
fn operands(part: &Expr) -> Vec<&Expr> {
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => vec![left.as_ref(), right.as_ref()],
        Expr::Negative(inner) => vec![inner.as_ref()],
        _ => Vec::new(),
    }
}

fn has_no_sign(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| of.is_unsigned_integer())
}

fn with_signs(part: Expr, schema: &DFSchema) -> Expr {
    let signed = |expr: Box<Expr>| if has_no_sign(&expr, schema) { Box::new(cast(*expr, DataType::Int64)) } else { expr };
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => {
            Expr::BinaryExpr(BinaryExpr { left: signed(left), op: Operator::Minus, right: signed(right) })
        }
        Expr::Negative(inner) => Expr::Negative(signed(inner)),
        other => other,
    }
}
