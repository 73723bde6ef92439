//! Gives columns of the row outside the types that they have once all types agree.
//!
//! A subquery is planned with the types of the moment. If the column is one of a `union` whose queries have other types, or may be null in
//! another query than the first, it becomes another one afterwards. DataFusion would go on to compare its values as if they had the type of
//! the first query: decimals with other digits after the point would not be found equal.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Subquery};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;

/// A rule that comes after the one by which types agree, and lets them agree again.
#[derive(Debug)]
pub struct RefreshOuterColumns;

impl AnalyzerRule for RefreshOuterColumns {
    fn name(&self) -> &'static str {
        "refresh_outer_columns"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let refreshed = refreshed(plan, &mut Vec::new())?;
        if refreshed.transformed { TypeCoercion::new().analyze(refreshed.data, config) } else { Ok(refreshed.data) }
    }
}

/// A plan whose subqueries know the columns outside as they are. `outside` are those of the rows around the plan itself, the nearest last.
fn refreshed(plan: LogicalPlan, outside: &mut Vec<DFSchema>) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|node| {
        // Below a lateral join, a subquery sees the rows of the other side.
        if let LogicalPlan::Join(mut join) = node {
            let LogicalPlan::Subquery(lateral) = join.right.as_ref() else { return in_expressions(LogicalPlan::Join(join), outside) };
            outside.push(join.left.schema().as_ref().clone());
            let lateral = in_subquery(lateral.clone(), outside);
            outside.pop();
            let lateral = lateral?;
            join.right = Arc::new(LogicalPlan::Subquery(lateral.data));
            let others = in_expressions(LogicalPlan::Join(join), outside)?;
            return Ok(Transformed::new_transformed(others.data, others.transformed || lateral.transformed));
        }
        in_expressions(node, outside)
    })
}

fn in_expressions(node: LogicalPlan, outside: &mut Vec<DFSchema>) -> Result<Transformed<LogicalPlan>> {
    let own = merge_schema(&node.inputs());
    node.map_expressions(|expr| {
        expr.transform_up(|part| match part {
            Expr::OuterReferenceColumn(field, column) => {
                let now = outside.iter().rev().find_map(|schema| Expr::Column(column.clone()).to_field(schema).ok());
                match now.map(|(_, now)| now) {
                    Some(now) if now.data_type() != field.data_type() || now.is_nullable() != field.is_nullable() => {
                        Ok(Transformed::yes(Expr::OuterReferenceColumn(now, column)))
                    }
                    _ => Ok(Transformed::no(Expr::OuterReferenceColumn(field, column))),
                }
            }
            Expr::ScalarSubquery(subquery) => of(subquery, &own, outside)?.map_data(|subquery| Ok(Expr::ScalarSubquery(subquery))),
            Expr::Exists(Exists { subquery, negated }) => {
                of(subquery, &own, outside)?.map_data(|subquery| Ok(Expr::Exists(Exists { subquery, negated })))
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                of(subquery, &own, outside)?.map_data(|subquery| Ok(Expr::InSubquery(InSubquery { expr, subquery, negated })))
            }
            Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                let subquery = of(subquery, &own, outside)?;
                subquery.map_data(|subquery| Ok(Expr::SetComparison(SetComparison { expr, subquery, op, quantifier })))
            }
            other => Ok(Transformed::no(other)),
        })
    })
}

/// A subquery in an expression over some columns.
fn of(subquery: Subquery, own: &DFSchema, outside: &mut Vec<DFSchema>) -> Result<Transformed<Subquery>> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(Transformed::no(subquery));
    }
    outside.push(own.clone());
    let found = in_subquery(subquery, outside);
    outside.pop();
    found
}

fn in_subquery(subquery: Subquery, outside: &mut Vec<DFSchema>) -> Result<Transformed<Subquery>> {
    let plan = refreshed(subquery.subquery.as_ref().clone(), outside)?;
    if !plan.transformed {
        return Ok(Transformed::no(subquery));
    }
    let plan = Arc::new(plan.data);
    let outer_ref_columns = plan.all_out_ref_exprs();
    Ok(Transformed::yes(Subquery { subquery: plan, outer_ref_columns, spans: subquery.spans }))
}
