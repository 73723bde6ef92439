//! Conditions on the rows of a query, as conditions on the rows of what it reads.

use std::collections::BTreeMap;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::functions_nested::expr_fn::{array_has_any, make_array};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, Unnest, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// The conditions that are on columns of one side of a join alone.
pub fn of_schema(wanted: &[Expr], schema: &DFSchema) -> Vec<Expr> {
    let known = |one: &&Expr| one.column_refs().into_iter().all(|column| schema.has_column(column));
    wanted.iter().filter(known).cloned().collect()
}

/// The conditions on one side's keys of a join as conditions on what they must equal on the other side.
pub fn over<'a>(conditions: &[Expr], keys: impl Iterator<Item = (&'a Expr, &'a Expr)>) -> Result<Vec<Expr>> {
    let keys: BTreeMap<Column, &Expr> = keys.filter_map(|(here, there)| Some((here.try_as_col()?.clone(), there))).collect();
    let known = |one: &&Expr| one.column_refs().into_iter().all(|column| keys.contains_key(column));
    conditions.iter().filter(known).map(|one| with(one.clone(), &keys)).collect()
}

/// A condition on rows that are made of elements of lists, as one on the rows that have the lists, as far as it says something of these.
pub fn of_lists(condition: &Expr, node: &Unnest) -> Option<Expr> {
    let input = node.input.schema();
    let is_element = |column: &Column| node.list_type_columns.iter().any(|(_, list)| list.output_column == *column);
    if condition
        .column_refs()
        .into_iter()
        .all(|column| !node.exec_columns.contains(column) && !is_element(column) && input.has_column(column))
    {
        return Some(condition.clone());
    }
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(of_lists(left, node)?.or(of_lists(right, node)?)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => match (of_lists(left, node), of_lists(right, node)) {
            (Some(left), Some(right)) => Some(left.and(right)),
            (left, right) => left.or(right),
        },
        Expr::InList(list) if !list.negated && list.list.iter().all(|one| matches!(one, Expr::Literal(value, _) if !value.is_null())) => {
            let element = list.expr.try_as_col()?;
            let (at, _) = node.list_type_columns.iter().find(|(_, list)| list.depth == 1 && list.output_column == *element)?;
            let (table, field) = input.qualified_field(*at);
            // The same list must not be taken apart in two ways.
            let is_alone = node.list_type_columns.iter().filter(|(other, _)| other == at).count() == 1;
            let column = Expr::Column(Column::new(table.cloned(), field.name()));
            is_alone.then(|| array_has_any(column, make_array(list.list.clone())))
        }
        _ => None,
    }
}

/// Whether a condition is true of no row.
pub fn is_never(condition: &Expr) -> bool {
    use datafusion::common::ScalarValue::{Boolean, Null};
    let is_constant = condition.column_refs().is_empty() && !condition.is_volatile() && !asks(condition);
    let known = is_constant.then(|| ExprSimplifier::new(SimplifyContext::default()).simplify(condition.clone()));
    matches!(known, Some(Ok(Expr::Literal(Boolean(Some(false) | None) | Null, _))))
}

/// A condition without the alternatives that are true of no row.
pub fn folded(condition: Expr) -> Expr {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => match (folded(*left), folded(*right)) {
            (left, right) if is_never(&left) => right,
            (left, right) if is_never(&right) => left,
            (left, right) => left.or(right),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let (left, right) = (folded(*left), folded(*right));
            if is_never(&left) || is_never(&right) { lit(false) } else { left.and(right) }
        }
        other => other,
    }
}

/// Whether an expression asks a query of its own, or makes rows of its own.
pub fn asks(expr: &Expr) -> bool {
    let does = |part: &Expr| {
        matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::Unnest(_)
                | Expr::OuterReferenceColumn(..)
        )
    };
    expr.exists(|part| Ok(does(part))).unwrap_or(true)
}

/// An expression with others in the place of columns.
pub fn with(expr: Expr, columns: &BTreeMap<Column, &Expr>) -> Result<Expr> {
    let replaced = expr.transform_down(|part| match &part {
        Expr::Column(column) => match columns.get(column) {
            Some(by) => Ok(Transformed::new((*by).clone().unalias_nested().data, true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(part)),
        },
        _ => Ok(Transformed::no(part)),
    });
    Ok(replaced?.data)
}

/// An expression on the columns of one table, without its name.
pub fn bare(expr: Expr) -> Result<Expr> {
    let named = expr.transform(|part| match part {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    });
    Ok(named?.data)
}
